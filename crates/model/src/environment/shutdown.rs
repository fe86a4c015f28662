//! Shutdown: the runtime is asked to end, then the extensions are told, all within a budget. Without
//! extensions there is nobody to ask.

use super::reset::drained;
use super::{
    Effect, Ending, Environment, Event, Lease, Micros, Phase, Shutdown, ShutdownReason,
    ShutdownStep, Then, after,
};
use crate::limits;

impl Environment {
    pub(super) fn begin_shutdown(
        &mut self,
        reason: ShutdownReason,
        then: Then,
        mut effects: Vec<Effect>,
        now: Micros,
    ) -> Vec<Effect> {
        (self.init_duration, self.restored) = (None, None);
        if self.extensions.is_empty() {
            return self.after_shutdown(then, effects, now);
        }
        let external = self.extensions.any_external();
        let budget = if external { limits::SHUTDOWN_MS } else { limits::SHUTDOWN_INTERNAL_MS };
        let end = after(now, budget);
        // The runtime's share, so that something is left for who comes after it.
        let share = if external { budget * limits::SHUTDOWN_RUNTIME_PERCENT / 100 } else { budget };
        let shutdown = Shutdown {
            reason,
            step: ShutdownStep::Runtime,
            deadline: after(now, share),
            end,
            then,
        };
        if !self.runtime_up {
            effects.extend(self.tell_extensions(shutdown));
            return effects;
        }
        self.phase = Phase::Shutdown(shutdown);
        effects.push(Effect::TerminateRuntime);
        effects
    }

    pub(super) fn shutdown(
        &mut self,
        shutdown: Shutdown,
        event: &Event,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        match (shutdown.step, event) {
            (step, Event::Exited { .. } | Event::StartFailed) => {
                self.runtime_up = false;
                self.extensions.runtime_ended();
                Some(match step {
                    _ if self.extensions.is_empty() => {
                        self.after_shutdown(shutdown.then, vec![], now)
                    }
                    ShutdownStep::Runtime => self.tell_extensions(shutdown),
                    ShutdownStep::Extensions => vec![],
                })
            }
            (ShutdownStep::Runtime, Event::Deadline) if self.extensions.any_external() => {
                let mut effects = vec![Effect::KillRuntime];
                effects.extend(self.tell_extensions(shutdown));
                Some(effects)
            }
            (_, Event::Deadline) => Some(self.after_shutdown(shutdown.then, vec![], now)),
            (_, Event::ExtensionEnded { id, .. }) => {
                self.extensions.ended(*id);
                let over = self.extensions.is_empty() && !self.runtime_up;
                Some(if over { self.after_shutdown(shutdown.then, vec![], now) } else { vec![] })
            }
            (_, Event::Drained) => Some(match shutdown.then {
                Then::Reset(ending) => {
                    let (ending, told) = drained(ending);
                    let then = Then::Reset(ending);
                    self.phase = Phase::Shutdown(Shutdown { then, ..shutdown });
                    told
                }
                Then::Drain(_) => vec![],
            }),
            (_, Event::Lease { timeout_ms }) => self.lease_meanwhile(shutdown, *timeout_ms, now),
            (
                _,
                Event::ExtensionNext { .. }
                | Event::Registered { .. }
                | Event::Quiet
                | Event::Next
                | Event::ResponseBegun
                | Event::Answered { .. }
                | Event::InitError { .. }
                | Event::RestorePoint
                | Event::RestoreError { .. },
            ) => Some(vec![]),
            _ => None,
        }
    }

    fn tell_extensions(&mut self, shutdown: Shutdown) -> Vec<Effect> {
        let (reason, deadline) = (shutdown.reason, shutdown.end);
        self.phase =
            Phase::Shutdown(Shutdown { step: ShutdownStep::Extensions, deadline, ..shutdown });
        vec![Effect::NotifyShutdown { reason, deadline }]
    }

    fn lease_meanwhile(
        &mut self,
        shutdown: Shutdown,
        timeout_ms: u64,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        let Then::Reset(Ending::Idle { next: None }) = shutdown.then else { return None };
        let next = Some(Lease { started: now, deadline: after(now, timeout_ms) });
        let then = Then::Reset(Ending::Idle { next });
        self.phase = Phase::Shutdown(Shutdown { then, ..shutdown });
        Some(vec![])
    }

    fn after_shutdown(&mut self, then: Then, effects: Vec<Effect>, now: Micros) -> Vec<Effect> {
        match then {
            Then::Reset(ending) => self.begin_reset(ending, effects, now),
            Then::Drain(cause) => self.drain(cause, effects),
        }
    }
}
