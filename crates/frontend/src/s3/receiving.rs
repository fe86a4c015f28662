//! Bodies on their way in: an object in pieces to the disk, a document whole.
//!
//! One piece is written while the next one comes, so an upload holds two pieces and no thread while its
//! client is slow. What does not add up is gone before anybody could have seen it.

use std::time::Duration;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::s3::checksum::{Digested, Digests};
use dormouse_api::s3::chunked::{Decoder, Malformed};
use dormouse_api::s3::put::{Framed, check_document};
use dormouse_api::s3::refusal::{
    incomplete_body, malformed_trailer, message_too_long, request_timeout,
};
use dormouse_model::limits;
use dormouse_store::objects::{Kept, Objects, Staged};
use http::header::EXPECT;
use http::request::Parts;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::task;

use crate::body::{self, BodyError};
use crate::s3::{Ask, DIALECT, disk};

/// Bytes of a refused body that are let pass (ours). Past it the connection ends.
const LET_PASS_BYTES: usize = 16 * 1_048_576;
/// How long that may take (ours). Past it the connection ends.
const LET_PASS: Duration = Duration::from_secs(5);

/// Bytes that are on disk and what they add up to.
pub(super) struct Received {
    pub(super) kept: Kept,
    pub(super) digested: Digested,
}

/// Takes the bytes of an object: on disk and as they were said to be, or nowhere.
pub(super) async fn object(
    ask: &Ask<'_>,
    framed: Framed,
    body: &mut Incoming,
) -> Result<Received, ApiError> {
    let mut sink = Sink::new(ask.inner.objects.clone(), framed);
    let mut piece = gather(body).await?;
    while !piece.is_empty() {
        let writing = blocking(move || {
            sink.take(&piece)?;
            Ok(sink)
        });
        let (written, next) = tokio::join!(writing, gather(body));
        sink = written?;
        piece = next?;
    }
    blocking(move || sink.finish()).await
}

/// Lets what is left of a body pass that nobody wants, so that its sender hears the refusal instead of a
/// connection that broke: but only so much of it, and not from who waits for leave to send it. Tells whether
/// all has passed: if not, the connection is of no use any more.
pub(super) async fn let_pass(parts: &Parts, body: &mut Incoming) -> bool {
    if body.is_end_stream() || parts.headers.contains_key(EXPECT) {
        return body.is_end_stream();
    }
    let passing = async {
        let mut bytes = 0;
        while bytes < LET_PASS_BYTES {
            match body::next(body).await {
                Ok(Some(piece)) => bytes += piece.len(),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    // Whoever is slower hears of it another way.
    tokio::time::timeout(LET_PASS, passing).await.unwrap_or(false)
}

/// Takes a document, which is small, as it was said to be.
pub(super) async fn document(ask: &Ask<'_>, body: &mut Incoming) -> Result<Bytes, ApiError> {
    let bytes = unchecked(body).await?;
    check_document(ask.headers(), &bytes)?;
    Ok(bytes)
}

/// Takes a document, whatever its request says of it.
pub(super) async fn unchecked(body: &mut Incoming) -> Result<Bytes, ApiError> {
    let read = body::read(body, limits::OBJECT_REQUEST_BYTES).await;
    read.map_err(|error| match error {
        BodyError::TooLarge { limit_bytes } => message_too_long(limit_bytes),
        BodyError::Incomplete => request_timeout(),
    })
}

/// The next bytes of a body, about as many as are written at once; none at its end.
async fn gather(body: &mut Incoming) -> Result<Vec<Bytes>, ApiError> {
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while bytes < limits::OBJECT_PIECE_BYTES {
        match body::next(body).await.map_err(|_| request_timeout())? {
            Some(piece) => {
                bytes += piece.len();
                pieces.push(piece);
            }
            None => break,
        }
    }
    Ok(pieces)
}

/// Where the bytes go.
struct Sink {
    objects: Objects,
    staged: Option<Staged>,
    framed: Framed,
    decoder: Option<Decoder>,
    digests: Digests,
}

impl Sink {
    fn new(objects: Objects, framed: Framed) -> Self {
        let digests = Digests::new(framed.algorithm, framed.wants_sha256());
        let decoder = framed.is_chunked.then(Decoder::default);
        Self { objects, staged: None, framed, decoder, digests }
    }

    fn take(&mut self, pieces: &[Bytes]) -> Result<(), ApiError> {
        for piece in pieces {
            let Some(decoder) = &mut self.decoder else {
                self.write(piece)?;
                continue;
            };
            let mut payload = Vec::with_capacity(piece.len());
            decoder.push(piece, &mut payload).map_err(malformed)?;
            self.write(&payload)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.digests.update(bytes);
        let staged = self.staged()?;
        staged.write(bytes).map_err(|fault| disk(&fault))?;
        let came = staged.len();
        if came > self.framed.length { Err(incomplete_body()) } else { Ok(()) }
    }

    fn staged(&mut self) -> Result<&mut Staged, ApiError> {
        if self.staged.is_none() {
            self.staged = Some(self.objects.stage().map_err(|fault| disk(&fault))?);
        }
        Ok(self.staged.as_mut().expect("it was just made"))
    }

    fn finish(mut self) -> Result<Received, ApiError> {
        // An object of no bytes has a file, too.
        self.staged()?;
        let trailers = match self.decoder {
            Some(decoder) => decoder.finish().map_err(malformed)?,
            None => Vec::new(),
        };
        let digested = self.digests.finish();
        if digested.size_bytes != self.framed.length {
            return Err(incomplete_body());
        }
        self.framed.check(&digested, &trailers)?;
        let staged = self.staged.expect("it was just made");
        let kept = staged.keep().map_err(|fault| disk(&fault))?;
        Ok(Received { kept, digested })
    }
}

fn malformed(error: Malformed) -> ApiError {
    match error {
        Malformed::Chunk | Malformed::Early => incomplete_body(),
        Malformed::Trailer => malformed_trailer(),
    }
}

/// Runs on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    task::spawn_blocking(work).await.unwrap_or_else(|fault| {
        tracing::error!(error = %fault, "work on an object ended early");
        Err(ApiError::internal(DIALECT))
    })
}
