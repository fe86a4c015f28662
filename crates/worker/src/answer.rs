//! The way back to the caller: a place for one answer, which is either whole or a stream.
//!
//! A caller who wants a stream may still get a whole answer: not every function streams. A caller may also
//! be told that his invocation is not run; dropping a [`Reply`] unused says that without a reason.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dormouse_model::invocation::{Answer, Completion, ErrorPayload};
use dormouse_model::limits;
use tokio::sync::{mpsc, oneshot};

/// Where the answer to an invocation goes.
#[derive(Debug)]
pub struct Reply(Slot);

/// Why an invocation that was accepted is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many callers of this version wait already.
    LineFull,
    /// It needs another environment, and its function may not grow so fast.
    Scaling,
    /// It needs another environment, and this machine has no room for one.
    NoRoom,
}

/// Where a caller waits.
pub type Waiting<T> = oneshot::Receiver<Result<T, Refusal>>;

type Caller<T> = oneshot::Sender<Result<T, Refusal>>;

#[derive(Debug)]
enum Slot {
    /// The caller wants all of it at once.
    Whole(Caller<Answer>),
    /// The caller wants it as it comes.
    Stream(Caller<Answered>),
    /// The caller has the beginning.
    Begun(oneshot::Sender<Completion>),
    /// The caller has all.
    Spent,
}

/// What a caller gets who wants a stream.
#[derive(Debug)]
pub enum Answered {
    /// All of it: the function does not stream, or it failed before it did.
    Whole(Answer),
    /// The beginning.
    Stream(AnswerStream),
}

/// An answer that is still being written. Whoever drops it does not end the invocation: the rest is
/// read and thrown away.
#[derive(Debug)]
pub struct AnswerStream {
    pieces: mpsc::Receiver<Bytes>,
    completion: oneshot::Receiver<Completion>,
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Some bytes, never none.
    Piece(Bytes),
    /// There are no more; it is not to be asked again.
    End(Completion),
}

impl Reply {
    /// A reply for a caller who wants all of it at once, and where that comes out.
    #[must_use]
    pub fn whole() -> (Self, Waiting<Answer>) {
        let (sender, answer) = oneshot::channel();
        (Self(Slot::Whole(sender)), answer)
    }

    /// A reply for a caller who wants it as it comes, and where that comes out.
    #[must_use]
    pub fn stream() -> (Self, Waiting<Answered>) {
        let (sender, answered) = oneshot::channel();
        (Self(Slot::Stream(sender)), answered)
    }

    /// Whether the caller wants it as it comes.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        matches!(self.0, Slot::Stream(_))
    }

    /// Gives all of it. A caller who has gone, or has an answer, gets none.
    pub fn give(&mut self, answer: Answer) {
        match std::mem::replace(&mut self.0, Slot::Spent) {
            Slot::Whole(caller) => drop(caller.send(Ok(answer))),
            Slot::Stream(caller) => drop(caller.send(Ok(Answered::Whole(answer)))),
            Slot::Begun(_) | Slot::Spent => {}
        }
    }

    /// Says that it is not run.
    pub fn refuse(self, refusal: Refusal) {
        match self.0 {
            Slot::Whole(caller) => drop(caller.send(Err(refusal))),
            Slot::Stream(caller) => drop(caller.send(Err(refusal))),
            Slot::Begun(_) | Slot::Spent => {}
        }
    }

    /// Gives the beginning; the pieces go into what comes back. It is closed when nobody wants them.
    pub fn begin(&mut self) -> mpsc::Sender<Bytes> {
        let (sender, pieces) = mpsc::channel(limits::ANSWER_PIECES);
        let (end, completion) = oneshot::channel();
        if let Slot::Stream(caller) = std::mem::replace(&mut self.0, Slot::Begun(end)) {
            drop(caller.send(Ok(Answered::Stream(AnswerStream { pieces, completion }))));
        }
        sender
    }

    /// Gives the end of what was begun, which the caller gets behind the last piece.
    pub fn complete(&mut self, completion: Completion) {
        if let Slot::Begun(caller) = std::mem::replace(&mut self.0, Slot::Spent) {
            drop(caller.send(completion));
        }
    }
}

impl AnswerStream {
    /// The next part.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Part> {
        if let Some(piece) = ready!(self.pieces.poll_recv(context)) {
            return Poll::Ready(Part::Piece(piece));
        }
        let completion = ready!(std::pin::Pin::new(&mut self.completion).poll(context));
        Poll::Ready(Part::End(completion.unwrap_or_else(|_| lost())))
    }

    /// The next part. Cancel safe.
    pub async fn next(&mut self) -> Part {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

/// The end of a stream whose owner ended without a word.
fn lost() -> Completion {
    let payload = ErrorPayload {
        error_type: "Sandbox.Failure".to_owned(),
        error_message: "Error: The execution environment ended unexpectedly".to_owned(),
    };
    Completion { error: Some(payload.into()), log_tail: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer { payload: "1".into(), error: None, log_tail: None }
    }

    fn begun(mut answered: Waiting<Answered>) -> AnswerStream {
        match answered.try_recv() {
            Ok(Ok(Answered::Stream(stream))) => stream,
            other => panic!("no stream: {other:?}"),
        }
    }

    #[tokio::test]
    async fn an_answer_is_whole_whatever_the_caller_wants() {
        let (mut reply, answered) = Reply::whole();
        assert!(!reply.wants_stream());
        reply.give(answer());
        assert_eq!(answered.await, Ok(Ok(answer())));
        let (mut reply, answered) = Reply::stream();
        assert!(reply.wants_stream());
        reply.give(answer());
        assert!(matches!(answered.await, Ok(Ok(Answered::Whole(whole))) if whole == answer()));
    }

    #[tokio::test]
    async fn who_is_refused_is_told_why() {
        let (reply, answered) = Reply::whole();
        reply.refuse(Refusal::LineFull);
        assert_eq!(answered.await, Ok(Err(Refusal::LineFull)));
        let (reply, answered) = Reply::stream();
        reply.refuse(Refusal::Scaling);
        assert!(matches!(answered.await, Ok(Err(Refusal::Scaling))));
    }

    #[tokio::test]
    async fn the_end_comes_behind_the_last_piece() {
        let (mut reply, answered) = Reply::stream();
        let pieces = reply.begin();
        let mut stream = begun(answered);
        reply.complete(Completion::default());
        pieces.send("a".into()).await.unwrap();
        pieces.send("b".into()).await.unwrap();
        drop(pieces);
        assert_eq!(stream.next().await, Part::Piece("a".into()));
        assert_eq!(stream.next().await, Part::Piece("b".into()));
        assert_eq!(stream.next().await, Part::End(Completion::default()));
    }

    #[tokio::test]
    async fn a_stream_ends_even_if_nobody_says_how() {
        let (mut reply, answered) = Reply::stream();
        drop(reply.begin());
        let mut stream = begun(answered);
        drop(reply);
        assert_eq!(stream.next().await, Part::End(lost()));
    }

    #[tokio::test]
    async fn a_caller_who_has_gone_wants_no_pieces() {
        let (mut reply, answered) = Reply::stream();
        drop(answered);
        assert!(reply.begin().is_closed());
        reply.complete(Completion::default());
    }
}
