//! Leases: waiting for one, running one.

use super::{
    Busy, Effect, Ending, Environment, Event, Failure, Lease, Micros, Phase, Report, Response,
    RuntimeDone, ShutdownReason, Span, Stage, Then, after,
};
use crate::limits;

impl Environment {
    pub(super) fn ready(
        &mut self,
        frozen: bool,
        event: &Event,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        let thaw = if frozen { vec![Effect::Thaw] } else { vec![] };
        match event {
            Event::Lease { timeout_ms } => {
                let lease = Lease { started: now, deadline: after(now, *timeout_ms) };
                Some(self.run(lease, thaw))
            }
            Event::Quiet if !frozen => {
                self.phase = Phase::Ready { frozen: true };
                Some(vec![Effect::Freeze])
            }
            Event::Exited { .. } => {
                self.runtime_up = false;
                self.extensions.runtime_ended();
                Some(self.died_idle(thaw, now))
            }
            Event::ExtensionEnded { id, .. } if self.extensions.ended(*id) => {
                Some(self.died_idle(thaw, now))
            }
            Event::ExtensionNext { id } => {
                self.extensions.next(*id);
                Some(vec![])
            }
            Event::Quiet | Event::Next | Event::Drained | Event::ExtensionEnded { .. } => {
                Some(vec![])
            }
            _ => None,
        }
    }

    fn died_idle(&mut self, thaw: Vec<Effect>, now: Micros) -> Vec<Effect> {
        let then = Then::Reset(Ending::Idle { next: None });
        self.begin_shutdown(ShutdownReason::Failure, then, thaw, now)
    }

