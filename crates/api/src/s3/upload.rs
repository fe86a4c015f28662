//! Uploads in parts: how the checksum is to be, what completes them, and their answers.

use dormouse_model::limits;
use dormouse_model::object::{Checksum, ChecksumAlgorithm, ChecksumKind};
use http::HeaderMap;

use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::s3::checksum::{can_be_joined, composite, etag_of_parts, joined};
use crate::s3::document::Element;
use crate::s3::header::text;
use crate::s3::list::{Lines, ListRequest, common, document, owner, prefixes};
use crate::s3::object::checksum_leaves;
use crate::s3::refusal::{bad_checksum, invalid_argument, invalid_request, malformed_xml};

/// How the checksum of an upload is to be: the algorithm, over what, and whether it was asked for.
///
/// # Errors
/// When there is no such algorithm, or it cannot be over that.
pub fn plan(headers: &HeaderMap) -> Result<(ChecksumAlgorithm, ChecksumKind, bool), ApiError> {
    let Some(name) = text(headers, "x-amz-checksum-algorithm") else {
        return Ok((ChecksumAlgorithm::Crc64Nvme, ChecksumKind::FullObject, false));
    };
    let invalid = || {
        let text = "Checksum algorithm provided is unsupported. Please try again with any of the valid \
                    types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]";
        invalid_request(text)
    };
    let algorithm = ChecksumAlgorithm::of_name(name).ok_or_else(invalid)?;
    let kind = match text(headers, "x-amz-checksum-type") {
        Some("FULL_OBJECT") => ChecksumKind::FullObject,
        Some("COMPOSITE") => ChecksumKind::Composite,
        Some(other) => {
            return Err(invalid_argument("Checksum type is invalid", "x-amz-checksum-type", other));
        }
        None if algorithm == ChecksumAlgorithm::Crc64Nvme => ChecksumKind::FullObject,
        None => ChecksumKind::Composite,
    };
    let fits = match kind {
        ChecksumKind::FullObject => can_be_joined(algorithm),
        ChecksumKind::Composite => algorithm != ChecksumAlgorithm::Crc64Nvme,
    };
    if fits {
        return Ok((algorithm, kind, true));
    }
    let text = format!(
        "The {} checksum type cannot be used with the {} checksum algorithm.",
        kind.name(),
        algorithm.name().to_lowercase()
    );
    Err(invalid_request(text))
}

/// The number of a part and the id of its upload, from the query string.
///
/// # Errors
/// When the number is none.
pub fn place(query: QueryString<'_>) -> Result<(u32, String), ApiError> {
    let id = query.get("uploadId").unwrap_or_default().into_owned();
    let number = query.get("partNumber").unwrap_or_default();
    let parsed = number.parse().ok().filter(|number| limits::PART_NUMBERS.contains(number));
    let text = "Part number must be an integer between 1 and 10000, inclusive";
    let parsed = parsed.ok_or_else(|| invalid_argument(text, "partNumber", &number))?;
    Ok((parsed, id))
}

/// A part that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFacts {
    /// Its place.
    pub number: u32,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: String,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// The body of `CompleteMultipartUpload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteRequest {
    parts: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    number: u32,
    etag: String,
    checksum: Option<(ChecksumAlgorithm, String)>,
}

