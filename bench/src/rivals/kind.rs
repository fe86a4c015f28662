//! Which rivals there are, what each can run, and how it is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::process::{Running, free_port};
use crate::functions::Function;
use crate::http::Client;

/// A server that runs Lambda functions on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Emulates AWS in Python; functions as child processes (`LAMBDA_EXECUTOR=local`).
    Ministack,
    /// Runs one Rust project by `cargo run`, one environment.
    CargoLambda,
    /// Node handlers in worker threads of the server, Python in child processes.
    ServerlessOffline,
}

/// How a function is made cold again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Its configuration is changed.
    Change,
    /// The server is started anew; the start itself is not in the figure.
    Restart,
}

impl Renewal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Change => "configuration changed",
            Self::Restart => "server restarted",
        }
    }
}

/// The label of the function that `cargo lambda` can build: a project, not a program.
const PROJECT: &str = "rust-lambda_runtime";
const SERVICE: &str = "\
service: bench
frameworkVersion: \"3\"
provider:
  name: aws
  region: us-east-1
plugins:
  - serverless-offline
functions:
  hello:
";

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Ministack, Self::CargoLambda, Self::ServerlessOffline];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ministack => "ministack",
            Self::CargoLambda => "cargo-lambda",
            Self::ServerlessOffline => "serverless-offline",
        }
    }

    pub(super) fn renewal(self) -> Renewal {
        match self {
            Self::Ministack => Renewal::Change,
            Self::CargoLambda | Self::ServerlessOffline => Renewal::Restart,
        }
    }

    /// Whether it can run this function at all.
    pub(super) fn runs(self, function: &Function) -> bool {
        match self {
            Self::Ministack => function.label != PROJECT,
            Self::CargoLambda => function.label == PROJECT,
            Self::ServerlessOffline => function.bootstrap.is_some(),
        }
    }

    /// The version that is installed.
    pub(super) fn version(self, installed: &Path) -> anyhow::Result<String> {
        match self {
            Self::Ministack => wheel(installed, "ministack"),
            Self::CargoLambda => wheel(installed, "cargo_lambda"),
            Self::ServerlessOffline => {
                let path = installed.join("npm/node_modules/serverless-offline/package.json");
                let text = fs::read_to_string(&path).context("it is not installed")?;
                let package: serde_json::Value = serde_json::from_str(&text)?;
                let version = package["version"].as_str();
                Ok(version.context("its package has no version")?.to_owned())
            }
        }
    }

    /// Starts it with this function and waits until it answers, all in a directory of its own.
    pub(super) fn start(
        self,
        installed: &Path,
        function: &Function,
        directory: &Path,
    ) -> anyhow::Result<Running> {
        let home = directory.join(self.name());
        fs::create_dir_all(&home)?;
        match self {
            Self::Ministack => ministack(installed, function, &home),
            Self::CargoLambda => cargo_lambda(installed, &home),
            Self::ServerlessOffline => serverless_offline(installed, function, &home),
        }
    }
}

fn ministack(installed: &Path, function: &Function, home: &Path) -> anyhow::Result<Running> {
    let port = free_port()?;
    let mut command = Command::new(installed.join("venv/bin/ministack"));
    command.current_dir(home).env("HOME", home).env("TMPDIR", home);
    command.envs([
        ("BIND_HOST", "127.0.0.1"),
        ("GATEWAY_PORT", &port.to_string()),
        ("LAMBDA_EXECUTOR", "local"),
        ("SERVICES", "lambda,iam,sts,logs"),
    ]);
    let name = "hello";
    let running = Running::start(command, port, name, home)?;
    function.create(&mut Client::connect(running.address)?, name)?;
    Ok(running)
}

fn cargo_lambda(installed: &Path, home: &Path) -> anyhow::Result<Running> {
    let port = free_port()?;
    // Without a colour of its own and without cargo's wrapper: `cargo-lambda lambda` is what it calls.
    let mut command = Command::new(installed.join("venv/bin/cargo-lambda"));
    command.args(["lambda", "watch", "--release", "--ignore-changes", "--invoke-address"]);
    command.args(["127.0.0.1", "--invoke-port", &port.to_string()]);
    command.current_dir("examples/rust-hello").env("CARGO_TARGET_DIR", installed.join("rust"));
    Running::start(command, port, "bootstrap", home)
}

fn serverless_offline(
    installed: &Path,
    function: &Function,
    home: &Path,
) -> anyhow::Result<Running> {
    let task = function.unpack(home)?;
    let Function { runtime, handler, .. } = function;
    let service = format!("{SERVICE}    handler: {handler}\n    runtime: {runtime}\n");
    fs::write(task.join("serverless.yml"), service)?;
    let modules = installed.join("npm/node_modules");
    link(&modules, &task.join("node_modules"))?;
    let (http, port) = (free_port()?.to_string(), free_port()?);
    let mut command = Command::new("node");
    command.arg(modules.join("serverless/bin/serverless.js")).arg("offline");
    command.args(["--host", "127.0.0.1", "--httpPort", &http, "--lambdaPort", &port.to_string()]);
    command.current_dir(&task).env("HOME", home);
    command.envs([
        ("SLS_TELEMETRY_DISABLED", "1"),
        ("SLS_NOTIFICATIONS_MODE", "off"),
        ("SLS_INTERACTIVE_SETUP_ENABLE", "0"),
    ]);
    Running::start(command, port, "bench-dev-hello", home)
}

fn link(target: &Path, at: &Path) -> anyhow::Result<()> {
    match std::os::unix::fs::symlink(target, at) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// The version in the name of what pip leaves beside a package, as in `ministack-1.5.33.dist-info`.
fn wheel(installed: &Path, package: &str) -> anyhow::Result<String> {
    let libraries = installed.join("venv/lib");
    let pythons = fs::read_dir(&libraries).context("it is not installed")?.flatten();
    let sites = pythons.map(|python| python.path().join("site-packages"));
    let packages = sites.filter_map(|site| fs::read_dir(site).ok()).flatten().flatten();
    let names: Vec<PathBuf> = packages.map(|entry| entry.file_name().into()).collect();
    match names.iter().find_map(|name| version_of(name.to_str()?, package)) {
        Some(version) => Ok(version.to_owned()),
        None => bail!("it is not installed"),
    }
}

fn version_of<'a>(name: &'a str, package: &str) -> Option<&'a str> {
    name.strip_prefix(package)?.strip_prefix('-')?.strip_suffix(".dist-info")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_in_the_name_of_what_pip_leaves() {
        assert_eq!(version_of("ministack-1.5.33.dist-info", "ministack"), Some("1.5.33"));
        assert_eq!(version_of("ministack", "ministack"), None);
        assert_eq!(version_of("ministack_more-1.dist-info", "ministack"), None);
    }

    #[test]
    fn what_is_not_installed_says_so() {
        let nowhere = tempfile::tempdir().unwrap();
        for kind in Kind::ALL {
            let error = kind.version(nowhere.path()).unwrap_err();
            assert_eq!(error.to_string(), "it is not installed", "{}", kind.name());
        }
    }
}
