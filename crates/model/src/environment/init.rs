//! From the sandbox to processes that ask for work, and what happens when they never do.

use super::{
    Cause, Effect, Ending, Environment, Event, Extensions, Failure, Init, InitReport, InitStep,
    Lease, Micros, Phase, Report, ShutdownReason, Then, after,
};
use crate::limits;

impl Environment {
    pub(super) fn provisioning(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Provisioned { external } => {
                self.external.clone_from(external);
                Some(self.begin_init(None, after(now, limits::INIT_MS), now))
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
        self.phase = Phase::Init(Init { step, started: now, deadline, failure: None, lease });
        let mut effects = vec![Effect::BeginInit];
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
            InitStep::Runtime if self.extensions.all_waiting() => {
                let mut effects = vec![Effect::CloseRegistration];
                effects.extend(self.initialised(&init, now));
                Some(effects)
            }
            InitStep::Runtime => {
                self.phase = Phase::Init(Init { step: InitStep::Settling, ..init });
                Some(vec![Effect::CloseRegistration])
            }
        }
    }

    fn initialised(&mut self, init: &Init, now: Micros) -> Vec<Effect> {
        match init.lease {
            None => {
                self.init_duration = Some(now - init.started);
                self.rest(Phase::Ready { frozen: false }, vec![], now)
            }
            Some(lease) => self.run(lease, vec![]),
        }
    }

    fn init_failed(&mut self, init: &Init, failure: Failure, now: Micros) -> Vec<Effect> {
        let init_report = InitReport {
            duration: now - init.started,
            suppressed: init.lease.is_some(),
            failure: failure.clone(),
        };
        let reason = match failure {
            Failure::Timeout => ShutdownReason::Timeout,
            _ => ShutdownReason::Failure,
        };
        let Some(lease) = init.lease else {
            let then = Then::Reset(Ending::Init { report: init_report });
            return self.begin_shutdown(reason, then, vec![], now);
        };
        let report = Report {
            duration: now - lease.started,
            init_duration: None,
            failure: Some(failure.clone()),
        };
        let then = Then::Reset(Ending::Invocation { init: Some(init_report), report });
        self.begin_shutdown(reason, then, vec![Effect::Fail(failure)], now)
    }
}
