//! Uploads in parts: begun, filled, listed, completed or given up.

use dormouse_model::object::{ChecksumAlgorithm, ChecksumKind, ObjectKey};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::objects::files::FileName;
use crate::objects::list::{Page, Start, Walk, beyond, roll};
use crate::objects::row::{self, key};
use crate::objects::write::{check, insert};
use crate::objects::{
    Attributes, BucketId, Kept, NewObject, Objects, PutError, Staged, Version, Written, blocking,
    schema, stored, text, unreadable,
};
use crate::{ChangeError, StorageError};

/// Which upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadKey {
    /// Of which object.
    pub key: ObjectKey,
    /// Its id.
    pub id: String,
}

/// What an upload is to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What the owner of the object keeps with it.
    pub attributes: Attributes,
    /// How the checksum is computed.
    pub algorithm: ChecksumAlgorithm,
    /// Over what.
    pub kind: ChecksumKind,
    /// Whether the caller asked for it; it is not told of to who did not.
    pub is_asked: bool,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Which.
    pub key: UploadKey,
    /// When it was begun, in milliseconds since 1970.
    pub created_ms: u64,
    /// What it is to become.
    pub plan: Plan,
}

/// A part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its place.
    pub number: u32,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Its checksum in base64.
    pub checksum: String,
    file: FileName,
}

/// A part that is to be written, but for its bytes.
#[derive(Debug, Clone)]
pub struct WantedPart {
    /// Its place.
    pub number: u32,
    /// Its entity tag.
    pub etag: String,
    /// Its checksum.
    pub checksum: String,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}

/// An upload behind which a list begins.
#[derive(Debug, Clone)]
pub struct UploadMarker {
    /// Its key.
    pub key: ObjectKey,
    /// Its id.
    pub id: String,
}

/// A page of a list of uploads.
pub type UploadsPage = Page<Upload>;

/// Why an upload was not completed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CompleteError<E> {
    /// It is gone, or a part of it was replaced meanwhile.
    #[error("upload is gone or changed")]
    Changed,
    /// The object was not written.
    #[error(transparent)]
    Put(#[from] PutError<E>),
}

impl<E> From<StorageError> for CompleteError<E> {
    fn from(error: StorageError) -> Self {
        Self::Put(PutError::Storage(error))
    }
}

