//! `cargo xtask deps`: the arrows between crates against the table of those allowed.
//!
//! The tree is the architecture: an arrow that is not in the table is refused. Arrows of tests
//! alone (dev-dependencies) are free, since the product does not have them.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::shell;

/// Who may use whom. Everything may use `model`, `*` may use everything, who is not named on the
/// left may use `model` only.
const ALLOWED: &str = "\
dormouse  -> *
bench     -> *
xtask     -> *
frontend  -> api identity store events placement
events    -> placement store api
placement -> worker
worker    -> runtime-api runtimes sandbox store
sandbox   -> guest
";

/// Crates that are pure: nothing in them can wait, read a clock or draw chance.
const PURE: [&str; 3] = ["model", "api", "identity"];
/// What would make them impure.
const IMPURE: [&str; 6] = ["getrandom", "hyper", "rand", "rusqlite", "rustix", "tokio"];

pub(crate) fn main() -> anyhow::Result<()> {
    let text =
        shell::output(&mut shell::cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata")?;
    let arrows = arrows(&metadata)?;
    let refused = refused(&arrows);
    for arrow in &refused {
        println!("{arrow}");
    }
    if !refused.is_empty() {
        bail!("the table of allowed arrows is in xtask/src/deps.rs and ARCHITECTURE.md");
    }
    shell::good(&format!("{} arrows between crates", arrows.len()));
    Ok(())
}

/// One crate uses another.
#[derive(Debug, PartialEq, Eq)]
struct Arrow {
    from: String,
    to: String,
    is_ours: bool,
}

/// The arrows inside the workspace, and those by which a pure crate would become impure.
fn arrows(metadata: &Value) -> anyhow::Result<Vec<Arrow>> {
    let packages = metadata["packages"].as_array().context("packages")?;
    let mut arrows = Vec::new();
    for package in packages {
        let from = short(package["name"].as_str().context("name of a package")?);
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let name = dependency["name"].as_str().context("name of a dependency")?;
            let is_ours = dependency["path"].is_string();
            let makes_impure = PURE.contains(&from) && IMPURE.contains(&name);
            if dependency["kind"] != "dev" && (is_ours || makes_impure) {
                let (from, to) = (from.to_owned(), short(name).to_owned());
                arrows.push(Arrow { from, to, is_ours });
            }
        }
    }
    Ok(arrows)
}

fn refused(arrows: &[Arrow]) -> Vec<String> {
    let refusal = |arrow: &Arrow| match arrow {
        Arrow { from, to, is_ours } if !is_ours => Some(format!("{from} is pure: no {to} in it")),
        Arrow { from, to, .. } if !is_allowed(from, to) => Some(format!("{from} may not use {to}")),
        _ => None,
    };
    arrows.iter().filter_map(refusal).collect()
}

fn is_allowed(from: &str, to: &str) -> bool {
    let table = ALLOWED.lines().filter_map(|line| line.split_once("->"));
    let row = table
        .filter(|(left, _)| left.trim() == from)
        .flat_map(|(_, right)| right.split_whitespace())
        .any(|right| right == to || right == "*");
    row || (to == "model" && from != "model")
}

fn short(name: &str) -> &str {
    name.strip_prefix("dormouse-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One line for each dependency, as in `api uses model`; `dev:` before a test's own.
    fn check(uses: &str, expected: &str) {
        let packages: Vec<Value> = uses
            .lines()
            .map(|line| {
                let (from, to) = line.split_once(" uses ").unwrap();
                let (kind, from) = match from.trim().strip_prefix("dev:") {
                    Some(from) => (json!("dev"), from),
                    None => (Value::Null, from.trim()),
                };
                let path = if to.starts_with("dormouse-") { json!("/x") } else { Value::Null };
                let dependency = json!({ "name": to, "kind": kind, "path": path });
                json!({ "name": from, "dependencies": [dependency] })
            })
            .collect();
        let arrows = arrows(&json!({ "packages": packages })).unwrap();
        assert_eq!(refused(&arrows).join("; "), expected);
    }

    #[test]
    fn arrows_in_the_table_pass() {
        check(
            "dormouse uses dormouse-sandbox
             dormouse-frontend uses dormouse-store
             dormouse-sandbox uses dormouse-guest
             dormouse-store uses dormouse-model
             dormouse-store uses serde",
            "",
        );
    }

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_refused() {
        check(
            "dormouse-placement uses dormouse-store
             dormouse-guest uses dormouse-sandbox
             dormouse-model uses dormouse-model",
            "placement may not use store; guest may not use sandbox; model may not use model",
        );
    }

    #[test]
    fn tests_may_use_what_the_product_may_not() {
        check("dev:dormouse-placement uses dormouse-sandbox", "");
    }

    #[test]
    fn a_pure_crate_stays_pure() {
        check(
            "dormouse-model uses tokio
             dormouse-store uses tokio",
            "model is pure: no tokio in it",
        );
    }
}
