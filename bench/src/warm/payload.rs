//! Large payloads there and back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Subject, one_by_one};
use crate::floor;
use crate::machine;
use crate::report::{Table, millis, ratio};
use crate::time::Samples;

/// In bytes; the second is near Lambda's limit.
pub(super) const SIZES: [usize; 2] = [1_000_000, 5_500_000];

pub(super) fn table() -> Table {
    Table::new(
        "Echo of a large payload (ms)",
        &["runtime", "bytes", "floor p50", "dormouse p50", "max", "p50 ratio", "load"],
    )
}

impl Subject<'_> {
    pub(super) fn payload(&self, bytes: usize, table: &mut Table) -> anyhow::Result<Value> {
        let load = machine::load();
        // A text of JSON: two quotes around so many letters.
        let mut text = vec![b'a'; bytes];
        text[0] = b'"';
        text[bytes - 1] = b'"';
        let rounds = self.bench.effort.rounds;
        let count = (self.bench.effort.large_payloads / rounds).max(1);
        let (mut floors, mut ours) = (Samples::default(), Samples::default());
        for _ in 0..rounds {
            let rest = Duration::ZERO;
            floors.append(one_by_one(self.floor.address, floor::NAME, &text, count, rest)?);
            ours.append(one_by_one(self.address, &self.name, &text, count, rest)?);
        }
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
