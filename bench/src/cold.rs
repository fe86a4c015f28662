//! Cold starts: the first invoke after a change of configuration, beside the bare start of the same
//! program on the floor.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::effort::Bench;
use crate::floor::Floor;
use crate::functions::{self, Function};
use crate::http::{Client, invoke};
use crate::lives;
use crate::machine;
use crate::report::{Table, millis};
use crate::time::{Samples, now};

const EVENT: &[u8] = br#"{"name":"you"}"#;

/// Prints the table and returns its figures.
pub(crate) fn run(bench: Bench<'_>) -> anyhow::Result<Value> {
    let mut table = Table::new(
        format!("Cold start, request to answer, standby pool {} (ms)", bench.pool.name()),
        &[
            "runtime",
            "floor p50",
            "max",
            "dormouse p50",
            "p99",
            "max",
            "above the floor",
            "sandbox p50",
            "init p50",
            "n",
            "load",
        ],
    );
    let mut record = Vec::new();
    for function in bench.functions {
        record.push(one(bench, function, &mut table)?);
    }
    table.print();
    Ok(json!(record))
}

fn one(bench: Bench<'_>, function: &Function, table: &mut Table) -> anyhow::Result<Value> {
    let name = format!("cold-{}", function.label);
    let mut client = bench.server.client()?;
    function.create(&mut client, &name)?;
    let floor = Floor::start(function, bench.server.bootstraps(), bench.directory)?;
    let mut floor_client = Client::connect(floor.address)?;
    let load = machine::load();
    let request = invoke(bench.server.address, &name, EVENT);
    let (mut ours, mut floors) = (Samples::default(), Samples::default());
    // The first of each finds a cold page cache: it is not counted.
    for turn in 0..=bench.effort.cold_starts {
        let bare = floor.cold(&mut floor_client, EVENT)?;
        // Before the change, which connects: a server closes what is idle for as long as this may take.
        bench.fill(function)?;
        functions::change(&mut client, &name, turn)?;
        let sent = now();
        let answer = client.exchange(&request)?;
        let took = sent.elapsed();
        ensure!(answer.is_good(), "{name}: {}", String::from_utf8_lossy(answer.body));
        if turn > 0 {
            floors.push(bare);
            ours.push(took);
        }
    }
    let lives = lives::of(&mut client, &name)?;
    let mut sandbox = lives::steps(&lives, "created", "provisioned");
    let mut init = lives::steps(&lives, "init", "ready");
    functions::delete(&mut client, &name)?;
    let above = ours.p50().zip(floors.p50()).map(|(ours, floor)| ours - floor);
    table.row(vec![
        function.label.clone(),
        millis(floors.p50()),
        millis(floors.max()),
        millis(ours.p50()),
        millis(ours.percentile(99.0)),
        millis(ours.max()),
        millis(above),
        millis(sandbox.p50()),
        millis(init.p50()),
        ours.len().to_string(),
        format!("{load:.2}"),
    ]);
    Ok(json!({
        "row": "cold", "runtime": function.label, "pool": bench.pool.name(), "load": load,
        "floor": floors.figures(), "dormouse": ours.figures(),
        "sandbox": sandbox.figures(), "init": init.figures(),
    }))
}
