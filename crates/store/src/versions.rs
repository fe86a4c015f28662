//! Published versions of functions.
//!
//! A function's row of numbers only counts: it stays when versions or the function itself are deleted, so
//! that no number is ever given out twice. All else goes with the function.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_model::function::Function;
use dormouse_model::names::{AliasName, FunctionKey, FunctionName, Scope, Version};
use dormouse_model::version::{Publication, PublishedVersion, Snapshot};
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use crate::aliases;
use crate::database::Handle;
use crate::functions::{self, CreateFunctionError, digest_column, held, of};
use crate::provisioned;
use crate::settings;
use crate::{ChangeError, StorageError};

/// The tables. Plain SQL: they must suit PostgreSQL too.
pub(crate) const TABLES: &str = "
    CREATE TABLE function_numbers (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        last_number BIGINT NOT NULL,
        PRIMARY KEY (account, region, name)
    );
    CREATE TABLE function_versions (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        number BIGINT NOT NULL,
        settling INTEGER NOT NULL,
        code_bytes BIGINT NOT NULL,
        code_digest TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (account, region, name, number),
        FOREIGN KEY (account, region, name)
            REFERENCES functions (account, region, name) ON DELETE CASCADE
    );
    CREATE TABLE function_version_layers (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        number BIGINT NOT NULL,
        code_digest TEXT NOT NULL,
        PRIMARY KEY (account, region, name, number, code_digest),
        FOREIGN KEY (account, region, name, number)
            REFERENCES function_versions (account, region, name, number) ON DELETE CASCADE
    );
";

/// The published versions of the functions of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Versions {
    database: Handle,
}

/// A row of a list: `$LATEST` of a function or a version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The version's number; none for `$LATEST`.
    pub number: Option<u64>,
    /// The function as it shows.
    pub function: Function,
}

