//! Queues made, found, changed, emptied and removed.

use dormouse_model::names::Scope;
use rusqlite::{Connection, OptionalExtension, params};

use crate::database::after_prefix;
use crate::queue::record::{self, Found, kept_after, stored_ms};
use crate::queue::{Counts, CreateQueueError, PurgeError, Queue, QueueKey, Queues, decide};
use crate::{ChangeError, StorageError};

impl Queues {
    /// Makes a queue.
    ///
    /// # Errors
    /// When there is one of that name or was a moment ago, or it cannot be written.
    pub async fn create(&self, queue: Queue) -> Result<(), CreateQueueError> {
        self.database.write(move |connection| create(connection, &queue)).await
    }

    /// One queue.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, key: &QueueKey) -> Result<Option<Queue>, StorageError> {
        let key = key.clone();
        let found = move |connection: &Connection| {
            Ok(record::select(connection, &key)?.map(|found| found.queue))
        };
        self.database.read(found).await
    }

    /// Queues whose names begin so, in the order of their names, from the one that follows `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let (scope, prefix) = (scope.clone(), prefix.to_owned());
        let after = after.unwrap_or_default().to_owned();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name FROM queues WHERE account = ?1 AND region = ?2
                     AND name >= ?3 AND name < ?4 AND name > ?5 ORDER BY name LIMIT ?6",
                )?;
                let (account, region) = (scope.account.as_str(), scope.region.as_str());
                let end = after_prefix(&prefix);
                let rows = params![account, region, prefix, end, after, limit];
                let names = statement.query_map(rows, |row| row.get(0))?;
                Ok(names.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Queues that have this one for their dead letters, as [`Queues::list`].
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn dead_letter_sources(
        &self,
        target: &QueueKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let (target, after) = (target.clone(), after.unwrap_or_default().to_owned());
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name FROM queues WHERE account = ?1 AND region = ?2
                     AND dead_letter = ?3 AND name > ?4 ORDER BY name LIMIT ?5",
                )?;
                let [account, region, name] = record::of(&target);
                let names = statement
                    .query_map(params![account, region, name, after, limit], |row| row.get(0))?;
                Ok(names.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Replaces a queue by what `change` makes of it; changes happen one after the other. The inner
    /// error is `change`'s own, which leaves the queue as it was.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be read or written.
    pub async fn change<E: Send + 'static>(
        &self,
        key: &QueueKey,
        change: impl FnOnce(&Queue) -> Result<Queue, E> + Send + 'static,
    ) -> Result<Result<Queue, E>, ChangeError> {
        let (key, arrivals) = (key.clone(), self.arrivals.clone());
        self.database
            .write(move |connection| {
                let found = record::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                let changed = change(&found.queue);
                if let Ok(queue) = &changed {
                    debug_assert_eq!(queue.key, key);
                    record::update(connection, queue)?;
                    arrivals.came(&key);
                }
                Ok(changed)
            })
            .await
    }

    /// Removes a queue with all its messages at once.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be removed.
    pub async fn delete(&self, key: &QueueKey, now_ms: u64) -> Result<(), ChangeError> {
        let (key, arrivals) = (key.clone(), self.arrivals.clone());
        self.database
            .write(move |connection| {
                delete(connection, &key, now_ms)?;
                arrivals.came(&key);
                Ok(())
            })
            .await
    }

    /// Removes all messages at once, received or not.
    ///
    /// # Errors
    /// When there is no such queue, it was emptied a moment ago, or it cannot be written.
    pub async fn purge(&self, key: &QueueKey, now_ms: u64) -> Result<(), PurgeError> {
        let key = key.clone();
        self.database.write(move |connection| purge(connection, &key, now_ms)).await
    }

    /// How many messages a queue holds.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be read.
    pub async fn counts(&self, key: &QueueKey, now_ms: u64) -> Result<Counts, ChangeError> {
        let key = key.clone();
        self.database
            .read(move |connection| {
                let found = record::select(connection, &key)?.ok_or(ChangeError::Missing)?;
                Ok(counts(connection, &found, now_ms)?)
            })
            .await
    }
}

fn create(connection: &Connection, queue: &Queue) -> Result<(), CreateQueueError> {
    if let Some(found) = record::select(connection, &queue.key)? {
        return Err(CreateQueueError::Exists(Box::new(found.queue)));
    }
    let deleted_ms: Option<i64> = connection
        .prepare_cached(
            "SELECT deleted_ms FROM queues_deleted
             WHERE account = ?1 AND region = ?2 AND name = ?3",
        )
        .and_then(|mut found| found.query_row(record::of(&queue.key), |row| row.get(0)).optional())
        .map_err(StorageError::from)?;
    if deleted_ms.is_some_and(|at| decide::is_resting(at.unsigned_abs(), queue.created_ms)) {
        return Err(CreateQueueError::DeletedRecently);
    }
    Ok(record::insert(connection, queue)?)
}

fn delete(connection: &Connection, key: &QueueKey, now_ms: u64) -> Result<(), ChangeError> {
    let found = record::select(connection, key)?.ok_or(ChangeError::Missing)?;
    connection.prepare_cached("DELETE FROM queues WHERE id = ?1")?.execute([found.id])?;
    connection
        .prepare_cached("DELETE FROM queue_deduplications WHERE queue = ?1")?
        .execute([found.id])?;
    record::leave_shelf(connection, found.shelf)?;
    let over = stored_ms(now_ms.saturating_sub(decide::REST_MS));
    connection
        .prepare_cached("DELETE FROM queues_deleted WHERE deleted_ms <= ?1")?
        .execute([over])?;
    let [account, region, name] = record::of(key);
    connection
        .prepare_cached("INSERT OR REPLACE INTO queues_deleted VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![account, region, name, stored_ms(now_ms)])?;
    Ok(())
}

fn purge(connection: &Connection, key: &QueueKey, now_ms: u64) -> Result<(), PurgeError> {
    let found = record::select(connection, key)?.ok_or(PurgeError::Missing)?;
    if found.purged_ms.is_some_and(|at| decide::is_resting(at.unsigned_abs(), now_ms)) {
        return Err(PurgeError::InProgress);
    }
    let shelf = record::new_shelf(connection)?;
    record::leave_shelf(connection, found.shelf)?;
    connection
        .prepare_cached("UPDATE queues SET shelf = ?2, purged_ms = ?3 WHERE id = ?1")
        .and_then(|mut moved| moved.execute(params![found.id, shelf, stored_ms(now_ms)]))
        .map_err(StorageError::from)?;
    Ok(())
}

fn counts(connection: &Connection, found: &Found, now_ms: u64) -> Result<Counts, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT COUNT(*) FILTER (WHERE visible_ms <= ?3),
                COUNT(*) FILTER (WHERE visible_ms > ?3 AND received > 0),
                COUNT(*) FILTER (WHERE visible_ms > ?3 AND received = 0)
         FROM queue_messages WHERE shelf = ?1 AND kept_ms > ?2",
    )?;
    let rows = params![found.shelf, kept_after(found, now_ms), stored_ms(now_ms)];
    Ok(statement.query_row(rows, |row| {
        Ok(Counts { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? })
    })?)
}
