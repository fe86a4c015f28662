//! Request bodies: read whole, under a limit that is checked before and while reading.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dormouse_model::limits;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How long a client may leave us without a byte of its body (ours).
const PATIENCE: Duration = Duration::from_secs(30);

/// The most that is reserved on the word of a `Content-Length` (ours); more grows as it comes. Enough for
/// any payload: what is reserved and never filled costs no memory, what grows is copied each time.
const TRUSTED_BYTES: usize = limits::INVOKE_REQUEST_BYTES;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is larger than what was asked may be.
    #[error("body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// The client stopped sending or went away.
    #[error("body ended early")]
    Incomplete,
}

/// Reads a body of at most `limit_bytes`.
pub(crate) async fn read(body: &mut Incoming, limit_bytes: usize) -> Result<Bytes, BodyError> {
    let too_large = BodyError::TooLarge { limit_bytes };
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > limit_bytes {
        return Err(too_large);
    }
    let Some(first) = next(body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() >= expected && body.is_end_stream() {
        // The common case: it came in one piece and is handed on as it is.
        return if first.len() > limit_bytes { Err(too_large) } else { Ok(first) };
    }
    let mut whole = BytesMut::with_capacity(expected.clamp(first.len(), TRUSTED_BYTES));
    let mut piece = Some(first);
    while let Some(bytes) = piece {
        if whole.len() + bytes.len() > limit_bytes {
            return Err(too_large);
        }
        whole.extend_from_slice(&bytes);
        piece = next(body).await?;
    }
    Ok(whole.freeze())
}

/// The next piece of data; `None` at the end.
pub(crate) async fn next(body: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
        match frame.map_err(|_| BodyError::Incomplete)? {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => return Err(BodyError::Incomplete),
        }
    }
}
