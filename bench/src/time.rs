//! The bench's clock, its waits, and samples of durations with their percentiles.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process gives no event for what is waited for"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Asks every 2 ms until there is an answer.
pub(crate) fn until<T>(
    within: Duration,
    what: &str,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started = now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if started.elapsed() > within {
            bail!("waited {within:?} for {what}");
        }
        pause(Duration::from_millis(2));
    }
}

/// Durations in microseconds. All are kept: a run has few enough, and the percentiles are exact.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples {
    micros: Vec<f64>,
    sorted: bool,
}

impl Samples {
    pub(crate) fn push(&mut self, time: Duration) {
        self.push_micros(time.as_secs_f64() * 1e6);
    }

    pub(crate) fn push_micros(&mut self, micros: f64) {
        self.micros.push(micros);
        self.sorted = false;
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.micros.append(&mut other.micros);
        self.sorted = false;
    }

    pub(crate) fn len(&self) -> usize {
        self.micros.len()
    }

    /// The smallest sample that this share of all is not above; none of none.
    pub(crate) fn percentile(&mut self, percent: f64) -> Option<f64> {
        if !self.sorted {
            self.micros.sort_by(f64::total_cmp);
            self.sorted = true;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a run has far fewer samples than a float counts exactly"
        )]
        let rank = (self.micros.len() as f64 * percent / 100.0).ceil() as usize;
        self.micros.get(rank.saturating_sub(1)).copied()
    }

    pub(crate) fn p50(&mut self) -> Option<f64> {
        self.percentile(50.0)
    }

    pub(crate) fn max(&mut self) -> Option<f64> {
        self.percentile(100.0)
    }

    /// The figures that a record keeps, in microseconds.
    pub(crate) fn figures(&mut self) -> Value {
        json!({
            "n": self.len(),
            "p50": self.p50(),
            "p90": self.percentile(90.0),
            "p99": self.percentile(99.0),
            "max": self.max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_and_none_of_none() {
        let mut samples = Samples::default();
        assert_eq!(samples.p50(), None);
        (1..=100).rev().for_each(|micros| samples.push_micros(f64::from(micros)));
        assert_eq!(samples.p50(), Some(50.0));
        assert_eq!(samples.percentile(99.0), Some(99.0));
        assert_eq!(samples.max(), Some(100.0));
    }
}
