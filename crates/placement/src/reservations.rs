//! Which count an invocation is counted in: its function's, when that has reserved places, or the
//! account's, which is smaller by all that is reserved.
//!
//! A plain value, replaced as a whole by the router.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Scope};
use dormouse_worker::Permit;

use crate::router::InvokeError;

/// The reservations of all functions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reservations {
    functions: HashMap<FunctionKey, Reserved>,
    totals: HashMap<Scope, u32>,
}

#[derive(Debug, Clone)]
struct Reserved {
    places: u32,
    running: Arc<AtomicU32>,
}

impl Reservations {
    /// The reservations with another one for a function. What already runs stays counted where it
    /// was counted when it began.
    pub(crate) fn with(&self, key: &FunctionKey, places: Option<u32>) -> Self {
        let mut next = self.clone();
        let before = next.functions.remove(key);
        let total = next.totals.entry(key.scope.clone()).or_default();
        *total -= before.as_ref().map_or(0, |reserved| reserved.places);
        *total += places.unwrap_or(0);
        if let Some(places) = places {
            let running = before.map(|reserved| reserved.running).unwrap_or_default();
            next.functions.insert(key.clone(), Reserved { places, running });
        }
        next
    }

    /// A place for an invocation; `unreserved` counts those of functions that have reserved none.
    pub(crate) fn permit(
        &self,
        key: &FunctionKey,
        unreserved: &Arc<AtomicU32>,
    ) -> Result<Permit, InvokeError> {
        if let Some(reserved) = self.functions.get(key) {
            return Permit::take(&reserved.running, reserved.places)
                .ok_or(InvokeError::ReservedUsedUp);
        }
        let reserved = self.totals.get(&key.scope).copied().unwrap_or(0);
        let left = limits::ACCOUNT_CONCURRENCY.saturating_sub(reserved);
        Permit::take(unreserved, left).ok_or(InvokeError::Throttled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> FunctionKey {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        FunctionKey { scope, name: name.parse().unwrap() }
    }

    /// How many of this function get a place at once.
    fn places(reservations: &Reservations, name: &str) -> (usize, InvokeError) {
        let unreserved = Arc::default();
        let mut held = Vec::new();
        loop {
            match reservations.permit(&key(name), &unreserved) {
                Ok(permit) => held.push(permit),
                Err(error) => return (held.len(), error),
            }
        }
    }

    #[test]
    fn a_reservation_is_a_limit_and_taken_from_all_others() {
        let none = Reservations::default();
        assert_eq!(places(&none, "f"), (1_000, InvokeError::Throttled));
        let some = none.with(&key("f"), Some(10)).with(&key("g"), Some(0));
        assert_eq!(places(&some, "f"), (10, InvokeError::ReservedUsedUp));
        assert_eq!(places(&some, "g"), (0, InvokeError::ReservedUsedUp));
        assert_eq!(places(&some, "h"), (990, InvokeError::Throttled));
        let less = some.with(&key("f"), Some(3)).with(&key("g"), None);
        assert_eq!(places(&less, "f"), (3, InvokeError::ReservedUsedUp));
        assert_eq!(places(&less, "g"), (997, InvokeError::Throttled));
    }

    #[test]
    fn what_runs_is_still_counted_when_a_reservation_changes() {
        let unreserved = Arc::default();
        let two = Reservations::default().with(&key("f"), Some(2));
        let held = two.permit(&key("f"), &unreserved).unwrap();
        let one = two.with(&key("f"), Some(1));
        assert!(one.permit(&key("f"), &unreserved).is_err());
        drop(held);
        assert!(one.permit(&key("f"), &unreserved).is_ok());
    }
}
