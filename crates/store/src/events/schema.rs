//! The tables of events, and what is removed of deleted functions when nobody waits.

use rusqlite::{Connection, OptionalExtension, params};

use crate::StorageError;

/// The tables. An event that was never put off is due at 0, so that it does not depend on a clock.
/// Ids are never used twice. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLES: &str = "
    CREATE TABLE event_functions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        unique_id TEXT NOT NULL,
        gone INTEGER NOT NULL,
        UNIQUE (account, region, name, unique_id)
    );
    CREATE INDEX event_functions_gone ON event_functions (id) WHERE gone = 1;
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        function INTEGER NOT NULL,
        due_ms INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        deferrals INTEGER NOT NULL,
        accepted_ms INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        qualifier TEXT,
        trace TEXT,
        tenant TEXT,
        payload BLOB NOT NULL
    );
    CREATE INDEX events_due ON events (function, due_ms, id);
";

/// Events that are swept at once (ours). Others wait for the next step, so that nobody waits long.
const SWEEP_EVENTS: usize = 1_000;

/// Removes some events of functions that are gone; false when there are none.
pub(crate) fn sweep(connection: &Connection) -> Result<bool, StorageError> {
    let function: Option<i64> = connection
        .prepare_cached("SELECT id FROM event_functions WHERE gone = 1 LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(function) = function else {
        return Ok(false);
    };
    let transaction = connection.unchecked_transaction()?;
    let removed = transaction
        .prepare_cached(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE function = ?1 LIMIT ?2)",
        )?
        .execute(params![function, SWEEP_EVENTS])?;
    if removed < SWEEP_EVENTS {
        transaction
            .prepare_cached("DELETE FROM event_functions WHERE id = ?1")?
            .execute([function])?;
    }
    transaction.commit()?;
    Ok(true)
}
