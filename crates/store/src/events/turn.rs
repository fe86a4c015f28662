//! One round of the owner of events: what ended is removed, what is put off is written, and what is
//! due is handed out, in one transaction.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use bytes::Bytes;
use dormouse_model::retry::Tries;
use rusqlite::{Connection, Row, params};

use crate::StorageError;
use crate::events::{
    EventId, FunctionId, QueuedEvent, QueuedEvents, find, forget, parsed, stored_ms,
};

/// What the owner of events asks for at once.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Events that have ended.
    pub ended: Vec<EventId>,
    /// Events that are put off.
    pub again: Vec<Again>,
    /// Functions that are gone, with all their events.
    pub gone: Vec<FunctionId>,
    /// Of which functions events are wanted, and how many.
    pub wanted: Vec<Wanted>,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Nothing is ever put off for longer: what is, was put off before the clock was set back, and is
    /// due.
    pub longest_ms: u64,
}

/// An event that is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// Which.
    pub id: EventId,
    /// Until when, in milliseconds since 1970.
    pub at_ms: u64,
    /// What happened to it so far.
    pub tries: Tries,
}

/// A function of which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub function: FunctionId,
    /// How many at most.
    pub max: usize,
    /// Those that the owner has already.
    pub held: HashSet<EventId>,
}

/// What is there of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Events that are due, the longest waiting ones first: those put off, then those never tried.
    pub events: Vec<QueuedEvent>,
    /// When it is worth while to ask for more.
    pub look: Look,
}

/// When there may be events to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// At once.
    Now,
    /// At a time, in milliseconds since 1970.
    At(u64),
    /// When others come.
    Never,
}

impl QueuedEvents {
    /// Writes what came of events and hands out others; answers for each wanted function, in order.
    /// What was accepted before is seen.
    ///
    /// # Errors
    /// When anything cannot be read or written; then nothing was.
    pub async fn turn(&self, turn: Turn) -> Result<Vec<Found>, StorageError> {
        self.database.write(move |connection| run(connection, &turn)).await
    }
}

fn run(connection: &Connection, turn: &Turn) -> Result<Vec<Found>, StorageError> {
    for id in &turn.ended {
        connection.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([id])?;
    }
    for again in &turn.again {
        put_off(connection, again)?;
    }
    for function in &turn.gone {
        forget(connection, function)?;
    }
    turn.wanted.iter().map(|wanted| find_due(connection, turn, wanted)).collect()
}

fn put_off(connection: &Connection, again: &Again) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "UPDATE events SET due_ms = ?2, failures = ?3, deferrals = ?4 WHERE id = ?1",
        )?
        .execute(params![
            again.id,
            // Zero is for events that were never put off.
            stored_ms(again.at_ms).max(1),
            again.tries.failures,
            again.tries.deferrals,
        ])?;
    Ok(())
}

fn find_due(connection: &Connection, turn: &Turn, wanted: &Wanted) -> Result<Found, StorageError> {
    let Some(function) = find_living(connection, &wanted.function)? else {
        return Ok(Found { events: Vec::new(), look: Look::Never });
    };
    let (now, horizon) =
        (stored_ms(turn.now_ms), stored_ms(turn.now_ms.saturating_add(turn.longest_ms)));
    let mut ids = Vec::new();
    for due in [1..=now, horizon.saturating_add(1)..=i64::MAX, 0..=0] {
        let left = wanted.max - ids.len();
        ids.extend(due_within(connection, function, due, (left, &wanted.held))?);
    }
    let events = ids.iter().map(|id| read(connection, *id, &wanted.function));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let all = events.len() < wanted.max;
    let look = if all { next(connection, function, now)? } else { Look::Now };
    Ok(Found { events, look })
}

fn find_living(
    connection: &Connection,
    function: &FunctionId,
) -> Result<Option<i64>, StorageError> {
    let Some(id) = find(connection, function)? else {
        return Ok(None);
    };
    let sql = "SELECT gone FROM event_functions WHERE id = ?1";
    let gone: bool = connection.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
    Ok((!gone).then_some(id))
}

fn due_within(
    connection: &Connection,
    function: i64,
    due: RangeInclusive<i64>,
    (max, held): (usize, &HashSet<EventId>),
) -> Result<Vec<EventId>, StorageError> {
    if max == 0 {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(
        "SELECT id FROM events WHERE function = ?1 AND due_ms BETWEEN ?2 AND ?3
         ORDER BY due_ms, id LIMIT ?4",
    )?;
    let (first, last) = due.into_inner();
    let ids = statement
        .query_map(params![function, first, last, max + held.len()], |row| row.get(0))?
        .collect::<Result<Vec<EventId>, _>>()?;
    Ok(ids.into_iter().filter(|id| !held.contains(id)).take(max).collect())
}

/// When the next event is due, as far as it is known now.
fn next(connection: &Connection, function: i64, now: i64) -> Result<Look, StorageError> {
    let sql = "SELECT MIN(due_ms) FROM events WHERE function = ?1 AND due_ms > ?2";
    let next: Option<u64> =
        connection.prepare_cached(sql)?.query_row([function, now], |row| row.get(0))?;
    Ok(next.map_or(Look::Never, Look::At))
}

fn read(
    connection: &Connection,
    id: EventId,
    function: &FunctionId,
) -> Result<QueuedEvent, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT request_id, qualifier, trace, tenant, accepted_ms, failures, deferrals, payload
         FROM events WHERE id = ?1",
    )?;
    Ok(statement.query_row([id], |row| event(row, id, function))?)
}

fn event(row: &Row<'_>, id: EventId, function: &FunctionId) -> rusqlite::Result<QueuedEvent> {
    let is_null = row.get_ref(1)? == rusqlite::types::ValueRef::Null;
    Ok(QueuedEvent {
        id,
        function: function.clone(),
        request: parsed(row, 0)?,
        qualifier: if is_null { None } else { Some(parsed(row, 1)?) },
        trace: row.get(2)?,
        tenant: row.get(3)?,
        tries: Tries { accepted_ms: row.get(4)?, failures: row.get(5)?, deferrals: row.get(6)? },
        payload: Bytes::from(row.get::<_, Vec<u8>>(7)?),
    })
}
