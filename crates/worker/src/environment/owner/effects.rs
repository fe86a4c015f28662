//! The effects: each does one thing that the machine named, and decides nothing.

use dormouse_model::environment::{Effect, Failure, Micros, Phase, ShutdownReason};
use dormouse_model::invocation::{self, ErrorOf};
use dormouse_model::telemetry::Record;
use dormouse_runtime_api::{self as runtime_api, Delivery, ExtensionEvent, Identifier, Progress};
use dormouse_sandbox::Signal;

use super::{Final, Owner};
use crate::environment::{Fact, Job};
use crate::lives::{Detail, error_word};
use crate::recipe;

impl Owner {
    /// Starts an effect.
    pub(super) async fn start(&mut self, effect: Effect) {
        match effect {
            Effect::BeginInit(phase) => self.begin_init(phase),
            Effect::StartRuntime => self.start_runtime(),
            Effect::Checkpoint => self.checkpoint(),
            Effect::RestoreProcesses => self.restore_processes(),
            Effect::ReleaseRestore => self.release_restore(),
            Effect::TellDonated(failure) => self.spec.purpose.tell(failure),
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
            Effect::Thaw => self.thaw().await,
            Effect::Freeze => self.freeze().await,
            Effect::LogStart => self.log_start(),
            Effect::Deliver => self.deliver(),
            Effect::BeginAnswer => self.begin_answer(),
            Effect::PassAnswer => self.pass_answer(),
            Effect::TellAnswered => self.tell(Fact::Answered(self.spec.id.clone())).await,
            Effect::Fail(failure) => self.fail(&failure),
            Effect::HandBack => self.give_back().await,
            Effect::DrainOutput => self.drain_output(),
            Effect::LogInitRuntimeDone(done) => self.journal.tell(Record::InitRuntimeDone(done)),
            Effect::LogInitReport(report) => self.log_init_report(report),
            Effect::LogExtensions => self.log_extensions(),
            Effect::LogRestoreStart => self.log_restore_start(),
            Effect::LogRestoreRuntimeDone(failure) => {
                self.journal.tell(Record::RestoreRuntimeDone(failure));
            }
            Effect::LogRestoreReport(report) => self.log_restore_report(report),
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

    async fn thaw(&mut self) {
        self.journal.moment("thawed", None);
        if let Some(sandbox) = &self.sandbox {
            let _ = sandbox.thaw().await;
        }
        self.journal.telemetry.set_awake(true);
    }

    async fn freeze(&mut self) {
        self.journal.telemetry.set_awake(false);
        if let Some(sandbox) = &self.sandbox {
            let _ = sandbox.freeze().await;
        }
        self.journal.moment("frozen", None);
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
        if failed {
            self.metered.fail();
        }
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
            (Failure::InitError { .. } | Failure::RestoreError { .. }, Some(body)) => body,
            _ => invocation::payload(failure, &request, self.timeout_s()).to_json().into(),
        };
        self.answer(Final::answer(payload, Some(ErrorOf::failure(failure))));
    }

    pub(super) fn answer(&mut self, outcome: Final) {
        if self.job.as_ref().is_some_and(|job| job.invocation.tail) {
            self.held = Some(outcome);
            return;
        }
        self.reply(outcome);
    }

    /// Hands the answer over; the job itself stays until its report is written.
    pub(super) fn reply(&mut self, outcome: Final) {
        if let Some(job) = &mut self.job {
            match outcome {
                Final::Answer(answer) => job.reply.give(answer),
                Final::End(completion) => job.reply.complete(completion),
            }
        }
    }

    pub(super) async fn give_back(&mut self) {
        if let Some(job) = self.job.take() {
            self.metered.running = None;
            self.hand_back(job).await;
        }
    }

    pub(super) async fn hand_back(&self, job: Box<Job>) {
        self.tell(Fact::HandBack(self.spec.id.clone(), job)).await;
    }

    async fn tell(&self, fact: Fact) {
        // Whoever started it may itself have ended.
        let _ = self.spec.facts.send(fact).await;
    }
}
