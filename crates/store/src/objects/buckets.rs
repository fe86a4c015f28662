//! Buckets made, found, listed, set and removed.

use dormouse_model::limits;
use dormouse_model::names::{AccountId, Scope};
use dormouse_model::object::{BucketName, Versioning};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::objects::row::{versioning, versioning_number, versioning_of};
use crate::objects::{Bucket, BucketId, Objects, schema, stored};
use crate::{ChangeError, StorageError};

/// Why a bucket was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateBucketError {
    /// There is one of that name.
    #[error("bucket exists")]
    Exists(Box<Bucket>),
    /// The account has as many as it may.
    #[error("account has too many buckets")]
    TooMany,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a bucket was not removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeleteBucketError {
    /// There is none.
    #[error("no such bucket")]
    Missing,
    /// There are versions or delete markers in it.
    #[error("bucket is not empty")]
    NotEmpty,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for CreateBucketError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<rusqlite::Error> for DeleteBucketError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl Objects {
    /// Makes a bucket.
    ///
    /// # Errors
    /// When the account has one of that name or too many, or it cannot be written.
    pub async fn create_bucket(
        &self,
        scope: Scope,
        name: BucketName,
        now_ms: u64,
    ) -> Result<(), CreateBucketError> {
        self.database
            .write(move |connection| {
                if let Some(found) = select(connection, &scope.account, &name)? {
                    return Err(CreateBucketError::Exists(Box::new(found)));
                }
                let account = scope.account.as_str();
                let count: i64 = connection
                    .prepare_cached("SELECT COUNT(*) FROM buckets WHERE account = ?1")?
                    .query_row([account], |row| row.get(0))?;
                if stored(limits::BUCKETS as u64) <= count {
                    return Err(CreateBucketError::TooMany);
                }
                connection
                    .prepare_cached(
                        "INSERT INTO buckets (account, region, name, created_ms, versioning)
                         VALUES (?1, ?2, ?3, ?4, 0)",
                    )?
                    .execute(params![
                        account,
                        scope.region.as_str(),
                        name.as_str(),
                        stored(now_ms)
                    ])?;
                Ok(())
            })
            .await
    }

    /// A bucket of an account, in whatever region.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn bucket(
        &self,
        account: &AccountId,
        name: &BucketName,
    ) -> Result<Option<Bucket>, StorageError> {
        let (account, name) = (account.clone(), name.clone());
        self.database.read(move |connection| select(connection, &account, &name)).await
    }

    /// The buckets of an account in all regions, in the order of their names, whose names begin so and
    /// follow `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn buckets(
        &self,
        account: &AccountId,
        (prefix, after): (String, String),
        limit: usize,
    ) -> Result<Vec<Bucket>, StorageError> {
        let account = account.clone();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT id, account, region, name, created_ms, versioning FROM buckets
                     WHERE account = ?1 AND name > ?2 AND name >= ?3 AND name < ?4
                     ORDER BY name LIMIT ?5",
                )?;
                let end = crate::database::after_prefix(&prefix);
                let mut rows =
                    statement.query(params![account.as_str(), after, prefix, end, limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(bucket_of(row)?);
                }
                Ok(found)
            })
            .await
    }

    /// Makes a bucket keep versions, or no longer.
    ///
    /// # Errors
    /// When there is no such bucket, or it cannot be written.
    pub async fn set_versioning(
        &self,
        bucket: BucketId,
        versioning: Versioning,
    ) -> Result<(), ChangeError> {
        self.database
            .write(move |connection| {
                let changed = connection
                    .prepare_cached("UPDATE buckets SET versioning = ?2 WHERE id = ?1")?
                    .execute(params![bucket.0, versioning_number(versioning)])?;
                if changed == 0 { Err(ChangeError::Missing) } else { Ok(()) }
            })
            .await
    }

    /// Removes a bucket that is empty; uploads that were not completed go with it.
    ///
    /// # Errors
    /// When there is no such bucket, something is in it, or it cannot be removed.
    pub async fn delete_bucket(&self, bucket: BucketId) -> Result<(), DeleteBucketError> {
        self.database.write(move |connection| delete(connection, bucket)).await
    }

    /// What was set for a bucket.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn setting(
        &self,
        bucket: BucketId,
        kind: &'static str,
    ) -> Result<Option<String>, StorageError> {
        self.database
            .read(move |connection| {
                let sql = "SELECT value FROM bucket_settings WHERE bucket = ?1 AND kind = ?2";
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.query_row(params![bucket.0, kind], |row| row.get(0)).optional()?)
            })
            .await
    }

    /// Sets something for a bucket, or no longer.
    ///
    /// # Errors
    /// When there is no such bucket, or it cannot be written.
    pub async fn set(
        &self,
        bucket: BucketId,
        kind: &'static str,
        value: Option<String>,
    ) -> Result<(), ChangeError> {
        self.database
            .write(move |connection| {
                versioning(connection, bucket)?.ok_or(ChangeError::Missing)?;
                match value {
                    Some(value) => connection
                        .prepare_cached(
                            "INSERT OR REPLACE INTO bucket_settings VALUES (?1, ?2, ?3)",
                        )?
                        .execute(params![bucket.0, kind, value])?,
                    None => connection
                        .prepare_cached(
                            "DELETE FROM bucket_settings WHERE bucket = ?1 AND kind = ?2",
                        )?
                        .execute(params![bucket.0, kind])?,
                };
                Ok(())
            })
            .await
    }
}

fn select(
    connection: &Connection,
    account: &AccountId,
    name: &BucketName,
) -> Result<Option<Bucket>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, account, region, name, created_ms, versioning FROM buckets
         WHERE account = ?1 AND name = ?2",
    )?;
    let mut rows = statement.query([account.as_str(), name.as_str()])?;
    rows.next()?.map(bucket_of).transpose()
}

fn bucket_of(row: &Row<'_>) -> Result<Bucket, StorageError> {
    let name = |place| -> Result<String, StorageError> { Ok(row.get(place)?) };
    let invalid = |_| StorageError::from(rusqlite::Error::InvalidQuery);
    Ok(Bucket {
        id: BucketId(row.get(0)?),
        scope: Scope {
            account: name(1)?.parse().map_err(invalid)?,
            region: name(2)?.parse().map_err(invalid)?,
        },
        name: name(3)?.parse().map_err(invalid)?,
        created_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        versioning: versioning_of(row.get(5)?),
    })
}

fn delete(connection: &Connection, bucket: BucketId) -> Result<(), DeleteBucketError> {
    versioning(connection, bucket)?.ok_or(DeleteBucketError::Missing)?;
    let is_used: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)")?
        .query_row([bucket.0], |row| row.get(0))?;
    if is_used {
        return Err(DeleteBucketError::NotEmpty);
    }
    let parts: Vec<String> = connection
        .prepare_cached(
            "SELECT file FROM object_parts
             WHERE upload IN (SELECT id FROM object_uploads WHERE bucket = ?1)",
        )?
        .query_map([bucket.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for file in &parts {
        schema::discard(connection, file)?;
    }
    for sql in [
        "DELETE FROM object_parts
         WHERE upload IN (SELECT id FROM object_uploads WHERE bucket = ?1)",
        "DELETE FROM object_uploads WHERE bucket = ?1",
        "DELETE FROM bucket_settings WHERE bucket = ?1",
        "DELETE FROM buckets WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([bucket.0])?;
    }
    Ok(())
}
