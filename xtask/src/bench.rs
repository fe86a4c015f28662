//! `cargo xtask bench`: the release build of `dormouse-bench` against the release binary.

use std::process::Command;

use crate::{build, rivals, shell};

/// Other servers, installed and measured in the same run.
const RIVALS: &str = "--rivals";

/// Hands its arguments on, after the path of the binary to measure and that of the rivals.
pub(crate) fn main(rest: &[String]) -> anyhow::Result<()> {
    let binary = build::release("dormouse")?;
    let bench = build::release("dormouse-bench")?;
    let mut command = Command::new(bench);
    command.current_dir(shell::root()).arg("--binary").arg(binary);
    if rest.iter().any(|arg| arg == RIVALS) {
        command.arg(RIVALS).arg(rivals::install()?);
    }
    shell::run(command.args(rest.iter().filter(|arg| *arg != RIVALS)))
}
