//! A version found, and its bytes.

use std::fs::File;
use std::io;

use dormouse_model::names::Scope;
use dormouse_model::object::{BucketName, ObjectKey};

use crate::StorageError;
use crate::objects::row::select;
use crate::objects::{BucketId, Content, Object, Objects, Version, blocking};

/// How often a version that vanishes between its record and its file is looked up anew (ours): it was
/// replaced meanwhile, and the record says by what. Past it the file is missing.
const LOOKS: usize = 8;

/// An object that is open for reading: it stays readable whatever becomes of its key.
#[derive(Debug)]
pub struct OpenedObject {
    /// Its version.
    pub version: String,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Its record.
    pub object: Object,
    /// Its bytes.
    pub file: File,
}

/// Why an object was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenObjectError {
    /// The account has no such bucket.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket lies in another region.
    #[error("bucket is in {region}")]
    OtherRegion {
        /// In which.
        region: String,
    },
    /// The key stands for nothing.
    #[error("no such key")]
    NoSuchKey,
    /// There is no such version.
    #[error("no such version")]
    NoSuchVersion,
    /// The version that is named marks a deletion.
    #[error("version is a delete marker")]
    DeleteMarker,
    /// The record cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bytes cannot be read.
    #[error("bytes of the object are unreadable")]
    Unreadable(#[source] io::Error),
}

impl Objects {
    /// One version of a key: the one that is named, else what the key stands for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn version(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: Option<&str>,
    ) -> Result<Option<Version>, StorageError> {
        let (key, version) = (key.clone(), version.map(str::to_owned));
        self.database
            .read(move |connection| {
                let found = select(connection, bucket, &key, version.as_deref())?;
                Ok(found.map(|found| found.version))
            })
            .await
    }

    /// The bytes of an object; nothing when it was replaced or deleted since its record was read.
    ///
    /// # Errors
    /// The disk refused.
    pub async fn file(&self, object: &Object) -> io::Result<Option<File>> {
        let (files, name) = (self.files.clone(), object.file.clone());
        blocking(move || match files.read(&name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    /// Opens an object for reading, as GetObject of this account in this region does: the version that
    /// is named, else the latest.
    ///
    /// # Errors
    /// When there is no such bucket, key or version, or it cannot be read.
    pub async fn open_object(
        &self,
        scope: &Scope,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<&str>,
    ) -> Result<OpenedObject, OpenObjectError> {
        let found = self.bucket(&scope.account, bucket).await?;
        let found = found.ok_or(OpenObjectError::NoSuchBucket)?;
        if found.scope.region != scope.region {
            return Err(OpenObjectError::OtherRegion { region: found.scope.region.to_string() });
        }
        self.open_version(found.id, key, version).await
    }

    /// Opens an object of a bucket for reading.
    ///
    /// # Errors
    /// As [`Objects::open_object`].
    pub async fn open_version(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: Option<&str>,
    ) -> Result<OpenedObject, OpenObjectError> {
        for _ in 0..LOOKS {
            let found = self.version(bucket, key, version).await?;
            let Some(found) = found else {
                return Err(match version {
                    Some(_) => OpenObjectError::NoSuchVersion,
                    None => OpenObjectError::NoSuchKey,
                });
            };
            let Content::Object(object) = found.content else {
                return Err(match version {
                    Some(_) => OpenObjectError::DeleteMarker,
                    None => OpenObjectError::NoSuchKey,
                });
            };
            if let Some(file) = self.file(&object).await.map_err(OpenObjectError::Unreadable)? {
                let (version, modified_ms) = (found.version, found.modified_ms);
                return Ok(OpenedObject { version, modified_ms, object: *object, file });
            }
        }
        Err(OpenObjectError::Unreadable(io::ErrorKind::NotFound.into()))
    }
}
