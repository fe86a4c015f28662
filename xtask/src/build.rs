//! `cargo xtask build`: the release binary, static where this machine can make one.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::shell;

/// Prints the path of the binary it built.
pub(crate) fn main() -> anyhow::Result<()> {
    let binary = release("dormouse")?;
    println!("{}", binary.display());
    Ok(())
}

/// Builds a package's binary of the same name and says where it is.
pub(crate) fn release(package: &str) -> anyhow::Result<PathBuf> {
    let mut args = vec!["build", "--release", "--locked", "--package", package];
    let target = static_target()?;
    if let Some(target) = &target {
        args.extend(["--target", target]);
    }
    shell::run(&mut shell::cargo(&args))?;
    let mut binary = target_directory()?;
    binary.extend(target);
    Ok(binary.join("release").join(package))
}

/// Builds the Rust function of the examples; static where Rust's musl library is there, since it needs no C compiler.
pub(crate) fn rust_example() -> anyhow::Result<PathBuf> {
    let directory = shell::root().join("examples/rust-hello");
    let target = musl_target()?;
    let mut built = directory.join("target");
    let mut cargo = shell::cargo(&["build", "--release", "--locked", "--target-dir"]);
    cargo.arg(&built).current_dir(&directory);
    if add_target(&target)? {
        cargo.args(["--target", &target]);
        built.push(&target);
    }
    shell::run(&mut cargo)?;
    Ok(built.join("release/bootstrap"))
}

/// Builds the programs that the conformance suite runs inside environments and says where they lie;
/// static as the Rust example is.
pub(crate) fn test_programs() -> anyhow::Result<PathBuf> {
    let target = musl_target()?;
    let mut cargo = shell::cargo(&["build", "--release", "--locked", "--package"]);
    cargo.arg("conformance-programs");
    let mut built = target_directory()?;
    if add_target(&target)? {
        cargo.args(["--target", &target]);
        built.push(&target);
    }
    shell::run(&mut cargo)?;
    Ok(built.join("release"))
}

/// The target of static binaries, if this machine can build for it; says aloud when it cannot.
fn static_target() -> anyhow::Result<Option<String>> {
    let target = musl_target()?;
    if shell::find("musl-gcc").is_none() {
        shell::warn(
            "musl-gcc is missing: the binary is linked against this machine's C library and runs \
             only on machines like it. Install it with: apt-get install musl-tools",
        );
        return Ok(None);
    }
    Ok(add_target(&target)?.then_some(target))
}

/// Makes sure Rust's own library for the target is there, by rustup when it must be fetched.
pub(crate) fn add_target(target: &str) -> anyhow::Result<bool> {
    if has_target(target)? {
        return Ok(true);
    }
    shell::heading(&format!("rustup target add {target}"));
    if shell::succeeds(Command::new("rustup").args(["target", "add", target])) {
        return has_target(target);
    }
    shell::warn(&format!(
        "Rust's target {target} is missing and could not be added: what is built needs this \
         machine's C library. Install it with: rustup target add {target}"
    ));
    Ok(false)
}

fn has_target(target: &str) -> anyhow::Result<bool> {
    let libraries = rustc(&["--print", "target-libdir", "--target", target])?;
    Ok(PathBuf::from(libraries.trim()).is_dir())
}

/// This machine's processor with musl.
pub(crate) fn musl_target() -> anyhow::Result<String> {
    let version = rustc(&["-vV"])?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV names no host")?;
    let processor = host.split('-').next().unwrap_or(host);
    Ok(format!("{processor}-unknown-linux-musl"))
}

/// The compiler, with its version and commit.
pub(crate) fn compiler() -> anyhow::Result<String> {
    Ok(rustc(&["--version"])?.trim().to_owned())
}

fn rustc(args: &[&str]) -> anyhow::Result<String> {
    shell::output(Command::new("rustc").current_dir(shell::root()).args(args))
}

fn target_directory() -> anyhow::Result<PathBuf> {
    let metadata =
        shell::output(&mut shell::cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let directory = metadata["target_directory"].as_str();
    Ok(directory.context("cargo metadata names no target directory")?.into())
}
