//! Warm invokes beside the floor: in a closed loop, with pauses, at a constant rate, and with large
//! payloads; and what the environments did meanwhile.

mod closed;
mod paced;
mod payload;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::effort::Bench;
use crate::floor::{self, Floor};
use crate::functions::{self, Function};
use crate::http::{Client, invoke};
use crate::machine;
use crate::open;
use crate::pace::Pace;
use crate::report::Table;
use crate::time::{Samples, now, pause};

const EVENT: &[u8] = br#"{"name":"you"}"#;
/// Clients of the closed loop whose rate the open loop takes its shares of.
const RATED_CLIENTS: usize = 8;

/// Prints the tables and returns their figures.
pub(crate) fn run(bench: Bench<'_>) -> anyhow::Result<Value> {
    let mut tables = Tables {
        closed: closed::table(),
        paced: paced::table(),
        steps: paced::steps_table(),
        open: open::table(),
        payloads: payload::table(),
    };
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
    let Tables { closed, paced, steps, open, payloads } = tables;
    [closed, paced, steps, open, payloads].iter().for_each(Table::print);
    Ok(json!(record))
}

struct Tables {
    closed: Table,
    paced: Table,
    steps: Table,
    open: Table,
    payloads: Table,
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
        let mut rated = 0.0;
        for (turn, clients) in self.bench.effort.clients.iter().enumerate() {
            let (row, per_second) = self.closed(*clients, &mut tables.closed)?;
            record.push(row);
            if *clients == RATED_CLIENTS {
                rated = per_second;
            }
            if turn == 0 {
                let frozen = self.frozen_per_invoke()?;
                for plan in paced::PAUSES {
                    record.push(self.paced(plan, &mut tables.paced)?);
                }
                record.push(self.steps(frozen, &mut tables.steps)?);
            }
        }
        for share in open::SHARES {
            record.extend(self.open(share, rated, &mut tables.open)?);
        }
        if self.function.echoes {
            for bytes in payload::SIZES {
                record.push(self.payload(bytes, &mut tables.payloads)?);
            }
        }
        Ok(())
    }

    /// As many connections as the closed loops had clients at most: so many environments are there.
    fn open(&self, share: u32, rated: f64, table: &mut Table) -> anyhow::Result<Option<Value>> {
        let per_second = rated * f64::from(share) / 100.0;
        let lasting = self.bench.effort.offered;
        let Some(pace) = Pace::new(per_second, lasting) else {
            return Ok(None);
        };
        let load = machine::load();
        let connections = self.bench.effort.clients.iter().copied().max().unwrap_or(1);
        let plan = open::Plan {
            address: self.address,
            function: &self.name,
            payload: EVENT,
            connections,
            pace,
            lasting,
        };
        let on_floor = open::Plan { address: self.floor.address, function: floor::NAME, ..plan };
        let mut floor = open::run(on_floor)?;
        let mut ours = open::run(plan)?;
        let offered = open::Offered { runtime: &self.function.label, share, per_second, load };
        Ok(Some(open::row(offered, &mut floor, &mut ours, table)))
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
