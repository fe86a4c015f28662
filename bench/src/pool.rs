//! The server's standby pool: sandboxes that are ready before anybody asks, or none.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::http::Client;

/// The option of `dormouse serve`.
const OPTION: &str = "--standby";
/// How many are kept of each kind where the pool is full: more than a burst of 50 takes.
const FULL: usize = 64;

/// The gauge of `/metrics`, by kind and state.
const GAUGE: &str = "dormouse_standby_sandboxes{";

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

    /// Whether all that is to stand by does, of at least so many kinds, as the server tells it in
    /// `/metrics`. A kind is known to it a moment after the first function of that kind.
    pub(super) fn is_full(self, kinds: usize, client: &mut Client) -> anyhow::Result<Option<()>> {
        if self == Self::Empty {
            return Ok(Some(()));
        }
        let (known, standing, target) = level(&client.text("/metrics")?);
        Ok((known >= kinds && standing >= target && target > 0.0).then_some(()))
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

/// How many kinds of sandboxes the text of `/metrics` tells of, how many of all stand by, and how many
/// are to.
fn level(text: &str) -> (usize, f64, f64) {
    let of = |state: &str| {
        let state = format!("state=\"{state}\"");
        let lines = text.lines().filter(|line| line.starts_with(GAUGE) && line.contains(&state));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.collect::<Vec<_>>()
    };
    let (standing, target) = (of("standing"), of("target"));
    (target.len(), standing.iter().sum(), target.iter().sum())
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
    fn the_level_is_that_of_all_kinds() {
        let gauge = "dormouse_standby_sandboxes";
        let text = format!(
            "# TYPE {gauge} gauge\n\
             {gauge}{{kind=\"python 3.11\",state=\"standing\"}} 3\n\
             {gauge}{{kind=\"python 3.11\",state=\"target\"}} 4\n\
             {gauge}{{kind=\"program\",state=\"standing\"}} 4\n\
             {gauge}{{kind=\"program\",state=\"target\"}} 4\n\
             dormouse_standby_requests_total{{kind=\"program\",outcome=\"hit\"}} 9\n# EOF\n"
        );
        assert_eq!(level(&text), (2, 7.0, 8.0));
        assert_eq!(level(""), (0, 0.0, 0.0));
    }
}
