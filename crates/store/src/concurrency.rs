//! Reserved concurrency: which functions keep how many of their account's places for themselves.
//!
//! A table of its own, since what an account has left is a sum.

use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Scope};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::database::Handle;
use crate::functions::{exists, of};
use crate::{ChangeError, StorageError};

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE function_concurrency (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        reserved BIGINT NOT NULL,
        PRIMARY KEY (account, region, name),
        FOREIGN KEY (account, region, name)
            REFERENCES functions (account, region, name) ON DELETE CASCADE
    );
";

/// The reservations of all functions.
#[derive(Debug, Clone)]
pub struct Concurrency {
    database: Handle,
}

/// Why nothing was reserved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReserveError {
    /// There is no such function.
    #[error("no such function")]
    Missing,
    /// The functions that reserve nothing would have too little left.
    #[error("too little would be left unreserved")]
    TooMuch,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for ReserveError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl Concurrency {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Reserves places for a function, in place of what it had reserved before.
    ///
    /// # Errors
    /// When there is no such function, too little would be left, or it cannot be written.
    pub async fn reserve(&self, key: &FunctionKey, places: u32) -> Result<(), ReserveError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                if !exists(connection, &key)? {
                    return Err(ReserveError::Missing);
                }
                release(connection, &key)?;
                let most = limits::ACCOUNT_CONCURRENCY - limits::UNRESERVED_CONCURRENCY;
                if total(connection, &key.scope)?.saturating_add(places) > most {
                    return Err(ReserveError::TooMuch);
                }
                let [account, region, name] = of(&key);
                connection
                    .prepare_cached(
                        "INSERT INTO function_concurrency (account, region, name, reserved)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![account, region, name, places])?;
                Ok(())
            })
            .await
    }

    /// Gives back what a function has reserved, if it has.
    ///
    /// # Errors
    /// When there is no such function, or it cannot be written.
    pub async fn release(&self, key: &FunctionKey) -> Result<(), ChangeError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                if !exists(connection, &key)? {
                    return Err(ChangeError::Missing);
                }
                Ok(release(connection, &key)?)
            })
            .await
    }

    /// What a function has reserved.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn of(&self, key: &FunctionKey) -> Result<Option<u32>, StorageError> {
        let key = key.clone();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT reserved FROM function_concurrency
                     WHERE account = ?1 AND region = ?2 AND name = ?3",
                )?;
                Ok(statement.query_row(of(&key), |row| row.get(0)).optional()?)
            })
            .await
    }

    /// What all functions of an account in a region have reserved.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn total(&self, scope: &Scope) -> Result<u32, StorageError> {
        let scope = scope.clone();
        self.database.read(move |connection| total(connection, &scope)).await
    }

    /// Every reservation, of whatever account and region.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn all(&self) -> Result<Vec<(FunctionKey, u32)>, StorageError> {
        self.database
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT account, region, name, reserved FROM function_concurrency",
                )?;
                let rows = statement.query_map([], reservation)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

fn release(connection: &Connection, key: &FunctionKey) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "DELETE FROM function_concurrency WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .execute(of(key))?;
    Ok(())
}

fn total(connection: &Connection, scope: &Scope) -> Result<u32, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT COALESCE(SUM(reserved), 0) FROM function_concurrency
         WHERE account = ?1 AND region = ?2",
    )?;
    let of = [scope.account.as_str(), scope.region.as_str()];
    Ok(statement.query_row(of, |row| row.get(0))?)
}

fn reservation(row: &Row<'_>) -> rusqlite::Result<(FunctionKey, u32)> {
    fn name<T: std::str::FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
        let text: String = row.get(index)?;
        text.parse().map_err(|_| rusqlite::Error::InvalidQuery)
    }
    let scope = Scope { account: name(row, 0)?, region: name(row, 1)? };
    Ok((FunctionKey { scope, name: name(row, 2)? }, row.get(3)?))
}
