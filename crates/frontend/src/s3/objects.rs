//! Objects: written, read, tagged, deleted.

use dormouse_api::error::{ApiError, Exception};
use dormouse_api::s3::get::{Conditions, Found, Span, Verdict, WriteConditions, overrides, range};
use dormouse_api::s3::object::{
    DeleteRequest, Fate, ObjectFacts, attributes_answer, delete_answer,
};
use dormouse_api::s3::put::{Described, Framed, header_of};
use dormouse_api::s3::refusal::{
    invalid_range, method_not_allowed, no_such_bucket, no_such_key, no_such_version,
};
use dormouse_api::s3::{http_date, tagging as tags};
use dormouse_model::object::{Checksum, ChecksumAlgorithm, ChecksumKind, ObjectKey, Versioning};
use dormouse_store::ChangeError;
use dormouse_store::objects::{
    Attributes, Bucket, Content, NewObject, Object, PutError, Version, Wanted, Written,
};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;

use crate::outgoing::Outgoing;
use crate::s3::receiving::Received;
use crate::s3::settings::check_canned;
use crate::s3::{
    Answer, Ask, DIALECT, Sending, disk, empty, receiving, refusal, set, storage, xml,
};

/// How often an object that vanishes between its record and its file is looked up anew (ours): it was
/// replaced meanwhile. Past it: 500.
const LOOKS: usize = 8;

/// An object by its bucket and key.
pub(super) type Place<'a> = (&'a Bucket, &'a ObjectKey);

pub(super) async fn put(ask: &Ask<'_>, (bucket, key): Place<'_>, body: &mut Incoming) -> Answer {
    let described = Described::of(ask.headers())?;
    check_canned(ask, bucket, described.acl.as_deref()).await?;
    let framed = Framed::of(ask.headers(), ChecksumAlgorithm::Crc64Nvme)?;
    let Received { kept, digested } = receiving::object(ask, framed, body).await?;
    let checksum = Checksum {
        algorithm: digested.algorithm,
        kind: ChecksumKind::FullObject,
        value: digested.checksum.clone(),
    };
    let object = NewObject {
        key: key.clone(),
        etag: digested.etag(),
        attributes: attributes_of(described, Some(checksum.clone())),
        now_ms: ask.now_ms(),
        chance: ask.chance(),
    };
    let condition = write_condition(ask, key);
    let written = ask.inner.objects.put(bucket.id, object, kept, condition).await;
    let written = written.map_err(|error| refused(bucket, error))?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &format!("\"{}\"", digested.etag()));
    set_checksum(&mut response, &checksum);
    set_version(&mut response, &written);
    Ok(response)
}

/// What is kept beside an object.
pub(super) fn attributes_of(described: Described, checksum: Option<Checksum>) -> Attributes {
    let Described { headers, metadata, tags, acl } = described;
    Attributes { headers, metadata, tags, checksum, parts: Vec::new(), acl }
}

/// What a write demands of what is there.
pub(super) fn write_condition(
    ask: &Ask<'_>,
    key: &ObjectKey,
) -> impl FnOnce(Option<&Version>) -> Result<(), ApiError> + Send + 'static {
    let (conditions, key) = (WriteConditions::of(ask.headers()), key.clone());
    move |there| {
        let etag = there.and_then(|there| match &there.content {
            Content::Object(object) => Some(object.etag.as_str()),
            Content::DeleteMarker => None,
        });
        conditions.demand(key.as_str(), etag)
    }
}

/// Why nothing was written.
pub(super) fn refused(bucket: &Bucket, error: PutError<ApiError>) -> ApiError {
    match error {
        PutError::NoSuchBucket => no_such_bucket(bucket.name.as_str()),
        PutError::Refused(error) => error,
        PutError::Storage(fault) => storage(&fault),
    }
}

pub(super) fn set_version(response: &mut Response<Outgoing>, written: &Written) {
    if let Some(version) = &written.version {
        set(response, "x-amz-version-id", version);
    }
}

pub(super) fn set_checksum(response: &mut Response<Outgoing>, checksum: &Checksum) {
    set(response, &header_of(checksum.algorithm), &checksum.value);
    set(response, "x-amz-checksum-type", checksum.kind.name());
}

/// An object that is there.
pub(super) struct Hit {
    pub(super) version: String,
    pub(super) modified_ms: u64,
    pub(super) object: Object,
}

/// Why there is none, and the delete marker that says so.
pub(super) struct Miss {
    error: ApiError,
    marker: Option<String>,
}

impl From<Miss> for ApiError {
    fn from(miss: Miss) -> Self {
        miss.error
    }
}

impl From<ApiError> for Miss {
    fn from(error: ApiError) -> Self {
        Self { error, marker: None }
    }
}

