//! `dormouse runtimes`: which interpreter of this machine runs which runtime.

use dormouse_model::runtime::{ACCEPTED, Runtime};
use dormouse_runtimes::{Choice, Interpreter, choose, discover, standard_candidates};

/// Every interpreter on this machine. Asks each program for its version, so it takes a moment.
pub(crate) fn found() -> Vec<Interpreter> {
    let path = std::env::var_os("PATH");
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    discover(&standard_candidates(path.as_deref(), home.as_deref()))
}

/// The list, a line each.
pub(crate) fn list() -> String {
    let found = found();
    let mut runtimes: Vec<Runtime> =
        ACCEPTED.iter().filter_map(|id| Runtime::parse(id).ok()).collect();
    runtimes.sort_by_key(|runtime| order(*runtime));
    let line = |runtime: Runtime| {
        format!("{:<16} {}\n", runtime.to_string(), line(&choose(runtime, &found)))
    };
    runtimes.into_iter().map(line).collect()
}

fn line(choice: &Choice) -> String {
    match choice {
        Choice::Exact(None) => "brings its own program".to_owned(),
        Choice::Exact(Some(it)) => format!("exact    {} {}", it.version, it.program.display()),
        Choice::Nearest(it) => format!("nearest  {} {}", it.version, it.program.display()),
        Choice::Missing { install } => format!("missing  install with: {install}"),
    }
}

fn order(runtime: Runtime) -> (u8, u8) {
    match runtime {
        Runtime::Python { minor } => (0, minor),
        Runtime::Node { major } => (1, major),
        Runtime::ProvidedAl2 => (2, 0),
        Runtime::ProvidedAl2023 => (2, 1),
    }
}
