//! Levels of log lines: which of the platform's own have which, and the order among them.
//!
//! Source of the platform's: the table of the developer guide ("system log level event mapping");
//! those of `platform.extension` and below are not in it and are ours.

use std::str::FromStr;

use super::Record;
use crate::environment::{Failure, InitializationType};

/// How important a line is; the least important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// What is usual.
    Info,
    /// What is not.
    Warn,
    /// What went wrong.
    Error,
    /// What ended something.
    Fatal,
}

/// A word that is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a log level")]
pub struct NoLevel;

impl FromStr for Level {
    type Err = NoLevel;

    fn from_str(word: &str) -> Result<Self, NoLevel> {
        const ALL: [(&str, Level); 7] = [
            ("TRACE", Level::Trace),
            ("DEBUG", Level::Debug),
            ("INFO", Level::Info),
            ("WARN", Level::Warn),
            // Python's word.
            ("WARNING", Level::Warn),
            ("ERROR", Level::Error),
            ("FATAL", Level::Fatal),
        ];
        let known = ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        known.map(|(_, level)| *level).ok_or(NoLevel)
    }
}

impl Record {
    /// The level of an event of the platform; lines of processes have their own.
    #[must_use]
    pub fn level(&self) -> Level {
        let unless_failed = |level, failure: &Option<Failure>| match failure {
            Some(_) => Level::Warn,
            None => level,
        };
        match self {
            Self::InitRuntimeDone(done) => unless_failed(Level::Debug, &done.failure),
            Self::InitReport(report) => {
                let level = match report.initialization {
                    InitializationType::OnDemand => Level::Debug,
                    InitializationType::ProvisionedConcurrency | InitializationType::SnapStart => {
                        Level::Info
                    }
                };
                unless_failed(level, &report.failure)
            }
            Self::RestoreRuntimeDone(failure) => unless_failed(Level::Debug, failure),
            Self::RestoreReport(report) => unless_failed(Level::Info, &report.failure),
            Self::RuntimeDone { done, .. } => unless_failed(Level::Debug, &done.failure),
            Self::Report { report, .. } => unless_failed(Level::Info, &report.failure),
            Self::InitStart(_)
            | Self::RestoreStart(_)
            | Self::Start { .. }
            | Self::End { .. }
            | Self::Extension(_)
            | Self::Subscribed(_)
            | Self::Function(_)
            | Self::ExtensionLine(_) => Level::Info,
            Self::LogsDropped { .. } => Level::Warn,
            Self::Fault(_) => Level::Error,
        }
    }
}

/// Whether a function's line is kept: a JSON object says its level itself; what does not counts as
/// `INFO`.
#[must_use]
pub fn keeps(lowest: Level, line: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Leveled {
        level: Option<String>,
    }
    if lowest <= Level::Trace {
        return true;
    }
    let level = serde_json::from_str::<Leveled>(line)
        .ok()
        .and_then(|line| line.level?.parse().ok())
        .unwrap_or(Level::Info);
    level >= lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_its_own_level() {
        for (lowest, line, kept) in [
            ("INFO", r#"{"level":"DEBUG","message":"x"}"#, false),
            ("INFO", r#"{"level":"warning"}"#, true),
            ("ERROR", r#"{"level":"WARN"}"#, false),
            ("ERROR", r#"{"level":"FATAL"}"#, true),
            ("WARN", r#"{"level":"loud"}"#, false),
            ("WARN", r#"{"level":7}"#, false),
            ("WARN", "no JSON\n", false),
            ("INFO", "no JSON\n", true),
            ("TRACE", r#"{"level":"TRACE"}"#, true),
        ] {
            assert_eq!(keeps(lowest.parse().unwrap(), line), kept, "{lowest} {line}");
        }
    }
}
