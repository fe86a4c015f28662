//! S3: buckets and objects, on the objects of the store.
//!
//! Bodies pass in pieces: the client waits for the disk and the disk for the client, and what blocks
//! has threads of its own. Buckets are told apart by account; one in another region is there, and who
//! asks for it is sent to that region.

mod buckets;
mod copies;
mod lists;
mod objects;
mod receiving;
mod sending;
mod settings;
mod uploads;
mod visitor;

use bytes::Bytes;
use dormouse_api::error::{ApiError, Detail, Exception, Fault};
use dormouse_api::query::QueryString;
use dormouse_api::s3::refusal::{access_denied, no_such_bucket, not_here, permanent_redirect};
use dormouse_api::s3::{Call, Operation, Target, bucket_of_path};
use dormouse_api::service::{Dialect, Protocol, Service};
use dormouse_model::names::RequestId;
use dormouse_model::object::{BucketName, ObjectKey};
use dormouse_store::StorageError;
use dormouse_store::objects::Bucket;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::Incoming;
use tracing::{error, warn};

use crate::context::Inner;
use crate::outgoing::Outgoing;
use crate::s3::visitor::Visitor;

pub(crate) use sending::Sending;

const DIALECT: Dialect = Dialect { service: Some(Service::S3), protocol: Protocol::RestXml };

/// What an operation is answered with.
type Answer = Result<Response<Outgoing>, ApiError>;

/// A call with all that answers it, but for the body.
struct Ask<'a> {
    inner: &'a Inner,
    visitor: Visitor,
    parts: &'a Parts,
    id: &'a RequestId,
}

/// Answers a call.
pub(crate) async fn answer(
    inner: &Inner,
    call: &Call,
    (parts, mut body): (&Parts, Incoming),
    id: &RequestId,
) -> Response<Outgoing> {
    let now_ms = inner.clock.wall_ms();
    let answered = match Visitor::of(parts, &inner.home, now_ms) {
        Ok(visitor) => operate(&Ask { inner, visitor, parts, id }, call, &mut body).await,
        Err(error) => Err(error),
    };
    let has_passed = receiving::let_pass(parts, &mut body).await;
    let mut response = answered.unwrap_or_else(|error| refusal(&error, parts, id));
    let headers = response.headers_mut();
    if !has_passed {
        // Told beforehand, or a client may send its next request to a connection that is being closed.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert("x-amz-request-id", id);
    }
    headers.insert("x-amz-id-2", HeaderValue::from_static("dormouse"));
    response
}

/// Whether a request that names no service is for a bucket that is there: then an unsigned path is a
/// bucket and a key. Where there is no such bucket nobody is asked, so that a request for something
/// else is never answered by S3.
pub(crate) async fn is_for_a_bucket(inner: &Inner, parts: &Parts) -> bool {
    let Some(name) = bucket_of_path(parts.uri.path()) else {
        return false;
    };
    match inner.objects.bucket(&inner.home.account, &name).await {
        Ok(found) => found.is_some(),
        Err(fault) => {
            warn!(error = %fault, "bucket not read");
            false
        }
    }
}

/// A refusal in S3's shape.
pub(crate) fn refusal(error: &ApiError, parts: &Parts, id: &RequestId) -> Response<Outgoing> {
    if error.fault() == Fault::Platform {
        warn!(request_id = %id, %error, "platform fault");
    }
    let mut response = error.answer(DIALECT, id).map(Outgoing::from);
    if parts.method == Method::HEAD {
        *response.body_mut() = Outgoing::from(Bytes::new());
    }
    if let (Exception::S3PermanentRedirect, Detail::Elements(elements)) =
        (error.exception, &error.detail)
    {
        let region = elements.iter().find(|(name, _)| *name == "Region");
        if let Some(region) = region.and_then(|(_, region)| region.parse().ok()) {
            response.headers_mut().insert("x-amz-bucket-region", region);
        }
    }
    response
}

async fn operate(ask: &Ask<'_>, call: &Call, body: &mut Incoming) -> Answer {
    match (&call.target, call.operation) {
        (_, Operation::NotHere(name)) => Err(not_here(name)),
        (_, Operation::Preflight) => {
            let text = "CORSResponse: CORS is not enabled for this bucket.";
            Err(ApiError::new(Exception::S3AccessForbidden, text))
        }
        (Target::Service, _) => buckets::list(ask).await,
        (Target::Bucket(name), Operation::CreateBucket) => buckets::create(ask, name, body).await,
        (Target::Bucket(name), operation) => {
            let bucket = ask.bucket(name).await?;
            of_bucket(ask, &bucket, (operation, body)).await
        }
        (Target::Object(name, key), operation) => {
            let bucket = ask.bucket(name).await?;
            of_object(ask, (&bucket, key), (operation, body)).await
        }
    }
}

