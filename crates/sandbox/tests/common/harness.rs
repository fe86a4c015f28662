//! A test runner of our own, because the test binary is also the spawner and must be asked for it
//! before the usual runner makes threads. Understands what cargo test and cargo nextest pass.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// One test.
pub(crate) struct Trial {
    /// Its name.
    pub(crate) name: String,
    /// Only run when asked for.
    pub(crate) ignored: bool,
    /// The test.
    pub(crate) run: Box<dyn Fn()>,
}

impl Trial {
    /// A test that always runs.
    pub(crate) fn new(name: impl Into<String>, run: impl Fn() + 'static) -> Self {
        Self { name: name.into(), ignored: false, run: Box::new(run) }
    }
}

/// Runs what the command line asks for.
pub(crate) fn main(trials: Vec<Trial>) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let only_ignored = has("--ignored");
    let with_ignored = has("--include-ignored");
    let is_value = |at: usize| at > 0 && ["--format", "--test-threads"].contains(&&*args[at - 1]);
    let wanted: Vec<&String> = args
        .iter()
        .enumerate()
        .filter(|(at, arg)| !arg.starts_with('-') && !is_value(*at))
        .map(|(_, arg)| arg)
        .collect();
    let chosen = trials.iter().filter(|trial| {
        let kind = with_ignored || trial.ignored == only_ignored;
        let named = wanted.is_empty()
            || wanted.iter().any(|name| {
                if has("--exact") { trial.name == **name } else { trial.name.contains(*name) }
            });
        kind && named
    });
    if has("--list") {
        for trial in chosen {
            println!("{}: test", trial.name);
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = Vec::new();
    for trial in chosen {
        match catch_unwind(AssertUnwindSafe(&trial.run)) {
            Ok(()) => println!("test {} ... ok", trial.name),
            Err(_) => {
                println!("test {} ... FAILED", trial.name);
                failed.push(&trial.name);
            }
        }
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("failed: {failed:?}");
        ExitCode::from(101)
    }
}
