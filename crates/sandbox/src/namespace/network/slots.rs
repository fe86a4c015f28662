//! Which of the range's address pairs are in use.
//!
//! Pure. A returned slot waits behind all others, so that its veth has long died when its turn
//! comes again.

use std::collections::VecDeque;

/// The first slot: pair 0 begins with the range's network address.
const FIRST: u16 = 1;
/// The last slot: the pair after it ends with the range's broadcast address.
pub(super) const LAST: u16 = 32_766;

#[derive(Debug)]
pub(super) struct Slots {
    next: u16,
    /// Bounded by `LAST`: only what was taken comes back.
    returned: VecDeque<u16>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { next: FIRST, returned: VecDeque::new() }
    }
}

impl Slots {
    pub(super) fn take(&mut self) -> Option<u16> {
        if self.next > LAST {
            return self.returned.pop_front();
        }
        self.next += 1;
        Some(self.next - 1)
    }

    pub(super) fn give_back(&mut self, slot: u16) {
        debug_assert!((FIRST..self.next).contains(&slot), "only what was taken comes back");
        self.returned.push_back(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_given_once_and_then_the_longest_returned_one() {
        let mut slots = Slots::default();
        let mut all: Vec<u16> = std::iter::from_fn(|| slots.take()).collect();
        assert_eq!((all.len(), all[0], all[32_765]), (32_766, FIRST, LAST));
        all.dedup();
        assert_eq!(all.len(), 32_766);
        slots.give_back(7);
        slots.give_back(3);
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(7), Some(3), None));
    }
}
