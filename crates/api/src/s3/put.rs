//! What comes with bytes: what is kept beside them, how they are framed, what they must add up to.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::limits;
use dormouse_model::object::ChecksumAlgorithm;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use crate::error::{ApiError, Exception};
use crate::s3::checksum::{Digested, Digests, hex, is_well_formed};
use crate::s3::header::{number, text};
use crate::s3::refusal::{
    bad_checksum, bad_md5, bad_sha256, entity_too_large, invalid_argument, invalid_request,
    malformed_trailer, missing_length, not_here,
};
use crate::s3::tagging;

/// Headers that are given back as they came.
const KEPT: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
];
const STORAGE_CLASSES: [&str; 11] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
    "EXPRESS_ONEZONE",
];
/// The content type of what has none.
const UNTYPED: &str = "binary/octet-stream";
const METADATA: &str = "x-amz-meta-";

/// What is kept beside the bytes of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Headers that are given back as they came.
    pub headers: BTreeMap<String, String>,
    /// Metadata, without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// A canned access control list that is not `private`.
    pub acl: Option<String>,
}

impl Described {
    /// Reads the headers of a request that makes an object.
    ///
    /// # Errors
    /// When one of them cannot be kept, or asks for what would have to act and does not.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        refuse(headers)?;
        let mut kept: BTreeMap<String, String> = KEPT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), text(headers, name)?.to_owned())))
            .collect();
        kept.entry(CONTENT_TYPE.as_str().to_owned()).or_insert_with(|| UNTYPED.to_owned());
        // The framing of this request is not the object's.
        let encoding = kept.remove(CONTENT_ENCODING.as_str());
        if let Some(encoding) = encoding.and_then(|encoding| unframed(&encoding)) {
            kept.insert(CONTENT_ENCODING.as_str().to_owned(), encoding);
        }
        if let Some(class) = text(headers, "x-amz-storage-class") {
            if !STORAGE_CLASSES.contains(&class) {
                let text = "The storage class you specified is not valid";
                return Err(ApiError::new(Exception::S3InvalidStorageClass, text));
            }
            if class != "STANDARD" {
                kept.insert("x-amz-storage-class".to_owned(), class.to_owned());
            }
        }
        let tags =
            text(headers, "x-amz-tagging").map_or(Ok(BTreeMap::new()), tagging::of_header)?;
        let acl = text(headers, "x-amz-acl").filter(|acl| *acl != "private").map(str::to_owned);
        Ok(Self { headers: kept, metadata: metadata(headers)?, tags, acl })
    }
}

/// What we would have to do and cannot.
fn refuse(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key("x-amz-server-side-encryption-customer-algorithm") {
        return Err(not_here("Server-side encryption with keys of the customer"));
    }
    if text(headers, "x-amz-server-side-encryption").is_some_and(|value| value != "AES256") {
        return Err(not_here("Server-side encryption with KMS"));
    }
    if headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-")) {
        let text = "The bucket does not allow ACLs";
        return Err(ApiError::new(Exception::S3AccessControlListNotSupported, text));
    }
    if headers.keys().any(|name| name.as_str().starts_with("x-amz-object-lock-")) {
        return Err(invalid_request("Bucket is missing Object Lock Configuration"));
    }
    Ok(())
}

fn metadata(headers: &HeaderMap) -> Result<BTreeMap<String, String>, ApiError> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(METADATA) else { continue };
        let value = std::str::from_utf8(value.as_bytes());
        let value = value.map_err(|_| invalid_argument("Metadata is not UTF-8", name, ""))?;
        // A header that comes twice is one with both values.
        found
            .entry(name.to_owned())
            .and_modify(|before| *before = format!("{before},{value}"))
            .or_insert_with(|| value.to_owned());
    }
    let bytes: usize = found.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::OBJECT_METADATA_BYTES {
        let text = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(ApiError::new(Exception::S3MetadataTooLarge, text));
    }
    Ok(found)
}

/// An encoding without `aws-chunked`.
fn unframed(encoding: &str) -> Option<String> {
    let rest: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty() && !part.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!rest.is_empty()).then(|| rest.join(","))
}

/// How bytes come, and what they must add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// How many bytes there are.
    pub length: u64,
    /// Whether the body is `aws-chunked`.
    pub is_chunked: bool,
    /// How the checksum is computed.
    pub algorithm: ChecksumAlgorithm,
    /// Whether the caller said how.
    pub is_asked: bool,
    checksum: Said,
    md5: Option<[u8; 16]>,
    sha256: Option<String>,
}

/// Where a checksum is said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Nowhere,
    InHeader(String),
    InTrailer,
}

