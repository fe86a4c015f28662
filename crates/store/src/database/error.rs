//! What can go wrong with any read or write.

use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why something could not be read or written. Always the platform's fault.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The store was closed.
    #[error("store is closed")]
    Closed,
    /// No room on the disk. Nothing was written; reads go on, and writes do once there is room.
    #[error("disk is full")]
    DiskFull,
    /// A commit failed in a way after which nobody can tell what the disk holds.
    #[error("store accepts no writes since a commit was not synced")]
    WritesStopped,
    /// Another write of the same commit made the database give up all of them.
    #[error("database gave up the transaction")]
    Aborted,
    /// The database refused.
    #[error("database error")]
    Database(#[source] Arc<rusqlite::Error>),
    /// A stored record is not what this version writes.
    #[error("stored {kind} {name:?} cannot be read")]
    Unreadable {
        /// What it is.
        kind: &'static str,
        /// Which one.
        name: String,
        /// What is wrong with it.
        source: Arc<serde_json::Error>,
    },
}

/// Why a record was not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChangeError {
    /// There is no such record.
    #[error("no such record")]
    Missing,
    /// It could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            return Self::DiskFull;
        }
        Self::Database(Arc::new(error))
    }
}

impl From<rusqlite::Error> for ChangeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl StorageError {
    /// Whether a commit that failed so leaves in doubt what the disk holds. After a failed fsync
    /// the kernel may have dropped the pages: a second fsync that succeeds proves nothing.
    pub(super) fn leaves_doubt(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ReadOnly
            )
        )
    }
}
