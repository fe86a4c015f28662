//! The functions that are measured: what runs them on this machine, and how they are deployed.
//!
//! All of them answer with their event, after `sleep_ms` if the event asks for it.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::http::Client;
use crate::time::until;

/// One vCPU: the share of CPU then throttles nobody.
const MEMORY_MB: u32 = 1_769;
const SETTLED_WITHIN: Duration = Duration::from_secs(20);
/// The path of all functions.
pub(crate) const FUNCTIONS: &str = "/2015-03-31/functions";

const PYTHON: &str = "import time

def handler(event, context):
    if isinstance(event, dict) and event.get('sleep_ms'):
        time.sleep(event['sleep_ms'] / 1000)
    return event
";
const NODE: &str = "exports.handler = async (event) => {
  if (event.sleep_ms) await new Promise((done) => setTimeout(done, event.sleep_ms));
  return event;
};
";

/// A function that can run here.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    /// What the tables call it.
    pub(crate) label: String,
    /// Lambda's identifier of its runtime.
    pub(crate) runtime: String,
    pub(crate) handler: &'static str,
    /// The interpreter with its flags, up to the bootstrap's file; the whole program for Rust.
    pub(crate) command: Vec<String>,
    /// The bootstrap below the server's directory of bootstraps; none for Rust.
    pub(crate) bootstrap: Option<&'static str>,
    /// Whether it answers with its event, after the sleep that the event asks for.
    pub(crate) echoes: bool,
    file: &'static str,
    code: Vec<u8>,
}

/// All that this machine can run, with a sentence for each that it cannot.
pub(crate) fn find(dormouse: &Path) -> anyhow::Result<(Vec<Function>, Vec<String>)> {
    let listed = Command::new(dormouse).arg("runtimes").output();
    let listed = listed.with_context(|| dormouse.display().to_string())?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let all = [
        ("Rust", rust()?),
        ("Rust, lambda_runtime", lambda_runtime()?),
        ("Python", python(&listed)),
        ("Node", node(&listed)),
    ];
    for (label, function) in all {
        match function {
            Some(function) => found.push(function),
            None => missing.push(format!("{label} is left out: it is not on this machine.")),
        }
    }
    Ok((found, missing))
}

/// The custom runtime that is built beside this program.
fn rust() -> anyhow::Result<Option<Function>> {
    let path = std::env::current_exe()?.with_file_name("dormouse-bench-bootstrap");
    let hint = "build both: cargo build --release -p dormouse-bench";
    let code = fs::read(&path).with_context(|| format!("{}: {hint}", path.display()))?;
    Ok(Some(custom("rust", &path, code, true)))
}

/// The example on the crate `lambda_runtime`, where it has been built.
fn lambda_runtime() -> anyhow::Result<Option<Function>> {
    let target = Path::new("examples/rust-hello/target");
    let places = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", ""];
    let mut paths = places.map(|place| target.join(place).join("release/bootstrap")).into_iter();
    let Some(path) = paths.find(|path| path.exists()) else {
        return Ok(None);
    };
    let path = path.canonicalize()?;
    let code = fs::read(&path)?;
    Ok(Some(custom("rust-lambda_runtime", &path, code, false)))
}

fn custom(label: &str, path: &Path, code: Vec<u8>, echoes: bool) -> Function {
    Function {
        label: label.to_owned(),
        runtime: "provided.al2023".to_owned(),
        handler: "bootstrap",
        command: vec![path.to_string_lossy().into_owned()],
        bootstrap: None,
        echoes,
        file: "bootstrap",
        code,
    }
}

fn python(listed: &str) -> Option<Function> {
    let (runtime, program) = interpreter(listed, "python", "python3.11")?;
    Some(Function {
        label: "python".to_owned(),
        runtime,
        handler: "app.handler",
        command: vec![program, "-S".to_owned()],
        bootstrap: Some("python/bootstrap.py"),
        echoes: true,
        file: "app.py",
        code: PYTHON.into(),
    })
}

