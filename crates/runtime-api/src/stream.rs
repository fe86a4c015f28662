//! A response that is passed on while the runtime still writes it: from the frames of a request to
//! pieces for the owner. Owns no time: how long a stream may take is the owner's to say, by letting
//! go of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use crate::limits;
use crate::receive::discard;
use crate::refusal::Refusal;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";
/// The type of an error that has none.
const UNKNOWN: &str = "Runtime.Unknown";

/// The receiving end of a streamed response, bounded by [`limits::STREAM_PIECES`]. Dropping it tells
/// the runtime to stop.
#[derive(Debug)]
pub struct ResponseStream {
    pieces: mpsc::Receiver<Piece>,
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Some bytes, never none.
    Data(Bytes),
    /// There are no more.
    End(StreamEnd),
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// In good order.
    Complete,
    /// The function failed after it had begun to answer; it said so in the trailers.
    Failed(StreamError),
    /// In the middle: `Runtime.TruncatedResponse`.
    Truncated,
    /// At [`limits::STREAM_BYTES`]: `Function.ResponseSizeTooLarge`.
    TooLarge,
}

/// An error in the trailers of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// As the runtime says it, for the caller: any text, not fit for a line of log.
    pub error_type: String,
    /// Decoded; as it came if it is no base64.
    pub body: Bytes,
}

/// A stream read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// All its bytes, and the error behind them if there is one.
    Whole(Bytes, Option<StreamError>),
    /// It ended in the middle.
    Truncated,
    /// It has more bytes than were asked for: at least this many.
    TooLarge(u64),
}

impl ResponseStream {
    /// A stream and the end that fills it.
    pub(crate) fn channel() -> (mpsc::Sender<Piece>, Self) {
        let (sender, pieces) = mpsc::channel(limits::STREAM_PIECES);
        (sender, Self { pieces })
    }

    /// The next piece. Behind the end, and when the connection is gone, the stream is truncated.
    /// Cancel safe.
    pub async fn next(&mut self) -> Piece {
        self.pieces.recv().await.unwrap_or(Piece::End(StreamEnd::Truncated))
    }

    /// All of it, for a caller that wants it at once. Stops where it has become too large.
    pub async fn collect(mut self, limit_bytes: usize) -> Collected {
        let mut whole = BytesMut::new();
        loop {
            match self.next().await {
                Piece::Data(bytes) => whole.extend_from_slice(&bytes),
                Piece::End(StreamEnd::Complete) => {
                    return Collected::Whole(whole.freeze(), None);
                }
                Piece::End(StreamEnd::Failed(error)) => {
                    return Collected::Whole(whole.freeze(), Some(error));
                }
                Piece::End(StreamEnd::Truncated) => return Collected::Truncated,
                Piece::End(StreamEnd::TooLarge) => {
                    return Collected::TooLarge(limits::STREAM_BYTES);
                }
            }
            if whole.len() > limit_bytes {
                return Collected::TooLarge(whole.len() as u64);
            }
        }
    }
}

/// Passes a body on until it ends or the owner has answered; what the runtime is told.
pub(crate) async fn pass_on(
    mut body: Incoming,
    pieces: mpsc::Sender<Piece>,
    mut verdict: oneshot::Receiver<Result<(), Refusal>>,
) -> Result<(), Refusal> {
    let end = tokio::select! {
        biased;
        // It wants no more of it; mostly it never wanted any.
        early = &mut verdict => return told(early, discard(&mut body)).await,
        end = copy(&mut body, pieces) => end,
    };
    let is_unread = matches!(end, None | Some(StreamEnd::TooLarge));
    let rest = async {
        if is_unread {
            discard(&mut body).await;
        }
    };
    tokio::pin!(rest);
    let verdict = tokio::select! {
        biased;
        early = &mut verdict => told(early, rest).await,
        () = &mut rest => verdict.await.unwrap_or(Err(Refusal::InternalServerError)),
    };
    verdict.and_then(|()| answer(end))
}

/// The owner's verdict, behind the rest of the body. If nobody gave one the connection is to end, now.
async fn told(
    verdict: Result<Result<(), Refusal>, oneshot::error::RecvError>,
    rest: impl Future<Output = ()>,
) -> Result<(), Refusal> {
    let verdict = verdict.map_err(|_| Refusal::InternalServerError)?;
    rest.await;
    verdict
}

