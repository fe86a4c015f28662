//! How events lie in the database: those of one stream and one moment that came in together share a row.
//!
//! A platform's lines of a short invocation have the same millisecond, and a row with its places in two
//! indexes costs far more than its text. A row's id is that of its last event; those before it have the ids
//! below. Events of a row have neighbouring ids and one time, so no order, cursor or count can tell that
//! they share it. Pure.

use std::borrow::Cow;

use rusqlite::Row;

use crate::logs::cursor::Position;
use crate::logs::write::EVENT_OVERHEAD_BYTES;
use crate::logs::{Event, StoredEvent};

/// Events of a row at most (ours).
pub(super) const ROW_EVENTS: usize = 64;
/// Bytes of messages after which a row takes no more events (ours). One event is always in it.
const ROW_BYTES: usize = 65_536;
/// Bytes of each length in the column.
const LENGTH_BYTES: usize = size_of::<u32>();

/// The lengths of the messages of a row, one after the other; none where there is one event only, as in
/// all rows of before.
pub(crate) const LENGTHS: &str = "ALTER TABLE log_events ADD COLUMN lengths BLOB;";

/// An SQL expression: the bytes of a row's events as AWS counts them.
pub(super) fn counted_bytes() -> String {
    format!(
        "OCTET_LENGTH(message)
             + {EVENT_OVERHEAD_BYTES} * COALESCE(OCTET_LENGTH(lengths) / {LENGTH_BYTES}, 1)"
    )
}

/// The columns that [`StoredRow::of`] reads.
pub(super) const COLUMNS: &str =
    "e.id, s.name, e.timestamp_ms, e.ingestion_ms, e.message, e.lengths";
/// Where they are.
pub(super) const TABLES: &str = "log_events e JOIN log_streams s ON s.id = e.stream_id";

/// Events that become one row: never none.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRow<'a>(&'a [Event]);

/// Events in the order in which they came, as rows.
pub(super) fn rows(mut events: &[Event]) -> impl Iterator<Item = NewRow<'_>> {
    std::iter::from_fn(move || {
        let (row, rest) = events.split_at(row_length(events)?);
        events = rest;
        Some(NewRow(row))
    })
}

/// How many of the first events share a row.
fn row_length(events: &[Event]) -> Option<usize> {
    let first = events.first()?;
    let mut bytes = first.message.len();
    let more = events[1..].iter().take(ROW_EVENTS - 1).take_while(|event| {
        let fits = bytes + event.message.len() <= ROW_BYTES;
        bytes += event.message.len();
        fits && event.timestamp_ms == first.timestamp_ms
    });
    Some(1 + more.count())
}

impl<'a> NewRow<'a> {
    /// How many events it has.
    pub(super) fn count(self) -> usize {
        self.0.len()
    }

    /// When they were, in milliseconds since 1970.
    pub(super) fn timestamp_ms(self) -> u64 {
        self.0[0].timestamp_ms
    }

    /// All messages in one.
    pub(super) fn message(self) -> Cow<'a, str> {
        match self.0 {
            [only] => Cow::Borrowed(&only.message),
            events => Cow::Owned(events.iter().map(|event| event.message.as_str()).collect()),
        }
    }

    /// Where that is to be cut.
    pub(super) fn lengths(self) -> Option<Vec<u8>> {
        let length = |event: &Event| {
            u32::try_from(event.message.len()).expect("messages that share a row are short")
        };
        let lengths = self.0.iter().map(length).flat_map(u32::to_le_bytes);
        (self.0.len() > 1).then(|| lengths.collect())
    }
}

/// A row as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredRow<'a> {
    id: u64,
    stream: &'a str,
    pub(super) timestamp_ms: u64,
    ingestion_ms: u64,
    message: &'a str,
    lengths: Option<&'a [u8]>,
}

/// An event of a row, not copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowEvent<'a> {
    row: StoredRow<'a>,
    pub(super) id: u64,
    pub(super) message: &'a str,
}

