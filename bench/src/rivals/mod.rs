//! Other servers that run Lambda functions on one machine, each as its authors distribute it, beside
//! the floor and Dormouse in the same run: warm invokes of one client, and cold starts.
//!
//! None of them isolates a function or stops it between invocations; Dormouse does both here too. What
//! is not installed or does not run here is told with its reason, and is no error.

mod kind;
mod process;

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::effort::Bench;
use crate::floor::{self, Floor};
use crate::functions::{self, Function};
use crate::http::{Client, invoke};
use crate::load::{self, Outcome, Plan};
use crate::machine;
use crate::report::{Table, micros, millis, ratio, say};
use crate::time::{Samples, now};

use kind::{Kind, Renewal};
use process::Running;

const EVENT: &[u8] = br#"{"name":"you"}"#;
const ROUNDS: usize = 3;
/// A round of a rival: some take 50 ms for an invoke.
const MEASURED: Duration = Duration::from_secs(1);
const COLD_STARTS: usize = 5;

/// Prints the tables and returns their figures.
pub(crate) fn run(bench: Bench<'_>, installed: &Path) -> anyhow::Result<Value> {
    let mut warm = Table::new(
        "Rivals: warm invoke, 1 client (µs)",
        &[
            "rival",
            "runtime",
            "floor p50",
            "p99",
            "dormouse p50",
            "p99",
            "rival p50",
            "p99",
            "rival / dormouse p50",
            "p99",
            "invokes",
            "load",
        ],
    );
    let mut cold = Table::new(
        "Rivals: cold start, request to answer, standby pool empty (ms)",
        &["rival", "runtime", "how", "dormouse p50", "rival p50", "max", "rival / dormouse", "n"],
    );
    let mut record = Vec::new();
    let mut missing = Vec::new();
    for kind in Kind::ALL {
        let version = match kind.version(installed) {
            Ok(version) => version,
            Err(reason) => {
                missing.push(format!("{} is not measured: {reason:#}.", kind.name()));
                continue;
            }
        };
        let offered = bench.functions.iter().filter(|function| kind.runs(function));
        for function in offered {
            let pair = Pair { bench, installed, kind, version: &version, function };
            let figures = pair.measure(&mut warm, &mut cold).unwrap_or_else(|error| {
                let label = &function.label;
                missing.push(format!("{} {version} did not run {label}: {error:#}.", kind.name()));
                json!({
                    "row": "rival", "rival": kind.name(), "version": version, "runtime": label,
                    "failed": format!("{error:#}"),
                })
            });
            record.push(figures);
        }
    }
    warm.print();
    cold.print();
    say("");
    missing.iter().for_each(|sentence| say(sentence));
    Ok(json!(record))
}

/// One rival with one function.
struct Pair<'a> {
    bench: Bench<'a>,
    installed: &'a Path,
    kind: Kind,
    version: &'a str,
    function: &'a Function,
}

