//! Reserved concurrency: which functions keep how many of their account's places for themselves. What
//! is provisioned is in `provisioned`.
//!
//! Tables of their own, since what an account has left is a sum: it is built in the transaction that
//! writes. The rules are in `model::concurrency`.

use std::collections::BTreeSet;

use dormouse_model::concurrency::{ReserveDenied, may_reserve};
use dormouse_model::names::{FunctionKey, Scope};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::database::Handle;
use crate::functions::{exists, of};
use crate::provisioned::{ProvisionedRecord, places_of, records_of};
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

/// What all functions claim of their accounts' concurrency.
#[derive(Debug, Clone)]
pub struct Concurrency {
    pub(crate) database: Handle,
}

/// What one function claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimRecord {
    /// What it has reserved, if it has.
    pub reserved: Option<u32>,
    /// What is provisioned for its versions and aliases.
    pub provisioned: Vec<ProvisionedRecord>,
}

/// Why nothing was reserved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReserveError {
    /// There is no such function.
    #[error("no such function")]
    Missing,
    /// The rules do not allow it.
    #[error(transparent)]
    Denied(#[from] ReserveDenied),
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
    /// When there is no such function, the rules do not allow it, or it cannot be written.
    pub async fn reserve(&self, key: &FunctionKey, places: u32) -> Result<(), ReserveError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                if !exists(connection, &key)? {
                    return Err(ReserveError::Missing);
                }
                let others = claimed(connection, &key.scope, Some(&key))?;
                may_reserve(places, places_of(connection, &key, None)?, others)?;
                release(connection, &key)?;
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
        self.database.read(move |connection| reserved(connection, &key)).await
    }

    /// All that a function claims.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn claim(&self, key: &FunctionKey) -> Result<ClaimRecord, StorageError> {
        let key = key.clone();
        self.database
            .read(move |connection| {
                let provisioned = records_of(connection, &key)?;
                Ok(ClaimRecord { reserved: reserved(connection, &key)?, provisioned })
            })
            .await
    }

    /// What all functions of an account in a region claim.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn total(&self, scope: &Scope) -> Result<u32, StorageError> {
        let scope = scope.clone();
        self.database.read(move |connection| claimed(connection, &scope, None)).await
    }

    /// Every function that claims something, of whatever account and region.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn claiming(&self) -> Result<BTreeSet<FunctionKey>, StorageError> {
        self.database
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT account, region, name FROM function_concurrency
                     UNION SELECT account, region, name FROM provisioned_concurrency",
                )?;
                let rows = statement.query_map([], function)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

pub(crate) fn reserved(
    connection: &Connection,
    key: &FunctionKey,
) -> Result<Option<u32>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT reserved FROM function_concurrency
         WHERE account = ?1 AND region = ?2 AND name = ?3",
    )?;
    Ok(statement.query_row(of(key), |row| row.get(0)).optional()?)
}

fn release(connection: &Connection, key: &FunctionKey) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "DELETE FROM function_concurrency WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .execute(of(key))?;
    Ok(())
}

/// What the functions of an account in a region claim, but for one of them: what they have reserved and,
/// of those that have reserved nothing, what is provisioned.
pub(crate) fn claimed(
    connection: &Connection,
    scope: &Scope,
    but: Option<&FunctionKey>,
) -> Result<u32, StorageError> {
    let but = but.map_or("", |key| key.name.as_str());
    let of = [scope.account.as_str(), scope.region.as_str(), but];
    let sum = |sql| connection.prepare_cached(sql)?.query_row(of, |row| row.get::<_, u32>(0));
    let reserved = sum("SELECT COALESCE(SUM(reserved), 0) FROM function_concurrency
         WHERE account = ?1 AND region = ?2 AND name <> ?3")?;
    let provisioned = sum("SELECT COALESCE(SUM(places), 0) FROM provisioned_concurrency p
         WHERE account = ?1 AND region = ?2 AND name <> ?3 AND NOT EXISTS (
             SELECT 1 FROM function_concurrency r
             WHERE r.account = p.account AND r.region = p.region AND r.name = p.name)")?;
    Ok(reserved.saturating_add(provisioned))
}

fn function(row: &Row<'_>) -> rusqlite::Result<FunctionKey> {
    fn name<T: std::str::FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
        let text: String = row.get(index)?;
        text.parse().map_err(|_| rusqlite::Error::InvalidQuery)
    }
    let scope = Scope { account: name(row, 0)?, region: name(row, 1)? };
    Ok(FunctionKey { scope, name: name(row, 2)? })
}
