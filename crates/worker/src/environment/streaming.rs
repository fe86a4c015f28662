//! A response that its caller gets as the function writes it: one task per stream that passes pieces
//! on, no faster than the bandwidth allows, beside the environment's owner.
//!
//! Every step waits for the next one: a client that reads slowly makes the function's writes wait.
//! Only a client that has gone does not; what it will never read is thrown away.

use std::time::Duration;

use bytes::Bytes;
use dormouse_model::bucket::Bucket;
use dormouse_model::clock::Clock;
use dormouse_model::invocation::{self, StreamError};
use dormouse_model::limits;
use dormouse_runtime_api::{Piece, Refusal, ResponseStream, StreamEnd};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// A response that the runtime has begun, until the machine says to pass it on.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) body: ResponseStream,
    pub(super) verdict: oneshot::Sender<Result<(), Refusal>>,
}

/// A response on its way. Dropping it ends its task; what the task has passed on still arrives.
#[derive(Debug)]
pub(super) struct Streaming {
    forwarder: JoinSet<Forwarded>,
    verdict: oneshot::Sender<Result<(), Refusal>>,
}

/// What became of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// How it ended.
    pub(super) end: StreamEnd,
    /// How long it was.
    pub(super) bytes: u64,
}

impl Streaming {
    /// Begins to pass a response on.
    pub(super) fn begin(offered: Offered, pieces: mpsc::Sender<Bytes>, clock: Clock) -> Self {
        let mut forwarder = JoinSet::new();
        forwarder.spawn(forward(offered.body, pieces, clock));
        Self { forwarder, verdict: offered.verdict }
    }

    /// Waits for the end. Cancel safe.
    pub(super) async fn ended(&mut self) -> Forwarded {
        let lost = Forwarded { end: StreamEnd::Truncated, bytes: 0 };
        self.forwarder.join_next().await.and_then(Result::ok).unwrap_or(lost)
    }

    /// Tells the runtime that its response was taken.
    pub(super) fn accept(self) {
        // A runtime that hung up after its answer loses nothing.
        let _ = self.verdict.send(Ok(()));
    }
}

impl Forwarded {
    /// What the caller is told of the end, if it is not a good one.
    pub(super) fn error(self) -> Option<StreamError> {
        match self.end {
            StreamEnd::Complete => None,
            StreamEnd::Failed(error) => Some(StreamError {
                code: error.error_type,
                details: String::from_utf8_lossy(&error.body).into_owned(),
            }),
            StreamEnd::Truncated => Some(invocation::truncated_response().into()),
            StreamEnd::TooLarge => {
                let limit_bytes = dormouse_runtime_api::limits::STREAM_BYTES;
                Some(invocation::response_too_large(limit_bytes).into())
            }
        }
    }
}

async fn forward(mut body: ResponseStream, pieces: mpsc::Sender<Bytes>, clock: Clock) -> Forwarded {
    let (burst, rate) = (limits::STREAM_BURST_BYTES, limits::STREAM_BYTES_PER_S);
    let mut bucket = Bucket::new(burst, rate, clock.now());
    let mut bytes = 0;
    let end = loop {
        match body.next().await {
            Piece::Data(piece) => {
                bytes += piece.len() as u64;
                tokio::select! {
                    biased;
                    () = pieces.closed() => {}
                    () = pass(piece, &pieces, &mut bucket, &clock) => {}
                }
            }
            Piece::End(end) => break end,
        }
    };
    if end == StreamEnd::Truncated {
        // Of a process that ended in the middle its connection tells first. Its end says more, and
        // whoever hears of it ends this task.
        tokio::time::sleep(Duration::from_millis(limits::EXIT_NEWS_MS)).await;
    }
    Forwarded { end, bytes }
}

/// Passes one piece on when the bandwidth allows it and the client has room for it.
async fn pass(piece: Bytes, pieces: &mpsc::Sender<Bytes>, bucket: &mut Bucket, clock: &Clock) {
    // One that is larger than the burst would never pass; it counts as all of it.
    let cost = (piece.len() as u64).min(limits::STREAM_BURST_BYTES);
    while !bucket.take(cost, clock.now()) {
        let wait = bucket.until(cost, clock.now()).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(wait)).await;
    }
    // One that is gone is noticed above.
    let _ = pieces.send(piece).await;
}

#[cfg(test)]
mod tests {
    use dormouse_runtime_api::{Call, StreamError as Reported, serve};
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::*;

    /// A runtime that has begun a streamed response, and its stream under way to a caller.
    struct Begun {
        runtime: DuplexStream,
        streaming: Streaming,
        pieces: mpsc::Receiver<Bytes>,
        _served: JoinSet<()>,
    }

    async fn begin() -> Begun {
        let (mut runtime, server) = tokio::io::duplex(65_536);
        let (sender, mut calls) = mpsc::channel(1);
        let mut served = JoinSet::new();
        served.spawn(async move { drop(serve(server, sender).await) });
        let head = "POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\n\
            Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n";
        runtime.write_all(head.as_bytes()).await.unwrap();
        let Some(Call::ResponseStream { body, reply, .. }) = calls.recv().await else {
            panic!("a stream was begun");
        };
        let (sender, pieces) = mpsc::channel(limits::ANSWER_PIECES);
        let offered = Offered { body, verdict: reply };
        let streaming = Streaming::begin(offered, sender, clock());
        Begun { runtime, streaming, pieces, _served: served }
    }

