//! One SQLite database: a writer thread, a few readers, and the migrations before both.
//!
//! Knows no table. Must never let two threads write, nor answer a write before its commit.

pub(crate) mod error;
mod readers;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::database::error::StorageError;
use crate::database::readers::Readers;
use crate::database::writer::{WriteHandle, Writer};
use crate::lock::DirectoryLock;
use crate::store::OpenError;

/// Connections that read at once (ours). Further readers wait.
const READERS: usize = 4;
/// Statements a connection keeps prepared (ours). Past it the least used is prepared anew.
const STATEMENTS: usize = 64;
/// Bytes to which a write-ahead log shrinks once it was copied into the database (ours).
const WAL_KEPT_BYTES: usize = 16 * 1_048_576;

/// What sets one database apart from another.
pub(crate) struct Schema {
    /// The file's name.
    pub(crate) file: &'static str,
    /// `FULL`: a commit survives a power cut. `NORMAL`: it survives the process, not more.
    pub(crate) synchronous: &'static str,
    /// The steps that make the tables, oldest first. Steps are added, never changed.
    pub(crate) migrations: &'static [&'static str],
    /// A step of work that may be done whenever; says whether there is more of it.
    pub(crate) sweep: fn(&Connection) -> Result<bool, StorageError>,
}

/// An open database: owns the writer's thread.
#[derive(Debug)]
pub(crate) struct Database {
    writer: Writer,
    handle: Handle,
}

/// Reads and writes. Cheap to clone; useless once the [`Database`] is closed or dropped.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    writes: WriteHandle,
    readers: Readers,
}

impl Database {
    /// Opens the database in `directory`, making or migrating it as needed.
    pub(crate) fn open(
        directory: &Path,
        schema: &Schema,
        lock: std::sync::Arc<DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let path = directory.join(schema.file);
        let failed = |source| OpenError::Database { path: path.clone(), source };
        make_private(&path)
            .map_err(|source| OpenError::Directory { path: path.clone(), source })?;
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        prepare_to_write(&connection, schema).map_err(failed)?;
        migrate(&mut connection, &path, schema.migrations)?;
        let mut reading = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            reading.push(connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?);
        }
        let writer = Writer::start(connection, schema.sweep, lock).map_err(OpenError::Thread)?;
        let handle = Handle { writes: writer.handle(), readers: Readers::new(reading) };
        Ok(Self { writer, handle })
    }

    /// A handle.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends reads, finishes the writes that were accepted and joins the writer.
    pub(crate) async fn close(self) {
        self.handle.readers.close();
        self.writer.close().await;
    }
}

impl Handle {
    /// Runs `work` in the writer's next transaction and answers once that is committed. What an
    /// `Err` changed is undone. The work is done even if the caller stops waiting.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.writes.write(work).await
    }

    /// Runs `work` on one snapshot of what is committed.
    pub(crate) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.readers.read(work).await
    }
}

/// What follows every text that begins with `prefix`, in the order of bytes.
pub(crate) fn after_prefix(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

/// Makes the file before SQLite does, so that nobody else can read what it will hold; SQLite gives
/// its companion files the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn prepare_to_write(connection: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", schema.synchronous)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Brings the schema up to date, each step in a transaction with its own number.
fn migrate(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let found: usize =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let known = migrations.len();
    let missing = migrations.get(found..).ok_or_else(|| OpenError::NewerSchema {
        path: path.to_owned(),
        found,
        known,
    })?;
    for (step, migration) in missing.iter().enumerate() {
        let transaction = connection.transaction().map_err(failed)?;
        transaction
            .execute_batch(migration)
            .and_then(|()| transaction.pragma_update(None, "user_version", found + step + 1))
            .and_then(|()| transaction.commit())
            .map_err(failed)?;
    }
    Ok(())
}
