//! Bytes to lines: what a process writes becomes log events, bounded in size and rate.
//!
//! Pure but for the time that is handed in.

use dormouse_model::bucket::Bucket;
use dormouse_model::environment::Micros;
use dormouse_model::limits;

/// Cuts one stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes and calls `line` for each complete line, newline included. A line longer than a
    /// log event may be is split.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while !bytes.is_empty() {
            let room = limits::LOG_EVENT_BYTES - self.partial.len();
            let end = bytes.iter().take(room).position(|b| *b == b'\n').map(|i| i + 1);
            let (taken, complete) = match end {
                Some(end) => (end, true),
                None => (bytes.len().min(room), bytes.len() >= room),
            };
            self.partial.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if complete {
                self.finish(&mut line);
            }
        }
    }

    /// Calls `line` for what came without a newline.
    pub(super) fn finish(&mut self, mut line: impl FnMut(String)) {
        if !self.partial.is_empty() {
            // Not every byte is UTF-8; CloudWatch replaces what is not, too.
            line(String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned());
        }
    }
}

/// How many bytes of lines an environment may still write now.
#[derive(Debug)]
pub(super) struct Budget {
    bucket: Bucket,
    dropped_lines: u64,
    dropped_bytes: u64,
}

impl Budget {
    pub(super) fn new(now: Micros) -> Self {
        let bucket = Bucket::new(limits::LOG_BYTES_PER_S, limits::LOG_BYTES_PER_S, now);
        Self { bucket, dropped_lines: 0, dropped_bytes: 0 }
    }

    /// Whether a line of this size may pass; one that may not is counted.
    pub(super) fn admit(&mut self, size: usize, now: Micros) -> bool {
        // A line costs its store more than its text, as it does at AWS.
        let cost = size as u64 + limits::LOG_EVENT_OVERHEAD_BYTES;
        let passes = self.bucket.take(cost, now);
        if !passes {
            self.count_dropped(size);
        }
        passes
    }

    /// Counts a line that was dropped for another reason.
    pub(super) fn count_dropped(&mut self, size: usize) {
        self.dropped_lines += 1;
        self.dropped_bytes += size as u64;
    }

    /// The notice about what was dropped since the last one.
    pub(super) fn notice(&mut self) -> Option<String> {
        let (lines, bytes) =
            (std::mem::take(&mut self.dropped_lines), std::mem::take(&mut self.dropped_bytes));
        (lines > 0).then(|| {
            format!("[dormouse] {lines} log lines ({bytes} bytes) were dropped: the function writes faster than its log may grow\n")
        })
    }
}

/// The last bytes of one invocation's log.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    pub(super) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        // Cut now and then, not at every line.
        if self.bytes.len() > 4 * limits::LOG_TAIL_BYTES {
            self.bytes.drain(..self.bytes.len() - limits::LOG_TAIL_BYTES);
        }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let excess = bytes.len().saturating_sub(limits::LOG_TAIL_BYTES);
        bytes.drain(..excess);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| out.push(line));
        }
        lines.finish(|line| out.push(line));
        out
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_were() {
        assert_eq!(split(&[b"a\nb", b"c\n", b"d"]), ["a\n", "bc\n", "d"]);
        assert_eq!(split(&[b"\n\n"]), ["\n", "\n"]);
        assert_eq!(split(&[b"\xff\n"]), ["\u{fffd}\n"]);
    }

    #[test]
    fn an_endless_line_is_split_at_the_size_of_an_event() {
        let flood = vec![b'x'; limits::LOG_EVENT_BYTES * 2 + 1];
        let lengths: Vec<usize> = split(&[&flood]).iter().map(String::len).collect();
        assert_eq!(lengths, [limits::LOG_EVENT_BYTES, limits::LOG_EVENT_BYTES, 1]);
    }

    #[test]
    fn a_flood_is_dropped_counted_and_forgiven_with_time() {
        let mut budget = Budget::new(0);
        let second = limits::LOG_BYTES_PER_S - limits::LOG_EVENT_OVERHEAD_BYTES;
        let second = usize::try_from(second).unwrap();
        assert!(budget.admit(second, 0));
        assert!(!budget.admit(10, 0));
        assert!(budget.notice().unwrap().contains("1 log lines (10 bytes)"));
        assert_eq!(budget.notice(), None);
        assert!(budget.admit(10, 1_000_000));
    }

    #[test]
    fn short_lines_are_not_free() {
        let mut budget = Budget::new(0);
        let passed = (0..limits::LOG_BYTES_PER_S).filter(|_| budget.admit(1, 0)).count() as u64;
        assert_eq!(passed, limits::LOG_BYTES_PER_S / (1 + limits::LOG_EVENT_OVERHEAD_BYTES));
    }

    #[test]
    fn the_tail_is_the_end_of_the_log() {
        let mut tail = Tail::default();
        for i in 0..10_000 {
            tail.push(&format!("{i}\n"));
        }
        let bytes = tail.take();
        assert_eq!(bytes.len(), limits::LOG_TAIL_BYTES);
        assert!(bytes.ends_with(b"9999\n"));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_between_lines(chunks in prop::collection::vec("[a-z\n]{0,20}", 0..20)) {
            let joined: String = chunks.concat();
            let refs: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            prop_assert_eq!(split(&refs).concat(), joined);
        }
    }
}
