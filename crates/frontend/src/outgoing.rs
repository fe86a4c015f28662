//! Response bodies: whole, events that are encoded when the connection has room for them, or an object.
//!
//! A whole one costs what it would without the other kinds. A stream is pulled: each piece leaves as
//! soon as it is there, and none is asked for before the last one has left.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dormouse_api::lambda::stream::{invoke_complete, payload_chunk};
use dormouse_placement::{AnswerStream, Part};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::logs::tail::LiveTail;
use crate::s3::Sending;

/// What a client is answered with.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// All of it is here.
    Whole(Full<Bytes>),
    /// A function's answer as it comes, in events; `None` behind the last one.
    Events(Option<AnswerStream>),
    /// What comes into logs, in events.
    LiveTail(Box<LiveTail>),
    /// An object, as it is read. When it cannot be, the connection ends before its announced end.
    Object(Box<Sending>),
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

impl From<LiveTail> for Outgoing {
    fn from(live: LiveTail) -> Self {
        Self::LiveTail(Box::new(live))
    }
}

impl From<Sending> for Outgoing {
    fn from(sending: Sending) -> Self {
        Self::Object(Box::new(sending))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let events = match self.get_mut() {
            Self::Whole(whole) => {
                return Pin::new(whole).poll_frame(context).map_err(|never| match never {});
            }
            Self::LiveTail(live) => {
                return live.poll_next(context).map(|event| event.map(|it| Ok(Frame::data(it))));
            }
            Self::Object(sending) => {
                return sending
                    .poll_next(context)
                    .map(|piece| piece.transpose().map(|piece| piece.map(Frame::data)));
            }
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
            Self::LiveTail(live) => live.is_over(),
            Self::Object(sending) => sending.left_bytes() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Events(_) | Self::LiveTail(_) => SizeHint::default(),
            Self::Object(sending) => SizeHint::with_exact(sending.left_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_model::invocation::Completion;
    use dormouse_placement::Answered;
    use dormouse_worker::Reply;
    use http_body_util::BodyExt;

    use super::*;

    async fn frame(body: &mut Outgoing) -> Option<Bytes> {
        body.frame().await.map(|frame| frame.unwrap().into_data().unwrap())
    }

    #[tokio::test]
    async fn a_whole_body_announces_its_length_and_is_one_frame() {
        let mut body = Outgoing::from(Bytes::from_static(b"abc"));
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(frame(&mut body).await, Some("abc".into()));
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn a_stream_is_a_frame_for_each_piece_and_one_for_the_end() {
        let (mut reply, answered) = Reply::stream();
        let pieces = reply.begin();
        let Ok(Ok(Answered::Stream(answer))) = answered.await else {
            panic!("it has begun");
        };
        let mut body = Outgoing::from(answer);
        assert_eq!(body.size_hint().exact(), None);
        for piece in ["a", "b"] {
            pieces.send(piece.into()).await.unwrap();
            assert_eq!(frame(&mut body).await, Some(payload_chunk(piece.into())));
        }
        drop(pieces);
        // The end may be known later than the last piece: the tail of the log is.
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, body.frame()).await;
        assert!(waiting.is_err() && !body.is_end_stream());
        reply.complete(Completion::default());
        assert_eq!(frame(&mut body).await, Some(invoke_complete(&Completion::default())));
        assert!(body.is_end_stream());
        assert_eq!(frame(&mut body).await, None);
    }
}