impl Pair<'_> {
    fn measure(&self, warm: &mut Table, cold: &mut Table) -> anyhow::Result<Value> {
        let Self { bench, kind, function, version, .. } = *self;
        let load = machine::load();
        let (mut floors, mut ours, mut theirs) = self.warm()?;
        let ours_cold = &mut self.own_cold_starts()?;
        let theirs_cold = &mut self.cold_starts()?;
        let label = format!("{} {version}", kind.name());
        let (f, o, t) = (&mut floors.samples, &mut ours.samples, &mut theirs.samples);
        let mut cells = vec![label.clone(), function.label.clone()];
        for samples in [&mut *f, &mut *o, &mut *t] {
            cells.extend([micros(samples.p50()), micros(samples.percentile(99.0))]);
        }
        cells.extend([
            ratio(t.p50(), o.p50()),
            ratio(t.percentile(99.0), o.percentile(99.0)),
            t.len().to_string(),
            format!("{load:.2}"),
        ]);
        warm.row(cells);
        cold.row(vec![
            label,
            function.label.clone(),
            kind.renewal().name().to_owned(),
            millis(ours_cold.p50()),
            millis(theirs_cold.p50()),
            millis(theirs_cold.max()),
            ratio(theirs_cold.p50(), ours_cold.p50()),
            theirs_cold.len().to_string(),
        ]);
        debug_assert_eq!(bench.pool.name(), "empty", "the cold starts compared have no pool");
        Ok(json!({
            "row": "rival", "rival": kind.name(), "version": version, "runtime": function.label,
            "load": load, "errors": theirs.errors,
            "warm": { "floor": f.figures(), "dormouse": o.figures(), "rival": t.figures() },
            "cold": { "dormouse": ours_cold.figures(), "rival": theirs_cold.figures() },
        }))
    }

    /// Floor, Dormouse and rival in turn.
    fn warm(&self) -> anyhow::Result<(Outcome, Outcome, Outcome)> {
        let Self { bench, function, .. } = *self;
        let mut floor = Floor::start(function, bench.server.bootstraps(), bench.directory)?;
        floor.scale(1)?;
        let name = self.own_name();
        let mut client = bench.server.client()?;
        function.create(&mut client, &name)?;
        let rival = self.start()?;
        let plan = Plan {
            address: rival.address,
            function: &rival.function,
            payload: EVENT,
            clients: 1,
            warm_up: bench.effort.warm_up,
            measured: MEASURED,
        };
        let measured = bench.effort.measured;
        let on_floor = Plan { address: floor.address, function: floor::NAME, measured, ..plan };
        let here = Plan { address: bench.server.address, function: &name, measured, ..plan };
        let (mut floors, mut ours, mut theirs) = <(Outcome, Outcome, Outcome)>::default();
        for _ in 0..ROUNDS {
            floors.append(load::closed_loop(on_floor)?);
            ours.append(load::closed_loop(here)?);
            theirs.append(load::closed_loop(plan)?);
        }
        functions::delete(&mut client, &name)?;
        ensure!(theirs.samples.len() > 0, "{} invokes failed", theirs.errors);
        Ok((floors, ours, theirs))
    }

    fn own_cold_starts(&self) -> anyhow::Result<Samples> {
        let name = self.own_name();
        let mut client = self.bench.server.client()?;
        self.function.create(&mut client, &name)?;
        let samples =
            changed(&mut client, &name, &invoke(self.bench.server.address, &name, EVENT))?;
        functions::delete(&mut client, &name)?;
        Ok(samples)
    }

    fn cold_starts(&self) -> anyhow::Result<Samples> {
        if self.kind.renewal() == Renewal::Change {
            let rival = self.start()?;
            let request = invoke(rival.address, &rival.function, EVENT);
            return changed(&mut Client::connect(rival.address)?, &rival.function, &request);
        }
        let mut samples = Samples::default();
        for turn in 0..=COLD_STARTS {
            let rival = self.start()?;
            let request = invoke(rival.address, &rival.function, EVENT);
            let mut client = Client::connect(rival.address)?;
            let took = cold(&mut client, &request)?;
            if turn > 0 {
                samples.push(took);
            }
        }
        Ok(samples)
    }

    fn start(&self) -> anyhow::Result<Running> {
        self.kind.start(self.installed, self.function, self.bench.directory)
    }

    fn own_name(&self) -> String {
        format!("beside-{}-{}", self.kind.name(), self.function.label)
    }
}

/// Cold starts by changes of the configuration. The first finds a cold page cache: it is not counted.
fn changed(client: &mut Client, name: &str, request: &[u8]) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for turn in 0..=COLD_STARTS {
        functions::change(client, name, turn)?;
        let took = cold(client, request)?;
        if turn > 0 {
            samples.push(took);
        }
    }
    Ok(samples)
}

fn cold(client: &mut Client, request: &[u8]) -> anyhow::Result<Duration> {
    let sent = now();
    let answer = client.exchange(request)?;
    let took = sent.elapsed();
    ensure!(answer.is_good(), "answered {}", String::from_utf8_lossy(answer.body));
    Ok(took)
}
