//! `cargo xtask fuzz`: each fuzz target for a minute, from the seeds in the tree.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell;

/// How long each target runs.
const SECONDS: u32 = 60;

pub(crate) fn main() -> anyhow::Result<()> {
    let missing = if shell::find("cargo-fuzz").is_none() {
        Some("cargo install --locked cargo-fuzz")
    } else if !shell::succeeds(Command::new("rustup").args(["run", "nightly", "rustc", "-V"])) {
        Some("rustup toolchain install nightly --profile minimal")
    } else {
        None
    };
    if let Some(install) = missing {
        bail!("fuzzing needs cargo-fuzz and a nightly compiler; install it with: {install}");
    }
    let fuzz = shell::root().join("fuzz");
    let mut failed = Vec::new();
    for target in targets(&fuzz)? {
        if let Err(error) = run(&fuzz, &target) {
            println!("{}", shell::paint("1;31", &format!("{target}: {error:#}")));
            failed.push(target);
        }
    }
    if !failed.is_empty() {
        bail!("targets that failed: {}", failed.join(", "));
    }
    Ok(())
}

fn targets(fuzz: &Path) -> anyhow::Result<Vec<String>> {
    let files = fs::read_dir(fuzz.join("fuzz_targets")).context("fuzz/fuzz_targets")?;
    let mut targets = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}

fn run(fuzz: &Path, target: &str) -> anyhow::Result<()> {
    let corpus = fuzz.join("corpus").join(target);
    fs::create_dir_all(&corpus)?;
    let mut command = Command::new("rustup");
    command.current_dir(fuzz);
    // Without -O cargo-fuzz turns on the assertions of every crate, over what our profile says.
    command.args(["run", "nightly", "cargo", "fuzz", "run", "-O", target]).arg(&corpus);
    let seeds = fuzz.join("seeds").join(target);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    shell::run(command.arg("--").arg(format!("-max_total_time={SECONDS}")))
}
