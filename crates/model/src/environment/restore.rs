//! SnapStart: from an initialised runtime to a snapshot, and from there, or from the snapshot, to one that
//! asks for work.

use super::{
    Cause, Effect, Ending, Environment, Errand, Event, Failure, InitializationType, Lease, Micros,
    Phase, RestoreReport, RestoreStep, Restored, Restoring, RuntimeAt, RuntimeDone, ShutdownReason,
    Span, Then, after,
};
use crate::limits;

impl Environment {
    /// Whether it has any use for a snapshot: a donor is to show that its function initialises.
    pub(super) fn may_be_restored(&self) -> bool {
        self.initialization == InitializationType::SnapStart && self.errand == Errand::Serve
    }

    /// The processes of the snapshot take the place of an Init.
    pub(super) fn restore_processes(&mut self, now: Micros) -> Vec<Effect> {
        self.runtime_up = true;
        self.phase = Phase::Restoring(Restoring {
            step: RestoreStep::Processes,
            started: now,
            deadline: after(now, limits::RESTORE_PROCESSES_MS),
            failure: None,
        });
        vec![Effect::LogRestoreStart, Effect::RestoreProcesses]
    }

    /// All have initialised.
    pub(super) fn donate_or_restore(
        &mut self,
        at: RuntimeAt,
        mut effects: Vec<Effect>,
        now: Micros,
    ) -> Vec<Effect> {
        if self.errand == Errand::Donate {
            return self.donate(at, effects, now);
        }
        effects.push(Effect::LogRestoreStart);
        match at {
            // It does not want to be told, so there is nothing to wait for.
            RuntimeAt::Next => self.restored(Restored { duration: 0, hooks: 0 }, effects, now),
            RuntimeAt::RestorePoint => {
                effects.extend(self.release(now, now));
                effects
            }
        }
    }

    fn donate(&mut self, at: RuntimeAt, mut effects: Vec<Effect>, now: Micros) -> Vec<Effect> {
        effects.push(Effect::TellDonated(None));
        // A runtime that waits for work, or an extension that waits for an event, would find its
        // connection closed and does not know why.
        if at == RuntimeAt::Next || !self.extensions.is_empty() {
            let then = Then::Drain(self.stop.unwrap_or(Cause::Donated));
            return self.begin_shutdown(ShutdownReason::Spindown, then, effects, now);
        }
        self.phase = Phase::Checkpoint { deadline: after(now, limits::CHECKPOINT_MS) };
        effects.push(Effect::Checkpoint);
        effects
    }

    pub(super) fn checkpoint(&mut self, event: &Event) -> Option<Vec<Effect>> {
        match event {
            Event::Checkpointed | Event::Deadline => Some(self.drain(Cause::Donated, vec![])),
            // Whoever is written does not go on.
            Event::Exited { .. } | Event::Empty | Event::Drained | Event::RestorePoint => {
                Some(vec![])
            }
            _ => None,
        }
    }

    fn release(&mut self, started: Micros, now: Micros) -> Vec<Effect> {
        self.phase = Phase::Restoring(Restoring {
            step: RestoreStep::Runtime { since: now },
            started,
            deadline: after(now, limits::RESTORE_MS),
            failure: None,
        });
        vec![Effect::ReleaseRestore]
    }

