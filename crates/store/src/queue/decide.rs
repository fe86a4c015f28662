//! What follows for a message from the rules of its queue and the time: pure.
//!
//! Must never read a clock or a table.

use std::collections::HashSet;

use crate::queue::{Order, Rules};

/// Milliseconds for which a second message with the same deduplication id is a double (developer
/// guide: five minutes).
pub(super) const DEDUPLICATION_MS: u64 = 300_000;
/// Milliseconds between two purges of a queue, and between its deletion and a new one of its name
/// (developer guide: 60 seconds).
pub(super) const REST_MS: u64 = 60_000;

/// What is known of a message without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// From when on it can be received.
    pub(super) visible_ms: u64,
    /// How often it was received.
    pub(super) received: u32,
}

/// What becomes of a message that is to be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is handed out.
    Deliver,
    /// It goes to the dead-letter queue.
    DeadLetter,
}

/// What a receipt is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is of the last receive, and the message is hidden.
    InFlight,
    /// It is of the last receive, and the message can be received again.
    Returned,
    /// The message was received again since.
    Superseded,
}

pub(super) fn fate(rules: &Rules, received: u32) -> Fate {
    match &rules.dead_letter {
        Some(dead_letter) if received >= dead_letter.max_receives => Fate::DeadLetter,
        _ => Fate::Deliver,
    }
}

pub(super) fn standing(message: State, receipt_received: u32, now_ms: u64) -> Standing {
    if message.received != receipt_received {
        Standing::Superseded
    } else if message.visible_ms > now_ms {
        Standing::InFlight
    } else {
        Standing::Returned
    }
}

/// A clock that was set back makes no double of anything for longer than it was set back.
pub(super) fn is_double(first_sent_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(first_sent_ms) < DEDUPLICATION_MS
}

pub(super) fn is_resting(since_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(since_ms) < REST_MS
}

/// Messages that were kept since then or before are too old.
pub(super) fn too_old_ms(rules: &Rules, now_ms: u64) -> Option<u64> {
    now_ms.checked_sub(rules.retention_ms)
}

/// Doubles are told within this: a group, or the whole queue.
pub(super) fn deduplication_scope(order: Order, group: Option<&str>) -> &str {
    match order {
        Order::FifoByGroup => group.unwrap_or_default(),
        Order::Standard | Order::Fifo => "",
    }
}

/// Picks messages of a queue with an order, which are offered to it as they were sent.
///
/// Of a group nothing is taken while one of its messages is in flight, and nothing behind a message
/// that cannot be taken: so nothing overtakes.
#[derive(Debug)]
pub(super) struct Picker {
    blocked: HashSet<String>,
    left: usize,
    now_ms: u64,
}

impl Picker {
    pub(super) fn new(in_flight: HashSet<String>, max: usize, now_ms: u64) -> Self {
        Self { blocked: in_flight, left: max, now_ms }
    }

    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Whether the message is taken.
    pub(super) fn offer(&mut self, group: &str, state: State) -> bool {
        if self.left == 0 || self.blocked.contains(group) {
            return false;
        }
        if state.visible_ms > self.now_ms {
            self.blocked.insert(group.to_owned());
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Messages as `group` and, when it cannot be taken yet, `!`; the picked ones by number.
    fn check(in_flight: &[&str], max: usize, messages: &str, expected: &[usize]) {
        let blocked = in_flight.iter().map(|group| (*group).to_owned()).collect();
        let mut picker = Picker::new(blocked, max, 10);
        let picked = messages.split(' ').enumerate().filter(|(_, message)| {
            let visible_ms = if message.ends_with('!') { 11 } else { 10 };
            picker.offer(message.trim_end_matches('!'), State { visible_ms, received: 0 })
        });
        let picked: Vec<usize> = picked.map(|(number, _)| number).collect();
        assert_eq!(picked, expected, "{messages}");
    }

    #[test]
    fn a_group_is_taken_in_order_up_to_what_cannot_be_taken() {
        check(&[], 10, "a b a c", &[0, 1, 2, 3]);
        check(&[], 2, "a b a c", &[0, 1]);
        check(&["a"], 10, "a b a c", &[1, 3]);
        check(&[], 10, "a a! a b", &[0, 3]);
        check(&[], 10, "a! b! c", &[2]);
    }

    #[test]
    fn a_receipt_is_good_for_the_last_receive_only() {
        let message = State { visible_ms: 100, received: 2 };
        assert_eq!(standing(message, 2, 99), Standing::InFlight);
        assert_eq!(standing(message, 2, 100), Standing::Returned);
        assert_eq!(standing(message, 1, 99), Standing::Superseded);
    }

    #[test]
    fn a_double_is_one_for_five_minutes() {
        assert!(is_double(1_000, 1_000 + DEDUPLICATION_MS - 1));
        assert!(!is_double(1_000, 1_000 + DEDUPLICATION_MS));
        assert!(is_double(1_000, 0), "the clock was set back");
    }

    proptest! {
        #[test]
        fn nothing_overtakes_within_a_group(
            messages in proptest::collection::vec((0_u8..3, any::<bool>()), 0..30), max in 0_usize..12,
        ) {
            let mut picker = Picker::new(HashSet::new(), max, 1);
            let mut passed = HashSet::new();
            let mut taken = 0;
            for (group, visible) in messages {
                let state = State { visible_ms: if visible { 1 } else { 2 }, received: 0 };
                if picker.offer(&group.to_string(), state) {
                    prop_assert!(visible && !passed.contains(&group));
                    taken += 1;
                } else {
                    passed.insert(group);
                }
            }
            prop_assert!(taken <= max);
        }
    }
}
