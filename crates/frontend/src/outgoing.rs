//! Response bodies: whole, or events that are encoded when the connection has room for them.
//!
//! A whole one costs what it would without the other kind. A stream is pulled: each piece leaves as
//! soon as it is there, and none is asked for before the last one has left.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dormouse_api::lambda::stream::{invoke_complete, payload_chunk};
use dormouse_placement::{AnswerStream, Part};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

/// What a client is answered with.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// All of it is here.
    Whole(Full<Bytes>),
    /// A function's answer as it comes, in events; `None` behind the last one.
    Events(Option<AnswerStream>),
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl From<AnswerStream> for Outgoing {
    fn from(answer: AnswerStream) -> Self {
        Self::Events(Some(answer))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let events = match self.get_mut() {
            Self::Whole(whole) => return Pin::new(whole).poll_frame(context),
            Self::Events(events) => events,
        };
        let Some(answer) = events else {
            return Poll::Ready(None);
        };
        let event = match ready!(answer.poll_next(context)) {
            Part::Piece(piece) => payload_chunk(piece),
            Part::End(completion) => {
                *events = None;
                invoke_complete(&completion)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(event))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Events(events) => events.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
