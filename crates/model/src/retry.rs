//! What becomes of an event that was queued: done, tried again at some time, or given up. Pure.
//!
//! ```text
//!            succeeded -------------------------------------> Success
//!            the function failed: again after 1 and 2 min --> RetriesExhausted
//!   event    could not be run: again after 1 s .. 5 min ----> EventAgeExceeded, as for all
//!            the function is switched off ------------------> ZeroReservedConcurrency
//! ```
//!
//! Only the function's own failures count as tries; whether an event would be too old is asked
//! before its next try is set down.

use crate::event_invoke::EventInvokeConfig;
use crate::limits;

/// How events of a function, a version or an alias are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How often one is tried again after the function failed.
    pub retries: u32,
    /// Milliseconds for which one is kept.
    pub age_ms: u64,
    /// Milliseconds before the first retry; twice as many before the second.
    pub base_ms: u64,
}

impl Rules {
    /// What a configuration says, and what holds where it says nothing.
    #[must_use]
    pub fn of(config: Option<&EventInvokeConfig>, base_ms: u64) -> Self {
        let age_s = config.and_then(|config| config.age_s).unwrap_or(*limits::EVENT_AGE_S.end());
        Self {
            retries: config.and_then(|config| config.retries).unwrap_or(limits::EVENT_RETRIES),
            age_ms: u64::from(age_s) * 1_000,
            base_ms,
        }
    }

    /// Whether an event that was accepted then is too old to be run at some time.
    #[must_use]
    pub fn is_too_old(&self, accepted_ms: u64, at_ms: u64) -> bool {
        at_ms.saturating_sub(accepted_ms) >= self.age_ms
    }
}

/// What is known of an event before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_ms: u64,
    /// How often its function failed with it.
    pub failures: u32,
    /// How often in a row it could not be run.
    pub deferrals: u32,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The function answered.
    Succeeded,
    /// The function failed.
    Failed,
    /// It was not the function's fault that it did not run, or not to its end: there was no place for
    /// it, it does not serve now, or its environment got lost.
    Deferred,
    /// The function has reserved no concurrency at all.
    SwitchedOff,
    /// It was too old to be run.
    TooOld,
}

/// How an event ended: what a destination is told, in AWS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The function answered.
    Success,
    /// The function failed as often as it may.
    RetriesExhausted,
    /// It could not be run again, or at all, while it was young enough.
    EventAgeExceeded,
    /// The function has reserved no concurrency at all.
    ZeroReservedConcurrency,
}

impl Condition {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::ZeroReservedConcurrency => "ZeroReservedConcurrency",
        }
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has ended.
    Ended(Condition),
    /// It is tried again.
    Again {
        /// When, in milliseconds since 1970.
        at_ms: u64,
        /// What is known of it then.
        tries: Tries,
    },
}

/// What becomes of an event after a try that ended now.
#[must_use]
pub fn decide(tries: Tries, outcome: Outcome, rules: &Rules, now_ms: u64) -> Verdict {
    let (wait_ms, tries) = match outcome {
        Outcome::Succeeded => return Verdict::Ended(Condition::Success),
        Outcome::SwitchedOff => return Verdict::Ended(Condition::ZeroReservedConcurrency),
        Outcome::TooOld => return Verdict::Ended(Condition::EventAgeExceeded),
        Outcome::Failed if tries.failures >= rules.retries => {
            return Verdict::Ended(Condition::RetriesExhausted);
        }
        Outcome::Failed => {
            let failures = tries.failures + 1;
            let wait_ms = doubled(rules.base_ms, tries.failures);
            (wait_ms, Tries { failures, deferrals: 0, ..tries })
        }
        Outcome::Deferred => {
            let deferrals = tries.deferrals.saturating_add(1);
            (back_off_ms(tries.deferrals), Tries { deferrals, ..tries })
        }
    };
    let at_ms = now_ms.saturating_add(wait_ms);
    if rules.is_too_old(tries.accepted_ms, at_ms) {
        return Verdict::Ended(Condition::EventAgeExceeded);
    }
    Verdict::Again { at_ms, tries }
}

/// Milliseconds before something is tried again that could not be done so many times in a row before.
#[must_use]
pub fn back_off_ms(before: u32) -> u64 {
    doubled(*limits::EVENT_BACK_OFF_MS.start(), before).min(*limits::EVENT_BACK_OFF_MS.end())
}