fn node(listed: &str) -> Option<Function> {
    let (runtime, program) = interpreter(listed, "nodejs", "nodejs20.x")?;
    // The flags that the server gives: the floor must run the very same thing.
    let young_mb = MEMORY_MB / 10;
    let flags = [
        "--expose-gc".to_owned(),
        "--max-http-header-size=81920".to_owned(),
        format!("--max-semi-space-size={}", young_mb / 2),
        format!("--max-old-space-size={}", MEMORY_MB - young_mb),
    ];
    Some(Function {
        label: "node".to_owned(),
        runtime,
        handler: "index.handler",
        command: std::iter::once(program).chain(flags).collect(),
        bootstrap: Some("node/bootstrap.cjs"),
        echoes: true,
        file: "index.js",
        code: NODE.into(),
    })
}

/// The preferred runtime, or else the newest, of those whose exact version is here. A line reads
/// `python3.11  exact  3.11.2  /usr/bin/python3.11`.
fn interpreter(listed: &str, language: &str, preferred: &str) -> Option<(String, String)> {
    let exact = listed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let runtime = words.next().filter(|runtime| runtime.starts_with(language))?;
        words.next().filter(|kind| *kind == "exact")?;
        Some((runtime.to_owned(), words.nth(1)?.to_owned()))
    });
    // `max_by_key` takes the last of equals, and the list goes from old to new.
    exact.max_by_key(|(runtime, _)| runtime == preferred)
}

impl Function {
    /// The size of its code.
    pub(crate) fn size(&self) -> usize {
        self.code.len()
    }

    /// Writes the code to a directory, for the floor. Returns its path.
    pub(crate) fn unpack(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let task = directory.join(&self.label);
        fs::create_dir_all(&task)?;
        fs::write(task.join(self.file), &self.code)?;
        Ok(task)
    }

    /// Creates it under this name and waits until it is Active.
    pub(crate) fn create(&self, client: &mut Client, name: &str) -> anyhow::Result<()> {
        client.call("POST", FUNCTIONS, &self.creation(name)?)?;
        settled(client, name, "State", "Active")
    }

    /// The request that creates it.
    pub(crate) fn creation(&self, name: &str) -> anyhow::Result<Value> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().unix_permissions(0o755);
        zip.start_file(self.file, options)?;
        zip.write_all(&self.code)?;
        Ok(json!({
            "FunctionName": name,
            "Runtime": self.runtime,
            "Handler": self.handler,
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Timeout": 30,
            "MemorySize": MEMORY_MB,
            "Code": { "ZipFile": STANDARD.encode(zip.finish()?.into_inner()) },
        }))
    }
}

/// Changes the configuration, so that the next invoke needs a new environment.
pub(crate) fn change(client: &mut Client, name: &str, turn: usize) -> anyhow::Result<()> {
    let change = json!({ "Environment": { "Variables": { "TURN": turn.to_string() } } });
    client.call("PUT", &format!("{FUNCTIONS}/{name}/configuration"), &change)?;
    settled(client, name, "LastUpdateStatus", "Successful")
}

pub(crate) fn delete(client: &mut Client, name: &str) -> anyhow::Result<()> {
    client.call("DELETE", &format!("{FUNCTIONS}/{name}"), &Value::Null)?;
    Ok(())
}

/// Waits until a function's configuration says this.
pub(crate) fn settled(
    client: &mut Client,
    name: &str,
    key: &str,
    value: &str,
) -> anyhow::Result<()> {
    let path = format!("{FUNCTIONS}/{name}/configuration");
    until(SETTLED_WITHIN, &format!("{name} to be {value}"), || {
        let configuration = client.call("GET", &path, &Value::Null)?;
        Ok((configuration[key] == value).then_some(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exact_interpreter_is_measured() {
        let listed = "python3.8   nearest  3.11.7 /usr/bin/python3\n\
                      python3.11  exact    3.11.7 /usr/bin/python3.11\n\
                      nodejs18.x  missing  install with: apt-get\n";
        assert_eq!(
            interpreter(listed, "python", "python3.12"),
            Some(("python3.11".to_owned(), "/usr/bin/python3.11".to_owned()))
        );
        assert_eq!(interpreter(listed, "nodejs", "nodejs18.x"), None);
    }
}
