//! What tests need and a new machine lacks: said, installed where we may, skipped where it is there.
//!
//! It installs Debian packages as root, a Python environment in `.venv` and the SAM CLI's own in
//! `.venv-sam`; CRIU is compiled by `criu`. What it cannot install it names with the command that does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::shell;

/// Something of Debian's that tests need.
#[derive(Debug, Clone, Copy)]
struct Need {
    /// How to find out that it is there.
    probe: &'static [&'static str],
    /// The packages that bring it.
    packages: &'static str,
    why: &'static str,
}

const NEEDS: [Need; 10] = [
    Need { probe: &["cc", "--version"], packages: "build-essential", why: "SQLite is compiled in" },
    Need { probe: &["musl-gcc", "--version"], packages: "musl-tools", why: "one static file" },
    Need {
        probe: &["nft", "--version"],
        packages: "nftables",
        why: "functions reach the outside world by NAT",
    },
    Need { probe: &["ip", "-V"], packages: "iproute2", why: "tests look at the network" },
    Need {
        probe: &["python3", "-c", "import ensurepip, venv"],
        packages: "python3 python3-venv",
        why: "Python functions, and the AWS CLI that tests us",
    },
    Need { probe: &["node", "--version"], packages: "nodejs", why: "Node functions" },
    Need {
        probe: &["npm", "--version"],
        packages: "npm",
        why: "the tests install aws-lambda-ric, AWS's runtime client for Node",
    },
    Need {
        probe: &["cmake", "--version"],
        packages: "cmake xz-utils",
        why: "aws-lambda-ric is compiled where it is installed",
    },
    Need {
        probe: &["/usr/bin/aws", "--version"],
        packages: "awscli",
        why: "`aws logs tail` is in version 2 of the CLI only, which PyPI does not have",
    },
    Need {
        probe: &["curl", "--version"],
        packages: "curl ca-certificates",
        why: "tests download packages by their link",
    },
];

/// Installs what is missing. What stays missing is named; the tests that need it say so themselves.
pub(crate) fn main() {
    let missing = missing(is_there);
    if !missing.is_empty() {
        debian(&missing);
    }
}

fn is_there(need: &Need) -> bool {
    shell::succeeds(Command::new(need.probe[0]).args(&need.probe[1..]))
}

fn missing(is_there: impl Fn(&Need) -> bool) -> Vec<Need> {
    NEEDS.into_iter().filter(|need| !is_there(need)).collect()
}

fn debian(missing: &[Need]) {
    for need in missing {
        shell::warn(&format!("missing: {} ({})", need.packages, need.why));
    }
    let packages: Vec<&str> =
        missing.iter().flat_map(|need| need.packages.split_whitespace()).collect();
    if !shell::is_root() || shell::find("apt-get").is_none() {
        shell::warn(&format!("install it with: sudo apt-get install {}", packages.join(" ")));
        return;
    }
    let installed = apt(&["update", "-q"]).and_then(|()| {
        let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
        args.extend(&packages);
        apt(&args)
    });
    if let Err(error) = installed {
        shell::warn(&format!("not installed: {error:#}"));
    }
}

pub(crate) fn apt(args: &[&str]) -> anyhow::Result<()> {
    shell::run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The Python of `.venv`, with what `conformance/requirements.txt` pins; made when it is not there.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    environment(".venv", "conformance/requirements.txt")
}

/// The SAM CLI in `.venv-sam`. Without it its tests say that they are skipped.
pub(crate) fn sam() {
    let list = "conformance/requirements-sam.txt";
    if let Err(error) = environment(".venv-sam", list) {
        shell::warn(&format!("{list} is not installed, its tests are skipped: {error:#}"));
    }
}

/// The Python of an environment with what a list pins; made when it is not there.
pub(crate) fn environment(directory: &str, list: &str) -> anyhow::Result<PathBuf> {
    let root = shell::root();
    let requirements = root.join(list);
    let venv = root.join(directory);
    let python = venv.join("bin/python");
    if is_stamped(&venv, &requirements)? && python.is_file() {
        return Ok(python);
    }
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .context("python3-venv is needed; install it with: sudo apt-get install python3-venv")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    shell::run(pip.arg(&requirements))?;
    stamp(&venv, &requirements)?;
    Ok(python)
}

/// Whether a directory was filled after exactly this list.
pub(crate) fn is_stamped(directory: &Path, list: &Path) -> anyhow::Result<bool> {
    let wanted = fs::read(list).with_context(|| list.display().to_string())?;
    Ok(fs::read(directory.join(".installed")).is_ok_and(|found| found == wanted))
}

pub(crate) fn stamp(directory: &Path, list: &Path) -> anyhow::Result<()> {
    fs::copy(list, directory.join(".installed"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(there: &[&str], expected: &str) {
        let missing = missing(|need| there.contains(&need.probe[0]));
        let packages: Vec<&str> = missing.iter().map(|need| need.packages).collect();
        assert_eq!(packages.join(" "), expected);
    }

    #[test]
    fn what_is_there_is_not_installed_again() {
        let mut there: Vec<&str> = NEEDS.iter().map(|need| need.probe[0]).collect();
        check(&there, "");
        there.retain(|program| !["nft", "python3"].contains(program));
        check(&there, "nftables python3 python3-venv");
    }

    #[test]
    fn a_list_that_changed_is_installed_again() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("list");
        fs::write(&list, "boto3==1\n").unwrap();
        assert!(!is_stamped(dir.path(), &list).unwrap());
        stamp(dir.path(), &list).unwrap();
        assert!(is_stamped(dir.path(), &list).unwrap());
        fs::write(&list, "boto3==2\n").unwrap();
        assert!(!is_stamped(dir.path(), &list).unwrap());
    }
}
