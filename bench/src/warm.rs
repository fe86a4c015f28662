//! Warm invokes beside the floor: in a closed loop, with pauses, and with large payloads; and what
//! the environments did meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::effort::Bench;
use crate::floor::{self, Floor};
use crate::functions::{self, Function};
use crate::http::{Client, invoke};
use crate::lives;
use crate::load::{self, Outcome, Plan};
use crate::machine;
use crate::report::{Table, micros, millis, ratio};
use crate::time::{Samples, now, pause};

const EVENT: &[u8] = br#"{"name":"you"}"#;
/// Long enough for all environments of a scale-up to be busy at the same time.
const SLEEP: &[u8] = br#"{"sleep_ms":300}"#;
/// After the short one the environment has been frozen but the machine is awake; after the long one
/// the cores have gone to sleep too. The long one is last: its moments are the ones looked at.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(20)];
const PAYLOADS: [usize; 2] = [1_000_000, 5_500_000];

/// Prints the tables and returns their figures.
pub(crate) fn run(bench: Bench<'_>) -> anyhow::Result<Value> {
    let mut tables = Tables::new();
    let mut record = Vec::new();
    for function in bench.functions {
        let name = format!("warm-{}", function.label);
        let mut subject = Subject {
            client: bench.server.client()?,
            floor: Floor::start(function, bench.server.bootstraps(), bench.directory)?,
            address: bench.server.address,
            bench,
            function,
            name,
        };
        function.create(&mut subject.client, &subject.name)?;
        subject.measure(&mut tables, &mut record)?;
        functions::delete(&mut subject.client, &subject.name)?;
    }
    tables.print();
    Ok(json!(record))
}

struct Tables {
    closed: Table,
    paced: Table,
    steps: Table,
    payloads: Table,
}

impl Tables {
    fn new() -> Self {
        Self {
            closed: Table::new(
                "Warm invoke, closed loop (µs); best: the median of the best round",
                &[
                    "runtime",
                    "clients",
                    "floor best",
                    "p50",
                    "p90",
                    "p99",
                    "dormouse best",
                    "p50",
                    "p90",
                    "p99",
                    "best ratio",
                    "p50 ratio",
                    "p99 ratio",
                    "floor /s",
                    "dormouse /s",
                    "rate ratio",
                    "invokes",
                    "errors",
                    "load",
                ],
            ),
            paced: Table::new(
                "Warm invoke after a pause, so that the environment is frozen (µs)",
                &[
                    "runtime",
                    "pause (ms)",
                    "floor p50",
                    "p99",
                    "dormouse p50",
                    "p99",
                    "p50 ratio",
                    "p99 ratio",
                    "load",
                ],
            ),
            steps: Table::new(
                "Freeze and thaw, as the server tells them (µs)",
                &[
                    "runtime",
                    "thaw to event p50",
                    "p99",
                    "event to answer p50",
                    "answer to report p50",
                    "report to frozen p50",
                    "p99",
                    "frozen per invoke in the closed loop",
                ],
            ),
            payloads: Table::new(
                "Echo of a large payload (ms)",
                &["runtime", "bytes", "floor p50", "dormouse p50", "max", "p50 ratio", "load"],
            ),
        }
    }

    fn print(&self) {
        for table in [&self.closed, &self.paced, &self.steps, &self.payloads] {
            table.print();
        }
    }
}

/// One function here and on the floor.
struct Subject<'a> {
    bench: Bench<'a>,
    function: &'a Function,
    name: String,
    address: SocketAddr,
    client: Client,
    floor: Floor,
}