/// The object that is asked for.
pub(super) async fn found(ask: &Ask<'_>, (bucket, key): Place<'_>) -> Result<Hit, Miss> {
    let asked = ask.version();
    let found = ask.inner.objects.version(bucket.id, key, asked.as_deref()).await;
    let Some(found) = found.map_err(|fault| storage(&fault))? else {
        return Err(match asked {
            Some(version) => no_such_version(key.as_str(), &version),
            None => no_such_key(key.as_str()),
        }
        .into());
    };
    let Version { version, modified_ms, content, .. } = found;
    match (content, asked) {
        (Content::Object(object), _) => Ok(Hit { version, modified_ms, object: *object }),
        (Content::DeleteMarker, None) => {
            Err(Miss { error: no_such_key(key.as_str()), marker: Some(version) })
        }
        (Content::DeleteMarker, Some(_)) => {
            let error = method_not_allowed(ask.parts.method.as_str(), "DeleteMarker");
            Err(Miss { error, marker: Some(version) })
        }
    }
}

/// `GetObject` and `HeadObject`.
pub(super) async fn get(ask: &Ask<'_>, place: Place<'_>) -> Answer {
    for _ in 0..LOOKS {
        let hit = match found(ask, place).await {
            Ok(hit) => hit,
            Err(miss) => return Ok(missed(ask, &miss)),
        };
        let judged = Found { etag: &hit.object.etag, modified_ms: hit.modified_ms };
        if Conditions::of(ask.headers(), "").judge(judged)? == Verdict::NotModified {
            let mut response = empty(StatusCode::NOT_MODIFIED);
            set_facts(&mut response, place.0, &hit);
            return Ok(response);
        }
        let span = span(ask, &hit.object)?;
        let mut response = described(ask, place.0, (&hit, span));
        if ask.parts.method == Method::HEAD {
            return Ok(response);
        }
        let file = ask.inner.objects.file(&hit.object).await.map_err(|fault| disk(&fault))?;
        if let Some(file) = file {
            let all = Span { start: 0, end: hit.object.size_bytes };
            *response.body_mut() = Outgoing::from(Sending::new(file, span.unwrap_or(all)));
            return Ok(response);
        }
    }
    Err(ApiError::internal(DIALECT))
}

fn missed(ask: &Ask<'_>, miss: &Miss) -> Response<Outgoing> {
    let mut response = refusal(&miss.error, ask.parts, ask.id);
    if let Some(marker) = &miss.marker {
        set(&mut response, "x-amz-delete-marker", "true");
        set(&mut response, "x-amz-version-id", marker);
        if miss.error.exception == Exception::S3MethodNotAllowed {
            set(&mut response, "allow", "DELETE");
        }
    }
    response
}

/// The bytes that are asked for, if not all.
fn span(ask: &Ask<'_>, object: &Object) -> Result<Option<Span>, ApiError> {
    let size_bytes = object.size_bytes;
    let Some(number) = ask.query().get("partNumber") else {
        let header = ask.headers().get("range").and_then(|value| value.to_str().ok());
        return range(header, size_bytes);
    };
    let parts = &object.attributes.parts;
    let whole = [size_bytes];
    let parts = if parts.is_empty() { whole.as_slice() } else { parts.as_slice() };
    let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let place = place.filter(|place| *place < parts.len()).ok_or_else(|| {
        let text = "The requested partnumber is not satisfiable";
        ApiError {
            exception: Exception::S3InvalidPartNumber,
            message: text.to_owned(),
            ..invalid_range(&number, size_bytes)
        }
    })?;
    let start = parts[..place].iter().sum();
    Ok(Some(Span { start, end: start + parts[place] }).filter(|span| !span.is_empty()))
}

/// Everything about an object but its bytes.
fn described(
    ask: &Ask<'_>,
    bucket: &Bucket,
    (hit, span): (&Hit, Option<Span>),
) -> Response<Outgoing> {
    let attributes = &hit.object.attributes;
    let mut response =
        empty(if span.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    set_facts(&mut response, bucket, hit);
    set(&mut response, "accept-ranges", "bytes");
    for (name, value) in &attributes.headers {
        set(&mut response, name, value);
    }
    for (name, value) in &attributes.metadata {
        set(&mut response, &format!("x-amz-meta-{name}"), value);
    }
    if !attributes.tags.is_empty() {
        set(&mut response, "x-amz-tagging-count", &attributes.tags.len().to_string());
    }
    if ask.query().get("partNumber").is_some() && !attributes.parts.is_empty() {
        set(&mut response, "x-amz-mp-parts-count", &attributes.parts.len().to_string());
    }
    let size_bytes = hit.object.size_bytes;
    if let Some(span) = span {
        set(&mut response, "content-range", &span.content_range(size_bytes));
    } else if ask
        .headers()
        .get("x-amz-checksum-mode")
        .is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"enabled"))
        && let Some(checksum) = &attributes.checksum
    {
        // Of some of the bytes the checksum would be wrong.
        set_checksum(&mut response, checksum);
    }
    let length = span.map_or(size_bytes, Span::len);
    set(&mut response, "content-length", &length.to_string());
    for (name, value) in overrides(ask.query()) {
        set(&mut response, name, &value);
    }
    response
}

fn set_facts(response: &mut Response<Outgoing>, bucket: &Bucket, hit: &Hit) {
    set(response, "etag", &format!("\"{}\"", hit.object.etag));
    set(response, "last-modified", &http_date(hit.modified_ms));
    if bucket.versioning != Versioning::Unversioned {
        set(response, "x-amz-version-id", &hit.version);
    }
}

