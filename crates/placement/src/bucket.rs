//! A token bucket that several tasks take from: one atomic, since it is on the warm path where rates are
//! limited. Its arithmetic is in `model::concurrency::rate`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_model::concurrency::rate::Rate;
use dormouse_model::environment::Micros;

/// When a bucket will be full again. Clones are the same bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level(Arc<AtomicU64>);

impl Level {
    /// Takes one, unless a bucket of this rate is empty.
    pub(crate) fn take(&self, rate: Rate, now: Micros) -> bool {
        let take = |full_at| rate.take(full_at, now);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Whether nobody else has it.
    pub(crate) fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

/// A bucket whose rate never changes.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) level: Level,
    pub(crate) rate: Rate,
}

impl Bucket {
    /// Takes one, unless it is empty.
    pub(crate) fn take(&self, now: Micros) -> bool {
        self.level.take(self.rate, now)
    }
}
