//! What is set for buckets, and access control lists of objects: kept and shown.

use dormouse_api::error::ApiError;
use dormouse_api::s3::Setting;
use dormouse_api::s3::bucket::{acl, check_acl, policy_status as status_document};
use dormouse_api::s3::refusal::method_not_allowed;
use dormouse_model::object::ObjectKey;
use dormouse_store::objects::Bucket;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use hyper::body::Incoming;

use crate::s3::buckets::{changed, set_setting};
use crate::s3::objects::{change, found};
use crate::s3::{Answer, Ask, empty, receiving, set, storage, xml};

/// The header beside lifecycle rules that says which objects are too small for them.
const SMALLEST: &str = "x-amz-transition-default-minimum-object-size";
const SMALLEST_USUALLY: &str = "all_storage_classes_128K";

/// What is set for a bucket, if anything is.
pub(super) async fn value(
    ask: &Ask<'_>,
    bucket: &Bucket,
    setting: Setting,
) -> Result<Option<String>, ApiError> {
    let value = ask.inner.objects.setting(bucket.id, setting.subresource()).await;
    value.map_err(|fault| storage(&fault))
}

pub(super) async fn get(ask: &Ask<'_>, bucket: &Bucket, setting: Setting) -> Answer {
    let document = match value(ask, bucket, setting).await? {
        Some(value) => value,
        None if setting == Setting::Acl => acl(None),
        None => setting.unset(bucket.name.as_str())?,
    };
    let mut response = xml(document);
    if setting == Setting::Lifecycle {
        let smallest = ask.inner.objects.setting(bucket.id, SMALLEST).await;
        let smallest = smallest.map_err(|fault| storage(&fault))?;
        set(&mut response, SMALLEST, smallest.as_deref().unwrap_or(SMALLEST_USUALLY));
    }
    if setting == Setting::Policy {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
    Ok(response)
}

pub(super) async fn put(
    ask: &Ask<'_>,
    bucket: &Bucket,
    (setting, body): (Setting, &mut Incoming),
) -> Answer {
    let body = receiving::document(ask, body).await?;
    let kept = match canned(ask).filter(|_| setting == Setting::Acl) {
        Some(canned) => {
            check_acl(canned, value(ask, bucket, Setting::OwnershipControls).await?.as_deref())?;
            Some(acl(Some(canned)))
        }
        None => setting.kept(&body)?,
    };
    set_setting(ask, bucket, setting, kept).await?;
    let is_policy = setting == Setting::Policy || setting == Setting::Tagging;
    let mut response = empty(if is_policy { StatusCode::NO_CONTENT } else { StatusCode::OK });
    if setting == Setting::Lifecycle {
        let smallest = ask.headers().get(SMALLEST).and_then(|value| value.to_str().ok());
        set(&mut response, SMALLEST, smallest.unwrap_or(SMALLEST_USUALLY));
        let kept = ask.inner.objects.set(bucket.id, SMALLEST, smallest.map(str::to_owned)).await;
        kept.map_err(|error| changed(bucket, &error))?;
    }
    Ok(response)
}

pub(super) async fn delete(ask: &Ask<'_>, bucket: &Bucket, setting: Setting) -> Answer {
    if !setting.is_removable() {
        return Err(method_not_allowed("DELETE", "BUCKET"));
    }
    set_setting(ask, bucket, setting, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn policy_status(ask: &Ask<'_>, bucket: &Bucket) -> Answer {
    match value(ask, bucket, Setting::Policy).await? {
        Some(_) => Ok(xml(status_document())),
        None => Setting::Policy.unset(bucket.name.as_str()).map(xml),
    }
}

/// The canned list that a header names.
fn canned<'a>(ask: &'a Ask<'_>) -> Option<&'a str> {
    ask.headers().get("x-amz-acl").and_then(|value| value.to_str().ok())
}

/// Whether a bucket lets objects have this canned list.
pub(super) async fn check_canned(
    ask: &Ask<'_>,
    bucket: &Bucket,
    canned: Option<&str>,
) -> Result<(), ApiError> {
    match canned {
        Some(canned) => {
            let ownership = value(ask, bucket, Setting::OwnershipControls).await?;
            check_acl(canned, ownership.as_deref())
        }
        None => Ok(()),
    }
}

pub(super) async fn object_acl(ask: &Ask<'_>, (bucket, key): (&Bucket, &ObjectKey)) -> Answer {
    let hit = found(ask, (bucket, key)).await?;
    Ok(xml(match hit.object.attributes.acl {
        Some(document) if document.starts_with('<') => document,
        canned => acl(canned.as_deref()),
    }))
}

pub(super) async fn set_object_acl(
    ask: &Ask<'_>,
    (bucket, key): (&Bucket, &ObjectKey),
    body: &mut Incoming,
) -> Answer {
    let body = receiving::document(ask, body).await?;
    let kept = match canned(ask) {
        Some(canned) => Some(canned.to_owned()),
        None => Setting::Acl.kept(&body)?,
    };
    let open = kept.as_deref().map(|kept| if kept.starts_with('<') { "public-read" } else { kept });
    check_canned(ask, bucket, open).await?;
    change(ask, (bucket, key), move |attributes| attributes.acl = kept).await?;
    Ok(empty(StatusCode::OK))
}
