//! The store as a whole: a directory that one process owns, with its databases.
//!
//! Hands out handles, each good for one kind of record. Must never be given to what needs only one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::aliases::{self, Aliases};
use crate::code_signing::{self, CodeSigning};
use crate::concurrency::{self, Concurrency};
use crate::database::{Database, Schema};
use crate::events::{self, QueuedEvents};
use crate::functions::{self, Functions};
use crate::iam::{self, AccessKeys, Groups, InstanceProfiles, Policies, Roles, Users};
use crate::layers::{self, Layers};
use crate::lock::{DirectoryLock, LockError};
use crate::logs::{self, Logs};
use crate::metrics::{self, Metrics};
use crate::objects::{self, Objects};
use crate::provisioned;
use crate::queue::{self, QueueArrivals, Queues};
use crate::resources::{self, Resources};
use crate::settings::{self, Settings};
use crate::versions::{self, Versions};

/// What was acknowledged: a power cut must not take it.
const RECORDS: Schema = Schema {
    file: "dormouse.db",
    synchronous: "FULL",
    migrations: &[
        functions::TABLE,
        iam::ROLES,
        layers::TABLES,
        versions::TABLES,
        settings::TABLE,
        concurrency::TABLE,
        aliases::TABLE,
        iam::TABLE,
        iam::ROLES_AND_KEYS,
        resources::TABLE,
        provisioned::TABLE,
        code_signing::TABLE,
    ],
    sweep: |_| Ok(false),
};

/// A power cut may take the last log lines; nothing else may.
const LOGS: Schema = Schema {
    file: "logs.db",
    synchronous: "NORMAL",
    migrations: &[
        logs::schema::TABLES,
        logs::schema::GROUP_SETTINGS,
        metrics::schema::TABLES,
        logs::streams::TO_SWEEP,
        logs::rows::LENGTHS,
    ],
    sweep: logs::write::sweep,
};

/// Messages and events that were acknowledged. Apart from the records: nobody who changes one waits
/// for them.
const QUEUES: Schema = Schema {
    file: "queues.db",
    synchronous: "FULL",
    migrations: &[queue::schema::TABLES, events::schema::TABLES],
    sweep: |connection| Ok(queue::schema::sweep(connection)? | events::schema::sweep(connection)?),
};

/// Objects that were acknowledged. Apart from the records: there may be very many.
const OBJECTS: Schema = Schema {
    file: "objects.db",
    synchronous: "FULL",
    migrations: &[objects::schema::TABLES],
    sweep: objects::schema::sweep,
};

/// An open data directory.
///
/// Its handles answer [`StorageError::Closed`](crate::StorageError::Closed) once it is closed or
/// dropped; what was accepted before is still written.
#[derive(Debug)]
pub struct Store {
    records: Database,
    logs: Database,
    queues: Database,
    objects: Database,
    arrivals: QueueArrivals,
    followers: logs::Followers,
    directory: PathBuf,
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
        make_durably(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let lock = Arc::new(lock(directory)?);
        let records = Database::open(directory, &RECORDS, Arc::clone(&lock))?;
        let logs = Database::open(directory, &LOGS, Arc::clone(&lock))?;
        let queues = Database::open(directory, &QUEUES, Arc::clone(&lock))?;
        let objects = Database::open(directory, &OBJECTS, lock)?;
        sync(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let (arrivals, followers) = (QueueArrivals::default(), logs::Followers::default());
        let directory = directory.to_owned();
        Ok(Self { records, logs, queues, objects, arrivals, followers, directory })
    }

    /// Functions.
    #[must_use]
    pub fn functions(&self) -> Functions {
        Functions::new(self.records.handle())
    }

    /// What functions reserve of their account's concurrency.
    #[must_use]
    pub fn concurrency(&self) -> Concurrency {
        Concurrency::new(self.records.handle())
    }

    /// Layers.
    #[must_use]
    pub fn layers(&self) -> Layers {
        Layers::new(self.records.handle())
    }

    /// Published versions.
    #[must_use]
    pub fn versions(&self) -> Versions {
        Versions::new(self.records.handle())
    }

    /// What is kept beside functions.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::new(self.records.handle())
    }

