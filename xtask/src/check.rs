//! `cargo xtask check`: all that must hold before a push, cheap things first. It runs to the end
//! even when something fails, so that one run names everything.

use anyhow::bail;

use crate::{counts, deps, shell, tidy};

type Step = (&'static str, fn() -> anyhow::Result<()>);

const STEPS: [Step; 7] = [
    ("fmt", fmt),
    ("tidy", tidy::main),
    ("deps", deps::main),
    ("clippy", clippy),
    ("doc", doc),
    ("deny", deny),
    ("counts", counts::if_installed),
];

/// Every workspace of the tree.
const MANIFESTS: [&str; 4] = [
    "Cargo.toml",
    "fuzz/Cargo.toml",
    "examples/rust-hello/Cargo.toml",
    "conformance/clients/rust/Cargo.toml",
];

pub(crate) fn main() -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        if let Err(error) = step() {
            println!("{}", shell::paint("1;31", &format!("{name}: {error:#}")));
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("does not hold: {}", failed.join(", "));
    }
    shell::good("everything that is checked holds");
    Ok(())
}

fn fmt() -> anyhow::Result<()> {
    for manifest in MANIFESTS {
        let args = ["fmt", "--all", "--check", "--manifest-path", manifest];
        shell::run(&mut shell::cargo(&args))?;
    }
    Ok(())
}

fn clippy() -> anyhow::Result<()> {
    shell::run(&mut shell::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

fn doc() -> anyhow::Result<()> {
    let mut doc =
        shell::cargo(&["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]);
    shell::run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

/// Licences, advisories, duplicates, sources. A tool of its own, so it may be missing.
fn deny() -> anyhow::Result<()> {
    if shell::find("cargo-deny").is_none() {
        shell::warn(
            "cargo-deny is missing: licences and advisories were NOT checked. Install it with: \
             cargo install --locked cargo-deny",
        );
        return Ok(());
    }
    let mut which = vec!["deny", "--workspace", "check", "bans", "licenses", "sources"];
    if shell::succeeds(&mut shell::cargo(&["deny", "fetch", "db"])) {
        which.push("advisories");
    } else {
        shell::warn("the advisory database could not be fetched: advisories were NOT checked");
    }
    shell::run(&mut shell::cargo(&which))
}
