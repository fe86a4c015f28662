//! Reading a request's body, bounded in size and time. Owns no meaning: bytes in, bytes out.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dormouse_model::limits::INVOKE_RESPONSE_BYTES;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::limits;

/// Why a body is not there as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Broken {
    /// Longer than allowed; read to its end as far as patience goes, and thrown away.
    TooLarge {
        /// Announced or counted, whichever is more.
        size_bytes: u64,
    },
    /// Ended early, malformed, or too slow.
    Truncated,
}

/// Reads a body. The deadline's timer is only set up if the body is not there at once.
pub(crate) async fn receive(body: Incoming) -> Result<Bytes, Broken> {
    let deadline = Duration::from_millis(limits::BODY_MS);
    let collected = tokio::time::timeout(deadline, collect(body)).await;
    collected.unwrap_or(Err(Broken::Truncated))
}

async fn collect(mut body: Incoming) -> Result<Bytes, Broken> {
    let announced = body.size_hint().lower();
    if announced > INVOKE_RESPONSE_BYTES as u64 {
        return Err(discard(body, 0, announced).await);
    }
    // A small body comes in one piece and is passed on uncopied.
    let Some(first) = next_piece(&mut body).await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = next_piece(&mut body).await? else {
        return Ok(first);
    };
    let capacity = usize::try_from(announced).unwrap_or(0);
    let mut whole = BytesMut::with_capacity(capacity.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(piece) = next_piece(&mut body).await? {
        whole.extend_from_slice(&piece);
        if whole.len() > INVOKE_RESPONSE_BYTES {
            let read = whole.len() as u64;
            drop(whole);
            return Err(discard(body, read, announced).await);
        }
    }
    Ok(whole.freeze())
}

/// `None` at the end. Trailers are no part of a buffered body.
async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, Broken> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Broken::Truncated)?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

async fn discard(mut body: Incoming, mut read: u64, announced: u64) -> Broken {
    while read < limits::DISCARD_BYTES {
        match next_piece(&mut body).await {
            Ok(Some(piece)) => read += piece.len() as u64,
            // Even one that broke off was too large before that.
            Ok(None) | Err(_) => break,
        }
    }
    Broken::TooLarge { size_bytes: read.max(announced) }
}
