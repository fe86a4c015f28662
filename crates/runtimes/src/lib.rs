//! The managed runtimes: our bootstraps for python and node, the interpreters found on the machine,
//! and how one is launched inside a sandbox.
//!
//! Owns: the embedded bootstrap files, the search for interpreters, argv and the variables that
//! belong to a language. Must never: start a function, know an environment's phase, or read the
//! process's own environment (`PATH` and `HOME` are arguments). Its own crate because it is a
//! different kind of thing than the worker: files and facts, no tasks.

mod ahead;
mod bootstraps;
mod choose;
mod discover;
mod interpreter;
mod launch;
mod probe;

pub use ahead::{briefing, launch_ahead, may_be_briefed};
pub use bootstraps::{bootstraps_stamp, install_bootstraps, precompile};
pub use choose::{Choice, choose, runtime_version};
pub use discover::{discover, standard_candidates};
pub use interpreter::{Interpreter, Language, Version, host_trees};
pub use launch::{BYTECODE_DIR, Launch, PROVIDED_BOOTSTRAPS, RUNTIME_DIR, compiler, launch};
