//! Versions written, changed and removed.

use dormouse_model::object::{NULL_VERSION, ObjectKey, Versioning};
use rusqlite::{Connection, params};

use crate::objects::row::{self, Numbered, select};
use crate::objects::{
    Attributes, BucketId, Content, Kept, NewObject, Objects, Version, schema, stored, text,
};
use crate::{ChangeError, StorageError};

/// Why an object was not written or removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PutError<E> {
    /// The bucket is gone.
    #[error("no such bucket")]
    NoSuchBucket,
    /// What the caller demands of what is there does not hold.
    #[error("refused by a condition")]
    Refused(E),
    /// It could not be written.
    #[error(transparent)]
    Storage(StorageError),
}

impl<E> From<StorageError> for PutError<E> {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl<E> From<rusqlite::Error> for PutError<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The version, if the bucket keeps or kept versions.
    pub version: Option<String>,
}

/// What is to be removed.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of which key.
    pub key: ObjectKey,
    /// The version, or what the key stands for.
    pub version: Option<String>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was removed or made, if the bucket keeps or kept versions.
    pub version: Option<String>,
    /// Whether that is a delete marker.
    pub is_marker: bool,
}

impl Objects {
    /// Writes an object. `condition` is asked about what the key stands for now; its error leaves
    /// everything as it is.
    ///
    /// # Errors
    /// When the bucket is gone, the condition does not hold, or it cannot be written.
    pub async fn put<E: Send + 'static>(
        &self,
        bucket: BucketId,
        object: NewObject,
        bytes: Kept,
        condition: impl FnOnce(Option<&Version>) -> Result<(), E> + Send + 'static,
    ) -> Result<Written, PutError<E>> {
        self.database
            .write(move |connection| {
                let versioning = row::versioning(connection, bucket)?;
                let versioning = versioning.ok_or(PutError::NoSuchBucket)?;
                check(connection, (bucket, &object.key), condition)?;
                Ok(insert(connection, (bucket, versioning), &object, Some(bytes))?)
            })
            .await
    }

    /// Removes a version, or marks a key as deleted where versions are kept. It is no error when
    /// nothing is there.
    ///
    /// # Errors
    /// When the bucket is gone, the condition does not hold, or it cannot be written.
    pub async fn delete<E: Send + 'static>(
        &self,
        bucket: BucketId,
        wanted: Wanted,
        (now_ms, chance): (u64, u64),
        condition: impl FnOnce(Option<&Version>) -> Result<(), E> + Send + 'static,
    ) -> Result<Deleted, PutError<E>> {
        self.database
            .write(move |connection| {
                let versioning = row::versioning(connection, bucket)?;
                let versioning = versioning.ok_or(PutError::NoSuchBucket)?;
                check(connection, (bucket, &wanted.key), condition)?;
                Ok(delete(connection, (bucket, versioning), &wanted, (now_ms, chance))?)
            })
            .await
    }

    /// Removes many, all or none of them.
    ///
    /// # Errors
    /// When the bucket is gone, or it cannot be written.
    pub async fn delete_all(
        &self,
        bucket: BucketId,
        wanted: Vec<Wanted>,
        (now_ms, chance): (u64, u64),
    ) -> Result<Vec<Deleted>, ChangeError> {
        self.database
            .write(move |connection| {
                let versioning =
                    row::versioning(connection, bucket)?.ok_or(ChangeError::Missing)?;
                let mut deleted = Vec::with_capacity(wanted.len());
                for wanted in &wanted {
                    let of = (bucket, versioning);
                    deleted.push(delete(connection, of, wanted, (now_ms, chance))?);
                }
                Ok(deleted)
            })
            .await
    }

    /// Changes what the owner of a version keeps with it. Says of which version.
    ///
    /// # Errors
    /// When there is no such object, or it cannot be written.
    pub async fn change_attributes(
        &self,
        bucket: BucketId,
        wanted: Wanted,
        change: impl FnOnce(&mut Attributes) + Send + 'static,
    ) -> Result<String, ChangeError> {
        self.database
            .write(move |connection| {
                let found = select(connection, bucket, &wanted.key, wanted.version.as_deref())?;
                let Numbered { id, version } = found.ok_or(ChangeError::Missing)?;
                let Content::Object(mut object) = version.content else {
                    return Err(ChangeError::Missing);
                };
                change(&mut object.attributes);
                connection
                    .prepare_cached("UPDATE objects SET attributes = ?2 WHERE id = ?1")?
                    .execute(params![id, text(&object.attributes)])?;
                Ok(version.version)
            })
            .await
    }
}

