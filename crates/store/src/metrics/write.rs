//! What adds to metrics.

use dormouse_model::metrics::{Metric, Point, Summary, Unit};
use rusqlite::{Connection, OptionalExtension, params};

use super::read::summary;
use super::{Metrics, stored, text};
use crate::StorageError;

/// Points that one transaction adds at most (ours), so that no log line waits for more.
const STEP: usize = 500;

/// Seconds that a point covers when it comes.
pub(super) const MINUTE_S: u64 = 60;

impl Metrics {
    /// Adds points to what is known of their minutes.
    ///
    /// # Errors
    /// When they cannot be written; some of them may have been.
    pub async fn add(&self, points: Vec<Point>) -> Result<(), StorageError> {
        let mut points = points.into_iter();
        loop {
            let step: Vec<Point> = points.by_ref().take(STEP).collect();
            if step.is_empty() {
                return Ok(());
            }
            self.database.write(move |connection| add(connection, &step)).await?;
        }
    }
}

fn add(connection: &Connection, points: &[Point]) -> Result<(), StorageError> {
    for point in points {
        let metric = touch(connection, &point.metric, point.at_s)?;
        let place = Place { metric, at_s: point.at_s, period_s: MINUTE_S, unit: point.unit };
        merge(connection, &place, &point.summary)?;
    }
    Ok(())
}

/// The metric's id; it is made when it is not there.
fn touch(connection: &Connection, metric: &Metric, at_s: u64) -> Result<i64, StorageError> {
    let Metric { scope, namespace, name, .. } = metric;
    let (account, region) = (scope.account.as_str(), scope.region.as_str());
    let sql = "INSERT INTO metrics (account, region, namespace, name, dimensions, last_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (account, region, namespace, name, dimensions) DO UPDATE SET last_s =
                   CASE WHEN last_s < excluded.last_s THEN excluded.last_s ELSE last_s END
               RETURNING id";
    let of = params![account, region, namespace, name, text(metric), stored(at_s)];
    Ok(connection.prepare_cached(sql)?.query_row(of, |row| row.get(0))?)
}

/// Where values are kept.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) metric: i64,
    pub(super) at_s: u64,
    pub(super) period_s: u64,
    pub(super) unit: Unit,
}

/// Adds values to those that are there.
pub(super) fn merge(
    connection: &Connection,
    place: &Place,
    added: &Summary,
) -> Result<(), StorageError> {
    let key =
        params![place.metric, stored(place.at_s), stored(place.period_s), place.unit.as_str()];
    let known = connection
        .prepare_cached(
            "SELECT samples, sum, minimum, maximum, spread FROM metric_points
             WHERE metric_id = ?1 AND at_s = ?2 AND period_s = ?3 AND unit = ?4",
        )?
        .query_row(key, |row| summary(row, 0))
        .optional()?;
    let mut whole = added.clone();
    if let Some(known) = known {
        whole.merge(&known);
    }
    connection
        .prepare_cached(
            "INSERT INTO metric_points
                 (metric_id, at_s, period_s, unit, samples, sum, minimum, maximum, spread)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (metric_id, at_s, period_s, unit) DO UPDATE SET
                 samples = excluded.samples, sum = excluded.sum, minimum = excluded.minimum,
                 maximum = excluded.maximum, spread = excluded.spread",
        )?
        .execute(params![
            place.metric,
            stored(place.at_s),
            stored(place.period_s),
            place.unit.as_str(),
            whole.samples,
            whole.sum,
            whole.minimum,
            whole.maximum,
            whole.spread(),
        ])?;
    Ok(())
}
