//! Many environments at once: how long a burst of first invokes takes, and what the frozen
//! environments cost in memory afterwards.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::effort::Bench;
use crate::functions::{self, Function};
use crate::lives;
use crate::load;
use crate::machine;
use crate::pool::Pool;
use crate::processes;
use crate::report::{Table, mib};

/// As in the goal: so long that most environments cannot serve twice.
const SLEEP: &[u8] = br#"{"sleep_ms":200}"#;
const KIB_PER_GIB: u64 = 1_024 * 1_024;

/// Prints the tables and returns their figures.
pub(crate) fn run(bench: Bench<'_>) -> anyhow::Result<Value> {
    let mut bursts = Table::new(
        format!(
            "{} first invokes at once, each sleeping 200 ms, standby pool {}",
            bench.effort.burst,
            bench.pool.name()
        ),
        &["runtime", "all answered (ms)", "errors", "environments", "load"],
    );
    let mut memory = Table::new(
        "The same environments, frozen",
        &[
            "runtime",
            "environments",
            "processes",
            "PSS each (MiB)",
            "kernel each (MiB)",
            "environments per GiB",
        ],
    );
    let mut record = Vec::new();
    for function in bench.functions.iter().filter(|function| function.echoes) {
        let name = format!("burst-{}", function.label);
        let mut client = bench.server.client()?;
        function.create(&mut client, &name)?;
        bench.fill(function)?;
        let before = processes::sandboxed(bench.server.pid());
        let (row, environments) = burst(bench, function, &name, &mut bursts)?;
        record.push(row);
        // What stands by is in no function's account, and would blur what one of its own costs.
        if bench.pool == Pool::Empty {
            let mut pids = processes::sandboxed(bench.server.pid());
            pids.retain(|pid| !before.contains(pid));
            record.push(frozen(function, environments, &pids, &mut memory)?);
        }
        functions::delete(&mut client, &name)?;
    }
    bursts.print();
    if bench.pool == Pool::Empty {
        memory.print();
    }
    Ok(json!(record))
}

/// The row, and how many environments are frozen afterwards.
fn burst(
    bench: Bench<'_>,
    function: &Function,
    name: &str,
    table: &mut Table,
) -> anyhow::Result<(Value, u64)> {
    let load = machine::load();
    let (took, errors) = load::at_once(bench.server.address, name, SLEEP, bench.effort.burst)?;
    let environments = lives::at_rest(&mut bench.server.client()?, name)?;
    ensure!(environments > 0, "{name} has no environment after its burst");
    let took_ms = took.as_secs_f64() * 1_000.0;
    table.row(vec![
        function.label.clone(),
        format!("{took_ms:.0}"),
        errors.to_string(),
        environments.to_string(),
        format!("{load:.2}"),
    ]);
    let row = json!({
        "row": "burst", "runtime": function.label, "pool": bench.pool.name(), "load": load,
        "invokes": bench.effort.burst, "allAnsweredMs": took_ms, "errors": errors,
        "environments": environments,
    });
    Ok((row, u64::try_from(environments)?))
}

fn frozen(
    function: &Function,
    environments: u64,
    pids: &BTreeSet<u32>,
    table: &mut Table,
) -> anyhow::Result<Value> {
    let pss = processes::pss_kib(pids) / environments;
    let kernel = processes::kernel_kib(pids).map(|kib| kib / environments);
    let per_gib = KIB_PER_GIB / (pss + kernel.unwrap_or(0)).max(1);
    table.row(vec![
        function.label.clone(),
        environments.to_string(),
        pids.len().to_string(),
        mib(pss),
        kernel.map_or_else(|| "not readable".to_owned(), mib),
        per_gib.to_string(),
    ]);
    Ok(json!({
        "row": "frozen", "runtime": function.label, "environments": environments,
        "pssKib": pss, "kernelKib": kernel, "perGib": per_gib,
    }))
}
