//! The life of an execution environment: one pure function from (phase, event, now) to the next
//! phase and the effects to start. What is not listed is denied.
//!
//! ```text
//!                      +--------------------------- lease ------------------------+
//!                      v                                                          |
//! Provisioning -> Init(first) -> Ready{frozen} <-> Busy{running -> answered -> extensions -> settling}
//!                      |            |                |
//!                      | failed     | died           | crash, timeout
//!                      v            v                v
//!                    [Shutdown] -> Reset ----------------> Cold -- lease --> Init(suppressed)
//!
//! any -- stop, nothing running --> [Shutdown] -> Draining -> Dead     any -- sandbox gone --> Dead
//! ```
//!
//! Init: external extensions are started, each registers; the runtime is started and asks for work;
//! each extension asks for an event. An invocation is over when the runtime and every extension that
//! was told of it have asked for more. Shutdown exists only with extensions: the runtime is asked to
//! end, then they are told, all within a budget. Reset ends every process and keeps the sandbox with
//! its `/tmp`; the next lease then runs Init again under the function's timeout ("suppressed init").
//! An environment of provisioned concurrency is never Cold: where another would be, it ends, and
//! whoever had it made makes another. Neither is one of SnapStart, which is made in one of three ways:
//!
//! ```text
//! plain:     Provisioning -> Init(first) -> Restoring -> Ready        where there is no snapshot
//! donor:     Provisioning -> Init(first) -> Checkpoint -> Draining    a snapshot is made
//! restored:  Provisioning -----------------> Restoring -> Ready       there is one
//!                                                 | failed, as may Init
//!                                                 v
//!                                    Reset -> Spoilt -- lease: is told why --> Draining
//! ```
//!
//! An environment whose processes do not end in time is destroyed, never reused.

mod extensions;
mod init;
mod lease;
mod phase;
mod reason;
mod reset;
mod restore;
mod shutdown;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use extensions::{ExtensionId, Extensions, Registration};
pub use phase::{
    Busy, Ending, Init, InitStep, Lease, Phase, Reset, RestoreStep, Restoring, RuntimeAt, Shutdown,
    ShutdownStep, Stage, Then,
};
pub use vocabulary::{
    Cause, Effect, Errand, Event, Exit, ExtensionFault, Failure, InitPhase, InitReport,
    InitRuntimeDone, InitializationType, Report, Response, RestoreReport, Restored, RuntimeDone,
    ShutdownReason, Span,
};

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

/// What is said of an environment when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What it is made for.
    pub initialization: InitializationType,
    /// What it is to do; only one of SnapStart can donate.
    pub errand: Errand,
    /// The function's timeout in milliseconds.
    pub timeout_ms: u64,
    /// How long it may serve.
    pub life: Micros,
}

/// An environment: its phase and the facts that outlive a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    phase: Phase,
    initialization: InitializationType,
    errand: Errand,
    /// How long the first Init may take, in milliseconds.
    init_limit_ms: u64,
    /// The external extensions that each Init starts.
    external: Vec<ExtensionId>,
    /// The extensions that are there now.
    extensions: Extensions,
    /// Whether the runtime's process has been started and not ended.
    runtime_up: bool,
    /// The first Init's duration, until a report has told it.
    init_duration: Option<Micros>,
    /// How long the restore took, until a report has told it.
    restored: Option<Restored>,
    /// Why it shall end once nothing runs.
    stop: Option<Cause>,
    /// When it is too old for another invocation.
    old: Micros,
}

