//! What changes logs.

use dormouse_model::names::Scope;
use rusqlite::{Connection, OptionalExtension, params};

use crate::logs::{
    CreateGroupError, Event, GroupKey, GroupSettings, Logs, StreamKey, rows, stored_ms, streams,
    tags,
};
use crate::{ChangeError, StorageError};

/// Bytes that AWS adds to each event's message when it counts (`PutLogEvents`).
pub(super) const EVENT_OVERHEAD_BYTES: usize = 26;
/// Rows of deleted groups that are removed at once (ours). Others wait for the next step, so
/// that no append waits for more than a step.
const SWEEP_ROWS: usize = 2_000;

impl Logs {
    /// Adds events to a stream, which is made when it is not there, and so is its group.
    ///
    /// # Errors
    /// When they cannot be written; then none of them is.
    pub async fn append(
        &self,
        stream: &StreamKey,
        events: Vec<Event>,
        ingestion_ms: u64,
    ) -> Result<(), StorageError> {
        let (stream, followers) = (stream.clone(), self.followers.clone());
        self.database
            .write(move |connection| {
                append(connection, &stream, &events, ingestion_ms)?;
                followers.came(&stream.group);
                Ok(())
            })
            .await
    }

    /// Makes a group.
    ///
    /// # Errors
    /// When there is one of that name, or it cannot be written.
    pub async fn create_group(
        &self,
        group: &GroupKey,
        settings: GroupSettings,
        created_ms: u64,
    ) -> Result<(), CreateGroupError> {
        let group = group.clone();
        self.database
            .write(move |connection| {
                match insert_group(connection, &group, &settings, created_ms)? {
                    None => Err(CreateGroupError::Exists),
                    Some(_) => Ok(()),
                }
            })
            .await
    }

    /// Removes a group with all its streams and events at once.
    ///
    /// # Errors
    /// When there is no such group, or it cannot be removed.
    pub async fn delete_group(&self, group: &GroupKey) -> Result<(), ChangeError> {
        let group = group.clone();
        self.database
            .write(move |connection| {
                let id: i64 = connection
                    .prepare_cached(
                        "DELETE FROM log_groups WHERE account = ?1 AND region = ?2 AND name = ?3
                         RETURNING id",
                    )?
                    .query_row(of(&group), |row| row.get(0))
                    .optional()?
                    .ok_or(ChangeError::Missing)?;
                connection
                    .prepare_cached("INSERT INTO log_groups_to_sweep (group_id) VALUES (?1)")?
                    .execute([id])?;
                Ok(())
            })
            .await
    }

    /// Says for how many days a group's events are to be kept: for good without a number.
    ///
    /// # Errors
    /// When there is no such group, or it cannot be written.
    pub async fn set_retention(
        &self,
        group: &GroupKey,
        days: Option<u32>,
    ) -> Result<(), ChangeError> {
        let group = group.clone();
        self.database
            .write(move |connection| {
                let [account, region, name] = of(&group);
                let changed = connection
                    .prepare_cached(
                        "UPDATE log_groups SET retention_days = ?4
                         WHERE account = ?1 AND region = ?2 AND name = ?3",
                    )?
                    .execute(params![account, region, name, days])?;
                if changed == 0 { Err(ChangeError::Missing) } else { Ok(()) }
            })
            .await
    }
}

/// Removes some events of deleted groups and streams; false when there were none of these.
pub(crate) fn sweep(connection: &Connection) -> Result<bool, StorageError> {
    let group: Option<i64> = connection
        .prepare_cached("SELECT group_id FROM log_groups_to_sweep LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(group) = group else {
        return streams::sweep(connection);
    };
    let transaction = connection.unchecked_transaction()?;
    let removed = transaction
        .prepare_cached(
            "DELETE FROM log_events WHERE id IN
                 (SELECT id FROM log_events WHERE group_id = ?1 LIMIT ?2)",
        )?
        .execute(params![group, SWEEP_ROWS])?;
    if removed < SWEEP_ROWS {
        transaction
            .prepare_cached("DELETE FROM log_groups_to_sweep WHERE group_id = ?1")?
            .execute([group])?;
    }
    transaction.commit()?;
    Ok(true)
}

pub(super) fn of(group: &GroupKey) -> [&str; 3] {
    let Scope { account, region } = &group.scope;
    [account.as_str(), region.as_str(), &group.name]
}