    pub(super) fn cold(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Lease { timeout_ms } => {
                let lease = Lease { started: now, deadline: after(now, *timeout_ms) };
                Some(self.suppressed_init(lease, now))
            }
            Event::Quiet | Event::Drained => Some(vec![]),
            _ => None,
        }
    }

    pub(super) fn suppressed_init(&mut self, lease: Lease, now: Micros) -> Vec<Effect> {
        self.begin_init(Some(lease), lease.deadline, now)
    }

    pub(super) fn run(&mut self, lease: Lease, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Busy(Busy { lease, stage: Stage::Running { begun: None } });
        self.extensions.invoked();
        effects.push(Effect::LogStart);
        effects.extend(self.extensions.any_working().then_some(Effect::NotifyInvoke));
        effects.push(Effect::Deliver);
        effects
    }

    pub(super) fn busy(&mut self, busy: Busy, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match (busy.stage, event) {
            (Stage::Running { begun: None }, Event::ResponseBegun) => {
                self.phase =
                    Phase::Busy(Busy { stage: Stage::Running { begun: Some(now) }, ..busy });
                Some(vec![Effect::BeginAnswer])
            }
            (Stage::Running { begun }, Event::Answered { bytes }) => {
                let sent = Span { began: begun.unwrap_or(now), ended: now };
                let stage = Stage::Answered(Response { sent, bytes: *bytes });
                self.phase = Phase::Busy(Busy { stage, ..busy });
                Some(vec![Effect::PassAnswer, Effect::TellAnswered])
            }
            // It lost the event on the way: it gets the same one again.
            (Stage::Running { begun: None }, Event::Next) => Some(vec![Effect::Deliver]),
            (Stage::Answered(response), Event::Next) => {
                Some(self.runtime_done(&busy, response, now))
            }
            (stage, Event::ExtensionNext { id }) => {
                let last = self.extensions.next(*id) && !self.extensions.any_working();
                Some(match stage {
                    Stage::Extensions { since } if last => {
                        let overhead = Some(Span { began: since, ended: now });
                        self.settle(&busy, overhead, now)
                    }
                    _ => vec![],
                })
            }
            (
                Stage::Settling { ended, extension_overhead, .. },
                Event::Drained | Event::Deadline,
            ) => {
                let report = self.report(busy.lease, ended, None);
                let report = Report { extension_overhead, ..report };
                let told = vec![Effect::LogReport(report)];
                Some(self.served(Phase::Ready { frozen: false }, told, now))
            }
            (_, Event::Exited { exit, out_of_memory }) => {
                self.runtime_up = false;
                self.extensions.runtime_ended();
                let failure = Failure::Exited { exit: *exit, out_of_memory: *out_of_memory };
                Some(self.interrupted(&busy, failure, now))
            }
            (_, Event::ExtensionEnded { id, fault }) if self.extensions.ended(*id) => {
                Some(self.interrupted(&busy, Failure::Extension(fault.clone()), now))
            }
            (_, Event::Deadline) => Some(self.interrupted(&busy, Failure::Timeout, now)),
            (_, Event::Drained | Event::Quiet | Event::ExtensionEnded { .. })
            | (Stage::Settling { .. } | Stage::Extensions { .. }, Event::Next) => Some(vec![]),
            _ => None,
        }
    }

    /// The runtime has answered and asks for more work.
    fn runtime_done(&mut self, busy: &Busy, response: Response, now: Micros) -> Vec<Effect> {
        let ran = Span { began: busy.lease.started, ended: now };
        let done = RuntimeDone { ran, response: Some(response), failure: None };
        let mut effects = vec![Effect::LogRuntimeDone(done)];
        if self.extensions.any_working() {
            let stage = Stage::Extensions { since: now };
            self.phase = Phase::Busy(Busy { stage, ..busy.clone() });
        } else {
            let overhead = Span { began: now, ended: now };
            let overhead = (!self.extensions.is_empty()).then_some(overhead);
            effects.extend(self.settle(busy, overhead, now));
        }
        effects
    }

    fn settle(&mut self, busy: &Busy, overhead: Option<Span>, now: Micros) -> Vec<Effect> {
        let deadline = after(now, limits::DRAIN_OUTPUT_MS);
        let stage = Stage::Settling { ended: now, extension_overhead: overhead, deadline };
        self.phase = Phase::Busy(Busy { stage, ..busy.clone() });
        vec![Effect::DrainOutput]
    }

    /// An invocation ended by the platform, before or after the caller had its answer.
    fn interrupted(&mut self, busy: &Busy, failure: Failure, now: Micros) -> Vec<Effect> {
        let reason = match failure {
            Failure::Timeout => ShutdownReason::Timeout,
            _ => ShutdownReason::Failure,
        };
        let (mut effects, report) = self.broken_off(busy, failure, now);
        effects.push(Effect::DrainOutput);
        let then = Then::Reset(Ending::Invocation { report: Some(report) });
        self.begin_shutdown(reason, then, effects, now)
    }

    /// What a failure means to those who are told of an invocation, and its report.
    pub(super) fn broken_off(
        &mut self,
        busy: &Busy,
        failure: Failure,
        now: Micros,
    ) -> (Vec<Effect>, Report) {
        let lease = busy.lease;
        let (failed, response) = match busy.stage {
            Stage::Running { .. } => (Some(Effect::Fail(failure.clone())), None),
            Stage::Answered(response) => (None, Some(response)),
            Stage::Extensions { since } => {
                let overhead = Some(Span { began: since, ended: now });
                let report = self.report(lease, ended(lease, &failure, now), Some(failure));
                return (vec![], Report { extension_overhead: overhead, ..report });
            }
            // It had finished: what happens afterwards is no fault of the invocation.
            Stage::Settling { ended, extension_overhead, .. } => {
                return (vec![], Report { extension_overhead, ..self.report(lease, ended, None) });
            }
        };
        let ran = Span { began: lease.started, ended: now };
        let done = RuntimeDone { ran, response, failure: Some(failure.clone()) };
        let effects = failed.into_iter().chain([Effect::LogRuntimeDone(done)]).collect();
        (effects, self.report(lease, ended(lease, &failure, now), Some(failure)))
    }
}

/// When an invocation that failed was over. AWS reports the timeout itself, not the moment at which
/// it was noticed.
fn ended(lease: Lease, failure: &Failure, now: Micros) -> Micros {
    if *failure == Failure::Timeout { lease.deadline } else { now }
}
