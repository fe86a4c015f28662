//! A bucket of bytes that refills with time: what may pass at once, and how fast on average.
//!
//! Exact: whatever the moments at which it is asked, never more passes than the burst and the rate
//! allow, and what they allow passes at the very microsecond.

use crate::environment::Micros;

/// What one byte weighs inside: a rate of bytes a second is then one of weight a microsecond, and
/// no part of a byte is lost between two looks.
const BYTE: u64 = 1_000_000;

/// Bytes that may pass now, growing with time up to a burst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    burst: u64,
    bytes_per_s: u64,
    level: u64,
    refilled: Micros,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(burst_bytes: u64, bytes_per_s: u64, now: Micros) -> Self {
        let burst = burst_bytes.saturating_mul(BYTE);
        Self { burst, bytes_per_s, level: burst, refilled: now }
    }

    /// Takes the bytes out if all of them may pass now.
    #[must_use]
    pub fn take(&mut self, bytes: u64, now: Micros) -> bool {
        self.refill(now);
        let cost = bytes.saturating_mul(BYTE);
        let passes = cost <= self.level;
        if passes {
            self.level -= cost;
        }
        passes
    }

    /// How long until so many bytes may pass at once; `None` if they never will: they are
    /// more than the burst, or nothing comes in.
    #[must_use]
    pub fn until(&mut self, bytes: u64, now: Micros) -> Option<Micros> {
        self.refill(now);
        let cost = bytes.saturating_mul(BYTE);
        if cost > self.burst {
            return None;
        }
        match cost.saturating_sub(self.level) {
            0 => Some(0),
            _ if self.bytes_per_s == 0 => None,
            missing => Some(missing.div_ceil(self.bytes_per_s)),
        }
    }

    fn refill(&mut self, now: Micros) {
        let earned = now.saturating_sub(self.refilled).saturating_mul(self.bytes_per_s);
        self.level = self.level.saturating_add(earned).min(self.burst);
        self.refilled = self.refilled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let mut bucket = Bucket::new(100, 10, 0);
        assert!(bucket.take(100, 0));
        assert!(!bucket.take(1, 0));
        assert_eq!(bucket.until(1, 0), Some(100_000));
        assert!(!bucket.take(1, 99_999));
        assert!(bucket.take(1, 100_000));
        assert_eq!(bucket.until(50, 100_000), Some(5_000_000));
        assert!(bucket.take(100, 60_000_000), "it is full again and not fuller");
        assert!(!bucket.take(1, 60_000_000));
    }

    #[test]
    fn parts_of_a_byte_are_not_lost_between_two_looks() {
        let mut bucket = Bucket::new(10, 3, 0);
        assert!(bucket.take(10, 0));
        let passed = (1..=1_000_000).filter(|now| bucket.take(1, *now)).count();
        assert_eq!(passed, 3);
    }

    #[test]
    fn what_is_larger_than_the_burst_never_passes() {
        let mut bucket = Bucket::new(10, 10, 0);
        assert_eq!(bucket.until(11, 0), None);
        assert_eq!(bucket.until(10, 0), Some(0));
        assert_eq!(Bucket::new(10, 0, 0).until(10, 0), Some(0));
        let mut dry = Bucket::new(10, 0, 0);
        assert!(dry.take(10, 0));
        assert_eq!(dry.until(1, 0), None);
    }

    proptest! {
        #[test]
        fn no_more_passes_than_burst_and_rate_allow(
            burst in 0_u64..10_000,
            rate in 0_u64..10_000,
            asked in prop::collection::vec((0_u64..2_000, 0_u64..500_000), 0..50),
        ) {
            let mut bucket = Bucket::new(burst, rate, 7);
            let (mut now, mut passed) = (7, 0);
            for (bytes, pause) in asked {
                now += pause;
                if bucket.take(bytes, now) {
                    passed += bytes;
                }
                prop_assert!(passed * BYTE <= burst * BYTE + rate * (now - 7));
            }
        }

        #[test]
        fn the_wait_is_exact(
            burst in 1_u64..10_000,
            rate in 1_u64..10_000,
            spent in 0_u64..10_000,
            wanted in 0_u64..10_000,
        ) {
            let mut bucket = Bucket::new(burst, rate, 0);
            let _ = bucket.take(spent.min(burst), 0);
            match bucket.until(wanted, 0) {
                None => prop_assert!(wanted > burst),
                Some(wait) => {
                    prop_assert!(wait == 0 || !bucket.clone().take(wanted, wait - 1));
                    prop_assert!(bucket.take(wanted, wait));
                }
            }
        }

        #[test]
        fn a_clock_that_goes_back_earns_nothing(rate in 0_u64..1_000, back in 0_u64..1_000_000) {
            let mut bucket = Bucket::new(100, rate, 1_000_000);
            prop_assert!(bucket.take(100, 1_000_000));
            prop_assert!(!bucket.take(1, back));
        }
    }
}