pub(super) async fn delete(ask: &Ask<'_>, (bucket, key): Place<'_>) -> Answer {
    let wanted = Wanted { key: key.clone(), version: ask.version() };
    let (conditions, name) = (WriteConditions::of(ask.headers()), key.clone());
    let condition = move |there: Option<&Version>| {
        let etag = there.and_then(|there| match &there.content {
            Content::Object(object) => Some(object.etag.as_str()),
            Content::DeleteMarker => None,
        });
        conditions.demand(name.as_str(), etag)
    };
    let times = (ask.now_ms(), ask.chance());
    let deleted = ask.inner.objects.delete(bucket.id, wanted, times, condition).await;
    let deleted = deleted.map_err(|error| refused(bucket, error))?;
    let mut response = empty(StatusCode::NO_CONTENT);
    if deleted.is_marker {
        set(&mut response, "x-amz-delete-marker", "true");
    }
    if let Some(version) = deleted.version {
        set(&mut response, "x-amz-version-id", &version);
    }
    Ok(response)
}

pub(super) async fn delete_many(ask: &Ask<'_>, bucket: &Bucket, body: &mut Incoming) -> Answer {
    let DeleteRequest { objects, is_quiet } =
        DeleteRequest::read(&receiving::document(ask, body).await?)?;
    let wanted = objects
        .iter()
        .map(|doomed| Wanted { key: doomed.key.clone(), version: doomed.version.clone() })
        .collect();
    let deleted =
        ask.inner.objects.delete_all(bucket.id, wanted, (ask.now_ms(), ask.chance())).await;
    let deleted = deleted.map_err(|error| match error {
        ChangeError::Missing => no_such_bucket(bucket.name.as_str()),
        ChangeError::Storage(fault) => storage(&fault),
    })?;
    let fates: Vec<Fate> = objects
        .into_iter()
        .zip(deleted)
        .map(|(doomed, deleted)| Fate { doomed, outcome: Ok((deleted.version, deleted.is_marker)) })
        .collect();
    Ok(xml(delete_answer(&fates, is_quiet)))
}

pub(super) async fn attributes(ask: &Ask<'_>, place: Place<'_>) -> Answer {
    let hit = match found(ask, place).await {
        Ok(hit) => hit,
        Err(miss) => return Ok(missed(ask, &miss)),
    };
    let object = &hit.object;
    let facts = ObjectFacts {
        etag: &object.etag,
        checksum: object.attributes.checksum.as_ref(),
        parts: &object.attributes.parts,
        size_bytes: object.size_bytes,
        storage_class: storage_class(&object.attributes),
    };
    let mut response = xml(attributes_answer(ask.headers(), &facts)?);
    set(&mut response, "last-modified", &http_date(hit.modified_ms));
    if place.0.versioning != Versioning::Unversioned {
        set(&mut response, "x-amz-version-id", &hit.version);
    }
    Ok(response)
}

/// The storage class, which is kept with the headers unless it is the usual one.
pub(super) fn storage_class(attributes: &Attributes) -> &str {
    attributes.headers.get("x-amz-storage-class").map_or("STANDARD", String::as_str)
}

pub(super) async fn tagging(ask: &Ask<'_>, place: Place<'_>) -> Answer {
    let hit = match found(ask, place).await {
        Ok(hit) => hit,
        Err(miss) => return Ok(missed(ask, &miss)),
    };
    let mut response = xml(tags::document(&hit.object.attributes.tags));
    if place.0.versioning != Versioning::Unversioned {
        set(&mut response, "x-amz-version-id", &hit.version);
    }
    Ok(response)
}

/// Replaces the tags; without a body there are none any more.
pub(super) async fn set_tagging(
    ask: &Ask<'_>,
    place: Place<'_>,
    body: Option<&mut Incoming>,
) -> Answer {
    let (tags, status) = match body {
        Some(body) => (tags::of_object(&receiving::document(ask, body).await?)?, StatusCode::OK),
        None => (std::collections::BTreeMap::new(), StatusCode::NO_CONTENT),
    };
    let version = change(ask, place, move |attributes| attributes.tags = tags).await?;
    let mut response = empty(status);
    if place.0.versioning != Versioning::Unversioned {
        set(&mut response, "x-amz-version-id", &version);
    }
    Ok(response)
}

/// Changes what is kept beside an object; says of which version.
pub(super) async fn change(
    ask: &Ask<'_>,
    (bucket, key): Place<'_>,
    change: impl FnOnce(&mut Attributes) + Send + 'static,
) -> Result<String, ApiError> {
    found(ask, (bucket, key)).await?;
    let wanted = Wanted { key: key.clone(), version: ask.version() };
    let changed = ask.inner.objects.change_attributes(bucket.id, wanted, change).await;
    changed.map_err(|error| match error {
        ChangeError::Missing => no_such_key(key.as_str()),
        ChangeError::Storage(fault) => storage(&fault),
    })
}
