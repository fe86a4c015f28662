//! `dormouse doctor`: what this machine can and cannot give, each line with its remedy.

use std::fmt::Write;

use dormouse_sandbox::namespace::Criu;
use dormouse_sandbox::namespace::doctor::{Finding, State, examine};

/// The findings as text, and whether nothing is missing.
pub(crate) fn report() -> (String, bool) {
    let mut findings = examine();
    findings.push(snapshots());
    let well = !findings.iter().any(|finding| finding.state == State::Missing);
    (findings.iter().map(line).collect(), well)
}

/// Nobody has to have these: without them each environment is initialised.
fn snapshots() -> Finding {
    let (state, detail, remedy) = match Criu::Search.look() {
        Ok(criu) => (State::Fine, criu, None),
        Err(reason) => {
            let detail = "each environment of SnapStart is initialised".to_owned();
            (State::Weaker, detail, Some(reason))
        }
    };
    Finding { what: "snapshots", state, detail, guarantee: None, remedy }
}

fn line(finding: &Finding) -> String {
    let mark = match finding.state {
        State::Fine => "fine   ",
        State::Weaker => "weaker ",
        State::Missing => "MISSING",
    };
    let mut text = format!("{mark}  {:<24} {}\n", finding.what, finding.detail);
    if let Some(remedy) = &finding.remedy {
        // Writing to a string cannot go wrong.
        let _ = writeln!(text, "{:<35}remedy: {remedy}", "");
    }
    text
}
