//! What the platform has to say of an environment: one stream of events. The lines of the log, in
//! both formats, and what subscribers of telemetry get are made from these and from nothing else, so
//! that they cannot disagree.
//!
//! | event | text line | JSON line | Telemetry API | Logs API |
//! |---|---|---|---|---|
//! | `platform.initStart` | `INIT_START` | yes | yes | |
//! | `platform.initRuntimeDone` | | yes | yes | |
//! | `platform.initReport` | `INIT_REPORT`, of one that failed or is not on demand | yes | yes | |
//! | `platform.restoreStart` | `RESTORE_START` | yes | yes | |
//! | `platform.restoreRuntimeDone` | | yes | yes | |
//! | `platform.restoreReport` | `RESTORE_REPORT` | yes | yes | |
//! | `platform.extension` | `EXTENSION` | yes | yes | yes |
//! | `platform.telemetrySubscription`, `.logsSubscription` | `TELEMETRY`, `LOGS` | yes | yes | yes |
//! | `platform.start` | `START` | yes | yes | yes |
//! | `platform.runtimeDone` | | yes | yes | from `2021-03-18` |
//! | `platform.fault` | its text | yes | | yes |
//! | `platform.end` | `END` | | | yes |
//! | `platform.report` | `REPORT` | yes | yes | yes |
//! | `platform.logsDropped` | | | yes | yes |
//! | `function`, `extension` | the line | the line | yes | yes |

mod frames;
mod json;
mod level;
mod schema;
mod text;

pub use frames::{Frame, Frames};
pub use json::{is_sampled, to_json};
pub use level::{Level, NoLevel, keeps};
pub use schema::{SchemaVersion, SubscriptionApi, Types};
pub use text::{fault, to_text};

use crate::environment::{
    self, Failure, InitPhase, InitReport, InitRuntimeDone, InitializationType, Micros,
    RestoreReport,
};
use crate::names::{RequestId, Version};

/// Something that happened in an environment, with both times of that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// The same moment on the clock that spans are measured with.
    pub now: Micros,
    /// What.
    pub record: Record,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Processes are about to be started.
    InitStart(InitStart),
    /// The runtime is done with Init.
    InitRuntimeDone(InitRuntimeDone),
    /// How far an extension came in Init.
    Extension(Extension),
    /// Init is over.
    InitReport(InitReport),
    /// A restore begins.
    RestoreStart(RestoreStart),
    /// The runtime is done with its restore, or what went wrong.
    RestoreRuntimeDone(Option<Failure>),
    /// A restore is over.
    RestoreReport(RestoreReport),
    /// An extension subscribed to telemetry.
    Subscribed(Subscribed),
    /// An invocation begins.
    Start {
        /// Its id.
        request: RequestId,
        /// The version that runs.
        version: Version,
        /// What its caller said of it.
        caller: Caller,
    },
    /// The runtime is done with an invocation.
    RuntimeDone {
        /// Whose.
        request: RequestId,
        /// How it went.
        done: environment::RuntimeDone,
        /// What its caller said of it.
        caller: Caller,
    },
    /// The platform ended an invocation; in words.
    Fault(String),
    /// An invocation is over.
    End {
        /// Its id.
        request: RequestId,
    },
    /// How an invocation went.
    Report {
        /// Its id.
        request: RequestId,
        /// How it went.
        report: environment::Report,
        /// What it was given and what it took.
        memory: Memory,
        /// What its caller said of it.
        caller: Caller,
    },
    /// A subscriber did not take events fast enough.
    LogsDropped {
        /// How many it will not get.
        records: u64,
        /// Their size.
        bytes: u64,
    },
    /// A line of the runtime's process.
    Function(String),
    /// A line of an external extension.
    ExtensionLine(String),
}

/// What a caller said of an invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The X-Ray header.
    pub trace: Option<String>,
    /// The tenant, where the function keeps tenants apart.
    pub tenant: Option<String>,
}

/// What is told of an environment when its processes are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitStart {
    /// Of which environment.
    pub initialization: InitializationType,
    /// Of which Init.
    pub phase: InitPhase,
    /// Such as `nodejs:22.v7`.
    pub runtime_version: String,
    /// The ARN of that.
    pub runtime_version_arn: String,
    /// The function's name.
    pub function_name: String,
    /// Which of its versions.
    pub function_version: Version,
    /// The version's ARN.
    pub function_arn: String,
    /// The log stream.
    pub instance_id: String,
    /// The configured memory in megabytes.
    pub memory_mb: u32,
}

/// What is told of an environment when it is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreStart {
    /// Such as `python:3.12.v7`.
    pub runtime_version: String,
    /// The ARN of that.
    pub runtime_version_arn: String,
    /// The function's name.
    pub function_name: String,
    /// Which of its versions.
    pub function_version: Version,
    /// The log stream.
    pub instance_id: String,
    /// The configured memory in megabytes.
    pub memory_mb: u32,
}

/// An extension at the end of Init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// AWS's word for how far it came, such as `Ready`.
    pub state: &'static str,
    /// What it registered for.
    pub events: Vec<&'static str>,
    /// What went wrong.
    pub error_type: Option<String>,
}

/// A subscription that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// By which API.
    pub api: SubscriptionApi,
    /// The extension's name.
    pub name: String,
    /// Whether it takes the place of an earlier one.
    pub again: bool,
    /// What it wants.
    pub types: Types,
}

impl Subscribed {
    /// AWS's word for how it went.
    #[must_use]
    pub fn state(&self) -> &'static str {
        // Recorded: AWS says the second for an extension that has subscribed before.
        if self.again { "Already subscribed" } else { "Subscribed" }
    }
}

/// Memory in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The configured size in megabytes.
    pub size_mb: u32,
    /// The most that was in use, in bytes.
    pub peak_bytes: u64,
}

impl Memory {
    /// The most that was in use, in megabytes, rounded up.
    #[must_use]
    pub fn peak_mb(self) -> u64 {
        self.peak_bytes.div_ceil(1_048_576)
    }
}

impl Record {
    /// How long a line of a process is; what the platform says is short.
    #[must_use]
    pub fn line_bytes(&self) -> usize {
        match self {
            Self::Function(line) | Self::ExtensionLine(line) => line.len(),
            _ => 0,
        }
    }
}

/// Milliseconds billed: Duration and, since August 2025, Init, rounded up together. The Init of an
/// environment that is provisioned is part of what that costs by itself; that of a snapshot is no
/// invocation's, but the hooks after a restore are (recorded).
#[must_use]
pub fn billed_ms(report: &environment::Report) -> u64 {
    let init = match report.initialization {
        InitializationType::OnDemand => report.init_duration.unwrap_or(0),
        InitializationType::ProvisionedConcurrency | InitializationType::SnapStart => 0,
    };
    let restore_ms = report.restored.map_or(0, billed_restore_ms);
    (report.duration + init).div_ceil(1_000).max(1) + restore_ms
}

/// Milliseconds billed of a restore: the function's hooks, rounded up.
#[must_use]
pub fn billed_restore_ms(restored: environment::Restored) -> u64 {
    restored.hooks.div_ceil(1_000)
}

/// `YYYY-MM-DDThh:mm:ss.SSSZ`.
#[must_use]
pub fn timestamp(wall_ms: u64) -> String {
    let moment = i64::try_from(wall_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
