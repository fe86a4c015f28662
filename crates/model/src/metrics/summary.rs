//! The values of a metric summed up: count, sum, extremes, and a sketch from which percentiles come.
//!
//! The sketch counts values in bins whose bounds grow by [`GROWTH`], so that a percentile is wrong by
//! one part in a hundred at most. Merging is adding: the order does not matter and nothing is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much larger the upper bound of a bin is than its lower one (ours): the middle is then at most
/// 1 % away from either.
const GROWTH: f64 = 1.02;
/// Its natural logarithm.
const LN_GROWTH: f64 = 0.019_802_627_296_179_73;
/// Bins that a sketch spans at most (ours): values 10^17 times apart. Past it the smallest values are
/// counted with those at the span's end.
const SPAN: i32 = 2_048;

/// Values of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How many.
    pub samples: f64,
    /// All added up.
    pub sum: f64,
    /// The least.
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
    /// How they are spread; unknown for sets whose values were never told, and for negative ones, of
    /// which CloudWatch makes no percentiles either.
    sketch: Option<Sketch>,
}

/// How often values were in each bin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Sketch {
    zeros: f64,
    bins: BTreeMap<i32, f64>,
}

impl Summary {
    /// One value.
    #[must_use]
    pub fn of(value: f64) -> Self {
        Self::of_many(value, 1.0)
    }

    /// A value that was there so often.
    #[must_use]
    pub fn of_many(value: f64, samples: f64) -> Self {
        Self {
            samples,
            sum: value * samples,
            minimum: value,
            maximum: value,
            sketch: Sketch::of(value, samples),
        }
    }

    /// Values that were summed up elsewhere. Only when they were all the same it is known how they
    /// are spread.
    #[must_use]
    pub fn of_set(samples: f64, sum: f64, (minimum, maximum): (f64, f64)) -> Self {
        let same = samples <= 1.0 || minimum >= maximum;
        let sketch = if same { Sketch::of(maximum, samples) } else { None };
        Self { samples, sum, minimum, maximum, sketch }
    }

    /// One more value.
    pub fn add(&mut self, value: f64) {
        self.samples += 1.0;
        self.sum += value;
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        match &mut self.sketch {
            Some(sketch) if value >= 0.0 => sketch.add(value, 1.0),
            other => *other = None,
        }
    }

    /// Adds values.
    pub fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.sketch = match (self.sketch.take(), &other.sketch) {
            (Some(mut sketch), Some(other)) => {
                sketch.merge(other);
                Some(sketch)
            }
            _ => None,
        };
    }

    /// What was kept of values: count, sum and extremes as numbers, how they are spread as text.
    #[must_use]
    pub fn of_kept([samples, sum, minimum, maximum]: [f64; 4], spread: Option<&str>) -> Self {
        let sketch = spread.and_then(|text| serde_json::from_str(text).ok());
        Self { samples, sum, minimum, maximum, sketch }
    }

    /// How the values are spread, as a text for [`Summary::of_kept`].
    ///
    /// # Panics
    /// Never: numbers are always JSON.
    #[must_use]
    pub fn spread(&self) -> Option<String> {
        let text = |sketch| serde_json::to_string(sketch).expect("numbers are always JSON");
        self.sketch.as_ref().map(text)
    }

    /// The average.
    #[must_use]
    pub fn average(&self) -> f64 {
        self.sum / self.samples
    }

    /// The value that so many per cent of all do not exceed, if that is known.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let sketch = self.sketch.as_ref()?;
        if percent >= 100.0 {
            return Some(self.maximum);
        }
        let value = sketch.value_at(percent / 100.0 * self.samples);
        Some(value.clamp(self.minimum, self.maximum))
    }
}

impl Sketch {
    /// Nothing for a negative value.
    fn of(value: f64, samples: f64) -> Option<Self> {
        (value >= 0.0).then(|| {
            let mut sketch = Self::default();
            sketch.add(value, samples);
            sketch
        })
    }

