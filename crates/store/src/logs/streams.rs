//! Streams that clients make, fill and delete themselves.

use rusqlite::{Connection, OptionalExtension, params};

use crate::StorageError;
use crate::logs::rows::counted_bytes;
use crate::logs::write::{append, group_id};
use crate::logs::{Event, GroupKey, Logs, ReadLogsError, StreamKey, stored_ms};

/// Rows of deleted streams that are removed at once (ours). Others wait for the next step, so
/// that no append waits for more than a step.
const SWEEP_ROWS: usize = 2_000;

/// Streams whose events are still to be removed.
pub(crate) const TO_SWEEP: &str = "
    CREATE TABLE log_streams_to_sweep (
        stream_id BIGINT PRIMARY KEY,
        group_id BIGINT NOT NULL
    );
";

/// Why a stream was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateStreamError {
    /// There is no such group.
    #[error("no such log group")]
    NoGroup,
    /// There is one of that name.
    #[error("log stream exists")]
    Exists,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Logs {
    /// Makes a stream.
    ///
    /// # Errors
    /// When there is no such group, there is one of that name, or it cannot be written.
    pub async fn create_stream(
        &self,
        stream: &StreamKey,
        created_ms: u64,
    ) -> Result<(), CreateStreamError> {
        let stream = stream.clone();
        self.database
            .write(move |connection| {
                let group =
                    group_id(connection, &stream.group)?.ok_or(CreateStreamError::NoGroup)?;
                let sql = "INSERT INTO log_streams (group_id, name, created_ms) VALUES (?1, ?2, ?3)
                           ON CONFLICT DO NOTHING";
                let of = params![group, stream.name, stored_ms(created_ms)];
                let made = connection.prepare_cached(sql).and_then(|mut sql| sql.execute(of));
                match made.map_err(StorageError::from)? {
                    0 => Err(CreateStreamError::Exists),
                    _ => Ok(()),
                }
            })
            .await
    }

    /// Removes a stream with all its events at once.
    ///
    /// # Errors
    /// When there is no such group or stream, or it cannot be removed.
    pub async fn delete_stream(&self, stream: &StreamKey) -> Result<(), ReadLogsError> {
        let stream = stream.clone();
        self.database
            .write(move |connection| {
                let (group, id) = found(connection, &stream)?;
                let run = |sql: &str, of: &[&dyn rusqlite::ToSql]| {
                    connection.prepare_cached(sql).and_then(|mut sql| sql.execute(of))
                };
                run("DELETE FROM log_streams WHERE id = ?1", &[&id]).map_err(StorageError::from)?;
                let sql = "INSERT INTO log_streams_to_sweep (stream_id, group_id) VALUES (?1, ?2)";
                run(sql, &[&id, &group]).map_err(StorageError::from)?;
                Ok(())
            })
            .await
    }

    /// Adds events to a stream that is there. `accept` is told for how many days the group keeps
    /// its events and says which of them come in.
    ///
    /// # Errors
    /// When there is no such group or stream, or they cannot be written; then none of them is.
    pub async fn put<T: Send + 'static>(
        &self,
        stream: &StreamKey,
        ingestion_ms: u64,
        accept: impl FnOnce(Option<u32>) -> (Vec<Event>, T) + Send + 'static,
    ) -> Result<T, ReadLogsError> {
        let (stream, followers) = (stream.clone(), self.followers.clone());
        self.database
            .write(move |connection| {
                let (group, _) = found(connection, &stream)?;
                let (events, outcome) = accept(retention_days(connection, group)?);
                if !events.is_empty() {
                    append(connection, &stream, &events, ingestion_ms)?;
                    followers.came(&stream.group);
                }
                Ok(outcome)
            })
            .await
    }
}

/// The ids of a stream's group and of the stream.
fn found(connection: &Connection, stream: &StreamKey) -> Result<(i64, i64), ReadLogsError> {
    let StreamKey { group, name } = stream;
    let group = id_of(connection, group)?;
    let sql = "SELECT id FROM log_streams WHERE group_id = ?1 AND name = ?2";
    let id = connection
        .prepare_cached(sql)
        .and_then(|mut sql| sql.query_row(params![group, name], |row| row.get(0)).optional());
    Ok((group, id.map_err(StorageError::from)?.ok_or(ReadLogsError::NoStream)?))
}

fn id_of(connection: &Connection, group: &GroupKey) -> Result<i64, ReadLogsError> {
    group_id(connection, group)?.ok_or(ReadLogsError::NoGroup)
}

fn retention_days(connection: &Connection, group: i64) -> Result<Option<u32>, StorageError> {
    let sql = "SELECT retention_days FROM log_groups WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([group], |row| row.get(0))?)
}

/// Removes some events of deleted streams; false when there were none of these streams.
pub(super) fn sweep(connection: &Connection) -> Result<bool, StorageError> {
    let swept: Option<(i64, i64)> = connection
        .prepare_cached("SELECT stream_id, group_id FROM log_streams_to_sweep LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((stream, group)) = swept else {
        return Ok(false);
    };
    let transaction = connection.unchecked_transaction()?;
    let sql = format!(
        "DELETE FROM log_events WHERE id IN
             (SELECT id FROM log_events WHERE stream_id = ?1 LIMIT ?2)
         RETURNING {}",
        counted_bytes(),
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let sizes = statement.query_map(params![stream, SWEEP_ROWS], |row| row.get::<_, usize>(0))?;
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
    drop(statement);
    let bytes: usize = sizes.iter().sum();
    // The group may be gone, too; then there is nothing to count.
    transaction
        .prepare_cached("UPDATE log_groups SET stored_bytes = stored_bytes - ?2 WHERE id = ?1")?
        .execute(params![group, bytes])?;
    if sizes.len() < SWEEP_ROWS {
        transaction
            .prepare_cached("DELETE FROM log_streams_to_sweep WHERE stream_id = ?1")?
            .execute([stream])?;
    }
    transaction.commit()?;
    Ok(true)
}
