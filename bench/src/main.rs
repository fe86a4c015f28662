//! `dormouse-bench`: measures a Dormouse binary on this machine, beside the floor of the same run.
//!
//! Builds nothing. Starts the server on a free port in a temporary directory, measures one group of
//! figures after the other, prints a Markdown table for each, and stops what it started. Figures
//! without the floor, the load and the disk of the same run mean little: all are printed with them.

mod cold;
mod daemon;
mod density;
mod effort;
mod floor;
mod floor_server;
mod functions;
mod goals;
mod http;
mod lives;
mod load;
mod machine;
mod open;
mod pace;
mod pool;
mod processes;
mod report;
mod restore;
mod rivals;
mod server;
mod time;
mod warm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use serde_json::{Map, Value, json};

use crate::effort::{Bench, Effort, FULL, QUICK};
use crate::goals::Verdict;
use crate::pool::Pool;
use crate::report::{micros, say};
use crate::server::Server;
use crate::time::now;

/// Measures Dormouse beside the floor: the smallest two-hop server on this machine.
#[derive(Debug, Parser)]
#[command(name = "dormouse-bench")]
struct Typed {
    /// The binary to measure [default: the release build below target/].
    #[arg(long, visible_alias = "binary", value_name = "PATH")]
    dormouse: Option<PathBuf>,
    /// A look in under a minute instead of a measurement in under five.
    #[arg(long)]
    quick: bool,
    /// Only these groups; `none` for rivals alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,
    /// Also measures the rivals that are installed in this directory; two minutes more.
    #[arg(long, value_name = "DIR")]
    rivals: Option<PathBuf>,
    /// Also measures restores, of a function whose boto3 lies in this directory.
    #[arg(long, value_name = "DIR")]
    boto3: Option<PathBuf>,
    /// Appends the figures as one line, as in bench/history.jsonl; `-` prints it.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    Daemon,
    Warm,
    Cold,
    Density,
    Restore,
    None,
}

/// What measures a group on a running server.
type Measure = fn(Bench<'_>) -> anyhow::Result<Value>;

fn main() -> ExitCode {
    let is_floor = std::env::args_os().nth(1).is_some_and(|arg| arg == floor::SERVER);
    let result = if is_floor { floor_server::main() } else { measure(&Typed::parse()) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the end of a command line program")]
            {
                eprintln!("dormouse-bench: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn measure(typed: &Typed) -> anyhow::Result<()> {
    let started = now();
    let binary = binary(typed.dormouse.as_deref())?;
    let effort = if typed.quick { QUICK } else { FULL };
    let directory = tempfile::Builder::new().prefix("dormouse-bench-").tempdir()?;
    let mut machine = machine::describe(directory.path(), &binary)?;
    introduce(&machine, &binary);
    let groups = groups(typed, &binary, directory.path(), effort)?;
    directory.close().context("the bench's directory")?;
    machine["loadAtEnd"] = json!(machine::load());
    let groups = Value::Object(groups);
    let verdicts = goals::judge(&groups);
    goals::table(&verdicts).print();
    let seconds = started.elapsed().as_secs();
    say(&format!("\nMeasured in {seconds} s, load {} at the end.", machine["loadAtEnd"]));
    if let Some(path) = &typed.json {
        let goals: Vec<Value> = verdicts.iter().map(Verdict::record).collect();
        let record = json!({
            "atMs": at_ms(), "effort": effort.name, "seconds": seconds, "machine": machine,
            "goals": goals, "groups": groups,
        });
        report::append(path, &record)?;
    }
    Ok(())
}

fn groups(
    typed: &Typed,
    binary: &Path,
    directory: &Path,
    effort: Effort,
) -> anyhow::Result<Map<String, Value>> {
    let wanted = |group: Group| typed.only.is_empty() || typed.only.contains(&group);
    let (functions, missing) = functions::find(binary)?;
    missing.iter().for_each(|sentence| say(sentence));
    let mut groups = Map::new();
    if wanted(Group::Daemon) {
        let idle = directory.join("idle");
        std::fs::create_dir(&idle)?;
        let smallest = functions.iter().min_by_key(|function| function.size());
        let smallest = smallest.context("no function can run on this machine")?;
        groups.insert("daemon".to_owned(), daemon::run(binary, &idle, smallest, effort)?);
    }
    let mut pools = vec![Pool::Empty];
    if pool::is_known(binary)? {
        pools.push(Pool::Full);
    } else {
        say("Without a standby pool: this binary has no --standby.");
    }
    for pool in pools {
        let measures: [(Group, &str, Measure); 3] = [
            (Group::Warm, "warm", warm::run),
            (Group::Cold, "cold", cold::run),
            (Group::Density, "density", density::run),
        ];
        // A pool is for who comes first: nothing of it is in a warm invoke.
        let concerned = |group| group != Group::Warm || pool == Pool::Empty;
        let measures =
            measures.into_iter().filter(|(group, ..)| wanted(*group) && concerned(*group));
        let mut measures = measures.peekable();
        // They are compared with cold starts that no pool made shorter.
        let rivals = typed.rivals.as_deref().filter(|_| pool == Pool::Empty);
        let restores = typed.boto3.as_deref().filter(|_| pool == Pool::Empty);
        let restores = restores.filter(|_| wanted(Group::Restore));
        if measures.peek().is_none() && rivals.is_none() && restores.is_none() {
            continue;
        }
        let server = Server::start(binary, directory, pool)?;
        server.settle()?;
        let bench = Bench { server: &server, pool, functions: &functions, directory, effort };
        for (_, name, run) in measures {
            let figures = run(bench);
            let figures =
                figures.with_context(|| format!("the server's log ends:\n{}", server.log()))?;
            groups.insert(format!("{name}{}", pool.suffix()), figures);
        }
        if let Some(packages) = restores {
            groups.insert("restore".to_owned(), restore::run(bench, packages)?);
        }
        if let Some(installed) = rivals {
            groups.insert("rivals".to_owned(), rivals::run(bench, &installed.canonicalize()?)?);
        }
        server.stop()?;
    }
    Ok(groups)
}

fn introduce(machine: &Value, binary: &Path) {
    let text = |key: &str| machine[key].as_str().unwrap_or("?").to_owned();
    say(&format!(
        "Dormouse {} ({}, {}) on {} cores, kernel {}, load {} at the start, 4 KiB write and fsync {} µs.",
        text("commit"),
        if machine["isStatic"] == true { "static" } else { "not static" },
        binary.display(),
        machine["cores"],
        text("kernel"),
        machine["loadAtStart"],
        micros(machine["fsync4kMicros"].as_f64()),
    ));
}

/// The binary that was named, or the newest way to find one.
fn binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return path.canonicalize().with_context(|| path.display().to_string());
    }
    let own = std::env::current_exe()?;
    let target = own.ancestors().find(|path| path.ends_with("target"));
    let target = target.unwrap_or(Path::new("target"));
    let places = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", ""];
    let mut paths = places.map(|place| target.join(place).join("release/dormouse")).into_iter();
    match paths.find(|path| path.exists()) {
        Some(path) => Ok(path),
        None => bail!("no binary to measure: build it with cargo xtask build, or give --dormouse"),
    }
}

fn at_ms() -> Option<u128> {
    #[expect(clippy::disallowed_methods, reason = "a record says when it was made")]
    let now = std::time::SystemTime::now();
    now.duration_since(UNIX_EPOCH).ok().map(|since| since.as_millis())
}
