//! Where an environment can be in its life: each phase owns what exists only in it.

use super::{Cause, Failure, InitReport, Micros, Report};

/// Where an environment is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The sandbox is being made.
    Provisioning {
        /// When it is given up.
        deadline: Micros,
    },
    /// The runtime has been started and has not asked for work yet.
    Init(Init),
    /// Waiting for a lease, with a runtime parked in `next`.
    Ready {
        /// Whether its processes are stopped.
        frozen: bool,
    },
    /// Waiting for a lease, without processes: the next one begins with a suppressed init.
    Cold,
    /// An invocation runs.
    Busy(Busy),
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
    /// When the runtime was started.
    pub started: Micros,
    /// When it is given up.
    pub deadline: Micros,
    /// What the runtime said went wrong; its end is awaited.
    pub failure: Option<Failure>,
    /// The invocation this Init is part of; `None` for the first Init.
    pub lease: Option<Lease>,
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
    /// The runtime has the event and has not answered.
    Running,
    /// The caller has its answer, the runtime has not asked for more work.
    Answered,
    /// The runtime has asked for more work; what it wrote meanwhile is being collected.
    Settling {
        /// When it asked.
        ended: Micros,
        /// When the rest of the output is given up.
        deadline: Micros,
    },
}

/// The end of all processes under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// When it is given up and the sandbox destroyed.
    pub deadline: Micros,
    /// What is to be told when all is over.
    pub ending: Ending,
    /// A lease that arrived meanwhile.
    pub next: Option<Lease>,
}

/// What a reset ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A runtime that was waiting for work.
    Idle,
    /// The first Init.
    Init {
        /// How it went.
        report: InitReport,
    },
    /// An invocation.
    Invocation {
        /// How its suppressed init went wrong, if that is what went wrong.
        init: Option<InitReport>,
        /// How it went.
        report: Report,
    },
}
