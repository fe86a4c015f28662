//! The end of all processes, and what comes after it.

use super::{Cause, Effect, Ending, Environment, Event, Lease, Micros, Phase, Reset, after};
use crate::limits;

impl Environment {
    pub(super) fn begin_reset(
        &mut self,
        ending: Ending,
        mut effects: Vec<Effect>,
        now: Micros,
    ) -> Vec<Effect> {
        self.init_duration = None;
        let deadline = after(now, limits::KILL_MS);
        self.phase = Phase::Reset(Reset { deadline, ending, next: None });
        effects.push(Effect::KillAll);
        effects
    }

    pub(super) fn reset(
        &mut self,
        reset: Reset,
        event: &Event,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        match event {
            Event::Empty => {
                let told = tell(reset.ending.clone());
                Some(match (reset.next, &reset.ending) {
                    (Some(lease), _) => {
                        let mut effects = told;
                        effects.extend(self.suppressed_init(lease, now));
                        effects
                    }
                    // Assignment already counts on an idle environment.
                    (None, Ending::Idle) => {
                        self.phase = Phase::Cold;
                        told
                    }
                    (None, _) => self.rest(Phase::Cold, told),
                })
            }
            Event::Deadline => {
                let mut effects = tell(reset.ending.clone());
                if reset.next.is_some() {
                    effects.push(Effect::HandBack);
                }
                Some(self.drain(Cause::UnclearEnd, effects))
            }
            Event::Lease { timeout_ms } if reset.next.is_none() && reset.ending == Ending::Idle => {
                let lease = Lease { started: now, deadline: after(now, *timeout_ms) };
                self.phase = Phase::Reset(Reset { next: Some(lease), ..reset });
                Some(vec![])
            }
            Event::Exited { .. }
            | Event::Drained
            | Event::Quiet
            | Event::Next
            | Event::Answered
            | Event::StartFailed
            | Event::InitError { .. } => Some(vec![]),
            _ => None,
        }
    }

    /// Nothing runs any more: either a lease is welcome or a stop that waited takes effect.
    pub(super) fn rest(&mut self, phase: Phase, mut effects: Vec<Effect>) -> Vec<Effect> {
        if let Some(cause) = self.stop {
            return self.drain(cause, effects);
        }
        self.phase = phase;
        effects.push(Effect::TellReady);
        effects
    }
}

/// What is to be told when all is over.
pub(super) fn tell(ending: Ending) -> Vec<Effect> {
    match ending {
        Ending::Idle => vec![],
        Ending::Init { report } => vec![Effect::LogInitReport(report)],
        Ending::Invocation { init, report } => {
            let mut effects = Vec::new();
            if let Some(init) = init {
                effects.extend([Effect::LogInitReport(init), Effect::LogStart]);
            }
            effects.push(Effect::LogReport(report));
            effects
        }
    }
}
