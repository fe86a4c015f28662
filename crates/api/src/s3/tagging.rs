//! Tags: as XML, and as the form in a header.

use std::collections::BTreeMap;

use dormouse_model::limits;

use crate::error::{ApiError, Exception};
use crate::s3::document::Element;
use crate::s3::refusal::{invalid_argument, malformed_xml};
use crate::s3::setting::NAMESPACE;
use crate::xml::Xml;

/// Tags of a bucket (S3 user guide).
pub(crate) const BUCKET_TAGS: usize = 50;
const KEY_CHARS: usize = 128;
const VALUE_CHARS: usize = 256;

/// Reads a `Tagging` document of at most so many tags.
///
/// # Errors
/// When it is none, or a tag is none.
pub(crate) fn read(body: &[u8], limit: usize) -> Result<BTreeMap<String, String>, ApiError> {
    let document = Element::read(body, "Tagging")?;
    let set = document.child("TagSet").ok_or_else(malformed_xml)?;
    let pairs = set.all("Tag").map(|tag| {
        let key = tag.text_of("Key").ok_or_else(malformed_xml)?;
        Ok((key.to_owned(), tag.text_of("Value").ok_or_else(malformed_xml)?.to_owned()))
    });
    checked(pairs, limit)
}

/// The tags of an object in a `Tagging` document.
///
/// # Errors
/// When it is none, or a tag is none.
pub fn of_object(body: &[u8]) -> Result<BTreeMap<String, String>, ApiError> {
    read(body, limits::OBJECT_TAGS)
}

/// The tags of an object in the header `x-amz-tagging`.
///
/// # Errors
/// When a tag is none.
pub fn of_header(header: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let pairs = form_urlencoded::parse(header.as_bytes());
    let tags = checked(
        pairs.map(|(key, value)| Ok((key.into_owned(), value.into_owned()))),
        limits::OBJECT_TAGS,
    );
    tags.map_err(|error| match error.exception {
        Exception::S3InvalidTag => {
            let text = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
            invalid_argument(text, "x-amz-tagging", header)
        }
        _ => error,
    })
}

fn checked(
    pairs: impl Iterator<Item = Result<(String, String), ApiError>>,
    limit: usize,
) -> Result<BTreeMap<String, String>, ApiError> {
    let invalid = |text: &str| Err(ApiError::new(Exception::S3InvalidTag, text));
    let mut tags = BTreeMap::new();
    for pair in pairs {
        let (key, value) = pair?;
        if key.is_empty() || key.chars().count() > KEY_CHARS {
            return invalid("The TagKey you have provided is invalid");
        }
        if value.chars().count() > VALUE_CHARS {
            return invalid("The TagValue you have provided is invalid");
        }
        if key.starts_with("aws:") {
            return invalid("System tags cannot be added/updated by requester");
        }
        if tags.insert(key, value).is_some() {
            return invalid("Cannot provide multiple Tags with the same key");
        }
        if tags.len() > limit {
            let text = format!("Object tags cannot be greater than {limit}");
            return Err(ApiError::new(Exception::S3BadRequest, text));
        }
    }
    Ok(tags)
}

/// The `Tagging` document of tags.
#[must_use]
pub fn document(tags: &BTreeMap<String, String>) -> String {
    let mut xml = Xml::declared();
    xml.element_with("Tagging", Some(NAMESPACE), |xml| {
        xml.element("TagSet", |xml| {
            for (key, value) in tags {
                xml.element("Tag", |xml| {
                    xml.leaf("Key", key).leaf("Value", value);
                });
            }
        });
    });
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_make_the_round_trip() {
        let tags = of_header("a=1&b%20c=%C3%BC+x&d=").unwrap();
        assert_eq!(tags["b c"], "ü x");
        assert_eq!(of_object(document(&tags).as_bytes()).unwrap(), tags);
    }

    #[test]
    fn wrong_tags_are_refused() {
        let code = |header: &str| of_header(header).unwrap_err().exception.facts().query_code;
        assert_eq!(code("a=1&a=2"), "InvalidArgument");
        assert_eq!(code("=1"), "InvalidArgument");
        assert_eq!(code("aws:x=1"), "InvalidArgument");
        let many: Vec<String> = (0..11).map(|n| format!("k{n}=v")).collect();
        assert_eq!(code(&many.join("&")), "BadRequest");
        assert_eq!(of_object(b"<Tagging/>").unwrap_err().exception, Exception::S3MalformedXml);
    }
}
