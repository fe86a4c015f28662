//! One execution environment: a handle outside, an owner task inside.
//!
//! ```text
//!  Job, stop, kill             Event (exits, output)
//!  ------------> [ owner ] <------------------------ sandbox
//!  <------------ [ task  ] ------------------------>
//!     Fact          ^  |     start, freeze, thaw, kill
//!                   |  v
//!                 Call, Delivery
//!                [ runtime-api connections ]
//! ```
//!
//! The owner feeds `model::environment` and starts the effects it names; it decides nothing itself.

mod alarm;
mod extensions;
mod journal;
mod lines;
mod memory;
mod output;
mod owner;
mod permit;
mod runtime;
mod streaming;
mod telemetry;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use dormouse_model::environment::{Cause, Errand, Failure, InitializationType};
use dormouse_model::function::ResolvedVersion;
use dormouse_model::invocation::Invocation;
use dormouse_model::names::EnvironmentId;
use tokio::sync::{mpsc, oneshot};

pub(crate) use owner::{Names, Owner, Shared};
pub use permit::Permit;

use crate::answer::Reply;
use crate::snapshots::Turn;

/// An invocation and the place where its answer goes. It outlives the connection that asked: when
/// nobody waits any more, the function runs all the same. Handed over in a box, since it is moved some
/// twenty times on its way.
#[derive(Debug)]
pub struct Job {
    /// What to run.
    pub invocation: Invocation,
    /// Where the answer goes.
    pub reply: Reply,
    /// Its place in the count of running invocations, given back when the job is dropped.
    pub permit: Permit,
}

/// What an environment tells whoever started it.
#[derive(Debug)]
pub enum Fact {
    /// The caller has its answer: a lease will be welcome soon.
    Answered(EnvironmentId),
    /// A lease is welcome.
    Ready(EnvironmentId),
    /// The job was not begun; somebody else must run it.
    HandBack(EnvironmentId, Box<Job>),
    /// It has ended; nothing follows.
    Dead(EnvironmentId, Cause),
}

/// Why an environment had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColdReason {
    /// The version has not run before on this server.
    First,
    /// All others were busy.
    ScaleOut,
    /// The function was changed.
    Update,
    /// The last one had been idle for too long.
    IdleExpiry,
    /// The last one had served for long enough.
    Recycled,
    /// The last one ended because something went wrong.
    Failure,
    /// Nobody waits for it: it is to be ready before.
    Provisioned,
    /// A snapshot is to be made of it.
    Snapshot,
}

impl ColdReason {
    /// The word shown to users.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::ScaleOut => "scale-out",
            Self::Update => "update",
            Self::IdleExpiry => "idle-expiry",
            Self::Recycled => "recycled",
            Self::Failure => "failure",
            Self::Provisioned => "provisioned",
            Self::Snapshot => "snapshot",
        }
    }
}

/// What an environment is told. The bound: one lease at a time, a stop and a kill.
#[derive(Debug)]
enum Command {
    Lease(Box<Job>),
    Stop(Cause),
    Kill(Cause),
}

const COMMANDS: usize = 4;

/// An environment as seen from outside. Dropping it does not end the environment.
#[derive(Debug, Clone)]
pub struct EnvironmentHandle {
    id: EnvironmentId,
    commands: mpsc::Sender<Command>,
}

impl EnvironmentHandle {
    /// Which.
    #[must_use]
    pub fn id(&self) -> &EnvironmentId {
        &self.id
    }

    /// Hands over a job.
    ///
    /// # Errors
    /// The job itself, when the environment has ended.
    pub fn lease(&self, job: Box<Job>) -> Result<(), Box<Job>> {
        self.commands.try_send(Command::Lease(job)).map_err(|refused| match refused.into_inner() {
            Command::Lease(job) => job,
            Command::Stop(_) | Command::Kill(_) => {
                unreachable!("what comes back is what was sent")
            }
        })
    }

    /// Ends it when nothing runs.
    pub fn stop(&self, cause: Cause) {
        // One that has ended needs no telling.
        let _ = self.commands.try_send(Command::Stop(cause));
    }

    /// Ends it now.
    pub fn kill(&self, cause: Cause) {
        let _ = self.commands.try_send(Command::Kill(cause));
    }
}

/// What an environment is started with.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) id: EnvironmentId,
    pub(crate) version: Arc<ResolvedVersion>,
    pub(crate) reason: ColdReason,
    pub(crate) initialization: InitializationType,
    pub(crate) purpose: Purpose,
    pub(crate) facts: mpsc::Sender<Fact>,
}

/// What an environment is to do.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Run invocations.
    Serve,
    /// Initialise once, for a snapshot.
    Donate {
        /// Until it is told, here goes what went wrong, if something did.
        told: Option<oneshot::Sender<Option<Failure>>>,
        /// Until the snapshot is begun, the turn to make it; none where none is to be made.
        turn: Option<Turn>,
    },
}

impl Purpose {
    fn errand(&self) -> Errand {
        match self {
            Self::Serve => Errand::Serve,
            Self::Donate { .. } => Errand::Donate,
        }
    }

    /// Tells who waits for it how the Init went.
    fn tell(&mut self, failure: Option<Failure>) {
        if let Self::Donate { told, .. } = self
            && let Some(told) = told.take()
        {
            // Who asked may have gone.
            let _ = told.send(failure);
        }
    }
}

/// Makes the handle and its other end.
pub(crate) fn handle(id: EnvironmentId) -> (EnvironmentHandle, Commands) {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    (EnvironmentHandle { id, commands }, Commands { inbox })
}

/// The owner's end of the handle.
#[derive(Debug)]
pub(crate) struct Commands {
    inbox: mpsc::Receiver<Command>,
}
