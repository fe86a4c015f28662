//! Which of the found interpreters runs a runtime.
//!
//! Owns: the rule and its wording. Pure: must never look at the machine.

use dormouse_model::runtime::Runtime;

use crate::interpreter::{Interpreter, Language, Version};

/// The outcome of [`choose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The asked version (or a runtime that brings its own program: then there is no interpreter).
    Exact(Option<Interpreter>),
    /// Another version of the same language, to be announced in `INIT_START`.
    Nearest(Interpreter),
    /// No interpreter of that language.
    Missing {
        /// The command that installs one on Debian and Ubuntu.
        install: String,
    },
}

/// Picks the interpreter: the asked version, else the closest higher, else the closest lower one.
#[must_use]
pub fn choose(runtime: Runtime, found: &[Interpreter]) -> Choice {
    let Some(language) = Language::of(runtime) else {
        return Choice::Exact(None);
    };
    let asked = asked_rank(runtime);
    let same = || found.iter().filter(|candidate| candidate.language == language);
    let ranks = || same().map(|candidate| rank(language, candidate.version));
    let wanted = ranks().filter(|rank| *rank >= asked).min().or_else(|| ranks().max());
    // Of equal versions the first found stays: it comes first in the search path.
    let best = same().filter(|candidate| Some(rank(language, candidate.version)) == wanted).reduce(
        |best, candidate| {
            if candidate.version > best.version { candidate } else { best }
        },
    );
    match best {
        Some(best) if wanted == Some(asked) => Choice::Exact(Some(best.clone())),
        Some(best) => Choice::Nearest(best.clone()),
        None => Choice::Missing { install: install_command(language) },
    }
}

/// What makes two versions the same runtime: python counts minors, node majors.
fn rank(language: Language, version: Version) -> (u16, u16) {
    match language {
        Language::Python => (version.major, version.minor),
        Language::Node => (version.major, 0),
    }
}

fn asked_rank(runtime: Runtime) -> (u16, u16) {
    match runtime {
        Runtime::Python { minor } => (3, minor.into()),
        Runtime::Node { major } => (major.into(), 0),
        Runtime::ProvidedAl2 | Runtime::ProvidedAl2023 => (0, 0),
    }
}

fn install_command(language: Language) -> String {
    let package = match language {
        Language::Python => "python3",
        Language::Node => "nodejs",
    };
    format!("sudo apt-get install -y {package}")
}

/// The runtime version text of `INIT_START`: `python:3.12.v1`, or `python:3.12 (running 3.11.7)` when
/// another version stands in.
#[must_use]
pub fn runtime_version(runtime: Runtime, interpreter: &Interpreter) -> String {
    let (name, exact) = match runtime {
        Runtime::Python { minor } => (format!("python:3.{minor}"), true),
        Runtime::Node { major } => (format!("nodejs:{major}"), true),
        Runtime::ProvidedAl2 => ("provided:al2".to_owned(), false),
        Runtime::ProvidedAl2023 => ("provided:al2023".to_owned(), false),
    };
    if !exact || rank(interpreter.language, interpreter.version) == asked_rank(runtime) {
        format!("{name}.v1")
    } else {
        format!("{name} (running {})", interpreter.version)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn interpreters(list: &str) -> Vec<Interpreter> {
        let one = |text: &str| {
            let (name, version) = text.split_once(' ').unwrap();
            let language = if name == "python" { Language::Python } else { Language::Node };
            let program = PathBuf::from(format!("/{name}/{version}"));
            let version = Version::parse(version).unwrap();
            Interpreter { language, version, root: program.clone(), program }
        };
        list.split("; ").filter(|text| !text.is_empty()).map(one).collect()
    }

    fn check(runtime: &str, found: &str, expected: &str) {
        let runtime = Runtime::parse(runtime).unwrap();
        let text = match choose(runtime, &interpreters(found)) {
            Choice::Exact(None) => "exact: its own".to_owned(),
            Choice::Exact(Some(one)) => format!("exact: {}", runtime_version(runtime, &one)),
            Choice::Nearest(one) => format!("nearest: {}", runtime_version(runtime, &one)),
            Choice::Missing { install } => format!("missing: {install}"),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn the_asked_version_wins_over_all_others() {
        check("python3.12", "python 3.13.1; python 3.12.2; python 3.11.0", "exact: python:3.12.v1");
        check("nodejs20.x", "node 22.1.0; node 20.19.2; node 18.0.0", "exact: nodejs:20.v1");
    }

    #[test]
    fn without_it_the_closest_higher_version_runs_and_only_then_a_lower_one() {
        let found = "python 3.14.0; python 3.13.1; python 3.11.9";
        check("python3.12", found, "nearest: python:3.12 (running 3.13.1)");
        check("python3.13", "python 3.9.1; python 3.11.7", "nearest: python:3.13 (running 3.11.7)");
        check("nodejs16.x", "node 24.0.0; node 18.3.0", "nearest: nodejs:16 (running 18.3.0)");
        check("nodejs24.x", "node 18.1.0; node 20.2.0", "nearest: nodejs:24 (running 20.2.0)");
    }

    #[test]
    fn another_language_never_stands_in() {
        check("python3.12", "node 20.1.0", "missing: sudo apt-get install -y python3");
        check("nodejs22.x", "python 3.12.0", "missing: sudo apt-get install -y nodejs");
        check("python3.12", "", "missing: sudo apt-get install -y python3");
    }

    #[test]
    fn a_provided_runtime_needs_no_interpreter() {
        check("provided.al2023", "", "exact: its own");
    }

    #[test]
    fn of_one_release_the_newest_patch_runs() {
        let found = interpreters("python 3.12.1; python 3.12.7; python 3.12.3");
        let Choice::Exact(Some(one)) = choose(Runtime::Python { minor: 12 }, &found) else {
            panic!("an exact version was there")
        };
        assert_eq!(one.version.patch, 7);
    }
}
