//! The tables of queues, and what is removed when nobody waits.

use rusqlite::{Connection, OptionalExtension, params};

use crate::StorageError;

/// The tables. `shelf` is where a queue's messages lie: a purge gives the queue a new one and leaves
/// the old one to be swept, however much lies on it. Ids are never used twice, nor are shelves.
pub(crate) const TABLES: &str = "
    CREATE TABLE queues (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        shelf INTEGER NOT NULL,
        dead_letter TEXT,
        purged_ms INTEGER,
        record TEXT NOT NULL,
        UNIQUE (account, region, name)
    );
    CREATE INDEX queues_dead_letter ON queues (account, region, dead_letter, name);
    CREATE TABLE queue_shelves (id INTEGER PRIMARY KEY AUTOINCREMENT, left_behind INTEGER NOT NULL);
    CREATE INDEX queue_shelves_left ON queue_shelves (left_behind);
    CREATE TABLE queues_deleted (
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        deleted_ms INTEGER NOT NULL,
        PRIMARY KEY (account, region, name)
    );
    CREATE TABLE queue_messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        shelf INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL,
        group_id TEXT,
        deduplication TEXT,
        sent_ms INTEGER NOT NULL,
        kept_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL,
        received INTEGER NOT NULL,
        first_received_ms INTEGER,
        source TEXT
    );
    CREATE INDEX queue_messages_visible ON queue_messages (shelf, visible_ms);
    CREATE INDEX queue_messages_order ON queue_messages (shelf, id, group_id, visible_ms, kept_ms, received);
    CREATE INDEX queue_messages_kept ON queue_messages (shelf, kept_ms);
    CREATE TABLE queue_deduplications (
        queue INTEGER NOT NULL,
        group_id TEXT NOT NULL,
        deduplication TEXT NOT NULL,
        message_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        sent_ms INTEGER NOT NULL,
        PRIMARY KEY (queue, group_id, deduplication)
    );
    CREATE INDEX queue_deduplications_sent ON queue_deduplications (queue, sent_ms);
";

/// Messages that are swept at once (ours). Others wait for the next step, so that nobody waits long.
const SWEEP_MESSAGES: usize = 1_000;

/// Removes some of what lies on shelves that were left behind; false when there are none.
pub(crate) fn sweep(connection: &Connection) -> Result<bool, StorageError> {
    let shelf: Option<i64> = connection
        .prepare_cached("SELECT id FROM queue_shelves WHERE left_behind = 1 LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(shelf) = shelf else {
        return Ok(false);
    };
    let transaction = connection.unchecked_transaction()?;
    let removed = transaction
        .prepare_cached(
            "DELETE FROM queue_messages WHERE id IN
                 (SELECT id FROM queue_messages WHERE shelf = ?1 LIMIT ?2)",
        )?
        .execute(params![shelf, SWEEP_MESSAGES])?;
    if removed < SWEEP_MESSAGES {
        transaction.prepare_cached("DELETE FROM queue_shelves WHERE id = ?1")?.execute([shelf])?;
    }
    transaction.commit()?;
    Ok(true)
}
