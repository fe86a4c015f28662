//! Any bytes on the descriptor for framed log records: whatever they are, cutting them must not panic,
//! must lose no message, and must make the same of them wherever the reads were.
//!
//! The first byte says in which pieces the rest arrives.
//!
//! `cargo +nightly fuzz run log_frames -- -max_len=4096`

#![no_main]

use dormouse_model::telemetry::{Frame, Frames};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else {
        return;
    };
    let whole = cut([bytes].into_iter());
    let pieces = cut(bytes.chunks(usize::from(piece).max(1)));
    assert_eq!(whole, pieces);
    assert!(whole.iter().all(|frame| frame.message.ends_with('\n')));
});

fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut frames, mut records) = (Frames::default(), Vec::new());
    for piece in pieces {
        frames.push(piece, |frame| records.push(frame));
    }
    frames.finish(|frame| records.push(frame));
    records
}