impl CompleteRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is none, or the parts are out of order.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let document = Element::read(body, "CompleteMultipartUpload")?;
        let parts = document.all("Part").map(named).collect::<Result<Vec<_>, ApiError>>()?;
        if parts.is_empty() {
            return Err(malformed_xml());
        }
        if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            let text = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(ApiError::new(Exception::S3InvalidPartOrder, text));
        }
        Ok(Self { parts })
    }

    /// The places, among the parts that are there, of those that are named. The checksum of a part
    /// counts where the upload was begun with its algorithm; who chose none may name what each part was
    /// sent with, which was checked then.
    ///
    /// # Errors
    /// When one is not there as it was named, or is too small.
    pub fn chosen(
        &self,
        there: &[PartFacts],
        (algorithm, is_asked): (ChecksumAlgorithm, bool),
    ) -> Result<Vec<usize>, ApiError> {
        let mut chosen = Vec::with_capacity(self.parts.len());
        for named in &self.parts {
            let place = there.binary_search_by_key(&named.number, |part| part.number);
            let place = place.map_err(|_| invalid_part())?;
            let part = &there[place];
            let is_it = part.etag == named.etag
                && named.checksum.as_ref().is_none_or(|(said, value)| {
                    if *said == algorithm { *value == part.checksum } else { !is_asked }
                });
            if !is_it {
                return Err(invalid_part());
            }
            chosen.push(place);
        }
        let all_but_last = &chosen[..chosen.len().saturating_sub(1)];
        if all_but_last.iter().any(|place| there[*place].size_bytes < limits::PART_BYTES) {
            let text = "Your proposed upload is smaller than the minimum allowed size";
            return Err(ApiError::new(Exception::S3EntityTooSmall, text));
        }
        Ok(chosen)
    }
}

fn named(part: &Element) -> Result<Named, ApiError> {
    let number = part.text_of("PartNumber").and_then(|number| number.trim().parse().ok());
    let etag = part.text_of("ETag").ok_or_else(malformed_xml)?.trim();
    let checksum = ChecksumAlgorithm::ALL.into_iter().find_map(|algorithm| {
        let value = part.text_of(&format!("Checksum{}", algorithm.name()))?;
        Some((algorithm, value.to_owned()))
    });
    Ok(Named {
        number: number.ok_or_else(malformed_xml)?,
        etag: etag.trim_matches('"').to_owned(),
        checksum,
    })
}

fn invalid_part() -> ApiError {
    let text = "One or more of the specified parts could not be found.  The part may not have been uploaded, \
                or the specified entity tag may not match the part's entity tag.";
    ApiError::new(Exception::S3InvalidPart, text)
}

/// What parts become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The entity tag, without quotes.
    pub etag: String,
    /// The checksum.
    pub checksum: Option<Checksum>,
    /// The sizes of the parts.
    pub sizes: Vec<u64>,
}

impl Whole {
    /// What these parts become.
    #[must_use]
    pub fn of(parts: &[PartFacts], algorithm: ChecksumAlgorithm, kind: ChecksumKind) -> Self {
        let value = match kind {
            ChecksumKind::FullObject => {
                let sums = parts.iter().map(|part| (part.checksum.as_str(), part.size_bytes));
                joined(algorithm, sums)
            }
            ChecksumKind::Composite => {
                composite(algorithm, parts.iter().map(|part| part.checksum.as_str()))
            }
        };
        Self {
            etag: etag_of_parts(parts.iter().map(|part| part.etag.as_str())),
            checksum: value.map(|value| Checksum { algorithm, kind, value }),
            sizes: parts.iter().map(|part| part.size_bytes).collect(),
        }
    }

    /// Compares with what the caller says of the whole.
    ///
    /// # Errors
    /// When it differs.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let size: u64 = self.sizes.iter().sum();
        if let Some(said) = text(headers, "x-amz-mp-object-size")
            && said.parse() != Ok(size)
        {
            let text =
                "The provided 'x-amz-mp-object-size' header does not match what was computed.";
            return Err(invalid_request(text));
        }
        for algorithm in ChecksumAlgorithm::ALL {
            let Some(said) = text(headers, &crate::s3::put::header_of(algorithm)) else { continue };
            let is_it = self
                .checksum
                .as_ref()
                .is_some_and(|checksum| checksum.algorithm == algorithm && checksum.value == said);
            if !is_it {
                return Err(bad_checksum(algorithm));
            }
        }
        Ok(())
    }
}

/// The answer to `CreateMultipartUpload`.
#[must_use]
pub fn created(bucket: &str, key: &str, id: &str) -> String {
    document("InitiateMultipartUploadResult", |xml| {
        xml.leaf("Bucket", bucket).leaf("Key", key).leaf("UploadId", id);
    })
}

