//! Access keys of users: what signs, and whose it is.

use dormouse_model::names::AccountId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::database::Handle;
use crate::iam::User;
use crate::iam::entities::select;
use crate::{ChangeError, StorageError};

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id, which is sent in clear.
    pub id: String,
    /// Whose.
    pub account: AccountId,
    /// Which user's.
    pub user: String,
    /// What signs.
    pub secret: String,
    /// Whether it may be used.
    pub active: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The last time it was used.
    pub used: Option<KeyUse>,
}

/// A use of an access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Which service was asked.
    pub service: String,
    /// In which region.
    pub region: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets never reach a log.
        f.debug_struct("AccessKey").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why a key was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateKeyError {
    /// There is no such user.
    #[error("no such user")]
    NoUser,
    /// The user has as many as it may have.
    #[error("user has {limit} access keys")]
    TooMany {
        /// How many that are.
        limit: usize,
    },
    /// There is a key of that id.
    #[error("id is taken")]
    Taken,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The access keys of all accounts.
#[derive(Debug, Clone)]
pub struct AccessKeys {
    database: Handle,
}

impl AccessKeys {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Adds a key to a user that has fewer than `limit`.
    ///
    /// # Errors
    /// When there is no such user, it has too many, the id is taken, or it cannot be written.
    pub async fn create(&self, key: AccessKey, limit: usize) -> Result<(), CreateKeyError> {
        self.database
            .write(move |connection| {
                let user: Option<User> = select(connection, &key.account, &key.user)?;
                user.ok_or(CreateKeyError::NoUser)?;
                if of_user(connection, &key.account, &key.user)?.len() >= limit {
                    return Err(CreateKeyError::TooMany { limit });
                }
                match insert(connection, &key)? {
                    0 => Err(CreateKeyError::Taken),
                    _ => Ok(()),
                }
            })
            .await
    }

    /// The keys of a user, the oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn of_user(
        &self,
        account: &AccountId,
        user: &str,
    ) -> Result<Vec<AccessKey>, StorageError> {
        let (account, user) = (account.clone(), user.to_owned());
        self.database.read(move |connection| of_user(connection, &account, &user)).await
    }

    /// A key, whosever it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find(&self, id: &str) -> Result<Option<AccessKey>, StorageError> {
        let id = id.to_owned();
        self.database
            .read(move |connection| {
                let sql = format!("SELECT {COLUMNS} FROM iam_access_keys WHERE id = ?1");
                let mut statement = connection.prepare_cached(&sql)?;
                let found = statement.query_row([id], |row| Ok(read(row))).optional()?;
                found.transpose()
            })
            .await
    }

    /// Says whether a user's key may be used.
    ///
    /// # Errors
    /// When the user has no such key, or it cannot be written.
    pub async fn set_active(
        &self,
        account: &AccountId,
        (user, id): (String, String),
        active: bool,
    ) -> Result<(), ChangeError> {
        let account = account.clone();
        self.database
            .write(move |connection| {
                let sql = "UPDATE iam_access_keys SET active = ?4
                           WHERE account = ?1 AND user_name = ?2 AND id = ?3";
                let of = params![account.as_str(), user, id, active];
                found(connection.prepare_cached(sql)?.execute(of)?)
            })
            .await
    }

    /// Writes down when keys, by their ids, were last used. Keys that are gone are left.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn used(&self, uses: Vec<(String, KeyUse)>) -> Result<(), StorageError> {
        self.database
            .write(move |connection| {
                let sql = "UPDATE iam_access_keys
                           SET used_ms = ?2, used_service = ?3, used_region = ?4 WHERE id = ?1";
                let mut statement = connection.prepare_cached(sql)?;
                for (id, it) in uses {
                    statement.execute(params![id, it.at_ms, it.service, it.region])?;
                }
                Ok(())
            })
            .await
    }

    /// Removes a user's key.
    ///
    /// # Errors
    /// When the user has no such key, or it cannot be removed.
    pub async fn delete(
        &self,
        account: &AccountId,
        (user, id): (String, String),
    ) -> Result<(), ChangeError> {
        let account = account.clone();
        self.database
            .write(move |connection| {
                let sql = "DELETE FROM iam_access_keys
                           WHERE account = ?1 AND user_name = ?2 AND id = ?3";
                let of = params![account.as_str(), user, id];
                found(connection.prepare_cached(sql)?.execute(of)?)
            })
            .await
    }
}

const COLUMNS: &str = "id, account, user_name, secret, active, created_ms,
    used_ms, used_service, used_region";

fn found(rows: usize) -> Result<(), ChangeError> {
    if rows == 0 { Err(ChangeError::Missing) } else { Ok(()) }
}

fn insert(connection: &Connection, key: &AccessKey) -> Result<usize, StorageError> {
    let sql = "INSERT INTO iam_access_keys (id, account, user_name, secret, active, created_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let AccessKey { id, account, user, secret, active, created_ms, .. } = key;
    let of = params![id, account.as_str(), user, secret, active, created_ms];
    Ok(connection.prepare_cached(sql)?.execute(of)?)
}

pub(super) fn of_user(
    connection: &Connection,
    account: &AccountId,
    user: &str,
) -> Result<Vec<AccessKey>, StorageError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM iam_access_keys
         WHERE account = ?1 AND user_name = ?2 ORDER BY created_ms, id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([account.as_str(), user])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read(row)?);
    }
    Ok(keys)
}

pub(super) fn rename_user(
    connection: &Connection,
    account: &AccountId,
    (before, after): (&str, &str),
) -> Result<(), StorageError> {
    let sql = "UPDATE iam_access_keys SET user_name = ?3 WHERE account = ?1 AND user_name = ?2";
    connection.prepare_cached(sql)?.execute([account.as_str(), before, after])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<AccessKey, StorageError> {
    let account: String = row.get(1)?;
    let account = account.parse().map_err(|_| rusqlite::Error::InvalidQuery)?;
    let used = match row.get(6)? {
        Some(at_ms) => Some(KeyUse { at_ms, service: row.get(7)?, region: row.get(8)? }),
        None => None,
    };
    Ok(AccessKey {
        id: row.get(0)?,
        account,
        user: row.get(2)?,
        secret: row.get(3)?,
        active: row.get(4)?,
        created_ms: row.get(5)?,
        used,
    })
}
