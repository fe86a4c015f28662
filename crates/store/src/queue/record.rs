//! Rows of queues: found, read, written.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StorageError;
use crate::queue::{Queue, QueueKey};

/// A queue with what the tables know it by.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) shelf: i64,
    pub(super) purged_ms: Option<i64>,
    pub(super) queue: Queue,
}

pub(super) fn of(key: &QueueKey) -> [&str; 3] {
    [key.scope.account.as_str(), key.scope.region.as_str(), &key.name]
}

pub(super) fn select(
    connection: &Connection,
    key: &QueueKey,
) -> Result<Option<Found>, StorageError> {
    let sql = "SELECT id, shelf, purged_ms, name, record FROM queues
               WHERE account = ?1 AND region = ?2 AND name = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(of(key), |row| {
        let (id, shelf, purged_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((id, shelf, purged_ms, text(row, 3)?))
    });
    let Some((id, shelf, purged_ms, (name, record))) = found.optional()? else {
        return Ok(None);
    };
    Ok(Some(Found { id, shelf, purged_ms, queue: parse(&name, &record)? }))
}

/// Name and record, from a column on.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<(String, String)> {
    Ok((row.get(column)?, row.get(column + 1)?))
}

pub(super) fn parse(name: &str, record: &str) -> Result<Queue, StorageError> {
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: "queue",
        name: name.to_owned(),
        source: Arc::new(source),
    })
}

pub(super) fn insert(connection: &Connection, queue: &Queue) -> Result<(), StorageError> {
    let shelf = new_shelf(connection)?;
    let [account, region, name] = of(&queue.key);
    connection
        .prepare_cached(
            "INSERT INTO queues (account, region, name, shelf, dead_letter, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![account, region, name, shelf, dead_letter(queue), record(queue)])?;
    Ok(())
}

pub(super) fn update(connection: &Connection, queue: &Queue) -> Result<(), StorageError> {
    let [account, region, name] = of(&queue.key);
    connection
        .prepare_cached(
            "UPDATE queues SET dead_letter = ?4, record = ?5
             WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .execute(params![account, region, name, dead_letter(queue), record(queue)])?;
    Ok(())
}

pub(super) fn new_shelf(connection: &Connection) -> Result<i64, StorageError> {
    connection.prepare_cached("INSERT INTO queue_shelves (left_behind) VALUES (0)")?.execute([])?;
    Ok(connection.last_insert_rowid())
}

/// What lies on the shelf is gone for everybody, and swept in time.
pub(super) fn leave_shelf(connection: &Connection, shelf: i64) -> Result<(), StorageError> {
    connection
        .prepare_cached("UPDATE queue_shelves SET left_behind = 1 WHERE id = ?1")?
        .execute([shelf])?;
    Ok(())
}

fn dead_letter(queue: &Queue) -> Option<&str> {
    queue.rules.dead_letter.as_ref().map(|dead_letter| dead_letter.queue.as_str())
}

fn record(queue: &Queue) -> String {
    serde_json::to_string(queue).expect("a queue has text keys only")
}

/// A time as the database holds it.
pub(super) fn stored_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Removes some messages that are too old; a queue that is used never has many.
pub(super) fn remove_too_old(
    connection: &Connection,
    found: &Found,
    now_ms: u64,
) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "DELETE FROM queue_messages WHERE id IN
                 (SELECT id FROM queue_messages WHERE shelf = ?1 AND kept_ms <= ?2 LIMIT 1000)",
        )?
        .execute(params![found.shelf, kept_after(found, now_ms)])?;
    Ok(())
}

/// Messages kept since this moment or before are too old.
pub(super) fn kept_after(found: &Found, now_ms: u64) -> i64 {
    crate::queue::decide::too_old_ms(&found.queue.rules, now_ms).map_or(-1, stored_ms)
}
