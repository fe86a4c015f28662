//! What can be asked of summed-up values: CloudWatch's statistics, percentiles among them.

use std::fmt;
use std::str::FromStr;

use super::Summary;

/// A statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// How many values there are.
    SampleCount,
    /// Their sum.
    Sum,
    /// Their average.
    Average,
    /// The least.
    Minimum,
    /// The greatest.
    Maximum,
    /// `p99.9`: what so many per cent of the values do not exceed.
    Percentile(f64),
}

/// A text that names no statistic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such statistic")]
pub struct UnknownStatistic;

/// The simple ones (API model).
const SIMPLE: [(&str, Statistic); 5] = [
    ("SampleCount", Statistic::SampleCount),
    ("Average", Statistic::Average),
    ("Sum", Statistic::Sum),
    ("Minimum", Statistic::Minimum),
    ("Maximum", Statistic::Maximum),
];

impl Statistic {
    /// Its value; some are not known of all values.
    #[must_use]
    pub fn of(self, summary: &Summary) -> Option<f64> {
        match self {
            Self::SampleCount => Some(summary.samples),
            Self::Sum => Some(summary.sum),
            Self::Average => Some(summary.average()),
            Self::Minimum => Some(summary.minimum),
            Self::Maximum => Some(summary.maximum),
            Self::Percentile(percent) => summary.percentile(percent),
        }
    }
}

impl FromStr for Statistic {
    type Err = UnknownStatistic;
    fn from_str(text: &str) -> Result<Self, UnknownStatistic> {
        if let Some((_, simple)) = SIMPLE.iter().find(|(name, _)| *name == text) {
            return Ok(*simple);
        }
        let number = text.strip_prefix('p').ok_or(UnknownStatistic)?;
        // Digits and a point: neither a sign nor an exponent is part of a percentile's name.
        if number.len() > 13 || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(UnknownStatistic);
        }
        let percent: f64 = number.parse().map_err(|_| UnknownStatistic)?;
        if percent > 100.0 { Err(UnknownStatistic) } else { Ok(Self::Percentile(percent)) }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(percent) => write!(f, "p{percent}"),
            simple => {
                let named = SIMPLE.iter().find(|(_, other)| other == simple);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_known_by_their_names() {
        for name in ["SampleCount", "Sum", "Average", "Minimum", "Maximum", "p50", "p99.9", "p100"]
        {
            assert_eq!(name.parse::<Statistic>().unwrap().to_string(), name);
        }
        for name in
            ["", "p", "p101", "p-1", "p1e1", "pinf", "p.", "sum", "tm99", "p 5", "p0.00000000001x"]
        {
            assert!(name.parse::<Statistic>().is_err(), "{name}");
        }
    }

    #[test]
    fn each_statistic_says_something_else() {
        let mut summary = Summary::of(1.0);
        summary.add(2.0);
        summary.add(6.0);
        let value = |name: &str| name.parse::<Statistic>().unwrap().of(&summary).unwrap();
        let found = ["SampleCount", "Sum", "Average", "Minimum", "Maximum", "p100"].map(value);
        assert_eq!(found, [3.0, 9.0, 3.0, 1.0, 6.0, 6.0]);
    }
}