    /// Aliases.
    #[must_use]
    pub fn aliases(&self) -> Aliases {
        Aliases::new(self.records.handle())
    }

    /// Which code signing configurations functions have.
    #[must_use]
    pub fn code_signing(&self) -> CodeSigning {
        CodeSigning::new(self.records.handle())
    }

    /// Event source mappings and other records of an account in a region.
    #[must_use]
    pub fn resources(&self) -> Resources {
        Resources::new(self.records.handle())
    }

    /// IAM roles.
    #[must_use]
    pub fn roles(&self) -> Roles {
        Roles::new(self.records.handle())
    }

    /// IAM's managed policies.
    #[must_use]
    pub fn policies(&self) -> Policies {
        Policies::new(self.records.handle())
    }

    /// IAM users.
    #[must_use]
    pub fn users(&self) -> Users {
        Users::new(self.records.handle())
    }

    /// IAM groups.
    #[must_use]
    pub fn groups(&self) -> Groups {
        Groups::new(self.records.handle())
    }

    /// IAM's instance profiles.
    #[must_use]
    pub fn instance_profiles(&self) -> InstanceProfiles {
        InstanceProfiles::new(self.records.handle())
    }

    /// Access keys of users.
    #[must_use]
    pub fn access_keys(&self) -> AccessKeys {
        AccessKeys::new(self.records.handle())
    }

    /// Logs.
    #[must_use]
    pub fn logs(&self) -> Logs {
        Logs::new(self.logs.handle(), self.followers.clone())
    }

    /// Metrics.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.logs.handle())
    }

    /// Queues.
    #[must_use]
    pub fn queues(&self) -> Queues {
        Queues::new(self.queues.handle(), self.arrivals.clone())
    }

    /// Buckets and objects. Opens their files, once in the life of a store: `run` is chance that was
    /// never one before. Blocks while it does.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn objects(&self, run: u128) -> io::Result<Objects> {
        Objects::open(self.objects.handle(), &self.directory, run)
    }

    /// Events that wait to be run.
    #[must_use]
    pub fn events(&self) -> QueuedEvents {
        QueuedEvents::new(self.queues.handle())
    }

    /// Writes what was accepted, ends the writers and gives the directory up.
    pub async fn close(self) {
        self.logs.close().await;
        self.queues.close().await;
        self.objects.close().await;
        self.records.close().await;
    }
}

fn lock(directory: &Path) -> Result<DirectoryLock, OpenError> {
    let path = directory.join("dormouse.lock");
    DirectoryLock::take(&path).map_err(|error| match error {
        LockError::Held(process) => OpenError::Locked { path: directory.to_owned(), process },
        LockError::Io(source) => OpenError::Directory { path, source },
    })
}

/// Only we may look inside: records hold the functions' environment variables.
fn make_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    directory.canonicalize()?.parent().map_or(Ok(()), sync)
}

