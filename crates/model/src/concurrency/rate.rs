//! Limits on rates, as token buckets: so many at once, and refilled continuously over a period.
//!
//! What is left of a bucket is one number, the moment at which it will be full again: nothing is
//! counted while nobody takes anything, nothing accrues beyond a full bucket, and one atomic holds it.

use crate::environment::Micros;
use crate::limits;

/// A moment in nanoseconds of the same clock as [`Micros`]: fine enough that no rate of ours is rounded by
/// more than a millionth.
pub type Nanos = u64;

const NANOS: Nanos = 1_000;

/// So many at once, refilled over a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    tokens: u32,
    period: Micros,
}

impl Rate {
    /// `tokens` at once, refilled over `period`.
    #[must_use]
    pub fn new(tokens: u32, period: Micros) -> Self {
        Self { tokens, period }
    }

    /// As many requests a second as environments may serve that are so many at once.
    #[must_use]
    pub fn of_requests(concurrency: u32) -> Self {
        let tokens = concurrency.saturating_mul(limits::REQUESTS_PER_S_OF_ONE);
        Self { tokens, period: 1_000_000 }
    }

    /// As many environments as one function may begin.
    #[must_use]
    pub fn of_scaling() -> Self {
        Self { tokens: limits::SCALING_ENVIRONMENTS, period: limits::SCALING_MS * 1_000 }
    }

    /// Takes one out of a bucket that will be full at `full_at`: when it will be full then, unless it is
    /// empty now.
    #[must_use]
    pub fn take(self, full_at: Nanos, now: Micros) -> Option<Nanos> {
        let now = now.saturating_mul(NANOS);
        let one = self.one()?;
        let next = full_at.max(now).saturating_add(one);
        let empty = now.saturating_add(one.saturating_mul(u64::from(self.tokens)));
        (next <= empty).then_some(next)
    }

    /// How long it takes to refill one.
    fn one(self) -> Option<Nanos> {
        let tokens = (self.tokens > 0).then_some(u64::from(self.tokens))?;
        Some(self.period.saturating_mul(NANOS).div_ceil(tokens))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Micros = 1_000_000;

    /// How many can be taken at this moment.
    fn drain(rate: Rate, full_at: &mut Nanos, now: Micros) -> u32 {
        let mut taken = 0;
        while let Some(next) = rate.take(*full_at, now) {
            *full_at = next;
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_function_scales_by_a_thousand_in_ten_seconds_and_accrues_nothing() {
        let (rate, mut full_at) = (Rate::of_scaling(), 0);
        assert_eq!(drain(rate, &mut full_at, 0), 1_000);
        assert_eq!(drain(rate, &mut full_at, SECOND), 100);
        assert_eq!(drain(rate, &mut full_at, SECOND + 9_999), 0);
        assert_eq!(drain(rate, &mut full_at, SECOND + 10_000), 1);
        assert_eq!(drain(rate, &mut full_at, 1_000 * SECOND), 1_000);
    }

    #[test]
    fn ten_requests_a_second_for_each_that_may_run_at_once() {
        for (concurrency, expected) in [(0, 0), (1, 10), (3, 30), (7, 70), (1_000, 10_000)] {
            let (rate, mut full_at) = (Rate::of_requests(concurrency), 0);
            assert_eq!(drain(rate, &mut full_at, 5 * SECOND), expected);
            assert_eq!(drain(rate, &mut full_at, 6 * SECOND + 1), expected);
        }
    }

    proptest! {
        #[test]
        fn never_more_than_a_full_bucket_and_its_refill_and_never_for_ever_empty(
            tokens in 1_u32..50,
            period_ms in 1_u64..20_000,
            steps in prop::collection::vec((0_u64..3_000_000, 1_u32..20), 1..100),
        ) {
            let period = period_ms * 1_000;
            let rate = Rate { tokens, period };
            let (mut now, mut full_at) = (0, 0);
            let mut taken: Vec<Micros> = Vec::new();
            for (pause, asks) in steps {
                now += pause;
                for _ in 0..asks {
                    if let Some(next) = rate.take(full_at, now) {
                        prop_assert!(next > full_at);
                        full_at = next;
                        taken.push(now);
                    }
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let refilled = (to - from) * u64::from(tokens) / period + 1;
                    let between = (last - first + 1) as u64;
                    prop_assert!(between <= u64::from(tokens) + refilled);
                }
            }
            // Whatever was taken, a period later it is full.
            prop_assert_eq!(drain(rate, &mut full_at, now + period + 1), tokens);
        }
    }
}
