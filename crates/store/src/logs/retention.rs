//! Retention: events that are older than their group keeps them are removed for good.
//!
//! One task does it, a bounded step at a time, each in a transaction of its own, so that no append
//! waits for more than a step. Streams stay when their last event goes, as on AWS.

use std::time::Duration;

use dormouse_model::clock::Clock;
use rusqlite::{Connection, params};
use tokio::sync::watch;

use crate::StorageError;
use crate::logs::rows::counted_bytes;
use crate::logs::{Logs, stored_ms};

const DAY_MS: u64 = 86_400_000;
/// Between two rounds over all groups (ours; AWS removes within 72 hours).
const ROUND: Duration = Duration::from_secs(60);
/// Rows of events that a step removes at most (ours). Others wait for the next one.
const STEP_ROWS: usize = 2_000;
/// Groups a step looks at at most (ours).
const STEP_GROUPS: usize = 100;

/// Where a round goes on: after the groups that are done. The default is its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round(i64);

impl Logs {
    /// Removes what is past its retention, round after round, until `stopping` says so or closes.
    pub async fn keep_retention(self, clock: Clock, mut stopping: watch::Receiver<bool>) {
        loop {
            let round = async {
                self.expire_all(&clock).await;
                tokio::time::sleep(ROUND).await;
            };
            tokio::select! {
                () = round => {}
                // A step that was begun is finished by the writer.
                _ = stopping.changed() => return,
            }
        }
    }

    async fn expire_all(&self, clock: &Clock) {
        let mut round = Some(Round::default());
        while let Some(at) = round {
            round = match self.expire(clock.wall_ms(), at).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "expired log events stay until the next round");
                    None
                }
            };
        }
    }

    /// One step: removes some events that were past their retention at `now_ms`. Answers where the
    /// round goes on, or nothing at its end.
    ///
    /// # Errors
    /// When they cannot be removed; then none of them is.
    pub async fn expire(&self, now_ms: u64, at: Round) -> Result<Option<Round>, StorageError> {
        self.database.write(move |connection| step(connection, now_ms, at)).await
    }
}

/// The moment before which events are no longer kept.
fn kept_from_ms(now_ms: u64, days: u32) -> u64 {
    now_ms.saturating_sub(u64::from(days) * DAY_MS)
}

fn step(connection: &Connection, now_ms: u64, at: Round) -> Result<Option<Round>, StorageError> {
    let mut left = STEP_ROWS;
    let mut done = at;
    let groups = groups(connection, at)?;
    for (group, days) in &groups {
        left -= remove(connection, *group, kept_from_ms(now_ms, *days), left)?;
        if left == 0 {
            return Ok(Some(done));
        }
        done = Round(*group);
    }
    Ok((groups.len() == STEP_GROUPS).then_some(done))
}

fn groups(connection: &Connection, at: Round) -> Result<Vec<(i64, u32)>, StorageError> {
    let sql = "SELECT id, retention_days FROM log_groups
               WHERE id > ?1 AND retention_days IS NOT NULL ORDER BY id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows =
        statement.query_map(params![at.0, STEP_GROUPS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes at most so many rows of a group's events, the oldest first, and says how many.
fn remove(
    connection: &Connection,
    group: i64,
    kept_from_ms: u64,
    limit: usize,
) -> Result<usize, StorageError> {
    let sql = format!(
        "DELETE FROM log_events WHERE id IN
             (SELECT id FROM log_events WHERE group_id = ?1 AND timestamp_ms < ?2
              ORDER BY timestamp_ms, id LIMIT ?3)
         RETURNING {}",
        counted_bytes(),
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let of = params![group, stored_ms(kept_from_ms), limit];
    let sizes = statement.query_map(of, |row| row.get::<_, usize>(0))?;
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
    if !sizes.is_empty() {
        connection
            .prepare_cached("UPDATE log_groups SET stored_bytes = stored_bytes - ?2 WHERE id = ?1")?
            .execute(params![group, sizes.iter().sum::<usize>()])?;
    }
    Ok(sizes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_to_be_over() {
        assert_eq!(kept_from_ms(DAY_MS, 1), 0);
        assert_eq!(kept_from_ms(DAY_MS + 5, 1), 5);
        assert_eq!(kept_from_ms(10, 3_653), 0);
    }
}
