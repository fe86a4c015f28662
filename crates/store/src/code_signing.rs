//! Which code signing configuration a function has.
//!
//! The configurations themselves are [`crate::resources`]. Must never let a function have
//! one that is not there.

use dormouse_model::code_signing::CodeSigningConfig;
use dormouse_model::function::Function;
use dormouse_model::names::{CodeSigningConfigId, FunctionKey, FunctionName, Scope};
use dormouse_model::version::{PublishedVersion, Snapshot};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use crate::StorageError;
use crate::database::Handle;
use crate::functions::{self, exists, of};
use crate::resources::{self, Resource};
use crate::versions;

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE function_code_signing (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        config TEXT NOT NULL,
        PRIMARY KEY (account, region, name),
        FOREIGN KEY (account, region, name)
            REFERENCES functions (account, region, name) ON DELETE CASCADE
    );
    CREATE INDEX function_code_signing_by_config
        ON function_code_signing (account, region, config, name);
";

impl Resource for CodeSigningConfig {
    const KIND: &'static str = "code-signing-config";

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// Which configurations functions have.
#[derive(Debug, Clone)]
pub struct CodeSigning {
    database: Handle,
}

/// Why a function does not have a configuration, or a configuration is still there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CodeSigningError {
    /// There is no such function.
    #[error("no such function")]
    NoFunction,
    /// There is a function of that name.
    #[error("function exists")]
    FunctionExists,
    /// There is no such configuration.
    #[error("no such code signing configuration")]
    NoConfig,
    /// Functions have it.
    #[error("code signing configuration is in use")]
    InUse,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for CodeSigningError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl CodeSigning {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Adds a function that has a configuration, and a version of it if there is to be one.
    ///
    /// # Errors
    /// When there is a function of that name or no such configuration, or they cannot be written.
    pub async fn create(
        &self,
        function: Function,
        snapshot: Option<Snapshot>,
        config: CodeSigningConfigId,
    ) -> Result<Option<PublishedVersion>, CodeSigningError> {
        self.database
            .write(move |connection| {
                let record = functions::record(&function);
                check_config(connection, &function.key.scope, &config)?;
                if functions::insert(connection, &function, &record)? == 0 {
                    return Err(CodeSigningError::FunctionExists);
                }
                assign(connection, &function.key, &config)?;
                Ok(snapshot.map(|snapshot| versions::insert(connection, snapshot)).transpose()?)
            })
            .await
    }

    /// Gives a function a configuration in place of what it had, or takes it away.
    ///
    /// # Errors
    /// When there is no such function or configuration, or it cannot be written.
    pub async fn assign(
        &self,
        key: &FunctionKey,
        config: Option<CodeSigningConfigId>,
    ) -> Result<(), CodeSigningError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                if !exists(connection, &key)? {
                    return Err(CodeSigningError::NoFunction);
                }
                let Some(config) = config else { return Ok(release(connection, &key)?) };
                check_config(connection, &key.scope, &config)?;
                Ok(assign(connection, &key, &config)?)
            })
            .await
    }

    /// The configuration that a function has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn of(&self, key: &FunctionKey) -> Result<Option<CodeSigningConfig>, StorageError> {
        let key = key.clone();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT config FROM function_code_signing
                     WHERE account = ?1 AND region = ?2 AND name = ?3",
                )?;
                let id = statement.query_row(of(&key), |row| row.get::<_, String>(0)).optional()?;
                match id {
                    Some(id) => resources::select(connection, &key.scope, &id),
                    None => Ok(None),
                }
            })
            .await
    }

    /// The functions that have a configuration, by name, from the one that follows `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn functions(
        &self,
        scope: &Scope,
        config: &CodeSigningConfigId,
        after: Option<&FunctionName>,
        limit: usize,
    ) -> Result<Vec<FunctionName>, StorageError> {
        let (scope, config) = (scope.clone(), config.clone());
        let after = after.map_or_else(String::new, ToString::to_string);
        self.database
            .read(move |connection| users(connection, (&scope, &config), &after, limit))
            .await
    }

    /// Removes a configuration that no function has.
    ///
    /// # Errors
    /// When there is none or a function has it, or it cannot be removed.
    pub async fn delete(
        &self,
        scope: &Scope,
        config: &CodeSigningConfigId,
    ) -> Result<(), CodeSigningError> {
        let (scope, config) = (scope.clone(), config.clone());
        self.database
            .write(move |connection| {
                check_config(connection, &scope, &config)?;
                if !users(connection, (&scope, &config), "", 1)?.is_empty() {
                    return Err(CodeSigningError::InUse);
                }
                let id = config.as_str();
                Ok(resources::remove::<CodeSigningConfig>(connection, &scope, id)?)
            })
            .await
    }
}

fn check_config(
    connection: &Connection,
    scope: &Scope,
    config: &CodeSigningConfigId,
) -> Result<(), CodeSigningError> {
    let found: Option<CodeSigningConfig> = resources::select(connection, scope, config.as_str())?;
    found.map(drop).ok_or(CodeSigningError::NoConfig)
}

fn assign(
    connection: &Connection,
    key: &FunctionKey,
    config: &CodeSigningConfigId,
) -> Result<(), StorageError> {
    let [account, region, name] = of(key);
    connection
        .prepare_cached(
            "INSERT INTO function_code_signing (account, region, name, config)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account, region, name) DO UPDATE SET config = excluded.config",
        )?
        .execute(params![account, region, name, config.as_str()])?;
    Ok(())
}

fn release(connection: &Connection, key: &FunctionKey) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "DELETE FROM function_code_signing WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .execute(of(key))?;
    Ok(())
}

fn users(
    connection: &Connection,
    (scope, config): (&Scope, &CodeSigningConfigId),
    after: &str,
    limit: usize,
) -> Result<Vec<FunctionName>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM function_code_signing
         WHERE account = ?1 AND region = ?2 AND config = ?3 AND name > ?4 ORDER BY name LIMIT ?5",
    )?;
    let (account, region) = (scope.account.as_str(), scope.region.as_str());
    let about = params![account, region, config.as_str(), after, limit];
    let names = statement.query_map(about, |row| {
        row.get::<_, String>(0)?.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
        })
    })?;
    Ok(names.collect::<Result<_, _>>()?)
}
