//! What is asked of metrics.

use std::collections::BTreeMap;

use dormouse_model::metrics::{Metric, Series, Summary, Unit};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{ListPage, ListQuery, Metrics, Values, ValuesQuery, corrupt, seconds, stored, text};
use crate::StorageError;

impl Metrics {
    /// A page of metrics.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(&self, query: ListQuery) -> Result<ListPage, StorageError> {
        self.database.read(move |connection| list(connection, &query)).await
    }

    /// The values of some metrics, in the order of the queries and all of one moment.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn values(&self, queries: Vec<ValuesQuery>) -> Result<Vec<Values>, StorageError> {
        self.database
            .read(move |connection| queries.iter().map(|query| values(connection, query)).collect())
            .await
    }
}

fn list(connection: &Connection, query: &ListQuery) -> Result<ListPage, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, namespace, name, dimensions FROM metrics
         WHERE account = ?1 AND region = ?2 AND last_s >= ?3 AND id > ?4
           AND (?5 IS NULL OR namespace = ?5) AND (?6 IS NULL OR name = ?6)
         ORDER BY id",
    )?;
    let scope = &query.scope;
    let mut rows = statement.query(params![
        scope.account.as_str(),
        scope.region.as_str(),
        stored(query.active_since_s),
        stored(query.after.unwrap_or(0)),
        query.namespace,
        query.name,
    ])?;
    let mut page = ListPage { metrics: Vec::new(), next: None };
    let mut last = 0;
    while let Some(row) = rows.next()? {
        let dimensions: String = row.get(3)?;
        let metric = Metric {
            scope: scope.clone(),
            namespace: row.get(1)?,
            name: row.get(2)?,
            dimensions: serde_json::from_str(&dimensions).map_err(corrupt)?,
        };
        if !has_all(&metric, &query.dimensions) {
            continue;
        }
        if page.metrics.len() == query.limit {
            page.next = Some(last);
            break;
        }
        last = seconds(row.get(0)?);
        page.metrics.push(metric);
    }
    Ok(page)
}

fn has_all(metric: &Metric, wanted: &BTreeMap<String, Option<String>>) -> bool {
    wanted.iter().all(|(name, value)| {
        let found = metric.dimensions.get(name);
        found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
    })
}

fn values(connection: &Connection, query: &ValuesQuery) -> Result<Values, StorageError> {
    let Metric { scope, namespace, name, .. } = &query.metric;
    let (account, region) = (scope.account.as_str(), scope.region.as_str());
    let sql = "SELECT id FROM metrics WHERE account = ?1 AND region = ?2 AND namespace = ?3
               AND name = ?4 AND dimensions = ?5";
    let of = params![account, region, namespace, name, text(&query.metric)];
    let id =
        connection.prepare_cached(sql)?.query_row(of, |row| row.get::<_, i64>(0)).optional()?;
    let Some(id) = id else {
        return Ok(Values::new());
    };
    let mut statement = connection.prepare_cached(
        "SELECT at_s, unit, samples, sum, minimum, maximum, spread FROM metric_points
         WHERE metric_id = ?1 AND at_s >= ?2 AND at_s < ?3 AND (?4 IS NULL OR unit = ?4)",
    )?;
    // A period begins with the minute of the start.
    let from = query.between_s.start / 60 * 60;
    let unit = query.unit.map(Unit::as_str);
    let mut rows = statement.query(params![id, stored(from), stored(query.between_s.end), unit])?;
    let mut found: BTreeMap<Unit, Series> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let unit = unit_of(row.get(1)?);
        let series = found.entry(unit);
        let series = series.or_insert_with(|| Series::new(&query.between_s, query.period));
        series.add(seconds(row.get(0)?), &summary(row, 2)?);
    }
    Ok(found.into_iter().map(|(unit, series)| (unit, series.finish())).collect())
}

/// Only known units are ever stored.
pub(super) fn unit_of(name: String) -> Unit {
    Unit::try_from(name).unwrap_or(Unit::NONE)
}

/// The values in five columns, from this one on.
pub(super) fn summary(row: &Row<'_>, first: usize) -> rusqlite::Result<Summary> {
    let numbers = [row.get(first)?, row.get(first + 1)?, row.get(first + 2)?, row.get(first + 3)?];
    let spread: Option<String> = row.get(first + 4)?;
    Ok(Summary::of_kept(numbers, spread.as_deref()))
}
