//! The closed loop: each client sends its next request when it has its answer.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{EVENT, Subject};
use crate::floor;
use crate::lives;
use crate::load::{self, Outcome, Plan};
use crate::machine;
use crate::report::{Table, micros, ratio};

/// Long enough for all environments of a scale-up to be busy at the same time.
const SLEEP: &[u8] = br#"{"sleep_ms":300}"#;

pub(super) fn table() -> Table {
    Table::new(
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
    )
}

impl Subject<'_> {
    /// The row for the record, and how many answers a second there were.
    pub(super) fn closed(
        &mut self,
        clients: usize,
        table: &mut Table,
    ) -> anyhow::Result<(Value, f64)> {
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
        let row = json!({
            "row": "warm", "runtime": self.function.label, "clients": clients, "load": load,
            "floor": f.figures(), "dormouse": o.figures(), "errors": ours.errors,
            "floorBestP50": floors.best_p50, "bestP50": ours.best_p50,
            "floorPerSecond": floor_rate, "perSecond": rate,
        });
        Ok((row, rate))
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
    pub(super) fn frozen_per_invoke(&mut self) -> anyhow::Result<f64> {
        let lives = lives::of(&mut self.client, &self.name)?;
        Ok(lives::count(&lives, "frozen") / lives::count(&lives, "invoke").max(1.0))
    }
}
