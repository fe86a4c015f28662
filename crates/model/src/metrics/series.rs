//! Values in time: the periods there are, and points of a minute gathered into them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Summary;

/// How long one value of an answer covers, in seconds: one of CloudWatch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(u64);

/// The periods below a minute (API model). Values are kept by the minute: each of them then shows
/// a minute's values at its beginning, as CloudWatch does for metrics of standard resolution.
const SHORT_S: [u64; 5] = [1, 5, 10, 20, 30];

impl Period {
    /// The period of so many seconds, if there is one.
    #[must_use]
    pub fn of_s(seconds: u64) -> Option<Self> {
        let whole = seconds > 0 && seconds.is_multiple_of(60);
        (whole || SHORT_S.contains(&seconds)).then_some(Self(seconds))
    }

    /// In seconds.
    #[must_use]
    pub fn as_s(self) -> u64 {
        self.0
    }

    /// How many buckets there are at most between two times in seconds.
    #[must_use]
    pub fn buckets_in(self, between_s: &Range<u64>) -> u64 {
        let from = aligned_s(between_s.start);
        between_s.end.saturating_sub(from).div_ceil(self.0)
    }
}

/// The values of one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its beginning, in seconds since 1970.
    pub at_s: u64,
    /// What was in it.
    pub summary: Summary,
}

/// Gathers points into periods, the first of which begins with the minute of the start. The end is
/// excluded.
#[derive(Debug, Clone)]
pub struct Series {
    from_s: u64,
    until_s: u64,
    period: Period,
    found: BTreeMap<u64, Summary>,
}

impl Series {
    /// An empty one between two times in seconds since 1970.
    #[must_use]
    pub fn new(between_s: &Range<u64>, period: Period) -> Self {
        let from_s = aligned_s(between_s.start);
        Self { from_s, until_s: between_s.end, period, found: BTreeMap::new() }
    }

    /// Takes a point at the beginning of its minute; without effect if it is outside.
    pub fn add(&mut self, at_s: u64, summary: &Summary) {
        if (self.from_s..self.until_s).contains(&at_s) {
            let period_s = self.period.0;
            let begin = self.from_s + (at_s - self.from_s) / period_s * period_s;
            self.found
                .entry(begin)
                .and_modify(|known| known.merge(summary))
                .or_insert_with(|| summary.clone());
        }
    }

    /// The periods in which something was, the oldest first.
    #[must_use]
    pub fn finish(self) -> Vec<Bucket> {
        self.found.into_iter().map(|(at_s, summary)| Bucket { at_s, summary }).collect()
    }
}

/// CloudWatch rounds a start down to its minute.
fn aligned_s(at_s: u64) -> u64 {
    at_s / 60 * 60
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(between_s: Range<u64>, period_s: u64, expected: &str) {
        let mut series = Series::new(&between_s, Period::of_s(period_s).unwrap());
        for minute in 0_u32..10 {
            series.add(u64::from(minute) * 60, &Summary::of(f64::from(minute)));
        }
        let found = series.finish();
        let shown: Vec<String> = found
            .iter()
            .map(|bucket| {
                format!("{}:{}/{}", bucket.at_s, bucket.summary.sum, bucket.summary.samples)
            })
            .collect();
        assert_eq!(shown.join(" "), expected, "{between_s:?} by {period_s}");
    }

    #[test]
    fn periods_begin_with_the_minute_of_the_start_and_the_end_is_excluded() {
        check(0..180, 60, "0:0/1 60:1/1 120:2/1");
        check(0..181, 60, "0:0/1 60:1/1 120:2/1 180:3/1");
        check(119..300, 120, "60:3/2 180:7/2");
        check(0..600, 300, "0:10/5 300:35/5");
        check(60..660, 300, "60:15/5 360:30/4");
        check(0..120, 10, "0:0/1 60:1/1");
        check(600..700, 60, "");
    }

    #[test]
    fn periods_are_minutes_or_one_of_five_shorter_ones() {
        for seconds in [1, 5, 10, 20, 30, 60, 120, 86_400] {
            assert_eq!(Period::of_s(seconds).map(Period::as_s), Some(seconds));
        }
        for seconds in [0, 2, 59, 61, 90] {
            assert_eq!(Period::of_s(seconds), None, "{seconds}");
        }
        let period = Period::of_s(60).unwrap();
        assert_eq!(period.buckets_in(&(30..90)), 2);
    }

    proptest! {
        #[test]
        fn no_value_is_lost_or_doubled(
            minutes in prop::collection::vec(0_u64..500, 0..60),
            start in 0_u64..20_000,
            length in 1_u64..20_000,
            period in 1_u64..50,
        ) {
            let one = Summary::of(1.0);
            let between = start..start + length;
            let period = Period::of_s(period * 60).unwrap();
            let mut series = Series::new(&between, period);
            minutes.iter().for_each(|minute| series.add(minute * 60, &one));
            let found = series.finish();
            let from = start / 60 * 60;
            let inside = minutes.iter().filter(|m| (from..between.end).contains(&(**m * 60))).count();
            let counted: f64 = found.iter().map(|bucket| bucket.summary.samples).sum();
            prop_assert_eq!(counted, inside as f64);
            prop_assert!(found.len() as u64 <= period.buckets_in(&between));
        }
    }
}
