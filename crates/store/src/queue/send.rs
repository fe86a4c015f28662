//! Messages put into a queue.

use rusqlite::{Connection, OptionalExtension, params};

use crate::queue::record::{self, Found, stored_ms};
use crate::queue::{Draft, Order, QueueKey, Queues, Sent, decide};
use crate::{ChangeError, StorageError};

impl Queues {
    /// Puts messages into a queue, all or none, in this order. A double is answered with the first
    /// one of its kind and put nowhere.
    ///
    /// # Errors
    /// When there is no such queue, or they cannot be written.
    pub async fn send(
        &self,
        key: &QueueKey,
        drafts: Vec<Draft>,
        now_ms: u64,
    ) -> Result<Vec<Sent>, ChangeError> {
        let (key, arrivals) = (key.clone(), self.arrivals.clone());
        self.database
            .write(move |connection| {
                let found = record::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                record::remove_too_old(connection, &found, now_ms)?;
                let sent: Result<Vec<_>, _> =
                    drafts.iter().map(|draft| send(connection, &found, draft, now_ms)).collect();
                arrivals.came(&key);
                Ok(sent?)
            })
            .await
    }
}

fn send(
    connection: &Connection,
    found: &Found,
    draft: &Draft,
    now_ms: u64,
) -> Result<Sent, StorageError> {
    let order = found.queue.rules.order;
    let deduplication = match order {
        Order::Standard => None,
        Order::Fifo | Order::FifoByGroup => draft.deduplication.as_deref(),
    };
    let scope = decide::deduplication_scope(order, draft.group.as_deref());
    if let Some(deduplication) = deduplication
        && let Some(first) = first(connection, found.id, (scope, deduplication), now_ms)?
    {
        return Ok(first);
    }
    let sequence = insert(connection, found, draft, now_ms)?;
    let sent = Sent { message_id: draft.message_id.clone(), sequence: sequence.unsigned_abs() };
    if let Some(deduplication) = deduplication {
        remember(connection, found.id, (scope, deduplication), (&sent, now_ms))?;
    }
    Ok(sent)
}

fn insert(
    connection: &Connection,
    found: &Found,
    draft: &Draft,
    now_ms: u64,
) -> Result<i64, StorageError> {
    let visible_ms = now_ms.saturating_add(draft.delay_ms.unwrap_or(found.queue.rules.delay_ms));
    connection
        .prepare_cached(
            "INSERT INTO queue_messages (shelf, message_id, body, attributes, group_id,
                 deduplication, sent_ms, kept_ms, visible_ms, received)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, 0)",
        )?
        .execute(params![
            found.shelf,
            draft.message_id,
            draft.body,
            draft.attributes,
            draft.group,
            draft.deduplication,
            stored_ms(now_ms),
            stored_ms(visible_ms),
        ])?;
    Ok(connection.last_insert_rowid())
}

/// The message that makes another one a double now.
fn first(
    connection: &Connection,
    queue: i64,
    (scope, deduplication): (&str, &str),
    now_ms: u64,
) -> Result<Option<Sent>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT message_id, sequence, sent_ms FROM queue_deduplications
         WHERE queue = ?1 AND group_id = ?2 AND deduplication = ?3",
    )?;
    let first = statement.query_row(params![queue, scope, deduplication], |row| {
        Ok((Sent { message_id: row.get(0)?, sequence: row.get(1)? }, row.get::<_, u64>(2)?))
    });
    let first = first.optional()?.filter(|(_, sent_ms)| decide::is_double(*sent_ms, now_ms));
    Ok(first.map(|(sent, _)| sent))
}

/// Also forgets some of what no longer makes a double.
fn remember(
    connection: &Connection,
    queue: i64,
    (scope, deduplication): (&str, &str),
    (sent, now_ms): (&Sent, u64),
) -> Result<(), StorageError> {
    let over = stored_ms(now_ms.saturating_sub(decide::DEDUPLICATION_MS));
    connection
        .prepare_cached(
            "DELETE FROM queue_deduplications WHERE rowid IN (SELECT rowid FROM
                 queue_deduplications WHERE queue = ?1 AND sent_ms <= ?2 LIMIT 100)",
        )?
        .execute([queue, over])?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO queue_deduplications
                 (queue, group_id, deduplication, message_id, sequence, sent_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            queue,
            scope,
            deduplication,
            sent.message_id,
            sent.sequence,
            stored_ms(now_ms)
        ])?;
    Ok(())
}
