//! The framed log records of managed runtimes, as they come out of the pipe that
//! `_LAMBDA_TELEMETRY_LOG_FD` names: each frame is one event, however many lines it has.
//!
//! ```text
//! type u32 | length u32 | microseconds since 1970 u64 | message
//!
//! type: 0xa55a____; the lowest two bits: 2 = JSON, 3 = text, 1 = text without the time;
//! above them the level, which the message has too
//! ```
//!
//! All numbers are big-endian. The bytes are the function's to write: whatever they are, every one of
//! them ends up in a record, and none is kept longer than a record may be.

use crate::limits::LOG_EVENT_BYTES;

const MAGIC: u32 = 0xa55a;
const HEAD_BYTES: usize = 8;
const TIME_BYTES: usize = 8;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When it was written, in milliseconds since 1970, as its writer says.
    pub wall_ms: Option<u64>,
    /// What was written; a newline is at its end.
    pub message: String,
}

/// Cuts bytes into frames.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// A frame's head is to come.
    #[default]
    Head,
    /// So many bytes of a message are to come.
    Message { left: usize, wall_ms: Option<u64> },
    /// There was no head where one should be: what follows is taken as lines.
    Lines,
}

impl Frames {
    /// Takes bytes and calls `record` for each complete record. A message longer than a log event may
    /// be is split.
    pub fn push(&mut self, mut bytes: &[u8], mut record: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Head => self.head(bytes, &mut record),
                State::Message { left, wall_ms } => {
                    self.message(bytes, (left, wall_ms), &mut record)
                }
                State::Lines => self.line(bytes, &mut record),
            };
            bytes = &bytes[taken..];
        }
    }

    /// Calls `record` for what is incomplete.
    pub fn finish(&mut self, mut record: impl FnMut(Frame)) {
        let wall_ms = match self.state {
            State::Message { wall_ms, .. } => wall_ms,
            State::Head | State::Lines => None,
        };
        self.emit(wall_ms, &mut record);
        self.state = State::Head;
    }

    fn head(&mut self, bytes: &[u8], record: &mut impl FnMut(Frame)) -> usize {
        let taken = bytes.len().min(self.head_bytes() - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        if self.held.len() >= 4 && word(&self.held, 0) >> 16 != MAGIC {
            self.state = State::Lines;
            // What was held may have lines in it.
            let held = std::mem::take(&mut self.held);
            let mut rest = held.as_slice();
            while !rest.is_empty() {
                rest = &rest[self.line(rest, record)..];
            }
        } else if self.held.len() == self.head_bytes() && self.held.len() >= HEAD_BYTES {
            let left = usize::try_from(word(&self.held, 4)).unwrap_or(usize::MAX);
            let wall_ms = self.time();
            self.held.clear();
            self.state = State::Message { left, wall_ms };
            if left == 0 {
                self.state = State::Head;
            }
        }
        taken
    }

    /// How long the head is, as far as is known of it.
    fn head_bytes(&self) -> usize {
        match self.held.len() {
            0..4 => 4,
            _ if self.has_time() => HEAD_BYTES + TIME_BYTES,
            _ => HEAD_BYTES,
        }
    }

    fn has_time(&self) -> bool {
        word(&self.held, 0) & 0b11 != 1
    }

    fn time(&self) -> Option<u64> {
        let micros = self.has_time().then(|| &self.held[HEAD_BYTES..])?;
        let micros = u64::from_be_bytes(micros.try_into().ok()?);
        Some(micros / 1_000)
    }

    fn message(
        &mut self,
        bytes: &[u8],
        (left, wall_ms): (usize, Option<u64>),
        record: &mut impl FnMut(Frame),
    ) -> usize {
        let room = LOG_EVENT_BYTES - self.held.len();
        let taken = bytes.len().min(left).min(room);
        self.held.extend_from_slice(&bytes[..taken]);
        let left = left - taken;
        if left == 0 || taken == room {
            self.emit(wall_ms, record);
        }
        self.state = if left == 0 { State::Head } else { State::Message { left, wall_ms } };
        taken
    }

    fn line(&mut self, bytes: &[u8], record: &mut impl FnMut(Frame)) -> usize {
        let room = LOG_EVENT_BYTES - self.held.len();
        let end = bytes.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(bytes.len().min(room));
        self.held.extend_from_slice(&bytes[..taken]);
        if end.is_some() || taken == room {
            self.emit(None, record);
        }
        taken
    }

    fn emit(&mut self, wall_ms: Option<u64>, record: &mut impl FnMut(Frame)) {
        if self.held.is_empty() {
            return;
        }
        let mut message = String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned();
        if !message.ends_with('\n') {
            message.push('\n');
        }
        record(Frame { wall_ms, message });
    }
}

