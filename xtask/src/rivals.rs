//! The rivals that `cargo xtask bench --rivals` measures Dormouse beside, installed below `target/`.
//!
//! Which, in which versions: `bench/rivals/`. How each is started and measured is in `bench/src/rivals`.
//! One that cannot be installed is named here, and again in the bench's table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::{build, install, shell};

/// Puts something into the directory.
type Step = fn(&Path) -> anyhow::Result<()>;

/// Installs what is missing; returns the directory that has it.
pub(crate) fn install() -> anyhow::Result<PathBuf> {
    let directory = shell::root().join("target/rivals");
    fs::create_dir_all(&directory)?;
    let steps: [(&str, Step); 3] = [
        ("rivals from PyPI", from_pypi),
        ("rivals from npm", from_npm),
        ("their function", function),
    ];
    for (what, step) in steps {
        if let Err(error) = step(&directory) {
            shell::warn(&format!("{what}: not installed, so not measured: {error:#}"));
        }
    }
    Ok(directory)
}

fn from_pypi(_: &Path) -> anyhow::Result<()> {
    install::environment("target/rivals/venv", "bench/rivals/requirements.txt").map(|_| ())
}

fn from_npm(directory: &Path) -> anyhow::Result<()> {
    let list = shell::root().join("bench/rivals/package.json");
    let npm = directory.join("npm");
    if install::is_stamped(&npm, &list)? {
        return Ok(());
    }
    fs::create_dir_all(&npm)?;
    fs::copy(&list, npm.join("package.json")).context("package.json")?;
    let mut command = Command::new("npm");
    command.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
    shell::run(command.arg(&npm))?;
    install::stamp(&npm, &list)
}

/// The example on the crate `lambda_runtime`, for Dormouse and, as `cargo lambda watch` runs it, for the
/// rival: so that no measured start has to compile.
fn function(directory: &Path) -> anyhow::Result<()> {
    build::rust_example()?;
    let mut cargo = shell::cargo(&["build", "--release", "--locked", "--target-dir"]);
    cargo.arg(directory.join("rust"));
    shell::run(cargo.current_dir(shell::root().join("examples/rust-hello")))
}
