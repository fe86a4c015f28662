//! Reading a request's body, bounded in size and time. Owns no meaning: bytes in, bytes out.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dormouse_model::limits::INVOKE_RESPONSE_BYTES;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::limits;

/// What became of a body.
#[derive(Debug)]
pub(crate) enum Received {
    /// All of it.
    Whole(Bytes),
    /// Longer than allowed; read to its end as far as patience goes, and thrown away.
    TooLarge {
        /// Announced or counted, whichever is more.
        size_bytes: u64,
    },
    /// Ended early, malformed, or too slow.
    Truncated,
}

/// Reads a body. The deadline's timer is only set up if the body is not there at once.
pub(crate) async fn receive(body: Incoming) -> Received {
    let deadline = Duration::from_millis(limits::BODY_MS);
    match tokio::time::timeout(deadline, collect(body)).await {
        Ok(Some(received)) => received,
        Ok(None) | Err(_) => Received::Truncated,
    }
}

/// `None` if the body broke off.
async fn collect(mut body: Incoming) -> Option<Received> {
    let announced = body.size_hint().lower();
    if announced > INVOKE_RESPONSE_BYTES as u64 {
        return discard(body, 0, announced).await;
    }
    // A small body comes in one piece and is passed on uncopied.
    let Some(first) = data(&mut body).await? else {
        return Some(Received::Whole(Bytes::new()));
    };
    let Some(second) = data(&mut body).await? else {
        return Some(Received::Whole(first));
    };
    let capacity = usize::try_from(announced).unwrap_or(0);
    let mut whole = BytesMut::with_capacity(capacity.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(piece) = data(&mut body).await? {
        whole.extend_from_slice(&piece);
        if whole.len() > INVOKE_RESPONSE_BYTES {
            let read = whole.len() as u64;
            drop(whole);
            return discard(body, read, announced).await;
        }
    }
    Some(Received::Whole(whole.freeze()))
}

/// The next piece; inside is `None` at the end. Trailers are no part of a buffered body.
async fn data(body: &mut Incoming) -> Option<Option<Bytes>> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            return Some(Some(data));
        }
    }
    Some(None)
}

async fn discard(mut body: Incoming, mut read: u64, announced: u64) -> Option<Received> {
    while read < limits::DISCARD_BYTES {
        match body.frame().await {
            None => break,
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
            // It broke off, but it was too large before that.
            Some(Err(_)) => break,
        }
    }
    Some(Received::TooLarge {
        size_bytes: read.max(announced),
    })
}