impl Framed {
    /// Reads the headers of a request with bytes. `usual` is how the checksum is computed unless the
    /// caller says otherwise.
    ///
    /// # Errors
    /// When they contradict each other, or say more bytes than may be.
    pub fn of(headers: &HeaderMap, usual: ChecksumAlgorithm) -> Result<Self, ApiError> {
        let hash = text(headers, "x-amz-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
        let is_chunked = hash.starts_with("STREAMING-")
            || text(headers, "content-encoding").is_some_and(says_chunked);
        let length = if is_chunked {
            number(headers, "x-amz-decoded-content-length")?
        } else {
            number(headers, CONTENT_LENGTH.as_str())?
        };
        let length = length.ok_or_else(missing_length)?;
        if length > limits::OBJECT_PUT_BYTES {
            return Err(entity_too_large(length, limits::OBJECT_PUT_BYTES));
        }
        Self::with_length(headers, (length, is_chunked), (hash, usual))
    }

    fn with_length(
        headers: &HeaderMap,
        (length, is_chunked): (u64, bool),
        (hash, usual): (&str, ChecksumAlgorithm),
    ) -> Result<Self, ApiError> {
        let (checksum, algorithm) = said(headers)?;
        Ok(Self {
            length,
            is_chunked,
            algorithm: algorithm.unwrap_or(usual),
            is_asked: algorithm.is_some(),
            checksum,
            md5: md5(headers)?,
            sha256: sha256(hash)?,
        })
    }

    /// Whether the SHA-256 is to be computed.
    #[must_use]
    pub fn wants_sha256(&self) -> bool {
        self.sha256.is_some()
    }

    /// Compares what came with what was said.
    ///
    /// # Errors
    /// When it differs.
    pub fn check(&self, came: &Digested, trailers: &[(String, String)]) -> Result<(), ApiError> {
        if let Some(md5) = self.md5
            && md5 != came.md5
        {
            return Err(bad_md5(&hex(&md5), &came.etag()));
        }
        if let (Some(said), Some(sha256)) = (&self.sha256, &came.sha256)
            && !said.eq_ignore_ascii_case(sha256)
        {
            return Err(bad_sha256(said, sha256));
        }
        let name = header_of(self.algorithm);
        let said = match &self.checksum {
            Said::Nowhere => return Ok(()),
            Said::InHeader(value) => value,
            Said::InTrailer => {
                let trailer = trailers.iter().find(|(said, _)| *said == name);
                &trailer.ok_or_else(malformed_trailer)?.1
            }
        };
        if !is_well_formed(self.algorithm, said) {
            return Err(invalid_request(format!("Value for {name} header is invalid.")));
        }
        if *said == came.checksum { Ok(()) } else { Err(bad_checksum(self.algorithm)) }
    }
}

/// Compares a document with what its request says of it.
///
/// # Errors
/// When it differs.
pub fn check_document(headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
    let hash = text(headers, "x-amz-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
    let usual = ChecksumAlgorithm::Crc32;
    let framed = Framed::with_length(headers, (body.len() as u64, false), (hash, usual))?;
    let mut digests = Digests::new(framed.algorithm, framed.wants_sha256());
    digests.update(body);
    framed.check(&digests.finish(), &[])
}

fn says_chunked(encoding: &str) -> bool {
    encoding.split(',').any(|part| part.trim().eq_ignore_ascii_case("aws-chunked"))
}

/// The header of a checksum.
#[must_use]
pub fn header_of(algorithm: ChecksumAlgorithm) -> String {
    format!("x-amz-checksum-{}", algorithm.name().to_ascii_lowercase())
}

/// Algorithms that AWS has and we have not: what they say is not to be overlooked.
const NOT_HERE: [&str; 3] =
    ["x-amz-checksum-xxhash64", "x-amz-checksum-xxhash3", "x-amz-checksum-xxhash128"];

fn said(headers: &HeaderMap) -> Result<(Said, Option<ChecksumAlgorithm>), ApiError> {
    let trailer = text(headers, "x-amz-trailer").map(|name| name.trim().to_ascii_lowercase());
    let is_said = |name: &&str| headers.contains_key(*name) || trailer.as_deref() == Some(*name);
    if let Some(name) = NOT_HERE.iter().find(|name| is_said(name)) {
        return Err(not_here(&format!("The checksum {name}")));
    }
    let mut found = None;
    for algorithm in ChecksumAlgorithm::ALL {
        let name = header_of(algorithm);
        let Some(value) = text(headers, &name) else { continue };
        if !is_well_formed(algorithm, value) {
            return Err(invalid_request(format!("Value for {name} header is invalid.")));
        }
        if found.replace((Said::InHeader(value.to_owned()), Some(algorithm))).is_some() {
            return Err(invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
    }
    if let Some(found) = found {
        return Ok(found);
    }
    if let Some(named) = trailer {
        let algorithm = ChecksumAlgorithm::ALL.into_iter().find(|it| header_of(*it) == named);
        let invalid = "The value specified in the x-amz-trailer header is not supported";
        return Ok((Said::InTrailer, Some(algorithm.ok_or_else(|| invalid_request(invalid))?)));
    }
    if headers.contains_key("x-amz-sdk-checksum-algorithm") {
        return Err(invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
             x-amz-trailer headers were found.",
        ));
    }
    Ok((Said::Nowhere, None))
}

fn md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, ApiError> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(value.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or_else(|| {
        let text = "The Content-MD5 you specified was invalid.";
        ApiError::new(Exception::S3InvalidDigest, text)
    })
}

fn sha256(hash: &str) -> Result<Option<String>, ApiError> {
    if hash == "UNSIGNED-PAYLOAD" || hash.starts_with("STREAMING-") {
        return Ok(None);
    }
    if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Some(hash.to_owned()));
    }
    let text = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
                STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, \
                STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";
    Err(invalid_argument(text, "x-amz-content-sha256", hash))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn headers(given: &str) -> HeaderMap {
        let mut request = Request::builder();
        for (name, value) in given.lines().filter_map(|line| line.split_once(": ")) {
            request = request.header(name.trim(), value);
        }
        request.body(()).unwrap().into_parts().0.headers
    }

    fn came(text: &str, framed: &Framed) -> Digested {
        let mut digests = Digests::new(framed.algorithm, framed.wants_sha256());
        digests.update(text.as_bytes());
        digests.finish()
    }

    /// What becomes of `hello world` with these headers and trailers.
    fn check(given: &str, trailers: &[(&str, &str)], expected: &str) {
        let trailers: Vec<(String, String)> = trailers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let framed = Framed::of(&headers(given), ChecksumAlgorithm::Crc64Nvme);
        let checked =
            framed.and_then(|framed| framed.check(&came("hello world", &framed), &trailers));
        let shown = checked.map_or_else(|error| error.exception.facts().query_code, |()| "ok");
        assert_eq!(shown, expected, "{given} {trailers:?}");
    }

    #[test]
    fn bytes_must_add_up_to_what_was_said() {
        check("content-length: 11", &[], "ok");
        check("", &[], "MissingContentLength");
        check("content-length: x", &[], "InvalidArgument");
        check("content-length: 5368709121", &[], "EntityTooLarge");
        check("content-length: 11\ncontent-md5: XrY7u+Ae7tCTyyK7j1rNww==", &[], "ok");
        check("content-length: 11\ncontent-md5: AAAAAAAAAAAAAAAAAAAAAA==", &[], "BadDigest");
        check("content-length: 11\ncontent-md5: AAAA", &[], "InvalidDigest");
        check("content-length: 11\nx-amz-checksum-crc32: DUoRhQ==", &[], "ok");
        check("content-length: 11\nx-amz-checksum-crc32: AAAAAA==", &[], "BadDigest");
        check("content-length: 11\nx-amz-checksum-crc32: AAAA", &[], "InvalidRequest");
        let two =
            "content-length: 11\nx-amz-checksum-crc32: DUoRhQ==\nx-amz-checksum-crc32c: yZRlqg==";
        check(two, &[], "InvalidRequest");
        check("content-length: 11\nx-amz-sdk-checksum-algorithm: CRC32", &[], "InvalidRequest");
        let hash = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        check(&format!("content-length: 11\nx-amz-content-sha256: {hash}"), &[], "ok");
        let wrong = hash.replace('b', "a");
        let refused = "XAmzContentSHA256Mismatch";
        check(&format!("content-length: 11\nx-amz-content-sha256: {wrong}"), &[], refused);
        check("content-length: 11\nx-amz-content-sha256: nonsense", &[], "InvalidArgument");
    }

    #[test]
    fn a_trailer_says_the_checksum_of_a_stream() {
        let stream = "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n\
                      x-amz-decoded-content-length: 11\nx-amz-trailer: x-amz-checksum-crc32c";
        check(stream, &[("x-amz-checksum-crc32c", "yZRlqg==")], "ok");
        check(stream, &[("x-amz-checksum-crc32c", "AAAAAA==")], "BadDigest");
        check(stream, &[("x-amz-checksum-crc32", "DUoRhQ==")], "MalformedTrailerError");
        check(stream, &[], "MalformedTrailerError");
        check(&stream.replace("crc32c", "x"), &[], "InvalidRequest");
        check(&stream.replace("crc32c", "xxhash3"), &[], "NotImplemented");
        check(
            "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            &[],
            "MissingContentLength",
        );
    }

    #[test]
    fn what_describes_an_object_is_kept_without_its_framing() {
        let given = "content-encoding: aws-chunked, gzip\nx-amz-meta-a: 1\nx-amz-meta-B: ü\n\
                     x-amz-storage-class: STANDARD\nx-amz-tagging: t=v\ncache-control: no-cache";
        let described = Described::of(&headers(given)).unwrap();
        assert_eq!(described.headers["content-encoding"], "gzip");
        assert_eq!(described.headers["content-type"], "binary/octet-stream");
        assert_eq!(described.headers.len(), 3);
        assert_eq!(described.metadata["b"], "ü");
        assert_eq!(described.tags["t"], "v");
        let refused = |given: &str| Described::of(&headers(given)).unwrap_err().exception;
        assert_eq!(refused("x-amz-storage-class: X"), Exception::S3InvalidStorageClass);
        assert_eq!(refused("x-amz-server-side-encryption: aws:kms"), Exception::NotImplemented);
        let large = format!("x-amz-meta-a: {}", "x".repeat(2_048));
        assert_eq!(refused(&large), Exception::S3MetadataTooLarge);
    }
}
