//! Messages removed, or hidden for longer or shorter, by the receipts of who received them.

use rusqlite::{Connection, OptionalExtension, params};

use crate::queue::decide::{self, Standing, State};
use crate::queue::record::{self, Found, stored_ms};
use crate::queue::{Order, QueueKey, Queues, Receipt};
use crate::{ChangeError, StorageError};

/// What came of removing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, now or since earlier.
    Gone,
    /// It was received again since: it stays, for its new receiver.
    Superseded,
    /// The queue keeps an order, and the message was due again.
    Expired,
    /// The receipt is of another queue.
    Foreign,
}

/// What came of hiding a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// It is hidden as asked.
    Hidden,
    /// It can be received already, or was received again since.
    NotInFlight,
    /// There is no such message any more.
    Gone,
    /// The receipt is of another queue.
    Foreign,
}

impl Queues {
    /// Removes messages; each receipt has an answer of its own.
    ///
    /// # Errors
    /// When there is no such queue, or nothing can be written.
    pub async fn remove(
        &self,
        key: &QueueKey,
        receipts: Vec<Receipt>,
        now_ms: u64,
    ) -> Result<Vec<Removed>, ChangeError> {
        let (key, arrivals) = (key.clone(), self.arrivals.clone());
        self.database
            .write(move |connection| {
                let found = record::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let removed = receipts.iter().map(|it| remove(connection, &found, *it, now_ms));
                let removed = removed.collect::<Result<_, _>>()?;
                if found.queue.rules.order != Order::Standard {
                    // The next of its group may come now.
                    arrivals.came(&key);
                }
                Ok(removed)
            })
            .await
    }

    /// Hides messages for so many milliseconds from now on; each receipt has an answer of its own.
    ///
    /// # Errors
    /// When there is no such queue, or nothing can be written.
    pub async fn hide(
        &self,
        key: &QueueKey,
        receipts: Vec<(Receipt, u64)>,
        now_ms: u64,
    ) -> Result<Vec<Hidden>, ChangeError> {
        let (key, arrivals) = (key.clone(), self.arrivals.clone());
        self.database
            .write(move |connection| {
                let found = record::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let hidden = receipts.iter().map(|(receipt, for_ms)| {
                    let until_ms = now_ms.saturating_add(*for_ms);
                    arrivals.come_at(&key, until_ms, now_ms);
                    hide(connection, &found, *receipt, (now_ms, until_ms))
                });
                let hidden = hidden.collect::<Result<_, _>>()?;
                arrivals.came(&key);
                Ok(hidden)
            })
            .await
    }
}

fn remove(
    connection: &Connection,
    found: &Found,
    receipt: Receipt,
    now_ms: u64,
) -> Result<Removed, StorageError> {
    if receipt.queue != found.id {
        return Ok(Removed::Foreign);
    }
    let Some(state) = state(connection, found, receipt)? else {
        return Ok(Removed::Gone);
    };
    match (decide::standing(state, receipt.received, now_ms), found.queue.rules.order) {
        (Standing::Superseded, _) => return Ok(Removed::Superseded),
        (Standing::Returned, Order::Fifo | Order::FifoByGroup) => return Ok(Removed::Expired),
        (Standing::InFlight, _) | (Standing::Returned, Order::Standard) => {}
    }
    connection
        .prepare_cached("DELETE FROM queue_messages WHERE id = ?1")?
        .execute([receipt.message])?;
    Ok(Removed::Gone)
}

fn hide(
    connection: &Connection,
    found: &Found,
    receipt: Receipt,
    (now_ms, until_ms): (u64, u64),
) -> Result<Hidden, StorageError> {
    if receipt.queue != found.id {
        return Ok(Hidden::Foreign);
    }
    let Some(state) = state(connection, found, receipt)? else {
        return Ok(Hidden::Gone);
    };
    if decide::standing(state, receipt.received, now_ms) != Standing::InFlight {
        return Ok(Hidden::NotInFlight);
    }
    connection
        .prepare_cached("UPDATE queue_messages SET visible_ms = ?2 WHERE id = ?1")?
        .execute([receipt.message, stored_ms(until_ms)])?;
    Ok(Hidden::Hidden)
}

fn state(
    connection: &Connection,
    found: &Found,
    receipt: Receipt,
) -> Result<Option<State>, StorageError> {
    let sql = "SELECT visible_ms, received FROM queue_messages WHERE id = ?1 AND shelf = ?2";
    Ok(connection
        .prepare_cached(sql)?
        .query_row(params![receipt.message, found.shelf], |row| {
            Ok(State { visible_ms: row.get(0)?, received: row.get(1)? })
        })
        .optional()?)
}
