//! `dormouse doctor`: what this machine can and cannot give, each line with its remedy.

use std::process::ExitCode;

use dormouse_sandbox::namespace::doctor::{State, examine};

/// Prints the findings; fails when a guarantee is missing.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub(crate) fn main() -> ExitCode {
    let findings = examine();
    let mut missing = false;
    for finding in &findings {
        let mark = match finding.state {
            State::Fine => "fine   ",
            State::Weaker => "weaker ",
            State::Missing => "MISSING",
        };
        println!("{mark}  {:<24} {}", finding.what, finding.detail);
        if let Some(remedy) = &finding.remedy {
            println!("{:<35}remedy: {remedy}", "");
        }
        missing |= finding.state == State::Missing && finding.guarantee.is_some();
    }
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
