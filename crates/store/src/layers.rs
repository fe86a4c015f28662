//! Layer versions.
//!
//! A layer's row only counts: it stays when its last version is deleted, so that no number is ever
//! given out twice. What a function holds of a version is in the function's own record.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_model::layer::{LayerContent, LayerKey, LayerPolicy, LayerVersion, LayerVersionKey};
use dormouse_model::names::{Digest, LayerName, Scope};
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use crate::database::Handle;
use crate::functions::parse_digest;
use crate::{ChangeError, StorageError};

/// The tables. Plain SQL: they must suit PostgreSQL too.
pub(crate) const TABLES: &str = "
    CREATE TABLE layers (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        last_number BIGINT NOT NULL,
        PRIMARY KEY (account, region, name)
    );
    CREATE TABLE layer_versions (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        number BIGINT NOT NULL,
        code_bytes BIGINT NOT NULL,
        code_digest TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (account, region, name, number)
    );
    CREATE TABLE function_layers (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        code_digest TEXT NOT NULL,
        PRIMARY KEY (account, region, name, code_digest),
        FOREIGN KEY (account, region, name)
            REFERENCES functions (account, region, name) ON DELETE CASCADE
    );
";

/// The layers of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Layers {
    database: Handle,
}

/// Decides whether a version is listed.
pub type Matches = Box<dyn Fn(&LayerContent) -> bool + Send>;

impl Layers {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Adds a version under the next number of its layer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn publish(
        &self,
        layer: LayerKey,
        content: LayerContent,
    ) -> Result<LayerVersion, StorageError> {
        self.database
            .write(move |connection| {
                let number = next_number(connection, &layer)?;
                let key = LayerVersionKey { layer, number };
                let version = LayerVersion { key, content, policy: LayerPolicy::default() };
                insert(connection, &version)?;
                Ok(version)
            })
            .await
    }

    /// One version.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, key: &LayerVersionKey) -> Result<Option<LayerVersion>, StorageError> {
        let key = key.clone();
        self.database.read(move |connection| select(connection, &key)).await
    }

    /// Versions of a layer that match, newest first, from the one before `before`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn versions(
        &self,
        layer: &LayerKey,
        before: Option<u64>,
        matches: Matches,
        limit: usize,
    ) -> Result<Vec<LayerVersion>, StorageError> {
        let layer = layer.clone();
        // The largest number that a column holds.
        let before = before.and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM layer_versions
                     WHERE account = ?1 AND region = ?2 AND name = ?3 AND number < ?4
                     ORDER BY number DESC",
                )?;
                let [account, region, name] = of(&layer);
                let rows = statement.query(params![account, region, name, before])?;
                take(rows, limit, |version| matches(&version.content))
            })
            .await
    }

    /// The newest matching version of each layer, in the order of their names, from the layer that
    /// follows `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn latest(
        &self,
        scope: &Scope,
        after: Option<&LayerName>,
        matches: Matches,
        limit: usize,
    ) -> Result<Vec<LayerVersion>, StorageError> {
        let scope = scope.clone();
        let after = after.map_or_else(String::new, ToString::to_string);
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM layer_versions
                     WHERE account = ?1 AND region = ?2 AND name > ?3
                     ORDER BY name, number DESC",
                )?;
                let of = (scope.account.as_str(), scope.region.as_str());
                let rows = statement.query(params![of.0, of.1, after])?;
                let mut listed = None;
                take(rows, limit, |version| {
                    let name = &version.key.layer.name;
                    let new = listed.as_ref() != Some(name) && matches(&version.content);
                    if new {
                        listed = Some(name.clone());
                    }
                    new
                })
            })
            .await
    }

    /// Replaces a version's policy by what `change` makes of it. The inner error is `change`'s own,
    /// which leaves the policy as it was.
    ///
    /// # Errors
    /// When there is no such version, or it cannot be read or written.
    pub async fn change_policy<E: Send + 'static>(
        &self,
        key: &LayerVersionKey,
        change: impl FnOnce(&LayerVersion) -> Result<LayerPolicy, E> + Send + 'static,
    ) -> Result<Result<LayerVersion, E>, ChangeError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let current = select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let policy = match change(&current) {
                    Ok(policy) => policy,
                    Err(denied) => return Ok(Err(denied)),
                };
                let changed = LayerVersion { policy, ..current };
                update(connection, &changed)?;
                Ok(Ok(changed))
            })
            .await
    }

    /// Removes a version; functions that hold it go on using it. One that is not there is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn delete(&self, key: &LayerVersionKey) -> Result<(), StorageError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let [account, region, name] = of(&key.layer);
                connection
                    .prepare_cached(
                        "DELETE FROM layer_versions
                         WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
                    )?
                    .execute(params![account, region, name, column(key.number)])?;
                Ok(())
            })
            .await
    }

    /// Bytes of all packages of an account in a region, each counted as often as it was published.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn code_bytes(&self, scope: &Scope) -> Result<u64, StorageError> {
        let scope = scope.clone();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT COALESCE(SUM(code_bytes), 0) FROM layer_versions
                     WHERE account = ?1 AND region = ?2",
                )?;
                let of = [scope.account.as_str(), scope.region.as_str()];
                Ok(statement.query_row(of, |row| row.get(0))?)
            })
            .await
    }

    /// The package of every version. Packages of deleted versions that functions still hold are
    /// among those of [`Functions::digests`](crate::functions::Functions::digests).
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn digests(&self) -> Result<BTreeSet<Digest>, StorageError> {
        self.database
            .read(|connection| {
                let mut statement =
                    connection.prepare_cached("SELECT DISTINCT code_digest FROM layer_versions")?;
                let digests = statement.query_map([], |row| row.get::<_, String>(0))?;
                digests.map(|digest| parse_digest(&digest?)).collect()
            })
            .await
    }
}

