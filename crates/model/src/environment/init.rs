//! From the sandbox to a runtime that asks for work, and what happens when it never does.

use super::{
    Cause, Effect, Ending, Environment, Event, Failure, Init, InitReport, Micros, Phase, Report,
    after,
};
use crate::limits;

impl Environment {
    pub(super) fn provisioning(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Provisioned => {
                let deadline = after(now, limits::INIT_MS);
                self.phase =
                    Phase::Init(Init { started: now, deadline, failure: None, lease: None });
                Some(vec![Effect::StartRuntime])
            }
            Event::ProvisionFailed => Some(self.die(Cause::ProvisionFailed, vec![])),
            Event::Deadline => Some(self.drain(Cause::ProvisionFailed, vec![])),
            _ => None,
        }
    }

    pub(super) fn init(&mut self, init: Init, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match (event, &init.failure) {
            (Event::Next, None) => Some(match init.lease {
                None => {
                    self.init_duration = Some(now - init.started);
                    self.phase = Phase::Ready { frozen: false };
                    vec![Effect::TellReady]
                }
                Some(lease) => self.run(lease, vec![]),
            }),
            (Event::InitError { error_type }, None) => {
                // It is about to end by itself; what it still writes is worth a moment.
                let grace = after(now, limits::KILL_MS / 4).min(init.deadline);
                let failure = Some(Failure::InitError { error_type: error_type.clone() });
                self.phase = Phase::Init(Init { deadline: grace, failure, ..init });
                Some(vec![])
            }
            (Event::StartFailed, _) => {
                Some(self.init_failed(&init, Failure::InvalidEntrypoint, now))
            }
            (Event::Exited { exit, out_of_memory }, said) => {
                let exited = Failure::Exited { exit: *exit, out_of_memory: *out_of_memory };
                let failure = said.clone().unwrap_or(exited);
                Some(self.init_failed(&init, failure, now))
            }
            (Event::Deadline, said) => {
                let failure = said.clone().unwrap_or(Failure::Timeout);
                Some(self.init_failed(&init, failure, now))
            }
            _ => None,
        }
    }

    fn init_failed(&mut self, init: &Init, failure: Failure, now: Micros) -> Vec<Effect> {
        let init_report = InitReport {
            duration: now - init.started,
            suppressed: init.lease.is_some(),
            failure: failure.clone(),
        };
        let Some(lease) = init.lease else {
            return self.begin_reset(Ending::Init { report: init_report }, vec![], now);
        };
        let report = Report {
            duration: now - lease.started,
            init_duration: None,
            failure: Some(failure.clone()),
        };
        let ending = Ending::Invocation { init: Some(init_report), report };
        self.begin_reset(ending, vec![Effect::Fail(failure)], now)
    }
}
