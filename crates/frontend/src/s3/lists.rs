//! Pages of keys, of versions and of uploads.

use dormouse_api::error::ApiError;
use dormouse_api::s3::list::{Line, Lines, ListRequest, VersionLine, objects_v2 as v2_document};
use dormouse_api::s3::list::{objects as document, versions as versions_document};
use dormouse_api::s3::refusal::invalid_argument;
use dormouse_api::s3::upload::{UploadLine, uploads_answer};
use dormouse_store::objects::{
    Bucket, Content, Listed, Page, UploadMarker, Version, VersionMarker, Walk,
};

use crate::s3::objects::storage_class;
use crate::s3::{Answer, Ask, storage, xml};

pub(super) async fn objects(ask: &Ask<'_>, bucket: &Bucket) -> Answer {
    let asked = ListRequest::of(ask.query(), ("max-keys", "marker", ""))?;
    let page = keys(ask, bucket, &asked).await?;
    Ok(xml(document(bucket.name.as_str(), &asked, &page)))
}

pub(super) async fn objects_v2(ask: &Ask<'_>, bucket: &Bucket) -> Answer {
    let query = ask.query();
    if query.get("list-type").as_deref() != Some("2") {
        return Err(invalid_argument("Invalid List Type specified in Request", "list-type", ""));
    }
    let asked = ListRequest::of(query, ("max-keys", "start-after", ""))?;
    let page = keys(ask, bucket, &asked).await?;
    let with_owner = query.get("fetch-owner").as_deref() == Some("true");
    Ok(xml(v2_document(bucket.name.as_str(), &asked, &page, with_owner)))
}

async fn keys(ask: &Ask<'_>, bucket: &Bucket, asked: &ListRequest) -> Result<Lines, ApiError> {
    let walk = walk(asked, asked.begins_after()?);
    let page = ask.inner.objects.list(bucket.id, walk).await.map_err(|fault| storage(&fault))?;
    Ok(lines(page, false))
}

fn walk(asked: &ListRequest, after: Option<String>) -> Walk {
    let (prefix, delimiter) = (asked.prefix.clone(), asked.delimiter.clone());
    Walk { prefix, delimiter, after, limit: asked.limit }
}

pub(super) async fn versions(ask: &Ask<'_>, bucket: &Bucket) -> Answer {
    let asked = ListRequest::of(ask.query(), ("max-keys", "key-marker", "version-id-marker"))?;
    let marker = match (&asked.after, &asked.after_id) {
        (Some(key), Some(version)) => {
            key.parse().ok().map(|key| VersionMarker { key, version: version.clone() })
        }
        (None, Some(version)) => {
            let text = "A version-id marker cannot be specified without a key marker.";
            return Err(invalid_argument(text, "version-id-marker", version));
        }
        _ => None,
    };
    let walk = walk(&asked, asked.after.clone());
    let page = ask.inner.objects.list_versions(bucket.id, walk, marker).await;
    let page = lines(page.map_err(|fault| storage(&fault))?, true);
    Ok(xml(versions_document(bucket.name.as_str(), &asked, &page)))
}

fn lines(page: Page<Version>, with_versions: bool) -> Lines {
    let mut lines = Lines::default();
    for entry in page.entries {
        match entry {
            Listed::Prefix(prefix) => {
                lines.next = Some(prefix.clone());
                lines.next_id = None;
                lines.prefixes.push(prefix);
            }
            Listed::One(version) => {
                lines.next = Some(version.key.to_string());
                lines.next_id = Some(version.version.clone());
                lines.lines.push(line(version, with_versions));
            }
        }
    }
    if !page.has_more {
        (lines.next, lines.next_id) = (None, None);
    }
    lines
}

fn line(version: Version, with_versions: bool) -> Line {
    let (etag, size_bytes, class, checksum, is_marker) = match &version.content {
        Content::Object(object) => {
            let checksum = object.attributes.checksum.as_ref();
            let checksum = checksum.map(|it| (it.algorithm.name(), it.kind.name()));
            let class = storage_class(&object.attributes).to_owned();
            (object.etag.clone(), object.size_bytes, class, checksum, false)
        }
        Content::DeleteMarker => (String::new(), 0, String::new(), None, true),
    };
    let (id, is_latest) = (version.version, version.is_latest);
    Line {
        key: version.key.to_string(),
        modified_ms: version.modified_ms,
        etag,
        size_bytes,
        storage_class: class,
        checksum,
        version: with_versions.then_some(VersionLine { id, is_latest, is_marker }),
    }
}

pub(super) async fn uploads(ask: &Ask<'_>, bucket: &Bucket) -> Answer {
    let asked = ListRequest::of(ask.query(), ("max-uploads", "key-marker", "upload-id-marker"))?;
    let marker = match (&asked.after, &asked.after_id) {
        (Some(key), Some(id)) => key.parse().ok().map(|key| UploadMarker { key, id: id.clone() }),
        // An id without a key says nothing, as on S3.
        _ => None,
    };
    let walk = walk(&asked, asked.after.clone());
    let page = ask.inner.objects.uploads(bucket.id, walk, marker).await;
    let page = page.map_err(|fault| storage(&fault))?;
    let (mut lines, mut uploads) = (Lines::default(), Vec::new());
    for entry in page.entries {
        match entry {
            Listed::Prefix(prefix) => {
                (lines.next, lines.next_id) = (Some(prefix.clone()), None);
                lines.prefixes.push(prefix);
            }
            Listed::One(upload) => {
                let (key, id) = (upload.key.key.to_string(), upload.key.id);
                (lines.next, lines.next_id) = (Some(key.clone()), Some(id.clone()));
                uploads.push(UploadLine { key, id, created_ms: upload.created_ms });
            }
        }
    }
    if !page.has_more {
        (lines.next, lines.next_id) = (None, None);
    }
    Ok(xml(uploads_answer(bucket.name.as_str(), &asked, &uploads, &lines)))
}