pub(super) fn group_id(
    connection: &Connection,
    group: &GroupKey,
) -> Result<Option<i64>, StorageError> {
    let sql = "SELECT id FROM log_groups WHERE account = ?1 AND region = ?2 AND name = ?3";
    Ok(connection.prepare_cached(sql)?.query_row(of(group), |row| row.get(0)).optional()?)
}

fn insert_group(
    connection: &Connection,
    group: &GroupKey,
    settings: &GroupSettings,
    created_ms: u64,
) -> Result<Option<i64>, StorageError> {
    let [account, region, name] = of(group);
    let (created_ms, class) = (stored_ms(created_ms), &settings.class);
    let of = params![account, region, name, created_ms, class, tags::text(&settings.tags)];
    Ok(connection
        .prepare_cached(
            "INSERT INTO log_groups (account, region, name, created_ms, stored_bytes, class, tags)
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6) ON CONFLICT DO NOTHING RETURNING id",
        )?
        .query_row(of, |row| row.get(0))
        .optional()?)
}

pub(super) fn append(
    connection: &Connection,
    stream: &StreamKey,
    events: &[Event],
    ingestion_ms: u64,
) -> Result<(), StorageError> {
    let group = match group_id(connection, &stream.group)? {
        Some(group) => Some(group),
        None => insert_group(connection, &stream.group, &GroupSettings::default(), ingestion_ms)?,
    }
    .expect("a group that was not there has been made in this transaction");
    let ingestion_ms = stored_ms(ingestion_ms);
    let stream = touch_stream(connection, group, &stream.name, times(events, ingestion_ms))?;
    insert_events(connection, (group, stream), events, ingestion_ms)?;
    let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
    connection
        .prepare_cached("UPDATE log_groups SET stored_bytes = stored_bytes + ?2 WHERE id = ?1")?
        .execute(params![group, bytes])?;
    Ok(())
}

fn insert_events(
    connection: &Connection,
    (group, stream): (i64, i64),
    events: &[Event],
    ingestion_ms: i64,
) -> Result<(), StorageError> {
    let mut id = last_id(connection)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO log_events
             (id, group_id, stream_id, timestamp_ms, ingestion_ms, message, lengths)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for row in rows::rows(events) {
        id += row.count();
        let (timestamp_ms, message) = (stored_ms(row.timestamp_ms()), row.message());
        let of = params![id, group, stream, timestamp_ms, ingestion_ms, message, row.lengths()];
        insert.execute(of)?;
    }
    Ok(())
}

/// The last id that was ever drawn: SQLite remembers the largest, also of rows that are gone.
fn last_id(connection: &Connection) -> Result<usize, StorageError> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'log_events'";
    let last = connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

/// What some events mean for their stream.
struct Times {
    /// The first and the last one's, if there is any.
    events_ms: Option<(i64, i64)>,
    ingestion_ms: i64,
}

fn times(events: &[Event], ingestion_ms: i64) -> Times {
    let at = || events.iter().map(|event| stored_ms(event.timestamp_ms));
    Times { events_ms: at().min().zip(at().max()), ingestion_ms }
}

/// Makes the stream if it is not there and widens its times. Returns its id.
fn touch_stream(
    connection: &Connection,
    group: i64,
    name: &str,
    times: Times,
) -> Result<i64, StorageError> {
    let ingestion_ms = times.ingestion_ms;
    connection
        .prepare_cached(
            "INSERT INTO log_streams (group_id, name, created_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![group, name, ingestion_ms])?;
    let (id, first, last): (i64, Option<i64>, Option<i64>) = connection
        .prepare_cached(
            "SELECT id, first_event_ms, last_event_ms FROM log_streams
             WHERE group_id = ?1 AND name = ?2",
        )?
        .query_row(params![group, name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if let Some((from, to)) = times.events_ms {
        let first = first.map_or(from, |first| first.min(from));
        let last = last.map_or(to, |last| last.max(to));
        connection
            .prepare_cached(
                "UPDATE log_streams
                 SET first_event_ms = ?2, last_event_ms = ?3, last_ingestion_ms = ?4
                 WHERE id = ?1",
            )?
            .execute([id, first, last, ingestion_ms])?;
    }
    Ok(id)
}
