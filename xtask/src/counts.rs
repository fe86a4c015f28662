//! `cargo xtask counts`: instructions of the warm path, compared with those in `bench/counts.json`.
//!
//! A machine's load changes times by a factor of two and counts of instructions not at all, so a piece
//! that became some per cent heavier is found here and nowhere else. What is counted is in
//! `bench/benches/counts`; the counting is Callgrind's, through gungraun.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{build, shell};

const BASELINE: &str = "bench/counts.json";
/// By how much a count may grow. Runs of the same build differ by less than half a per cent.
const TOLERANCE_PERCENT: u64 = 5;
const RUNNER: &str = "gungraun-runner";

/// Instructions by piece.
type Counts = BTreeMap<String, u64>;

/// Compares, or records with `record`.
pub(crate) fn main(record: bool) -> anyhow::Result<()> {
    if shell::find("valgrind").is_none() {
        bail!("valgrind is missing; install it with: apt-get install valgrind");
    }
    if !runner().is_file() {
        install_runner()?;
    }
    let compiler = build::compiler()?;
    let counts = count()?;
    let path = shell::root().join(BASELINE);
    if record {
        let baseline = json!({ "compiler": compiler, "counts": counts });
        fs::write(&path, format!("{baseline:#}\n"))?;
        shell::good(&format!("{BASELINE} has {} counts", counts.len()));
        return Ok(());
    }
    let baseline = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let baseline: Value = serde_json::from_str(&baseline).context(BASELINE)?;
    let before: Counts = serde_json::from_value(baseline["counts"].clone()).context(BASELINE)?;
    let findings = compare(&before, &counts);
    findings.iter().for_each(|finding| println!("{}", finding.line));
    let wrong = findings.iter().filter(|finding| finding.is_wrong).count();
    if wrong == 0 {
        shell::good("no piece of the warm path is heavier than recorded");
        return Ok(());
    }
    let how = "cargo xtask counts --record";
    if baseline["compiler"] != compiler {
        shell::warn(&format!(
            "recorded with {}, counted with {compiler}: when nothing else changed, {how}",
            baseline["compiler"]
        ));
        return Ok(());
    }
    bail!("{wrong} of {BASELINE} do not hold; if that is meant, say why in the commit and {how}")
}

/// For `check`: compares where that costs no installation, and says when it does not.
pub(crate) fn if_installed() -> anyhow::Result<()> {
    if shell::find("valgrind").is_none() || !runner().is_file() {
        shell::warn(
            "valgrind or gungraun-runner is missing: instructions of the warm path were NOT \
             counted. cargo xtask counts installs the latter",
        );
        return Ok(());
    }
    main(false)
}

fn tools() -> PathBuf {
    shell::root().join("target/tools")
}

fn runner() -> PathBuf {
    tools().join("bin").join(RUNNER)
}

/// The runner must have the very version of the library.
fn install_runner() -> anyhow::Result<()> {
    let lock = fs::read_to_string(shell::root().join("Cargo.lock"))?;
    let version = locked(&lock, RUNNER).context("Cargo.lock has no gungraun-runner")?;
    let mut install = shell::cargo(&["install", "--locked", RUNNER, "--version", version]);
    shell::run(install.arg("--root").arg(tools()))
}

/// The version of a package in a lock file.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

fn count() -> anyhow::Result<Counts> {
    let bench = ["bench", "--locked", "-p", "dormouse-bench", "--bench", "counts"];
    let mut build = shell::cargo(&bench);
    shell::run(build.args(["--profile", "counts", "--no-run"]))?;
    let mut count = shell::cargo(&bench);
    count.args(["--quiet", "--profile", "counts", "--", "--output-format=json"]);
    shell::heading("counting");
    read(&shell::output(count.env("PATH", path_with(tools().join("bin"))?))?)
}

fn path_with(first: PathBuf) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(first).chain(std::env::split_paths(&path)))?)
}

