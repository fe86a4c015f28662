//! The body encoding `aws-chunked`: sizes in hex with what an SDK signs, pieces, and trailers.
//!
//! ```text
//! 5;chunk-signature=…\r\n hello\r\n 0;chunk-signature=…\r\n x-amz-checksum-crc32:…\r\n \r\n
//! ```
//!
//! Takes the body in any pieces and keeps none of it. The signatures are not checked here. Hostile
//! bytes end in an error, never in a panic or in memory that grows.

/// Bytes of a line: a size, or a trailer (ours). Longer ones are refused.
const LINE_BYTES: usize = 4_096;
/// Trailers of a body (ours). More are refused.
const TRAILERS: usize = 16;

/// The body is not what the encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A chunk has no size, or not the one it says.
    #[error("chunk is malformed")]
    Chunk,
    /// A trailer is none.
    #[error("trailer is malformed")]
    Trailer,
    /// The body ended before its last chunk.
    #[error("body ended early")]
    Early,
}

/// Takes a body apart.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    line: Vec<u8>,
    trailers: Vec<(String, String)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the line with the size of the next chunk.
    #[default]
    Size,
    /// In a chunk of which so much is to come.
    Piece(u64),
    /// In the end of the line behind a chunk.
    PieceEnd,
    /// In the lines behind the last chunk.
    Trailers,
    /// Behind everything.
    Done,
}

impl Decoder {
    /// Takes more of the body, and adds what it says to `payload`.
    ///
    /// # Errors
    /// When the body is not of this encoding.
    pub fn push(&mut self, mut input: &[u8], payload: &mut Vec<u8>) -> Result<(), Malformed> {
        while !input.is_empty() {
            input = match self.state {
                State::Piece(left) => self.piece(left, input, payload),
                State::Done => return Err(Malformed::Chunk),
                State::Size | State::PieceEnd | State::Trailers => self.line(input)?,
            };
        }
        Ok(())
    }

    /// The trailers, by their names in lower case, once the body has ended.
    ///
    /// # Errors
    /// When it has not.
    pub fn finish(self) -> Result<Vec<(String, String)>, Malformed> {
        if self.state == State::Done { Ok(self.trailers) } else { Err(Malformed::Early) }
    }

    fn piece<'a>(&mut self, left: u64, input: &'a [u8], payload: &mut Vec<u8>) -> &'a [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (piece, rest) = input.split_at(here);
        payload.extend_from_slice(piece);
        self.state = match left - here as u64 {
            0 => State::PieceEnd,
            left => State::Piece(left),
        };
        rest
    }

    /// Takes what belongs to the line at hand; does what it says if that is its end.
    fn line<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let here = end.map_or(input.len(), |end| end + 1);
        let (piece, rest) = input.split_at(here);
        if self.line.len() + piece.len() > LINE_BYTES {
            return Err(self.malformed());
        }
        self.line.extend_from_slice(piece);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.state = self.said(line.trim_ascii_end())?;
        }
        Ok(rest)
    }

    fn malformed(&self) -> Malformed {
        if self.state == State::Trailers { Malformed::Trailer } else { Malformed::Chunk }
    }

    fn said(&mut self, line: &[u8]) -> Result<State, Malformed> {
        match self.state {
            State::PieceEnd if line.is_empty() => Ok(State::Size),
            State::Size => match size(line).ok_or(Malformed::Chunk)? {
                0 => Ok(State::Trailers),
                size => Ok(State::Piece(size)),
            },
            State::Trailers if line.is_empty() => Ok(State::Done),
            State::Trailers => {
                let trailer = trailer(line).filter(|_| self.trailers.len() < TRAILERS);
                self.trailers.push(trailer.ok_or(Malformed::Trailer)?);
                Ok(State::Trailers)
            }
            State::PieceEnd | State::Piece(_) | State::Done => Err(Malformed::Chunk),
        }
    }
}

