//! What happened since the process began, for whoever scrapes: counters and histograms that only grow.

use std::collections::BTreeMap;

use super::lambda::{LambdaMetric, Outcome, Start};
use super::{Fact, Ran};
use crate::environment::Micros;

/// Upper bounds of the histograms' buckets, in seconds: from a millisecond to the longest timeout.
pub const BUCKETS_S: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0,
];

/// How long things took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// How many fell into each bucket of [`BUCKETS_S`], and beyond the last.
    pub counts: [u64; BUCKETS_S.len() + 1],
    /// All added up, in microseconds.
    pub sum: Micros,
}

impl Histogram {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, micros: Micros) {
        // Whole microseconds compare exactly: no bound is more than three digits of a second.
        let seconds = std::time::Duration::from_micros(micros).as_secs_f64();
        let bucket = BUCKETS_S.iter().take_while(|bound| seconds > **bound).count();
        self.counts[bucket] += 1;
        self.sum += micros;
    }
}

/// What happened to one subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Invocations by how they began and ended.
    pub invocations: BTreeMap<(Outcome, Start), u64>,
    /// Requests refused for want of concurrency.
    pub throttles: u64,
    /// How long invocations took, by how they began.
    pub durations: BTreeMap<Start, Histogram>,
    /// How long environments took to initialise.
    pub inits: Histogram,
    /// How long environments took to be restored.
    pub restores: Histogram,
    /// What others told, added up.
    pub noted: BTreeMap<LambdaMetric, f64>,
}

impl Totals {
    pub(super) fn take(&mut self, fact: &Fact) {
        match fact {
            Fact::Ended { ran, .. } => self.ended(ran),
            Fact::Throttled { .. } => self.throttles += 1,
            Fact::Noted { metric, value, .. } => *self.noted.entry(*metric).or_default() += value,
            Fact::Began { .. } | Fact::Left { .. } => {}
        }
    }

    fn ended(&mut self, ran: &Ran) {
        *self.invocations.entry((ran.outcome, ran.start())).or_default() += 1;
        if let Some(duration) = ran.duration {
            self.durations.entry(ran.start()).or_default().add(duration);
        }
        if let Some(init) = ran.init {
            self.inits.add(init);
        }
        if let Some(restore) = ran.restore {
            self.restores.add(restore);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_nothing_is_too_long() {
        let mut histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 900_000_000, 900_000_001] {
            histogram.add(micros);
        }
        assert_eq!(histogram.counts[..3], [2, 1, 0]);
        assert_eq!(histogram.counts[16..], [1, 1]);
        assert_eq!((histogram.count(), histogram.sum), (5, 1_800_002_002));
    }
}