    /// The paused clock of the test.
    fn clock() -> Clock {
        let start = Instant::now();
        Clock::new(move || u64::try_from(start.elapsed().as_micros()).unwrap(), || 0)
    }

    fn chunk(bytes: &[u8]) -> Vec<u8> {
        [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_is_there_before_the_next_one_is_written() {
        let mut begun = begin().await;
        for piece in ["one", "two"] {
            begun.runtime.write_all(&chunk(piece.as_bytes())).await.unwrap();
            assert_eq!(begun.pieces.recv().await, Some(piece.into()));
        }
        begun.runtime.write_all(b"0\r\n\r\n").await.unwrap();
        let forwarded = begun.streaming.ended().await;
        assert_eq!(forwarded, Forwarded { end: StreamEnd::Complete, bytes: 6 });
        assert_eq!(begun.pieces.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let Begun { mut runtime, mut streaming, mut pieces, _served } = begin().await;
        let bytes = limits::STREAM_BURST_BYTES + 3 * limits::STREAM_BYTES_PER_S;
        let write = async {
            let whole = chunk(&vec![0; usize::try_from(bytes).unwrap()]);
            runtime.write_all(&whole).await.unwrap();
            runtime.write_all(b"0\r\n\r\n").await.unwrap();
        };
        let began = Instant::now();
        let read = async {
            let (mut read, mut burst) = (0, Duration::MAX);
            while let Some(piece) = pieces.recv().await {
                read += piece.len() as u64;
                if read <= limits::STREAM_BURST_BYTES {
                    burst = began.elapsed();
                }
            }
            (read, burst)
        };
        let ((), (read, burst)) = tokio::join!(write, read);
        assert_eq!((read, streaming.ended().await.bytes), (bytes, bytes));
        assert_eq!(burst, Duration::ZERO);
        let took = began.elapsed();
        // A timer is exact to a millisecond, and what it was late by is earned.
        assert!((3_000..3_002).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_makes_the_function_wait() {
        let mut begun = begin().await;
        let whole = chunk(&vec![0; 4 << 20]);
        let written = begun.runtime.write_all(&whole);
        assert!(tokio::time::timeout(Duration::from_secs(60), written).await.is_err());
        assert_eq!(begun.pieces.len(), limits::ANSWER_PIECES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_that_has_gone_will_never_read_is_thrown_away_at_once() {
        let Begun { mut runtime, mut streaming, mut pieces, _served } = begin().await;
        let bytes = 4 * limits::STREAM_BURST_BYTES;
        let whole = chunk(&vec![0; usize::try_from(bytes).unwrap()]);
        let began = Instant::now();
        let write = async {
            runtime.write_all(&whole).await.unwrap();
            runtime.write_all(b"0\r\n\r\n").await.unwrap();
        };
        let hang_up = async {
            pieces.recv().await;
            drop(pieces);
        };
        tokio::join!(write, hang_up);
        assert_eq!(streaming.ended().await, Forwarded { end: StreamEnd::Complete, bytes });
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_process_has_time_to_be_told_before_its_stream_counts_as_truncated() {
        let Begun { mut runtime, mut streaming, mut pieces, _served } = begin().await;
        runtime.write_all(&chunk(b"some")).await.unwrap();
        assert_eq!(pieces.recv().await, Some("some".into()));
        let began = Instant::now();
        drop(runtime);
        let forwarded = streaming.ended().await;
        assert_eq!(forwarded, Forwarded { end: StreamEnd::Truncated, bytes: 4 });
        assert_eq!(began.elapsed(), Duration::from_millis(limits::EXIT_NEWS_MS));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_given_up_ends_behind_what_was_passed_on() {
        let Begun { mut runtime, streaming, mut pieces, _served } = begin().await;
        runtime.write_all(&chunk(b"some")).await.unwrap();
        tokio::task::yield_now().await;
        while pieces.is_empty() {
            tokio::task::yield_now().await;
        }
        drop(streaming);
        assert_eq!(pieces.recv().await, Some("some".into()));
        assert_eq!(pieces.recv().await, None);
    }

    fn check(end: StreamEnd, expected: &str) {
        let error = Forwarded { end, bytes: 0 }.error();
        let shown = error.map_or("none".to_owned(), |error| error.code + " " + &error.details);
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_end_that_is_not_a_good_one_has_a_name() {
        check(StreamEnd::Complete, "none");
        let error = Reported { error_type: "TypeError".into(), body: "{\"a\":1}".into() };
        check(StreamEnd::Failed(error), "TypeError {\"a\":1}");
        check(
            StreamEnd::Truncated,
            "Runtime.TruncatedResponse {\"errorType\":\"Runtime.TruncatedResponse\",\
             \"errorMessage\":\"Response body was truncated\"}",
        );
        check(
            StreamEnd::TooLarge,
            "Function.ResponseSizeTooLarge {\"errorType\":\"Function.ResponseSizeTooLarge\",\
             \"errorMessage\":\"Response payload size exceeded maximum allowed payload size \
             (209715200 bytes).\"}",
        );
    }
}
