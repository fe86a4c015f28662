//! Invokes with a pause before each, so that every one finds a frozen environment; and how long the
//! steps around freeze and thaw took inside the server.

use std::time::Duration;

use serde_json::{Value, json};

use super::{EVENT, Subject, one_by_one};
use crate::floor;
use crate::lives;
use crate::machine;
use crate::report::{Table, micros, ratio};
use crate::time::Samples;

/// A pause, and what share of the effort's invokes it gets: one in so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    rest: Duration,
    one_in: usize,
}

/// After the short one the environment has been frozen but the machine is awake; after the long one
/// the cores have gone to sleep too. The long one is last: its moments are the ones looked at.
pub(super) const PAUSES: [Pause; 2] = [
    Pause { rest: Duration::from_millis(2), one_in: 1 },
    Pause { rest: Duration::from_millis(20), one_in: 3 },
];

pub(super) fn table() -> Table {
    Table::new(
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
            "invokes",
            "load",
        ],
    )
}

pub(super) fn steps_table() -> Table {
    Table::new(
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
    )
}

impl Subject<'_> {
    /// Floor and server take turns here too.
    pub(super) fn paced(&self, pause: Pause, table: &mut Table) -> anyhow::Result<Value> {
        let load = machine::load();
        let (rest, rounds) = (pause.rest, self.bench.effort.rounds);
        let count = (self.bench.effort.paced / pause.one_in / rounds).max(1);
        let (mut floors, mut ours) = (Samples::default(), Samples::default());
        for _ in 0..rounds {
            floors.append(one_by_one(self.floor.address, floor::NAME, EVENT, count, rest)?);
            ours.append(one_by_one(self.address, &self.name, EVENT, count, rest)?);
        }
        table.row(vec![
            self.function.label.clone(),
            rest.as_millis().to_string(),
            micros(floors.p50()),
            micros(floors.percentile(99.0)),
            micros(ours.p50()),
            micros(ours.percentile(99.0)),
            ratio(ours.p50(), floors.p50()),
            ratio(ours.percentile(99.0), floors.percentile(99.0)),
            ours.len().to_string(),
            format!("{load:.2}"),
        ]);
        Ok(json!({
            "row": "paced", "runtime": self.function.label, "load": load, "pauseMs": rest.as_millis(),
            "floor": floors.figures(), "dormouse": ours.figures(),
        }))
    }

    /// Called right after the paced invokes: it is their moments that the server still knows.
    pub(super) fn steps(&mut self, frozen: f64, table: &mut Table) -> anyhow::Result<Value> {
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
}
