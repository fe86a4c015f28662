//! What a request asks S3 for: the operation, the bucket by host or path, and the key.

use dormouse_model::object::{BucketName, ObjectKey};
use http::header::HOST;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::s3::host::Host;
use crate::s3::operation::{About, Operation};
use crate::s3::refusal::{invalid_bucket_name, method_not_allowed};

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is to be done.
    pub operation: Operation,
    /// To what.
    pub target: Target,
}

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All buckets.
    Service,
    /// A bucket.
    Bucket(BucketName),
    /// An object.
    Object(BucketName, ObjectKey),
}

/// Reads what a request asks for.
///
/// # Errors
/// When S3 has nothing such, or bucket or key cannot be one.
pub fn call(parts: &Parts) -> Result<Call, ApiError> {
    let target = target(parts)?;
    let (about, resource) = match &target {
        Target::Service => (About::Service, "SERVICE"),
        Target::Bucket(_) => (About::Bucket, "BUCKET"),
        Target::Object(..) => (About::Object, "OBJECT"),
    };
    let query = QueryString::of(&parts.uri);
    let copies = parts.headers.contains_key("x-amz-copy-source");
    let asks = |name: &str| query.get(name).is_some();
    let operation = Operation::of(about, &parts.method, &asks, copies);
    let operation = operation.ok_or_else(|| method_not_allowed(parts.method.as_str(), resource))?;
    Ok(Call { operation, target })
}

/// Whether a host names S3 or a bucket.
pub(crate) fn is_host_of_s3(parts: &Parts) -> bool {
    host(parts).is_some_and(|host| Host::of(host).says_s3())
}

/// The bucket a path may be about, for who did not say that it is S3.
#[must_use]
pub fn bucket_of_path(path: &str) -> Option<BucketName> {
    path.strip_prefix('/')?.split('/').next()?.parse().ok()
}

fn host(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
}

fn target(parts: &Parts) -> Result<Target, ApiError> {
    let path = parts.uri.path().strip_prefix('/').unwrap_or_default();
    let (bucket, key) = match host(parts).map_or(Host::Silent, Host::of) {
        Host::Bucket(bucket) | Host::Perhaps(bucket) => (bucket, path),
        Host::S3 | Host::Silent => path.split_once('/').unwrap_or((path, "")),
    };
    if bucket.is_empty() {
        return Ok(Target::Service);
    }
    let bucket = decoded(bucket)?;
    let name: BucketName = bucket.parse().map_err(|_| invalid_bucket_name(&bucket))?;
    if key.is_empty() {
        return Ok(Target::Bucket(name));
    }
    Ok(Target::Object(name, self::key(&decoded(key)?)?))
}

/// A key.
///
/// # Errors
/// When it is too long.
pub(crate) fn key(text: &str) -> Result<ObjectKey, ApiError> {
    text.parse().map_err(|_| {
        let elements = vec![
            ("Size", text.len().to_string()),
            ("MaxSizeAllowed", dormouse_model::limits::OBJECT_KEY_BYTES.to_string()),
        ];
        let detail = crate::error::Detail::Elements(elements);
        let message = "Your key is too long".to_owned();
        ApiError { exception: Exception::S3KeyTooLong, message, detail }
    })
}

fn decoded(text: &str) -> Result<String, ApiError> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text
        .map_err(|_| ApiError::new(Exception::S3InvalidUri, "Couldn't parse the specified URI."))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn of(method: &str, uri: &str, host: &str) -> Result<Call, ApiError> {
        let builder = Request::builder().method(method).uri(uri).header("host", host);
        call(&builder.body(()).unwrap().into_parts().0)
    }

    fn check(request: &str, host: &str, expected: &str) {
        let (method, uri) = request.split_once(' ').unwrap();
        let shown = match of(method, uri, host) {
            Ok(Call { operation, target }) => match target {
                Target::Service => format!("{operation:?}"),
                Target::Bucket(bucket) => format!("{operation:?} {bucket}"),
                Target::Object(bucket, key) => format!("{operation:?} {bucket} {key}"),
            },
            Err(error) => error.exception.facts().query_code.to_owned(),
        };
        assert_eq!(shown, expected, "{request} at {host}");
    }

    #[test]
    fn path_and_host_say_bucket_and_key() {
        let here = "127.0.0.1:9000";
        check("GET /", here, "ListBuckets");
        check("GET /?x-id=ListBuckets", here, "ListBuckets");
        check("PUT /bucket", here, "CreateBucket bucket");
        check("PUT /bucket/", here, "CreateBucket bucket");
        check("HEAD /bucket", here, "HeadBucket bucket");
        check("GET /bucket/?list-type=2&prefix=a", here, "ListObjectsV2 bucket");
        check("GET /bucket?versions", here, "ListObjectVersions bucket");
        check("POST /bucket?delete", here, "DeleteObjects bucket");
        check("GET /bucket?policy", here, "GetSetting(Policy) bucket");
        check("DELETE /bucket?tagging", here, "DeleteSetting(Tagging) bucket");
        check(
            "PUT /bucket?inventory&id=x",
            here,
            "NotHere(\"PutBucketInventoryConfiguration\") bucket",
        );
        check("GET /bucket/a%2Fb//c%20d", here, "GetObject bucket a/b//c d");
        check("PUT /bucket//x?partNumber=1&uploadId=u", here, "UploadPart bucket /x");
        check("POST /bucket/k?uploads", here, "CreateMultipartUpload bucket k");
        check("GET /k?tagging", "bucket.s3.localhost:9000", "GetObjectTagging bucket k");
        check("GET /", "bucket.s3.localhost:9000", "ListObjects bucket");
        check("GET /bucket/k", "s3.localhost:9000", "GetObject bucket k");
        check("GET /a/b", "bucket.127.0.0.1:9000", "GetObject bucket a/b");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let here = "127.0.0.1";
        check("GET /Bucket_/k", here, "InvalidBucketName");
        check("GET /ab", here, "InvalidBucketName");
        check("GET /bucket/%ff", here, "InvalidURI");
        check(&format!("GET /bucket/{}", "k".repeat(1_025)), here, "KeyTooLongError");
        check("PATCH /bucket/k", here, "MethodNotAllowed");
        check("DELETE /", here, "MethodNotAllowed");
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/[!-~&&[^#?]]{0,60}", query in "[!-~&&[^#?]]{0,40}", host in "[a-z.:0-9]{0,30}") {
            let request = Request::builder().uri(format!("{path}?{query}")).header("host", host);
            if let Ok(request) = request.body(()) {
                let _ = call(&request.into_parts().0);
            }
        }
    }
}
