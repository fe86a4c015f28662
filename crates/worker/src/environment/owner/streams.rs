//! Responses that are passed on as they come: from the runtime's first word to the last word to the
//! caller. The bytes themselves go beside the owner (`streaming`).

use dormouse_model::environment::{Event, Failure};
use dormouse_model::invocation::{self, Completion};
use dormouse_runtime_api::{Progress, Request};

use super::{Final, Owner};
use crate::environment::streaming::{Forwarded, Offered, Streaming};

impl Owner {
    /// The runtime begins a response. A caller who wants all of it at once gets it when it is whole.
    pub(super) async fn response_stream(&mut self, request: String, offered: Offered) {
        if !self.job.as_ref().is_some_and(|job| job.reply.wants_stream()) {
            return self.runtime.collect(request, offered.body, offered.verdict);
        }
        if let Err(refusal) = self.runtime.admit(Request::Response(&request)) {
            let _ = offered.verdict.send(Err(refusal));
            return;
        }
        self.offered = Some(offered);
        self.step(Event::ResponseBegun).await;
        // The invocation has been given up meanwhile: to the runtime all is well, as for any answer.
        if let Some(offered) = self.offered.take() {
            self.runtime.progress(Progress::Sent);
            let _ = offered.verdict.send(Ok(()));
        }
    }

    /// Hands the caller the beginning.
    pub(super) fn begin_answer(&mut self) {
        let request = self.request();
        self.journal.moment("answering", request.as_ref());
        if let (Some(job), Some(offered)) = (&mut self.job, self.offered.take()) {
            let pieces = job.reply.begin();
            self.streaming = Some(Streaming::begin(offered, pieces, self.shared.clock.clone()));
        }
    }

    /// The runtime has said all: the caller is served first, then the runtime hears that all is well.
    pub(super) async fn forwarded(&mut self, forwarded: Forwarded) {
        let Some(streaming) = self.streaming.take() else {
            return;
        };
        let bytes = forwarded.bytes;
        self.outcome = Some(Final::End(Completion { error: forwarded.error(), log_tail: None }));
        self.step(Event::Answered { bytes }).await;
        self.runtime.progress(Progress::Sent);
        streaming.accept();
    }

    /// Ends an answer that has begun with an error of the platform's making. What the function still
    /// writes is not wanted, and its connection ends.
    pub(super) fn break_off(&mut self, failure: &Failure) -> bool {
        let (Some(_), Some(request)) = (self.streaming.take(), self.request()) else {
            return false;
        };
        let error = invocation::payload(failure, &request, self.timeout_s()).into();
        self.answer(Final::End(Completion { error: Some(error), log_tail: None }));
        true
    }
}
