//! `cargo xtask bench`: the release build of `dormouse-bench` against the release binary.

use std::process::Command;

use crate::{build, shell};

/// Hands its arguments on, after the path of the binary to measure.
pub(crate) fn main(rest: &[String]) -> anyhow::Result<()> {
    let binary = build::release("dormouse")?;
    let bench = build::release("dormouse-bench")?;
    shell::run(
        Command::new(bench).current_dir(shell::root()).arg("--binary").arg(binary).args(rest),
    )
}
