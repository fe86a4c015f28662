//! Leases: waiting for one, running one.

use super::{
    Busy, Effect, Ending, Environment, Event, Failure, Init, Lease, Micros, Phase, Report, Stage,
    after,
};
use crate::limits;

impl Environment {
    pub(super) fn ready(
        &mut self,
        frozen: bool,
        event: &Event,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        match event {
            Event::Lease { timeout_ms } => {
                let lease = Lease { started: now, deadline: after(now, *timeout_ms) };
                let before = if frozen { vec![Effect::Thaw] } else { vec![] };
                Some(self.run(lease, before))
            }
            Event::Quiet if !frozen => {
                self.phase = Phase::Ready { frozen: true };
                Some(vec![Effect::Freeze])
            }
            Event::Exited { .. } => {
                let before = if frozen { vec![Effect::Thaw] } else { vec![] };
                Some(self.begin_reset(Ending::Idle, before, now))
            }
            Event::Quiet | Event::Next | Event::Drained => Some(vec![]),
            _ => None,
        }
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
        let deadline = lease.deadline;
        self.phase =
            Phase::Init(Init { started: now, deadline, failure: None, lease: Some(lease) });
        vec![Effect::StartRuntime]
    }

    pub(super) fn run(&mut self, lease: Lease, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Busy(Busy { lease, stage: Stage::Running });
        effects.extend([Effect::LogStart, Effect::Deliver]);
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
            (Stage::Answered, Event::Next) => {
                let deadline = after(now, limits::DRAIN_OUTPUT_MS);
                let stage = Stage::Settling { ended: now, deadline };
                self.phase = Phase::Busy(Busy { stage, ..busy });
                Some(vec![Effect::DrainOutput])
            }
            (Stage::Settling { ended, .. }, Event::Drained | Event::Deadline) => {
                Some(self.settled(&busy, ended))
            }
            (stage, Event::Exited { exit, out_of_memory }) => {
                let failure = Failure::Exited { exit: *exit, out_of_memory: *out_of_memory };
                Some(self.interrupted(&busy, stage, failure, now))
            }
            (Stage::Running | Stage::Answered, Event::Deadline) => {
                Some(self.interrupted(&busy, busy.stage, Failure::Timeout, now))
            }
            (_, Event::Drained | Event::Quiet) | (Stage::Settling { .. }, Event::Next) => {
                Some(vec![])
            }
            _ => None,
        }
    }

    fn settled(&mut self, busy: &Busy, ended: Micros) -> Vec<Effect> {
        let report = Report {
            duration: ended - busy.lease.started,
            init_duration: self.init_duration.take(),
            failure: None,
        };
        let told = vec![Effect::LogReport(report)];
        self.rest(Phase::Ready { frozen: false }, told)
    }

    /// An invocation ended by the platform, before or after the caller had its answer.
    fn interrupted(
        &mut self,
        busy: &Busy,
        stage: Stage,
        failure: Failure,
        now: Micros,
    ) -> Vec<Effect> {
        let before = match stage {
            Stage::Running => vec![Effect::Fail(failure.clone())],
            Stage::Answered | Stage::Settling { .. } => vec![],
        };
        let (ended, failure) = match stage {
            // It had finished: its end afterwards is no fault of the invocation.
            Stage::Settling { ended, .. } => (ended, None),
            // AWS reports the timeout itself, not the moment at which it was noticed.
            Stage::Running | Stage::Answered if failure == Failure::Timeout => {
                (busy.lease.deadline, Some(failure))
            }
            Stage::Running | Stage::Answered => (now, Some(failure)),
        };
        let report = Report {
            duration: ended - busy.lease.started,
            init_duration: self.init_duration.take(),
            failure,
        };
        self.begin_reset(Ending::Invocation { init: None, report }, before, now)
    }
}
