//! Leases: waiting for one, running one.

use super::{
    Busy, Effect, Ending, Environment, Event, Failure, Lease, Micros, Phase, Report,
    ShutdownReason, Stage, Then, after,
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
        self.phase = Phase::Busy(Busy { lease, stage: Stage::Running });
        self.extensions.invoked();
        effects.push(Effect::LogStart);
        effects.extend(self.extensions.any_working().then_some(Effect::NotifyInvoke));
        effects.push(Effect::Deliver);
        effects
    }

    pub(super) fn busy(&mut self, busy: Busy, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match (busy.stage, event) {
            (Stage::Running, Event::Answered) => {
                self.phase = Phase::Busy(Busy { stage: Stage::Answered, ..busy });
                Some(vec![Effect::PassAnswer, Effect::TellAnswered])
            }
            // It lost the event on the way: it gets the same one again.
            (Stage::Running, Event::Next) => Some(vec![Effect::Deliver]),
            (Stage::Answered, Event::Next) if self.extensions.any_working() => {
                self.phase = Phase::Busy(Busy { stage: Stage::Extensions, ..busy });
                Some(vec![])
            }
            (Stage::Answered, Event::Next) => Some(self.settle(&busy, now)),
            (stage, Event::ExtensionNext { id }) => {
                let last = self.extensions.next(*id) && !self.extensions.any_working();
                let over = last && stage == Stage::Extensions;
                Some(if over { self.settle(&busy, now) } else { vec![] })
            }
            (Stage::Settling { ended, .. }, Event::Drained | Event::Deadline) => {
                Some(self.settled(&busy, ended, now))
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
            | (Stage::Settling { .. } | Stage::Extensions, Event::Next) => Some(vec![]),
            _ => None,
        }
    }

    fn settle(&mut self, busy: &Busy, now: Micros) -> Vec<Effect> {
        let deadline = after(now, limits::DRAIN_OUTPUT_MS);
        let stage = Stage::Settling { ended: now, deadline };
        self.phase = Phase::Busy(Busy { stage, ..busy.clone() });
        vec![Effect::DrainOutput]
    }

    fn settled(&mut self, busy: &Busy, ended: Micros, now: Micros) -> Vec<Effect> {
        let report = Report {
            duration: ended - busy.lease.started,
            init_duration: self.init_duration.take(),
            failure: None,
        };
        let told = vec![Effect::LogReport(report)];
        self.rest(Phase::Ready { frozen: false }, told, now)
    }

    /// An invocation ended by the platform, before or after the caller had its answer.
    fn interrupted(&mut self, busy: &Busy, failure: Failure, now: Micros) -> Vec<Effect> {
        let reason = match failure {
            Failure::Timeout => ShutdownReason::Timeout,
            _ => ShutdownReason::Failure,
        };
        let before = match busy.stage {
            Stage::Running => vec![Effect::Fail(failure.clone())],
            Stage::Answered | Stage::Extensions | Stage::Settling { .. } => vec![],
        };
        let (ended, failure) = match busy.stage {
            // It had finished: its end afterwards is no fault of the invocation.
            Stage::Settling { ended, .. } => (ended, None),
            // AWS reports the timeout itself, not the moment at which it was noticed.
            _ if failure == Failure::Timeout => (busy.lease.deadline, Some(failure)),
            Stage::Running | Stage::Answered | Stage::Extensions => (now, Some(failure)),
        };
        let report = Report {
            duration: ended - busy.lease.started,
            init_duration: self.init_duration.take(),
            failure,
        };
        let then = Then::Reset(Ending::Invocation { init: None, report });
        self.begin_shutdown(reason, then, before, now)
    }
}
