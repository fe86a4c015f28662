//! The effects: each does one thing that the machine named, and decides nothing.

use dormouse_model::environment::{
    Effect, ExtensionFault, ExtensionId, Failure, InitPhase, Micros, Phase, Report, RuntimeDone,
    ShutdownReason,
};
use dormouse_model::invocation;
use dormouse_model::telemetry::{self, InitStart, Memory, Record};
use dormouse_runtime_api::{self as runtime_api, Delivery, ExtensionEvent, Identifier, Progress};
use dormouse_runtimes::runtime_version;
use dormouse_sandbox::{ProcessId, Signal};

use super::{Done, Final, Owner};
use crate::environment::extensions::{Extensions, process};
use crate::environment::runtime::Runtime;
use crate::environment::telemetry::Telemetry;
use crate::environment::{Fact, Job};
use crate::lives::{Detail, error_word};
use crate::recipe;

impl Owner {
    /// Starts an effect.
    pub(super) async fn start(&mut self, effect: Effect) {
        match effect {
            Effect::BeginInit(phase) => self.begin_init(phase),
            Effect::StartRuntime => self.start_runtime(),
            Effect::CloseRegistration => self.extensions.close_registration(),
            Effect::CloseSubscriptions => {
                self.extensions.close_subscriptions();
                self.journal.telemetry.close();
            }
            Effect::EndBurst => self.end_burst().await,
            Effect::NotifyInvoke => self.notify_invoke(),
            Effect::NotifyShutdown { reason, deadline } => self.notify_shutdown(reason, deadline),
            Effect::TerminateRuntime => {
                self.journal.moment("terminating", None);
                self.journal.telemetry.end();
                self.signal(recipe::RUNTIME, Signal::Term);
            }
            Effect::KillRuntime => self.signal(recipe::RUNTIME, Signal::Kill),
            Effect::Thaw => {
                self.journal.moment("thawed", None);
                if let Some(sandbox) = &self.sandbox {
                    let _ = sandbox.thaw().await;
                }
                self.journal.telemetry.set_awake(true);
            }
            Effect::Freeze => {
                self.journal.telemetry.set_awake(false);
                if let Some(sandbox) = &self.sandbox {
                    let _ = sandbox.freeze().await;
                }
                self.journal.moment("frozen", None);
            }
            Effect::LogStart => self.log_start(),
            Effect::Deliver => self.deliver(),
            Effect::BeginAnswer => self.begin_answer(),
            Effect::PassAnswer => self.pass_answer(),
            Effect::TellAnswered => self.tell(Fact::Answered(self.spec.id.clone())).await,
            Effect::Fail(failure) => self.fail(&failure),
            Effect::HandBack => self.give_back().await,
            Effect::DrainOutput => self.drain_output(),
            Effect::LogInitRuntimeDone(done) => self.journal.tell(Record::InitRuntimeDone(done)),
            Effect::LogInitReport(report) => {
                if report.failure.is_some() {
                    self.journal.moment("init failed", None);
                }
                self.journal.tell(Record::InitReport(report));
            }
            Effect::LogExtensions => self.log_extensions(),
            Effect::LogRuntimeDone(done) => self.log_runtime_done(done),
            Effect::LogReport(report) => self.log_report(report),
            Effect::KillAll => self.kill_all(),
            Effect::TellReady => {
                self.journal.moment("ready", None);
                self.tell(Fact::Ready(self.spec.id.clone())).await;
            }
            Effect::Destroy => self.destroy(),
            // Told at the very end of `run`, when all lines are handed over.
            Effect::TellDead(_) => {}
        }
    }

    /// A new start of all processes: nothing of an earlier one may be taken for it.
    fn begin_init(&mut self, phase: InitPhase) {
        self.journal.moment("init", None);
        self.journal.telemetry = Telemetry::new(self.shared.clock.clone());
        self.journal.tell(Record::InitStart(self.init_start(phase)));
        self.runtime = Runtime::new();
        self.forget_dialled();
        self.init_error = None;
        match Extensions::new(&self.external) {
            Ok(extensions) => {
                self.extensions = extensions;
                self.start_extensions();
            }
            Err(refusal) => {
                self.journal.remark(format!("[dormouse] extensions are not started: {refusal}\n"));
                self.extensions = Extensions::default();
                for id in (0..).take(self.external.len()).map(ExtensionId) {
                    let fault = ExtensionFault::Launch { reason: refusal.to_string() };
                    self.effects.spawn(async move { Done::ExtensionRefused(id, fault) });
                }
            }
        }
    }

    fn init_start(&self, phase: InitPhase) -> InitStart {
        let version = &self.spec.version;
        let configuration = &version.deployment.configuration;
        InitStart {
            phase,
            runtime_version: self.runtime_version(),
            runtime_version_arn: configuration.runtime.version_arn(&version.key.scope.region),
            function_name: version.key.name.to_string(),
            function_version: version.version,
            function_arn: version.key.arn(),
            instance_id: self.log_stream.clone(),
            memory_mb: configuration.memory_mb,
        }
    }

