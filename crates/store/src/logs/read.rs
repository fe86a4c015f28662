//! What reads logs. Each read sees one snapshot.

use std::collections::HashSet;

use dormouse_model::names::Scope;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StorageError;
use crate::database::after_prefix;
use crate::logs::cursor::{Direction, EventsCursor, FilterCursor, Position, StreamsCursor};
use crate::logs::rows::{COLUMNS, RowEvent, StoredRow, TABLES};
use crate::logs::write::group_id;
use crate::logs::{
    EventTimes, EventsFrom, EventsPage, EventsQuery, FilterPage, FilterQuery, Group, GroupKey,
    Logs, ReadLogsError, StoredEvent, Stream, StreamKey, StreamsFilter, StreamsOrder, StreamsPage,
    StreamsQuery, stored_ms,
};

/// Bytes of messages after which a page ends (`GetLogEvents`, `FilterLogEvents`: 1 MB). One event
/// is always in it.
const PAGE_BYTES: usize = 1_048_576;
/// Events a filter looks at for one page (ours). Past it the page ends, however few it holds.
const FILTER_EVENTS: usize = 100_000;

impl Logs {
    /// Groups whose names begin so, in the order of their names, from the one that follows `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn groups(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Group>, StorageError> {
        let (scope, prefix) = (scope.clone(), prefix.to_owned());
        let after = after.unwrap_or_default().to_owned();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT {GROUP} FROM log_groups
                     WHERE account = ?1 AND region = ?2 AND name >= ?3 AND name < ?4 AND name > ?5
                     ORDER BY name LIMIT ?6",
                ))?;
                let (account, region) = (scope.account.as_str(), scope.region.as_str());
                let end = after_prefix(&prefix);
                let of = params![account, region, prefix, end, after, limit];
                Ok(statement.query_map(of, group)?.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Streams of a group.
    ///
    /// # Errors
    /// When there is no such group, or they cannot be read.
    pub async fn streams(
        &self,
        group: &GroupKey,
        query: StreamsQuery,
    ) -> Result<StreamsPage, ReadLogsError> {
        let group = group.clone();
        self.database
            .read(move |connection| {
                let group = group_id(connection, &group)?.ok_or(ReadLogsError::NoGroup)?;
                Ok(streams(connection, group, &query)?)
            })
            .await
    }

    /// Events of one stream, by time.
    ///
    /// # Errors
    /// When there is no such group or stream, or they cannot be read.
    pub async fn events(
        &self,
        stream: &StreamKey,
        query: EventsQuery,
    ) -> Result<EventsPage, ReadLogsError> {
        let stream = stream.clone();
        self.database
            .read(move |connection| {
                let group = group_id(connection, &stream.group)?.ok_or(ReadLogsError::NoGroup)?;
                let id = stream_id(connection, group, &stream.name)?;
                let id = id.ok_or(ReadLogsError::NoStream)?;
                Ok(events(connection, id, &query)?)
            })
            .await
    }

    /// Events of a group's streams, by time, whose message is `wanted`.
    ///
    /// # Errors
    /// When there is no such group or a named stream is not in it, or they cannot be read.
    pub async fn filter(
        &self,
        group: &GroupKey,
        query: FilterQuery,
        wanted: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<FilterPage, ReadLogsError> {
        let group = group.clone();
        self.database
            .read(move |connection| {
                let group = group_id(connection, &group)?.ok_or(ReadLogsError::NoGroup)?;
                let source = source(connection, group, &query.streams)?;
                Ok(filter(connection, source, &query, wanted)?)
            })
            .await
    }
}

/// The columns that [`group`] reads.
pub(super) const GROUP: &str = "name, created_ms, retention_days, stored_bytes, class, tags";

pub(super) fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let tags = row.get_ref(5)?.as_str()?;
    Ok(Group {
        name: row.get(0)?,
        created_ms: row.get(1)?,
        retention_days: row.get(2)?,
        stored_bytes: row.get(3)?,
        class: row.get(4)?,
        tags: serde_json::from_str(tags).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(5, Type::Text, Box::new(error))
        })?,
    })
}

