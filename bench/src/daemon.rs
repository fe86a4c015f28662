//! The daemon itself: its start, its memory and its wake-ups while it has nothing to do.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::effort::Effort;
use crate::functions::Function;
use crate::machine;
use crate::pool::Pool;
use crate::processes;
use crate::report::{Table, mib};
use crate::server::Server;
use crate::time::{Samples, now, pause};

/// Who creates the many functions at the same time.
const CREATORS: usize = 4;

/// Prints the table and returns its figures. Uses a server of its own.
pub(crate) fn run(
    binary: &Path,
    directory: &Path,
    smallest: &Function,
    effort: Effort,
) -> anyhow::Result<Value> {
    let mut table = Table::new(
        "The daemon, idle",
        &[
            "functions",
            "ready after (ms)",
            "RSS (MiB)",
            "PSS with spawner (MiB)",
            "sleeps a second",
            "stopped after (ms)",
            "load",
        ],
    );
    let empty = one(binary, directory, 0, effort, &mut table)?;
    let server = Server::start(binary, directory, Pool::Empty)?;
    let mut created = create_many(&server, smallest, effort.many_functions)?;
    server.stop()?;
    let full = one(binary, directory, effort.many_functions, effort, &mut table)?;
    table.print();
    let mut control =
        Table::new(format!("CreateFunction, {CREATORS} clients (ms)"), &["n", "p50", "p99"]);
    control.row(vec![
        created.len().to_string(),
        crate::report::millis(created.p50()),
        crate::report::millis(created.percentile(99.0)),
    ]);
    control.print();
    Ok(json!([empty, full, { "row": "create", "dormouse": created.figures() }]))
}

fn one(
    binary: &Path,
    directory: &Path,
    functions: usize,
    effort: Effort,
    table: &mut Table,
) -> anyhow::Result<Value> {
    let load = machine::load();
    let server = Server::start(binary, directory, Pool::Empty)?;
    server.settle()?;
    let rss = processes::rss_kib(server.pid()).context("memory of the server")?;
    let pss = processes::pss_kib(&processes::unconfined(server.pid()));
    // What a server still does for a moment after its start is not what it does when idle.
    pause(effort.watched);
    let sleeps = sleeps_a_second(&server, effort.watched);
    let ready = server.started_within;
    let stopped = server.stop()?;
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    table.row(vec![
        functions.to_string(),
        format!("{:.1}", ms(ready)),
        mib(rss),
        mib(pss),
        format!("{sleeps:.1}"),
        format!("{:.0}", ms(stopped)),
        format!("{load:.2}"),
    ]);
    Ok(json!({
        "row": "daemon", "functions": functions, "load": load, "readyMs": ms(ready),
        "rssKib": rss, "pssKib": pss, "sleepsPerSecond": sleeps, "stoppedMs": ms(stopped),
    }))
}

fn sleeps_a_second(server: &Server, watched: Duration) -> f64 {
    let before = processes::sleeps(server.pid());
    pause(watched);
    let after = processes::sleeps(server.pid());
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let sleeps = after.saturating_sub(before) as f64;
    sleeps / watched.as_secs_f64()
}

fn create_many(server: &Server, function: &Function, count: usize) -> anyhow::Result<Samples> {
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CREATORS)
            .map(|creator| scope.spawn(move || create_some(server, function, creator, count)))
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<Vec<_>>()
    });
    let mut all = Samples::default();
    for result in results {
        all.append(result.ok().context("a creator panicked")??);
    }
    Ok(all)
}

/// Each creator makes its share.
fn create_some(
    server: &Server,
    function: &Function,
    creator: usize,
    count: usize,
) -> anyhow::Result<Samples> {
    let mut client = server.client()?;
    let mut samples = Samples::default();
    for number in (creator..count).step_by(CREATORS) {
        let creation = function.creation(&format!("many-{number}"))?;
        let sent = now();
        client.call("POST", "/2015-03-31/functions", &creation)?;
        samples.push(sent.elapsed());
    }
    Ok(samples)
}
