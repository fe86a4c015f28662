//! Places to go on from: typed here, opaque text outside.
//!
//! Text from outside that is no such place is refused.

use std::fmt;
use std::str::FromStr;

use crate::logs::rows::ROW_EVENTS;

/// A text that is not a cursor of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

/// Digits of each number in a cursor: enough for any.
const DIGITS: usize = 20;

/// The place of an event among all: by time, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    pub(super) timestamp_ms: u64,
    pub(super) id: u64,
}

impl Position {
    /// Before every event of that time and later: ids begin at 1.
    pub(super) fn before(timestamp_ms: u64) -> Self {
        Self { timestamp_ms: timestamp_ms.min(i64::MAX as u64), id: 0 }
    }

    /// Behind every row that has an event before this place.
    pub(super) fn after_row(self) -> Self {
        Self { id: (self.id + ROW_EVENTS as u64).min(i64::MAX as u64), ..self }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$}{:0DIGITS$}", self.timestamp_ms, self.id)
    }
}

impl FromStr for Position {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (timestamp_ms, id) = text.split_at_checked(DIGITS).ok_or(InvalidCursor)?;
        Ok(Self { timestamp_ms: number(timestamp_ms)?, id: number(id)? })
    }
}

/// Exactly [`DIGITS`] digits, of a number that the database can hold.
fn number(text: &str) -> Result<u64, InvalidCursor> {
    if text.len() != DIGITS || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidCursor);
    }
    text.parse::<i64>().map(i64::unsigned_abs).map_err(|_| InvalidCursor)
}

/// Where a page of one stream's events ends, and to which side it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventsCursor {
    pub(super) direction: Direction,
    pub(super) position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Forward,
    Backward,
}

impl fmt::Display for EventsCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Forward => 'f',
            Direction::Backward => 'b',
        };
        write!(f, "{direction}/{}", self.position)
    }
}

impl FromStr for EventsCursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (direction, position) = match text.split_once('/') {
            Some(("f", position)) => (Direction::Forward, position),
            Some(("b", position)) => (Direction::Backward, position),
            _ => return Err(InvalidCursor),
        };
        Ok(Self { direction, position: position.parse()? })
    }
}

/// The last event that a filter looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FilterCursor(pub(super) Position);

impl fmt::Display for FilterCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for FilterCursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        text.parse().map(Self)
    }
}

/// The last stream of a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamsCursor {
    pub(super) last_event_ms: u64,
    pub(super) name: String,
}

impl fmt::Display for StreamsCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$}{}", self.last_event_ms, self.name)
    }
}

impl FromStr for StreamsCursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (last_event_ms, name) = text.split_at_checked(DIGITS).ok_or(InvalidCursor)?;
        if name.is_empty() {
            return Err(InvalidCursor);
        }
        Ok(Self { last_event_ms: number(last_event_ms)?, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_printed(
            timestamp_ms in 0..=i64::MAX as u64, id in 0..=i64::MAX as u64, forward: bool,
            name in "[^:*]{1,40}",
        ) {
            let position = Position { timestamp_ms, id };
            let direction = if forward { Direction::Forward } else { Direction::Backward };
            let events = EventsCursor { direction, position };
            prop_assert_eq!(events.to_string().parse(), Ok(events));
            prop_assert_eq!(FilterCursor(position).to_string().parse(), Ok(FilterCursor(position)));
            let streams = StreamsCursor { last_event_ms: timestamp_ms, name };
            prop_assert_eq!(streams.to_string().parse(), Ok(streams));
        }

        #[test]
        fn no_text_panics_the_cursors(text in ".{0,60}") {
            let _ = text.parse::<EventsCursor>();
            let _ = text.parse::<FilterCursor>();
            let _ = text.parse::<StreamsCursor>();
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let zeros = "0".repeat(40);
        let signed = format!("+{}", "0".repeat(39));
        let too_large = "9".repeat(40);
        let wide = "é".repeat(20);
        for text in ["", "x", "f/", "f", &zeros[1..], &signed, &too_large, &wide] {
            assert_eq!(text.parse::<FilterCursor>(), Err(InvalidCursor), "{text}");
            assert_eq!(format!("f/{text}").parse::<EventsCursor>(), Err(InvalidCursor), "{text}");
        }
        assert_eq!(format!("x/{zeros}").parse::<EventsCursor>(), Err(InvalidCursor));
        assert_eq!("0".repeat(20).parse::<StreamsCursor>(), Err(InvalidCursor));
    }
}
