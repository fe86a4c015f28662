//! Logs: groups of streams of events.
//!
//! A log line may be lost at a power cut, never half of a group. Must never hold a page in memory
//! that is larger than a few megabytes.

pub mod cursor;
mod read;
mod retention;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod streams;
mod tags;
mod tail;
pub(crate) mod write;

pub use retention::Round;
pub use streams::CreateStreamError;
pub(crate) use tail::Followers;
pub use tail::{Followed, Tail, TailError, TailPage, TailStreams};

use std::collections::BTreeMap;
use std::ops::Range;

use dormouse_model::names::Scope;

use crate::StorageError;
use crate::database::Handle;
use crate::logs::cursor::{EventsCursor, FilterCursor, StreamsCursor};

/// Names a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Whose and where.
    pub scope: Scope,
    /// Which.
    pub name: String,
}

/// Names a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Its group.
    pub group: GroupKey,
    /// Which.
    pub name: String,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Days its events are to be kept; without it, for good.
    pub retention_days: Option<u32>,
    /// Bytes of its events, with the 26 that AWS adds to each.
    pub stored_bytes: u64,
    /// AWS's name of its class.
    pub class: String,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// What a group is made with besides its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// AWS's name of its class.
    pub class: String,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self { class: "STANDARD".to_owned(), tags: BTreeMap::new() }
    }
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When its events were, if it has any.
    pub events: Option<EventTimes>,
}

/// When the events of a stream were, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTimes {
    /// The first one's time.
    pub first_ms: u64,
    /// The last one's time.
    pub last_ms: u64,
    /// When the last one came in.
    pub last_ingestion_ms: u64,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// What it says.
    pub message: String,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Unique in the store; grows in the order in which events came in.
    pub id: u64,
    /// The name of its stream.
    pub stream: String,
    /// When it was, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// When it came in, in milliseconds since 1970.
    pub ingestion_ms: u64,
    /// What it says.
    pub message: String,
}

/// Which streams of a group, in what order.
#[derive(Debug, Clone)]
pub struct StreamsQuery {
    /// How their names begin.
    pub prefix: String,
    /// What orders them.
    pub order: StreamsOrder,
    /// Whether the last comes first.
    pub descending: bool,
    /// The page before, of the same query.
    pub after: Option<StreamsCursor>,
    /// Streams of a page.
    pub limit: usize,
}

/// What orders streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamsOrder {
    /// Their names.
    Name,
    /// The time of their last event, then their names.
    LastEvent,
}

/// A page of streams.
#[derive(Debug, Clone)]
pub struct StreamsPage {
    /// In the order asked for.
    pub streams: Vec<Stream>,
    /// If there are more.
    pub next: Option<StreamsCursor>,
}

/// Which events of a stream.
#[derive(Debug, Clone)]
pub struct EventsQuery {
    /// Their time in milliseconds since 1970, the end excluded.
    pub between: Range<u64>,
    /// Where the page begins.
    pub from: EventsFrom,
    /// Events of a page. Pages end earlier when they hold enough bytes.
    pub limit: usize,
}

/// Where a page of events begins.
#[derive(Debug, Clone, Copy)]
pub enum EventsFrom {
    /// At the first one.
    Head,
    /// At the last one, going back.
    Tail,
    /// Where another page ended.
    Cursor(EventsCursor),
}

/// A page of a stream's events.
#[derive(Debug, Clone)]
pub struct EventsPage {
    /// By time, the oldest first, whichever way the pages go.
    pub events: Vec<StoredEvent>,
    /// Goes on to what was earlier. With an empty page: where it stood.
    pub backward: EventsCursor,
    /// Goes on to what was later, also to what is yet to come. With an empty page: where it stood.
    pub forward: EventsCursor,
}

/// Which events of a group.
#[derive(Debug, Clone)]
pub struct FilterQuery {
    /// Of which streams.
    pub streams: StreamsFilter,
    /// Their time in milliseconds since 1970, the end excluded.
    pub between: Range<u64>,
    /// The page before, of the same query.
    pub after: Option<FilterCursor>,
    /// Events of a page. Pages end earlier when they hold enough bytes or took long enough.
    pub limit: usize,
}

/// Which streams of a group.
#[derive(Debug, Clone)]
pub enum StreamsFilter {
    /// All.
    All,
    /// These, all of which must be there.
    Named(Vec<String>),
    /// Those whose names begin so.
    Prefixed(String),
}

/// A page of a group's events.
#[derive(Debug, Clone)]
pub struct FilterPage {
    /// By time, the oldest first; then as they came in.
    pub events: Vec<StoredEvent>,
    /// If there may be more, even when this page is empty.
    pub next: Option<FilterCursor>,
}

/// Why logs could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadLogsError {
    /// There is no such group.
    #[error("no such log group")]
    NoGroup,
    /// There is no such stream in the group.
    #[error("no such log stream")]
    NoStream,
    /// They could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a group was not created.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateGroupError {
    /// There is one of that name.
    #[error("log group exists")]
    Exists,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The logs of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Logs {
    database: Handle,
    followers: Followers,
}

impl Logs {
    pub(crate) fn new(database: Handle, followers: Followers) -> Self {
        Self { database, followers }
    }
}

/// A time as the database holds it.
fn stored_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