impl Environment {
    /// An environment whose sandbox is being made.
    #[must_use]
    pub fn new(now: Micros, terms: Terms) -> Self {
        let Terms { initialization, errand, timeout_ms, life } = terms;
        Self {
            initialization,
            errand,
            init_limit_ms: initialization.init_limit_ms(timeout_ms),
            phase: Phase::Provisioning { deadline: after(now, limits::PROVISION_MS) },
            external: Vec::new(),
            extensions: Extensions::default(),
            runtime_up: false,
            init_duration: None,
            restored: None,
            stop: None,
            old: now.saturating_add(life),
        }
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
            Phase::Provisioning { deadline }
            | Phase::Checkpoint { deadline }
            | Phase::Spoilt { deadline, .. } => Some(*deadline),
            Phase::Init(init) => Some(init.deadline),
            Phase::Restoring(restoring) => Some(restoring.deadline),
            Phase::Busy(Busy { stage: Stage::Settling { deadline, .. }, .. }) => Some(*deadline),
            Phase::Busy(busy) => Some(busy.lease.deadline),
            Phase::Shutdown(shutdown) => Some(shutdown.deadline),
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
            Phase::Restoring(restoring) => self.restoring(restoring, &event, now),
            Phase::Checkpoint { .. } => self.checkpoint(&event),
            Phase::Spoilt { failure, .. } => self.spoilt(&failure, &event, now),
            Phase::Ready { frozen } => self.ready(frozen, &event, now),
            Phase::Cold => self.cold(&event, now),
            Phase::Busy(busy) => self.busy(busy, &event, now),
            Phase::Shutdown(shutdown) => self.shutdown(shutdown, &event, now),
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
            Phase::Init(init) => match init.lease {
                Some(lease) => {
                    let mut effects = self.init_failure(&init, failure, now);
                    effects.push(Effect::LogReport(self.report(lease, now, Some(failure.clone()))));
                    effects
                }
                None => vec![],
            },
            Phase::Busy(busy) => {
                let (mut effects, report) = self.broken_off(&busy, failure.clone(), now);
                effects.push(Effect::LogReport(report));
                effects
            }
            Phase::Shutdown(Shutdown { then: Then::Reset(ending), .. })
            | Phase::Reset(Reset { ending, .. }) => {
                let hands_back = matches!(ending, Ending::Idle { next: Some(_) });
                let mut effects = tell(ending);
                effects.extend(hands_back.then_some(Effect::HandBack));
                effects
            }
            Phase::Provisioning { .. }
            | Phase::Restoring(_)
            | Phase::Checkpoint { .. }
            | Phase::Spoilt { .. }
            | Phase::Ready { .. }
            | Phase::Cold
            | Phase::Shutdown(_)
            | Phase::Draining { .. }
            | Phase::Dead { .. } => vec![],
        }
    }

    /// An invocation's report; the first one has the Init's duration.
    fn report(&mut self, lease: Lease, ended: Micros, failure: Option<Failure>) -> Report {
        Report {
            initialization: self.initialization,
            duration: ended - lease.started,
            init_duration: self.init_duration.take(),
            restored: self.restored.take(),
            extension_overhead: None,
            failure,
        }
    }

    fn stop(&mut self, cause: Cause, now: Micros) -> Vec<Effect> {
        match &self.phase {
            Phase::Busy(_)
            | Phase::Init(Init { lease: Some(_), .. })
            | Phase::Shutdown(Shutdown { then: Then::Reset(Ending::Invocation { .. }), .. })
            | Phase::Reset(Reset { ending: Ending::Invocation { .. }, .. }) => {
                self.stop = Some(cause);
                vec![]
            }
            // It is on its way out already; what it waits for is the same.
            Phase::Shutdown(Shutdown { then: Then::Drain(_), .. }) => vec![],
            Phase::Ready { frozen: true } if !self.extensions.is_empty() => {
                let thawed = vec![Effect::Thaw];
                self.begin_shutdown(ShutdownReason::Spindown, Then::Drain(cause), thawed, now)
            }
            Phase::Ready { .. }
            | Phase::Init(_)
            | Phase::Restoring(Restoring { step: RestoreStep::Runtime { .. }, .. }) => {
                self.begin_shutdown(ShutdownReason::Spindown, Then::Drain(cause), vec![], now)
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
