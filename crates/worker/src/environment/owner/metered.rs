//! What an environment tells metrics.

use std::sync::Arc;

use dormouse_model::environment::Report;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::metrics::Subject;

use crate::environment::Job;
use crate::metrics::{Meter, Running};

/// What metrics hear of an invocation.
#[derive(Debug, Default)]
pub(super) struct Metered {
    /// The ARN that was invoked last and what it stands for: most callers use the same one.
    subject: Option<(String, Arc<Subject>)>,
    pub(super) running: Option<Running>,
}

impl Metered {
    pub(super) fn begin(&mut self, meter: &Meter, version: &ResolvedVersion, job: &Job) {
        let invoked_arn = &job.invocation.invoked_arn;
        let subject = match &self.subject {
            Some((arn, subject)) if arn == invoked_arn => subject,
            _ => {
                let subject = Subject::of_arn(&version.key, version.version, invoked_arn);
                &self.subject.insert((invoked_arn.to_owned(), Arc::new(subject))).1
            }
        };
        self.running = Some(meter.begin(subject, job.permit.seat()));
    }

    pub(super) fn fail(&mut self) {
        if let Some(running) = &mut self.running {
            running.fail();
        }
    }

    pub(super) fn end(&mut self, report: &Report) {
        if let Some(running) = self.running.take() {
            running.end(report);
        }
    }
}
