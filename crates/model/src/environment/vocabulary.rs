//! Everything that can happen to an environment, and everything it can ask for.

use super::{ExtensionId, Micros, Registration};
use crate::limits;

/// What happens to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The sandbox is made, and these external extensions lie in it.
    Provisioned {
        /// In the order of their start.
        external: Vec<ExtensionId>,
        /// Whether there is a snapshot to go on from, in place of an Init.
        snapshot: bool,
    },
    /// The sandbox could not be made.
    ProvisionFailed,
    /// The runtime's process could not be started.
    StartFailed,
    /// The runtime asks for work.
    Next,
    /// The runtime says that it cannot initialise.
    InitError {
        /// Its error type, as filtered.
        error_type: String,
    },
    /// The runtime stands where a snapshot may be taken, and asks to be told of its restore.
    RestorePoint,
    /// The runtime says that it cannot go on after its restore.
    RestoreError {
        /// Its error type, as filtered.
        error_type: String,
    },
    /// The processes of the snapshot could not be put back.
    RestoreFailed,
    /// The snapshot is written, or could not be; no process goes on.
    Checkpointed,
    /// An extension registered.
    Registered {
        /// Which.
        id: ExtensionId,
        /// As what.
        registration: Registration,
    },
    /// An extension asks for an event.
    ExtensionNext {
        /// Which.
        id: ExtensionId,
    },
    /// An extension's process ended or could not be started.
    ExtensionEnded {
        /// Which.
        id: ExtensionId,
        /// What the caller is told if it was not its time.
        fault: ExtensionFault,
    },
    /// The runtime began a response that is passed on as it comes.
    ResponseBegun,
    /// The runtime answered the invocation, with a result or an error; its response is complete.
    Answered {
        /// The length of the response.
        bytes: u64,
    },
    /// The runtime's process ended.
    Exited {
        /// How.
        exit: Exit,
        /// Whether the kernel ended it because the memory limit was reached.
        out_of_memory: bool,
    },
    /// All output up to now is collected.
    Drained,
    /// No process is left.
    Empty,
    /// Nobody has asked for anything: time to freeze.
    Quiet,
    /// An invocation for this environment, with its time limit.
    Lease {
        /// Milliseconds it may take.
        timeout_ms: u64,
    },
    /// The environment shall end when nothing runs.
    Stop {
        /// Why.
        cause: Cause,
    },
    /// The environment shall end now, whatever runs.
    Kill {
        /// Why.
        cause: Cause,
    },
    /// The moment of `Environment::deadline` has come.
    Deadline,
    /// The sandbox is gone.
    Gone,
}

/// How an extension failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionFault {
    /// Its process could not be started.
    Launch {
        /// Why, in AWS's words.
        reason: String,
    },
    /// Its process ended.
    Crash {
        /// How.
        exit: Exit,
    },
    /// Its process ended after it had reported that it cannot initialise.
    InitError {
        /// How.
        exit: Exit,
    },
    /// Its process ended after it had reported that it must.
    ExitError {
        /// How.
        exit: Exit,
    },
}

/// Why the processes of an environment are ended, as extensions are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownReason {
    /// It is not needed any more.
    Spindown,
    /// An invocation took too long.
    Timeout,
    /// Something ended that should not have.
    Failure,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

/// What the owner is to start, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell of the Init's beginning and start the processes of external extensions.
    BeginInit(InitPhase),
    /// Start the runtime's process: every external extension has registered.
    StartRuntime,
    /// Put the processes of the snapshot back; that they are there is [`Event::RestorePoint`].
    RestoreProcesses,
    /// Tell the runtime that it has been restored.
    ReleaseRestore,
    /// Write the processes to a snapshot and end them; its end is [`Event::Checkpointed`].
    Checkpoint,
    /// Tell who wants a snapshot how the Init went that it is taken of.
    TellDonated(Option<Failure>),
    /// No extension may register any more.
    CloseRegistration,
    /// No extension may subscribe to telemetry any more.
    CloseSubscriptions,
    /// Init may use the whole machine; from now on the function has its own share of the CPU.
    EndBurst,
    /// Tell the extensions that registered for it of the invocation.
    NotifyInvoke,
    /// Tell the extensions that registered for it of the end, and kill the others.
    NotifyShutdown {
        /// Why.
        reason: ShutdownReason,
        /// When they are killed.
        deadline: Micros,
    },
    /// Ask the runtime's process to end.
    TerminateRuntime,
    /// End the runtime's process.
    KillRuntime,
    /// Let the processes run again.
    Thaw,
    /// Stop the processes from running.
    Freeze,
    /// Tell of the invocation's beginning.
    LogStart,
    /// Hand the invocation to the parked `next`.
    Deliver,
    /// Hand the caller the beginning of a response that is still being written.
    BeginAnswer,
    /// Hand the runtime's answer to the caller, or what was left of it.
    PassAnswer,
    /// Tell assignment that a lease will be welcome soon.
    TellAnswered,
    /// Answer the caller with an error of the platform's making; an answer that has begun ends with it.
    Fail(Failure),
    /// Give the invocation back unstarted: somebody else must run it.
    HandBack,
    /// Collect the output; its end is [`Event::Drained`].
    DrainOutput,
    /// Tell that the runtime is done with Init.
    LogInitRuntimeDone(InitRuntimeDone),
    /// Tell how far each extension has come in Init.
    LogExtensions,
    /// Tell how Init went.
    LogInitReport(InitReport),
    /// Tell that a restore begins.
    LogRestoreStart,
    /// Tell that the runtime is done with its restore, or what went wrong.
    LogRestoreRuntimeDone(Option<Failure>),
    /// Tell how the restore went.
    LogRestoreReport(RestoreReport),
    /// Tell that the runtime is done with the invocation.
    LogRuntimeDone(RuntimeDone),
    /// Tell how the invocation went.
    LogReport(Report),
    /// End every process; its end is [`Event::Empty`].
    KillAll,
    /// Tell assignment that a lease is welcome.
    TellReady,
    /// Destroy the sandbox; its end is [`Event::Gone`].
    Destroy,
    /// Tell assignment that this environment has ended.
    TellDead(Cause),
}

