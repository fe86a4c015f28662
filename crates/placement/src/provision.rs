//! The environments of a version's provisioned concurrency, as a plain value: how many there are, and
//! when another attempt at one is due. Which of them is free is known to the pool.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_model::concurrency::{Allocation, AllocationFailure};
use dormouse_model::environment::{Cause, Micros};
use dormouse_model::limits;
use dormouse_model::names::EnvironmentId;

/// The environments that are kept ready, whether anybody calls or not.
#[derive(Debug, Default)]
pub(crate) struct Provision {
    wanted: u32,
    // Ordered, so that which of them go does not depend on chance.
    starting: BTreeSet<EnvironmentId>,
    /// Those that are initialised, since when.
    ready: BTreeMap<EnvironmentId, Micros>,
    /// Attempts that have failed since the last one that did not.
    failures: u32,
    failure: Option<AllocationFailure>,
    /// When another may be started.
    not_before: Micros,
}

impl Provision {
    /// So many there shall be. What failed before is forgotten.
    pub(crate) fn want(&mut self, wanted: u32) {
        *self = Self { wanted, failures: 0, failure: None, not_before: 0, ..std::mem::take(self) };
    }

    /// Takes out those that are too many: first what is not ready, then what is free.
    pub(crate) fn take_surplus(
        &mut self,
        is_free: impl Fn(&EnvironmentId) -> bool,
    ) -> Vec<EnvironmentId> {
        let over = (self.starting.len() + self.ready.len()).saturating_sub(self.wanted());
        if over == 0 {
            return Vec::new();
        }
        let (free, busy): (Vec<_>, Vec<_>) = self.ready.keys().cloned().partition(is_free);
        let starting = self.starting.iter().cloned();
        let surplus: Vec<_> = starting.chain(free).chain(busy).take(over).collect();
        for id in &surplus {
            self.starting.remove(id);
            self.ready.remove(id);
        }
        surplus
    }

    /// Whether another is to be started.
    pub(crate) fn is_short(&self, now: Micros) -> bool {
        // After a failure one tries, and the others wait for how it goes.
        let at_once = if self.failures > 0 { 1 } else { limits::PROVISIONED_STARTS };
        self.is_missing_some() && self.starting.len() < at_once && now >= self.not_before
    }

    /// When another will be tried, if that is not now.
    pub(crate) fn next_attempt(&self, now: Micros) -> Option<Micros> {
        (self.is_missing_some() && now < self.not_before).then_some(self.not_before)
    }

    fn is_missing_some(&self) -> bool {
        self.starting.len() + self.ready.len() < self.wanted()
    }

    fn wanted(&self) -> usize {
        usize::try_from(self.wanted).unwrap_or(usize::MAX)
    }

    /// One is being started.
    pub(crate) fn started(&mut self, id: EnvironmentId) {
        self.starting.insert(id);
    }

    /// Whether it is one of these.
    pub(crate) fn owns(&self, id: &EnvironmentId) -> bool {
        self.ready.contains_key(id) || self.starting.contains(id)
    }

    /// An environment has nothing to do; whether one of these is so for the first time.
    pub(crate) fn is_ready(&mut self, id: &EnvironmentId, now: Micros) -> bool {
        if !self.starting.remove(id) {
            return false;
        }
        self.ready.insert(id.clone(), now);
        (self.failures, self.failure) = (0, None);
        true
    }

    /// An environment has ended; whether it was one of these.
    pub(crate) fn has_ended(&mut self, id: &EnvironmentId, cause: Cause, now: Micros) -> bool {
        if let Some(since) = self.ready.remove(id) {
            // One that keeps ending by itself must not be made over and over without a pause.
            if now.saturating_sub(since) < limits::PROVISIONED_RETRY_MS * 1_000 {
                self.not_before = now + limits::PROVISIONED_RETRY_MS * 1_000;
            }
            return true;
        }
        if !self.starting.remove(id) {
            return false;
        }
        let failure = match cause {
            Cause::ProvisionFailed | Cause::SandboxLost => AllocationFailure::Sandbox,
            _ => AllocationFailure::Init,
        };
        self.has_failed(failure, now);
        true
    }

    /// There is no room for another now.
    pub(crate) fn has_no_room(&mut self, now: Micros) {
        self.has_failed(AllocationFailure::Sandbox, now);
    }

    fn has_failed(&mut self, failure: AllocationFailure, now: Micros) {
        self.failure = Some(failure);
        let wait_ms = limits::PROVISIONED_RETRY_MS << self.failures.min(30);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + wait_ms.min(limits::PROVISIONED_RETRY_MOST_MS) * 1_000;
    }

