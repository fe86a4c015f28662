//! Uploads in parts.

use dormouse_api::error::ApiError;
use dormouse_api::query::QueryString;
use dormouse_api::s3::put::{Described, Framed, header_of};
use dormouse_api::s3::refusal::{invalid_request, no_such_bucket, no_such_upload};
use dormouse_api::s3::upload::{
    CompleteRequest, PartFacts, PartsPage, Whole, completed, created, parts_answer, parts_asked,
    place, plan,
};
use dormouse_model::limits;
use dormouse_model::object::{ChecksumAlgorithm, ObjectKey};
use dormouse_store::ChangeError;
use dormouse_store::objects::{
    Attributes, Bucket, CompleteError, Kept, NewObject, Part, Plan, Upload, UploadKey, WantedPart,
};
use http::StatusCode;
use hyper::body::Incoming;

use crate::s3::objects::{Place, attributes_of, refused, set_version, write_condition};
use crate::s3::receiving::{Received, blocking};
use crate::s3::settings::check_canned;
use crate::s3::{Answer, Ask, disk, empty, receiving, set, storage, xml};

pub(super) async fn create(ask: &Ask<'_>, (bucket, key): Place<'_>) -> Answer {
    let described = Described::of(ask.headers())?;
    check_canned(ask, bucket, described.acl.as_deref()).await?;
    let (algorithm, kind, is_asked) = plan(ask.headers())?;
    let created_ms = ask.now_ms();
    // Uploads of a key are listed from the oldest, so the id begins with the time.
    let id = format!("{created_ms:012x}{:032x}", ask.inner.chance.bits());
    let upload = Upload {
        key: UploadKey { key: key.clone(), id: id.clone() },
        created_ms,
        plan: Plan { attributes: attributes_of(described, None), algorithm, kind, is_asked },
    };
    let done = ask.inner.objects.create_upload(bucket.id, upload).await;
    done.map_err(|error| match error {
        ChangeError::Missing => no_such_bucket(bucket.name.as_str()),
        ChangeError::Storage(fault) => storage(&fault),
    })?;
    let mut response = xml(created(bucket.name.as_str(), key.as_str(), &id));
    if is_asked {
        set(&mut response, "x-amz-checksum-algorithm", algorithm.name());
        set(&mut response, "x-amz-checksum-type", kind.name());
    }
    Ok(response)
}

/// The upload that is asked for, with so many of its parts behind a number.
pub(super) async fn upload(
    ask: &Ask<'_>,
    bucket: &Bucket,
    key: &UploadKey,
    page: (u32, usize),
) -> Result<(Upload, Vec<Part>), ApiError> {
    let found = ask.inner.objects.upload(bucket.id, key, page).await;
    found.map_err(|error| gone(key, error))
}

/// Why an upload is not there.
pub(super) fn gone(key: &UploadKey, error: ChangeError) -> ApiError {
    match error {
        ChangeError::Missing => no_such_upload(&key.id),
        ChangeError::Storage(fault) => storage(&fault),
    }
}

pub(super) async fn put_part(
    ask: &Ask<'_>,
    (bucket, key): Place<'_>,
    body: &mut Incoming,
) -> Answer {
    let (number, id) = place(ask.query())?;
    let key = UploadKey { key: key.clone(), id };
    let (upload, _) = upload(ask, bucket, &key, (0, 0)).await?;
    let algorithm = upload.plan.algorithm;
    let framed = Framed::of(ask.headers(), algorithm)?;
    if framed.algorithm != algorithm && upload.plan.is_asked {
        return Err(wrong_algorithm(framed.algorithm, algorithm));
    }
    let framed_as = framed.algorithm;
    let Received { kept, digested } = receiving::object(ask, framed, body).await?;
    let (etag, said) = (digested.etag(), digested.checksum.clone());
    // Who did not choose for the whole may choose for a part; the whole goes on by its own.
    let (kept, checksum) =
        if framed_as == algorithm { (kept, said.clone()) } else { summed(kept, algorithm).await? };
    write_part(ask, (bucket, key), (number, etag.clone(), checksum), kept).await?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &format!("\"{etag}\""));
    set(&mut response, &header_of(framed_as), &said);
    Ok(response)
}

fn wrong_algorithm(part: ChecksumAlgorithm, whole: ChecksumAlgorithm) -> ApiError {
    invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        whole.name().to_lowercase(),
        part.name().to_lowercase()
    ))
}