/// The big-endian number at a place where there are four bytes.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u32, micros: Option<u64>, message: &str) -> Vec<u8> {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend(micros.map(u64::to_be_bytes).into_iter().flatten());
        bytes.extend(message.as_bytes());
        bytes
    }

    fn cut(chunks: &[&[u8]]) -> Vec<Frame> {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        for chunk in chunks {
            frames.push(chunk, |frame| out.push(frame));
        }
        frames.finish(|frame| out.push(frame));
        out
    }

    fn told(bytes: &[u8]) -> Vec<(Option<u64>, String)> {
        cut(&[bytes]).into_iter().map(|frame| (frame.wall_ms, frame.message)).collect()
    }

    #[test]
    fn a_record_of_many_lines_is_one_event_with_its_own_time() {
        let mut bytes = frame(0xa55a_000f, Some(1_700_000_000_123_456), "a\nb\n");
        bytes.extend(frame(0xa55a_0002, Some(5_000), "{}"));
        bytes.extend(frame(0xa55a_0001, None, "old"));
        bytes.extend(frame(0xa55a_0003, Some(0), ""));
        let expected = [
            (Some(1_700_000_000_123), "a\nb\n".to_owned()),
            (Some(5), "{}\n".to_owned()),
            (None, "old\n".to_owned()),
        ];
        assert_eq!(told(&bytes), expected);
    }

    #[test]
    fn what_is_no_frame_is_lines() {
        assert_eq!(told(b"hello\nyou\n"), [(None, "hello\n".into()), (None, "you\n".into())]);
        assert_eq!(told(b"\xa5\x5a"), [(None, "\u{fffd}Z\n".into())]);
        let mut cut_short = frame(0xa55a_0003, Some(7_000), "abcdef");
        cut_short.truncate(19);
        assert_eq!(told(&cut_short), [(Some(7), "abc\n".into())]);
    }

    #[test]
    fn a_length_that_never_comes_costs_no_more_than_an_event() {
        let mut bytes = 0xa55a_0003_u32.to_be_bytes().to_vec();
        bytes.extend(u32::MAX.to_be_bytes());
        bytes.extend(0_u64.to_be_bytes());
        bytes.extend(vec![b'x'; LOG_EVENT_BYTES + 1]);
        let lengths: Vec<usize> = cut(&[&bytes]).iter().map(|frame| frame.message.len()).collect();
        assert_eq!(lengths, [LOG_EVENT_BYTES + 1, 2]);
    }

    proptest! {
        #[test]
        fn frames_are_cut_wherever_the_reads_were(
            messages in prop::collection::vec("[a-z\n]{1,20}", 0..10),
            cuts in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let bytes: Vec<u8> =
                messages.iter().flat_map(|text| frame(0xa55a_0003, Some(1_000), text)).collect();
            let mut chunks: Vec<&[u8]> = Vec::new();
            let (mut rest, mut sizes) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                chunks.push(chunk);
                rest = after;
            }
            let got: Vec<String> = cut(&chunks).into_iter().map(|frame| frame.message).collect();
            let expected: Vec<String> = messages
                .iter()
                .map(|text| if text.ends_with('\n') { text.clone() } else { format!("{text}\n") })
                .collect();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn any_bytes_become_records(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for frame in cut(&[&bytes]) {
                prop_assert!(frame.message.ends_with('\n'));
            }
        }
    }
}
