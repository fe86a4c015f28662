//! Lists: what part of a bucket is asked for, and the pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dormouse_model::limits;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::ApiError;
use crate::query::QueryString;
use crate::s3::refusal::invalid_argument;
use crate::s3::setting::NAMESPACE;
use crate::xml::Xml;

/// What `encoding-type=url` leaves as it is.
const PLAIN: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');

/// A list of a bucket that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// What keys begin with.
    pub prefix: String,
    /// What ends a part of a key.
    pub delimiter: Option<String>,
    /// Behind which key it begins: `marker`, `start-after` or `key-marker`.
    pub after: Option<String>,
    /// `version-id-marker` or `upload-id-marker`.
    pub after_id: Option<String>,
    /// The token of the page before.
    pub token: Option<String>,
    /// How many lines there are at most.
    pub limit: usize,
    asked_limit: usize,
    is_encoded: bool,
}

impl ListRequest {
    /// Reads the query string; `after` and `after_id` are the members that say where to begin.
    ///
    /// # Errors
    /// When a member is wrong.
    pub fn of(
        query: QueryString<'_>,
        (limit, after, after_id): (&str, &str, &str),
    ) -> Result<Self, ApiError> {
        let given = |name: &str| query.get(name).filter(|text| !text.is_empty());
        let encoding = given("encoding-type");
        if encoding.as_deref().is_some_and(|encoding| encoding != "url") {
            let text = "Invalid Encoding Method specified in Request";
            return Err(invalid_argument(text, "encoding-type", &encoding.unwrap_or_default()));
        }
        let asked_limit = match given(limit) {
            None => limits::OBJECT_PAGE,
            Some(text) => text.parse().map_err(|_| {
                let message = format!("Provided {limit} not an integer or within integer range");
                invalid_argument(message, limit, &text)
            })?,
        };
        let owned = |name: &str| given(name).map(std::borrow::Cow::into_owned);
        Ok(Self {
            prefix: owned("prefix").unwrap_or_default(),
            delimiter: owned("delimiter"),
            after: owned(after),
            after_id: owned(after_id),
            token: owned("continuation-token"),
            limit: asked_limit.min(limits::OBJECT_PAGE),
            asked_limit,
            is_encoded: encoding.is_some(),
        })
    }

    /// Where a page begins: behind what the token says, else behind the key that is named.
    ///
    /// # Errors
    /// When the token is none of ours.
    pub fn begins_after(&self) -> Result<Option<String>, ApiError> {
        let Some(token) = &self.token else {
            return Ok(self.after.clone());
        };
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let after = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = "The continuation token provided is incorrect";
        after.map(Some).ok_or_else(|| invalid_argument(text, "continuation-token", token))
    }

    /// A key or a part of one, as this caller wants it.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        if self.is_encoded {
            utf8_percent_encode(text, &PLAIN).to_string()
        } else {
            text.to_owned()
        }
    }

    fn leaf(&self, xml: &mut Xml, tag: &str, text: &str) {
        xml.leaf(tag, &self.shown(text));
    }
}

/// A line of a list.
#[derive(Debug, Clone)]
pub struct Line {
    /// The key.
    pub key: String,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// The entity tag, without quotes.
    pub etag: String,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// The storage class.
    pub storage_class: String,
    /// The checksum's algorithm and kind.
    pub checksum: Option<(&'static str, &'static str)>,
    /// What it is among versions.
    pub version: Option<VersionLine>,
}

/// What a line is among versions.
#[derive(Debug, Clone)]
pub struct VersionLine {
    /// The id.
    pub id: String,
    /// Whether the key stands for it.
    pub is_latest: bool,
    /// Whether it marks a deletion.
    pub is_marker: bool,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// Keys, or versions.
    pub lines: Vec<Line>,
    /// What several keys begin with.
    pub prefixes: Vec<String>,
    /// The last key or prefix, when there is more behind it.
    pub next: Option<String>,
    /// The id of the last version or upload, when there is more behind it.
    pub next_id: Option<String>,
}