/// Writes a part that is on disk.
pub(super) async fn write_part(
    ask: &Ask<'_>,
    (bucket, key): (&Bucket, UploadKey),
    (number, etag, checksum): (u32, String, String),
    kept: Kept,
) -> Result<(), ApiError> {
    let part = WantedPart { number, etag, checksum, now_ms: ask.now_ms() };
    let done = ask.inner.objects.put_part(bucket.id, key.clone(), part, kept).await;
    done.map_err(|error| gone(&key, error))
}

/// The checksum of bytes that are on disk.
async fn summed(kept: Kept, algorithm: ChecksumAlgorithm) -> Result<(Kept, String), ApiError> {
    blocking(move || {
        let mut file = kept.open().map_err(|fault| disk(&fault))?;
        let digested = crate::s3::copies::digest(&mut file, algorithm, u64::MAX)?;
        Ok((kept, digested.checksum))
    })
    .await
}

pub(super) async fn parts(ask: &Ask<'_>, (bucket, key): Place<'_>) -> Answer {
    let key = asked(ask.query(), key);
    let (after, limit) = parts_asked(ask.query())?;
    // One more than the page tells whether there is another.
    let (upload, mut parts) = upload(ask, bucket, &key, (after, limit + 1)).await?;
    let has_more = parts.len() > limit;
    parts.truncate(limit);
    let parts: Vec<PartFacts> = parts.iter().map(facts).collect();
    let plan = &upload.plan;
    Ok(xml(parts_answer(&PartsPage {
        bucket: bucket.name.as_str(),
        key: key.key.as_str(),
        id: &key.id,
        checksum: plan.is_asked.then_some((plan.algorithm, plan.kind)),
        asked: (after, limit),
        parts: &parts,
        has_more,
    })))
}

/// The upload that the query string names.
fn asked(query: QueryString<'_>, key: &ObjectKey) -> UploadKey {
    UploadKey { key: key.clone(), id: query.get("uploadId").unwrap_or_default().into_owned() }
}

fn facts(part: &Part) -> PartFacts {
    PartFacts {
        number: part.number,
        size_bytes: part.size_bytes,
        etag: part.etag.clone(),
        checksum: part.checksum.clone(),
        modified_ms: part.modified_ms,
    }
}

pub(super) async fn complete(
    ask: &Ask<'_>,
    (bucket, key): Place<'_>,
    body: &mut Incoming,
) -> Answer {
    let key = asked(ask.query(), key);
    // The checksum beside this document is that of the object.
    let body = receiving::unchecked(body).await?;
    let request = CompleteRequest::read(&body)?;
    let all = (0, limits::OBJECT_PAGE * 10);
    let (upload, there) = upload(ask, bucket, &key, all).await?;
    let (algorithm, kind) = (upload.plan.algorithm, upload.plan.kind);
    let known: Vec<PartFacts> = there.iter().map(facts).collect();
    let chosen = request.chosen(&known, (algorithm, upload.plan.is_asked))?;
    let facts: Vec<PartFacts> = chosen.iter().map(|place| known[*place].clone()).collect();
    let parts: Vec<Part> = chosen.iter().map(|place| there[*place].clone()).collect();
    let whole = Whole::of(&facts, algorithm, kind);
    whole.check(ask.headers())?;
    let staged = ask.inner.objects.assemble(&parts).await.map_err(|fault| disk(&fault))?;
    let kept = blocking(move || staged.keep().map_err(|fault| disk(&fault))).await?;
    let attributes = Attributes {
        checksum: whole.checksum.clone(),
        parts: whole.sizes.clone(),
        ..upload.plan.attributes
    };
    let object = NewObject {
        key: key.key.clone(),
        etag: whole.etag.clone(),
        attributes,
        now_ms: ask.now_ms(),
        chance: ask.chance(),
    };
    let condition = write_condition(ask, &key.key);
    let of = (bucket.id, key.clone());
    let written = ask.inner.objects.complete(of, parts, (object, kept), condition).await;
    let written = written.map_err(|error| match error {
        CompleteError::Changed => no_such_upload(&key.id),
        CompleteError::Put(error) => refused(bucket, error),
    })?;
    let name = key.key.as_str();
    let location = format!("http://{}/{}/{name}", ask.host(), bucket.name);
    let mut response = xml(completed(&location, (bucket.name.as_str(), name), &whole));
    set_version(&mut response, &written);
    Ok(response)
}

pub(super) async fn abort(ask: &Ask<'_>, (bucket, key): Place<'_>) -> Answer {
    let key = asked(ask.query(), key);
    let done = ask.inner.objects.abort_upload(bucket.id, key.clone()).await;
    done.map_err(|error| gone(&key, error))?;
    Ok(empty(StatusCode::NO_CONTENT))
}