/// The size before the extensions of a chunk.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    let is_size = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_size)?;
    u64::from_str_radix(digits, 16).ok()
}

fn trailer(line: &[u8]) -> Option<(String, String)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    let name = name.trim().to_ascii_lowercase();
    (!name.is_empty()).then(|| (name, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = Result<(Vec<u8>, Vec<(String, String)>), Malformed>;

    fn decode(body: &[u8], piece_bytes: usize) -> Decoded {
        let (mut decoder, mut payload) = (Decoder::default(), Vec::new());
        for piece in body.chunks(piece_bytes) {
            decoder.push(piece, &mut payload)?;
        }
        Ok((payload, decoder.finish()?))
    }

    fn check(body: &str, expected: Result<(&str, &str), Malformed>) {
        for piece_bytes in [1, 3, 1_000] {
            let decoded = decode(body.as_bytes(), piece_bytes).map(|(payload, trailers)| {
                let trailers: Vec<String> =
                    trailers.iter().map(|(name, value)| format!("{name}={value}")).collect();
                (String::from_utf8(payload).unwrap(), trailers.join(" "))
            });
            let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(decoded, expected, "{body:?} in pieces of {piece_bytes}");
        }
    }

    #[test]
    fn chunks_are_taken_apart() {
        check("0\r\n\r\n", Ok(("", "")));
        check("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Ok(("hello world", "")));
        check("2;chunk-signature=ab\r\nhi\r\n0;chunk-signature=cd\r\n\r\n", Ok(("hi", "")));
        check(
            "2\r\nhi\r\n0\r\nX-Amz-Checksum-CRC32: AAAAAA== \r\n\r\n",
            Ok(("hi", "x-amz-checksum-crc32=AAAAAA==")),
        );
        check(
            "A;chunk-signature=ab\r\n0123456789\r\n0;chunk-signature=cd\r\n\
             x-amz-checksum-crc32c:sOO8/Q==\n\r\n",
            Ok(("0123456789", "x-amz-checksum-crc32c=sOO8/Q==")),
        );
    }

    #[test]
    fn what_is_malformed_is_refused() {
        check("", Err(Malformed::Early));
        check("5\r\nhel", Err(Malformed::Early));
        check("5\r\nhello\r\n", Err(Malformed::Early));
        check("0\r\n", Err(Malformed::Early));
        check("5\r\nhello!\r\n0\r\n\r\n", Err(Malformed::Chunk));
        check("x\r\n", Err(Malformed::Chunk));
        check("-1\r\n", Err(Malformed::Chunk));
        check("\r\n", Err(Malformed::Chunk));
        check("fffffffffffffffff\r\n", Err(Malformed::Chunk));
        check("0\r\nno trailer\r\n\r\n", Err(Malformed::Trailer));
        check("0\r\n\r\nmore", Err(Malformed::Chunk));
        check(&format!("1;{}", "x".repeat(LINE_BYTES)), Err(Malformed::Chunk));
        check(&format!("0\r\n{}", "a:b\r\n".repeat(TRAILERS + 1)), Err(Malformed::Trailer));
    }

    proptest! {
        #[test]
        fn any_chunks_in_any_pieces_are_what_was_said(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6),
            piece_bytes in 1_usize..40,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend(format!("{:x};chunk-signature=0\r\n", chunk.len()).as_bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\na:b\r\n\r\n");
            let (payload, trailers) = decode(&body, piece_bytes).unwrap();
            prop_assert_eq!(payload, chunks.concat());
            prop_assert_eq!(trailers.len(), 1);
        }

        #[test]
        fn no_body_panics_and_no_piece_matters(
            body in proptest::collection::vec(prop_oneof![Just(b'0'), Just(b'\r'), Just(b'\n'), Just(b';'), Just(b'2'), any::<u8>()], 0..60),
            piece_bytes in 1_usize..10,
        ) {
            prop_assert_eq!(decode(&body, piece_bytes), decode(&body, 1_000));
        }
    }
}
