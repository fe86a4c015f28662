//! The server's standby pool: sandboxes that are ready before anybody asks, or none.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::http::Client;

/// The option of `dormouse serve`.
const OPTION: &str = "--standby";
/// How many are kept of each kind where the pool is full: more than a burst of 50 takes.
const FULL: usize = 64;

/// Gauges of `/metrics`: what stands by, and what is to.
const READY: &str = "dormouse_standby_ready";
const WANTED: &str = "dormouse_standby_wanted";

/// What the server keeps ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Nothing: every cold start makes what it needs.
    Empty,
    /// [`FULL`] of each kind.
    Full,
}

impl Pool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Full => "full",
        }
    }

    /// Whether all that is to stand by does, as the server tells it in `/metrics`.
    pub(super) fn is_full(self, client: &mut Client) -> anyhow::Result<Option<()>> {
        if self == Self::Empty {
            return Ok(Some(()));
        }
        let text = client.text("/metrics")?;
        let here = gauge(&text, READY).with_context(|| format!("{READY} in /metrics"))?;
        let wanted = gauge(&text, WANTED).with_context(|| format!("{WANTED} in /metrics"))?;
        Ok((here >= wanted).then_some(()))
    }

    /// What the record's names of groups end with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Full => "Standby",
        }
    }

    /// The option's value; none for a server that knows no pool and so has an empty one.
    pub(super) fn standby(self, binary: &Path) -> anyhow::Result<Option<String>> {
        let kept = match self {
            Self::Empty => 0,
            Self::Full => FULL,
        };
        Ok(is_known(binary)?.then(|| kept.to_string()))
    }
}

/// The value of a gauge in the text of `/metrics`, over all its labels; none when it is not there.
fn gauge(text: &str, name: &str) -> Option<f64> {
    let lines = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// Whether this binary has such a pool.
pub(crate) fn is_known(binary: &Path) -> anyhow::Result<bool> {
    let help = Command::new(binary).args(["serve", "--help"]).output();
    let help = help.with_context(|| binary.display().to_string())?;
    Ok(String::from_utf8_lossy(&help.stdout).contains(OPTION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_the_sum_over_its_labels() {
        let text = "# TYPE a gauge\na{kind=\"x y\"} 3\na{kind=\"z\"} 4\na_b 9\nb 2\n# EOF\n";
        assert_eq!(gauge(text, "a"), Some(7.0));
        assert_eq!(gauge(text, "b"), Some(2.0));
        assert_eq!(gauge(text, "c"), None);
    }
}
