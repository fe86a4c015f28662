//! The store as a whole: a directory that one process owns, with its databases.
//!
//! Hands out handles, each good for one kind of record. Must never be given to what needs only one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::database::{Database, Schema};
use crate::functions::{self, Functions};
use crate::lock::{DirectoryLock, LockError};
use crate::logs::{self, Logs};
use crate::roles::{self, Roles};

/// What was acknowledged: a power cut must not take it.
const RECORDS: Schema = Schema {
    file: "dormouse.db",
    synchronous: "FULL",
    migrations: &[functions::TABLE, roles::TABLE],
    sweep: |_| Ok(false),
};

/// A power cut may take the last log lines; nothing else may.
const LOGS: Schema = Schema {
    file: "logs.db",
    synchronous: "NORMAL",
    migrations: &[logs::schema::TABLES],
    sweep: logs::sweep,
};

/// An open data directory.
///
/// Its handles answer [`StorageError::Closed`](crate::StorageError::Closed) once it is closed or
/// dropped; what was accepted before is still written.
#[derive(Debug)]
pub struct Store {
    records: Database,
    logs: Database,
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made, read or written.
    #[error("{} cannot be used", path.display())]
    Directory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use{}", path.display(), by(*process))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that has it, if it is known.
        process: Option<u32>,
    },
    /// It was written by a newer Dormouse, which this one must not touch.
    #[error(
        "{} was written by a newer version: its schema is {found}, this version knows {known}",
        path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest schema that is known here.
        known: usize,
    },
    /// A database cannot be opened.
    #[error("{} cannot be opened", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A writer's thread cannot be started.
    #[error("writer cannot be started")]
    Thread(#[source] io::Error),
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" by process {id}"))
}

impl Store {
    /// Opens a data directory, making it if it is not there. Blocks while it does.
    ///
    /// # Errors
    /// When another process has it, a newer version wrote it, or it cannot be used.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        make_durably(directory).map_err(|source| OpenError::Directory {
            path: directory.to_owned(),
            source,
        })?;
        let lock = Arc::new(lock(directory)?);
        let records = Database::open(directory, &RECORDS, Arc::clone(&lock))?;
        let logs = Database::open(directory, &LOGS, lock)?;
        sync(directory).map_err(|source| OpenError::Directory {
            path: directory.to_owned(),
            source,
        })?;
        Ok(Self { records, logs })
    }

    /// Functions.
    #[must_use]
    pub fn functions(&self) -> Functions {
        Functions::new(self.records.handle())
    }

    /// IAM roles.
    #[must_use]
    pub fn roles(&self) -> Roles {
        Roles::new(self.records.handle())
    }

    /// Logs.
    #[must_use]
    pub fn logs(&self) -> Logs {
        Logs::new(self.logs.handle())
    }

    /// Writes what was accepted, ends the writers and gives the directory up.
    pub async fn close(self) {
        self.logs.close().await;
        self.records.close().await;
    }
}

fn lock(directory: &Path) -> Result<DirectoryLock, OpenError> {
    let path = directory.join("dormouse.lock");
    DirectoryLock::take(&path).map_err(|error| match error {
        LockError::Held(process) => OpenError::Locked {
            path: directory.to_owned(),
            process,
        },
        LockError::Io(source) => OpenError::Directory { path, source },
    })
}

/// Only we may look inside: records hold the functions' environment variables.
fn make_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    directory.canonicalize()?.parent().map_or(Ok(()), sync)
}

/// A file that was made is only sure to be found again once its directory is synced.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
