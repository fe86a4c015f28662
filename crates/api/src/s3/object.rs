//! Objects: deletions of many, sources of copies, attributes that are asked for, and their answers.

use dormouse_model::limits;
use dormouse_model::object::{BucketName, Checksum, ObjectKey};
use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::error::ApiError;
use crate::s3::call::key;
use crate::s3::document::Element;
use crate::s3::header::text;
use crate::s3::list::document;
use crate::s3::refusal::{invalid_argument, invalid_bucket_name, malformed_xml};
use crate::xml::Xml;

/// The body of `DeleteObjects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// What is to be deleted.
    pub objects: Vec<Doomed>,
    /// Whether only failures are told.
    pub is_quiet: bool,
}

/// An object that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Its key.
    pub key: ObjectKey,
    /// The version, or what the key stands for.
    pub version: Option<String>,
}

impl DeleteRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is none, or names nothing or too much.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let document = Element::read(body, "Delete")?;
        let objects = document.all("Object").map(|object| {
            let name = object.text_of("Key").filter(|name| !name.is_empty());
            let version = object.text_of("VersionId").filter(|version| !version.is_empty());
            Ok(Doomed {
                key: key(name.ok_or_else(malformed_xml)?)?,
                version: version.map(str::to_owned),
            })
        });
        let objects = objects.collect::<Result<Vec<_>, ApiError>>()?;
        if objects.is_empty() || objects.len() > limits::OBJECT_DELETES {
            return Err(malformed_xml());
        }
        Ok(Self { objects, is_quiet: document.text_of("Quiet") == Some("true") })
    }
}

/// What became of an object that was to be deleted.
#[derive(Debug, Clone)]
pub struct Fate {
    /// What was to be deleted.
    pub doomed: Doomed,
    /// What became of it: the version removed or made, and whether that is a marker.
    pub outcome: Result<(Option<String>, bool), ApiError>,
}

/// The answer to `DeleteObjects`.
#[must_use]
pub fn delete_answer(fates: &[Fate], is_quiet: bool) -> String {
    document("DeleteResult", |xml| {
        for Fate { doomed, outcome } in fates {
            match outcome {
                Ok(_) if is_quiet => {}
                Ok((version, is_marker)) => drop(xml.element("Deleted", |xml| {
                    xml.leaf("Key", doomed.key.as_str());
                    if let Some(version) = &doomed.version {
                        xml.leaf("VersionId", version);
                    }
                    if *is_marker {
                        xml.leaf("DeleteMarker", "true");
                        xml.leaf("DeleteMarkerVersionId", version.as_deref().unwrap_or("null"));
                    }
                })),
                Err(error) => drop(xml.element("Error", |xml| {
                    xml.leaf("Key", doomed.key.as_str());
                    if let Some(version) = &doomed.version {
                        xml.leaf("VersionId", version);
                    }
                    xml.leaf("Code", error.exception.facts().query_code)
                        .leaf("Message", &error.message);
                })),
            }
        }
    })
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// From which bucket.
    pub bucket: BucketName,
    /// Which object.
    pub key: ObjectKey,
    /// Which version, or what the key stands for.
    pub version: Option<String>,
}

impl CopySource {
    /// Reads the header: `bucket/key?versionId=…`, percent-encoded, with or without a slash before it.
    ///
    /// # Errors
    /// When it names no object.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let header = text(headers, "x-amz-copy-source").unwrap_or_default();
        let invalid = || {
            let text = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
            invalid_argument(text, "x-amz-copy-source", header)
        };
        let (path, version) = match header.rsplit_once("?versionId=") {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (header, None),
        };
        let path = percent_decode_str(path).decode_utf8().map_err(|_| invalid())?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, name) = path.split_once('/').ok_or_else(invalid)?;
        if name.is_empty() {
            return Err(invalid());
        }
        let name = key(name)?;
        let bucket = bucket.parse().map_err(|_| invalid_bucket_name(bucket))?;
        Ok(Self { bucket, key: name, version })
    }
}

/// The answer to `CopyObject`, and to `UploadPartCopy` under another root.
#[must_use]
pub fn copy_answer(
    root: &str,
    etag: &str,
    modified_ms: u64,
    checksum: Option<&Checksum>,
) -> String {
    document(root, |xml| {
        xml.leaf("LastModified", &crate::time::iso_millis(modified_ms))
            .leaf("ETag", &format!("\"{etag}\""));
        if let Some(checksum) = checksum {
            checksum_leaves(xml, checksum);
        }
    })
}

