//! Buckets and the objects in them: S3's records in a database of their own, their bytes in files.
//!
//! A bucket belongs to an account and lies in a region; its name is the account's. An object is a row
//! per version with a file; what its owner attaches ([`Attributes`]) is opaque here. A file is synced
//! and has its name before the row that refers to it is committed, so a row always has its file, and
//! what is half-written is nowhere. Files that lost their row are named in the same transaction and
//! removed by the writer's sweep (`schema`).
//!
//! Must never serve a version without its bytes, nor change bytes that a version has.

mod buckets;
mod files;
mod list;
mod read;
mod row;
pub(crate) mod schema;
mod sweep;
mod uploads;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use dormouse_model::names::Scope;
use dormouse_model::object::{BucketName, Checksum, ObjectKey, Versioning};
use serde::{Deserialize, Serialize};
use tokio::task;

use crate::StorageError;
use crate::database::Handle;
use crate::objects::files::Files;

pub use buckets::{CreateBucketError, DeleteBucketError};
pub use files::{Kept, Staged};
pub use list::{Entry, Listed, Page, VersionEntry, VersionMarker, Walk};
pub use read::{OpenObjectError, OpenedObject};
pub use uploads::{
    CompleteError, Part, Plan, Upload, UploadKey, UploadMarker, UploadsPage, WantedPart,
};
pub use write::{Deleted, PutError, Wanted, Written};

/// Names a bucket row as long as it is there; a bucket that is made anew has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketId(i64);

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// What names it here.
    pub id: BucketId,
    /// Whose, and in which region.
    pub scope: Scope,
    /// Its name, which is unique in its account.
    pub name: BucketName,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Whether it keeps versions.
    pub versioning: Versioning,
}

/// What the owner of an object keeps with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Headers that are given back as they came, by their names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Metadata by name in lower case, without `x-amz-meta-`.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Tags by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The checksum.
    pub checksum: Option<Checksum>,
    /// The sizes of the parts it was uploaded in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<u64>,
    /// The access control list, if one was put.
    pub acl: Option<String>,
}

/// What a version holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An object.
    Object(Box<Object>),
    /// Nothing: it marks that the key was deleted.
    DeleteMarker,
}

/// The record of an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// How many they are.
    pub size_bytes: u64,
    /// The entity tag, without quotes.
    pub etag: String,
    /// What its owner keeps with it.
    pub attributes: Attributes,
    file: files::FileName,
}

/// A version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Of which key.
    pub key: ObjectKey,
    /// Its id, or `null`.
    pub version: String,
    /// Whether it is what the key stands for.
    pub is_latest: bool,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// What it holds.
    pub content: Content,
}

/// An object that is to be written, but for its bytes.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Its key.
    pub key: ObjectKey,
    /// Its entity tag.
    pub etag: String,
    /// What its owner keeps with it.
    pub attributes: Attributes,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// Chance, for the id of the version.
    pub chance: u64,
}

/// Reads and writes buckets and objects.
#[derive(Debug, Clone)]
pub struct Objects {
    database: Handle,
    files: Files,
}

impl Objects {
    /// Opens the files beside the database. `run` must not have been one before.
    pub(crate) fn open(database: Handle, directory: &Path, run: u128) -> io::Result<Self> {
        Ok(Self { database, files: Files::open(&directory.join(schema::DIRECTORY), run)? })
    }

    /// Begins the bytes of an object. Blocks.
    ///
    /// # Errors
    /// The disk refused.
    pub fn stage(&self) -> io::Result<Staged> {
        self.files.stage()
    }

    /// Gives the bytes of an object a second time, without copying them where the file system can.
    ///
    /// # Errors
    /// The object is gone meanwhile, or the disk refused.
    pub async fn again(&self, object: &Object) -> io::Result<Kept> {
        let (files, name) = (self.files.clone(), object.file.clone());
        blocking(move || files.again(&name)).await
    }
}

/// Runs on a thread that may block. A panic there is one here.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is being dropped does this; it never polls us again.
            Err(_) => std::future::pending().await,
        },
    }
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A record that cannot be read is told by what it belongs to.
fn unreadable(name: &ObjectKey, source: serde_json::Error) -> StorageError {
    StorageError::Unreadable {
        kind: "object",
        name: name.to_string(),
        source: std::sync::Arc::new(source),
    }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps of texts are JSON")
}
