//! Durable queues: messages that are there until they are removed, dead-lettered or too old.
//!
//! A queue is named by its scope and any text. What its owner attaches to a queue or a message is
//! opaque here; only [`Rules`] are understood. Time is handed in; `decide` says what follows from
//! it, the other files do it in the writer's transaction. A wait is in memory (`wake`): it holds
//! neither a lock nor a thread, and never asks the disk whether something came.
//!
//! Must never show a message to two receivers at once, nor lose one that was acknowledged.

mod decide;
mod manage;
mod receipt;
mod receive;
mod record;
pub(crate) mod schema;
mod send;
mod settle;
mod wake;

use std::collections::BTreeMap;

use dormouse_model::names::Scope;
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::database::Handle;
use crate::queue::wake::Arrivals;

pub use receipt::{InvalidReceipt, Receipt};
pub use receive::{Wait, Wanted};
pub use settle::{Hidden, Removed};

/// Which queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QueueKey {
    /// Whose, and in which region.
    pub scope: Scope,
    /// Its name there.
    pub name: String,
}

/// What a queue does with its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Milliseconds after which a message that was sent can be received.
    pub delay_ms: u64,
    /// Milliseconds for which a message that was received is hidden.
    pub visibility_ms: u64,
    /// Milliseconds for which a message is kept.
    pub retention_ms: u64,
    /// Whether messages of a group keep their order, and how doubles are told.
    pub order: Order,
    /// Where messages go that were received too often.
    pub dead_letter: Option<DeadLetter>,
}

/// In which order messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// About as they were sent.
    Standard,
    /// As they were sent, group by group; doubles are told over the whole queue.
    Fifo,
    /// As they were sent, group by group; doubles are told within a group.
    FifoByGroup,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The name of a queue in the same scope.
    pub queue: String,
    /// How often a message is received before it goes there.
    pub max_receives: u32,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Which.
    pub key: QueueKey,
    /// What it does.
    pub rules: Rules,
    /// What its owner keeps with it: opaque here.
    pub attributes: BTreeMap<String, String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its id.
    pub message_id: String,
    /// What it says.
    pub body: String,
    /// What its sender attached: opaque here.
    pub attributes: String,
    /// The group whose order it keeps.
    pub group: Option<String>,
    /// What makes a second one its double for five minutes, in a queue with an order.
    pub deduplication: Option<String>,
    /// Milliseconds after which it can be received, if not as the queue says.
    pub delay_ms: Option<u64>,
}

/// A message that was sent; of a double, the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub message_id: String,
    /// Grows with every message.
    pub sequence: u64,
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Removes it, or changes when it can be received again.
    pub receipt: Receipt,
    /// Its id.
    pub message_id: String,
    /// What it says.
    pub body: String,
    /// What its sender attached.
    pub attributes: String,
    /// The group whose order it keeps.
    pub group: Option<String>,
    /// What its doubles are told by.
    pub deduplication: Option<String>,
    /// Grows with every message.
    pub sequence: u64,
    /// When it was sent.
    pub sent_ms: u64,
    /// When it was first received.
    pub first_received_ms: u64,
    /// How often it was received, this time included.
    pub received: u32,
    /// The queue it was dead-lettered from.
    pub source: Option<String>,
}

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Can be received.
    pub visible: u64,
    /// Were received and are hidden.
    pub in_flight: u64,
    /// Were never received and cannot be yet.
    pub delayed: u64,
}

/// Why a queue was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateQueueError {
    /// There is one of that name.
    #[error("queue exists")]
    Exists(Box<Queue>),
    /// One of that name was removed a moment ago.
    #[error("queue was deleted recently")]
    DeletedRecently,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a queue was not emptied.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PurgeError {
    /// There is no such queue.
    #[error("no such queue")]
    Missing,
    /// It was emptied a moment ago.
    #[error("queue was purged recently")]
    InProgress,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The queues of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Queues {
    database: Handle,
    arrivals: Arrivals,
}

impl Queues {
    pub(crate) fn new(database: Handle, arrivals: Arrivals) -> Self {
        Self { database, arrivals }
    }
}

pub(crate) use wake::Arrivals as QueueArrivals;