async fn of_bucket(
    ask: &Ask<'_>,
    bucket: &Bucket,
    (operation, body): (Operation, &mut Incoming),
) -> Answer {
    match operation {
        Operation::HeadBucket => Ok(buckets::head(bucket)),
        Operation::DeleteBucket => buckets::delete(ask, bucket).await,
        Operation::GetBucketLocation => Ok(buckets::location(bucket)),
        Operation::GetBucketVersioning => Ok(buckets::versioning(bucket)),
        Operation::PutBucketVersioning => buckets::set_versioning(ask, bucket, body).await,
        Operation::GetBucketPolicyStatus => settings::policy_status(ask, bucket).await,
        Operation::GetSetting(setting) => settings::get(ask, bucket, setting).await,
        Operation::PutSetting(setting) => settings::put(ask, bucket, (setting, body)).await,
        Operation::DeleteSetting(setting) => settings::delete(ask, bucket, setting).await,
        Operation::ListObjects => lists::objects(ask, bucket).await,
        Operation::ListObjectsV2 => lists::objects_v2(ask, bucket).await,
        Operation::ListObjectVersions => lists::versions(ask, bucket).await,
        Operation::ListMultipartUploads => lists::uploads(ask, bucket).await,
        Operation::DeleteObjects => objects::delete_many(ask, bucket, body).await,
        _ => Err(ApiError::unknown_operation(DIALECT)),
    }
}

async fn of_object(
    ask: &Ask<'_>,
    (bucket, key): (&Bucket, &ObjectKey),
    (operation, body): (Operation, &mut Incoming),
) -> Answer {
    let of = (bucket, key);
    match operation {
        Operation::PutObject => objects::put(ask, of, body).await,
        Operation::GetObject | Operation::HeadObject => objects::get(ask, of).await,
        Operation::DeleteObject => objects::delete(ask, of).await,
        Operation::GetObjectAttributes => objects::attributes(ask, of).await,
        Operation::GetObjectTagging => objects::tagging(ask, of).await,
        Operation::PutObjectTagging => objects::set_tagging(ask, of, Some(body)).await,
        Operation::DeleteObjectTagging => objects::set_tagging(ask, of, None).await,
        Operation::GetObjectAcl => settings::object_acl(ask, of).await,
        Operation::PutObjectAcl => settings::set_object_acl(ask, of, body).await,
        Operation::CopyObject => copies::copy(ask, of).await,
        Operation::CreateMultipartUpload => uploads::create(ask, of).await,
        Operation::UploadPart => uploads::put_part(ask, of, body).await,
        Operation::UploadPartCopy => copies::copy_part(ask, of).await,
        Operation::ListParts => uploads::parts(ask, of).await,
        Operation::CompleteMultipartUpload => uploads::complete(ask, of, body).await,
        Operation::AbortMultipartUpload => uploads::abort(ask, of).await,
        _ => Err(ApiError::unknown_operation(DIALECT)),
    }
}

impl Ask<'_> {
    /// A bucket of the caller's account, in the region that is asked.
    async fn bucket(&self, name: &BucketName) -> Result<Bucket, ApiError> {
        let bucket = self.bucket_anywhere(name).await?;
        self.expect_owner("x-amz-expected-bucket-owner")?;
        match &self.visitor.region {
            Some(region) if *region != bucket.scope.region => {
                let mut error = permanent_redirect(name.as_str(), self.host());
                if let Detail::Elements(elements) = &mut error.detail {
                    elements.push(("Region", bucket.scope.region.to_string()));
                }
                Err(error)
            }
            _ => Ok(bucket),
        }
    }

    /// Callers may say whose a bucket must be; what they reach is their account's.
    fn expect_owner(&self, header: &str) -> Result<(), ApiError> {
        match self.headers().get(header) {
            Some(owner) if owner.as_bytes() != self.visitor.account.as_str().as_bytes() => {
                Err(access_denied())
            }
            _ => Ok(()),
        }
    }

    /// A bucket of the caller's account, in any region.
    async fn bucket_anywhere(&self, name: &BucketName) -> Result<Bucket, ApiError> {
        let found = self.inner.objects.bucket(&self.visitor.account, name).await;
        found.map_err(|fault| storage(&fault))?.ok_or_else(|| no_such_bucket(name.as_str()))
    }

    fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    fn query(&self) -> QueryString<'_> {
        QueryString::of(&self.parts.uri)
    }

    /// The version that is named.
    fn version(&self) -> Option<String> {
        let version = self.query().get("versionId").filter(|version| !version.is_empty());
        version.map(std::borrow::Cow::into_owned)
    }

    /// The address under which the caller knows us.
    fn host(&self) -> &str {
        self.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost")
    }

    fn now_ms(&self) -> u64 {
        self.inner.clock.wall_ms()
    }

    fn chance(&self) -> u64 {
        let [chance, ..] = split(self.inner.chance.bits());
        chance
    }
}

fn split(bits: u128) -> [u64; 2] {
    let bytes = bits.to_be_bytes();
    let (high, low) = bytes.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    [number(high), number(low)]
}

/// A storage fault is ours: the caller learns that it is, the log why.
fn storage(fault: &StorageError) -> ApiError {
    error!(error = %fault, "store");
    ApiError::internal(DIALECT)
}

/// So is a fault of the disk.
fn disk(fault: &std::io::Error) -> ApiError {
    error!(error = %fault, "object's file");
    ApiError::internal(DIALECT)
}

/// An answer with a document.
fn xml(document: String) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::from(Bytes::from(document)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// An answer with nothing in it.
fn empty(status: StatusCode) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::from(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Sets a header, unless its value cannot be one.
fn set(response: &mut Response<Outgoing>, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
        response.headers_mut().insert(name, value);
    }
}
