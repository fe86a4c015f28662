//! `dormouse runtimes`: which interpreter of this machine runs which runtime.

use std::path::Path;

use dormouse_model::runtime::{ACCEPTED, Runtime};
use dormouse_runtimes::{Choice, Interpreter, choose, discover, standard_candidates};

/// Every interpreter on this machine that functions can have. Asks each program for its version, so
/// it takes a moment.
pub(crate) fn found() -> Vec<Interpreter> {
    let path = std::env::var_os("PATH");
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    let mut found = discover(&standard_candidates(path.as_deref(), home.as_deref()));
    found.retain(|interpreter| !is_covered(&interpreter.program));
    found
}

/// Whether an environment has a directory of its own where this lies on the host.
fn is_covered(program: &Path) -> bool {
    ["/tmp", "/proc", "/dev", "/var/task", "/opt/extensions"]
        .iter()
        .any(|own| program.starts_with(own))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_where_environments_have_their_own_is_not_offered() {
        assert!(is_covered(Path::new("/tmp/node/bin/node")));
        assert!(!is_covered(Path::new("/tmpfs/bin/node")));
        assert!(!is_covered(Path::new("/usr/bin/node")));
    }
}
