//! Records of an account that have a name, unique but for case, and a path.

use std::marker::PhantomData;
use std::sync::Arc;

use dormouse_model::names::AccountId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::database::{Handle, after_prefix};
use crate::{ChangeError, StorageError};

/// What such a record says of itself.
pub trait Entity: Serialize + DeserializeOwned + Send + 'static {
    /// Sets its kind apart in the table; never changed.
    const KIND: &'static str;
    /// Its account, name and path.
    fn key(&self) -> (&AccountId, &str, &str);
}

/// The records of one kind, of all accounts.
#[derive(Debug, Clone)]
pub struct Entities<T> {
    pub(super) database: Handle,
    kind: PhantomData<fn() -> T>,
}

/// Why a record was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateError {
    /// There is one of that name, in upper or lower case.
    #[error("name is taken")]
    Exists,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl<T: Entity> Entities<T> {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database, kind: PhantomData }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When there is one of that name but for upper and lower case, or it cannot be written.
    pub async fn create(&self, entity: T) -> Result<(), CreateError> {
        self.database
            .write(move |connection| match insert(connection, &entity)? {
                0 => Err(CreateError::Exists),
                _ => Ok(()),
            })
            .await
    }

    /// One record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, account: &AccountId, name: &str) -> Result<Option<T>, StorageError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database.read(move |connection| select(connection, &account, &name)).await
    }

    /// Records whose path begins so, in the order of their names, from the one that follows
    /// `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        account: &AccountId,
        path_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<T>, StorageError> {
        let (account, prefix) = (account.clone(), path_prefix.to_owned());
        let after = after.unwrap_or_default().to_owned();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM iam_entities
                     WHERE kind = ?1 AND account = ?2 AND path >= ?3 AND path < ?4 AND name > ?5
                     ORDER BY name LIMIT ?6",
                )?;
                let end = after_prefix(&prefix);
                let of = params![T::KIND, account.as_str(), prefix, end, after, limit];
                let mut rows = statement.query(of)?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read(row)?);
                }
                Ok(found)
            })
            .await
    }

    /// Changes a record and returns it. The inner error is `change`'s own, which leaves the
    /// record as it was.
    ///
    /// # Errors
    /// When there is no such record, or it cannot be read or written.
    pub async fn change<E: Send + 'static>(
        &self,
        account: &AccountId,
        name: &str,
        change: impl FnOnce(&mut T) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<T, E>, ChangeError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let mut entity: T =
                    select(connection, &account, &name)?.ok_or(ChangeError::Missing)?;
                if let Err(objection) = change(&mut entity) {
                    return Ok(Err(objection));
                }
                debug_assert_eq!((entity.key().0, entity.key().1), (&account, name.as_str()));
                update(connection, &entity)?;
                Ok(Ok(entity))
            })
            .await
    }

    /// Removes a record if `allowed` does not object to what it is just then. The inner error is
    /// the objection.
    ///
    /// # Errors
    /// When there is no such record, or it cannot be read or removed.
    pub async fn delete<E: Send + 'static>(
        &self,
        account: &AccountId,
        name: &str,
        allowed: impl FnOnce(&T) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<(), E>, ChangeError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let entity: T = select(connection, &account, &name)?.ok_or(ChangeError::Missing)?;
                if let Err(objection) = allowed(&entity) {
                    return Ok(Err(objection));
                }
                remove::<T>(connection, &account, &name)?;
                Ok(Ok(()))
            })
            .await
    }
}

fn insert<T: Entity>(connection: &Connection, entity: &T) -> Result<usize, StorageError> {
    let (account, name, path) = entity.key();
    let sql = "INSERT INTO iam_entities (kind, account, name, folded_name, path, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let of = params![T::KIND, account.as_str(), name, name.to_lowercase(), path, text(entity)];
    Ok(connection.prepare_cached(sql)?.execute(of)?)
}

fn update<T: Entity>(connection: &Connection, entity: &T) -> Result<usize, StorageError> {
    let (account, name, _) = entity.key();
    let sql = "UPDATE iam_entities SET record = ?4 WHERE kind = ?1 AND account = ?2 AND name = ?3";
    let of = params![T::KIND, account.as_str(), name, text(entity)];
    Ok(connection.prepare_cached(sql)?.execute(of)?)
}

pub(super) fn remove<T: Entity>(
    connection: &Connection,
    account: &AccountId,
    name: &str,
) -> Result<usize, StorageError> {
    let sql = "DELETE FROM iam_entities WHERE kind = ?1 AND account = ?2 AND name = ?3";
    Ok(connection.prepare_cached(sql)?.execute([T::KIND, account.as_str(), name])?)
}

pub(super) fn select<T: Entity>(
    connection: &Connection,
    account: &AccountId,
    name: &str,
) -> Result<Option<T>, StorageError> {
    let sql = "SELECT name, record FROM iam_entities
               WHERE kind = ?1 AND account = ?2 AND name = ?3";
    connection
        .prepare_cached(sql)?
        .query_row([T::KIND, account.as_str(), name], |row| Ok(read(row)))
        .optional()?
        .transpose()
}

fn text<T: Entity>(entity: &T) -> String {
    serde_json::to_string(entity).expect("records of IAM serialise: their maps have simple keys")
}

/// Reads a row of name and record.
fn read<T: Entity>(row: &Row<'_>) -> Result<T, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: T::KIND,
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}