    fn add(&mut self, value: f64, samples: f64) {
        match bin(value) {
            None => self.zeros += samples,
            Some(bin) => {
                *self.bins.entry(bin).or_default() += samples;
                self.stay_in_span();
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        for (bin, samples) in &other.bins {
            *self.bins.entry(*bin).or_default() += samples;
        }
        self.stay_in_span();
    }

    /// Counts what is too small for the span at its end. The end depends on the greatest bin alone,
    /// so that it is the same whatever came first.
    fn stay_in_span(&mut self) {
        let Some((greatest, _)) = self.bins.last_key_value() else { return };
        let least = greatest - SPAN + 1;
        while let Some(entry) = self.bins.first_entry()
            && *entry.key() < least
        {
            let samples = entry.remove();
            *self.bins.entry(least).or_default() += samples;
        }
    }

    /// The value of this rank.
    fn value_at(&self, rank: f64) -> f64 {
        let mut passed = self.zeros;
        if passed > 0.0 && passed >= rank {
            return 0.0;
        }
        let mut value = 0.0;
        for (bin, samples) in &self.bins {
            passed += samples;
            value = 2.0 * GROWTH.powi(*bin) / (GROWTH + 1.0);
            if passed >= rank {
                break;
            }
        }
        value
    }
}

/// The bin of a value; none for zero.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the logarithms of all positive numbers are within 40 000 bins of one"
)]
fn bin(value: f64) -> Option<i32> {
    (value > 0.0).then(|| (value.ln() / LN_GROWTH).ceil() as i32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(values: &[f64]) -> Summary {
        let mut values = values.iter();
        let mut summary = Summary::of(*values.next().unwrap());
        values.for_each(|value| summary.add(*value));
        summary
    }

    #[test]
    fn percentiles_are_those_of_the_values_within_one_per_cent() {
        let values: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let summary = all(&values);
        for percent in [1.0, 50.0, 90.0, 99.0, 99.9] {
            let found = summary.percentile(percent).unwrap();
            let exact = percent * 10.0;
            assert!((found - exact).abs() <= exact * 0.011, "p{percent}: {found}");
        }
        assert_eq!(summary.percentile(0.0), Some(1.0));
        assert_eq!(summary.percentile(100.0), Some(1_000.0));
        assert_eq!(all(&[0.0, 0.0, 5.0]).percentile(50.0), Some(0.0));
        assert_eq!(Summary::of(12.34).percentile(99.0), Some(12.34));
    }

    #[test]
    fn percentiles_are_unknown_where_values_are() {
        let set = Summary::of_set(10.0, 55.0, (1.0, 10.0));
        assert_eq!(set.percentile(50.0), None);
        assert_eq!(set.average(), 5.5);
        assert_eq!(Summary::of_set(3.0, 6.0, (2.0, 2.0)).percentile(50.0), Some(2.0));
        assert_eq!(all(&[1.0, -1.0]).percentile(50.0), None);
        let mut merged = all(&[1.0, 2.0]);
        merged.merge(&set);
        assert_eq!((merged.percentile(50.0), merged.samples), (None, 12.0));
    }

    #[test]
    fn a_bound_belongs_to_its_bin() {
        assert!((GROWTH.ln() - LN_GROWTH).abs() < 1e-15);
        assert_eq!(
            [0.0, 1.0, 1.01, 1.03, 0.99].map(bin),
            [None, Some(0), Some(1), Some(2), Some(0)]
        );
    }

    #[test]
    fn a_sketch_is_bounded_whatever_comes() {
        let mut summary = Summary::of(1e-100);
        for exponent in -90..90 {
            summary.add(10_f64.powi(exponent));
        }
        let sketch = summary.sketch.as_ref().unwrap();
        let (least, greatest) =
            (*sketch.bins.keys().next().unwrap(), *sketch.bins.keys().last().unwrap());
        assert_eq!(greatest - least, SPAN - 1);
        assert_eq!(sketch.bins.values().sum::<f64>(), 181.0);
    }

    /// Whole numbers, so that sums are exact; some of them far apart.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            (0_u32..1_000).prop_map(f64::from),
            (0_i32..50).prop_map(|exponent| 2_f64.powi(exponent))
        ];
        prop::collection::vec(value, 1..40)
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative_and_loses_no_count(
            (a, b, c) in (values(), values(), values())
        ) {
            let merged = |parts: &[&Summary]| {
                let mut whole = parts[0].clone();
                parts[1..].iter().for_each(|part| whole.merge(part));
                whole
            };
            let (x, y, z) = (all(&a), all(&b), all(&c));
            let right = merged(&[&x, &merged(&[&y, &z])]);
            prop_assert_eq!(&merged(&[&merged(&[&x, &y]), &z]), &right);
            prop_assert_eq!(&merged(&[&z, &x, &y]), &right);
            let together = all(&[a.clone(), b.clone(), c.clone()].concat());
            prop_assert_eq!(&together, &right);
            let sketch = right.sketch.as_ref().unwrap();
            let count = (a.len() + b.len() + c.len()) as f64;
            prop_assert_eq!(right.samples, count);
            prop_assert_eq!(sketch.zeros + sketch.bins.values().sum::<f64>(), count);
        }

        #[test]
        fn a_summary_can_be_kept(values in values()) {
            let summary = all(&values);
            let Summary { samples, sum, minimum, maximum, .. } = summary;
            let spread = summary.spread();
            let kept = Summary::of_kept([samples, sum, minimum, maximum], spread.as_deref());
            prop_assert_eq!(kept, summary);
        }

        #[test]
        fn percentiles_grow_and_stay_between_the_extremes(values in values(), p in 0.0_f64..100.0) {
            let summary = all(&values);
            let low = summary.percentile(p / 2.0).unwrap();
            let high = summary.percentile(p).unwrap();
            prop_assert!(summary.minimum <= low && low <= high && high <= summary.maximum);
        }
    }
}