/// The answer to `CompleteMultipartUpload`.
#[must_use]
pub fn completed(location: &str, (bucket, key): (&str, &str), whole: &Whole) -> String {
    document("CompleteMultipartUploadResult", |xml| {
        xml.leaf("Location", location)
            .leaf("Bucket", bucket)
            .leaf("Key", key)
            .leaf("ETag", &format!("\"{}\"", whole.etag));
        if let Some(checksum) = &whole.checksum {
            checksum_leaves(xml, checksum);
        }
    })
}

/// A page of `ListParts` that is asked for: behind which number, and how many.
///
/// # Errors
/// When a member is no number.
pub fn parts_asked(query: QueryString<'_>) -> Result<(u32, usize), ApiError> {
    let number = |name: &str, usual: u32| match query.get(name).filter(|text| !text.is_empty()) {
        None => Ok(usual),
        Some(text) => text.parse().map_err(|_| {
            let message = format!("Provided {name} not an integer or within integer range");
            invalid_argument(message, name, &text)
        }),
    };
    let limit = number("max-parts", 1_000)?.min(1_000);
    Ok((number("part-number-marker", 0)?, usize::try_from(limit).unwrap_or(limits::OBJECT_PAGE)))
}

/// What `ListParts` tells of an upload.
#[derive(Debug)]
pub struct PartsPage<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The upload's id.
    pub id: &'a str,
    /// The checksum's algorithm and kind, if it was asked for.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// Behind which number it begins, and how many there may be.
    pub asked: (u32, usize),
    /// The parts.
    pub parts: &'a [PartFacts],
    /// Whether there are more.
    pub has_more: bool,
}

/// The answer to `ListParts`.
#[must_use]
pub fn parts_answer(page: &PartsPage<'_>) -> String {
    document("ListPartsResult", |xml| {
        xml.leaf("Bucket", page.bucket).leaf("Key", page.key).leaf("UploadId", page.id);
        owner(xml);
        xml.element("Initiator", |xml| {
            xml.leaf("ID", super::OWNER_ID);
        });
        xml.leaf("StorageClass", "STANDARD").leaf("PartNumberMarker", &page.asked.0.to_string());
        let last = page.parts.last().map_or(page.asked.0, |part| part.number);
        xml.leaf("NextPartNumberMarker", &last.to_string())
            .leaf("MaxParts", &page.asked.1.to_string())
            .leaf("IsTruncated", if page.has_more { "true" } else { "false" });
        if let Some((algorithm, kind)) = page.checksum {
            xml.leaf("ChecksumAlgorithm", algorithm.name()).leaf("ChecksumType", kind.name());
        }
        for part in page.parts {
            xml.element("Part", |xml| {
                xml.leaf("PartNumber", &part.number.to_string())
                    .leaf("LastModified", &crate::time::iso_millis(part.modified_ms))
                    .leaf("ETag", &format!("\"{}\"", part.etag))
                    .leaf("Size", &part.size_bytes.to_string());
                if let Some((algorithm, _)) = page.checksum {
                    xml.leaf(&format!("Checksum{}", algorithm.name()), &part.checksum);
                }
            });
        }
    })
}

/// A line of `ListMultipartUploads`.
#[derive(Debug, Clone)]
pub struct UploadLine {
    /// The key.
    pub key: String,
    /// The upload's id.
    pub id: String,
    /// When it was begun, in milliseconds since 1970.
    pub created_ms: u64,
}

