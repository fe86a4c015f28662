//! The arithmetic of a constant arrival rate: when each request is due, and what its wait was.
//!
//! Latency counts from the moment a request was *due*, not from when the generator got round to
//! sending it. A client that waits for an answer before it sends again would otherwise send nothing
//! during a stall, and so leave out the very requests that suffered from it (coordinated omission).
//! Pure: no clock, no thread.

use std::time::Duration;

/// A constant arrival rate over some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Arrivals a second.
    per_second: f64,
    arrivals: u64,
}

impl Pace {
    /// None when the rate is no rate, or when not even one request is due.
    pub(crate) fn new(per_second: f64, lasting: Duration) -> Option<Self> {
        if !per_second.is_finite() || per_second <= 0.0 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a run has far fewer arrivals than a float counts exactly"
        )]
        let arrivals = (per_second * lasting.as_secs_f64()).floor() as u64;
        (arrivals > 0).then_some(Self { per_second, arrivals })
    }

    /// How many are due in all.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// When this arrival is due, counted from the start; none behind the last. Each is computed from
    /// the start and not from the one before, so that no rounding adds up.
    pub(crate) fn due(&self, arrival: u64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "see `new`")]
        let seconds = arrival as f64 / self.per_second;
        (arrival < self.arrivals).then(|| Duration::from_secs_f64(seconds))
    }
}

/// The moments of one request, each counted from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moments {
    /// When it should have been sent.
    pub(crate) due: Duration,
    /// When it was.
    pub(crate) sent: Duration,
    pub(crate) answered: Duration,
}

impl Moments {
    /// What a caller who comes at the appointed time waits.
    pub(crate) fn latency(self) -> Duration {
        self.answered.saturating_sub(self.due)
    }

    /// What the generator added before it sent: its own wake-up, or all its connections were busy.
    pub(crate) fn delay(self) -> Duration {
        self.sent.saturating_sub(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// One connection to a server that answers after these times, in milliseconds.
    fn replay(pace: Pace, service_ms: &[u64]) -> Vec<Moments> {
        let mut free = Duration::ZERO;
        let mut seen = Vec::new();
        for (arrival, service) in (0..pace.arrivals()).zip(service_ms) {
            let due = pace.due(arrival).unwrap();
            let sent = due.max(free);
            free = sent + MS(*service);
            seen.push(Moments { due, sent, answered: free });
        }
        seen
    }

    #[test]
    fn arrivals_are_due_at_equal_distances_until_the_last() {
        let pace = Pace::new(4.0, MS(1_000)).unwrap();
        let due: Vec<_> = (0..5).map(|arrival| pace.due(arrival)).collect();
        let expected = [0, 250, 500, 750].map(|ms| Some(MS(ms)));
        assert_eq!(due, [expected.as_slice(), &[None]].concat());
    }

    #[test]
    fn a_rate_that_is_no_whole_number_of_nanoseconds_does_not_drift() {
        let pace = Pace::new(3_000.0, MS(100_000)).unwrap();
        assert_eq!(pace.arrivals(), 300_000);
        assert_eq!(pace.due(3_000), Some(MS(1_000)));
        assert_eq!(pace.due(299_997), Some(MS(99_999)));
    }

    #[test]
    fn a_pace_without_a_request_is_none() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.5] {
            assert_eq!(Pace::new(rate, MS(1_000)), None, "{rate}");
        }
    }

    #[test]
    fn a_stall_is_told_by_every_request_that_was_due_meanwhile() {
        let pace = Pace::new(1_000.0, MS(6)).unwrap();
        let seen = replay(pace, &[5, 0, 0, 0, 0, 0]);
        let latencies: Vec<_> = seen.iter().map(|moments| moments.latency()).collect();
        assert_eq!(latencies, [5, 4, 3, 2, 1, 0].map(MS));
        // What a generator would say that looks at its own sending only: one slow request.
        let from_sending: Vec<_> = seen.iter().map(|it| it.answered - it.sent).collect();
        assert_eq!(from_sending, [5, 0, 0, 0, 0, 0].map(MS));
        assert_eq!(seen[1].delay(), MS(4));
    }

    #[test]
    fn a_server_that_is_too_slow_is_seen_to_fall_behind() {
        let pace = Pace::new(1_000.0, MS(100)).unwrap();
        let seen = replay(pace, &[2; 100]);
        assert_eq!(seen[0].latency(), MS(2));
        assert_eq!(seen[99].latency(), MS(101));
    }
}
