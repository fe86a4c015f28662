//! Buckets: made, found, listed, removed.

use dormouse_api::error::{ApiError, Exception};
use dormouse_api::s3::bucket::{self, BucketLine};
use dormouse_api::s3::refusal::{invalid_argument, no_such_bucket, not_here};
use dormouse_api::s3::{NAMESPACE, Setting};
use dormouse_model::limits;
use dormouse_model::names::Scope;
use dormouse_model::object::BucketName;
use dormouse_store::ChangeError;
use dormouse_store::objects::{Bucket, CreateBucketError, DeleteBucketError};
use http::{Response, StatusCode};
use hyper::body::Incoming;

use crate::outgoing::Outgoing;
use crate::s3::{Answer, Ask, empty, receiving, set, storage, xml};

/// The region where making a bucket that one has is no error.
const CLASSIC: &str = "us-east-1";

pub(super) async fn create(ask: &Ask<'_>, name: &BucketName, body: &mut Incoming) -> Answer {
    let body = receiving::document(ask, body).await?;
    let visitor = &ask.visitor;
    let region = bucket::location(&body, &visitor.home)?;
    let header = |name: &str| ask.headers().get(name).and_then(|value| value.to_str().ok());
    if header("x-amz-bucket-object-lock-enabled").is_some_and(|value| value == "true") {
        return Err(not_here("Object Lock"));
    }
    let ownership = header("x-amz-object-ownership").map(ownership).transpose()?;
    let acl = header("x-amz-acl").filter(|acl| *acl != "private");
    if let Some(acl) = acl {
        bucket::check_acl(acl, ownership.as_deref())?;
    }
    let scope = Scope { account: visitor.account.clone(), region };
    let made = ask.inner.objects.create_bucket(scope.clone(), name.clone(), ask.now_ms()).await;
    match made {
        Ok(()) => {}
        Err(CreateBucketError::Exists(there)) => return exists(&scope, &there),
        Err(CreateBucketError::TooMany) => {
            let text = "You have attempted to create more buckets than allowed";
            return Err(ApiError::new(Exception::S3TooManyBuckets, text));
        }
        Err(CreateBucketError::Storage(fault)) => return Err(storage(&fault)),
    }
    let made = ask.bucket_anywhere(name).await?;
    let acl = acl.map(|acl| bucket::acl(Some(acl)));
    for (setting, value) in [(Setting::OwnershipControls, ownership), (Setting::Acl, acl)] {
        if value.is_some() {
            set_setting(ask, &made, setting, value).await?;
        }
    }
    let mut response = empty(StatusCode::OK);
    set(&mut response, "location", &format!("/{name}"));
    Ok(response)
}

/// Who makes what he has is told so, but in the oldest region, where it is no error.
fn exists(asked: &Scope, there: &Bucket) -> Answer {
    if asked.region == there.scope.region && asked.region.as_str() == CLASSIC {
        let mut response = empty(StatusCode::OK);
        set(&mut response, "location", &format!("/{}", there.name));
        return Ok(response);
    }
    let text = "Your previous request to create the named bucket succeeded and you already own it.";
    Err(ApiError::new(Exception::S3BucketAlreadyOwnedByYou, text))
}

fn ownership(rule: &str) -> Result<String, ApiError> {
    if !["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"].contains(&rule) {
        return Err(invalid_argument(
            "Invalid x-amz-object-ownership header",
            "x-amz-object-ownership",
            rule,
        ));
    }
    Ok(format!(
        "<OwnershipControls xmlns=\"{NAMESPACE}\"><Rule><ObjectOwnership>{rule}</ObjectOwnership>\
         </Rule></OwnershipControls>"
    ))
}

/// Sets something for a bucket.
pub(super) async fn set_setting(
    ask: &Ask<'_>,
    bucket: &Bucket,
    setting: Setting,
    value: Option<String>,
) -> Result<(), ApiError> {
    let done = ask.inner.objects.set(bucket.id, setting.subresource(), value).await;
    done.map_err(|error| changed(bucket, &error))
}

/// Why a bucket was not changed.
pub(super) fn changed(bucket: &Bucket, error: &ChangeError) -> ApiError {
    match error {
        ChangeError::Missing => no_such_bucket(bucket.name.as_str()),
        ChangeError::Storage(fault) => storage(fault),
    }
}

pub(super) fn head(bucket: &Bucket) -> Response<Outgoing> {
    let mut response = empty(StatusCode::OK);
    set(&mut response, "x-amz-bucket-region", bucket.scope.region.as_str());
    set(&mut response, "x-amz-access-point-alias", "false");
    response
}

pub(super) fn location(bucket: &Bucket) -> Response<Outgoing> {
    xml(bucket::location_answer(&bucket.scope.region))
}

pub(super) fn versioning(bucket: &Bucket) -> Response<Outgoing> {
    xml(bucket::versioning_answer(bucket.versioning))
}

pub(super) async fn set_versioning(ask: &Ask<'_>, bucket: &Bucket, body: &mut Incoming) -> Answer {
    let wanted = bucket::versioning(&receiving::document(ask, body).await?)?;
    let done = ask.inner.objects.set_versioning(bucket.id, wanted).await;
    done.map_err(|error| changed(bucket, &error))?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn delete(ask: &Ask<'_>, bucket: &Bucket) -> Answer {
    match ask.inner.objects.delete_bucket(bucket.id).await {
        Ok(()) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(DeleteBucketError::Missing) => Err(no_such_bucket(bucket.name.as_str())),
        Err(DeleteBucketError::NotEmpty) => {
            let text = "The bucket you tried to delete is not empty";
            Err(ApiError::new(Exception::S3BucketNotEmpty, text))
        }
        Err(DeleteBucketError::Storage(fault)) => Err(storage(&fault)),
    }
}

pub(super) async fn list(ask: &Ask<'_>) -> Answer {
    let query = ask.query();
    let text = |name: &str| query.get(name).map(std::borrow::Cow::into_owned);
    let limit = match text("max-buckets") {
        None => limits::BUCKETS,
        Some(number) => match number.parse() {
            Ok(number @ 1..=limits::BUCKETS) => number,
            _ => {
                let message = "max-buckets must be an integer between 1 and 10000";
                return Err(invalid_argument(message, "max-buckets", &number));
            }
        },
    };
    let prefix = text("prefix");
    let from = (prefix.clone().unwrap_or_default(), text("continuation-token").unwrap_or_default());
    // One more than the page tells whether there is another.
    let found = ask.inner.objects.buckets(&ask.visitor.account, from, limit + 1).await;
    let mut found = found.map_err(|fault| storage(&fault))?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.name.to_string());
    let region = text("bucket-region");
    let lines: Vec<BucketLine> = found
        .into_iter()
        .filter(|bucket| {
            region.as_ref().is_none_or(|region| bucket.scope.region.as_str() == region)
        })
        .map(|bucket| BucketLine {
            name: bucket.name.to_string(),
            region: bucket.scope.region.to_string(),
            created_ms: bucket.created_ms,
        })
        .collect();
    Ok(xml(bucket::list_answer(&lines, prefix.as_deref(), next.as_deref())))
}
