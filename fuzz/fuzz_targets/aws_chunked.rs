//! Any body said to be `aws-chunked`, in any pieces: taking it apart must not panic, must not depend on
//! the pieces, and must not say more than came.
//!
//! The first byte is the size of the pieces.
//!
//! `cargo +nightly fuzz run aws_chunked -- -max_len=4096`

#![no_main]

use dormouse_api::s3::chunked::{Decoder, Malformed};
use libfuzzer_sys::fuzz_target;

type Decoded = Result<(Vec<u8>, Vec<(String, String)>), Malformed>;

fn decode(body: &[u8], piece_bytes: usize) -> Decoded {
    let (mut decoder, mut payload) = (Decoder::default(), Vec::new());
    for piece in body.chunks(piece_bytes) {
        decoder.push(piece, &mut payload)?;
    }
    assert!(payload.len() <= body.len());
    Ok((payload, decoder.finish()?))
}

fuzz_target!(|input: &[u8]| {
    let Some((piece_bytes, body)) = input.split_first() else { return };
    let in_pieces = decode(body, usize::from(*piece_bytes).max(1));
    assert_eq!(in_pieces, decode(body, body.len().max(1)));
});
