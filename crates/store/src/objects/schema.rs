//! The tables of buckets and objects, and what is removed when nobody waits.

use std::io;
use std::path::Path;

use rusqlite::{Connection, params};

use crate::StorageError;

/// The directory of the files, beside the database.
pub(crate) const DIRECTORY: &str = "objects";

/// The tables. Keys are blobs, so that they are ordered by their bytes and hold any of them. A row of
/// `objects` is a version; without a file it is a delete marker. What no row refers to any more is in
/// `object_garbage` until its file is gone.
pub(crate) const TABLES: &str = "
    CREATE TABLE buckets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        versioning INTEGER NOT NULL,
        UNIQUE (account, name)
    );
    CREATE TABLE bucket_settings (
        bucket INTEGER NOT NULL,
        kind TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (bucket, kind)
    ) WITHOUT ROWID;
    CREATE TABLE objects (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        bucket INTEGER NOT NULL,
        key BLOB NOT NULL,
        version TEXT NOT NULL,
        latest INTEGER NOT NULL,
        file TEXT,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified_ms INTEGER NOT NULL,
        attributes TEXT NOT NULL
    );
    CREATE UNIQUE INDEX objects_version ON objects (bucket, key, version);
    CREATE UNIQUE INDEX objects_latest ON objects (bucket, key) WHERE latest = 1;
    CREATE INDEX objects_order ON objects (bucket, key, id DESC);
    CREATE UNIQUE INDEX objects_file ON objects (file) WHERE file IS NOT NULL;
    CREATE TABLE object_uploads (
        id TEXT PRIMARY KEY,
        bucket INTEGER NOT NULL,
        key BLOB NOT NULL,
        created_ms INTEGER NOT NULL,
        plan TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX object_uploads_order ON object_uploads (bucket, key, id);
    CREATE TABLE object_parts (
        upload TEXT NOT NULL,
        number INTEGER NOT NULL,
        file TEXT NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified_ms INTEGER NOT NULL,
        checksum TEXT NOT NULL,
        PRIMARY KEY (upload, number)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX object_parts_file ON object_parts (file);
    CREATE TABLE object_garbage (file TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// Files that are removed at once (ours). Others wait for the next step, so that nobody waits long.
const SWEEP_FILES: usize = 64;

/// Removes some of the files that nothing refers to; false when there are none.
///
/// A crash in between leaves rows whose file is gone, which the next sweep does not mind: the name of
/// a file is never used twice.
pub(crate) fn sweep(connection: &Connection) -> Result<bool, StorageError> {
    let Some(directory) = connection.path().and_then(|path| Path::new(path).parent()) else {
        return Ok(false);
    };
    let directory = directory.join(DIRECTORY);
    let files: Vec<String> = connection
        .prepare_cached("SELECT file FROM object_garbage LIMIT ?1")?
        .query_map([SWEEP_FILES], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if files.is_empty() {
        return Ok(false);
    }
    let transaction = connection.unchecked_transaction()?;
    for file in &files {
        match std::fs::remove_file(directory.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It stays a file that nothing refers to, which the next start removes.
                tracing::warn!(%error, file, "object's file not removed");
            }
            _ => {}
        }
        transaction
            .prepare_cached("DELETE FROM object_garbage WHERE file = ?1")?
            .execute([file])?;
    }
    transaction.commit()?;
    Ok(files.len() == SWEEP_FILES)
}

/// Leaves a file to be swept.
pub(super) fn discard(connection: &Connection, file: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO object_garbage (file) VALUES (?1)")?
        .execute(params![file])
        .map(drop)
}
