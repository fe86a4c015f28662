//! What is told of an environment: the machine's words with what only the owner knows, as records for
//! the journal.

use dormouse_model::environment::{InitPhase, InitReport, Report, RestoreReport, RuntimeDone};
use dormouse_model::telemetry::{self, Caller, InitStart, Memory, Record, RestoreStart};
use dormouse_runtimes::runtime_version;

use super::Owner;
use crate::lives::{Detail, error_word};

impl Owner {
    pub(super) fn init_start(&self, phase: InitPhase) -> InitStart {
        let version = &self.spec.version;
        let configuration = &version.deployment.configuration;
        InitStart {
            initialization: self.spec.initialization,
            phase,
            runtime_version: self.runtime_version(),
            runtime_version_arn: self.runtime_version_arn(),
            function_name: version.key.name.to_string(),
            function_version: version.version,
            function_arn: version.key.arn(),
            instance_id: self.log_stream.clone(),
            memory_mb: configuration.memory_mb,
        }
    }

    pub(super) fn log_init_report(&mut self, report: InitReport) {
        if report.failure.is_some() {
            self.journal.moment("init failed", None);
        }
        self.journal.tell(Record::InitReport(report));
    }

    pub(super) fn log_restore_report(&mut self, report: RestoreReport) {
        if report.failure.is_some() {
            self.journal.moment("restore failed", None);
        }
        self.journal.tell(Record::RestoreReport(report));
    }

    pub(super) fn log_restore_start(&mut self) {
        let version = &self.spec.version;
        let start = RestoreStart {
            runtime_version: self.runtime_version(),
            runtime_version_arn: self.runtime_version_arn(),
            function_name: version.key.name.to_string(),
            function_version: version.version,
            instance_id: self.log_stream.clone(),
            memory_mb: version.deployment.configuration.memory_mb,
        };
        self.journal.tell(Record::RestoreStart(start));
    }

    fn runtime_version_arn(&self) -> String {
        let version = &self.spec.version;
        let runtime = version.deployment.configuration.runtime();
        runtime.map(|runtime| runtime.version_arn(&version.key.scope.region)).unwrap_or_default()
    }

    fn runtime_version(&self) -> String {
        let Some(runtime) = self.spec.version.deployment.configuration.runtime() else {
            return String::new();
        };
        match &self.interpreter {
            Some(interpreter) => runtime_version(runtime, interpreter),
            None => runtime.to_string().replace('.', ":"),
        }
    }

    pub(super) fn log_start(&mut self) {
        let Some(request) = self.request() else {
            return;
        };
        self.journal.begin_tail();
        let (version, caller) = (self.spec.version.version, self.caller());
        self.journal.tell(Record::Start { request, version, caller });
    }

    pub(super) fn log_runtime_done(&mut self, done: RuntimeDone) {
        let Some(request) = self.request() else {
            return;
        };
        let caller = self.caller();
        self.journal.tell(Record::RuntimeDone { request, done, caller });
        // Extensions wait for this one before they come back.
        self.journal.telemetry.flush();
    }

    pub(super) fn log_report(&mut self, report: Report) {
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
            peak_bytes: self.memory.peak_bytes,
        };
        let caller = self.caller();
        self.metered.end(&report);
        let detail = Detail {
            error: report.failure.as_ref().map(error_word),
            duration_micros: Some(report.duration),
            // Nothing was measured when the sandbox was lost.
            memory_peak_bytes: Some(memory.peak_bytes).filter(|bytes| *bytes > 0),
        };
        self.journal.moment_with("reported", Some(&request), detail);
        self.journal.tell(Record::End { request: request.clone() });
        self.journal.tell(Record::Report { request, report, memory, caller });
        self.journal.telemetry.flush();
        if let Some(held) = self.held.take() {
            let tail = self.journal.take_tail().into();
            self.reply(held.with_tail(tail));
        }
        self.job = None;
        self.outcome = None;
    }

    /// What the caller said, where telemetry tells of it.
    fn caller(&self) -> Caller {
        let Some(job) = &self.job else {
            return Caller::default();
        };
        let trace = job.invocation.trace.as_deref();
        let trace = trace.filter(|trace| telemetry::is_sampled(trace)).map(str::to_owned);
        Caller { trace, tenant: job.invocation.tenant.clone() }
    }

    pub(super) fn log_extensions(&mut self) {
        for extension in self.extensions.told() {
            self.journal.tell(Record::Extension(extension));
        }
    }
}
