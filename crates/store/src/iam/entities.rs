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
pub trait Entity: Tied + Serialize + DeserializeOwned + Send + 'static {
    /// Sets its kind apart in the table; never changed.
    const KIND: &'static str;
    /// Its account, name and path.
    fn key(&self) -> (&AccountId, &str, &str);
}

/// How records hang together, which is nobody's business outside.
pub trait Tied {
    /// How many others lean on it, so that it cannot go.
    fn ties(&self, _: &Connection) -> Result<usize, StorageError> {
        Ok(0)
    }

    /// It had another name `before`: tells those that know it by that.
    fn renamed(&self, _: &Connection, before: &str) -> Result<(), StorageError> {
        let _ = before;
        Ok(())
    }
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

/// Why a record did not get another name.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenameError {
    /// There is no such record.
    #[error("no such record")]
    Missing,
    /// There is another one of that name, in upper or lower case.
    #[error("name is taken")]
    Exists,
    /// It could not be read or written.
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

    /// Every record of an account, in the order of their names.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn all(&self, account: &AccountId) -> Result<Vec<T>, StorageError> {
        let account = account.clone();
        self.database.read(move |connection| all(connection, &account)).await
    }

    /// Changes a record, which keeps its name, and returns it. The inner error is `change`'s own,
    /// which leaves the record as it was.
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
                update(connection, &entity, &name)?;
                Ok(Ok(entity))
            })
            .await
    }

    /// Gives a record another name or path; what knows it by its name learns the new one.
    ///
    /// # Errors
    /// When there is no such record, the name is taken, or it cannot be read or written.
    pub async fn rename(
        &self,
        account: &AccountId,
        name: &str,
        change: impl FnOnce(&mut T) + Send + 'static,
    ) -> Result<T, RenameError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let found = select(connection, &account, &name)?;
                let mut entity: T = found.ok_or(RenameError::Missing)?;
                change(&mut entity);
                if is_taken::<T>(connection, &account, (entity.key().1, &name))? {
                    return Err(RenameError::Exists);
                }
                update(connection, &entity, &name)?;
                entity.renamed(connection, &name)?;
                Ok(entity)
            })
            .await
    }

    /// Removes a record if `allowed` does not object to what it is just then and to how many
    /// others lean on it. The inner error is the objection.
    ///
    /// # Errors
    /// When there is no such record, or it cannot be read or removed.
    pub async fn delete<E: Send + 'static>(
        &self,
        account: &AccountId,
        name: &str,
        allowed: impl FnOnce(&T, usize) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<(), E>, ChangeError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let entity: T = select(connection, &account, &name)?.ok_or(ChangeError::Missing)?;
                if let Err(objection) = allowed(&entity, entity.ties(connection)?) {
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

/// Writes a record over the one that had the name `before`.
pub(super) fn update<T: Entity>(
    connection: &Connection,
    entity: &T,
    before: &str,
) -> Result<usize, StorageError> {
    let (account, name, path) = entity.key();
    let sql = "UPDATE iam_entities SET name = ?4, folded_name = ?5, path = ?6, record = ?7
               WHERE kind = ?1 AND account = ?2 AND name = ?3";
    let folded = name.to_lowercase();
    let of = params![T::KIND, account.as_str(), before, name, folded, path, text(entity)];
    Ok(connection.prepare_cached(sql)?.execute(of)?)
}

/// Whether a name belongs to another record than the one that has the name `before`.
fn is_taken<T: Entity>(
    connection: &Connection,
    account: &AccountId,
    (name, before): (&str, &str),
) -> Result<bool, StorageError> {
    let sql = "SELECT 1 FROM iam_entities
               WHERE kind = ?1 AND account = ?2 AND folded_name = ?3 AND name <> ?4";
    let of = params![T::KIND, account.as_str(), name.to_lowercase(), before];
    Ok(connection.prepare_cached(sql)?.exists(of)?)
}

fn remove<T: Entity>(
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

pub(super) fn all<T: Entity>(
    connection: &Connection,
    account: &AccountId,
) -> Result<Vec<T>, StorageError> {
    let sql = "SELECT name, record FROM iam_entities WHERE kind = ?1 AND account = ?2
               ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([T::KIND, account.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
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
