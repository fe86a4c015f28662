//! From the sandbox to processes that ask for work, and what happens when they never do.

use super::{
    Cause, Effect, Ending, Environment, Errand, Event, Extensions, Failure, Init, InitPhase,
    InitReport, InitRuntimeDone, InitStep, InitializationType, Lease, Micros, Phase, RuntimeAt,
    RuntimeDone, ShutdownReason, Span, Then, after,
};
use crate::limits;

impl Environment {
    pub(super) fn provisioning(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Provisioned { snapshot: true, .. } if self.may_be_restored() => {
                Some(self.restore_processes(now))
            }
            Event::Provisioned { external, .. } => {
                self.external.clone_from(external);
                Some(self.begin_init(None, after(now, self.init_limit_ms), now))
            }
            Event::ProvisionFailed => Some(self.die(Cause::ProvisionFailed, vec![])),
            Event::Deadline => Some(self.drain(Cause::ProvisionFailed, vec![])),
            _ => None,
        }
    }

    /// Starts the external extensions or, without any, the runtime.
    pub(super) fn begin_init(
        &mut self,
        lease: Option<Lease>,
        deadline: Micros,
        now: Micros,
    ) -> Vec<Effect> {
        self.extensions = Extensions::launched(&self.external);
        self.runtime_up = self.external.is_empty();
        let step = if self.runtime_up { InitStep::Runtime } else { InitStep::Extensions };
        let init = Init { step, started: now, deadline, failure: None, lease };
        let mut effects = vec![Effect::BeginInit(self.init_phase(&init))];
        self.phase = Phase::Init(init);
        effects.extend(self.runtime_up.then_some(Effect::StartRuntime));
        effects
    }

    /// Of what an Init is part.
    fn init_phase(&self, init: &Init) -> InitPhase {
        match self.initialization {
            InitializationType::SnapStart => InitPhase::SnapStart,
            _ if init.lease.is_some() => InitPhase::Invoke,
            InitializationType::OnDemand | InitializationType::ProvisionedConcurrency => {
                InitPhase::Init
            }
        }
    }

    pub(super) fn init(&mut self, init: Init, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Registered { id, registration } => {
                self.extensions.registered(*id, *registration);
                let start = init.step == InitStep::Extensions && self.extensions.all_registered();
                Some(if start { self.start_runtime(init) } else { vec![] })
            }
            Event::ExtensionNext { id } => {
                let asks = self.extensions.next(*id) && self.extensions.all_waiting();
                Some(match init.step {
                    InitStep::Settling(at) if asks => self.initialised(&init, at, now),
                    _ => vec![],
                })
            }
            Event::Next if init.failure.is_none() => self.runtime_is_at(RuntimeAt::Next, init, now),
            Event::RestorePoint if init.failure.is_none() => {
                self.runtime_is_at(RuntimeAt::RestorePoint, init, now)
            }
            Event::InitError { error_type } if init.failure.is_none() => {
                // It is about to end by itself; what it still writes is worth a moment.
                let deadline = after(now, limits::KILL_MS / 4).min(init.deadline);
                let failure = Some(Failure::InitError { error_type: error_type.clone() });
                self.phase = Phase::Init(Init { deadline, failure, ..init });
                Some(vec![])
            }
            _ => self.init_ended(&init, event, now),
        }
    }

    /// The events that end an Init without success.
    fn init_ended(&mut self, init: &Init, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        let failure = match event {
            Event::StartFailed => Failure::InvalidEntrypoint,
            Event::Exited { exit, out_of_memory } => {
                Failure::Exited { exit: *exit, out_of_memory: *out_of_memory }
            }
            Event::ExtensionEnded { id, fault } => {
                self.extensions.ended(*id);
                Failure::Extension(fault.clone())
            }
            Event::Deadline => Failure::Timeout,
            _ => return None,
        };
        if matches!(event, Event::StartFailed | Event::Exited { .. }) {
            self.runtime_up = false;
            self.extensions.runtime_ended();
        }
        // What the runtime itself said is better than how it ended.
        let failure = init.failure.clone().unwrap_or(failure);
        Some(self.init_failed(init, failure, now))
    }

    fn start_runtime(&mut self, init: Init) -> Vec<Effect> {
        self.runtime_up = true;
        self.phase = Phase::Init(Init { step: InitStep::Runtime, ..init });
        vec![Effect::StartRuntime]
    }

    /// The runtime has initialised: nobody may register any more.
    fn runtime_is_at(&mut self, at: RuntimeAt, init: Init, now: Micros) -> Option<Vec<Effect>> {
        let is_snap_start = self.initialization == InitializationType::SnapStart;
        match init.step {
            _ if at == RuntimeAt::RestorePoint && !is_snap_start => None,
            InitStep::Extensions => None,
            InitStep::Settling(_) => {
                // Asked again on a new connection, or no longer interested.
                self.phase = Phase::Init(Init { step: InitStep::Settling(at), ..init });
                Some(vec![])
            }
            InitStep::Runtime => {
                let done = self.runtime_initialised(self.init_phase(&init), None);
                let mut effects = vec![Effect::LogInitRuntimeDone(done), Effect::CloseRegistration];
                if self.extensions.all_waiting() {
                    effects.extend(self.initialised(&init, at, now));
                } else {
                    self.phase = Phase::Init(Init { step: InitStep::Settling(at), ..init });
                }
                Some(effects)
            }
        }
    }

    fn initialised(&mut self, init: &Init, at: RuntimeAt, now: Micros) -> Vec<Effect> {
        let duration = now - init.started;
        let report = self.init_report(self.init_phase(init), duration, None);
        let mut effects =
            vec![Effect::CloseSubscriptions, Effect::LogExtensions, Effect::LogInitReport(report)];
        match (init.lease, self.initialization) {
            (_, InitializationType::SnapStart) => self.donate_or_restore(at, effects, now),
            (None, _) => {
                effects.push(Effect::EndBurst);
                self.init_duration = Some(duration);
                self.rest(Phase::Ready { frozen: false }, effects, now)
            }
            (Some(lease), _) => {
                effects.push(Effect::EndBurst);
                self.run(lease, effects)
            }
        }
    }

    fn runtime_initialised(&self, phase: InitPhase, failure: Option<Failure>) -> InitRuntimeDone {
        InitRuntimeDone { initialization: self.initialization, phase, failure }
    }

    fn init_report(
        &self,
        phase: InitPhase,
        duration: Micros,
        failure: Option<Failure>,
    ) -> InitReport {
        InitReport { initialization: self.initialization, phase, duration, failure }
    }

    fn init_failed(&mut self, init: &Init, failure: Failure, now: Micros) -> Vec<Effect> {
        let mut effects = self.init_failure(init, &failure, now);
        let reason = match failure {
            Failure::Timeout => ShutdownReason::Timeout,
            _ => ShutdownReason::Failure,
        };
        let ending = match init.lease {
            Some(lease) => {
                effects.push(Effect::DrainOutput);
                Ending::Invocation { report: Some(self.report(lease, now, Some(failure))) }
            }
            None => {
                if self.errand == Errand::Donate {
                    effects.push(Effect::TellDonated(Some(failure.clone())));
                }
                Ending::Init { failure }
            }
        };
        self.begin_shutdown(reason, Then::Reset(ending), effects, now)
    }

    /// What an Init's failure means for those who are told of it: the caller of the invocation it is
    /// part of, the log and telemetry.
    pub(super) fn init_failure(
        &mut self,
        init: &Init,
        failure: &Failure,
        now: Micros,
    ) -> Vec<Effect> {
        let (phase, why) = (self.init_phase(init), Some(failure.clone()));
        let mut effects = Vec::new();
        effects.extend(init.lease.map(|_| Effect::Fail(failure.clone())));
        // In the other steps it has not begun or is already done.
        if init.step == InitStep::Runtime {
            let done = self.runtime_initialised(phase, why.clone());
            effects.push(Effect::LogInitRuntimeDone(done));
        }
        let duration = now - init.started;
        let report = self.init_report(phase, duration, why.clone());
        effects.extend([
            Effect::CloseSubscriptions,
            Effect::LogExtensions,
            Effect::LogInitReport(report),
        ]);
        if let Some(lease) = init.lease {
            let ran = Span { began: lease.started, ended: now };
            let done = RuntimeDone { ran, response: None, failure: why };
            effects.extend([Effect::LogStart, Effect::LogRuntimeDone(done)]);
        }
        effects
    }
}
