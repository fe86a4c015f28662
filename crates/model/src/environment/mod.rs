//! The life of an execution environment: one pure function from (phase, event, now) to the next
//! phase and the effects to start. What is not listed is denied.
//!
//! ```text
//!                      +--------------------------- lease ------------------------+
//!                      v                                                          |
//! Provisioning -> Init(first) -> Ready{frozen} <-> Busy{running -> answered -> settling}
//!                      |            |    ^           |
//!                      | failed     |    |           | crash, timeout
//!                      v            v    |           v
//!                    Reset <--- runtime died ----> Reset -> Cold -- lease --> Init(suppressed)
//!
//! any -- stop, nothing running --> Draining -> Dead{cause}        any -- sandbox gone --> Dead
//! ```
//!
//! Reset ends every process and keeps the sandbox with its `/tmp`; the next lease then runs Init
//! again under the function's timeout ("suppressed init"). An environment whose processes do not
//! end in time is destroyed, never reused.

mod init;
mod lease;
mod phase;
mod reset;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use phase::{Busy, Ending, Init, Lease, Phase, Reset, Stage};
pub use vocabulary::{Cause, Effect, Event, Exit, Failure, InitReport, Report};

use crate::limits;
use reset::tell;

/// Microseconds of a monotonic clock whose start does not matter.
pub type Micros = u64;

/// A wait that is over at a moment. The owner sends [`Event::Deadline`] then.
fn after(now: Micros, ms: u64) -> Micros {
    now + ms * 1_000
}

/// An event that has no place in the phase; nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not allowed in {phase:?}")]
pub struct Denied {
    /// Where the environment is.
    pub phase: Phase,
    /// What was refused.
    pub event: Event,
}

/// An environment: its phase and the two facts that outlive a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    phase: Phase,
    /// The first Init's duration, until a report has told it.
    init_duration: Option<Micros>,
    /// Why it shall end once nothing runs.
    stop: Option<Cause>,
}

impl Environment {
    /// An environment whose sandbox is being made.
    #[must_use]
    pub fn new(now: Micros) -> Self {
        let phase = Phase::Provisioning { deadline: after(now, limits::PROVISION_MS) };
        Self { phase, init_duration: None, stop: None }
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// When [`Event::Deadline`] is due, if ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Micros> {
        match &self.phase {
            Phase::Provisioning { deadline } => Some(*deadline),
            Phase::Init(init) => Some(init.deadline),
            Phase::Busy(Busy { stage: Stage::Settling { deadline, .. }, .. }) => Some(*deadline),
            Phase::Busy(busy) => Some(busy.lease.deadline),
            Phase::Reset(reset) => Some(reset.deadline),
            Phase::Ready { .. } | Phase::Cold | Phase::Draining { .. } | Phase::Dead { .. } => None,
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`Denied`] when the event has no place in this phase; the environment is unchanged.
    pub fn step(&mut self, event: Event, now: Micros) -> Result<Vec<Effect>, Box<Denied>> {
        if let Some(effects) = self.step_anywhere(&event, now) {
            return Ok(effects);
        }
        let effects = match self.phase.clone() {
            Phase::Provisioning { .. } => self.provisioning(&event, now),
            Phase::Init(init) => self.init(init, &event, now),
            Phase::Ready { frozen } => self.ready(frozen, &event, now),
            Phase::Cold => self.cold(&event, now),
            Phase::Busy(busy) => self.busy(busy, &event, now),
            Phase::Reset(reset) => self.reset(reset, &event, now),
            Phase::Draining { .. } | Phase::Dead { .. } => None,
        };
        effects.ok_or_else(|| Box::new(Denied { phase: self.phase.clone(), event }))
    }

    /// Events whose meaning does not depend on how far the phase is.
    fn step_anywhere(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match (&self.phase, event) {
            (Phase::Dead { .. }, Event::Gone) => None,
            (Phase::Draining { .. } | Phase::Dead { .. }, Event::Lease { .. }) => {
                Some(vec![Effect::HandBack])
            }
            (Phase::Draining { .. } | Phase::Dead { .. }, _) if *event != Event::Gone => {
                Some(vec![])
            }
            (Phase::Draining { cause }, Event::Gone) => Some(self.die(*cause, vec![])),
            (_, Event::Gone) => {
                let effects = self.unfinished(&Failure::Sandbox, now);
                Some(self.die(Cause::SandboxLost, effects))
            }
            (_, Event::Kill { cause }) => {
                let failure =
                    if *cause == Cause::Shutdown { Failure::Shutdown } else { Failure::Sandbox };
                let effects = self.unfinished(&failure, now);
                Some(self.drain(*cause, effects))
            }
            (_, Event::Stop { cause }) => Some(self.stop(*cause, now)),
            _ => None,
        }
    }

    /// What the end of the sandbox means for the invocation in it: its caller is answered and its
    /// report written, or it goes back unstarted.
    fn unfinished(&mut self, failure: &Failure, now: Micros) -> Vec<Effect> {
        match self.phase.clone() {
            Phase::Init(Init { lease: Some(lease), .. }) => {
                let mut effects = vec![Effect::Fail(failure.clone()), Effect::LogStart];
                effects.push(self.last_report(lease, now, Some(failure.clone())));
                effects
            }
            Phase::Busy(Busy { lease, stage: Stage::Running }) => vec![
                Effect::Fail(failure.clone()),
                self.last_report(lease, now, Some(failure.clone())),
            ],
            Phase::Busy(Busy { lease, stage: Stage::Answered }) => {
                vec![self.last_report(lease, now, Some(failure.clone()))]
            }
            Phase::Busy(Busy { lease, stage: Stage::Settling { ended, .. } }) => {
                vec![self.last_report(lease, ended, None)]
            }
            Phase::Reset(reset) => {
                let mut effects = tell(reset.ending);
                effects.extend(reset.next.map(|_| Effect::HandBack));
                effects
            }
            Phase::Provisioning { .. }
            | Phase::Init(_)
            | Phase::Ready { .. }
            | Phase::Cold
            | Phase::Draining { .. }
            | Phase::Dead { .. } => vec![],
        }
    }

    fn last_report(&mut self, lease: Lease, ended: Micros, failure: Option<Failure>) -> Effect {
        Effect::LogReport(Report {
            duration: ended - lease.started,
            init_duration: self.init_duration.take(),
            failure,
        })
    }

    fn stop(&mut self, cause: Cause, now: Micros) -> Vec<Effect> {
        match &self.phase {
            Phase::Busy(_)
            | Phase::Init(Init { lease: Some(_), .. })
            | Phase::Reset(Reset { ending: Ending::Invocation { .. }, .. }) => {
                self.stop = Some(cause);
                vec![]
            }
            _ => {
                let effects = self.unfinished(&Failure::Sandbox, now);
                self.drain(cause, effects)
            }
        }
    }

    fn drain(&mut self, cause: Cause, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Draining { cause };
        effects.push(Effect::Destroy);
        effects
    }

    fn die(&mut self, cause: Cause, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Dead { cause };
        effects.push(Effect::TellDead(cause));
        effects
    }
}
