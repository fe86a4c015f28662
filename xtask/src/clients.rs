//! The functions and extensions that the conformance suite makes with AWS's crates for Rust.
//!
//! They stand for users' own projects: a workspace and a lock file of their own, and nothing of
//! Dormouse in them. What they need compiles once; a change of ours never compiles it again.

use std::path::PathBuf;

use crate::{build, shell};

/// Builds `conformance/clients/rust` and says in which directory its programs are.
///
/// Static where Rust's musl library is there, since that needs no C compiler and runs in every
/// sandbox.
pub(crate) fn rust() -> anyhow::Result<PathBuf> {
    let target = build::musl_target()?;
    let mut built = shell::root().join("target/clients/rust");
    let mut cargo = shell::cargo(&["build", "--locked", "--target-dir"]);
    cargo.arg(&built).current_dir(shell::root().join("conformance/clients/rust"));
    if build::add_target(&target)? {
        cargo.args(["--target", &target]);
        built.push(&target);
    }
    shell::run(&mut cargo)?;
    Ok(built.join("debug"))
}
