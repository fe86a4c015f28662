//! A place in a count of running invocations. Dropping it gives the place back, whatever happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One of a limited number of places. An atomic, not a message: it is taken on the warm path.
#[derive(Debug)]
pub struct Permit {
    taken: Arc<AtomicU32>,
}

impl Permit {
    /// Takes a place unless all `limit` are taken.
    #[must_use]
    pub fn take(taken: &Arc<AtomicU32>, limit: u32) -> Option<Self> {
        taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < limit).then_some(n + 1))
            .ok()
            .map(|_| Self { taken: taken.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
