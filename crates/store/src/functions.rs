//! Function records.
//!
//! A record is JSON; what is searched for stands beside it in columns of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_model::function::{Code, Configuration, Function};
use dormouse_model::names::{Digest, FunctionKey, FunctionName, Scope};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::database::Handle;
use crate::layers;
use crate::{ChangeError, StorageError};

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE functions (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        settling INTEGER NOT NULL,
        code_bytes BIGINT NOT NULL,
        code_digest TEXT NOT NULL,
        serving_digest TEXT,
        record TEXT NOT NULL,
        PRIMARY KEY (account, region, name)
    );
    CREATE INDEX functions_settling ON functions (account, region, name) WHERE settling = 1;
";

/// The functions of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Functions {
    database: Handle,
}

/// Why a function was not created.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateFunctionError {
    /// There is one of that name.
    #[error("function exists")]
    Exists,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What an account has stored in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Functions.
    pub functions: u64,
    /// Bytes of their packages, each counted as often as it is used.
    pub code_bytes: u64,
}

impl Functions {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Adds a function.
    ///
    /// # Errors
    /// When there is one of that name, or it cannot be written.
    pub async fn create(&self, function: Function) -> Result<(), CreateFunctionError> {
        // Here and not in the writer, which has better things to do for all that wait.
        let record = record(&function);
        self.database
            .write(move |connection| match insert(connection, &function, &record)? {
                0 => Err(CreateFunctionError::Exists),
                _ => Ok(()),
            })
            .await
    }

    /// One function.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, key: &FunctionKey) -> Result<Option<Function>, StorageError> {
        let key = key.clone();
        self.database.read(move |connection| select(connection, &key)).await
    }

    /// Functions in the order of their names, from the one that follows `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        scope: &Scope,
        after: Option<&FunctionName>,
        limit: usize,
    ) -> Result<Vec<Function>, StorageError> {
        let scope = scope.clone();
        let after = after.map_or_else(String::new, ToString::to_string);
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM functions
                     WHERE account = ?1 AND region = ?2 AND name > ?3 ORDER BY name LIMIT ?4",
                )?;
                let of = (scope.account.as_str(), scope.region.as_str());
                let rows = statement.query(params![of.0, of.1, after, limit])?;
                functions(rows)
            })
            .await
    }

    /// Replaces a function by what `change` makes of it; changes of one function happen one after
    /// the other. The inner error is `change`'s own, which leaves the function as it was.
    ///
    /// # Errors
    /// When there is no such function, or it cannot be read or written.
    pub async fn change<E: Send + 'static>(
        &self,
        key: &FunctionKey,
        change: impl FnOnce(&Function) -> Result<Function, E> + Send + 'static,
    ) -> Result<Result<Function, E>, ChangeError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let current = select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let changed = change(&current);
                if let Ok(function) = &changed {
                    debug_assert_eq!(function.key, key, "a change must keep the name");
                    update(connection, function)?;
                }
                Ok(changed)
            })
            .await
    }

    /// Removes a function and returns what it was.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn delete(&self, key: &FunctionKey) -> Result<Option<Function>, StorageError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let mut statement = connection.prepare_cached(
                    "DELETE FROM functions WHERE account = ?1 AND region = ?2 AND name = ?3
                     RETURNING name, record",
                )?;
                functions(statement.query(of(&key))?).map(|removed| removed.into_iter().next())
            })
            .await
    }

    /// Every function, of whatever account and region, that is not yet what it is to become.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn settling(&self) -> Result<Vec<Function>, StorageError> {
        self.database
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM functions WHERE settling = 1
                     ORDER BY account, region, name",
                )?;
                functions(statement.query([])?)
            })
            .await
    }

    /// Every function, of whatever account and region, that invocations can run.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn serving(&self) -> Result<Vec<Function>, StorageError> {
        self.database
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM functions WHERE serving_digest IS NOT NULL
                     ORDER BY account, region, name",
                )?;
                functions(statement.query([])?)
            })
            .await
    }

    /// What an account has stored in a region.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn usage(&self, scope: &Scope) -> Result<Usage, StorageError> {
        let scope = scope.clone();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT COUNT(*), COALESCE(SUM(code_bytes), 0) FROM functions
                     WHERE account = ?1 AND region = ?2",
                )?;
                let of = [scope.account.as_str(), scope.region.as_str()];
                let usage =
                    |row: &Row<'_>| Ok(Usage { functions: row.get(0)?, code_bytes: row.get(1)? });
                Ok(statement.query_row(of, usage)?)
            })
            .await
    }

    /// Every package that a function shows or serves or that a version has, those of their layers
    /// among them. A package of no function here may still belong to one that is just being created.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn digests(&self) -> Result<BTreeSet<Digest>, StorageError> {
        self.database
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT code_digest FROM functions WHERE code_digest <> '' UNION
                     SELECT serving_digest FROM functions
                         WHERE serving_digest IS NOT NULL AND serving_digest <> '' UNION
                     SELECT code_digest FROM function_layers UNION
                     SELECT code_digest FROM function_versions WHERE code_digest <> '' UNION
                     SELECT code_digest FROM function_version_layers",
                )?;
                let digests = statement.query_map([], |row| row.get::<_, String>(0))?;
                digests.map(|digest| parse_digest(&digest?)).collect()
            })
            .await
    }
}

