//! What this machine can and cannot give to sandboxes, each finding with its remedy.
//!
//! Looks, and changes nothing. What is found is data; [`refusal`] decides from it.

mod examine;
mod guarantee;

pub use examine::examine;
pub use guarantee::{Guarantee, UnknownGuarantee};

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Fine,
    /// It works, with less than there could be.
    Weaker,
    /// It does not work.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How well it is.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// The promise that hangs on it, if it is one that an operator may give up.
    pub guarantee: Option<Guarantee>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// Why the server does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(findings))]
pub struct Refusal {
    /// What is missing and was not given up.
    pub findings: Vec<Finding>,
}

fn sentence(findings: &[Finding]) -> String {
    let mut text = String::from("this machine cannot give functions what Dormouse promises:");
    for finding in findings {
        text.push_str(&format!("\n  {}: {}", finding.what, finding.detail));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("\n    remedy: {remedy}"));
        }
        if let Some(guarantee) = finding.guarantee {
            text.push_str(&format!("\n    or go without it: --allow-weaker={guarantee}"));
        }
    }
    text
}

/// Whether the server may start: everything that is missing has been given up by name.
///
/// # Errors
/// [`Refusal`] with what was not.
pub fn refusal(findings: &[Finding], given_up: &[Guarantee]) -> Result<(), Refusal> {
    let stands = |finding: &&Finding| {
        finding.state == State::Missing
            && finding.guarantee.is_none_or(|guarantee| !given_up.contains(&guarantee))
    };
    let findings: Vec<Finding> = findings.iter().filter(stands).cloned().collect();
    if findings.is_empty() { Ok(()) } else { Err(Refusal { findings }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(guarantee: Option<Guarantee>) -> Finding {
        Finding {
            what: "memory",
            state: State::Missing,
            detail: "no controller".into(),
            guarantee,
            remedy: Some("mount it".into()),
        }
    }

    #[test]
    fn what_is_missing_is_refused_until_it_is_given_up_by_name() {
        let findings = [missing(Some(Guarantee::MemoryLimit))];
        let refused = refusal(&findings, &[Guarantee::CpuShare]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this machine cannot give functions what Dormouse promises:\n  memory: no controller\n    \
             remedy: mount it\n    or go without it: --allow-weaker=memory-limit"
        );
        assert_eq!(refusal(&findings, &[Guarantee::MemoryLimit]), Ok(()));
    }

    #[test]
    fn what_nothing_works_without_cannot_be_given_up() {
        assert!(refusal(&[missing(None)], &Guarantee::ALL).is_err());
    }

    #[test]
    fn what_is_only_weaker_does_not_stop_anybody() {
        let finding = Finding { state: State::Weaker, ..missing(Some(Guarantee::Freeze)) };
        assert_eq!(refusal(&[finding], &[]), Ok(()));
    }

    #[test]
    fn this_machine_is_examined_without_a_panic() {
        let findings = examine();
        assert!(findings.iter().any(|finding| finding.what == "control groups"));
        for finding in &findings {
            assert!(finding.state == State::Fine || finding.remedy.is_some(), "{finding:?}");
        }
    }
}
