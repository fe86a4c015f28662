//! The end of all processes, and what comes after it.

use super::{
    Cause, Effect, Ending, Environment, Errand, Event, Extensions, InitializationType, Lease,
    Micros, Phase, Reset, ShutdownReason, Then, after,
};
use crate::limits;

impl Environment {
    pub(super) fn begin_reset(
        &mut self,
        ending: Ending,
        mut effects: Vec<Effect>,
        now: Micros,
    ) -> Vec<Effect> {
        // Whoever comes after an invocation that went wrong finds the same sandbox, as on Lambda.
        let serves_on = self.initialization == InitializationType::OnDemand && self.stop.is_none();
        if serves_on && matches!(ending, Ending::Invocation { .. }) {
            effects.push(Effect::TellAnswered);
        }
        self.phase = Phase::Reset(Reset { deadline: after(now, limits::KILL_MS), ending });
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
                self.runtime_up = false;
                self.extensions = Extensions::default();
                Some(match self.initialization {
                    InitializationType::OnDemand => self.emptied(reset.ending, now),
                    InitializationType::ProvisionedConcurrency => {
                        self.emptied_provisioned(reset.ending, now)
                    }
                    InitializationType::SnapStart => self.emptied_snap_start(reset.ending, now),
                })
            }
            Event::Deadline => {
                let mut effects = tell(reset.ending.clone());
                if matches!(reset.ending, Ending::Idle { next: Some(_) }) {
                    effects.push(Effect::HandBack);
                }
                Some(self.drain(Cause::UnclearEnd, effects))
            }
            Event::Lease { timeout_ms } if reset.ending == (Ending::Idle { next: None }) => {
                let next = Some(Lease { started: now, deadline: after(now, *timeout_ms) });
                self.phase = Phase::Reset(Reset { ending: Ending::Idle { next }, ..reset });
                Some(vec![])
            }
            Event::Drained => {
                let (ending, told) = drained(reset.ending);
                self.phase = Phase::Reset(Reset { ending, ..reset });
                Some(told)
            }
            Event::Exited { .. }
            | Event::ExtensionEnded { .. }
            | Event::ExtensionNext { .. }
            | Event::Registered { .. }
            | Event::Quiet
            | Event::Next
            | Event::ResponseBegun
            | Event::Answered { .. }
            | Event::StartFailed
            | Event::InitError { .. }
            | Event::RestorePoint
            | Event::RestoreError { .. } => Some(vec![]),
            _ => None,
        }
    }

    /// The sandbox of a caller is used again.
    fn emptied(&mut self, ending: Ending, now: Micros) -> Vec<Effect> {
        let told = tell(ending.clone());
        match ending {
            Ending::Idle { next: Some(lease) } => self.suppressed_init(lease, now),
            // Assignment already counts on an idle environment.
            Ending::Idle { next: None } => {
                self.phase = Phase::Cold;
                told
            }
            Ending::Init { .. } => self.rest(Phase::Cold, told, now),
            Ending::Invocation { .. } => self.served(Phase::Cold, told, now),
        }
    }

    /// One that is kept ready is never without processes.
    fn emptied_provisioned(&mut self, ending: Ending, now: Micros) -> Vec<Effect> {
        let cause = match ending {
            Ending::Idle { next: Some(lease) } => return self.suppressed_init(lease, now),
            Ending::Init { .. } => Cause::InitFailed,
            Ending::Idle { next: None } | Ending::Invocation { .. } => Cause::Crashed,
        };
        self.drain(self.stop.unwrap_or(cause), tell(ending))
    }

    /// What SnapStart promises of an environment is that it goes on from the snapshot: there is no second
    /// Init in it, and the next environment does that anew.
    fn emptied_snap_start(&mut self, ending: Ending, now: Micros) -> Vec<Effect> {
        let mut told = tell(ending.clone());
        let cause = match ending {
            Ending::Init { failure } if self.errand == Errand::Serve => {
                let deadline = after(now, limits::SPOILT_MS);
                return self.rest(Phase::Spoilt { failure, deadline }, told, now);
            }
            Ending::Init { .. } => Cause::InitFailed,
            Ending::Idle { next } => {
                told.extend(next.map(|_| Effect::HandBack));
                Cause::Crashed
            }
            Ending::Invocation { .. } => Cause::Crashed,
        };
        self.drain(self.stop.unwrap_or(cause), told)
    }

    /// An invocation is over, and with it the time of an environment that is old. A younger one goes
    /// on, and so does one that has never served.
    pub(super) fn served(
        &mut self,
        phase: Phase,
        effects: Vec<Effect>,
        now: Micros,
    ) -> Vec<Effect> {
        if now >= self.old {
            self.stop.get_or_insert(Cause::Recycled);
        }
        self.rest(phase, effects, now)
    }

    /// Nothing runs any more: either a lease is welcome or a stop that waited takes effect.
    pub(super) fn rest(
        &mut self,
        phase: Phase,
        mut effects: Vec<Effect>,
        now: Micros,
    ) -> Vec<Effect> {
        if let Some(cause) = self.stop {
            let then = Then::Drain(cause);
            return self.begin_shutdown(ShutdownReason::Spindown, then, effects, now);
        }
        self.phase = phase;
        effects.push(Effect::TellReady);
        effects
    }
}

/// The output of what was ended is collected: an invocation can be reported before its processes are
/// gone. Its end does not depend on theirs.
pub(super) fn drained(ending: Ending) -> (Ending, Vec<Effect>) {
    match ending {
        Ending::Invocation { .. } => (Ending::Invocation { report: None }, tell(ending)),
        Ending::Idle { .. } | Ending::Init { .. } => (ending, vec![]),
    }
}

/// What is to be told when all is over.
pub(super) fn tell(ending: Ending) -> Vec<Effect> {
    match ending {
        Ending::Idle { .. } | Ending::Init { .. } => vec![],
        Ending::Invocation { report } => report.map(Effect::LogReport).into_iter().collect(),
    }
}
