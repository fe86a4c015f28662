//! How an invocation ends for its caller.

use bytes::Bytes;
use dormouse_model::invocation::{Answer, Completion, ErrorOf};

/// The last that a caller gets, but for the log's tail.
#[derive(Debug)]
pub(super) enum Final {
    /// Everything at once.
    Answer(Answer),
    /// The end of what it has had piece by piece.
    End(Completion),
}

impl Final {
    pub(super) fn answer(payload: Bytes, error: Option<ErrorOf>) -> Self {
        Self::Answer(Answer { payload, error, log_tail: None })
    }

    /// Whether it is an error, at once or at the end.
    pub(super) fn is_error(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.error.is_some(),
            Self::End(completion) => completion.error.is_some(),
        }
    }

    pub(super) fn with_tail(mut self, tail: Bytes) -> Self {
        match &mut self {
            Self::Answer(Answer { log_tail, .. }) | Self::End(Completion { log_tail, .. }) => {
                *log_tail = Some(tail);
            }
        }
        self
    }
}