impl<'a> StoredRow<'a> {
    /// Reads [`COLUMNS`], which come first.
    pub(super) fn of(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            stream: row.get_ref(1)?.as_str()?,
            timestamp_ms: row.get(2)?,
            ingestion_ms: row.get(3)?,
            message: row.get_ref(4)?.as_str()?,
            lengths: row.get_ref(5)?.as_blob_or_null()?,
        })
    }

    /// The name of its stream.
    pub(super) fn stream(self) -> &'a str {
        self.stream
    }

    /// Its events, in the order in which they came.
    pub(super) fn events(self) -> Vec<RowEvent<'a>> {
        let messages = cut(self.message, self.lengths);
        let first = (self.id + 1).saturating_sub(messages.len() as u64);
        let event = |(id, message)| RowEvent { row: self, id, message };
        (first..).zip(messages).map(event).collect()
    }
}

impl RowEvent<'_> {
    /// Its place among all.
    pub(super) fn position(self) -> Position {
        Position { timestamp_ms: self.row.timestamp_ms, id: self.id }
    }

    /// The event with texts of its own.
    pub(super) fn stored(self) -> StoredEvent {
        StoredEvent {
            id: self.id,
            stream: self.row.stream.to_owned(),
            timestamp_ms: self.row.timestamp_ms,
            ingestion_ms: self.row.ingestion_ms,
            message: self.message.to_owned(),
        }
    }
}

/// The messages of a row. Where the lengths do not fit, which no row of ours has, the last ones are empty.
fn cut<'a>(message: &'a str, lengths: Option<&[u8]>) -> Vec<&'a str> {
    let Some(lengths) = lengths else {
        return vec![message];
    };
    let mut rest = message;
    let (lengths, _) = lengths.as_chunks::<LENGTH_BYTES>();
    let next = |length: &[u8; LENGTH_BYTES]| {
        let (message, left) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).unwrap_or((rest, ""));
        rest = left;
        message
    };
    lengths.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(timestamp_ms: u64, message: &str) -> Event {
        Event { timestamp_ms, message: message.to_owned() }
    }

    /// What is read back of events, row by row.
    fn stored(events: &[Event]) -> Vec<Vec<Event>> {
        let read = |row: NewRow<'_>| {
            let (message, lengths) = (row.message(), row.lengths());
            let stored = StoredRow {
                id: 1_000,
                stream: "s",
                timestamp_ms: row.timestamp_ms(),
                ingestion_ms: 7,
                message: &message,
                lengths: lengths.as_deref(),
            };
            let events = stored.events();
            let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
            let count = row.count() as u64;
            assert_eq!(ids, (1_001 - count..=1_000).collect::<Vec<_>>());
            let back = |it: &RowEvent<'_>| event(it.position().timestamp_ms, it.message);
            events.iter().map(back).collect()
        };
        rows(events).map(read).collect()
    }

    #[test]
    fn events_of_one_moment_that_follow_each_other_share_a_row() {
        let events = [event(1, "a"), event(1, ""), event(2, "é\n"), event(1, "d")];
        let expected = [events[..2].to_vec(), events[2..3].to_vec(), events[3..].to_vec()];
        assert_eq!(stored(&events), expected);
        assert_eq!(stored(&[]), Vec::<Vec<Event>>::new());
    }

    #[test]
    fn a_row_is_bounded_in_events_and_bytes() {
        let lengths = |events: &[Event]| stored(events).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&vec![event(1, "a"); ROW_EVENTS + 3]), [ROW_EVENTS, 3]);
        let (large, half) = ("x".repeat(ROW_BYTES + 1), "x".repeat(ROW_BYTES / 2));
        let events = [event(1, &large), event(1, &half), event(1, &half), event(1, "y")];
        assert_eq!(lengths(&events), [1, 2, 1]);
    }

    #[test]
    fn a_row_of_before_is_one_event() {
        assert_eq!(cut("ab", None), ["ab"]);
    }

    #[test]
    fn lengths_that_do_not_fit_lose_no_text_and_do_not_panic() {
        assert_eq!(cut("ab", Some(&[9, 0, 0, 0, 1, 0, 0, 0])), ["ab", ""]);
        assert_eq!(cut("é", Some(&[1, 0, 0, 0, 3])), ["é"]);
    }

    proptest! {
        #[test]
        fn what_is_put_into_rows_comes_out_again(
            events in prop::collection::vec((0..3_u64, ".{0,9}"), 0..200),
        ) {
            let events: Vec<Event> = events.iter().map(|(at, text)| event(*at, text)).collect();
            prop_assert_eq!(stored(&events).concat(), events);
        }
    }
}