    fn start_extensions(&mut self) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        for (name, id) in self.external.iter().zip((0..).map(ExtensionId)) {
            let process = recipe::extension(
                &self.spec.version,
                self.interpreter.as_ref(),
                (process(id), name),
                (&self.log_stream, &self.secret),
            );
            let sandbox = sandbox.clone();
            self.effects
                .spawn(async move { Done::ExtensionStarted(id, sandbox.start(process).await) });
        }
    }

    fn start_runtime(&mut self) {
        let process = recipe::runtime(
            &self.spec.version,
            self.interpreter.as_ref(),
            &self.log_stream,
            &self.secret,
        );
        if let Some(sandbox) = self.sandbox.clone() {
            self.effects.spawn(async move { Done::Started(sandbox.start(process).await) });
        }
    }

    fn notify_invoke(&mut self) {
        let Some(job) = &self.job else { return };
        let invocation = &job.invocation;
        let deadline_ms = self.deadline_ms();
        let chance = self.shared.chance.clone();
        self.extensions.tell(
            |extension| extension.events.invoke,
            || ExtensionEvent::Invoke {
                deadline_ms,
                request_id: invocation.request.clone(),
                invoked_function_arn: invocation.invoked_arn.clone(),
                trace_id: invocation.trace.clone(),
                event_identifier: Identifier::from_u128(chance.bits()),
            },
        );
    }

    fn notify_shutdown(&mut self, reason: ShutdownReason, deadline: Micros) {
        self.journal.moment("shutting down", None);
        self.journal.telemetry.end();
        let left_ms = deadline.saturating_sub(self.shared.clock.now()) / 1_000;
        let deadline_ms = self.shared.clock.wall_ms() + left_ms;
        let reason = match reason {
            ShutdownReason::Spindown => runtime_api::ShutdownReason::Spindown,
            ShutdownReason::Timeout => runtime_api::ShutdownReason::Timeout,
            ShutdownReason::Failure => runtime_api::ShutdownReason::Failure,
        };
        self.extensions.tell(
            |extension| extension.events.shutdown,
            || ExtensionEvent::Shutdown { deadline_ms, reason },
        );
        for process in self.extensions.deaf() {
            self.signal(process, Signal::Kill);
        }
    }

    fn signal(&mut self, process: ProcessId, signal: Signal) {
        if let Some(sandbox) = self.sandbox.clone() {
            self.effects.spawn(async move {
                let _ = sandbox.signal(process, signal).await;
                Done::Nothing
            });
        }
    }

    /// Connections that an earlier process opened and nobody has served yet.
    fn forget_dialled(&mut self) {
        if let Some(dialled) = &mut self.dialled {
            while dialled.try_recv().is_ok() {}
        }
    }

    fn runtime_version(&self) -> String {
        let runtime = self.spec.version.deployment.configuration.runtime;
        match &self.interpreter {
            Some(interpreter) => runtime_version(runtime, interpreter),
            None => runtime.to_string().replace('.', ":"),
        }
    }

    fn deliver(&mut self) {
        let Some(job) = &self.job else { return };
        let invocation = &job.invocation;
        self.journal.moment("invoke", Some(&invocation.request));
        self.runtime.deliver(Delivery {
            request_id: invocation.request.clone(),
            deadline_ms: self.deadline_ms(),
            invoked_function_arn: invocation.invoked_arn.clone(),
            trace_id: invocation.trace.clone(),
            client_context: invocation.client_context.clone(),
            cognito_identity: None,
            tenant_id: invocation.tenant.clone(),
            payload: invocation.payload.clone(),
        });
    }

    /// When the running invocation times out, in milliseconds since 1970.
    fn deadline_ms(&self) -> u64 {
        let left_ms = match self.machine.phase() {
            Phase::Busy(busy) => {
                busy.lease.deadline.saturating_sub(self.shared.clock.now()) / 1_000
            }
            _ => 0,
        };
        self.shared.clock.wall_ms() + left_ms
    }

    fn pass_answer(&mut self) {
        let request = self.request();
        let failed = self.outcome.as_ref().is_some_and(Final::is_error);
        let error = failed.then_some("function-error");
        let detail = Detail { error, ..Detail::default() };
        self.journal.moment_with("answered", request.as_ref(), detail);
        if let Some(outcome) = self.outcome.take() {
            self.answer(outcome);
        }
    }

    fn fail(&mut self, failure: &Failure) {
        let Some(request) = self.request() else {
            return;
        };
        let detail = Detail { error: Some(error_word(failure)), ..Detail::default() };
        self.journal.moment_with("failed", Some(&request), detail);
        if *failure == Failure::Timeout {
            self.runtime.progress(Progress::TimedOut);
        }
        if self.break_off(failure) {
            return;
        }
        let payload = match (failure, self.init_error.take()) {
            (Failure::InitError { .. }, Some(body)) => body,
            _ => invocation::payload(failure, &request, self.timeout_s()).to_json().into(),
        };
        self.answer(Final::answer(payload, true));
    }

    pub(super) fn answer(&mut self, outcome: Final) {
        if self.job.as_ref().is_some_and(|job| job.invocation.tail) {
            self.held = Some(outcome);
            return;
        }
        self.reply(outcome);
    }

    /// Hands the answer over; the job itself stays until its report is written.
    fn reply(&mut self, outcome: Final) {
        if let Some(job) = &mut self.job {
            match outcome {
                Final::Answer(answer) => job.reply.give(answer),
                Final::End(completion) => job.reply.complete(completion),
            }
        }
    }

    fn log_start(&mut self) {
        let Some(request) = self.request() else {
            return;
        };
        self.journal.begin_tail();
        let (version, trace) = (self.spec.version.version, self.sampled_trace());
        self.journal.tell(Record::Start { request, version, trace });
    }

    fn log_runtime_done(&mut self, done: RuntimeDone) {
        let Some(request) = self.request() else {
            return;
        };
        let trace = self.sampled_trace();
        self.journal.tell(Record::RuntimeDone { request, done, trace });
        // Extensions wait for this one before they come back.
        self.journal.telemetry.flush();
    }

    fn log_report(&mut self, report: Report) {
        let Some(request) = self.request() else {
            return;
        };
        if let Some(failure) = &report.failure {
            let now_ms = self.shared.clock.wall_ms();
            let text = telemetry::fault(failure, &request, now_ms, self.timeout_s());
            self.journal.tell(Record::Fault(text));
        }
        let memory = Memory {
            size_mb: self.spec.version.deployment.configuration.memory_mb,
            peak_bytes: self.usage.memory_peak_bytes,
        };
        let trace = self.sampled_trace();
        let detail = Detail {
            error: report.failure.as_ref().map(error_word),
            duration_micros: Some(report.duration),
            // Nothing was measured when the sandbox was lost.
            memory_peak_bytes: Some(memory.peak_bytes).filter(|bytes| *bytes > 0),
        };
        self.journal.moment_with("reported", Some(&request), detail);
        self.journal.tell(Record::End { request: request.clone() });
        self.journal.tell(Record::Report { request, report, memory, trace });
        self.journal.telemetry.flush();
        if let Some(held) = self.held.take() {
            let tail = self.journal.take_tail().into();
            self.reply(held.with_tail(tail));
        }
        self.job = None;
        self.outcome = None;
    }

    /// The X-Ray header, where telemetry tells of it.
    fn sampled_trace(&self) -> Option<String> {
        let trace = self.job.as_ref()?.invocation.trace.as_deref();
        trace.filter(|trace| telemetry::is_sampled(trace)).map(str::to_owned)
    }

    fn drain_output(&mut self) {
        self.drains += 1;
        let token = self.drains;
        if let Some(sandbox) = self.sandbox.clone() {
            self.effects.spawn(async move {
                let _ = sandbox.drain_output(token).await;
                Done::Nothing
            });
        }
    }

    fn kill_all(&mut self) {
        self.journal.moment("reset", None);
        if let Some(sandbox) = self.sandbox.clone() {
            self.effects.spawn(async move {
                let _ = sandbox.kill_all().await;
                Done::Nothing
            });
        }
    }

    fn log_extensions(&mut self) {
        for extension in self.extensions.told() {
            self.journal.tell(Record::Extension(extension));
        }
    }

    /// The function's own share of the CPU begins.
    async fn end_burst(&mut self) {
        let memory_mb = self.spec.version.deployment.configuration.memory_mb;
        let share = recipe::cpu_millis(self.shared.cpu, memory_mb);
        if let (Some(sandbox), Some(share)) = (&self.sandbox, share) {
            let _ = sandbox.set_cpu(Some(share)).await;
        }
    }

    pub(super) fn destroy(&mut self) {
        self.journal.moment("shutdown", None);
        let Some(sandbox) = self.sandbox.clone() else {
            self.unwanted = true;
            return;
        };
        self.effects.spawn(async move {
            sandbox.destroy().await;
            Done::Nothing
        });
    }

    pub(super) async fn give_back(&mut self) {
        if let Some(job) = self.job.take() {
            self.hand_back(job).await;
        }
    }

    pub(super) async fn hand_back(&self, job: Job) {
        self.tell(Fact::HandBack(self.spec.id.clone(), job)).await;
    }
    async fn tell(&self, fact: Fact) {
        // Whoever started it may itself have ended.
        let _ = self.spec.facts.send(fact).await;
    }
}
