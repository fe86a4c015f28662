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
