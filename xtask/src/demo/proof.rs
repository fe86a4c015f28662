//! The proof of the freeze: a thread of the function counts, and between two invokes it must not.

use std::fmt;

use anyhow::Context;
use serde_json::Value;

/// What the counter said, in ticks of about a millisecond.
#[derive(Debug)]
pub(super) struct Proof {
    during: f64,
    between: f64,
    paused_ms: f64,
    /// Ticks in a millisecond, as seen while the function ran.
    rate: f64,
}

impl Proof {
    /// From the results of two invokes with a pause between; each says the counter as it began and
    /// ended, and how long it watched.
    pub(super) fn of(first: &Value, second: &Value, paused_ms: f64) -> anyhow::Result<Self> {
        let number = |result: &Value, key: &str| {
            let found = result[key].as_f64();
            found.with_context(|| format!("no number {key} in {result}"))
        };
        let during = number(second, "ticks_at_end")? - number(second, "ticks_at_start")?;
        let watched_ms = number(second, "watched_ms")?.max(1.0);
        let between = number(second, "ticks_at_start")? - number(first, "ticks_at_end")?;
        Ok(Self { during, between, paused_ms, rate: during / watched_ms })
    }

    /// A thread that runs while invoked and hardly ticks between. Not never: the response leaves
    /// before the freeze, and the thaw comes before the event.
    pub(super) fn is_frozen(&self) -> bool {
        self.during > 0.0 && self.between < self.paused_ms * self.rate / 4.0
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = self.paused_ms * self.rate;
        write!(
            f,
            "a background thread ticked {:.0} times while invoked, and {:.0} times in the {:.0} ms \
             between the invokes, where it would have ticked {would:.0} times: {}",
            self.during,
            self.between,
            self.paused_ms,
            if self.is_frozen() { "frozen" } else { "NOT FROZEN" },
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(between: u32, expected: &str) {
        let first = json!({ "ticks_at_start": 0, "ticks_at_end": 40, "watched_ms": 50 });
        let start = 40 + between;
        let second =
            json!({ "ticks_at_start": start, "ticks_at_end": start + 40, "watched_ms": 50 });
        let proof = Proof::of(&first, &second, 300.0).unwrap().to_string();
        assert!(proof.ends_with(expected), "{proof}");
    }

    #[test]
    fn a_thread_that_stood_still_is_told_from_one_that_ran() {
        check(0, "would have ticked 240 times: frozen");
        check(5, ": frozen");
        check(240, "NOT FROZEN");
    }

    #[test]
    fn a_thread_that_never_ran_proves_nothing() {
        let still = json!({ "ticks_at_start": 1, "ticks_at_end": 1, "watched_ms": 50 });
        assert!(!Proof::of(&still, &still, 300.0).unwrap().is_frozen());
    }

    #[test]
    fn a_result_without_the_counter_is_named() {
        let error = Proof::of(&json!({}), &json!({}), 1.0).unwrap_err();
        assert!(error.to_string().contains("ticks_at_end"), "{error}");
    }
}
