//! Messages taken out for a while: at once, or when some come.

use std::collections::HashSet;
use std::time::Duration;

use dormouse_model::clock::Clock;
use rusqlite::{Connection, Row, params};

use crate::queue::decide::{self, Fate, Picker, State};
use crate::queue::record::{self, Found, kept_after, stored_ms};
use crate::queue::{Message, Order, QueueKey, Queues, Receipt};
use crate::{ChangeError, StorageError};

/// Rounds of dead-lettering in one receive (ours): past it the rest waits for the next receive, so
/// that no transaction grows without end.
const DEAD_LETTER_ROUNDS: usize = 100;

/// What a receiver wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// So many messages at most.
    pub max: usize,
    /// Milliseconds for which they are hidden, if not as the queue says.
    pub visibility_ms: Option<u64>,
}

/// How long a receiver waits for a first message.
#[derive(Debug, Clone)]
pub struct Wait {
    /// At most so long.
    pub patience: Duration,
    /// What the time of day is.
    pub clock: Clock,
}

/// What a receive found.
#[derive(Debug)]
struct Taken {
    messages: Vec<Message>,
    /// When more can be received, if there were none.
    next_ms: Option<u64>,
}

/// A message that may be received.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: i64,
    received: u32,
}

impl Queues {
    /// Receives messages that are there, or the first that come while there is patience and not
    /// `enough`. The future may be dropped: what was received by then is hidden, as for a receiver
    /// that died.
    ///
    /// # Errors
    /// When there is no such queue (any more), or it cannot be read or written.
    pub async fn receive(
        &self,
        key: &QueueKey,
        wanted: Wanted,
        wait: &Wait,
        enough: impl Future<Output = ()>,
    ) -> Result<Vec<Message>, ChangeError> {
        tokio::pin!(enough);
        let deadline = tokio::time::sleep(wait.patience);
        tokio::pin!(deadline);
        let mut waiter = (!wait.patience.is_zero()).then(|| self.arrivals.wait_at(key)).flatten();
        loop {
            let before = waiter.as_mut().map(|waiter| waiter.told()).unwrap_or_default();
            let taken = self.take(key, wanted, wait.clock.wall_ms()).await?;
            let Some(waiter) = waiter.as_mut().filter(|_| taken.messages.is_empty()) else {
                return Ok(taken.messages);
            };
            let mut next_ms = taken.next_ms;
            loop {
                let told = waiter.told();
                if told.arrivals != before.arrivals {
                    break;
                }
                let now_ms = wait.clock.wall_ms();
                let again_ms = told.again_ms.filter(|again| *again > now_ms);
                next_ms = next_ms.into_iter().chain(again_ms).min();
                tokio::select! {
                    () = waiter.changed() => {}
                    () = until(next_ms, now_ms) => break,
                    () = deadline.as_mut() => return Ok(Vec::new()),
                    () = enough.as_mut() => return Ok(Vec::new()),
                }
            }
        }
    }

    async fn take(
        &self,
        key: &QueueKey,
        wanted: Wanted,
        now_ms: u64,
    ) -> Result<Taken, ChangeError> {
        let (key, arrivals) = (key.clone(), self.arrivals.clone());
        self.database
            .write(move |connection| {
                let found = record::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                record::remove_too_old(connection, &found, now_ms)?;
                let visibility_ms = wanted.visibility_ms.unwrap_or(found.queue.rules.visibility_ms);
                let until_ms = now_ms.saturating_add(visibility_ms);
                let mut messages = Vec::new();
                for candidate in choose(connection, &key, (&found, wanted.max), now_ms, |dead| {
                    arrivals.came(dead);
                })? {
                    messages.push(hand_out(connection, &found, candidate, (now_ms, until_ms))?);
                }
                let next_ms =
                    if messages.is_empty() { next(connection, &found, now_ms)? } else { None };
                if !messages.is_empty() {
                    arrivals.come_at(&key, until_ms, now_ms);
                }
                Ok(Taken { messages, next_ms })
            })
            .await
    }
}

/// Waits until a time; for ever without one.
async fn until(at_ms: Option<u64>, now_ms: u64) {
    match at_ms {
        Some(at_ms) => {
            tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now_ms))).await;
        }
        None => std::future::pending().await,
    }
}

/// The messages to hand out; those received too often leave the queue first. `moved` hears of the
/// queue they go to.
fn choose(
    connection: &Connection,
    key: &QueueKey,
    (found, max): (&Found, usize),
    now_ms: u64,
    moved: impl Fn(&QueueKey),
) -> Result<Vec<Candidate>, StorageError> {
    let target = match &found.queue.rules.dead_letter {
        None => None,
        Some(dead_letter) => {
            let name = dead_letter.queue.clone();
            let target = record::select(connection, &QueueKey { scope: key.scope.clone(), name })?;
            // A queue that were its own would move the same messages for ever.
            target.filter(|target| target.id != found.id)
        }
    };
    let mut left = Vec::new();
    for _ in 0..DEAD_LETTER_ROUNDS {
        let candidates = match found.queue.rules.order {
            Order::Standard => due(connection, found, max, now_ms)?,
            Order::Fifo | Order::FifoByGroup => due_in_order(connection, found, max, now_ms)?,
        };
        // Where there is nowhere to go, a message stays: it is never lost.
        let Some(target) = &target else {
            return Ok(candidates);
        };
        let (dead, living): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| {
            decide::fate(&found.queue.rules, candidate.received) == Fate::DeadLetter
        });
        left = living;
        if dead.is_empty() {
            return Ok(left);
        }
        for candidate in dead {
            bury(connection, (found, target), candidate, now_ms)?;
        }
        moved(&target.queue.key);
    }
    // There may be more of either kind: who waits shall look again.
    moved(key);
    Ok(left)
}

