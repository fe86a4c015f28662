//! A place in a count of running invocations. Dropping it gives the place back, whatever happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dormouse_model::concurrency::with_one_more;

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
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| with_one_more(n, limit))
            .ok()
            .map(|_| Self { taken: taken.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.taken.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "whoever gives a place back has taken it");
    }
}