/// Why an environment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nobody needed it for a while.
    Idle,
    /// It has served for long enough.
    Recycled,
    /// The function was changed or deleted.
    Update,
    /// The server stops.
    Shutdown,
    /// Room was needed for another.
    Evicted,
    /// The sandbox could not be made.
    ProvisionFailed,
    /// It was to be ready ahead of its first invocation, and could not initialise or be restored.
    InitFailed,
    /// It is never without processes, and they ended.
    Crashed,
    /// It was made for a snapshot, and has initialised.
    Donated,
    /// The processes of its snapshot could not be put back.
    SnapshotUnusable,
    /// Its function has less provisioned concurrency than before.
    Released,
    /// Its processes could not be ended in time.
    UnclearEnd,
    /// The sandbox ended by itself.
    SandboxLost,
}

/// Why an invocation ended without an answer from the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The function's timeout.
    Timeout,
    /// The runtime's process ended.
    Exited {
        /// How.
        exit: Exit,
        /// Whether memory was the reason.
        out_of_memory: bool,
    },
    /// The runtime reported that it cannot initialise.
    InitError {
        /// Its error type.
        error_type: String,
    },
    /// The runtime reported that it cannot go on after its restore.
    RestoreError {
        /// Its error type.
        error_type: String,
    },
    /// A restored runtime did not ask for work in time.
    RestoreTimeout,
    /// There is nothing to run.
    InvalidEntrypoint,
    /// An extension failed.
    Extension(ExtensionFault),
    /// The platform failed.
    Sandbox,
    /// The server stops and could not wait longer.
    Shutdown,
}

/// What an environment is made for, as its function and its log are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InitializationType {
    /// A caller waits for it.
    OnDemand,
    /// It is to be ready before anybody calls, and never without processes.
    ProvisionedConcurrency,
    /// Its version is initialised once, when it is published, and each environment goes on from there.
    SnapStart,
}

/// What an environment is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Run invocations.
    Serve,
    /// Initialise, be written to a snapshot and end.
    Donate,
}

impl InitializationType {
    /// AWS's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::ProvisionedConcurrency => "provisioned-concurrency",
            Self::SnapStart => "snap-start",
        }
    }

    /// How long the first Init may take, for a function with this timeout.
    #[must_use]
    pub fn init_limit_ms(self, timeout_ms: u64) -> u64 {
        match self {
            Self::OnDemand => limits::INIT_MS,
            Self::ProvisionedConcurrency | Self::SnapStart => {
                limits::PROVISIONED_INIT_MS.max(timeout_ms)
            }
        }
    }
}

/// Of what an Init is part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitPhase {
    /// Of nothing: the first one.
    Init,
    /// Of an invocation, since the one before failed ("suppressed init").
    Invoke,
    /// Of what a snapshot is taken of.
    SnapStart,
}

impl InitPhase {
    /// AWS's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Invoke => "invoke",
            Self::SnapStart => "snap-start",
        }
    }
}

/// The end of the runtime's part of an Init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitRuntimeDone {
    /// Of which environment.
    pub initialization: InitializationType,
    /// Of which Init.
    pub phase: InitPhase,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// How an Init went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    /// Of which environment.
    pub initialization: InitializationType,
    /// Which Init.
    pub phase: InitPhase,
    /// How long it took.
    pub duration: Micros,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// How a restore went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// How long it took.
    pub duration: Micros,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// How long a restore took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// All of it.
    pub duration: Micros,
    /// Of that, from the moment at which the runtime went on: the function's hooks.
    pub hooks: Micros,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub began: Micros,
    /// When it ended.
    pub ended: Micros,
}

/// The runtime's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// From its first byte to its last.
    pub sent: Span,
    /// Its length.
    pub bytes: u64,
}

/// The end of the runtime's part of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeDone {
    /// From the invocation's beginning to the runtime's call for more work, or its failure.
    pub ran: Span,
    /// What it answered, if it did.
    pub response: Option<Response>,
    /// What went wrong, if the platform had to end it.
    pub failure: Option<Failure>,
}

/// How an invocation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In which environment it ran.
    pub initialization: InitializationType,
    /// How long it took, a suppressed init included.
    pub duration: Micros,
    /// How long the first Init took, on the first invocation after it.
    pub init_duration: Option<Micros>,
    /// How long the restore took, on the first invocation after it.
    pub restored: Option<Restored>,
    /// How long extensions went on after the runtime was done; `None` without extensions.
    pub extension_overhead: Option<Span>,
    /// What went wrong, if the platform had to end it.
    pub failure: Option<Failure>,
}
