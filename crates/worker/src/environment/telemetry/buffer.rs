//! What one subscriber has not got yet: events gathered into batches, one batch under way at a time,
//! offered again when it was not taken, dropped and counted when the subscriber is too far behind.
//!
//! Pure but for the time that is handed in. Nothing is delivered here.

use std::collections::VecDeque;

use dormouse_model::environment::Micros;
use dormouse_model::limits::{TELEMETRY_ATTEMPTS, TELEMETRY_BACKLOG, TELEMETRY_RETRY_MS};
use dormouse_runtime_api::Buffering;

/// Events of one subscriber.
#[derive(Debug)]
pub(super) struct Buffer {
    max_bytes: usize,
    max_items: usize,
    timeout: Micros,
    waiting: VecDeque<String>,
    waiting_bytes: usize,
    /// When the oldest of those that wait came.
    since: Micros,
    /// They are not to wait for more.
    hurried: bool,
    batch: Option<Batch>,
    dropped: Dropped,
}

/// Events that are offered together.
#[derive(Debug)]
struct Batch {
    items: Vec<String>,
    refusals: u32,
    /// When it is offered again; `None` while it is under way.
    again: Option<Micros>,
}

/// Events that the subscriber will not get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Buffer {
    pub(super) fn new(buffering: &Buffering) -> Self {
        Self {
            max_bytes: usize::try_from(buffering.max_bytes).unwrap_or(usize::MAX),
            max_items: usize::try_from(buffering.max_items).unwrap_or(usize::MAX),
            timeout: u64::from(buffering.timeout_ms) * 1_000,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            since: 0,
            hurried: false,
            batch: None,
            dropped: Dropped::default(),
        }
    }

    /// Adds an event, or counts it as dropped where there is no room.
    pub(super) fn push(&mut self, item: String, now: Micros) {
        if self.is_full(item.len()) {
            self.drop_one(item.len());
            return;
        }
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.waiting_bytes += item.len();
        self.waiting.push_back(item);
    }

    /// Whether there is no room for this much.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.waiting_bytes + bytes > TELEMETRY_BACKLOG * self.max_bytes
            || self.waiting.len() >= TELEMETRY_BACKLOG * self.max_items
    }

    /// An event will not be had.
    pub(super) fn drop_one(&mut self, bytes: usize) {
        self.dropped.records += 1;
        self.dropped.bytes += bytes as u64;
    }

    /// What waits is to go out now.
    pub(super) fn hurry(&mut self) {
        self.hurried = !self.waiting.is_empty();
    }

    /// Whether a batch is with the subscriber.
    pub(super) fn is_under_way(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.again.is_none())
    }

    /// When the next batch is to be offered, if there is one and none is under way.
    pub(super) fn due(&self) -> Option<Micros> {
        if let Some(batch) = &self.batch {
            return batch.again;
        }
        let is_full = self.waiting_bytes >= self.max_bytes || self.waiting.len() >= self.max_items;
        let wait = if is_full || self.hurried { 0 } else { self.timeout };
        (!self.waiting.is_empty()).then_some(self.since + wait)
    }

    /// The batch to offer: the one that was not taken, or a new one. `tell` makes an event of what
    /// was dropped since the last one.
    pub(super) fn take(&mut self, tell: impl FnOnce(Dropped) -> Option<String>) -> Vec<String> {
        let mut batch = self.batch.take().unwrap_or_else(|| self.gather(tell));
        batch.again = None;
        self.batch.insert(batch).items.clone()
    }

    fn gather(&mut self, tell: impl FnOnce(Dropped) -> Option<String>) -> Batch {
        let dropped = std::mem::take(&mut self.dropped);
        let mut items: Vec<String> =
            (dropped.records > 0).then(|| tell(dropped)).flatten().into_iter().collect();
        let mut bytes = 0;
        while items.len() < self.max_items
            && (bytes < self.max_bytes)
            && let Some(item) = self.waiting.pop_front()
        {
            bytes += item.len();
            items.push(item);
        }
        self.waiting_bytes -= bytes;
        self.hurried &= !self.waiting.is_empty();
        Batch { items, refusals: 0, again: None }
    }

    /// The subscriber has taken the batch.
    pub(super) fn taken(&mut self) {
        self.batch = None;
    }

    /// It has not.
    pub(super) fn refused(&mut self, now: Micros) {
        let Some(batch) = &mut self.batch else { return };
        batch.refusals += 1;
        if batch.refusals < TELEMETRY_ATTEMPTS {
            let pause_ms = TELEMETRY_RETRY_MS << (batch.refusals - 1);
            batch.again = Some(now + pause_ms * 1_000);
            return;
        }
        for item in self.batch.take().into_iter().flat_map(|batch| batch.items) {
            self.drop_one(item.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buffer() -> Buffer {
        Buffer::new(&Buffering { max_bytes: 10, max_items: 3, timeout_ms: 25 })
    }

    fn tell(dropped: Dropped) -> Option<String> {
        Some(format!("dropped {} {}", dropped.records, dropped.bytes))
    }

    #[test]
    fn a_batch_goes_out_when_it_is_old_or_large_or_long_enough() {
        let mut few = buffer();
        assert_eq!(few.due(), None);
        few.push("a".into(), 1_000);
        few.push("b".into(), 9_000);
        assert_eq!(few.due(), Some(26_000));
        few.push("c".into(), 9_500);
        assert_eq!(few.due(), Some(1_000));
        let mut large = buffer();
        large.push("0123456789".into(), 7);
        assert_eq!(large.due(), Some(7));
        assert_eq!(large.take(tell), ["0123456789"]);
        assert_eq!((large.due(), large.is_under_way()), (None, true));
        large.taken();
        assert_eq!((large.due(), large.is_under_way()), (None, false));
    }

    #[test]
    fn a_hurried_batch_does_not_wait_and_the_next_one_does() {
        let mut buffer = buffer();
        buffer.push("a".into(), 5);
        buffer.hurry();
        assert_eq!(buffer.due(), Some(5));
        buffer.take(tell);
        buffer.push("b".into(), 8);
        assert_eq!(buffer.due(), None, "one at a time");
        buffer.taken();
        assert_eq!(buffer.due(), Some(25_008));
    }

    #[test]
    fn what_is_not_taken_is_offered_again_ever_later_then_dropped_and_told() {
        let mut buffer = buffer();
        buffer.push("abc".into(), 0);
        buffer.hurry();
        let mut pauses_ms = Vec::new();
        while buffer.due().is_some() {
            assert_eq!(buffer.take(tell), ["abc"]);
            buffer.refused(0);
            pauses_ms.extend(buffer.due().map(|due| due / 1_000));
        }
        assert_eq!(pauses_ms, [50, 100, 200, 400, 800, 1_600, 3_200]);
        buffer.push("d".into(), 0);
        assert_eq!(buffer.take(tell), ["dropped 1 3", "d"]);
    }

    #[test]
    fn who_is_too_far_behind_loses_the_newest() {
        let mut buffer = buffer();
        for item in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            buffer.push(item.into(), 0);
        }
        assert_eq!(buffer.take(tell), ["dropped 2 2", "a", "b"]);
        buffer.taken();
        assert_eq!(buffer.take(tell), ["c", "d", "e"]);
    }

    proptest! {
        #[test]
        fn every_event_is_taken_dropped_or_still_there(
            steps in prop::collection::vec((0_u8..4, "[a-z]{0,8}"), 0..100),
        ) {
            let mut buffer = buffer();
            let (mut pushed, mut told, mut taken) = (0, 0, 0);
            let mut offered = 0;
            for (now, (step, item)) in (0..).zip(steps) {
                match step {
                    0 | 1 => {
                        buffer.push(item, now);
                        pushed += 1;
                    }
                    2 if buffer.due().is_some() => {
                        let before = buffer.batch.is_none();
                        let items = buffer.take(|dropped| { told += dropped.records; None });
                        if before { offered = items.len(); }
                        prop_assert!(items.len() <= 3);
                    }
                    3 if buffer.is_under_way() && now % 3 == 0 => buffer.refused(now),
                    3 if buffer.is_under_way() => {
                        buffer.taken();
                        taken += offered;
                    }
                    _ => {}
                }
                let held = buffer.batch.as_ref().map_or(0, |batch| batch.items.len());
                let there = buffer.waiting.len() + held;
                prop_assert!(buffer.waiting.len() <= 6 && buffer.waiting_bytes <= 20);
                let dropped = told + buffer.dropped.records;
                prop_assert_eq!(pushed, taken as u64 + there as u64 + dropped);
            }
        }
    }
}