/// Notes which packages a function's layers need, in the transaction that writes the function.
pub(crate) fn hold<'d>(
    connection: &Connection,
    [account, region, name]: [&str; 3],
    digests: impl Iterator<Item = &'d Digest>,
) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "DELETE FROM function_layers WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .execute(params![account, region, name])?;
    for digest in digests {
        connection
            .prepare_cached(
                "INSERT INTO function_layers (account, region, name, code_digest)
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            )?
            .execute(params![account, region, name, digest.as_str()])?;
    }
    Ok(())
}

fn next_number(connection: &Connection, layer: &LayerKey) -> Result<u64, StorageError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO layers (account, region, name, last_number) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT (account, region, name) DO UPDATE SET last_number = layers.last_number + 1
         RETURNING last_number",
    )?;
    Ok(statement.query_row(of(layer), |row| row.get(0))?)
}

fn of(key: &LayerKey) -> [&str; 3] {
    [key.scope.account.as_str(), key.scope.region.as_str(), key.name.as_str()]
}

/// A number as a column holds it; one that is too large finds nothing.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

fn record(version: &LayerVersion) -> String {
    serde_json::to_string(version).expect("a layer version serialises: it holds no maps")
}

fn insert(connection: &Connection, version: &LayerVersion) -> Result<(), StorageError> {
    let [account, region, name] = of(&version.key.layer);
    let code = &version.content.code;
    connection
        .prepare_cached(
            "INSERT INTO layer_versions (account, region, name, number, code_bytes, code_digest,
                 record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            account,
            region,
            name,
            column(version.key.number),
            code.size_bytes,
            code.digest.as_str(),
            record(version),
        ])?;
    Ok(())
}

/// Only the policy of a version can change, which stands in no column.
fn update(connection: &Connection, version: &LayerVersion) -> Result<(), StorageError> {
    let [account, region, name] = of(&version.key.layer);
    connection
        .prepare_cached(
            "UPDATE layer_versions SET record = ?5
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
        )?
        .execute(params![account, region, name, column(version.key.number), record(version)])?;
    Ok(())
}

fn select(
    connection: &Connection,
    key: &LayerVersionKey,
) -> Result<Option<LayerVersion>, StorageError> {
    let [account, region, name] = of(&key.layer);
    connection
        .prepare_cached(
            "SELECT name, record FROM layer_versions
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
        )?
        .query_row(params![account, region, name, column(key.number)], |row| Ok(version(row)))
        .optional()?
        .transpose()
}

fn take(
    mut rows: Rows<'_>,
    limit: usize,
    mut wanted: impl FnMut(&LayerVersion) -> bool,
) -> Result<Vec<LayerVersion>, StorageError> {
    let mut taken = Vec::new();
    while taken.len() < limit
        && let Some(row) = rows.next()?
    {
        let version = version(row)?;
        if wanted(&version) {
            taken.push(version);
        }
    }
    Ok(taken)
}

/// Reads a row of name and record.
fn version(row: &Row<'_>) -> Result<LayerVersion, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: "layer version",
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}
