//! Where an environment can be in its life: each phase owns what exists only in it.

use super::{Cause, Failure, Micros, Report, Response, ShutdownReason, Span};

/// Where an environment is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The sandbox is being made.
    Provisioning {
        /// When it is given up.
        deadline: Micros,
    },
    /// The processes have been started and have not all asked for work yet.
    Init(Init),
    /// On the way from a snapshot, or from where one could be taken, to a runtime that asks for work.
    Restoring(Restoring),
    /// The processes are being written to a snapshot.
    Checkpoint {
        /// When it is given up.
        deadline: Micros,
    },
    /// It cannot serve and has no processes: the next lease is told why, then it ends.
    Spoilt {
        /// Why.
        failure: Failure,
        /// When nobody wants to hear of it any more.
        deadline: Micros,
    },
    /// Waiting for a lease, with a runtime parked in `next`.
    Ready {
        /// Whether its processes are stopped.
        frozen: bool,
    },
    /// Waiting for a lease, without processes: the next one begins with a suppressed init.
    Cold,
    /// An invocation runs.
    Busy(Busy),
    /// The processes are being asked to end, because there are extensions to be told.
    Shutdown(Shutdown),
    /// Every process is being ended.
    Reset(Reset),
    /// The sandbox is being destroyed.
    Draining {
        /// Why.
        cause: Cause,
    },
    /// The end; nothing follows.
    Dead {
        /// Why.
        cause: Cause,
    },
}

/// The Init phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// How far it is.
    pub step: InitStep,
    /// When the first process was started.
    pub started: Micros,
    /// When it is given up.
    pub deadline: Micros,
    /// What the runtime said went wrong; its end is awaited.
    pub failure: Option<Failure>,
    /// The invocation this Init is part of; `None` for the first Init.
    pub lease: Option<Lease>,
}

/// How far an Init is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitStep {
    /// External extensions have been started and have not all registered.
    Extensions,
    /// The runtime has been started and has not asked for work.
    Runtime,
    /// The runtime is done, some extensions have not asked for events.
    Settling(RuntimeAt),
}

/// Where a runtime is that has initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeAt {
    /// It has asked for work.
    Next,
    /// It has asked to be told of its restore.
    RestorePoint,
}

/// The Restore phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoring {
    /// How far it is.
    pub step: RestoreStep,
    /// When it began.
    pub started: Micros,
    /// When this step is given up.
    pub deadline: Micros,
    /// What the runtime said went wrong; its end is awaited.
    pub failure: Option<Failure>,
}

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreStep {
    /// The processes of the snapshot are being put back.
    Processes,
    /// The runtime goes on and has not asked for work.
    Runtime {
        /// Since when.
        since: Micros,
    },
}

/// A right to run one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// When the invocation began.
    pub started: Micros,
    /// When it times out.
    pub deadline: Micros,
}

/// An invocation under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Its lease.
    pub lease: Lease,
    /// How far it is.
    pub stage: Stage,
}

/// How far an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The runtime has the event and has not answered, at least not to the end.
    Running {
        /// When it began a response that is passed on as it comes.
        begun: Option<Micros>,
    },
    /// The caller has its answer, the runtime has not asked for more work.
    Answered(Response),
    /// The runtime has asked for more work, some extensions have not come back.
    Extensions {
        /// When it asked.
        since: Micros,
    },
    /// All have asked for more work; what they wrote meanwhile is being collected.
    Settling {
        /// When the last one asked.
        ended: Micros,
        /// How long extensions went on after the runtime; `None` without extensions.
        extension_overhead: Option<Span>,
        /// When the rest of the output is given up.
        deadline: Micros,
    },
}

/// Processes being asked to end, in an order and within a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// Why, as extensions are told.
    pub reason: ShutdownReason,
    /// How far it is.
    pub step: ShutdownStep,
    /// When this step is given up.
    pub deadline: Micros,
    /// When all of it is given up.
    pub end: Micros,
    /// What comes after it.
    pub then: Then,
}

/// How far a shutdown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownStep {
    /// The runtime has been asked to end.
    Runtime,
    /// The extensions have been told.
    Extensions,
}

/// What comes after a shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The sandbox is used again.
    Reset(Ending),
    /// The sandbox is destroyed.
    Drain(Cause),
}

/// The end of all processes under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// When it is given up and the sandbox destroyed.
    pub deadline: Micros,
    /// What is to be told when all is over.
    pub ending: Ending,
}

/// What a reset ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Processes that were waiting for work.
    Idle {
        /// A lease that arrived meanwhile: assignment counts on an idle environment.
        next: Option<Lease>,
    },
    /// The first Init, or the restore.
    Init {
        /// What went wrong.
        failure: Failure,
    },
    /// An invocation.
    Invocation {
        /// How it went; `None` once it is told.
        report: Option<Report>,
    },
}
