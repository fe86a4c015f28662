//! What the processes of an environment write, cut into what becomes one log event each: lines, or
//! the framed records of managed runtimes.

use std::collections::HashMap;

use dormouse_model::telemetry::{Frame, Frames};
use dormouse_sandbox::{ProcessId, Stream};

use super::lines::Lines;

/// One piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Whose.
    pub(super) process: ProcessId,
    /// With the newline.
    pub(super) text: String,
    /// When, in milliseconds since 1970, where the writer says so.
    pub(super) wall_ms: Option<u64>,
}

/// The incomplete ends of all streams.
#[derive(Debug, Default)]
pub(super) struct Output {
    streams: HashMap<(ProcessId, Stream), Cut>,
}

#[derive(Debug)]
enum Cut {
    Lines(Lines),
    Frames(Frames),
}

impl Output {
    /// Takes bytes; what has become complete.
    pub(super) fn push(
        &mut self,
        process: ProcessId,
        stream: Stream,
        bytes: &[u8],
    ) -> Vec<Written> {
        let cut = self.streams.entry((process, stream)).or_insert_with(|| match stream {
            Stream::Out | Stream::Err => Cut::Lines(Lines::default()),
            Stream::Records => Cut::Frames(Frames::default()),
        });
        let mut written = Vec::new();
        match cut {
            Cut::Lines(lines) => lines.push(bytes, |text| written.push(line(process, text))),
            Cut::Frames(frames) => frames.push(bytes, |frame| written.push(record(process, frame))),
        }
        written
    }

    /// What is incomplete counts as complete: its writers are gone, or what they wrote so far belongs
    /// to an invocation that is over.
    pub(super) fn finish(&mut self) -> Vec<Written> {
        let mut written = Vec::new();
        for ((process, _), cut) in &mut self.streams {
            match cut {
                Cut::Lines(lines) => lines.finish(|text| written.push(line(*process, text))),
                Cut::Frames(frames) => frames.finish(|frame| written.push(record(*process, frame))),
            }
        }
        written
    }

    /// No stream goes on: the processes are others from now on.
    pub(super) fn forget(&mut self) {
        self.streams.clear();
    }
}

fn line(process: ProcessId, text: String) -> Written {
    Written { process, text, wall_ms: None }
}

fn record(process: ProcessId, frame: Frame) -> Written {
    Written { process, text: frame.message, wall_ms: frame.wall_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_mix_and_records_keep_their_time() {
        let (one, two) = (ProcessId(1), ProcessId(2));
        let mut output = Output::default();
        assert_eq!(output.push(one, Stream::Out, b"a"), []);
        assert_eq!(output.push(two, Stream::Out, b"b\n"), [line(two, "b\n".into())]);
        assert_eq!(output.push(one, Stream::Err, b"c\n"), [line(one, "c\n".into())]);
        let frame = b"\xa5\x5a\x00\x03\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x1b\x58d\ne\n";
        let got = output.push(one, Stream::Records, frame);
        assert_eq!(got, [Written { process: one, text: "d\ne\n".into(), wall_ms: Some(7) }]);
        assert_eq!(output.finish(), [line(one, "a".into())]);
        assert_eq!(output.finish(), []);
    }
}
