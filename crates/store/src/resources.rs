//! Records of an account in a region that belong to no function: one of each kind and id.
//!
//! They outlive the functions they name. Knows of a record only its id and what lists are narrowed
//! by. Must never let two records stand that [clash](Resource::clashes).

use std::sync::Arc;

use dormouse_model::capacity::CapacityProvider;
use dormouse_model::event_source::EventSourceMapping;
use dormouse_model::names::Scope;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StorageError;
use crate::database::Handle;

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE resources (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        function TEXT,
        source TEXT,
        record TEXT NOT NULL,
        PRIMARY KEY (account, region, kind, id)
    );
    CREATE INDEX resources_by_function ON resources (account, region, kind, function, id);
";

/// A kind of record.
pub trait Resource: Serialize + DeserializeOwned + Send + 'static {
    /// Names the kind; never changes, since it is stored.
    const KIND: &'static str;

    /// Names the record among those of its kind, in its account and region.
    fn id(&self) -> &str;

    /// What lists of it are narrowed by.
    fn marks(&self) -> Marks {
        Marks::default()
    }

    /// Whether another one of the same function cannot be there too.
    fn clashes(&self, _other: &Self) -> bool {
        false
    }
}

/// What lists are narrowed by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// A function's ARN.
    pub function: Option<String>,
    /// A source's ARN.
    pub source: Option<String>,
}

impl Resource for EventSourceMapping {
    const KIND: &'static str = "event-source-mapping";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn marks(&self) -> Marks {
        Marks { function: Some(self.function_arn()), source: self.source_arn.clone() }
    }

    fn clashes(&self, other: &Self) -> bool {
        self.doubles(other)
    }
}

impl Resource for CapacityProvider {
    const KIND: &'static str = "capacity-provider";

    fn id(&self) -> &str {
        self.name.as_str()
    }
}

/// Why a record was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused<R, E> {
    /// The change itself said so.
    Change(E),
    /// What it would have become clashes with another.
    Clash {
        /// What it would have become.
        record: Box<R>,
        /// The other.
        other: Box<R>,
    },
}

/// The records of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Resources {
    database: Handle,
}

impl Resources {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// One record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get<R: Resource>(
        &self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<R>, StorageError> {
        let (scope, id) = (scope.clone(), id.to_owned());
        self.database.read(move |connection| select(connection, &scope, &id)).await
    }

    /// Records in the order of their ids, from the one that follows `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list<R: Resource>(
        &self,
        scope: &Scope,
        marks: &Marks,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<R>, StorageError> {
        let (scope, marks) = (scope.clone(), marks.clone());
        let after = after.unwrap_or_default().to_owned();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT id, record FROM resources
                     WHERE account = ?1 AND region = ?2 AND kind = ?3 AND id > ?4
                         AND (?5 IS NULL OR function = ?5) AND (?6 IS NULL OR source = ?6)
                     ORDER BY id LIMIT ?7",
                )?;
                let [account, region] = of(&scope);
                let Marks { function, source } = marks;
                let about = params![account, region, R::KIND, after, function, source, limit];
                records(statement.query(about)?)
            })
            .await
    }

    /// Replaces a record, or its absence, by what `change` makes of it, and answers what `change`
    /// says besides. What is refused leaves all as it was.
    ///
    /// # Errors
    /// When the record cannot be read or written.
    pub async fn change<R: Resource, T: Send + 'static, E: Send + 'static>(
        &self,
        scope: &Scope,
        id: &str,
        change: impl FnOnce(Option<R>) -> Result<(Option<R>, T), E> + Send + 'static,
    ) -> Result<Result<T, Refused<R, E>>, StorageError> {
        let (scope, id) = (scope.clone(), id.to_owned());
        self.database
            .write(move |connection| {
                let (record, answer) = match change(select(connection, &scope, &id)?) {
                    Ok(changed) => changed,
                    Err(error) => return Ok(Err(Refused::Change(error))),
                };
                let Some(record) = record else {
                    remove::<R>(connection, &scope, &id)?;
                    return Ok(Ok(answer));
                };
                debug_assert_eq!(record.id(), id, "a change must keep the id");
                if let Some(other) = clashing(connection, &scope, &record)? {
                    let (record, other) = (Box::new(record), Box::new(other));
                    return Ok(Err(Refused::Clash { record, other }));
                }
                write(connection, &scope, &record)?;
                Ok(Ok(answer))
            })
            .await
    }
}

fn of(scope: &Scope) -> [&str; 2] {
    [scope.account.as_str(), scope.region.as_str()]
}

pub(crate) fn select<R: Resource>(
    connection: &Connection,
    scope: &Scope,
    id: &str,
) -> Result<Option<R>, StorageError> {
    let [account, region] = of(scope);
    connection
        .prepare_cached(
            "SELECT id, record FROM resources
             WHERE account = ?1 AND region = ?2 AND kind = ?3 AND id = ?4",
        )?
        .query_row(params![account, region, R::KIND, id], |row| Ok(record(row)))
        .optional()?
        .transpose()
}

/// Another record of the same function that cannot be there together with this one.
fn clashing<R: Resource>(
    connection: &Connection,
    scope: &Scope,
    new: &R,
) -> Result<Option<R>, StorageError> {
    let Some(function) = new.marks().function else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT id, record FROM resources
         WHERE account = ?1 AND region = ?2 AND kind = ?3 AND function = ?4 AND id <> ?5",
    )?;
    let [account, region] = of(scope);
    let others: Vec<R> =
        records(statement.query(params![account, region, R::KIND, function, new.id()])?)?;
    Ok(others.into_iter().find(|other| new.clashes(other)))
}

fn write<R: Resource>(
    connection: &Connection,
    scope: &Scope,
    resource: &R,
) -> Result<(), StorageError> {
    let [account, region] = of(scope);
    let Marks { function, source } = resource.marks();
    let record =
        serde_json::to_string(resource).expect("a resource serialises: it has no odd maps");
    connection
        .prepare_cached(
            "INSERT INTO resources (account, region, kind, id, function, source, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (account, region, kind, id) DO UPDATE
                 SET function = excluded.function, source = excluded.source,
                     record = excluded.record",
        )?
        .execute(params![account, region, R::KIND, resource.id(), function, source, record])?;
    Ok(())
}

pub(crate) fn remove<R: Resource>(
    connection: &Connection,
    scope: &Scope,
    id: &str,
) -> Result<(), StorageError> {
    let [account, region] = of(scope);
    connection
        .prepare_cached(
            "DELETE FROM resources
             WHERE account = ?1 AND region = ?2 AND kind = ?3 AND id = ?4",
        )?
        .execute(params![account, region, R::KIND, id])?;
    Ok(())
}

fn records<R: Resource>(mut rows: Rows<'_>) -> Result<Vec<R>, StorageError> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

/// Reads a row of id and record.
fn record<R: Resource>(row: &Row<'_>) -> Result<R, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: R::KIND,
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}
