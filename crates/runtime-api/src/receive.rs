//! Reading a request's body, bounded in size and time. Owns no meaning: bytes in, bytes out.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
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
pub(crate) async fn receive(body: Incoming, limit_bytes: usize) -> Result<Bytes, Broken> {
    let deadline = Duration::from_millis(limits::BODY_MS);
    let collected = tokio::time::timeout(deadline, collect(body, limit_bytes)).await;
    collected.unwrap_or(Err(Broken::Truncated))
}

/// Reads and throws away what is left of a body nobody wants, as far as patience goes, so that a
/// client which writes everything before it reads still sees its answer.
pub(crate) async fn discard(body: &mut Incoming) {
    let deadline = Duration::from_millis(limits::BODY_MS);
    let _ = tokio::time::timeout(deadline, skip(body, 0)).await;
}

async fn collect(mut body: Incoming, limit_bytes: usize) -> Result<Bytes, Broken> {
    let announced = body.size_hint().lower();
    if announced > limit_bytes as u64 {
        return Err(too_large(body, 0, announced).await);
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
        if whole.len() > limit_bytes {
            let read = whole.len() as u64;
            drop(whole);
            return Err(too_large(body, read, announced).await);
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

async fn too_large(mut body: Incoming, read: u64, announced: u64) -> Broken {
    // Even one that broke off was too large before that.
    Broken::TooLarge { size_bytes: skip(&mut body, read).await.max(announced) }
}

/// Skips the rest; how much was read in all.
async fn skip(body: &mut Incoming, mut read: u64) -> u64 {
    while read < limits::DISCARD_BYTES {
        match next_piece(body).await {
            Ok(Some(piece)) => read += piece.len() as u64,
            Ok(None) | Err(_) => break,
        }
    }
    read
}
