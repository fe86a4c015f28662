//! Metrics: values by the minute, under the names that tell them apart.
//!
//! They are kept beside the logs and as the logs are: a power cut may take the last of them. What is
//! told of a minute in several parts is merged, so nobody has to hold a minute back until it is over.

mod read;
mod retention;
pub(crate) mod schema;
mod write;

use std::collections::BTreeMap;
use std::ops::Range;

use dormouse_model::metrics::{Bucket, Metric, Period, Unit};
use dormouse_model::names::Scope;

use crate::StorageError;
use crate::database::Handle;

/// Which metrics are listed.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Whose and where.
    pub scope: Scope,
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only with these dimensions and, where they are given, values.
    pub dimensions: BTreeMap<String, Option<String>>,
    /// Only those that had a value in the minute of this time or later, in seconds since 1970.
    pub active_since_s: u64,
    /// The last metric of the page before.
    pub after: Option<u64>,
    /// Metrics of a page.
    pub limit: usize,
}

/// A page of metrics.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// In the order in which they first had a value.
    pub metrics: Vec<Metric>,
    /// If there are more: the last of these, for [`ListQuery::after`].
    pub next: Option<u64>,
}

/// Which values of a metric.
#[derive(Debug, Clone)]
pub struct ValuesQuery {
    /// The metric.
    pub metric: Metric,
    /// Their time in seconds since 1970, the end excluded.
    pub between_s: Range<u64>,
    /// How they are gathered.
    pub period: Period,
    /// Only those of this unit.
    pub unit: Option<Unit>,
}

/// The values of a metric by their unit, the oldest first.
pub type Values = BTreeMap<Unit, Vec<Bucket>>;

/// The metrics of all accounts and regions.
#[derive(Debug, Clone)]
pub struct Metrics {
    database: Handle,
}

impl Metrics {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }
}

/// The dimensions of a metric as the database holds them: the same text for the same dimensions.
fn text(metric: &Metric) -> String {
    serde_json::to_string(&metric.dimensions).expect("a map of texts is always JSON")
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn seconds(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
        .into()
}