fn stream_id(connection: &Connection, group: i64, name: &str) -> Result<Option<i64>, StorageError> {
    let sql = "SELECT id FROM log_streams WHERE group_id = ?1 AND name = ?2";
    Ok(connection
        .prepare_cached(sql)?
        .query_row(params![group, name], |row| row.get(0))
        .optional()?)
}

fn streams(
    connection: &Connection,
    group: i64,
    query: &StreamsQuery,
) -> Result<StreamsPage, StorageError> {
    let (sign, direction) = if query.descending { ("<", "DESC") } else { (">", "ASC") };
    // An expression instead of the bare name keeps SQLite to the index on the last event, which
    // spares it sorting all streams of the group for a page.
    let (name, place, last_event) = match query.order {
        StreamsOrder::Name => ("name", format!("name {sign} ?5"), String::new()),
        StreamsOrder::LastEvent => (
            "(name || '')",
            format!("(COALESCE(last_event_ms, 0), name) {sign} (?4, ?5)"),
            format!("COALESCE(last_event_ms, 0) {direction}, "),
        ),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT name, created_ms, first_event_ms, last_event_ms, last_ingestion_ms
         FROM log_streams WHERE group_id = ?1 AND {name} >= ?2 AND {name} < ?3 AND {place}
         ORDER BY {last_event}name {direction} LIMIT ?6",
    ))?;
    let (last_event_ms, name) = match &query.after {
        Some(cursor) => (stored_ms(cursor.last_event_ms), cursor.name.clone()),
        None if query.descending => (i64::MAX, after_prefix("")),
        None => (-1, String::new()),
    };
    let end = after_prefix(&query.prefix);
    let more = query.limit.saturating_add(1).min(i32::MAX as usize);
    let of = params![group, query.prefix, end, last_event_ms, name, more];
    let mut streams: Vec<Stream> = statement.query_map(of, stream)?.collect::<Result<_, _>>()?;
    let next = if streams.len() > query.limit {
        streams.truncate(query.limit);
        streams.last().map(|last| StreamsCursor {
            last_event_ms: last.events.map_or(0, |events| events.last_ms),
            name: last.name.clone(),
        })
    } else {
        None
    };
    Ok(StreamsPage { streams, next })
}

fn stream(row: &Row<'_>) -> rusqlite::Result<Stream> {
    let (first, last): (Option<u64>, Option<u64>) = (row.get(2)?, row.get(3)?);
    let events = match (first, last, row.get(4)?) {
        (Some(first_ms), Some(last_ms), Some(last_ingestion_ms)) => {
            Some(EventTimes { first_ms, last_ms, last_ingestion_ms })
        }
        _ => None,
    };
    Ok(Stream { name: row.get(0)?, created_ms: row.get(1)?, events })
}

/// A page that fills up to a number of events or bytes.
struct Page {
    events: Vec<StoredEvent>,
    bytes: usize,
    limit: usize,
}

impl Page {
    fn new(limit: usize) -> Self {
        Self { events: Vec::new(), bytes: 0, limit }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    fn push(&mut self, event: StoredEvent) {
        self.bytes += event.message.len();
        self.events.push(event);
    }

    /// Adds events until it is full.
    fn fill<'a>(&mut self, events: impl Iterator<Item = RowEvent<'a>>) {
        for event in events {
            if self.is_full() {
                return;
            }
            self.push(event.stored());
        }
    }
}

