//! `cargo xtask bench`: the release build of `dormouse-bench` against the release binary.

use std::path::Path;
use std::process::Command;

use crate::{build, criu, install, rivals, shell};

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
    // Restores are measured where boto3 can be had.
    match install::python().and_then(|python| packages(&python)) {
        Ok(directory) => drop(command.arg("--boto3").arg(directory)),
        Err(error) => shell::warn(&format!("restores are not measured: {error:#}")),
    }
    command.env("PATH", criu::path());
    shell::run(command.args(rest.iter().filter(|arg| *arg != RIVALS)))
}

/// Where an interpreter keeps what was installed for it.
fn packages(python: &Path) -> anyhow::Result<String> {
    let ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
    Ok(shell::output(Command::new(python).args(["-c", ask]))?.trim().to_owned())
}