/// What the runtime is told of a stream that the owner has accepted.
fn answer(end: Option<StreamEnd>) -> Result<(), Refusal> {
    match end {
        Some(StreamEnd::Truncated) => Err(Refusal::TruncatedHttpRequest),
        Some(StreamEnd::TooLarge) => {
            Err(Refusal::RequestEntityTooLarge { limit_bytes: limits::STREAM_BYTES })
        }
        None | Some(StreamEnd::Complete | StreamEnd::Failed(_)) => Ok(()),
    }
}

/// Passes frames on; how they ended, or `None` if the owner let go of the stream before.
async fn copy(body: &mut Incoming, pieces: mpsc::Sender<Piece>) -> Option<StreamEnd> {
    let mut passed: u64 = 0;
    let mut end = StreamEnd::Complete;
    loop {
        let frame = tokio::select! {
            biased;
            () = pieces.closed() => return None,
            frame = body.frame() => frame,
        };
        let data = match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
            None => break,
            Some(Err(_)) => {
                end = StreamEnd::Truncated;
                break;
            }
            Some(Ok(Err(frame))) => {
                if let Some(error) = frame.trailers_ref().and_then(error_of) {
                    end = StreamEnd::Failed(error);
                }
                continue;
            }
            Some(Ok(Ok(data))) if data.is_empty() => continue,
            Some(Ok(Ok(data))) => data,
        };
        passed += data.len() as u64;
        if passed > limits::STREAM_BYTES {
            end = StreamEnd::TooLarge;
            break;
        }
        pieces.send(Piece::Data(data)).await.ok()?;
    }
    pieces.send(Piece::End(end.clone())).await.ok()?;
    Some(end)
}

/// The error that trailers report, if they report one.
fn error_of(trailers: &HeaderMap) -> Option<StreamError> {
    let text = |name| trailers.get(name).map_or(&b""[..], |value| value.as_bytes());
    let (error_type, body) = (text(ERROR_TYPE), text(ERROR_BODY));
    if error_type.is_empty() && body.is_empty() {
        return None;
    }
    let is_type = |it: &&str| {
        (1..=limits::ERROR_TYPE_BYTES).contains(&it.len()) && !it.contains(char::is_control)
    };
    let error_type = std::str::from_utf8(error_type).ok().filter(is_type).unwrap_or(UNKNOWN);
    let error_type = error_type.to_owned();
    let decoded = STANDARD.decode(body).unwrap_or_else(|_| body.to_vec());
    Some(StreamError { error_type, body: decoded.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error_type: Option<&str>, body: Option<&str>, expected: &str) {
        let mut trailers = HeaderMap::new();
        for (name, value) in [(ERROR_TYPE, error_type), (ERROR_BODY, body)] {
            if let Some(value) = value {
                trailers.insert(name, value.parse().unwrap());
            }
        }
        let got = error_of(&trailers).map_or("none".to_owned(), |error| {
            format!("{} {}", error.error_type, String::from_utf8_lossy(&error.body))
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn an_error_in_the_trailers_is_decoded() {
        check(Some("Runtime.StreamError"), Some("eyJhIjoxfQ=="), "Runtime.StreamError {\"a\":1}");
        check(Some("TypeError"), None, "TypeError ");
        check(None, Some("e30="), "Runtime.Unknown {}");
        check(Some("Function.X1"), Some("no base64!"), "Function.X1 no base64!");
        check(Some(""), Some(""), "none");
        check(Some(&"x".repeat(limits::ERROR_TYPE_BYTES + 1)), None, "Runtime.Unknown ");
        check(None, None, "none");
    }

    #[tokio::test]
    async fn a_stream_is_collected_up_to_a_limit() {
        let collect = async |pieces: Vec<Piece>, limit_bytes| {
            let (sender, stream) = ResponseStream::channel();
            for piece in pieces {
                sender.send(piece).await.unwrap();
            }
            drop(sender);
            stream.collect(limit_bytes).await
        };
        let data = || Piece::Data("abc".into());
        let failed = StreamError { error_type: "Function.Xx".into(), body: "{}".into() };
        let end = Piece::End(StreamEnd::Complete);
        assert_eq!(
            collect(vec![data(), data(), end.clone()], 6).await,
            Collected::Whole("abcabc".into(), None)
        );
        assert_eq!(collect(vec![data(), data(), end], 5).await, Collected::TooLarge(6));
        assert_eq!(collect(vec![data()], 9).await, Collected::Truncated);
        assert_eq!(
            collect(vec![Piece::End(StreamEnd::Failed(failed.clone()))], 9).await,
            Collected::Whole("".into(), Some(failed))
        );
        let too_large = collect(vec![Piece::End(StreamEnd::TooLarge)], 9).await;
        assert_eq!(too_large, Collected::TooLarge(limits::STREAM_BYTES));
    }
}