/// A time doubled so often.
#[must_use]
pub fn doubled(ms: u64, times: u32) -> u64 {
    ms.saturating_mul(1_u64.checked_shl(times).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000;
    const RULES: Rules = Rules { retries: 2, age_ms: 360 * MINUTE, base_ms: MINUTE };

    /// A try that ended so long after the event was accepted, before which it had failed and been
    /// deferred so often; what becomes of it.
    fn check(
        rules: &Rules,
        (failures, deferrals): (u32, u32),
        (outcome, age_ms): (Outcome, u64),
        expected: &str,
    ) {
        let tries = Tries { accepted_ms: 1_000_000, failures, deferrals };
        let got = match decide(tries, outcome, rules, 1_000_000 + age_ms) {
            Verdict::Ended(condition) => condition.as_str().to_owned(),
            Verdict::Again { at_ms, tries } => {
                let wait_ms = at_ms - 1_000_000 - age_ms;
                format!("in {wait_ms}, {} failed, {} deferred", tries.failures, tries.deferrals)
            }
        };
        assert_eq!(got, expected, "{failures} {deferrals} {outcome:?} {age_ms}");
    }

    #[test]
    fn a_failed_event_is_tried_again_after_one_minute_and_after_two() {
        use Outcome::{Failed, Succeeded};
        check(&RULES, (0, 0), (Succeeded, 5), "Success");
        check(&RULES, (0, 0), (Failed, 5), "in 60000, 1 failed, 0 deferred");
        check(&RULES, (1, 0), (Failed, MINUTE), "in 120000, 2 failed, 0 deferred");
        check(&RULES, (2, 0), (Failed, 3 * MINUTE), "RetriesExhausted");
        check(&RULES, (2, 0), (Succeeded, 3 * MINUTE), "Success");
        let once = Rules { retries: 1, ..RULES };
        check(&once, (0, 0), (Failed, 5), "in 60000, 1 failed, 0 deferred");
        check(&once, (1, 0), (Failed, MINUTE), "RetriesExhausted");
        check(&Rules { retries: 0, ..RULES }, (0, 0), (Failed, 5), "RetriesExhausted");
        // Fewer retries than it has had already: the configuration was changed meanwhile.
        check(&once, (2, 0), (Failed, MINUTE), "RetriesExhausted");
    }

    #[test]
    fn what_could_not_be_run_waits_longer_each_time_and_uses_up_no_try() {
        use Outcome::{Deferred, Failed};
        check(&RULES, (0, 0), (Deferred, 0), "in 1000, 0 failed, 1 deferred");
        check(&RULES, (1, 1), (Deferred, 0), "in 2000, 1 failed, 2 deferred");
        check(&RULES, (2, 8), (Deferred, 0), "in 256000, 2 failed, 9 deferred");
        check(&RULES, (2, 9), (Deferred, 0), "in 300000, 2 failed, 10 deferred");
        check(&RULES, (0, u32::MAX), (Deferred, 0), "in 300000, 0 failed, 4294967295 deferred");
        check(&RULES, (0, 9), (Failed, 0), "in 60000, 1 failed, 0 deferred");
    }

    #[test]
    fn an_event_that_would_be_too_old_at_its_next_try_has_ended() {
        use Outcome::{Deferred, Failed, TooOld};
        let minute = Rules { age_ms: MINUTE, ..RULES };
        check(&minute, (0, 0), (Failed, 0), "EventAgeExceeded");
        check(&minute, (0, 0), (Failed, 10), "EventAgeExceeded");
        let two = Rules { age_ms: 2 * MINUTE, ..RULES };
        check(&two, (0, 0), (Failed, 10), "in 60000, 1 failed, 0 deferred");
        check(&two, (1, 0), (Failed, MINUTE + 20), "EventAgeExceeded");
        check(&minute, (0, 0), (Deferred, 58_999), "in 1000, 0 failed, 1 deferred");
        check(&minute, (0, 0), (Deferred, 59_000), "EventAgeExceeded");
        check(&RULES, (0, 0), (TooOld, 0), "EventAgeExceeded");
        // The last try that failed is told as such, however old the event is.
        check(&minute, (2, 0), (Failed, 5 * MINUTE), "RetriesExhausted");
    }

    #[test]
    fn a_function_that_is_switched_off_ends_its_events_at_once() {
        check(&RULES, (0, 0), (Outcome::SwitchedOff, 5), "ZeroReservedConcurrency");
        check(&RULES, (1, 3), (Outcome::SwitchedOff, 5), "ZeroReservedConcurrency");
    }

    #[test]
    fn a_configuration_says_some_of_it_and_the_rest_holds_by_itself() {
        let none = Rules { retries: 2, age_ms: 21_600_000, base_ms: 7 };
        assert_eq!(Rules::of(None, 7), none);
        assert_eq!(Rules::of(Some(&EventInvokeConfig::default()), 7), none);
        let said = EventInvokeConfig { retries: Some(0), age_s: Some(60), ..Default::default() };
        assert_eq!(Rules::of(Some(&said), 7), Rules { retries: 0, age_ms: MINUTE, base_ms: 7 });
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![Just(Outcome::Failed), Just(Outcome::Deferred)]
    }

    proptest! {
        /// Whatever happens to it, an event ends: it is tried no more often than it may, never
        /// before its time, and never once it is too old.
        #[test]
        fn every_event_ends(
            outcomes in prop::collection::vec((outcome(), 0_u64..900_000), 1..200),
            retries in 0_u32..=2, age_s in limits::EVENT_AGE_S, base_ms in 0_u64..=MINUTE,
        ) {
            let rules = Rules { retries, age_ms: u64::from(age_s) * 1_000, base_ms };
            let mut tries = Tries { accepted_ms: 5, failures: 0, deferrals: 0 };
            let (mut now_ms, mut failed) = (5, 0);
            for (outcome, took_ms) in outcomes.iter().cycle() {
                prop_assert!(!rules.is_too_old(5, now_ms));
                now_ms += took_ms;
                failed += u32::from(*outcome == Outcome::Failed);
                match decide(tries, *outcome, &rules, now_ms) {
                    Verdict::Ended(Condition::RetriesExhausted) => {
                        prop_assert_eq!(failed, retries + 1);
                        return Ok(());
                    }
                    Verdict::Ended(condition) => {
                        prop_assert_eq!(condition, Condition::EventAgeExceeded);
                        prop_assert!(failed <= retries);
                        return Ok(());
                    }
                    Verdict::Again { at_ms, tries: next } => {
                        prop_assert!(at_ms >= now_ms && next.failures == failed);
                        (now_ms, tries) = (at_ms, next);
                    }
                }
            }
        }
    }
}