/// Asks a condition about what a key stands for.
pub(super) fn check<E>(
    connection: &Connection,
    (bucket, key): (BucketId, &ObjectKey),
    condition: impl FnOnce(Option<&Version>) -> Result<(), E>,
) -> Result<(), PutError<E>> {
    let found = select(connection, bucket, key, None)?.map(|found| found.version);
    let there = found.as_ref().filter(|found| found.content != Content::DeleteMarker);
    condition(there).map_err(PutError::Refused)
}

/// Writes a version in front of what is there; without bytes it is a delete marker.
pub(super) fn insert(
    connection: &Connection,
    (bucket, versioning): (BucketId, Versioning),
    object: &NewObject,
    bytes: Option<Kept>,
) -> Result<Written, StorageError> {
    let key = object.key.as_str().as_bytes();
    let keeps = versioning == Versioning::Enabled;
    if !keeps {
        remove(connection, bucket, &object.key, NULL_VERSION)?;
    }
    connection
        .prepare_cached(
            "UPDATE objects SET latest = 0 WHERE bucket = ?1 AND key = ?2 AND latest = 1",
        )?
        .execute(params![bucket.0, key])?;
    let size = bytes.as_ref().map_or(0, Kept::size_bytes);
    // From here on the file stays, whatever becomes of the commit.
    let file = bytes.map(|bytes| bytes.recorded().0);
    let version = if keeps { String::new() } else { NULL_VERSION.to_owned() };
    connection
        .prepare_cached(
            "INSERT INTO objects
                 (bucket, key, version, latest, file, size, etag, modified_ms, attributes)
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            bucket.0,
            key,
            version,
            file,
            stored(size),
            object.etag,
            stored(object.now_ms),
            text(&object.attributes)
        ])?;
    if !keeps {
        let version = (versioning == Versioning::Suspended).then_some(version);
        return Ok(Written { version });
    }
    let id = connection.last_insert_rowid();
    let version = version_id(id, object.chance);
    connection
        .prepare_cached("UPDATE objects SET version = ?2 WHERE id = ?1")?
        .execute(params![id, version])?;
    Ok(Written { version: Some(version) })
}

fn delete(
    connection: &Connection,
    (bucket, versioning): (BucketId, Versioning),
    wanted: &Wanted,
    (now_ms, chance): (u64, u64),
) -> Result<Deleted, StorageError> {
    if let Some(version) = &wanted.version {
        let was_marker = remove(connection, bucket, &wanted.key, version)?;
        return Ok(Deleted { version: Some(version.clone()), is_marker: was_marker });
    }
    if versioning == Versioning::Unversioned {
        remove(connection, bucket, &wanted.key, NULL_VERSION)?;
        return Ok(Deleted::default());
    }
    let marker = NewObject {
        key: wanted.key.clone(),
        etag: String::new(),
        attributes: Attributes::default(),
        now_ms,
        chance,
    };
    let written = insert(connection, (bucket, versioning), &marker, None)?;
    Ok(Deleted { version: written.version, is_marker: true })
}

/// Removes a version and lets the key stand for the one before it; says whether it was a marker.
fn remove(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    version: &str,
) -> Result<bool, StorageError> {
    let Some(found) = select(connection, bucket, key, Some(version))? else {
        return Ok(false);
    };
    connection.prepare_cached("DELETE FROM objects WHERE id = ?1")?.execute([found.id])?;
    let is_marker = match &found.version.content {
        Content::DeleteMarker => true,
        Content::Object(object) => {
            schema::discard(connection, &object.file.0)?;
            false
        }
    };
    if found.version.is_latest {
        connection
            .prepare_cached(
                "UPDATE objects SET latest = 1 WHERE id =
                     (SELECT MAX(id) FROM objects WHERE bucket = ?1 AND key = ?2)",
            )?
            .execute(params![bucket.0, key.as_str().as_bytes()])?;
    }
    Ok(is_marker)
}

/// The id of a version says where it is in the order of writing, so that a list goes on behind a
/// version that is gone.
fn version_id(id: i64, chance: u64) -> String {
    format!("{id:016x}{chance:016x}")
}

/// The place in the order of writing that an id names; nothing for `null` and for what is none of ours.
pub(super) fn place_of(version: &str) -> Option<i64> {
    let place = version.get(..16).filter(|_| version.len() == 32)?;
    i64::from_str_radix(place, 16).ok()
}
