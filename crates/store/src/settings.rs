//! What is kept beside a function and is configuration only: a record of each kind for each
//! qualifier, gone with the function.
//!
//! Knows nothing of which versions and aliases there are: a record is found by its qualifier's text,
//! and whoever deletes a version or an alias says so.

use std::sync::Arc;

use dormouse_model::behaviour::{RecursiveLoop, RuntimeUpdate};
use dormouse_model::event_invoke::EventInvokeConfig;
use dormouse_model::names::{FunctionKey, Qualifier, Version};
use dormouse_model::permission::FunctionPolicy;
use dormouse_model::url::FunctionUrl;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::database::Handle;
use crate::functions::{exists, of};
use crate::{ChangeError, StorageError};

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE function_settings (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        qualifier TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (account, region, name, kind, qualifier),
        FOREIGN KEY (account, region, name)
            REFERENCES functions (account, region, name) ON DELETE CASCADE
    );
";

/// A kind of record that functions have one of for each qualifier.
pub trait Setting: Serialize + DeserializeOwned + Send + 'static {
    /// Names the kind; never changes, since it is stored.
    const KIND: &'static str;
}

impl Setting for FunctionUrl {
    const KIND: &'static str = "url";
}

impl Setting for RecursiveLoop {
    const KIND: &'static str = "recursion";
}

impl Setting for RuntimeUpdate {
    const KIND: &'static str = "runtime-management";
}

impl Setting for EventInvokeConfig {
    const KIND: &'static str = "event-invoke";
}

impl Setting for FunctionPolicy {
    const KIND: &'static str = "policy";
}

/// The settings of all functions.
#[derive(Debug, Clone)]
pub struct Settings {
    database: Handle,
}

impl Settings {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// One record. No qualifier and `$LATEST` mean the same.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get<S: Setting>(
        &self,
        key: &FunctionKey,
        qualifier: Option<&Qualifier>,
    ) -> Result<Option<S>, StorageError> {
        let (key, qualifier) = (key.clone(), text(qualifier));
        self.database.read(move |connection| select(connection, &key, &qualifier)).await
    }

    /// The records of a function in the order of their qualifiers' texts, from the one that follows
    /// `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list<S: Setting>(
        &self,
        key: &FunctionKey,
        after: Option<&Qualifier>,
        limit: usize,
    ) -> Result<Vec<(Qualifier, S)>, StorageError> {
        let (key, after) = (key.clone(), after.map_or_else(String::new, ToString::to_string));
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record, qualifier FROM function_settings
                     WHERE account = ?1 AND region = ?2 AND name = ?3 AND kind = ?4
                         AND qualifier > ?5
                     ORDER BY qualifier LIMIT ?6",
                )?;
                let [account, region, name] = of(&key);
                let mut rows =
                    statement.query(params![account, region, name, S::KIND, after, limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push((qualifier(row)?, setting(row)?));
                }
                Ok(found)
            })
            .await
    }

    /// Replaces a record, or its absence, by what `change` makes of it, and answers that. The inner
    /// error is `change`'s own, which leaves all as it was.
    ///
    /// # Errors
    /// When there is no such function, or the record cannot be read or written.
    pub async fn change<S: Setting, E: Send + 'static>(
        &self,
        key: &FunctionKey,
        qualifier: Option<&Qualifier>,
        change: impl FnOnce(Option<S>) -> Result<Option<S>, E> + Send + 'static,
    ) -> Result<Result<Option<S>, E>, ChangeError> {
        let (key, qualifier) = (key.clone(), text(qualifier));
        self.database
            .write(move |connection| {
                if !exists(connection, &key)? {
                    return Err(ChangeError::Missing);
                }
                let changed = change(select(connection, &key, &qualifier)?);
                match &changed {
                    Ok(Some(setting)) => write(connection, &key, &qualifier, setting)?,
                    Ok(None) => remove::<S>(connection, &key, &qualifier)?,
                    Err(_) => {}
                }
                Ok(changed)
            })
            .await
    }
}

/// What stands in the column: the function itself is its `$LATEST`.
fn text(qualifier: Option<&Qualifier>) -> String {
    qualifier.map_or_else(|| Version::Latest.to_string(), ToString::to_string)
}

fn write<S: Setting>(
    connection: &Connection,
    key: &FunctionKey,
    qualifier: &str,
    setting: &S,
) -> Result<(), StorageError> {
    let [account, region, name] = of(key);
    let record = serde_json::to_string(setting).expect("a setting serialises: it has no odd maps");
    connection
        .prepare_cached(
            "INSERT INTO function_settings (account, region, name, kind, qualifier, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (account, region, name, kind, qualifier)
                 DO UPDATE SET record = excluded.record",
        )?
        .execute(params![account, region, name, S::KIND, qualifier, record])?;
    Ok(())
}

fn remove<S: Setting>(
    connection: &Connection,
    key: &FunctionKey,
    qualifier: &str,
) -> Result<(), StorageError> {
    let [account, region, name] = of(key);
    connection
        .prepare_cached(
            "DELETE FROM function_settings
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND kind = ?4 AND qualifier = ?5",
        )?
        .execute(params![account, region, name, S::KIND, qualifier])?;
    Ok(())
}

/// Forgets every setting of a version or an alias that is deleted in the same transaction.
pub(crate) fn forget(
    connection: &Connection,
    key: &FunctionKey,
    qualifier: &str,
) -> Result<(), StorageError> {
    let [account, region, name] = of(key);
    connection
        .prepare_cached(
            "DELETE FROM function_settings
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND qualifier = ?4",
        )?
        .execute(params![account, region, name, qualifier])?;
    Ok(())
}

fn select<S: Setting>(
    connection: &Connection,
    key: &FunctionKey,
    qualifier: &str,
) -> Result<Option<S>, StorageError> {
    let [account, region, name] = of(key);
    connection
        .prepare_cached(
            "SELECT name, record FROM function_settings
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND kind = ?4 AND qualifier = ?5",
        )?
        .query_row(params![account, region, name, S::KIND, qualifier], |row| Ok(setting(row)))
        .optional()?
        .transpose()
}

fn qualifier(row: &Row<'_>) -> Result<Qualifier, StorageError> {
    let text: String = row.get(2)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(error)).into()
    })
}

/// Reads a row of name and record.
fn setting<S: Setting>(row: &Row<'_>) -> Result<S, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: S::KIND,
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}
