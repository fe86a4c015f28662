//! A version as a row.

use dormouse_model::object::{ObjectKey, Versioning};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StorageError;
use crate::objects::files::FileName;
use crate::objects::{BucketId, Content, Object, Version, unreadable};

/// What [`version`] reads, in its order.
pub(super) const COLUMNS: &str =
    "id, key, version, latest, file, size, etag, modified_ms, attributes";

/// A version with its place in the order of writing.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) id: i64,
    pub(super) version: Version,
}

pub(super) fn numbered(row: &Row<'_>) -> Result<Numbered, StorageError> {
    let key = key(row.get(1)?)?;
    let file: Option<String> = row.get(4)?;
    let content = match file {
        None => Content::DeleteMarker,
        Some(file) => {
            let attributes: String = row.get(8)?;
            let attributes = serde_json::from_str(&attributes);
            Content::Object(Box::new(Object {
                size_bytes: row.get::<_, i64>(5)?.unsigned_abs(),
                etag: row.get(6)?,
                attributes: attributes.map_err(|source| unreadable(&key, source))?,
                file: FileName(file),
            }))
        }
    };
    let version = Version {
        key,
        version: row.get(2)?,
        is_latest: row.get(3)?,
        modified_ms: row.get::<_, i64>(7)?.unsigned_abs(),
        content,
    };
    Ok(Numbered { id: row.get(0)?, version })
}

/// A key as it was stored.
pub(super) fn key(bytes: Vec<u8>) -> Result<ObjectKey, StorageError> {
    let readable = String::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    readable.ok_or_else(|| rusqlite::Error::InvalidQuery.into())
}

/// One version of a key: the one that is named, else what the key stands for.
pub(super) fn select(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    version: Option<&str>,
) -> Result<Option<Numbered>, StorageError> {
    let which = match version {
        Some(_) => "version = ?3",
        None => "latest = 1 AND ?3 IS NULL",
    };
    let sql = format!("SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND {which}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![bucket.0, key.as_str().as_bytes(), version])?;
    rows.next()?.map(numbered).transpose()
}

/// Whether a bucket keeps versions; nothing when it is gone.
pub(super) fn versioning(
    connection: &Connection,
    bucket: BucketId,
) -> Result<Option<Versioning>, StorageError> {
    let found = connection
        .prepare_cached("SELECT versioning FROM buckets WHERE id = ?1")?
        .query_row([bucket.0], |row| row.get(0))
        .optional()?;
    Ok(found.map(versioning_of))
}

pub(super) fn versioning_of(number: i64) -> Versioning {
    match number {
        1 => Versioning::Enabled,
        2 => Versioning::Suspended,
        _ => Versioning::Unversioned,
    }
}

pub(super) fn versioning_number(versioning: Versioning) -> i64 {
    match versioning {
        Versioning::Unversioned => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    }
}
