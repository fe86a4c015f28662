//! Many environments at once: how long a burst of first invokes takes, and what the frozen
//! environments cost in memory afterwards.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::effort::Bench;
use crate::functions::{self, Function};
use crate::lives;
use crate::load;
use crate::machine;
use crate::processes;
use crate::report::{Table, mib};

/// As in the goal: so long that most environments cannot serve twice.
const SLEEP: &[u8] = br#"{"sleep_ms":200}"#;
const KIB_PER_GIB: u64 = 1_024 * 1_024;

/// Prints the table and returns its figures.
pub(crate) fn run(bench: Bench<'_>) -> anyhow::Result<Value> {
    let mut table = Table::new(
        format!("{} first invokes at once, each sleeping 200 ms; then frozen", bench.effort.burst),
        &[
            "runtime",
            "all answered (ms)",
            "errors",
            "environments",
            "processes",
            "PSS each (MiB)",
            "kernel each (MiB)",
            "environments per GiB",
            "load",
        ],
    );
    let mut record = Vec::new();
    for function in bench.functions.iter().filter(|function| function.echoes) {
        record.push(one(bench, function, &mut table)?);
    }
    table.print();
    Ok(json!(record))
}

fn one(bench: Bench<'_>, function: &Function, table: &mut Table) -> anyhow::Result<Value> {
    let name = format!("burst-{}", function.label);
    let mut client = bench.server.client()?;
    function.create(&mut client, &name)?;
    let before = processes::sandboxed(bench.server.pid());
    let load = machine::load();
    let (took, errors) = load::at_once(bench.server.address, &name, SLEEP, bench.effort.burst)?;
    let environments = lives::at_rest(&mut client, &name)?;
    ensure!(environments > 0, "{name} has no environment after its burst");
    let mut pids = processes::sandboxed(bench.server.pid());
    pids.retain(|pid| !before.contains(pid));
    let count = u64::try_from(environments)?;
    let pss = processes::pss_kib(&pids) / count;
    let kernel = processes::kernel_kib(&pids).map(|kib| kib / count);
    let per_gib = KIB_PER_GIB / (pss + kernel.unwrap_or(0)).max(1);
    functions::delete(&mut client, &name)?;
    let took_ms = took.as_secs_f64() * 1_000.0;
    table.row(vec![
        function.label.clone(),
        format!("{took_ms:.0}"),
        errors.to_string(),
        environments.to_string(),
        pids.len().to_string(),
        mib(pss),
        kernel.map_or_else(|| "not readable".to_owned(), mib),
        per_gib.to_string(),
        format!("{load:.2}"),
    ]);
    Ok(json!({
        "row": "burst", "runtime": function.label, "load": load, "invokes": bench.effort.burst,
        "allAnsweredMs": took_ms, "errors": errors, "environments": environments,
        "pssKib": pss, "kernelKib": kernel, "perGib": per_gib,
    }))
}
