//! A runtime's process that is started before it is known for which function: how it is launched, for
//! which functions it will do, and how it is told.
//!
//! It gets the variables of its language only, and a briefing with the rest on a descriptor of its own.
//! What the bootstraps do with it lies in `python/dormouse_runtime.py` (`wait_for_briefing`) and
//! `node/ahead.cjs`. Pure: must never look at the machine.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError};

use dormouse_model::runtime::Runtime;

use crate::interpreter::{Interpreter, Language};
use crate::launch::{Launch, launch};

/// The variable that keeps room for those to come. `/proc/self/environ` shows the memory in which the
/// first variables of a process lie, and the bootstrap writes the real ones there.
const ROOM: &str = "_DORMOUSE_ROOM";

/// How much room: a function's own variables have at most 4 KB (`spec/lambda-api.md`), the platform's
/// about 2 KB.
const ROOM_BYTES: usize = 8 * 1024;

/// Variables that an interpreter, its libraries or the C library read when they start, by how their names
/// begin: later they would come too late.
const READ_AT_START: [&str; 15] = [
    "LD_",
    "LC_",
    "LANG",
    "LOCPATH",
    "NLSPATH",
    "GCONV_PATH",
    "GLIBC_",
    "MALLOC_",
    "TZ",
    "PYTHON",
    "NODE_",
    "UV_",
    "OPENSSL",
    "SSL_",
    "ICU_",
];

/// How `runtime` is launched ahead. The platform's own variables that every function has alike are the
/// worker's. None for `provided.*`, whose program comes with the function.
#[must_use]
pub fn launch_ahead(runtime: Runtime, interpreter: &Interpreter, memory_mb: u32) -> Option<Launch> {
    Language::of(runtime)?;
    let mut launch = launch(runtime, Some(interpreter), memory_mb, None);
    launch.variables.push((ROOM.to_owned(), "-".repeat(ROOM_BYTES)));
    Some(launch)
}

/// Whether a process of this runtime that was launched ahead will do for a function with these variables
/// of its own.
#[must_use]
pub fn may_be_briefed(
    runtime: Runtime,
    interpreter: &Interpreter,
    own: Option<&BTreeMap<String, String>>,
) -> bool {
    let language = launch(runtime, Some(interpreter), 128, None).variables;
    let own = own.into_iter().flatten();
    let mut own = own.map(|(name, value)| (name.as_str(), value.as_str()));
    Language::of(runtime).is_some()
        && own.all(|(name, value)| {
            let given = language.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
            let matters = name == "AWS_LAMBDA_EXEC_WRAPPER"
                || READ_AT_START.iter().any(|start| name.starts_with(start));
            given.map_or(!matters, |given| given == value)
        })
}

/// What tells such a process which working directory and, behind it, which variables it has: what a
/// kernel hands over at a start, so that nothing has to be parsed before it is used.
///
/// # Errors
/// When something in it cannot be handed to a process at all: it has a byte of zero.
pub fn briefing(variables: &[(String, String)], cwd: &str) -> Result<Vec<u8>, NulError> {
    let lines = variables.iter().map(|(name, value)| format!("{name}={value}"));
    let pieces: Vec<String> = std::iter::once(cwd.to_owned()).chain(lines).collect();
    for piece in &pieces {
        CString::new(piece.as_str())?;
    }
    Ok(pieces.join("\0").into_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::interpreter::Version;

    const PYTHON: Runtime = Runtime::Python { minor: 12 };

    fn interpreter() -> Interpreter {
        Interpreter {
            language: Language::Python,
            version: Version::parse("3.12.1").unwrap(),
            program: PathBuf::from("/usr/bin/python3.12"),
            root: PathBuf::from("/usr"),
        }
    }

    #[test]
    fn only_what_an_interpreter_reads_at_its_start_needs_a_start_of_its_own() {
        let check = |name: &str, value: &str| {
            let own = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            may_be_briefed(PYTHON, &interpreter(), Some(&own))
        };
        for name in
            ["TABLE", "AWS_LAMBDA_LOG_LEVEL", "POWERTOOLS_SERVICE_NAME", "path", "LOG_LEVEL"]
        {
            assert!(check(name, "x"), "{name}");
        }
        for name in ["PYTHONPATH", "LD_PRELOAD", "TZ", "PATH", "LC_ALL", "AWS_LAMBDA_EXEC_WRAPPER"]
        {
            assert!(!check(name, "x"), "{name}");
        }
        // What it has anyway.
        assert!(check("TZ", ":UTC"));
        assert!(may_be_briefed(PYTHON, &interpreter(), None));
        assert!(!may_be_briefed(Runtime::ProvidedAl2023, &interpreter(), None));
    }

    #[test]
    fn a_process_launched_ahead_has_its_languages_variables_and_room_for_more() {
        let usual = launch(PYTHON, Some(&interpreter()), 128, None);
        let ahead = launch_ahead(PYTHON, &interpreter(), 128).unwrap();
        assert_eq!(ahead.argv, usual.argv);
        let (room, language) = ahead.variables.split_last().unwrap();
        assert_eq!(language, usual.variables);
        assert_eq!((room.0.as_str(), room.1.len()), (ROOM, ROOM_BYTES));
        assert_eq!(launch_ahead(Runtime::ProvidedAl2, &interpreter(), 128), None);
    }

    #[test]
    fn a_briefing_keeps_the_order_of_variables_and_refuses_what_no_process_can_have() {
        let variables =
            [("B", "1=2"), ("A", "\"\n\u{e9}")].map(|(name, value)| (name.into(), value.into()));
        let text = String::from_utf8(briefing(&variables, "/var/task").unwrap()).unwrap();
        assert_eq!(text, "/var/task\0B=1=2\0A=\"\n\u{e9}");
        assert!(briefing(&[("A".into(), "1\x002".into())], "/").is_err());
    }
}
