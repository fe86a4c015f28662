//! Aliases of functions. They go with their function.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_model::alias::Alias;
use dormouse_model::names::{AliasName, FunctionKey, Version};
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use crate::database::Handle;
use crate::functions::{self, of};
use crate::provisioned;
use crate::settings;
use crate::versions;
use crate::{ChangeError, StorageError};

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE aliases (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        function TEXT NOT NULL,
        name TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (account, region, function, name),
        FOREIGN KEY (account, region, function)
            REFERENCES functions (account, region, name) ON DELETE CASCADE
    );
";

/// The aliases of the functions of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Aliases {
    database: Handle,
}

impl Aliases {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Writes what `make` makes of an alias, if it is there, and of the numbers of its function's
    /// versions, in one step. The inner error is its own, which leaves all as it was.
    ///
    /// # Errors
    /// When there is no such function, or it cannot be read or written.
    pub async fn put<E: Send + 'static>(
        &self,
        key: &FunctionKey,
        name: &AliasName,
        make: impl FnOnce(Option<&Alias>, &BTreeSet<u64>) -> Result<Alias, E> + Send + 'static,
    ) -> Result<Result<Alias, E>, ChangeError> {
        let (key, name) = (key.clone(), name.clone());
        self.database
            .write(move |connection| {
                functions::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let current = select(connection, &key, &name)?;
                let numbers = versions::numbers(connection, &key)?;
                let made = make(current.as_ref(), &numbers);
                if let Ok(alias) = &made {
                    debug_assert_eq!(alias.name, name, "a change must keep the name");
                    replace(connection, alias)?;
                }
                Ok(made)
            })
            .await
    }

    /// One alias.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(
        &self,
        key: &FunctionKey,
        name: &AliasName,
    ) -> Result<Option<Alias>, StorageError> {
        let (key, name) = (key.clone(), name.clone());
        self.database.read(move |connection| select(connection, &key, &name)).await
    }

    /// Aliases of a function in the order of their names, from the one that follows `after`: all,
    /// or those that run a version.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        key: &FunctionKey,
        runs: Option<Version>,
        after: Option<&AliasName>,
        limit: usize,
    ) -> Result<Vec<Alias>, StorageError> {
        let key = key.clone();
        let after = after.map_or_else(String::new, ToString::to_string);
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM aliases
                     WHERE account = ?1 AND region = ?2 AND function = ?3 AND name > ?4
                     ORDER BY name",
                )?;
                let [account, region, function] = of(&key);
                let rows = statement.query(params![account, region, function, after])?;
                take(rows, limit, |alias| runs.is_none_or(|version| alias.runs(version)))
            })
            .await
    }

    /// Every alias of one function, or of all functions there are.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn all(&self, key: Option<&FunctionKey>) -> Result<Vec<Alias>, StorageError> {
        let key = key.cloned();
        self.database
            .read(move |connection| match key {
                Some(key) => of_function(connection, &key),
                None => {
                    let sql = "SELECT name, record FROM aliases";
                    take(connection.prepare_cached(sql)?.query([])?, usize::MAX, |_| true)
                }
            })
            .await
    }

    /// Removes an alias. One that is not there is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn delete(&self, key: &FunctionKey, name: &AliasName) -> Result<(), StorageError> {
        let (key, name) = (key.clone(), name.clone());
        self.database
            .write(move |connection| {
                let [account, region, function] = of(&key);
                connection
                    .prepare_cached(
                        "DELETE FROM aliases
                         WHERE account = ?1 AND region = ?2 AND function = ?3 AND name = ?4",
                    )?
                    .execute(params![account, region, function, name.as_str()])?;
                provisioned::forget(connection, &key, name.as_str())?;
                settings::forget(connection, &key, name.as_str())
            })
            .await
    }
}

/// Every alias of a function, in the order of their names.
pub(crate) fn of_function(
    connection: &Connection,
    key: &FunctionKey,
) -> Result<Vec<Alias>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, record FROM aliases
         WHERE account = ?1 AND region = ?2 AND function = ?3 ORDER BY name",
    )?;
    take(statement.query(of(key))?, usize::MAX, |_| true)
}

fn select(
    connection: &Connection,
    key: &FunctionKey,
    name: &AliasName,
) -> Result<Option<Alias>, StorageError> {
    let [account, region, function] = of(key);
    connection
        .prepare_cached(
            "SELECT name, record FROM aliases
             WHERE account = ?1 AND region = ?2 AND function = ?3 AND name = ?4",
        )?
        .query_row(params![account, region, function, name.as_str()], |row| Ok(alias(row)))
        .optional()?
        .transpose()
}

fn replace(connection: &Connection, alias: &Alias) -> Result<(), StorageError> {
    let [account, region, function] = of(&alias.function);
    let record = serde_json::to_string(alias).expect("an alias serialises: it holds no maps");
    connection
        .prepare_cached(
            "INSERT INTO aliases (account, region, function, name, record)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (account, region, function, name) DO UPDATE SET record = ?5",
        )?
        .execute(params![account, region, function, alias.name.as_str(), record])?;
    Ok(())
}

fn take(
    mut rows: Rows<'_>,
    limit: usize,
    wanted: impl Fn(&Alias) -> bool,
) -> Result<Vec<Alias>, StorageError> {
    let mut taken = Vec::new();
    while taken.len() < limit
        && let Some(row) = rows.next()?
    {
        let alias = alias(row)?;
        if wanted(&alias) {
            taken.push(alias);
        }
    }
    Ok(taken)
}

/// Reads a row of name and record.
fn alias(row: &Row<'_>) -> Result<Alias, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: "alias",
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}
