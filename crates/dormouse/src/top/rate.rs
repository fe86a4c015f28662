//! Invocations per second, from how the counts of environments grow between two looks.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::lives::Environment;

/// Looks that are remembered: a minute of them.
const LOOKS: usize = 120;

/// How far back the average goes.
const AVERAGED: Duration = Duration::from_secs(5);

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// The counts of the last look, and when it was; `None` before the first.
    last: Option<(Duration, HashMap<String, u64>)>,
    steps: VecDeque<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    took: Duration,
    invocations: u64,
}

impl Rate {
    /// A look at a moment of a monotonic clock.
    pub(super) fn look(&mut self, at: Duration, environments: &[Environment]) {
        let counts: HashMap<String, u64> =
            environments.iter().map(|it| (it.id.clone(), it.invocations)).collect();
        if let Some((before, known)) = &self.last {
            let grown = |(id, count): (&String, &u64)| {
                count.saturating_sub(known.get(id).copied().unwrap_or_default())
            };
            let invocations = counts.iter().map(grown).sum();
            self.steps.push_back(Step { took: at.saturating_sub(*before), invocations });
            if self.steps.len() > LOOKS {
                self.steps.pop_front();
            }
        }
        self.last = Some((at, counts));
    }

    /// The average of the last seconds, once there is one.
    pub(super) fn per_second(&self) -> Option<f64> {
        let mut took = Duration::ZERO;
        let mut invocations = 0;
        for step in self.steps.iter().rev() {
            took += step.took;
            invocations += step.invocations;
            if took >= AVERAGED {
                break;
            }
        }
        (!took.is_zero())
            .then(|| f64::from(u32::try_from(invocations).unwrap_or(u32::MAX)) / took.as_secs_f64())
    }

    /// The last `count` steps, oldest first, in invocations per 1000 seconds.
    pub(super) fn history(&self, count: usize) -> Vec<u64> {
        let skipped = self.steps.len().saturating_sub(count);
        let rate = |step: &Step| {
            let ms = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX).max(1);
            step.invocations.saturating_mul(1_000_000) / ms
        };
        self.steps.iter().skip(skipped).map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments(counts: &[(&str, u64)]) -> Vec<Environment> {
        let one = |(id, invocations): &(&str, u64)| Environment {
            id: (*id).to_owned(),
            invocations: *invocations,
            ..Environment::default()
        };
        counts.iter().map(one).collect()
    }

    #[test]
    fn what_ran_before_the_first_look_does_not_count() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        rate.look(Duration::from_secs(1), &environments(&[("a", 100)]));
        assert_eq!(rate.per_second(), None);
        rate.look(Duration::from_secs(2), &environments(&[("a", 110)]));
        assert_eq!(rate.per_second(), Some(10.0));
        assert_eq!(rate.history(10), [10_000]);
    }

    #[test]
    fn environments_come_and_go() {
        let mut rate = Rate::default();
        rate.look(Duration::ZERO, &environments(&[("a", 100), ("b", 7)]));
        rate.look(Duration::from_secs(2), &environments(&[("b", 8), ("c", 3)]));
        assert_eq!(rate.per_second(), Some(2.0));
    }

    #[test]
    fn only_the_last_seconds_are_averaged() {
        let mut rate = Rate::default();
        for second in 0..300 {
            let count = if second < 200 { second * 50 } else { 10_000 };
            rate.look(Duration::from_secs(second), &environments(&[("a", count)]));
        }
        assert_eq!(rate.per_second(), Some(0.0));
        assert_eq!(rate.history(1_000).len(), LOOKS);
        assert_eq!(rate.history(3), [0, 0, 0]);
    }
}