/// Why a version was not deleted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeleteVersionError {
    /// There is none of that number.
    #[error("no such version")]
    Missing,
    /// Aliases run it.
    #[error("aliases run the version")]
    Held(Vec<AliasName>),
    /// It could not be removed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Versions {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Adds a function together with a version of it.
    ///
    /// # Errors
    /// When there is a function of that name, or they cannot be written.
    pub async fn create(
        &self,
        function: Function,
        snapshot: Snapshot,
    ) -> Result<PublishedVersion, CreateFunctionError> {
        self.database
            .write(move |connection| {
                let record = functions::record(&function);
                if functions::insert(connection, &function, &record)? == 0 {
                    return Err(CreateFunctionError::Exists);
                }
                Ok(insert(connection, snapshot)?)
            })
            .await
    }

    /// Changes a function and publishes it, in one step: what `publish` makes of the function and
    /// its newest version. The inner error is its own, which leaves all as it was.
    ///
    /// # Errors
    /// When there is no such function, or it cannot be read or written.
    pub async fn publish<E: Send + 'static>(
        &self,
        key: &FunctionKey,
        publish: impl FnOnce(&Function, Option<&PublishedVersion>) -> Result<Publication, E>
        + Send
        + 'static,
    ) -> Result<Result<(Function, PublishedVersion), E>, ChangeError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let current = functions::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let newest = newest(connection, &key)?;
                let publication = match publish(&current, newest.as_ref()) {
                    Ok(publication) => publication,
                    Err(denied) => return Ok(Err(denied)),
                };
                let newest = || newest.ok_or(ChangeError::Missing);
                Ok(Ok(match publication {
                    Publication::Unchanged => (current, newest()?),
                    Publication::Again { function } => {
                        functions::update(connection, &function)?;
                        (*function, newest()?)
                    }
                    Publication::New { function, snapshot } => {
                        functions::update(connection, &function)?;
                        (*function, insert(connection, *snapshot)?)
                    }
                }))
            })
            .await
    }

    /// Replaces a function, and with it every version that waits for it to be ready: like
    /// [`Functions::change`](crate::functions::Functions::change), in one step.
    ///
    /// # Errors
    /// When there is no such function, or it cannot be read or written.
    pub async fn settle<E: Send + 'static>(
        &self,
        key: &FunctionKey,
        change: impl FnOnce(&Function) -> Result<Function, E> + Send + 'static,
        settle: impl Fn(&PublishedVersion) -> PublishedVersion + Send + 'static,
    ) -> Result<Result<Function, E>, ChangeError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let current = functions::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let changed = change(&current);
                if let Ok(function) = &changed {
                    functions::update(connection, function)?;
                    for version in settling(connection, &key)? {
                        update(connection, &settle(&version))?;
                    }
                }
                Ok(changed)
            })
            .await
    }

    /// Replaces one version by what `change` makes of it. One that was deleted is left alone.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn change(
        &self,
        key: &FunctionKey,
        number: u64,
        change: impl FnOnce(&PublishedVersion) -> PublishedVersion + Send + 'static,
    ) -> Result<(), StorageError> {
        let key = key.clone();
        self.database
            .write(move |connection| match select(connection, &key, number)? {
                Some(version) => update(connection, &change(&version)),
                None => Ok(()),
            })
            .await
    }

    /// One version.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(
        &self,
        key: &FunctionKey,
        number: u64,
    ) -> Result<Option<PublishedVersion>, StorageError> {
        let key = key.clone();
        self.database.read(move |connection| select(connection, &key, number)).await
    }

    /// `$LATEST` and then the versions of a function, oldest first, from the one that follows
    /// `after`; `$LATEST` follows nothing.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        key: &FunctionKey,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Listed>, StorageError> {
        let key = key.clone();
        self.database
            .read(move |connection| {
                let sql = listing("name = ?3 AND number > ?4", 5);
                let mut statement = connection.prepare_cached(&sql)?;
                let [account, region, name] = of(&key);
                let after = after.map_or(-1, column);
                listed(statement.query(params![account, region, name, after, limit])?)
            })
            .await
    }

    /// Functions in the order of their names, each followed by its versions, from what follows
    /// `after`: a function, and the last version of it that was seen, 0 for `$LATEST`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_all(
        &self,
        scope: &Scope,
        after: Option<&(FunctionName, u64)>,
        limit: usize,
    ) -> Result<Vec<Listed>, StorageError> {
        let scope = scope.clone();
        let (name, number) = match after {
            Some((name, number)) => (name.to_string(), column(*number)),
            None => (String::new(), 0),
        };
        self.database
            .read(move |connection| {
                let sql = listing("(name > ?3 OR (name = ?3 AND number > ?4))", 5);
                let mut statement = connection.prepare_cached(&sql)?;
                let of = (scope.account.as_str(), scope.region.as_str());
                listed(statement.query(params![of.0, of.1, name, number, limit])?)
            })
            .await
    }

    /// Every version of one function, or of all functions there are.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn all(
        &self,
        key: Option<&FunctionKey>,
    ) -> Result<Vec<PublishedVersion>, StorageError> {
        let key = key.cloned();
        self.database
            .read(move |connection| match key {
                Some(key) => {
                    let mut statement = connection.prepare_cached(
                        "SELECT name, record FROM function_versions
                         WHERE account = ?1 AND region = ?2 AND name = ?3",
                    )?;
                    versions(statement.query(of(&key))?)
                }
                None => {
                    let sql = "SELECT name, record FROM function_versions";
                    versions(connection.prepare_cached(sql)?.query([])?)
                }
            })
            .await
    }

    /// Removes a version that no alias runs.
    ///
    /// # Errors
    /// When there is none, an alias runs it, or it cannot be removed.
    pub async fn delete(&self, key: &FunctionKey, number: u64) -> Result<(), DeleteVersionError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let mut held = aliases::of_function(connection, &key)?;
                held.retain(|alias| alias.runs(Version::Number(number)));
                if !held.is_empty() {
                    let names = held.into_iter().map(|alias| alias.name).collect();
                    return Err(DeleteVersionError::Held(names));
                }
                match remove(connection, &key, number)? {
                    0 => Err(DeleteVersionError::Missing),
                    _ => {
                        provisioned::forget(connection, &key, &number.to_string())?;
                        Ok(settings::forget(connection, &key, &number.to_string())?)
                    }
                }
            })
            .await
    }

    /// Bytes of the packages of all versions of an account in a region, counted as often as published.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn code_bytes(&self, scope: &Scope) -> Result<u64, StorageError> {
        let scope = scope.clone();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT COALESCE(SUM(code_bytes), 0) FROM function_versions
                     WHERE account = ?1 AND region = ?2",
                )?;
                let of = [scope.account.as_str(), scope.region.as_str()];
                Ok(statement.query_row(of, |row| row.get(0))?)
            })
            .await
    }
}

/// Functions, as number 0, and versions under a condition.
fn listing(condition: &str, limit: u8) -> String {
    format!(
        "SELECT name, record, number FROM (
             SELECT account, region, name, record, 0 AS number FROM functions
             UNION ALL SELECT account, region, name, record, number FROM function_versions
         ) WHERE account = ?1 AND region = ?2 AND {condition}
         ORDER BY name, number LIMIT ?{limit}"
    )
}

