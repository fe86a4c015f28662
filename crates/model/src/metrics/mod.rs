//! Metrics: what a metric is, how its values are summed up by the minute, and what Lambda tells.
//!
//! A [`Metric`] is named, its values come as [`Summary`]s that merge in any order without losing a
//! count, and a [`Board`] makes those out of what happens to invocations. Nothing here reads a clock.

mod board;
mod lambda;
mod series;
mod statistic;
mod summary;
mod totals;

pub use board::{Board, Fact, Ran};
pub use lambda::{LambdaMetric, NAMESPACE, Outcome, Start, Subject};
pub use series::{Bucket, Period, Series};
pub use statistic::Statistic;
pub use summary::Summary;
pub use totals::{BUCKETS_S, Histogram, Totals};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::Scope;

/// The names and values that tell metrics of one name apart.
pub type Dimensions = BTreeMap<String, String>;

/// Names a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric {
    /// Whose and where.
    pub scope: Scope,
    /// Such as `AWS/Lambda`.
    pub namespace: String,
    /// Such as `Invocations`.
    pub name: String,
    /// Which of that name.
    pub dimensions: Dimensions,
}

/// Some values of a metric, all of one minute and one unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The metric.
    pub metric: Metric,
    /// The minute's beginning, in seconds since 1970.
    pub at_s: u64,
    /// What the values count.
    pub unit: Unit,
    /// The values.
    pub summary: Summary,
}

/// What values count: one of CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Unit(&'static str);

/// All words for units (API model).
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

impl Unit {
    /// Nothing in particular.
    pub const NONE: Self = Self("None");
    /// Things.
    pub const COUNT: Self = Self("Count");
    /// Thousandths of a second.
    pub const MILLISECONDS: Self = Self("Milliseconds");

    /// The unit of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        UNITS.iter().find(|unit| **unit == name).copied().map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The names of all units.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        &UNITS
    }
}

impl TryFrom<String> for Unit {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Self::of_name(&name).ok_or_else(|| format!("{name} is no unit"))
    }
}

impl From<Unit> for &'static str {
    fn from(unit: Unit) -> Self {
        unit.0
    }
}

/// The beginning of the minute of a time in milliseconds, in seconds; both since 1970.
#[must_use]
pub fn minute_s(at_ms: u64) -> u64 {
    at_ms / 60_000 * 60
}