/// `ListObjects`.
#[must_use]
pub fn objects(bucket: &str, asked: &ListRequest, page: &Lines) -> String {
    document("ListBucketResult", |xml| {
        xml.leaf("Name", bucket);
        asked.leaf(xml, "Prefix", &asked.prefix);
        asked.leaf(xml, "Marker", asked.after.as_deref().unwrap_or_default());
        // S3 names the next marker only to who rolls up; others know the last key.
        if let Some(next) = page.next.as_ref().filter(|_| asked.delimiter.is_some()) {
            asked.leaf(xml, "NextMarker", next);
        }
        common(xml, asked, page, "MaxKeys");
        contents(xml, asked, page, true);
    })
}

/// `ListObjectsV2`.
#[must_use]
pub fn objects_v2(bucket: &str, asked: &ListRequest, page: &Lines, with_owner: bool) -> String {
    document("ListBucketResult", |xml| {
        xml.leaf("Name", bucket);
        asked.leaf(xml, "Prefix", &asked.prefix);
        if let Some(token) = &asked.token {
            xml.leaf("ContinuationToken", token);
        }
        if let Some(next) = &page.next {
            xml.leaf("NextContinuationToken", &URL_SAFE_NO_PAD.encode(next));
        }
        if let Some(after) = &asked.after {
            asked.leaf(xml, "StartAfter", after);
        }
        xml.leaf("KeyCount", &(page.lines.len() + page.prefixes.len()).to_string());
        common(xml, asked, page, "MaxKeys");
        contents(xml, asked, page, with_owner);
    })
}

/// `ListObjectVersions`.
#[must_use]
pub fn versions(bucket: &str, asked: &ListRequest, page: &Lines) -> String {
    document("ListVersionsResult", |xml| {
        xml.leaf("Name", bucket);
        asked.leaf(xml, "Prefix", &asked.prefix);
        asked.leaf(xml, "KeyMarker", asked.after.as_deref().unwrap_or_default());
        xml.leaf("VersionIdMarker", asked.after_id.as_deref().unwrap_or_default());
        if let Some(next) = &page.next {
            asked.leaf(xml, "NextKeyMarker", next);
        }
        if let Some(next) = &page.next_id {
            xml.leaf("NextVersionIdMarker", next);
        }
        common(xml, asked, page, "MaxKeys");
        for line in &page.lines {
            let Some(version) = &line.version else { continue };
            let tag = if version.is_marker { "DeleteMarker" } else { "Version" };
            xml.element(tag, |xml| {
                asked.leaf(xml, "Key", &line.key);
                xml.leaf("VersionId", &version.id)
                    .leaf("IsLatest", if version.is_latest { "true" } else { "false" })
                    .leaf("LastModified", &crate::time::iso_millis(line.modified_ms));
                if !version.is_marker {
                    described(xml, line);
                }
                owner(xml);
            });
        }
        prefixes(xml, asked, page);
    })
}

fn contents(xml: &mut Xml, asked: &ListRequest, page: &Lines, with_owner: bool) {
    for line in &page.lines {
        xml.element("Contents", |xml| {
            asked.leaf(xml, "Key", &line.key);
            xml.leaf("LastModified", &crate::time::iso_millis(line.modified_ms));
            described(xml, line);
            if with_owner {
                owner(xml);
            }
        });
    }
    prefixes(xml, asked, page);
}

fn described(xml: &mut Xml, line: &Line) {
    xml.leaf("ETag", &format!("\"{}\"", line.etag));
    if let Some((algorithm, kind)) = line.checksum {
        xml.leaf("ChecksumAlgorithm", algorithm).leaf("ChecksumType", kind);
    }
    xml.leaf("Size", &line.size_bytes.to_string()).leaf("StorageClass", &line.storage_class);
}

