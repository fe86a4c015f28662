//! `cargo xtask test`: installs what the tests need, then runs all of them.
//!
//! Every runner runs even when one before it failed, and the last lines repeat the runners' own
//! summaries.

use std::process::Command;

use anyhow::bail;

use crate::shell::{self, Watched};
use crate::{build, clients, criu, install};

/// Names the binary under test to the conformance suite.
const BINARY_VARIABLE: &str = "DORMOUSE_BIN";
/// Names the Rust function of the examples to it.
const EXAMPLE_VARIABLE: &str = "DORMOUSE_RUST_EXAMPLE";
/// Names the directory of the programs that misbehave inside environments.
const PROGRAMS_VARIABLE: &str = "DORMOUSE_TEST_PROGRAMS";
/// Names the directory of the functions made with AWS's crates to it.
const CLIENTS_VARIABLE: &str = "DORMOUSE_TEST_CLIENTS";

type Runner = (&'static str, fn() -> anyhow::Result<Watched>);

const RUNNERS: [Runner; 3] =
    [("tests", tests), ("documentation", documentation), ("conformance", conformance)];

pub(crate) fn main() -> anyhow::Result<()> {
    install::main();
    let mut failed = Vec::new();
    let mut summaries = Vec::new();
    for (name, runner) in RUNNERS {
        let watched = runner().unwrap_or_else(|error| Watched {
            succeeded: false,
            kept: vec![format!("could not run: {error:#}")],
        });
        if !watched.succeeded {
            failed.push(name);
        }
        summaries.extend(watched.kept.into_iter().map(|line| (name, line)));
    }
    shell::heading("summary");
    for (name, line) in summaries {
        println!("{name:>14}: {}", line.trim());
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn tests() -> anyhow::Result<Watched> {
    if shell::succeeds(&mut shell::cargo(&["nextest", "--version"])) {
        let mut nextest = shell::cargo(&["nextest", "run", "--workspace", "--locked"]);
        nextest.env("PATH", criu::path());
        return shell::watch(nextest.arg("--no-fail-fast"), is_summary);
    }
    shell::warn("cargo-nextest is missing, cargo test runs instead (slower, same tests)");
    // Not all targets: the bench of instructions needs Valgrind and its own runner.
    let mut test = shell::cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--locked"]);
    shell::watch(test.arg("--no-fail-fast").env("PATH", criu::path()), is_summary)
}

fn documentation() -> anyhow::Result<Watched> {
    let mut test = shell::cargo(&["test", "--workspace", "--doc", "--locked"]);
    shell::watch(test.arg("--no-fail-fast"), is_summary)
}

/// The real AWS CLI and SDK against the release binary.
fn conformance() -> anyhow::Result<Watched> {
    let python = install::python()?;
    install::sam();
    let binary = build::release("dormouse")?;
    let mut pytest = Command::new(python);
    pytest.current_dir(shell::root().join("conformance"));
    pytest.args(["-m", "pytest", "--color=no", "-n", "2"]).env(BINARY_VARIABLE, binary);
    pytest.env(EXAMPLE_VARIABLE, build::rust_example()?);
    pytest.env(PROGRAMS_VARIABLE, build::test_programs()?);
    pytest.env(CLIENTS_VARIABLE, clients::rust()?).env("PATH", criu::path());
    shell::watch(&mut pytest, is_summary)
}

/// The line by which a runner ends: nextest's, cargo test's or pytest's. Runs of no test say nothing.
fn is_summary(line: &str) -> bool {
    let line = line.trim();
    let nextest = line.starts_with("Summary [") || line.starts_with("FAIL [");
    let cargo = line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed");
    let pytest = line.starts_with("=====") && line.contains(" in ");
    nextest || cargo || pytest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_all_runners_are_known() {
        for line in [
            "     Summary [   2.1s] 312 tests run: 312 passed, 0 skipped",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished",
            "======= 120 passed, 2 skipped in 33.20s =======",
        ] {
            assert!(is_summary(line), "{line}");
        }
        for line in [
            "        PASS [   0.1s] dormouse-model names::tests::a",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "====== test session starts ======",
        ] {
            assert!(!is_summary(line), "{line}");
        }
    }
}