    /// How far it has come.
    pub(crate) fn allocation(&self) -> Allocation {
        let ready = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        Allocation { wanted: self.wanted, ready, failure: self.failure }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Micros = 1_000_000;

    fn env(n: u128) -> EnvironmentId {
        format!("{n:032x}").parse().unwrap()
    }

    /// Starts what is short from environment `first` on; how many that is.
    fn start(provision: &mut Provision, first: u128, now: Micros) -> u128 {
        let mut started = 0;
        while provision.is_short(now) {
            provision.started(env(first + started));
            started += 1;
        }
        started
    }

    fn told(provision: &Provision) -> String {
        let Allocation { wanted, ready, failure } = provision.allocation();
        format!("{ready}/{wanted} {failure:?}")
    }

    #[test]
    fn as_many_are_made_as_are_wanted_a_few_at_a_time() {
        let mut provision = Provision::default();
        assert_eq!(start(&mut provision, 1, 0), 0);
        provision.want(6);
        assert_eq!(start(&mut provision, 1, 0), 4);
        assert!(provision.is_ready(&env(1), 1));
        // An invocation in it is over.
        assert!(!provision.is_ready(&env(1), 2));
        assert_eq!(start(&mut provision, 5, 2), 1);
        for n in 2..=5 {
            provision.is_ready(&env(n), 3);
        }
        assert_eq!(start(&mut provision, 6, 3), 1);
        provision.is_ready(&env(6), 4);
        assert_eq!((start(&mut provision, 7, 4), told(&provision).as_str()), (0, "6/6 None"));
    }

    #[test]
    fn one_that_ended_is_replaced_and_one_that_cannot_be_made_is_tried_again_later() {
        let mut provision = Provision::default();
        provision.want(2);
        start(&mut provision, 1, 0);
        provision.is_ready(&env(1), 0);
        provision.is_ready(&env(2), 0);
        assert!(provision.has_ended(&env(1), Cause::Crashed, 5 * SECOND));
        assert_eq!(start(&mut provision, 3, 5 * SECOND), 1);
        provision.is_ready(&env(3), 6 * SECOND);
        // This one lived for no time at all.
        assert!(provision.has_ended(&env(3), Cause::Crashed, 6 * SECOND));
        assert_eq!(start(&mut provision, 4, 6 * SECOND), 0);
        assert_eq!(provision.next_attempt(6 * SECOND), Some(7 * SECOND));
        assert_eq!(start(&mut provision, 4, 7 * SECOND), 1);
        let mut now = 7 * SECOND;
        for (n, wait) in [(4, 1), (5, 2), (6, 4)] {
            assert!(provision.has_ended(&env(n), Cause::InitFailed, now));
            assert_eq!(told(&provision), "1/2 Some(Init)");
            assert_eq!(provision.next_attempt(now), Some(now + wait * SECOND));
            now += wait * SECOND;
            assert_eq!(start(&mut provision, n + 1, now), 1);
        }
        provision.is_ready(&env(7), now);
        assert_eq!(told(&provision), "2/2 None");
        assert!(!provision.has_ended(&env(9), Cause::Idle, now));
    }

    #[test]
    fn where_there_is_no_room_it_is_told_and_tried_again_later() {
        let mut provision = Provision::default();
        provision.want(1);
        assert!(provision.is_short(0));
        provision.has_no_room(0);
        assert_eq!(
            (provision.is_short(0), told(&provision).as_str()),
            (false, "0/1 Some(Sandbox)")
        );
        assert_eq!(provision.next_attempt(0), Some(SECOND));
        assert_eq!(start(&mut provision, 1, SECOND), 1);
    }

    #[test]
    fn what_failed_is_forgotten_when_it_is_asked_for_again() {
        let mut provision = Provision::default();
        provision.want(3);
        assert_eq!(start(&mut provision, 1, 0), 3);
        provision.has_ended(&env(1), Cause::ProvisionFailed, 0);
        assert_eq!(told(&provision), "0/3 Some(Sandbox)");
        assert_eq!(start(&mut provision, 4, 0), 0);
        provision.want(3);
        assert_eq!((start(&mut provision, 4, 0), told(&provision).as_str()), (1, "0/3 None"));
    }

    #[test]
    fn what_is_too_much_goes_the_useless_first() {
        let mut provision = Provision::default();
        provision.want(4);
        start(&mut provision, 1, 0);
        for n in 1..=3 {
            provision.is_ready(&env(n), 0);
        }
        let free = |id: &EnvironmentId| *id == env(2);
        assert_eq!(provision.take_surplus(free), []);
        provision.want(2);
        assert_eq!(provision.take_surplus(free), [env(4), env(2)]);
        assert_eq!(told(&provision), "2/2 None");
        assert!(!provision.owns(&env(2)) && provision.owns(&env(1)));
        provision.want(0);
        assert_eq!(provision.take_surplus(free).len(), 2);
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_wanted_and_in_the_end_all_of_them(
            steps in prop::collection::vec((0_u8..4, 0_u32..8), 0..100),
        ) {
            let mut provision = Provision::default();
            let (mut now, mut next) = (0, 1);
            let mut alive: Vec<EnvironmentId> = Vec::new();
            for (step, pick) in steps {
                now += SECOND / 2;
                let chosen = alive.get(pick as usize % alive.len().max(1)).cloned();
                match (step, chosen) {
                    (0, _) => {
                        provision.want(pick);
                        let surplus = provision.take_surplus(|_| true);
                        alive.retain(|id| !surplus.contains(id));
                    }
                    (1 | 2, Some(id)) => {
                        provision.is_ready(&id, now);
                    }
                    (_, Some(id)) => {
                        alive.retain(|it| *it != id);
                        provision.has_ended(&id, Cause::InitFailed, now);
                    }
                    _ => {}
                }
                while provision.is_short(now) {
                    provision.started(env(next));
                    alive.push(env(next));
                    next += 1;
                }
                let wanted = provision.allocation().wanted as usize;
                prop_assert!(alive.len() <= wanted);
                prop_assert!(alive.iter().all(|id| provision.owns(id)));
            }
            // When nothing fails any more, all of them are there in the end.
            for _ in 0..20 {
                now += limits::PROVISIONED_RETRY_MOST_MS * 1_000;
                while provision.is_short(now) {
                    provision.started(env(next));
                    alive.push(env(next));
                    next += 1;
                }
                for id in &alive {
                    provision.is_ready(id, now);
                }
            }
            let Allocation { wanted, ready, .. } = provision.allocation();
            prop_assert_eq!(ready, wanted);
        }
    }
}
