//! An object on its way out: read in pieces on threads that may block, one ahead of the client.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dormouse_api::s3::get::Span;
use dormouse_model::limits;
use tokio::task::{self, JoinHandle};

/// The bytes of an object that are still to be sent.
///
/// A read under way when the client goes away ends by itself: it is one piece.
#[derive(Debug)]
pub(crate) struct Sending {
    file: Arc<File>,
    /// What no read was begun for.
    unread: Span,
    /// What is not handed out.
    left_bytes: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Sending {
    /// Some bytes of a file.
    pub(super) fn new(file: File, span: Span) -> Self {
        Self { file: Arc::new(file), unread: span, left_bytes: span.len(), reading: None }
    }

    /// How many bytes are still to come.
    pub(crate) fn left_bytes(&self) -> u64 {
        self.left_bytes
    }

    /// The next bytes; none at the end.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Bytes>>> {
        if self.reading.is_none() {
            self.reading = self.read_on();
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(Ok(None));
        };
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let piece = read.map_err(io::Error::other)??;
        self.left_bytes -= piece.len() as u64;
        self.reading = self.read_on();
        Poll::Ready(Ok(Some(piece)))
    }

    fn read_on(&mut self) -> Option<JoinHandle<io::Result<Bytes>>> {
        if self.unread.is_empty() {
            return None;
        }
        let start = self.unread.start;
        let piece_bytes = self.unread.len().min(limits::OBJECT_PIECE_BYTES as u64);
        self.unread.start += piece_bytes;
        let (file, piece_bytes) = (Arc::clone(&self.file), usize::try_from(piece_bytes).ok()?);
        Some(task::spawn_blocking(move || {
            let mut piece = vec![0; piece_bytes];
            file.read_exact_at(&mut piece, start)?;
            Ok(Bytes::from(piece))
        }))
    }
}