fn events(
    connection: &Connection,
    stream: i64,
    query: &EventsQuery,
) -> Result<EventsPage, StorageError> {
    let (start, end) = (Position::before(query.between.start), Position::before(query.between.end));
    let (direction, from) = match query.from {
        EventsFrom::Head => (Direction::Forward, start),
        EventsFrom::Tail => (Direction::Backward, end),
        EventsFrom::Cursor(cursor) => (cursor.direction, cursor.position),
    };
    // One bound is a position and the other a time: SQLite then seeks in the index by both.
    let (sign, order, position, limit_sign, limit) = match direction {
        Direction::Forward => (">", "ASC", from.max(start), "<", end),
        Direction::Backward => ("<", "DESC", from.min(end), ">=", start),
    };
    // A row stands at its last event: the first row going back may stand behind the position.
    let seek = if direction == Direction::Forward { position } else { position.after_row() };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE e.stream_id = ?1 AND (e.timestamp_ms, e.id) {sign} (?2, ?3)
             AND e.timestamp_ms {limit_sign} ?4
         ORDER BY e.timestamp_ms {order}, e.id {order}",
    ))?;
    let of = params![stream, seek.timestamp_ms, seek.id, limit.timestamp_ms];
    let mut rows = statement.query(of)?;
    let mut page = Page::new(query.limit);
    while !page.is_full()
        && let Some(row) = rows.next()?
    {
        let events = StoredRow::of(row)?.events().into_iter();
        match direction {
            Direction::Forward => page.fill(events.filter(|it| it.position() > position)),
            Direction::Backward => page.fill(events.rev().filter(|it| it.position() < position)),
        }
    }
    if direction == Direction::Backward {
        page.events.reverse();
    }
    // A stream without events so far is read on from its head, not from the end of time.
    let empty_at = if matches!(query.from, EventsFrom::Tail) { start } else { from };
    Ok(events_page(page.events, empty_at))
}

fn events_page(events: Vec<StoredEvent>, empty_at: Position) -> EventsPage {
    let position =
        |event: &StoredEvent| Position { timestamp_ms: event.timestamp_ms, id: event.id };
    let first = events.first().map_or(empty_at, position);
    let last = events.last().map_or(empty_at, position);
    EventsPage {
        events,
        backward: EventsCursor { direction: Direction::Backward, position: first },
        forward: EventsCursor { direction: Direction::Forward, position: last },
    }
}

/// Where a filter takes its events from.
enum Source {
    Group { group: i64, streams: Streams },
    Stream(i64),
}

enum Streams {
    All,
    Named(HashSet<String>),
    Prefixed(String),
}

impl Streams {
    fn contain(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
            Self::Prefixed(prefix) => name.starts_with(prefix),
        }
    }
}

fn source(
    connection: &Connection,
    group: i64,
    streams: &StreamsFilter,
) -> Result<Source, ReadLogsError> {
    let streams = match streams {
        StreamsFilter::All => Streams::All,
        StreamsFilter::Prefixed(prefix) => Streams::Prefixed(prefix.clone()),
        StreamsFilter::Named(names) => {
            let mut ids = HashSet::new();
            for name in names {
                let id = stream_id(connection, group, name)?;
                ids.insert(id.ok_or(ReadLogsError::NoStream)?);
            }
            // One stream has its own index; several are picked out of the group's events.
            match ids.iter().next() {
                Some(id) if ids.len() == 1 => return Ok(Source::Stream(*id)),
                _ => Streams::Named(names.iter().cloned().collect()),
            }
        }
    };
    Ok(Source::Group { group, streams })
}

fn filter(
    connection: &Connection,
    source: Source,
    query: &FilterQuery,
    wanted: impl Fn(&str) -> bool,
) -> Result<FilterPage, StorageError> {
    let (column, id, streams) = match source {
        Source::Group { group, streams } => ("group_id", group, streams),
        Source::Stream(stream) => ("stream_id", stream, Streams::All),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE e.{column} = ?1 AND (e.timestamp_ms, e.id) > (?2, ?3)
             AND e.timestamp_ms < ?4
         ORDER BY e.timestamp_ms, e.id",
    ))?;
    let start = Position::before(query.between.start);
    let seek = query.after.map_or(start, |cursor| cursor.0.max(start));
    let end_ms = Position::before(query.between.end).timestamp_ms;
    let mut rows = statement.query(params![id, seek.timestamp_ms, seek.id, end_ms])?;
    let mut page = Page::new(query.limit);
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let row = StoredRow::of(row)?;
        let is_asked_for = streams.contain(row.stream());
        for event in row.events().into_iter().filter(|it| it.position() > seek) {
            looked_at += 1;
            if is_asked_for && wanted(event.message) {
                page.push(event.stored());
            }
            if page.is_full() || looked_at >= FILTER_EVENTS {
                let next = Some(FilterCursor(event.position()));
                return Ok(FilterPage { events: page.events, next });
            }
        }
    }
    Ok(FilterPage { events: page.events, next: None })
}
