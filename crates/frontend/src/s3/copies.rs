//! Copies of objects, and of some of their bytes as parts.
//!
//! A copy of a whole object is a second name for its bytes, which nobody changes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use dormouse_api::error::ApiError;
use dormouse_api::s3::checksum::{Digested, Digests};
use dormouse_api::s3::get::{Conditions, Found, range};
use dormouse_api::s3::object::{CopySource, copy_answer};
use dormouse_api::s3::put::Described;
use dormouse_api::s3::refusal::{
    invalid_argument, invalid_request, method_not_allowed, no_such_key, no_such_version,
};
use dormouse_api::s3::upload::place;
use dormouse_model::limits;
use dormouse_model::object::{Checksum, ChecksumAlgorithm, ChecksumKind, Versioning};
use dormouse_store::objects::{
    Attributes, Kept, NewObject, OpenObjectError, OpenedObject, UploadKey,
};

use crate::s3::objects::{Place, attributes_of, refused, set_version, write_condition};
use crate::s3::receiving::blocking;
use crate::s3::settings::check_canned;
use crate::s3::uploads::{upload, write_part};
use crate::s3::{Answer, Ask, disk, set, storage, xml};

/// What is copied, and whether its bucket tells versions.
struct Source {
    opened: OpenedObject,
    source: CopySource,
    has_versions: bool,
}

async fn source(ask: &Ask<'_>) -> Result<Source, ApiError> {
    let source = CopySource::of(ask.headers())?;
    let bucket = ask.bucket_anywhere(&source.bucket).await?;
    ask.expect_owner("x-amz-source-expected-bucket-owner")?;
    let version = source.version.as_deref();
    let opened = ask.inner.objects.open_version(bucket.id, &source.key, version).await;
    let opened = opened.map_err(|error| match error {
        OpenObjectError::NoSuchVersion => {
            no_such_version(source.key.as_str(), version.unwrap_or_default())
        }
        OpenObjectError::DeleteMarker => method_not_allowed("GET", "DeleteMarker"),
        OpenObjectError::Storage(fault) => storage(&fault),
        OpenObjectError::Unreadable(fault) => disk(&fault),
        OpenObjectError::NoSuchKey
        | OpenObjectError::NoSuchBucket
        | OpenObjectError::OtherRegion { .. } => no_such_key(source.key.as_str()),
    })?;
    let found = Found { etag: &opened.object.etag, modified_ms: opened.modified_ms };
    Conditions::of(ask.headers(), "x-amz-copy-source-").demand(found)?;
    let has_versions = bucket.versioning != Versioning::Unversioned;
    Ok(Source { opened, source, has_versions })
}

/// Whether something is taken from the request instead of the source.
fn replaces(ask: &Ask<'_>, directive: &str) -> Result<bool, ApiError> {
    match ask.headers().get(directive).map(|value| value.as_bytes()) {
        None | Some(b"COPY") => Ok(false),
        Some(b"REPLACE") => Ok(true),
        Some(_) => Err(invalid_argument(format!("Unknown {directive}."), directive, "")),
    }
}

