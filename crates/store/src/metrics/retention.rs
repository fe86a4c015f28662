//! How long values are kept: by the minute for 15 days, by five minutes for 63, by the hour for 455.
//!
//! One task merges what is older into the next longer period, a bounded step at a time.

use std::time::Duration;

use dormouse_model::clock::Clock;
use dormouse_model::metrics::{Summary, Unit};
use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::read::{summary, unit_of};
use super::write::{MINUTE_S, Place, merge};
use super::{Metrics, seconds, stored};
use crate::StorageError;

const DAY_S: u64 = 86_400;
/// Between two rounds (ours; nobody notices when a point is merged an hour late).
const ROUND: Duration = Duration::from_secs(3_600);
/// Points a step moves at most (ours). Others wait for the next one.
const STEP: usize = 500;

/// A period in which values are kept, for how long, and the period they are merged into afterwards.
struct Age {
    period_s: u64,
    kept_s: u64,
    then_s: Option<u64>,
}

/// CloudWatch's ("Metrics retention").
const AGES: [Age; 3] = [
    Age { period_s: MINUTE_S, kept_s: 15 * DAY_S, then_s: Some(300) },
    Age { period_s: 300, kept_s: 63 * DAY_S, then_s: Some(3_600) },
    Age { period_s: 3_600, kept_s: 455 * DAY_S, then_s: None },
];

impl Metrics {
    /// Merges and removes what is past its time, round after round, until `stopping` says so or closes.
    pub async fn keep_retention(self, clock: Clock, mut stopping: watch::Receiver<bool>) {
        loop {
            let round = async {
                self.age_all(&clock).await;
                tokio::time::sleep(ROUND).await;
            };
            tokio::select! {
                () = round => {}
                // A step that was begun is finished by the writer.
                _ = stopping.changed() => return,
            }
        }
    }

    async fn age_all(&self, clock: &Clock) {
        loop {
            match self.age(clock.wall_ms() / 1_000).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "old metrics stay until the next round");
                    return;
                }
            }
        }
    }

    /// One step: moves or removes some of what was past its time at `now_s`, in seconds since 1970.
    /// Whether there may be more.
    ///
    /// # Errors
    /// When they cannot be written; then nothing is changed.
    pub async fn age(&self, now_s: u64) -> Result<bool, StorageError> {
        self.database.write(move |connection| step(connection, now_s)).await
    }
}

fn step(connection: &Connection, now_s: u64) -> Result<bool, StorageError> {
    for age in &AGES {
        let kept_from = now_s.saturating_sub(age.kept_s);
        let old = old(connection, age.period_s, kept_from)?;
        for (place, values) in &old {
            move_on(connection, place, values, age.then_s)?;
        }
        if !old.is_empty() {
            return Ok(true);
        }
    }
    let longest = AGES[AGES.len() - 1].kept_s;
    connection
        .prepare_cached("DELETE FROM metrics WHERE last_s < ?1")?
        .execute([stored(now_s.saturating_sub(longest))])?;
    Ok(false)
}

fn old(
    connection: &Connection,
    period_s: u64,
    kept_from_s: u64,
) -> Result<Vec<(Place, Summary)>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT metric_id, at_s, unit, samples, sum, minimum, maximum, spread FROM metric_points
         WHERE period_s = ?1 AND at_s < ?2 ORDER BY at_s LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![stored(period_s), stored(kept_from_s), STEP], |row| {
            let unit: Unit = unit_of(row.get(2)?);
            let place = Place { metric: row.get(0)?, at_s: seconds(row.get(1)?), period_s, unit };
            Ok((place, summary(row, 3)?))
        })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn move_on(
    connection: &Connection,
    place: &Place,
    values: &Summary,
    then_s: Option<u64>,
) -> Result<(), StorageError> {
    if let Some(then_s) = then_s {
        let at_s = place.at_s / then_s * then_s;
        merge(connection, &Place { at_s, period_s: then_s, ..*place }, values)?;
    }
    connection
        .prepare_cached(
            "DELETE FROM metric_points
             WHERE metric_id = ?1 AND at_s = ?2 AND period_s = ?3 AND unit = ?4",
        )?
        .execute(params![
            place.metric,
            stored(place.at_s),
            stored(place.period_s),
            place.unit.as_str()
        ])?;
    Ok(())
}