impl Subject<'_> {
    fn measure(&mut self, tables: &mut Tables, record: &mut Vec<Value>) -> anyhow::Result<()> {
        for (turn, clients) in self.bench.effort.clients.iter().enumerate() {
            record.push(self.closed(*clients, &mut tables.closed)?);
            if turn == 0 {
                let frozen = self.frozen_per_invoke()?;
                for rest in PAUSES {
                    record.push(self.paced(rest, &mut tables.paced)?);
                }
                record.push(self.steps(frozen, &mut tables.steps)?);
            }
        }
        if self.function.echoes {
            for bytes in PAYLOADS {
                record.push(self.payload(bytes, &mut tables.payloads)?);
            }
        }
        Ok(())
    }

    fn closed(&mut self, clients: usize, table: &mut Table) -> anyhow::Result<Value> {
        self.floor.scale(clients)?;
        load::at_once(self.address, &self.name, SLEEP, clients)?;
        let load = machine::load();
        let (mut ours, mut floors) = (Outcome::default(), Outcome::default());
        for _ in 0..self.bench.effort.rounds {
            floors.append(self.round(self.floor.address, floor::NAME, clients)?);
            ours.append(self.round(self.address, &self.name, clients)?);
        }
        let (floor_rate, rate) = (floors.rate(), ours.rate());
        let mut cells = vec![self.function.label.clone(), clients.to_string()];
        for outcome in [&mut floors, &mut ours] {
            cells.push(micros(outcome.best_p50));
            let percentiles = [50.0, 90.0, 99.0].map(|percent| outcome.samples.percentile(percent));
            cells.extend(percentiles.map(micros));
        }
        cells.push(ratio(ours.best_p50, floors.best_p50));
        let (f, o) = (&mut floors.samples, &mut ours.samples);
        cells.push(ratio(o.p50(), f.p50()));
        cells.push(ratio(o.percentile(99.0), f.percentile(99.0)));
        cells.extend([
            format!("{floor_rate:.0}"),
            format!("{rate:.0}"),
            ratio(Some(rate), Some(floor_rate)),
            o.len().to_string(),
            (ours.errors + floors.errors).to_string(),
            format!("{load:.2}"),
        ]);
        table.row(cells);
        Ok(json!({
            "row": "warm", "runtime": self.function.label, "clients": clients, "load": load,
            "floor": f.figures(), "dormouse": o.figures(), "errors": ours.errors,
            "floorBestP50": floors.best_p50, "bestP50": ours.best_p50,
            "floorPerSecond": floor_rate, "perSecond": rate,
        }))
    }

    fn round(&self, address: SocketAddr, name: &str, clients: usize) -> anyhow::Result<Outcome> {
        load::closed_loop(Plan {
            address,
            function: name,
            payload: EVENT,
            clients,
            warm_up: self.bench.effort.warm_up,
            measured: self.bench.effort.measured,
        })
    }

    /// A freeze is skipped when the next event is there already.
    fn frozen_per_invoke(&mut self) -> anyhow::Result<f64> {
        let lives = lives::of(&mut self.client, &self.name)?;
        Ok(lives::count(&lives, "frozen") / lives::count(&lives, "invoke").max(1.0))
    }

    fn paced(&self, rest: Duration, table: &mut Table) -> anyhow::Result<Value> {
        let load = machine::load();
        let count = self.bench.effort.paced;
        let mut floors = one_by_one(self.floor.address, floor::NAME, EVENT, count, rest)?;
        let mut ours = one_by_one(self.address, &self.name, EVENT, count, rest)?;
        table.row(vec![
            self.function.label.clone(),
            rest.as_millis().to_string(),
            micros(floors.p50()),
            micros(floors.percentile(99.0)),
            micros(ours.p50()),
            micros(ours.percentile(99.0)),
            ratio(ours.p50(), floors.p50()),
            ratio(ours.percentile(99.0), floors.percentile(99.0)),
            format!("{load:.2}"),
        ]);
        Ok(json!({
            "row": "paced", "runtime": self.function.label, "load": load, "pauseMs": rest.as_millis(),
            "floor": floors.figures(), "dormouse": ours.figures(),
        }))
    }

    /// Called right after the paced invokes: it is their moments that the server still knows.
    fn steps(&mut self, frozen: f64, table: &mut Table) -> anyhow::Result<Value> {
        lives::at_rest(&mut self.client, &self.name)?;
        let lives = lives::of(&mut self.client, &self.name)?;
        let mut thaw = lives::steps(&lives, "thawed", "invoke");
        let mut run = lives::steps(&lives, "invoke", "answered");
        let mut report = lives::steps(&lives, "answered", "reported");
        let mut freeze = lives::steps(&lives, "reported", "frozen");
        table.row(vec![
            self.function.label.clone(),
            micros(thaw.p50()),
            micros(thaw.percentile(99.0)),
            micros(run.p50()),
            micros(report.p50()),
            micros(freeze.p50()),
            micros(freeze.percentile(99.0)),
            format!("{:.0} %", frozen * 100.0),
        ]);
        Ok(json!({
            "row": "steps", "runtime": self.function.label, "frozenPerInvoke": frozen,
            "thawToEvent": thaw.figures(), "eventToAnswer": run.figures(),
            "answerToReport": report.figures(), "reportToFrozen": freeze.figures(),
        }))
    }

    fn payload(&mut self, bytes: usize, table: &mut Table) -> anyhow::Result<Value> {
        let load = machine::load();
        // A text of JSON: two quotes around so many letters.
        let mut text = vec![b'a'; bytes];
        text[0] = b'"';
        text[bytes - 1] = b'"';
        let count = self.bench.effort.large_payloads;
        let mut floors = one_by_one(self.floor.address, floor::NAME, &text, count, Duration::ZERO)?;
        let mut ours = one_by_one(self.address, &self.name, &text, count, Duration::ZERO)?;
        table.row(vec![
            self.function.label.clone(),
            bytes.to_string(),
            millis(floors.p50()),
            millis(ours.p50()),
            millis(ours.max()),
            ratio(ours.p50(), floors.p50()),
            format!("{load:.2}"),
        ]);
        Ok(json!({
            "row": "payload", "runtime": self.function.label, "bytes": bytes, "load": load,
            "floor": floors.figures(), "dormouse": ours.figures(),
        }))
    }
}

/// Invokes on one connection with a pause before each; all must answer, with as much as was sent.
fn one_by_one(
    address: SocketAddr,
    name: &str,
    payload: &[u8],
    count: usize,
    rest: Duration,
) -> anyhow::Result<Samples> {
    let mut client = Client::connect(address)?;
    let request = invoke(address, name, payload);
    let mut samples = Samples::default();
    // The first one may find buffers that have to grow: it is not counted.
    for turn in 0..=count {
        pause(rest);
        let sent = now();
        let answer = client.exchange(&request)?;
        let took = sent.elapsed();
        ensure!(answer.is_good(), "{name}: {}", String::from_utf8_lossy(answer.body));
        ensure!(
            payload == EVENT || answer.body.len() == payload.len(),
            "{name} answered {} bytes to {}",
            answer.body.len(),
            payload.len()
        );
        if turn > 0 {
            samples.push(took);
        }
    }
    Ok(samples)
}
