//! Provisioned concurrency: how many environments of a version or an alias are to be ready at all
//! times. A record of what was asked; how far it has come is known to who makes them.

use dormouse_model::alias::Alias;
use dormouse_model::concurrency::{OwnClaim, ProvisionDenied, may_have_places, may_provision};
use dormouse_model::names::{FunctionKey, Qualifier, Version};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StorageError;
use crate::concurrency::{Concurrency, claimed, reserved};
use crate::functions::{exists, of};
use crate::{aliases, versions};

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE provisioned_concurrency (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        qualifier TEXT NOT NULL,
        places BIGINT NOT NULL,
        modified_ms BIGINT NOT NULL,
        PRIMARY KEY (account, region, name, qualifier),
        FOREIGN KEY (account, region, name)
            REFERENCES functions (account, region, name) ON DELETE CASCADE
    );
";

/// What was asked for a version or an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionedRecord {
    /// The version or the alias.
    pub qualifier: Qualifier,
    /// How many environments.
    pub places: u32,
    /// When that was asked, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// Why nothing was provisioned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProvisionError {
    /// There is no such version or alias.
    #[error("no such version or alias")]
    Missing,
    /// The rules do not allow it.
    #[error(transparent)]
    Denied(#[from] ProvisionDenied),
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for ProvisionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl Concurrency {
    /// Provisions for a version or an alias of a function, in place of what there was for it before.
    ///
    /// # Errors
    /// When it is not there, the rules do not allow it, or it cannot be written.
    pub async fn provision(
        &self,
        key: &FunctionKey,
        record: ProvisionedRecord,
    ) -> Result<(), ProvisionError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                check(connection, &key, &record)?;
                let [account, region, name] = of(&key);
                let qualifier = record.qualifier.to_string();
                let ms = i64::try_from(record.modified_ms).unwrap_or(i64::MAX);
                connection
                    .prepare_cached(
                        "INSERT INTO provisioned_concurrency
                             (account, region, name, qualifier, places, modified_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                         ON CONFLICT (account, region, name, qualifier)
                             DO UPDATE SET places = ?5, modified_ms = ?6",
                    )?
                    .execute(params![account, region, name, qualifier, record.places, ms])?;
                Ok(())
            })
            .await
    }

    /// Provisions nothing any more for a version or an alias. That there was nothing is no error.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn unprovision(
        &self,
        key: &FunctionKey,
        qualifier: &Qualifier,
    ) -> Result<(), StorageError> {
        let (key, qualifier) = (key.clone(), qualifier.to_string());
        self.database.write(move |connection| forget(connection, &key, &qualifier)).await
    }

    /// What is provisioned for a version or an alias.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn provisioned(
        &self,
        key: &FunctionKey,
        qualifier: &Qualifier,
    ) -> Result<Option<ProvisionedRecord>, StorageError> {
        let (key, qualifier) = (key.clone(), qualifier.to_string());
        self.database
            .read(move |connection| {
                let [account, region, name] = of(&key);
                connection
                    .prepare_cached(
                        "SELECT qualifier, places, modified_ms FROM provisioned_concurrency
                         WHERE account = ?1 AND region = ?2 AND name = ?3 AND qualifier = ?4",
                    )?
                    .query_row([account, region, name, &qualifier], record)
                    .optional()
                    .map_err(StorageError::from)
            })
            .await
    }
}

fn check(
    connection: &Connection,
    key: &FunctionKey,
    record: &ProvisionedRecord,
) -> Result<(), ProvisionError> {
    if !exists(connection, key)? {
        return Err(ProvisionError::Missing);
    }
    let aliases = aliases::of_function(connection, key)?;
    let alias = |wanted: &Qualifier| -> Option<&Alias> {
        aliases.iter().find(|it| matches!(wanted, Qualifier::Alias(name) if *name == it.name))
    };
    let there = match &record.qualifier {
        Qualifier::Alias(_) => alias(&record.qualifier).is_some(),
        Qualifier::Version(Version::Latest) => true,
        Qualifier::Version(Version::Number(number)) => {
            versions::numbers(connection, key)?.contains(number)
        }
    };
    if !there {
        return Err(ProvisionError::Missing);
    }
    let others = records_of(connection, key)?;
    let others: Vec<Qualifier> = others.into_iter().map(|other| other.qualifier).collect();
    may_have_places(&record.qualifier, &others, alias)?;
    let own = OwnClaim {
        reserved: reserved(connection, key)?,
        provisioned: places_of(connection, key, Some(&record.qualifier))?,
    };
    may_provision(record.places, &own, claimed(connection, &key.scope, Some(key))?)?;
    Ok(())
}

/// What is provisioned for the versions and aliases of a function, but for one of them.
pub(crate) fn places_of(
    connection: &Connection,
    key: &FunctionKey,
    but: Option<&Qualifier>,
) -> Result<u32, StorageError> {
    let [account, region, name] = of(key);
    let but = but.map_or_else(String::new, ToString::to_string);
    let mut statement = connection.prepare_cached(
        "SELECT COALESCE(SUM(places), 0) FROM provisioned_concurrency
         WHERE account = ?1 AND region = ?2 AND name = ?3 AND qualifier <> ?4",
    )?;
    Ok(statement.query_row([account, region, name, &but], |row| row.get(0))?)
}

/// All that is provisioned for a function, in the order of the qualifiers' texts.
pub(crate) fn records_of(
    connection: &Connection,
    key: &FunctionKey,
) -> Result<Vec<ProvisionedRecord>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT qualifier, places, modified_ms FROM provisioned_concurrency
         WHERE account = ?1 AND region = ?2 AND name = ?3 ORDER BY qualifier",
    )?;
    let records = statement.query_map(of(key), record)?;
    Ok(records.collect::<Result<_, _>>()?)
}

/// Forgets what was asked for a version or an alias, when it is deleted in the same transaction.
pub(crate) fn forget(
    connection: &Connection,
    key: &FunctionKey,
    qualifier: &str,
) -> Result<(), StorageError> {
    let [account, region, name] = of(key);
    connection
        .prepare_cached(
            "DELETE FROM provisioned_concurrency
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND qualifier = ?4",
        )?
        .execute([account, region, name, qualifier])?;
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<ProvisionedRecord> {
    let text: String = row.get(0)?;
    let qualifier = text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
    })?;
    let ms: i64 = row.get(2)?;
    let modified_ms = u64::try_from(ms).unwrap_or(0);
    Ok(ProvisionedRecord { qualifier, places: row.get(1)?, modified_ms })
}
