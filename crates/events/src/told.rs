//! What is told of events to who watches the server: that one was accepted, how old it was when it was
//! run, how it ended. The one place for it, in the log and in metrics.

use std::sync::Arc;

use dormouse_model::metrics::{LambdaMetric, Subject};
use dormouse_model::names::{FunctionKey, Qualifier, RequestId, Version};
use dormouse_model::retry::Condition;
use dormouse_placement::Meter;
use dormouse_store::events::{NewEvent, QueuedEvent};
use tracing::{debug, warn};

/// An event that is being accepted.
#[derive(Debug)]
pub(crate) struct Received {
    subject: Arc<Subject>,
    request: RequestId,
}

impl Received {
    pub(crate) fn of(event: &NewEvent, version: Version) -> Self {
        let subject = subject(&event.function.key, event.qualifier.as_ref(), version);
        Self { subject, request: event.request.clone() }
    }

    /// It is on disk.
    pub(crate) fn tell(self, meter: &Meter) {
        debug!(request_id = %self.request, function = self.subject.function.arn(), "event accepted");
        meter.note(self.subject, LambdaMetric::AsyncEventsReceived, 1.0);
    }
}

/// An event was run, so long after it was accepted.
#[expect(clippy::cast_precision_loss, reason = "exact for the next 285 000 years")]
pub(crate) fn ran(meter: &Meter, event: &QueuedEvent, version: Version, age_ms: u64) {
    let subject = subject(&event.function.key, event.qualifier.as_ref(), version);
    meter.note(subject, LambdaMetric::AsyncEventAge, age_ms as f64);
}

/// An event has ended. One that was not run, or not well, is dropped. `version` is what was to run it
/// at last, if anything was.
pub(crate) fn ended(
    meter: &Meter,
    event: &QueuedEvent,
    version: Option<Version>,
    condition: Condition,
) {
    let (key, qualifier) = (&event.function.key, event.qualifier.as_ref());
    let (request_id, function, word) = (&event.request, key.arn(), condition.as_str());
    if condition == Condition::Success {
        debug!(%request_id, function, condition = word, "event ended");
        return;
    }
    let failures = event.tries.failures;
    warn!(%request_id, function, condition = word, failures, "event dropped");
    let subject = subject(key, qualifier, version.unwrap_or(Version::Latest));
    meter.note(subject, LambdaMetric::AsyncEventsDropped, 1.0);
}

/// An event's function is gone, and so is the event.
pub(crate) fn gone(event: &QueuedEvent) {
    let function = event.function.key.arn();
    debug!(request_id = %event.request, function, "event went with its function");
}

fn subject(key: &FunctionKey, qualifier: Option<&Qualifier>, version: Version) -> Arc<Subject> {
    Arc::new(Subject::new(key.clone(), qualifier.cloned(), version))
}