/// A file that was made is only sure to be found again once its directory is synced.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::StorageError;

    /// What the writer of a database says of how it writes.
    async fn check(database: &Database, expected: &str) {
        let pragmas = |connection: &Connection| {
            let number = |name| connection.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
            let journal: String =
                connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            let (sync, keys) = (number("synchronous")?, number("foreign_keys")?);
            Ok::<_, StorageError>(format!("{journal} synchronous={sync} foreign_keys={keys}"))
        };
        assert_eq!(database.handle().write(pragmas).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn records_are_synced_with_every_commit_and_logs_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        check(&store.records, "wal synchronous=2 foreign_keys=1").await;
        check(&store.logs, "wal synchronous=1 foreign_keys=1").await;
    }

    #[tokio::test]
    async fn roles_of_before_are_there_when_they_have_become_entities() {
        let directory = tempfile::tempdir().unwrap();
        let tables = RECORDS.migrations.iter().position(|it| *it == iam::ROLES_AND_KEYS).unwrap();
        let before = Schema { migrations: &RECORDS.migrations[..tables], ..RECORDS };
        let old = lock(directory.path()).unwrap();
        let old = Database::open(directory.path(), &before, Arc::new(old)).unwrap();
        let record = r#"{"account":"123456789012","name":"R","path":"/p/","arn":"a","role_id":"i",
            "assume_role_policy":"{}","description":null,"max_session_duration_s":3600,
            "created_ms":1,"permissions_boundary":null,"tags":{},"attached":["b"],
            "inline":{"c":"{}"}}"#;
        let insert = move |connection: &Connection| {
            let sql = "INSERT INTO roles VALUES ('123456789012', 'R', 'r', '/p/', ?1)";
            Ok::<_, StorageError>(connection.execute(sql, [record])?)
        };
        old.handle().write(insert).await.unwrap();
        old.close().await;
        let store = Store::open(directory.path()).unwrap();
        let account = "123456789012".parse().unwrap();
        let roles = store.roles().list(&account, "/p/", None, 9).await.unwrap();
        assert_eq!(roles.len(), 1);
        assert!(roles[0].policies.attached.contains("b"));
        assert!(roles[0].policies.inline.contains_key("c"));
    }

    #[tokio::test]
    async fn log_events_of_before_stay_and_newer_ones_follow_them() {
        let directory = tempfile::tempdir().unwrap();
        let step = LOGS.migrations.iter().position(|it| *it == logs::rows::LENGTHS).unwrap();
        let before = Schema { migrations: &LOGS.migrations[..step], ..LOGS };
        let old = lock(directory.path()).unwrap();
        let old = Database::open(directory.path(), &before, Arc::new(old)).unwrap();
        let insert = |connection: &Connection| {
            let sql = "INSERT INTO log_groups VALUES (1, '123456789012', 'us-east-1', 'g', 1, NULL, 0, 'STANDARD', '{}');
                INSERT INTO log_streams VALUES (1, 1, 's', 1, 5, 5, 6);
                INSERT INTO log_events VALUES (7, 1, 1, 5, 6, 'a');";
            Ok::<_, StorageError>(connection.execute_batch(sql)?)
        };
        old.handle().write(insert).await.unwrap();
        old.close().await;
        let store = Store::open(directory.path()).unwrap();
        let stream = logs::StreamKey { group: group("g"), name: "s".into() };
        let events = ["b", "c"].map(|text| logs::Event { timestamp_ms: 5, message: text.into() });
        store.logs().append(&stream, events.into(), 8).await.unwrap();
        let query = logs::EventsQuery { between: 0..9, from: logs::EventsFrom::Tail, limit: 9 };
        let page = store.logs().events(&stream, query).await.unwrap();
        let told: Vec<_> = page.events.iter().map(|it| (it.id, it.message.as_str())).collect();
        assert_eq!(told, [(7, "a"), (8, "b"), (9, "c")]);
    }

    fn group(name: &str) -> logs::GroupKey {
        let scope = dormouse_model::names::Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        logs::GroupKey { scope, name: name.into() }
    }

    #[tokio::test]
    async fn what_is_swept_leaves_only_what_lives() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let stream = |name| logs::StreamKey { group: group(name), name: "s".into() };
        let event = |at| logs::Event { timestamp_ms: at, message: "x".into() };
        for name in ["gone", "kept"] {
            store.logs().append(&stream(name), (0..5_000).map(event).collect(), 1).await.unwrap();
        }
        store.logs().delete_group(&group("gone")).await.unwrap();
        // The writer sweeps a step between any two batches, so it ends however fast we ask.
        let left = |connection: &Connection| {
            let sql = "SELECT COUNT(*) FROM log_groups_to_sweep";
            Ok::<i64, StorageError>(connection.query_row(sql, [], |row| row.get(0))?)
        };
        while store.logs.handle().write(left).await.unwrap() > 0 {}
        let events = |connection: &Connection| {
            let sql = "SELECT COUNT(*) FROM log_events";
            Ok::<i64, StorageError>(connection.query_row(sql, [], |row| row.get(0))?)
        };
        assert_eq!(store.logs.handle().write(events).await.unwrap(), 5_000);
    }
}