/// The answer to `ListMultipartUploads`; the page holds what is rolled up and what comes next.
#[must_use]
pub fn uploads_answer(
    bucket: &str,
    asked: &ListRequest,
    uploads: &[UploadLine],
    page: &Lines,
) -> String {
    document("ListMultipartUploadsResult", |xml| {
        xml.leaf("Bucket", bucket);
        xml.leaf("KeyMarker", &asked.shown(asked.after.as_deref().unwrap_or_default()));
        xml.leaf("UploadIdMarker", asked.after_id.as_deref().unwrap_or_default());
        if let Some(next) = &page.next {
            xml.leaf("NextKeyMarker", &asked.shown(next));
            xml.leaf("NextUploadIdMarker", page.next_id.as_deref().unwrap_or_default());
        }
        xml.leaf("Prefix", &asked.shown(&asked.prefix));
        common(xml, asked, page, "MaxUploads");
        for upload in uploads {
            xml.element("Upload", |xml| {
                xml.leaf("Key", &asked.shown(&upload.key)).leaf("UploadId", &upload.id);
                owner(xml);
                xml.element("Initiator", |xml| {
                    xml.leaf("ID", super::OWNER_ID);
                });
                xml.leaf("StorageClass", "STANDARD")
                    .leaf("Initiated", &crate::time::iso_millis(upload.created_ms));
            });
        }
        prefixes(xml, asked, page);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32, size_bytes: u64, etag: &str) -> PartFacts {
        let checksum = "AAAAAA==".to_owned();
        PartFacts { number, size_bytes, etag: etag.to_owned(), checksum, modified_ms: 0 }
    }

    /// What becomes of an upload with parts 1, 2 and 4 when these are named as (number, etag).
    fn check(named: &[(u32, &str)], expected: &str) {
        let there = [part(1, 5_242_880, "a"), part(2, 9, "b"), part(4, 3, "c")];
        let body: String = named
            .iter()
            .map(|(number, etag)| {
                format!(
                    "<Part><ETag>&quot;{etag}&quot;</ETag><PartNumber>{number}</PartNumber></Part>"
                )
            })
            .collect();
        let body = format!("<CompleteMultipartUpload>{body}</CompleteMultipartUpload>");
        let chosen = CompleteRequest::read(body.as_bytes())
            .and_then(|request| request.chosen(&there, (ChecksumAlgorithm::Crc32, true)));
        let shown = match chosen {
            Ok(places) => format!("{places:?}"),
            Err(error) => error.exception.facts().query_code.to_owned(),
        };
        assert_eq!(shown, expected, "{named:?}");
    }

    #[test]
    fn parts_are_what_was_uploaded_in_order_and_large_enough() {
        check(&[(1, "a"), (2, "b")], "[0, 1]");
        check(&[(1, "a"), (4, "c")], "[0, 2]");
        check(&[(4, "c")], "[2]");
        check(&[(1, "a"), (2, "b"), (4, "c")], "EntityTooSmall");
        check(&[(2, "b"), (1, "a")], "InvalidPartOrder");
        check(&[(1, "a"), (1, "a")], "InvalidPartOrder");
        check(&[(1, "x")], "InvalidPart");
        check(&[(3, "a")], "InvalidPart");
        check(&[], "MalformedXML");
    }

    #[test]
    fn a_checksum_of_parts_is_over_what_fits_it() {
        let check = |given: &[(&str, &str)], expected: &str| {
            let mut request = http::Request::builder();
            for (name, value) in given {
                request = request.header(*name, *value);
            }
            let shown = match plan(&request.body(()).unwrap().into_parts().0.headers) {
                Ok((algorithm, kind, asked)) => {
                    format!("{} {} {asked}", algorithm.name(), kind.name())
                }
                Err(error) => error.exception.facts().query_code.to_owned(),
            };
            assert_eq!(shown, expected, "{given:?}");
        };
        let algorithm = "x-amz-checksum-algorithm";
        let kind = "x-amz-checksum-type";
        check(&[], "CRC64NVME FULL_OBJECT false");
        check(&[(algorithm, "CRC32")], "CRC32 COMPOSITE true");
        check(&[(algorithm, "CRC32"), (kind, "FULL_OBJECT")], "CRC32 FULL_OBJECT true");
        check(&[(algorithm, "SHA1"), (kind, "FULL_OBJECT")], "InvalidRequest");
        check(&[(algorithm, "CRC64NVME"), (kind, "COMPOSITE")], "InvalidRequest");
        check(&[(algorithm, "XXHASH3")], "InvalidRequest");
        check(&[(algorithm, "CRC32"), (kind, "HALF")], "InvalidArgument");
    }
}