fn listed(mut rows: Rows<'_>) -> Result<Vec<Listed>, StorageError> {
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        let latest = row.get::<_, u64>(2)? == 0;
        listed.push(if latest {
            Listed { number: None, function: functions::function(row)? }
        } else {
            let version = version(row)?;
            Listed { number: Some(version.number), function: version.snapshot.function }
        });
    }
    Ok(listed)
}

fn next_number(connection: &Connection, key: &FunctionKey) -> Result<u64, StorageError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO function_numbers (account, region, name, last_number) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT (account, region, name)
         DO UPDATE SET last_number = function_numbers.last_number + 1
         RETURNING last_number",
    )?;
    Ok(statement.query_row(of(key), |row| row.get(0))?)
}

pub(crate) fn insert(
    connection: &Connection,
    snapshot: Snapshot,
) -> Result<PublishedVersion, StorageError> {
    let number = next_number(connection, &snapshot.function.key)?;
    let version = PublishedVersion { number, snapshot };
    let function = &version.snapshot.function;
    let [account, region, name] = of(&function.key);
    connection
        .prepare_cached(
            "INSERT INTO function_versions (account, region, name, number, settling, code_bytes,
                 code_digest, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            account,
            region,
            name,
            column(number),
            u8::from(function.is_settling()),
            function.code.size_bytes(),
            digest_column(&function.code),
            record(&version),
        ])?;
    let mut hold = connection.prepare_cached(
        "INSERT INTO function_version_layers (account, region, name, number, code_digest)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    for digest in held(&function.configuration, &function.code) {
        hold.execute(params![account, region, name, column(number), digest.as_str()])?;
    }
    Ok(version)
}

/// Only whether a version is ready can change, which concerns neither code nor layers.
fn update(connection: &Connection, version: &PublishedVersion) -> Result<(), StorageError> {
    let function = &version.snapshot.function;
    let [account, region, name] = of(&function.key);
    connection
        .prepare_cached(
            "UPDATE function_versions SET settling = ?5, record = ?6
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
        )?
        .execute(params![
            account,
            region,
            name,
            column(version.number),
            u8::from(function.is_settling()),
            record(version),
        ])?;
    Ok(())
}

fn select(
    connection: &Connection,
    key: &FunctionKey,
    number: u64,
) -> Result<Option<PublishedVersion>, StorageError> {
    let [account, region, name] = of(key);
    connection
        .prepare_cached(
            "SELECT name, record FROM function_versions
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
        )?
        .query_row(params![account, region, name, column(number)], |row| Ok(version(row)))
        .optional()?
        .transpose()
}

/// The numbers of a function's versions.
pub(crate) fn numbers(
    connection: &Connection,
    key: &FunctionKey,
) -> Result<BTreeSet<u64>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT number FROM function_versions WHERE account = ?1 AND region = ?2 AND name = ?3",
    )?;
    let numbers = statement.query_map(of(key), |row| row.get(0))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}

fn remove(connection: &Connection, key: &FunctionKey, number: u64) -> Result<usize, StorageError> {
    let [account, region, name] = of(key);
    let mut statement = connection.prepare_cached(
        "DELETE FROM function_versions
         WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
    )?;
    Ok(statement.execute(params![account, region, name, column(number)])?)
}

fn newest(
    connection: &Connection,
    key: &FunctionKey,
) -> Result<Option<PublishedVersion>, StorageError> {
    connection
        .prepare_cached(
            "SELECT name, record FROM function_versions
             WHERE account = ?1 AND region = ?2 AND name = ?3 ORDER BY number DESC LIMIT 1",
        )?
        .query_row(of(key), |row| Ok(version(row)))
        .optional()?
        .transpose()
}

fn settling(
    connection: &Connection,
    key: &FunctionKey,
) -> Result<Vec<PublishedVersion>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, record FROM function_versions
         WHERE account = ?1 AND region = ?2 AND name = ?3 AND settling = 1",
    )?;
    versions(statement.query(of(key))?)
}

/// A number as a column holds it; one that is too large finds nothing.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn record(version: &PublishedVersion) -> String {
    serde_json::to_string(version).expect("a version serialises: all keys of its maps are strings")
}

fn versions(mut rows: Rows<'_>) -> Result<Vec<PublishedVersion>, StorageError> {
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        versions.push(version(row)?);
    }
    Ok(versions)
}

/// Reads a row of name and record.
fn version(row: &Row<'_>) -> Result<PublishedVersion, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: "function version",
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}