pub(super) fn checksum_leaves(xml: &mut Xml, checksum: &Checksum) {
    xml.leaf(&format!("Checksum{}", checksum.algorithm.name()), &checksum.value);
    xml.leaf("ChecksumType", checksum.kind.name());
}

/// What `GetObjectAttributes` knows of an object.
#[derive(Debug)]
pub struct ObjectFacts<'a> {
    /// The entity tag.
    pub etag: &'a str,
    /// The checksum.
    pub checksum: Option<&'a Checksum>,
    /// The sizes of its parts, if it was uploaded in some.
    pub parts: &'a [u64],
    /// How many bytes it has.
    pub size_bytes: u64,
    /// The storage class.
    pub storage_class: &'a str,
}

/// The answer to `GetObjectAttributes`, with what the header asks for.
///
/// # Errors
/// When the header asks for nothing or for what no object has.
pub fn attributes_answer(headers: &HeaderMap, facts: &ObjectFacts<'_>) -> Result<String, ApiError> {
    const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];
    let header: Vec<&str> = headers
        .get_all("x-amz-object-attributes")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    if header.is_empty() || header.iter().any(|name| !KNOWN.contains(name)) {
        let text = "Invalid attribute name specified.";
        return Err(invalid_argument(text, "x-amz-object-attributes", &header.join(",")));
    }
    let wants = |name: &str| header.contains(&name);
    Ok(document("GetObjectAttributesResponse", |xml| {
        if wants("ETag") {
            xml.leaf("ETag", facts.etag);
        }
        if let Some(checksum) = facts.checksum.filter(|_| wants("Checksum")) {
            xml.element("Checksum", |xml| checksum_leaves(xml, checksum));
        }
        if wants("ObjectParts") && !facts.parts.is_empty() {
            xml.element("ObjectParts", |xml| {
                xml.leaf("PartsCount", &facts.parts.len().to_string());
            });
        }
        if wants("StorageClass") {
            xml.leaf("StorageClass", facts.storage_class);
        }
        if wants("ObjectSize") {
            xml.leaf("ObjectSize", &facts.size_bytes.to_string());
        }
    }))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_source_is_read_however_it_is_written() {
        let of = |header: &str| {
            let request = Request::builder().header("x-amz-copy-source", header).body(()).unwrap();
            CopySource::of(&request.into_parts().0.headers)
        };
        for header in ["bucket/a%2Fb%20c", "/bucket/a/b c", "bucket%2Fa/b%20c"] {
            let source = of(header).unwrap();
            assert_eq!((source.bucket.as_str(), source.key.as_str()), ("bucket", "a/b c"));
        }
        assert_eq!(of("bucket/k?versionId=v").unwrap().version.as_deref(), Some("v"));
        for header in ["", "bucket", "bucket/", "B_/k", "bucket/%ff"] {
            assert!(of(header).is_err(), "{header}");
        }
    }

    #[test]
    fn deletions_are_read_and_told() {
        let body = "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object>\
                    <Object><Key>b&amp;</Key><VersionId>v</VersionId></Object></Delete>";
        let request = DeleteRequest::read(body.as_bytes()).unwrap();
        assert!(request.is_quiet);
        assert_eq!(request.objects[1].version.as_deref(), Some("v"));
        assert!(DeleteRequest::read(b"<Delete></Delete>").is_err());
        let many = "<Object><Key>a</Key></Object>".repeat(1_001);
        assert!(DeleteRequest::read(format!("<Delete>{many}</Delete>").as_bytes()).is_err());
        let fates: Vec<Fate> = request
            .objects
            .into_iter()
            .zip([Ok((Some("m".to_owned()), true)), Err(crate::s3::refusal::no_such_key("b"))])
            .map(|(doomed, outcome)| Fate { doomed, outcome })
            .collect();
        let answer = delete_answer(&fates, false);
        assert!(answer.contains("<DeleteMarkerVersionId>m</DeleteMarkerVersionId>"), "{answer}");
        assert!(answer.contains("<Code>NoSuchKey</Code>"), "{answer}");
        assert!(!delete_answer(&fates, true).contains("Deleted"));
    }
}