/// Everybody here is one owner: accounts are worlds apart.
pub(super) fn owner(xml: &mut Xml) {
    xml.element("Owner", |xml| {
        xml.leaf("ID", super::OWNER_ID);
    });
}

pub(super) fn common(xml: &mut Xml, asked: &ListRequest, page: &Lines, limit: &str) {
    xml.leaf(limit, &asked.asked_limit.to_string());
    if let Some(delimiter) = &asked.delimiter {
        asked.leaf(xml, "Delimiter", delimiter);
    }
    if asked.is_encoded {
        xml.leaf("EncodingType", "url");
    }
    xml.leaf("IsTruncated", if page.next.is_some() { "true" } else { "false" });
}

pub(super) fn prefixes(xml: &mut Xml, asked: &ListRequest, page: &Lines) {
    for prefix in &page.prefixes {
        xml.element("CommonPrefixes", |xml| asked.leaf(xml, "Prefix", prefix));
    }
}

/// A document of S3's.
pub(super) fn document(root: &str, inside: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::declared();
    xml.element_with(root, Some(NAMESPACE), inside);
    xml.finish()
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    fn asked(query: &str) -> Result<ListRequest, ApiError> {
        let uri: Uri = format!("/b?{query}").parse().unwrap();
        ListRequest::of(QueryString::of(&uri), ("max-keys", "start-after", ""))
    }

    #[test]
    fn a_page_is_shown_as_s3_shows_it() {
        let asked = asked(
            "list-type=2&prefix=a%2B&delimiter=%2F&encoding-type=url&max-keys=2000&start-after=a",
        )
        .unwrap();
        assert_eq!(asked.limit, 1_000);
        let line = Line {
            key: "a+ b&".to_owned(),
            modified_ms: 1_767_323_045_678,
            etag: "ab".to_owned(),
            size_bytes: 3,
            storage_class: "STANDARD".to_owned(),
            checksum: Some(("CRC32", "FULL_OBJECT")),
            version: None,
        };
        let page = Lines {
            lines: vec![line],
            prefixes: vec!["a+/".to_owned()],
            next: Some("a+/".to_owned()),
            next_id: None,
        };
        insta::assert_snapshot!(objects_v2("b", &asked, &page, false).replace("><", ">\n<"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <Name>b</Name>
        <Prefix>a%2B</Prefix>
        <NextContinuationToken>YSsv</NextContinuationToken>
        <StartAfter>a</StartAfter>
        <KeyCount>2</KeyCount>
        <MaxKeys>2000</MaxKeys>
        <Delimiter>/</Delimiter>
        <EncodingType>url</EncodingType>
        <IsTruncated>true</IsTruncated>
        <Contents>
        <Key>a%2B%20b%26</Key>
        <LastModified>2026-01-02T03:04:05.678Z</LastModified>
        <ETag>&quot;ab&quot;</ETag>
        <ChecksumAlgorithm>CRC32</ChecksumAlgorithm>
        <ChecksumType>FULL_OBJECT</ChecksumType>
        <Size>3</Size>
        <StorageClass>STANDARD</StorageClass>
        </Contents>
        <CommonPrefixes>
        <Prefix>a%2B/</Prefix>
        </CommonPrefixes>
        </ListBucketResult>
        "#);
        let next =
            self::tests::asked(&format!("continuation-token={}", URL_SAFE_NO_PAD.encode("a+/")));
        assert_eq!(next.unwrap().begins_after().unwrap().as_deref(), Some("a+/"));
    }

    #[test]
    fn wrong_members_are_refused() {
        assert!(asked("encoding-type=x").is_err());
        assert!(asked("max-keys=x").is_err());
        assert!(asked("max-keys=-1").is_err());
        assert!(asked("continuation-token=!").unwrap().begins_after().is_err());
        assert_eq!(asked("max-keys=0").unwrap().limit, 0);
    }
}
