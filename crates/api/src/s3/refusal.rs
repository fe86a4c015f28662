//! What S3 refuses, in its codes and words.

use dormouse_model::object::ChecksumAlgorithm;

use crate::error::{ApiError, Detail, Exception};

fn with(
    exception: Exception,
    message: impl Into<String>,
    elements: Vec<(&'static str, String)>,
) -> ApiError {
    ApiError { exception, message: message.into(), detail: Detail::Elements(elements) }
}

/// 404 for a bucket.
#[must_use]
pub fn no_such_bucket(bucket: &str) -> ApiError {
    let text = "The specified bucket does not exist";
    with(Exception::S3NoSuchBucket, text, vec![("BucketName", bucket.to_owned())])
}

/// 301 for a bucket in another region.
#[must_use]
pub fn permanent_redirect(bucket: &str, endpoint: &str) -> ApiError {
    let text = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                Please send all future requests to this endpoint.";
    let elements = vec![("Endpoint", endpoint.to_owned()), ("Bucket", bucket.to_owned())];
    with(Exception::S3PermanentRedirect, text, elements)
}

/// 404 for a key.
#[must_use]
pub fn no_such_key(key: &str) -> ApiError {
    let text = "The specified key does not exist.";
    with(Exception::S3NoSuchKey, text, vec![("Key", key.to_owned())])
}

/// 404 for a version.
#[must_use]
pub fn no_such_version(key: &str, version: &str) -> ApiError {
    let text = "The specified version does not exist.";
    let elements = vec![("Key", key.to_owned()), ("VersionId", version.to_owned())];
    with(Exception::S3NoSuchVersion, text, elements)
}

/// 404 for an upload.
#[must_use]
pub fn no_such_upload(id: &str) -> ApiError {
    let text = "The specified upload does not exist. The upload ID may be invalid, or the upload may have \
                been aborted or completed.";
    with(Exception::S3NoSuchUpload, text, vec![("UploadId", id.to_owned())])
}

/// 405 for what cannot be done to a delete marker.
#[must_use]
pub fn method_not_allowed(method: &str, resource: &'static str) -> ApiError {
    let text = "The specified method is not allowed against this resource.";
    let elements = vec![("Method", method.to_owned()), ("ResourceType", resource.to_owned())];
    with(Exception::S3MethodNotAllowed, text, elements)
}

/// 400 for a name no bucket has.
#[must_use]
pub fn invalid_bucket_name(bucket: &str) -> ApiError {
    let text = "The specified bucket is not valid.";
    with(Exception::S3InvalidBucketName, text, vec![("BucketName", bucket.to_owned())])
}

/// 400 for an argument.
#[must_use]
pub fn invalid_argument(text: impl Into<String>, name: &str, value: &str) -> ApiError {
    let elements = vec![
        ("ArgumentName", name.to_owned()),
        ("ArgumentValue", value.chars().take(256).collect()),
    ];
    with(Exception::S3InvalidArgument, text, elements)
}

/// 400 for a request that contradicts itself.
#[must_use]
pub fn invalid_request(text: impl Into<String>) -> ApiError {
    ApiError::new(Exception::S3InvalidRequest, text)
}

/// 400 for a document that is none.
#[must_use]
pub fn malformed_xml() -> ApiError {
    let text =
        "The XML you provided was not well-formed or did not validate against our published schema";
    ApiError::new(Exception::S3MalformedXml, text)
}

/// 400 for bytes that do not have the MD5 they were said to have.
#[must_use]
pub fn bad_md5(expected: &str, calculated: &str) -> ApiError {
    let text = "The Content-MD5 you specified did not match what we received.";
    let elements =
        vec![("ExpectedDigest", expected.to_owned()), ("CalculatedDigest", calculated.to_owned())];
    with(Exception::S3BadDigest, text, elements)
}

/// 400 for bytes that do not have the checksum they were said to have.
#[must_use]
pub fn bad_checksum(algorithm: ChecksumAlgorithm) -> ApiError {
    let name = algorithm.name();
    let text = format!("The {name} you specified did not match the calculated checksum.");
    ApiError::new(Exception::S3BadDigest, text)
}

/// 400 for bytes that do not have the SHA-256 they were signed with.
#[must_use]
pub fn bad_sha256(client: &str, calculated: &str) -> ApiError {
    let text = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    let elements = vec![
        ("ClientComputedContentSHA256", client.to_owned()),
        ("S3ComputedContentSHA256", calculated.to_owned()),
    ];
    with(Exception::S3ContentSha256Mismatch, text, elements)
}

/// 400 for a body that is shorter or longer than it was said to be.
#[must_use]
pub fn incomplete_body() -> ApiError {
    let text =
        "You did not provide the number of bytes specified by the Content-Length HTTP header";
    ApiError::new(Exception::S3IncompleteBody, text)
}

/// 400 for trailers that are none.
#[must_use]
pub fn malformed_trailer() -> ApiError {
    let text = "The request contained trailing data that was not well-formed or did not conform to our \
                published schema.";
    ApiError::new(Exception::S3MalformedTrailer, text)
}

/// 411 for a body of which nobody says how long it is.
#[must_use]
pub fn missing_length() -> ApiError {
    let text = "You must provide the Content-Length HTTP header.";
    ApiError::new(Exception::S3MissingContentLength, text)
}

/// 400 for a client that stopped sending.
#[must_use]
pub fn request_timeout() -> ApiError {
    let text = "Your socket connection to the server was not read from or written to within the timeout \
                period. Idle connections will be closed.";
    ApiError::new(Exception::S3RequestTimeout, text)
}

/// 400 for an object over its limit.
#[must_use]
pub fn entity_too_large(proposed_bytes: u64, limit_bytes: u64) -> ApiError {
    let text = "Your proposed upload exceeds the maximum allowed size";
    let elements = vec![
        ("ProposedSize", proposed_bytes.to_string()),
        ("MaxSizeAllowed", limit_bytes.to_string()),
    ];
    with(Exception::S3EntityTooLarge, text, elements)
}

/// 400 for a document over its limit.
#[must_use]
pub fn message_too_long(limit_bytes: usize) -> ApiError {
    let elements = vec![("MaxMessageLengthBytes", limit_bytes.to_string())];
    with(Exception::S3MaxMessageLengthExceeded, "Your request was too big.", elements)
}

/// 412, with the header that does not hold.
#[must_use]
pub fn precondition_failed(condition: &'static str) -> ApiError {
    let text = "At least one of the pre-conditions you specified did not hold";
    with(Exception::S3PreconditionFailed, text, vec![("Condition", condition.to_owned())])
}

/// 416 for a range outside of the object.
#[must_use]
pub fn invalid_range(asked: &str, size_bytes: u64) -> ApiError {
    let text = "The requested range is not satisfiable";
    let elements = vec![
        ("RangeRequested", asked.chars().take(256).collect()),
        ("ActualObjectSize", size_bytes.to_string()),
    ];
    with(Exception::S3InvalidRange, text, elements)
}

/// 501 for what S3 has and we do not.
#[must_use]
pub fn not_here(what: &str) -> ApiError {
    let text = format!("{what} is not supported by this version of Dormouse.");
    ApiError::new(Exception::NotImplemented, text)
}

/// 403 for a link that was good once.
#[must_use]
pub fn link_expired() -> ApiError {
    ApiError::new(Exception::AccessDenied, "Request has expired")
}

/// 400 for a signature whose form is wrong.
#[must_use]
pub fn authorization_malformed(reason: &str) -> ApiError {
    let text = format!("The authorization header is malformed; {reason}");
    ApiError::new(Exception::S3AuthorizationMalformed, text)
}

/// 403 for a bucket that is not whose it was expected to be.
#[must_use]
pub fn access_denied() -> ApiError {
    ApiError::new(Exception::AccessDenied, "Access Denied")
}
