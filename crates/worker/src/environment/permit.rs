//! A place in a count of running invocations. Dropping it gives the place back, whatever happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dormouse_model::concurrency::{Seat, with_one_more};

/// One of a limited number of places. An atomic, not a message: it is taken on the warm path.
#[derive(Debug)]
pub struct Permit {
    taken: Arc<AtomicU32>,
    seat: Seat,
}

impl Permit {
    /// Takes a place unless all `limit` are taken.
    #[must_use]
    pub fn take(taken: &Arc<AtomicU32>, limit: u32) -> Option<Self> {
        let (permit, _) = Self::taken(taken, limit)?;
        Some(permit)
    }

    /// Takes one of `places` that are provisioned.
    #[must_use]
    pub fn take_provisioned(taken: &Arc<AtomicU32>, places: u32) -> Option<Self> {
        let (permit, before) = Self::taken(taken, places)?;
        let seat = Seat::Provisioned { taken: before.saturating_add(1), places };
        Some(permit.seated(seat))
    }

    fn taken(taken: &Arc<AtomicU32>, limit: u32) -> Option<(Self, u32)> {
        let one_more = |n| with_one_more(n, limit);
        let before = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some((Self { taken: taken.clone(), seat: Seat::Ordinary }, before))
    }

    /// The same place, told of as this kind.
    #[must_use]
    pub fn seated(mut self, seat: Seat) -> Self {
        self.seat = seat;
        self
    }

    /// What kind of place it is.
    #[must_use]
    pub fn seat(&self) -> Seat {
        self.seat
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.taken.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "whoever gives a place back has taken it");
    }
}
