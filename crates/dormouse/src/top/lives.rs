//! What the server tells of environments, as far as it is shown here.
//!
//! Read with tolerance: a field that is missing is empty, a word that is not known is shown as it is.
//! So a view of one version can look at a server of another.

use serde::Deserialize;

/// An environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Environment {
    pub(super) id: String,
    pub(super) function_name: String,
    pub(super) function_arn: String,
    pub(super) version: String,
    pub(super) runtime: String,
    pub(super) memory_size_mb: u64,
    pub(super) log_group: String,
    pub(super) log_stream: String,
    pub(super) cold_reason: String,
    pub(super) phase: String,
    pub(super) phase_since_micros: u64,
    pub(super) age_micros: u64,
    pub(super) invocations: u64,
    pub(super) errors: u64,
    pub(super) memory_peak_bytes: Option<u64>,
    pub(super) last_invocation: Option<LastInvocation>,
    pub(super) ended: Option<Ended>,
    pub(super) events_dropped: u64,
    pub(super) events: Vec<Moment>,
}

/// The invocation that was reported last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LastInvocation {
    pub(super) duration_micros: Option<u64>,
    pub(super) error: Option<String>,
}

/// The end of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Ended {
    pub(super) ago_micros: u64,
    pub(super) cause: String,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Moment {
    pub(super) at_micros: u64,
    pub(super) what: String,
    pub(super) request_id: Option<String>,
    pub(super) error: Option<String>,
    pub(super) duration_micros: Option<u64>,
    pub(super) memory_peak_bytes: Option<u64>,
}

/// What an environment is busy with, as coarse as it is counted, sorted and coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Running,
    Init,
    Ending,
    Ready,
    Frozen,
    Cold,
    Ended,
}

impl Group {
    /// Those that live, in the order in which they are counted.
    pub(super) const LIVING: [Self; 6] =
        [Self::Running, Self::Init, Self::Ready, Self::Frozen, Self::Cold, Self::Ending];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Init => "init",
            Self::Ending => "ending",
            Self::Ready => "ready",
            Self::Frozen => "frozen",
            Self::Cold => "cold",
            Self::Ended => "ended",
        }
    }
}

impl Environment {
    pub(super) fn group(&self) -> Group {
        match self.phase.as_str() {
            _ if self.ended.is_some() => Group::Ended,
            "running" => Group::Running,
            "provisioning" | "init" => Group::Init,
            "ready" => Group::Ready,
            "frozen" => Group::Frozen,
            "cold" => Group::Cold,
            _ => Group::Ending,
        }
    }

    /// The phase in a column's width.
    pub(super) fn phase_word(&self) -> &str {
        match self.phase.as_str() {
            "provisioning" => "making",
            "shutting-down" => "shutdown",
            "resetting" => "reset",
            other => other,
        }
    }

    /// For how long it has had nothing to do, or has been gone.
    pub(super) fn idle_micros(&self) -> Option<u64> {
        match (self.group(), &self.ended) {
            (_, Some(ended)) => Some(ended.ago_micros),
            (Group::Ready | Group::Frozen | Group::Cold, None) => {
                Some(self.age_micros.saturating_sub(self.phase_since_micros))
            }
            _ => None,
        }
    }

    pub(super) fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    pub(super) fn last_duration_micros(&self) -> Option<u64> {
        self.last_invocation.as_ref().and_then(|last| last.duration_micros)
    }

    /// How much has happened in it, what is not kept included.
    pub(super) fn happened(&self) -> usize {
        self.events.len() + usize::try_from(self.events_dropped).unwrap_or(0)
    }

    pub(super) fn last_failed(&self) -> bool {
        self.last_invocation.as_ref().is_some_and(|last| last.error.is_some())
    }
}
