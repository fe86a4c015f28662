//! Who waits for messages is told here that some came: in memory, without the disk.
//!
//! The writer's thread tells, inside the job that changes a queue; who waits then sends a job of its
//! own, which runs behind that one and so sees what it did. Nothing is told twice or kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_model::limits;
use tokio::sync::watch;

use crate::queue::QueueKey;

/// What was told of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Told {
    /// Grows when messages may have become receivable.
    pub(super) arrivals: u64,
    /// When a message that was taken can be received again.
    pub(super) again_ms: Option<u64>,
}

/// The queues somebody waits at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals {
    // Between the writer's thread and those who wait: a table is looked up and left, within this file.
    queues: Arc<Mutex<HashMap<QueueKey, Bell>>>,
}

#[derive(Debug)]
struct Bell {
    told: watch::Sender<Told>,
    waiters: usize,
}

/// A place among those who wait, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    arrivals: Arrivals,
    key: QueueKey,
    told: watch::Receiver<Told>,
}

impl Arrivals {
    /// A place among those who wait; none when [`limits::QUEUE_WAITERS`] wait already.
    pub(super) fn wait_at(&self, key: &QueueKey) -> Option<Waiter> {
        let mut queues = self.lock();
        if queues.values().map(|bell| bell.waiters).sum::<usize>() >= limits::QUEUE_WAITERS {
            return None;
        }
        let bell = queues
            .entry(key.clone())
            .or_insert_with(|| Bell { told: watch::Sender::new(Told::default()), waiters: 0 });
        bell.waiters += 1;
        let told = bell.told.subscribe();
        Some(Waiter { arrivals: self.clone(), key: key.clone(), told })
    }

    /// Messages may have become receivable.
    pub(super) fn came(&self, key: &QueueKey) {
        if let Some(bell) = self.lock().get(key) {
            bell.told.send_modify(|told| told.arrivals += 1);
        }
    }

    /// Messages become receivable at a time.
    pub(super) fn come_at(&self, key: &QueueKey, at_ms: u64, now_ms: u64) {
        if let Some(bell) = self.lock().get(key) {
            bell.told.send_modify(|told| {
                let pending = told.again_ms.filter(|pending| *pending > now_ms);
                told.again_ms = Some(pending.map_or(at_ms, |pending| pending.min(at_ms)));
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueKey, Bell>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// What was told up to now; [`Waiter::changed`] waits for more.
    pub(super) fn told(&mut self) -> Told {
        *self.told.borrow_and_update()
    }

    /// Waits until more is told.
    pub(super) async fn changed(&mut self) {
        // The bell is there as long as somebody waits at it.
        let _ = self.told.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut queues = self.arrivals.lock();
        if let Some(bell) = queues.get_mut(&self.key) {
            bell.waiters -= 1;
            if bell.waiters == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> QueueKey {
        let scope = dormouse_model::names::Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        QueueKey { scope, name: "q".into() }
    }

    #[tokio::test]
    async fn all_who_wait_are_told_and_nothing_is_kept_of_them() {
        let arrivals = Arrivals::default();
        arrivals.came(&key());
        let (mut one, mut two) =
            (arrivals.wait_at(&key()).unwrap(), arrivals.wait_at(&key()).unwrap());
        assert_eq!(one.told(), Told::default());
        arrivals.came(&key());
        one.changed().await;
        two.changed().await;
        assert_eq!((one.told().arrivals, two.told().arrivals), (1, 1));
        arrivals.come_at(&key(), 50, 10);
        arrivals.come_at(&key(), 70, 10);
        assert_eq!(one.told().again_ms, Some(50));
        arrivals.come_at(&key(), 70, 60);
        assert_eq!(one.told().again_ms, Some(70));
        drop((one, two));
        assert!(arrivals.lock().is_empty());
    }

    #[test]
    fn past_the_limit_nobody_waits() {
        let arrivals = Arrivals::default();
        let waiting: Vec<_> =
            (0..limits::QUEUE_WAITERS).map(|_| arrivals.wait_at(&key())).collect();
        assert!(waiting.iter().all(Option::is_some));
        assert!(arrivals.wait_at(&key()).is_none());
        drop(waiting);
        assert!(arrivals.wait_at(&key()).is_some());
    }
}
