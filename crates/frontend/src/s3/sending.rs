//! An object or a package on its way out: read in pieces on threads that may block, one ahead of the
//! client.

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

    /// All bytes of a file.
    pub(crate) fn whole(file: File) -> io::Result<Self> {
        let end = file.metadata()?.len();
        Ok(Self::new(file, Span { start: 0, end }))
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;

    use super::*;
    use crate::outgoing::Outgoing;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[tokio::test]
    async fn a_span_of_a_file_comes_in_pieces_of_their_size() {
        let content: Vec<u8> =
            (0..limits::OBJECT_PIECE_BYTES * 2 + 7).map(|n| n.to_le_bytes()[1]).collect();
        let (start, end) = (5, content.len() as u64 - 1);
        let mut body = Outgoing::from(Sending::new(file(&content), Span { start, end }));
        let mut came = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= limits::OBJECT_PIECE_BYTES);
            came.extend(piece);
        }
        assert_eq!(came, content[5..content.len() - 1]);
        let none = Sending::whole(file(b"")).unwrap();
        assert_eq!(Outgoing::from(none).collect().await.unwrap().to_bytes().len(), 0);
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_ends_in_an_error_and_not_early() {
        let mut body = Outgoing::from(Sending::new(file(b"abc"), Span { start: 0, end: 4 }));
        assert!(body.frame().await.unwrap().is_err());
    }
}
