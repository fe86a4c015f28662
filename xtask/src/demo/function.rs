//! The functions of the demo: which of them this machine can run, built and zipped.

use std::fs;
use std::io::{Cursor, Write};
use std::process::Command;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::example;
use crate::{build, shell};

/// A function, ready to be created.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) runtime: String,
    pub(super) handler: &'static str,
    /// The zip, in base64.
    pub(super) package: String,
    /// Whether its results say how far a background thread has counted.
    pub(super) counts_ticks: bool,
}

/// All that this machine can run; says what it leaves out.
pub(super) fn all() -> anyhow::Result<Vec<Function>> {
    let mut functions = Vec::new();
    functions.extend(python()?);
    functions.extend(node()?);
    functions.push(rust()?);
    Ok(functions)
}

fn python() -> anyhow::Result<Option<Function>> {
    let Some(version) = version("python3") else {
        leave_out("Python", "python3", "python3");
        return Ok(None);
    };
    Ok(Some(Function {
        name: "python-hello".to_owned(),
        runtime: python_runtime(&version),
        handler: "app.handler",
        package: zipped("app.py", &example("python-hello/app.py")?, 0o644)?,
        counts_ticks: true,
    }))
}

fn node() -> anyhow::Result<Option<Function>> {
    let Some(version) = version("node") else {
        leave_out("Node", "node", "nodejs");
        return Ok(None);
    };
    Ok(Some(Function {
        name: "node-hello".to_owned(),
        runtime: node_runtime(&version),
        handler: "index.handler",
        package: zipped("index.mjs", &example("node-hello/index.mjs")?, 0o644)?,
        counts_ticks: false,
    }))
}

fn rust() -> anyhow::Result<Function> {
    let binary = build::rust_example()?;
    let bytes = fs::read(&binary).with_context(|| binary.display().to_string())?;
    Ok(Function {
        name: "rust-hello".to_owned(),
        runtime: "provided.al2023".to_owned(),
        handler: "bootstrap",
        package: zipped("bootstrap", &bytes, 0o755)?,
        counts_ticks: false,
    })
}

fn leave_out(what: &str, program: &str, package: &str) {
    shell::warn(&format!(
        "{program} is missing: the {what} function is left out. Install it with: apt-get install \
         {package}"
    ));
}

/// The numbers in what a program says about its version.
fn version(program: &str) -> Option<String> {
    shell::find(program)?;
    let text = shell::output(Command::new(program).arg("--version")).ok()?;
    Some(text.trim_start_matches(|char: char| !char.is_ascii_digit()).trim().to_owned())
}

/// `python3.11` of `3.11.2`, or the nearest that Lambda has.
fn python_runtime(version: &str) -> String {
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    format!("python3.{}", minor.unwrap_or(12).clamp(8, 14))
}

/// `nodejs20.x` of `20.19.2`, or the nearest that Lambda has: even numbers only.
fn node_runtime(version: &str) -> String {
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    format!("nodejs{}.x", major.unwrap_or(20).clamp(16, 24) / 2 * 2)
}

fn zipped(name: &str, bytes: &[u8], mode: u32) -> anyhow::Result<String> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode))?;
    zip.write_all(bytes)?;
    Ok(STANDARD.encode(zip.finish()?.into_inner()))
}

#[cfg(test)]
mod tests {
    use zip::ZipArchive;

    use super::*;

    #[test]
    fn an_interpreter_gives_the_runtime_of_its_version_or_the_nearest() {
        assert_eq!(python_runtime("3.11.2"), "python3.11");
        assert_eq!(python_runtime("3.15.0"), "python3.14");
        assert_eq!(node_runtime("20.19.2"), "nodejs20.x");
        assert_eq!(node_runtime("23.1.0"), "nodejs22.x");
        assert_eq!(node_runtime("26.0.0"), "nodejs24.x");
    }

    #[test]
    fn a_package_keeps_the_bit_that_makes_it_run() {
        let bytes = STANDARD.decode(zipped("bootstrap", b"x", 0o755).unwrap()).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let file = archive.by_index(0).unwrap();
        assert_eq!(
            (file.name().unwrap().as_ref(), file.unix_mode().unwrap() & 0o777),
            ("bootstrap", 0o755)
        );
    }
}
