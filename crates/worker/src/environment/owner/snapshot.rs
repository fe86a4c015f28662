//! Effects of SnapStart on the processes: writing them to a snapshot, and going on from one.

use std::io;
use std::sync::Arc;

use dormouse_model::environment::{Cause, Event, InitializationType, Phase};
use dormouse_model::names::EnvironmentId;
use dormouse_runtime_api::RuntimeState;
use dormouse_runtimes::Interpreter;
use dormouse_sandbox::{Sandbox, SnapshotError};
use tracing::{info, warn};

use super::make::Source;
use super::{Done, Owner};
use crate::artifacts::with_cause;
use crate::environment::Purpose;
use crate::environment::runtime::Runtime;
use crate::environment::telemetry::Telemetry;
use crate::recipe::RUNTIME;
use crate::shelf;
use crate::snapshots::Turn;

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error("its directory")]
    Directory(#[from] io::Error),
    #[error("its processes")]
    Processes(#[from] SnapshotError),
}

impl Owner {
    /// What its processes may come from.
    pub(super) fn source(&self) -> Source {
        match &self.spec.purpose {
            Purpose::Donate { turn: Some(_), .. } => Source::InitForSnapshot,
            Purpose::Serve if self.spec.initialization == InitializationType::SnapStart => {
                Source::SnapshotOrInit
            }
            Purpose::Donate { turn: None, .. } | Purpose::Serve => Source::Init,
        }
    }

    pub(super) fn checkpoint(&mut self) {
        let turn = match &mut self.spec.purpose {
            Purpose::Donate { turn, .. } => turn.take(),
            Purpose::Serve => None,
        };
        let (Some(turn), Some(sandbox)) = (turn, self.sandbox.clone()) else {
            // It has shown that it initialises, which is all that can be had here.
            self.effects.spawn(async { Done::Checkpointed });
            return;
        };
        self.journal.moment("checkpoint", None);
        let (id, interpreter) = (self.spec.id.clone(), self.interpreter.clone());
        let configuration = &self.spec.version.deployment.configuration;
        let bytes_max = u64::from(configuration.memory_mb + configuration.ephemeral_mb) << 20;
        self.effects.spawn(async move {
            match write(turn, &sandbox, (&id, bytes_max), interpreter.as_ref()).await {
                Ok(()) => info!(environment = %id, "snapshot is made"),
                Err(error) => {
                    let error = with_cause(&error);
                    warn!(environment = %id, error, "no snapshot is made");
                }
            }
            Done::Checkpointed
        });
    }

    pub(super) fn restore_processes(&mut self) {
        self.journal.moment("restoring", None);
        self.journal.telemetry = Telemetry::new(self.shared.clock.clone());
        self.runtime = Runtime::new(RuntimeState::RestoreReady);
        let (Some(sandbox), Some(snapshot)) = (self.sandbox.clone(), self.snapshot.clone()) else {
            return;
        };
        self.effects.spawn(async move {
            let restored = sandbox.restore(RUNTIME, snapshot.images()).await;
            Done::Restored(restored)
        });
    }

    pub(super) fn release_restore(&mut self) {
        // It goes on; what it came from is not needed for that. Without, its restore begins here.
        match self.snapshot.take() {
            Some(snapshot) => snapshot.has_proved(),
            None => self.journal.moment("restoring", None),
        }
        self.runtime.release();
    }

    pub(super) async fn not_restored(&mut self, error: &SnapshotError) {
        let error = with_cause(error);
        warn!(environment = %self.spec.id, error, "snapshot cannot be used");
        self.step(Event::RestoreFailed).await;
    }

    /// Before the end of the sandbox: what could not be used shall not be used again.
    pub(super) fn spoil_unusable_snapshot(&mut self) {
        let unusable =
            matches!(self.machine.phase(), Phase::Draining { cause: Cause::SnapshotUnusable });
        if let Some(snapshot) = self.snapshot.take().filter(|_| unusable) {
            self.shared.snapshots.spoil(&self.spec.version, &snapshot);
        }
    }
}

async fn write(
    turn: Turn,
    sandbox: &Arc<dyn Sandbox>,
    (id, bytes_max): (&EnvironmentId, u64),
    interpreter: Option<&Interpreter>,
) -> Result<(), NotWritten> {
    let unfinished = turn.begin(id, bytes_max)?;
    sandbox.checkpoint(RUNTIME, unfinished.content()).await?;
    let measuring = tokio::task::spawn_blocking(move || {
        let bytes = shelf::bytes(&unfinished.content());
        (unfinished, bytes)
    });
    turn.keep(measuring.await.map_err(io::Error::other)?, interpreter)?;
    Ok(())
}
