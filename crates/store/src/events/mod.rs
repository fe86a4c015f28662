//! Events that were accepted and have not ended: on disk from the answer to the caller until their
//! end is written.
//!
//! An event is tried by whoever holds it in memory; what is not written as ended is there again at
//! the next start. So there are no leases here: a process owns the directory, and its one owner of
//! events says with each [`Turn`] which ones it already has.
//!
//! Time is handed in; when an event is tried again is decided elsewhere (`model::retry`).

pub(crate) mod schema;
mod turn;

use bytes::Bytes;
use dormouse_model::names::{FunctionKey, Qualifier, RequestId, Scope};
use dormouse_model::retry::Tries;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StorageError;
use crate::database::Handle;

pub use turn::{Again, Found, Look, Turn, Wanted};

/// One function of all that ever had its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId {
    /// Its name.
    pub key: FunctionKey,
    /// What tells it from an earlier one.
    pub unique_id: String,
}

/// An event to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Whose it is.
    pub function: FunctionId,
    /// The version or alias that the caller named.
    pub qualifier: Option<Qualifier>,
    /// The id of the request that brought it, and of every try.
    pub request: RequestId,
    /// The event, valid JSON.
    pub payload: Bytes,
    /// The X-Ray trace header.
    pub trace: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_ms: u64,
}

/// Which event; never given out twice.
pub type EventId = i64;

/// An event that is there to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEvent {
    /// Which.
    pub id: EventId,
    /// Whose it is.
    pub function: FunctionId,
    /// The version or alias that the caller named.
    pub qualifier: Option<Qualifier>,
    /// The id of every try.
    pub request: RequestId,
    /// The event, valid JSON.
    pub payload: Bytes,
    /// The X-Ray trace header.
    pub trace: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// What happened to it so far.
    pub tries: Tries,
}

/// The events of all functions.
#[derive(Debug, Clone)]
pub struct QueuedEvents {
    database: Handle,
}

impl QueuedEvents {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Queues an event, due at once whatever becomes of the clock. `told` is called where what the
    /// caller of [`QueuedEvents::turn`] asks for next is sure to see the event, also when nobody
    /// waits for this future any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn accept(
        &self,
        event: NewEvent,
        told: impl FnOnce() + Send + 'static,
    ) -> Result<(), StorageError> {
        self.database
            .write(move |connection| {
                insert(connection, &event)?;
                told();
                Ok(())
            })
            .await
    }

    /// Every function that has events.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn functions(&self) -> Result<Vec<FunctionId>, StorageError> {
        self.database
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT account, region, name, unique_id FROM event_functions
                     WHERE gone = 0 AND EXISTS
                         (SELECT 1 FROM events WHERE function = event_functions.id)",
                )?;
                let functions = statement.query_map([], function)?;
                Ok(functions.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// A deleted function's events are there for nobody once this returns, and removed in time.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn forget(&self, function: &FunctionId) -> Result<(), StorageError> {
        let function = function.clone();
        self.database.write(move |connection| forget(connection, &function)).await
    }
}

fn insert(connection: &Connection, event: &NewEvent) -> Result<(), StorageError> {
    let function = row_of(connection, &event.function)?;
    connection
        .prepare_cached(
            "INSERT INTO events (function, due_ms, failures, deferrals, accepted_ms, request_id,
                 qualifier, trace, tenant, payload)
             VALUES (?1, 0, 0, 0, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            function,
            stored_ms(event.accepted_ms),
            event.request.as_str(),
            event.qualifier.as_ref().map(ToString::to_string),
            event.trace,
            event.tenant,
            event.payload.as_ref(),
        ])?;
    Ok(())
}

/// The row of a function, made if there is none.
fn row_of(connection: &Connection, function: &FunctionId) -> Result<i64, StorageError> {
    if let Some(id) = find(connection, function)? {
        return Ok(id);
    }
    connection
        .prepare_cached(
            "INSERT INTO event_functions (account, region, name, unique_id, gone)
             VALUES (?1, ?2, ?3, ?4, 0)",
        )?
        .execute(of(function))?;
    Ok(connection.last_insert_rowid())
}

fn find(connection: &Connection, function: &FunctionId) -> Result<Option<i64>, StorageError> {
    let sql = "SELECT id FROM event_functions
               WHERE account = ?1 AND region = ?2 AND name = ?3 AND unique_id = ?4";
    Ok(connection.prepare_cached(sql)?.query_row(of(function), |row| row.get(0)).optional()?)
}

fn forget(connection: &Connection, function: &FunctionId) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "UPDATE event_functions SET gone = 1
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND unique_id = ?4",
        )?
        .execute(of(function))?;
    Ok(())
}

fn of(function: &FunctionId) -> [&str; 4] {
    let FunctionKey { scope: Scope { account, region }, name } = &function.key;
    [account.as_str(), region.as_str(), name.as_str(), &function.unique_id]
}

fn function(row: &Row<'_>) -> rusqlite::Result<FunctionId> {
    let scope = Scope { account: parsed(row, 0)?, region: parsed(row, 1)? };
    let key = FunctionKey { scope, name: parsed(row, 2)? };
    Ok(FunctionId { key, unique_id: row.get(3)? })
}

/// A column that holds a name.
fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
    })
}

/// A time as the database holds it.
fn stored_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
