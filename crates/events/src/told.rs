//! What is told of events to who watches the server: that one was accepted, and how one ended.
//!
//! The one place for it: what is counted of events (`AsyncEventsReceived`, `AsyncEventAge`,
//! `AsyncEventsDropped`) is counted here.

use dormouse_model::names::RequestId;
use dormouse_model::retry::Condition;
use dormouse_store::events::{FunctionId, NewEvent, QueuedEvent};
use tracing::{debug, warn};

/// An event that is being accepted.
#[derive(Debug)]
pub(crate) struct Received {
    function: FunctionId,
    request: RequestId,
}

impl Received {
    pub(crate) fn of(event: &NewEvent) -> Self {
        Self { function: event.function.clone(), request: event.request.clone() }
    }

    /// It is on disk.
    pub(crate) fn tell(self) {
        let function = self.function.key.arn();
        debug!(request_id = %self.request, function, "event accepted");
    }
}

/// An event has ended; for whom it was not run, or not well, it is dropped.
pub(crate) fn ended(event: &QueuedEvent, condition: Condition, now_ms: u64) {
    let (function, age_ms) =
        (event.function.key.arn(), now_ms.saturating_sub(event.tries.accepted_ms));
    let (request_id, condition) = (&event.request, condition.as_str());
    if condition == Condition::Success.as_str() {
        debug!(%request_id, function, condition, age_ms, "event ended");
    } else {
        let failures = event.tries.failures;
        warn!(%request_id, function, condition, age_ms, failures, "event dropped");
    }
}

/// An event's function is gone, and so is the event.
pub(crate) fn gone(event: &QueuedEvent) {
    let function = event.function.key.arn();
    debug!(request_id = %event.request, function, "event went with its function");
}
