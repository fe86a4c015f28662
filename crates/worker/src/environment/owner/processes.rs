//! Effects on the sandbox and its processes. What takes time is started here; its end is an event.

use dormouse_model::environment::{ExtensionFault, ExtensionId, InitPhase, InitializationType};
use dormouse_model::telemetry::Record;
use dormouse_runtime_api::RuntimeState;
use dormouse_runtimes::briefing;
use dormouse_sandbox::{BriefError, ProcessId, ProcessSpec, Sandbox, Signal, StartError};

use super::{Done, Owner};
use crate::environment::extensions::{Extensions, process};
use crate::environment::runtime::Runtime;
use crate::environment::telemetry::Telemetry;
use crate::recipe::{self, Told};

impl Owner {
    /// A new start of all processes: nothing of an earlier one may be taken for it.
    pub(super) fn begin_init(&mut self, phase: InitPhase) {
        self.journal.moment("init", None);
        self.journal.telemetry = Telemetry::new(self.shared.clock.clone());
        self.journal.tell(Record::InitStart(self.init_start(phase)));
        // Not where provisioned concurrency keeps the version ready: there it is initialised and ready.
        let restorable = self.spec.initialization == InitializationType::SnapStart;
        self.runtime = Runtime::new(RuntimeState::Started { restorable });
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

    fn start_extensions(&mut self) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        for (name, id) in self.external.iter().zip((0..).map(ExtensionId)) {
            let process = recipe::extension(
                &self.spec.version,
                self.interpreter.as_ref(),
                (process(id), name),
                self.told(),
            );
            let sandbox = sandbox.clone();
            self.effects
                .spawn(async move { Done::ExtensionStarted(id, sandbox.start(process).await) });
        }
    }

    fn told(&self) -> Told<'_> {
        Told {
            log_stream: &self.log_stream,
            secret: &self.secret,
            initialization: self.spec.initialization,
        }
    }

    pub(super) fn start_runtime(&mut self) {
        let process = recipe::runtime(&self.spec.version, self.interpreter.as_ref(), self.told());
        let Some(sandbox) = self.sandbox.clone() else { return };
        match self.waiting.take() {
            Some(connection) => {
                self.runtime.connect(connection);
                self.effects.spawn(async move { Done::Started(brief(&*sandbox, &process).await) });
            }
            None => {
                self.effects.spawn(async move { Done::Started(sandbox.start(process).await) });
            }
        }
    }

    pub(super) fn signal(&mut self, process: ProcessId, signal: Signal) {
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

    pub(super) fn drain_output(&mut self) {
        self.drains += 1;
        let token = self.drains;
        if let Some(sandbox) = self.sandbox.clone() {
            if sandbox.is_drained() {
                self.drained = true;
                return;
            }
            self.effects.spawn(async move {
                let _ = sandbox.drain_output(token).await;
                Done::Nothing
            });
        }
    }

    pub(super) fn kill_all(&mut self) {
        self.journal.moment("reset", None);
        // It ends with all others, and the next one is started.
        self.waiting = None;
        if let Some(sandbox) = self.sandbox.clone() {
            self.effects.spawn(async move {
                let _ = sandbox.kill_all().await;
                Done::Nothing
            });
        }
    }

    /// The function's own share of the CPU begins.
    pub(super) async fn end_burst(&mut self) {
        let memory_mb = self.spec.version.deployment.configuration.memory_mb;
        let share = recipe::cpu_millis(self.shared.cpu, memory_mb);
        if let (Some(sandbox), Some(share)) = (&self.sandbox, share) {
            let _ = sandbox.set_cpu(Some(share)).await;
        }
    }

    pub(super) fn destroy(&mut self) {
        self.journal.moment("shutdown", None);
        self.spoil_unusable_snapshot();
        self.waiting = None;
        let Some(sandbox) = self.sandbox.clone() else {
            self.unwanted = true;
            return;
        };
        self.effects.spawn(async move {
            sandbox.destroy().await;
            Done::Nothing
        });
    }
}

/// Makes a process that waits the one that would have been started.
async fn brief(sandbox: &dyn Sandbox, process: &ProcessSpec) -> Result<(), StartError> {
    let text = briefing(&process.variables, &process.cwd).map_err(std::io::Error::other);
    let text = text.map_err(StartError::Refused)?;
    sandbox.brief(process.id, text.into()).await.map_err(|error| match error {
        BriefError::Refused(error) => StartError::Refused(error),
        BriefError::Gone(gone) => StartError::Gone(gone),
    })
}