/// One line of JSON a piece.
fn read(lines: &str) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    for line in lines.lines() {
        let summary: Value = serde_json::from_str(line).context("a summary of gungraun")?;
        let (function, id) = (summary["function_name"].as_str(), summary["id"].as_str());
        let metrics = &summary["profiles"][0]["data"]["total"]["metrics"];
        let instructions = metrics["Ir"]["values"]["new"].as_u64();
        let whole = function.zip(id).zip(instructions);
        let ((function, id), instructions) = whole.context("a summary without a count")?;
        counts.insert(format!("{function}: {}", id.replace('_', " ")), instructions);
    }
    Ok(counts)
}

/// What is to be said of one piece.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: String,
    is_wrong: bool,
}

fn compare(before: &Counts, now: &Counts) -> Vec<Finding> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    names.into_iter().map(|name| finding(name, before.get(name), now.get(name))).collect()
}

fn finding(name: &str, before: Option<&u64>, now: Option<&u64>) -> Finding {
    let (line, is_wrong) = match (before.copied(), now.copied()) {
        (Some(before), Some(now)) if is_more(now, before) => {
            (format!("{now:>12}  {name}: HEAVIER by {}", percent(now - before, before)), true)
        }
        (Some(before), Some(now)) if is_more(before, now) => {
            let less = percent(before - now, before);
            (format!("{now:>12}  {name}: lighter by {less}; worth recording"), false)
        }
        (Some(_), Some(now)) => (format!("{now:>12}  {name}"), false),
        (Some(_), None) => (format!("{:>12}  {name}: is not counted any more", "-"), true),
        (None, Some(now)) => (format!("{now:>12}  {name}: is not recorded"), true),
        (None, None) => (name.to_owned(), true),
    };
    Finding { line, is_wrong }
}

fn is_more(one: u64, other: u64) -> bool {
    u128::from(one) * 100 > u128::from(other) * u128::from(100 + TOLERANCE_PERCENT)
}

/// In tenths, rounded down.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name before now`, a dash for none; one line each.
    fn check(before_and_now: &str, expected: &[&str]) {
        let (mut before, mut now) = (Counts::new(), Counts::new());
        for line in before_and_now.lines() {
            let [name, old, new] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            before.extend(old.parse().map(|old| (name.to_owned(), old)));
            now.extend(new.parse().map(|new| (name.to_owned(), new)));
        }
        let findings = compare(&before, &now);
        let lines = findings.iter().map(|finding| {
            let mark = if finding.is_wrong { "! " } else { "" };
            format!("{mark}{}", finding.line.trim_start())
        });
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{before_and_now}");
    }

    #[test]
    fn what_is_heavier_than_allowed_is_named() {
        check("a 1000 1050", &["1050  a"]);
        check("a 1000 1051", &["! 1051  a: HEAVIER by 5.1 %"]);
        check("a 46 92", &["! 92  a: HEAVIER by 100.0 %"]);
    }

    #[test]
    fn what_is_lighter_is_no_fault() {
        check("a 1050 1000", &["1000  a"]);
        check("a 2000 1000", &["1000  a: lighter by 50.0 %; worth recording"]);
    }

    #[test]
    fn nothing_is_left_out_in_silence() {
        check(
            "a 1 -
             b - 2",
            &["! -  a: is not counted any more", "! 2  b: is not recorded"],
        );
    }

    #[test]
    fn a_count_is_read_from_a_summary_and_one_without_is_refused() {
        let line = json!({
            "function_name": "route_invoke", "id": "as_signed",
            "profiles": [{ "data": { "total": { "metrics": { "Ir": { "values": { "new": 7 } } } } } }],
        });
        let counts = read(&format!("{line}\n")).unwrap();
        assert_eq!(counts, Counts::from([("route_invoke: as signed".to_owned(), 7)]));
        assert!(read("{\"function_name\": \"a\", \"id\": \"b\"}").is_err());
        assert!(read("no JSON").is_err());
    }

    #[test]
    fn the_runners_version_is_the_locked_one() {
        let lock =
            "[[package]]\nname = \"gungraun-runner\"\nversion = \"0.20.0\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, RUNNER), Some("0.20.0"));
        assert_eq!(locked(lock, "gungraun"), None);
    }
}