impl Objects {
    /// Begins an upload.
    ///
    /// # Errors
    /// When the bucket is gone, or it cannot be written.
    pub async fn create_upload(&self, bucket: BucketId, upload: Upload) -> Result<(), ChangeError> {
        self.database
            .write(move |connection| {
                row::versioning(connection, bucket)?.ok_or(ChangeError::Missing)?;
                let UploadKey { key, id } = &upload.key;
                let (key, plan) = (key.as_str().as_bytes(), text(&upload.plan));
                connection
                    .prepare_cached("INSERT INTO object_uploads VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![id, bucket.0, key, stored(upload.created_ms), plan])?;
                Ok(())
            })
            .await
    }

    /// An upload with its parts in order, from the one behind `after`, at most so many.
    ///
    /// # Errors
    /// When there is no such upload, or it cannot be read.
    pub async fn upload(
        &self,
        bucket: BucketId,
        key: &UploadKey,
        (after, limit): (u32, usize),
    ) -> Result<(Upload, Vec<Part>), ChangeError> {
        let key = key.clone();
        self.database
            .read(move |connection| {
                let upload = select(connection, bucket, &key)?.ok_or(ChangeError::Missing)?;
                let mut statement = connection.prepare_cached(
                    "SELECT number, file, size, etag, modified_ms, checksum FROM object_parts
                     WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
                )?;
                let parts = statement.query_map(params![key.id, after, limit], part)?;
                Ok((upload, parts.collect::<Result<_, _>>()?))
            })
            .await
    }

    /// Writes a part, in place of the one that was there.
    ///
    /// # Errors
    /// When there is no such upload, or it cannot be written.
    pub async fn put_part(
        &self,
        bucket: BucketId,
        key: UploadKey,
        part: WantedPart,
        bytes: Kept,
    ) -> Result<(), ChangeError> {
        self.database
            .write(move |connection| {
                select(connection, bucket, &key)?.ok_or(ChangeError::Missing)?;
                discard_part(connection, &key.id, part.number)?;
                let size = stored(bytes.size_bytes());
                let file = bytes.recorded().0;
                let (etag, now, checksum) = (part.etag, stored(part.now_ms), part.checksum);
                connection
                    .prepare_cached("INSERT INTO object_parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                    .execute(params![key.id, part.number, file, size, etag, now, checksum])?;
                Ok(())
            })
            .await
    }

    /// The content of parts in one file, which is not kept yet.
    ///
    /// # Errors
    /// A part is gone, or the disk refused.
    pub async fn assemble(&self, parts: &[Part]) -> std::io::Result<Staged> {
        let files = self.files.clone();
        let names: Vec<FileName> = parts.iter().map(|part| part.file.clone()).collect();
        blocking(move || files.concatenate(&names)).await
    }

    /// Writes the object that an upload becomes of these parts, and ends the upload. `condition` is
    /// asked about what the key stands for now; its error leaves everything as it is.
    ///
    /// # Errors
    /// When the upload is gone or a part of it was replaced, or as [`Objects::put`].
    pub async fn complete<E: Send + 'static>(
        &self,
        (bucket, key): (BucketId, UploadKey),
        parts: Vec<Part>,
        (object, bytes): (NewObject, Kept),
        condition: impl FnOnce(Option<&Version>) -> Result<(), E> + Send + 'static,
    ) -> Result<Written, CompleteError<E>> {
        self.database
            .write(move |connection| {
                let versioning = row::versioning(connection, bucket)?;
                let versioning = versioning.ok_or(PutError::NoSuchBucket)?;
                select(connection, bucket, &key)?.ok_or(CompleteError::Changed)?;
                for part in &parts {
                    let file =
                        file_of(connection, &key.id, part.number).map_err(StorageError::from)?;
                    if file.as_ref() != Some(&part.file.0) {
                        return Err(CompleteError::Changed);
                    }
                }
                check(connection, (bucket, &key.key), condition)?;
                let written = insert(connection, (bucket, versioning), &object, Some(bytes))?;
                remove(connection, &key.id)?;
                Ok(written)
            })
            .await
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// When there is no such upload, or it cannot be removed.
    pub async fn abort_upload(&self, bucket: BucketId, key: UploadKey) -> Result<(), ChangeError> {
        self.database
            .write(move |connection| {
                select(connection, bucket, &key)?.ok_or(ChangeError::Missing)?;
                Ok(remove(connection, &key.id)?)
            })
            .await
    }

    /// The uploads of a bucket in the order of their keys, those of a key from the oldest.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn uploads(
        &self,
        bucket: BucketId,
        walk: Walk,
        marker: Option<UploadMarker>,
    ) -> Result<UploadsPage, StorageError> {
        self.database
            .read(move |connection| {
                let (mut start, mut after) = (Start::of(&walk), String::new());
                if let Some(marker) =
                    marker.filter(|marker| marker.key.as_str() >= walk.prefix.as_str())
                {
                    start = Start::at(marker.key.as_str().as_bytes().to_vec());
                    after = marker.id;
                }
                let first = start.key.clone();
                roll(&walk, start, |start, limit| {
                    let mut statement = connection.prepare_cached(
                        "SELECT id, key, created_ms, plan FROM object_uploads
                         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 AND (key > ?4 OR id > ?5)
                         ORDER BY key, id LIMIT ?6",
                    )?;
                    let end = beyond(walk.prefix.as_bytes());
                    let mut rows =
                        statement.query(params![bucket.0, start.key, end, first, after, limit])?;
                    let mut found = Vec::new();
                    while let Some(row) = rows.next()? {
                        let upload = upload_of(row)?;
                        found.push((upload.key.key.as_str().as_bytes().to_vec(), upload));
                    }
                    Ok(found)
                })
            })
            .await
    }
}

fn select(
    connection: &Connection,
    bucket: BucketId,
    upload: &UploadKey,
) -> Result<Option<Upload>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, key, created_ms, plan FROM object_uploads
         WHERE id = ?1 AND bucket = ?2 AND key = ?3",
    )?;
    let key = upload.key.as_str().as_bytes();
    let mut rows = statement.query(params![upload.id, bucket.0, key])?;
    rows.next()?.map(upload_of).transpose()
}

fn upload_of(row: &Row<'_>) -> Result<Upload, StorageError> {
    let key = key(row.get(1)?)?;
    let plan: String = row.get(3)?;
    let plan = serde_json::from_str(&plan).map_err(|source| unreadable(&key, source))?;
    let created_ms = row.get::<_, i64>(2)?.unsigned_abs();
    Ok(Upload { key: UploadKey { key, id: row.get(0)? }, created_ms, plan })
}

fn part(row: &Row<'_>) -> rusqlite::Result<Part> {
    Ok(Part {
        number: row.get(0)?,
        file: FileName(row.get(1)?),
        size_bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        etag: row.get(3)?,
        modified_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        checksum: row.get(5)?,
    })
}

fn file_of(connection: &Connection, upload: &str, number: u32) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT file FROM object_parts WHERE upload = ?1 AND number = ?2")?
        .query_row(params![upload, number], |row| row.get(0))
        .optional()
}

fn discard_part(connection: &Connection, upload: &str, number: u32) -> rusqlite::Result<()> {
    if let Some(file) = file_of(connection, upload, number)? {
        schema::discard(connection, &file)?;
        connection
            .prepare_cached("DELETE FROM object_parts WHERE upload = ?1 AND number = ?2")?
            .execute(params![upload, number])?;
    }
    Ok(())
}

/// Removes an upload with its parts.
fn remove(connection: &Connection, upload: &str) -> Result<(), StorageError> {
    for sql in [
        "INSERT OR IGNORE INTO object_garbage SELECT file FROM object_parts WHERE upload = ?1",
        "DELETE FROM object_parts WHERE upload = ?1",
        "DELETE FROM object_uploads WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([upload])?;
    }
    Ok(())
}
