//! From the sandbox to processes that ask for work, and what happens when they never do.

use super::{
    Cause, Effect, Ending, Environment, Event, Extensions, Failure, Init, InitPhase, InitReport,
    InitRuntimeDone, InitStep, Lease, Micros, Phase, RuntimeDone, ShutdownReason, Span, Then,
    after,
};
use crate::limits;

impl Environment {
    pub(super) fn provisioning(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Provisioned { external } => {
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
        let mut effects = vec![Effect::BeginInit(init.phase())];
        self.phase = Phase::Init(init);
        effects.extend(self.runtime_up.then_some(Effect::StartRuntime));
        effects
    }

    pub(super) fn init(&mut self, init: Init, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Registered { id, registration } => {
                self.extensions.registered(*id, *registration);
                let start = init.step == InitStep::Extensions && self.extensions.all_registered();
                Some(if start { self.start_runtime(init) } else { vec![] })
            }
            Event::ExtensionNext { id } => {
                let done = self.extensions.next(*id) && init.step == InitStep::Settling;
                let done = done && self.extensions.all_waiting();
                Some(if done { self.initialised(&init, now) } else { vec![] })
            }
            Event::Next if init.failure.is_none() => self.init_next(init, now),
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

    /// The runtime asks for work: nobody may register any more.
    fn init_next(&mut self, init: Init, now: Micros) -> Option<Vec<Effect>> {
        match init.step {
            InitStep::Extensions => None,
            InitStep::Settling => Some(vec![]),
            InitStep::Runtime => {
                let done = self.runtime_initialised(init.phase(), None);
                let mut effects = vec![Effect::LogInitRuntimeDone(done), Effect::CloseRegistration];
                if self.extensions.all_waiting() {
                    effects.extend(self.initialised(&init, now));
                } else {
                    self.phase = Phase::Init(Init { step: InitStep::Settling, ..init });
                }
                Some(effects)
            }
        }
    }

    fn initialised(&mut self, init: &Init, now: Micros) -> Vec<Effect> {
        let duration = now - init.started;
        let report = self.init_report(init.phase(), duration, None);
        let effects = vec![
            Effect::CloseSubscriptions,
            Effect::LogExtensions,
            Effect::LogInitReport(report),
            Effect::EndBurst,
        ];
        match init.lease {
            None => {
                self.init_duration = Some(duration);
                self.rest(Phase::Ready { frozen: false }, effects, now)
            }
            Some(lease) => self.run(lease, effects),
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
            None => Ending::Init,
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
        let (phase, why) = (init.phase(), Some(failure.clone()));
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