    pub(super) fn restoring(
        &mut self,
        restoring: Restoring,
        event: &Event,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        let since = match restoring.step {
            RestoreStep::Processes => return self.restoring_processes(&restoring, event, now),
            RestoreStep::Runtime { since } => since,
        };
        let failure = match event {
            Event::Next if restoring.failure.is_none() => {
                let times = Restored { duration: now - restoring.started, hooks: now - since };
                return Some(self.restored(times, vec![], now));
            }
            Event::RestoreError { error_type } if restoring.failure.is_none() => {
                // It is about to end by itself; what it still writes is worth a moment.
                let deadline = after(now, limits::KILL_MS / 4).min(restoring.deadline);
                let failure = Some(Failure::RestoreError { error_type: error_type.clone() });
                self.phase = Phase::Restoring(Restoring { deadline, failure, ..restoring });
                return Some(vec![]);
            }
            Event::ExtensionNext { id } => {
                self.extensions.next(*id);
                return Some(vec![]);
            }
            Event::RestorePoint | Event::Next | Event::Drained | Event::Quiet => {
                return Some(vec![]);
            }
            Event::Exited { exit, out_of_memory } => {
                self.runtime_up = false;
                self.extensions.runtime_ended();
                Failure::Exited { exit: *exit, out_of_memory: *out_of_memory }
            }
            Event::ExtensionEnded { id, .. } if !self.extensions.ended(*id) => return Some(vec![]),
            Event::ExtensionEnded { fault, .. } => Failure::Extension(fault.clone()),
            Event::Deadline => Failure::RestoreTimeout,
            _ => return None,
        };
        // What the runtime itself said is better than how it ended.
        let failure = restoring.failure.clone().unwrap_or(failure);
        Some(self.restore_failed(&restoring, failure, now))
    }

    /// Until the restored runtime has asked to be told of it, what goes wrong is the snapshot's fault: the
    /// caller waits for another environment.
    fn restoring_processes(
        &mut self,
        restoring: &Restoring,
        event: &Event,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        match event {
            Event::RestorePoint => Some(self.release(restoring.started, now)),
            Event::RestoreFailed | Event::Exited { .. } | Event::Empty | Event::Deadline => {
                let report = restore_report(restoring, Some(Failure::Sandbox), now);
                Some(self.drain(
                    self.stop.unwrap_or(Cause::SnapshotUnusable),
                    vec![Effect::LogRestoreReport(report)],
                ))
            }
            Event::Drained | Event::Quiet => Some(vec![]),
            _ => None,
        }
    }

    fn restored(&mut self, times: Restored, mut effects: Vec<Effect>, now: Micros) -> Vec<Effect> {
        self.restored = Some(times);
        effects.extend([
            Effect::LogRestoreRuntimeDone(None),
            Effect::LogRestoreReport(RestoreReport { duration: times.duration, failure: None }),
            Effect::EndBurst,
        ]);
        self.rest(Phase::Ready { frozen: false }, effects, now)
    }

    fn restore_failed(
        &mut self,
        restoring: &Restoring,
        failure: Failure,
        now: Micros,
    ) -> Vec<Effect> {
        let report = restore_report(restoring, Some(failure.clone()), now);
        let effects = vec![
            Effect::LogRestoreRuntimeDone(Some(failure.clone())),
            Effect::LogRestoreReport(report),
        ];
        let reason = match failure {
            Failure::RestoreTimeout => ShutdownReason::Timeout,
            _ => ShutdownReason::Failure,
        };
        self.begin_shutdown(reason, Then::Reset(Ending::Init { failure }), effects, now)
    }

    pub(super) fn spoilt(
        &mut self,
        failure: &Failure,
        event: &Event,
        now: Micros,
    ) -> Option<Vec<Effect>> {
        match event {
            Event::Lease { timeout_ms } => {
                let lease = Lease { started: now, deadline: after(now, *timeout_ms) };
                let ran = Span { began: now, ended: now };
                let done = RuntimeDone { ran, response: None, failure: Some(failure.clone()) };
                let report = self.report(lease, now, Some(failure.clone()));
                let effects = vec![
                    Effect::Fail(failure.clone()),
                    Effect::LogStart,
                    Effect::LogRuntimeDone(done),
                    Effect::LogReport(report),
                ];
                Some(self.drain(Cause::InitFailed, effects))
            }
            // Who waited for it has been served by another: the next caller need not suffer.
            Event::Deadline => Some(self.drain(Cause::InitFailed, vec![])),
            Event::Drained | Event::Quiet => Some(vec![]),
            _ => None,
        }
    }
}

fn restore_report(restoring: &Restoring, failure: Option<Failure>, now: Micros) -> RestoreReport {
    RestoreReport { duration: now - restoring.started, failure }
}