fn due(
    connection: &Connection,
    found: &Found,
    max: usize,
    now_ms: u64,
) -> Result<Vec<Candidate>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, received FROM queue_messages
         WHERE shelf = ?1 AND visible_ms <= ?2 AND kept_ms > ?3 ORDER BY visible_ms, id LIMIT ?4",
    )?;
    let rows = params![found.shelf, stored_ms(now_ms), kept_after(found, now_ms), max];
    let candidates = statement
        .query_map(rows, |row| Ok(Candidate { id: row.get(0)?, received: row.get(1)? }))?;
    Ok(candidates.collect::<Result<_, _>>()?)
}

fn due_in_order(
    connection: &Connection,
    found: &Found,
    max: usize,
    now_ms: u64,
) -> Result<Vec<Candidate>, StorageError> {
    let mut in_flight = connection.prepare_cached(
        "SELECT DISTINCT group_id FROM queue_messages
         WHERE shelf = ?1 AND visible_ms > ?2 AND received > 0 AND kept_ms > ?3",
    )?;
    let kept_after = kept_after(found, now_ms);
    let groups = in_flight
        .query_map(params![found.shelf, stored_ms(now_ms), kept_after], group)?
        .collect::<Result<HashSet<_>, _>>()?;
    let mut picker = Picker::new(groups, max, now_ms);
    let mut statement = connection.prepare_cached(
        "SELECT group_id, id, visible_ms, received FROM queue_messages
         WHERE shelf = ?1 AND kept_ms > ?2 ORDER BY id",
    )?;
    let mut rows = statement.query(params![found.shelf, kept_after])?;
    let mut candidates = Vec::new();
    while !picker.is_full()
        && let Some(row) = rows.next()?
    {
        let state = State { visible_ms: row.get(2)?, received: row.get(3)? };
        if picker.offer(&group(row)?, state) {
            candidates.push(Candidate { id: row.get(1)?, received: state.received });
        }
    }
    Ok(candidates)
}

fn group(row: &Row<'_>) -> rusqlite::Result<String> {
    Ok(row.get::<_, Option<String>>(0)?.unwrap_or_default())
}

/// A queue with an order counts the age of what it is given anew (developer guide).
fn bury(
    connection: &Connection,
    (found, target): (&Found, &Found),
    candidate: Candidate,
    now_ms: u64,
) -> Result<(), StorageError> {
    let is_ordered = target.queue.rules.order != Order::Standard;
    connection
        .prepare_cached(
            "UPDATE queue_messages SET shelf = ?2, source = ?3, visible_ms = ?4,
                 kept_ms = CASE WHEN ?5 THEN ?4 ELSE kept_ms END
             WHERE id = ?1",
        )?
        .execute(params![
            candidate.id,
            target.shelf,
            found.queue.key.name,
            stored_ms(now_ms),
            is_ordered
        ])?;
    Ok(())
}

fn hand_out(
    connection: &Connection,
    found: &Found,
    candidate: Candidate,
    (now_ms, until_ms): (u64, u64),
) -> Result<Message, StorageError> {
    let mut statement = connection.prepare_cached(
        "UPDATE queue_messages SET received = received + 1, visible_ms = ?2,
             first_received_ms = COALESCE(first_received_ms, ?3)
         WHERE id = ?1
         RETURNING received, message_id, body, attributes, group_id, deduplication, id, sent_ms,
             first_received_ms, source",
    )?;
    let rows = params![candidate.id, stored_ms(until_ms), stored_ms(now_ms)];
    Ok(statement.query_row(rows, |row| {
        let received = row.get(0)?;
        Ok(Message {
            receipt: Receipt { queue: found.id, message: candidate.id, received },
            message_id: row.get(1)?,
            body: row.get(2)?,
            attributes: row.get(3)?,
            group: row.get(4)?,
            deduplication: row.get(5)?,
            sequence: row.get(6)?,
            sent_ms: row.get(7)?,
            first_received_ms: row.get(8)?,
            received,
            source: row.get(9)?,
        })
    })?)
}

/// When the next message can be received, as far as it is known now.
fn next(connection: &Connection, found: &Found, now_ms: u64) -> Result<Option<u64>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT MIN(visible_ms) FROM queue_messages WHERE shelf = ?1 AND visible_ms > ?2",
    )?;
    Ok(statement.query_row(params![found.shelf, stored_ms(now_ms)], |row| row.get(0))?)
}