/// Whether there is such a function, in the transaction that writes beside it.
pub(crate) fn exists(connection: &Connection, key: &FunctionKey) -> Result<bool, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM functions WHERE account = ?1 AND region = ?2 AND name = ?3",
    )?;
    Ok(statement.exists(of(key))?)
}

pub(crate) fn of(key: &FunctionKey) -> [&str; 3] {
    [key.scope.account.as_str(), key.scope.region.as_str(), key.name.as_str()]
}

pub(crate) fn insert(
    connection: &Connection,
    function: &Function,
    record: &str,
) -> Result<usize, StorageError> {
    let sql = "INSERT INTO functions (account, region, name, settling, code_bytes, code_digest,
                   serving_digest, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    write(connection, sql, function, record)
}

pub(crate) fn update(connection: &Connection, function: &Function) -> Result<usize, StorageError> {
    let sql = "UPDATE functions SET settling = ?4, code_bytes = ?5, code_digest = ?6,
                   serving_digest = ?7, record = ?8
               WHERE account = ?1 AND region = ?2 AND name = ?3";
    write(connection, sql, function, &record(function))
}

pub(crate) fn record(function: &Function) -> String {
    serde_json::to_string(function)
        .expect("a function serialises: all keys of its maps are strings")
}

fn write(
    connection: &Connection,
    sql: &str,
    function: &Function,
    record: &str,
) -> Result<usize, StorageError> {
    let [account, region, name] = of(&function.key);
    let code = &function.code;
    let written = connection.prepare_cached(sql)?.execute(params![
        account,
        region,
        name,
        u8::from(function.is_settling()),
        code.size_bytes(),
        digest_column(code),
        function.serving().map(|serving| digest_column(&serving.code)),
        record,
    ])?;
    if written > 0 {
        let serving = function.serving().map(|serving| (&serving.configuration, &serving.code));
        let both = serving.into_iter().chain([(&function.configuration, code)]);
        layers::hold(connection, of(&function.key), both.flat_map(|(c, code)| held(c, code)))?;
    }
    Ok(written)
}

/// What stands in a column for code: the digest of a package, nothing for what is no package.
pub(crate) fn digest_column(code: &Code) -> &str {
    code.package().map_or("", |package| package.digest.as_str())
}

/// What is kept of layers, and of code that is not in a column: the layers of an image.
pub(crate) fn held<'f>(
    configuration: &'f Configuration,
    code: &'f Code,
) -> impl Iterator<Item = &'f Digest> {
    let code = code.digests().filter(|_| code.package().is_none());
    configuration.layers.iter().map(|layer| &layer.digest).chain(code)
}

pub(crate) fn select(
    connection: &Connection,
    key: &FunctionKey,
) -> Result<Option<Function>, StorageError> {
    connection
        .prepare_cached(
            "SELECT name, record FROM functions WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .query_row(of(key), |row| Ok(function(row)))
        .optional()?
        .transpose()
}

fn functions(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Function>, StorageError> {
    let mut functions = Vec::new();
    while let Some(row) = rows.next()? {
        functions.push(function(row)?);
    }
    Ok(functions)
}

/// Reads a row of name and record.
pub(crate) fn function(row: &Row<'_>) -> Result<Function, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: "function",
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}

/// Reads a column.
pub(crate) fn parse_digest(text: &str) -> Result<Digest, StorageError> {
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)).into()
    })
}