pub(super) async fn copy(ask: &Ask<'_>, (bucket, key): Place<'_>) -> Answer {
    let Source { opened, source, has_versions } = source(ask).await?;
    let described = Described::of(ask.headers())?;
    check_canned(ask, bucket, described.acl.as_deref()).await?;
    let replaces_metadata = replaces(ask, "x-amz-metadata-directive")?;
    let replaces_tags = replaces(ask, "x-amz-tagging-directive")?;
    let changes = replaces_metadata
        || replaces_tags
        || ask.headers().contains_key("x-amz-storage-class")
        || source.version.is_some();
    if source.bucket == bucket.name && source.key == *key && !changes {
        return Err(invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing \
             the object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    if opened.object.size_bytes > limits::OBJECT_PUT_BYTES {
        return Err(too_large());
    }
    let kept = ask.inner.objects.again(&opened.object).await.map_err(|fault| disk(&fault))?;
    let (kept, etag, checksum) = sums(ask, &opened, kept).await?;
    let before = &opened.object.attributes;
    let new = attributes_of(described, None);
    let (headers, metadata) = if replaces_metadata {
        (new.headers, new.metadata)
    } else {
        let mut headers = before.headers.clone();
        // The class is the copy's own.
        headers.remove("x-amz-storage-class");
        headers.extend(new.headers.into_iter().filter(|(name, _)| name == "x-amz-storage-class"));
        (headers, before.metadata.clone())
    };
    let tags = if replaces_tags { new.tags } else { before.tags.clone() };
    let checksum = Some(checksum);
    let attributes = Attributes {
        headers,
        metadata,
        tags,
        checksum: checksum.clone(),
        acl: new.acl,
        parts: Vec::new(),
    };
    let now_ms = ask.now_ms();
    let object = NewObject {
        key: key.clone(),
        etag: etag.clone(),
        attributes,
        now_ms,
        chance: ask.chance(),
    };
    let written = ask.inner.objects.put(bucket.id, object, kept, write_condition(ask, key)).await;
    let written = written.map_err(|error| refused(bucket, error))?;
    let mut response = xml(copy_answer("CopyObjectResult", &etag, now_ms, checksum.as_ref()));
    set_version(&mut response, &written);
    if has_versions {
        set(&mut response, "x-amz-copy-source-version-id", &opened.version);
    }
    Ok(response)
}

fn too_large() -> ApiError {
    invalid_request(format!(
        "The specified copy source is larger than the maximum allowable size for a copy source: {}",
        limits::OBJECT_PUT_BYTES
    ))
}

/// Entity tag and checksum of a copy: those of the source, unless they are of its parts or another
/// checksum is asked for.
async fn sums(
    ask: &Ask<'_>,
    opened: &OpenedObject,
    kept: Kept,
) -> Result<(Kept, String, Checksum), ApiError> {
    let asked = ask.headers().get("x-amz-checksum-algorithm").and_then(|name| name.to_str().ok());
    let asked = asked.and_then(ChecksumAlgorithm::of_name);
    let before = opened.object.attributes.checksum.as_ref();
    let whole = before.filter(|checksum| {
        checksum.kind == ChecksumKind::FullObject
            && asked.is_none_or(|asked| asked == checksum.algorithm)
            && opened.object.attributes.parts.is_empty()
    });
    if let Some(checksum) = whole {
        return Ok((kept, opened.object.etag.clone(), checksum.clone()));
    }
    let algorithm = asked.or(before.map(|checksum| checksum.algorithm));
    let algorithm = algorithm.unwrap_or(ChecksumAlgorithm::Crc64Nvme);
    blocking(move || {
        let mut file = kept.open().map_err(|fault| disk(&fault))?;
        let digested = digest(&mut file, algorithm, u64::MAX)?;
        let kind = ChecksumKind::FullObject;
        let checksum = Checksum { algorithm, kind, value: digested.checksum.clone() };
        Ok((kept, digested.etag(), checksum))
    })
    .await
}

/// What the next bytes of a file add up to. Blocks.
pub(super) fn digest(
    file: &mut File,
    algorithm: ChecksumAlgorithm,
    bytes: u64,
) -> Result<Digested, ApiError> {
    let mut digests = Digests::new(algorithm, false);
    pass(file, bytes, |piece| {
        digests.update(piece);
        Ok(())
    })
    .map_err(|fault| disk(&fault))?;
    Ok(digests.finish())
}

/// Hands out the next bytes of a file in pieces.
fn pass(
    file: &mut File,
    bytes: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; limits::OBJECT_PIECE_BYTES];
    let mut source = file.take(bytes);
    loop {
        match source.read(&mut piece)? {
            0 => return Ok(()),
            read => take(&piece[..read])?,
        }
    }
}

pub(super) async fn copy_part(ask: &Ask<'_>, (bucket, key): Place<'_>) -> Answer {
    let (number, id) = place(ask.query())?;
    let key = UploadKey { key: key.clone(), id };
    let (upload, _) = upload(ask, bucket, &key, (0, 0)).await?;
    let Source { opened, .. } = source(ask).await?;
    let size_bytes = opened.object.size_bytes;
    let header = ask.headers().get("x-amz-copy-source-range").and_then(|value| value.to_str().ok());
    let span = range(header, size_bytes).ok().flatten();
    let invalid = || {
        let text = "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
                    and last are the zero-based offsets of the first and last bytes to copy";
        invalid_argument(text, "x-amz-copy-source-range", header.unwrap_or_default())
    };
    let (start, bytes) = match (header, span) {
        (None, _) => (0, size_bytes),
        (Some(_), Some(span)) => (span.start, span.len()),
        (Some(_), None) => return Err(invalid()),
    };
    if bytes > limits::OBJECT_PUT_BYTES {
        return Err(too_large());
    }
    let (objects, algorithm) = (ask.inner.objects.clone(), upload.plan.algorithm);
    let mut file = opened.file;
    let (kept, digested) = blocking(move || {
        let mut copied = || {
            let (mut staged, mut digests) = (objects.stage()?, Digests::new(algorithm, false));
            file.seek(SeekFrom::Start(start))?;
            pass(&mut file, bytes, |piece| {
                digests.update(piece);
                staged.write(piece)
            })?;
            Ok((staged.keep()?, digests.finish()))
        };
        copied().map_err(|fault: io::Error| disk(&fault))
    })
    .await?;
    let etag = digested.etag();
    let part = (number, etag.clone(), digested.checksum);
    write_part(ask, (bucket, key), part, kept).await?;
    Ok(xml(copy_answer("CopyPartResult", &etag, ask.now_ms(), None)))
}
