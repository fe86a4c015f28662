//! A few read-only connections, each used by one reader at a time.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::database::error::StorageError;

/// The connections. Further readers wait for one in order of arrival.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    permits: Arc<Semaphore>,
    // Held only to take a connection out or put one back, by whoever has a permit.
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections.len())),
            idle: Arc::new(Mutex::new(connections)),
        }
    }

    pub(super) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StorageError::Closed)?;
        let readers = self.clone();
        tokio::task::spawn_blocking(move || {
            let connection = readers.take().ok_or(StorageError::Closed)?;
            let result = on_one_snapshot(&connection, work);
            readers.put_back(connection);
            drop(permit);
            result
        })
        .await
        .map_err(|_| StorageError::Closed)?
    }

    /// Refuses further readers; those at work finish.
    pub(super) fn close(&self) {
        self.permits.close();
        self.lock().clear();
    }

    fn take(&self) -> Option<Connection> {
        self.lock().pop()
    }

    fn put_back(&self, connection: Connection) {
        if !self.permits.is_closed() {
            self.lock().push(connection);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn on_one_snapshot<T, E: From<StorageError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection.unchecked_transaction().map_err(StorageError::from)?;
    work(&transaction)
}
