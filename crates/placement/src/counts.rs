//! Which count an invocation is counted in: its version's, when that has a provisioned place free; or
//! its function's, when that has reserved some; or the account's, which is smaller by all that is
//! claimed. The arithmetic is in `model::concurrency`.
//!
//! A plain value, replaced as a whole by the router. What is taken is counted by atomics that the next
//! value has, too.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dormouse_model::concurrency::rate::Rate;
use dormouse_model::concurrency::{Claim, Seat, unclaimed};
use dormouse_model::environment::Micros;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::names::{FunctionKey, Scope, Version};
use dormouse_worker::Permit;

use crate::bucket::Level;
use crate::refused::InvokeError;

/// What a function claims of its account.
#[derive(Debug, Clone, Default)]
pub struct FunctionClaim {
    /// What it has reserved, if it has.
    pub reserved: Option<u32>,
    /// Of which versions how many environments are kept ready.
    pub provisioned: Vec<(Arc<ResolvedVersion>, u32)>,
}

/// One count: what runs in it, and how fast that came. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    taken: Arc<AtomicU32>,
    level: Level,
}

/// Why a count lets nobody in.
enum Full {
    Taken,
    TooFast,
}

impl Count {
    /// One of so many places. `now` is told where rates are limited.
    fn place(
        &self,
        places: u32,
        now: Option<Micros>,
        take: impl Fn(&Arc<AtomicU32>, u32) -> Option<Permit>,
    ) -> Result<Permit, Full> {
        let permit = take(&self.taken, places).ok_or(Full::Taken)?;
        // The place goes back by being dropped.
        let fast = now.is_some_and(|now| !self.level.take(Rate::of_requests(places), now));
        if fast { Err(Full::TooFast) } else { Ok(permit) }
    }

    /// How many run in it.
    pub(crate) fn running(&self) -> u32 {
        self.taken.load(Ordering::Acquire)
    }
}

/// What all functions claim, and how much of it is taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    functions: HashMap<FunctionKey, Counted>,
    /// What is claimed of each account.
    claimed: HashMap<Scope, u32>,
}

/// A function that claims something, or did when what still runs began.
#[derive(Debug, Clone, Default)]
struct Counted {
    claim: Claim,
    /// What runs in its reservation.
    reserved: Count,
    /// What runs in provisioned places of its versions. There are few.
    provisioned: Vec<(Version, u32, Count)>,
}

impl Counts {
    /// The counts with another claim for a function. What already runs stays counted where it was
    /// counted when it began.
    pub(crate) fn with(&self, key: &FunctionKey, claim: Claim) -> Self {
        let mut next = self.clone();
        let before = next.functions.remove(key).unwrap_or_default();
        let claimed = next.claimed.entry(key.scope.clone()).or_default();
        *claimed = *claimed - before.claim.total() + claim.total();
        let counted = before.with(claim);
        if !counted.is_nothing() {
            next.functions.insert(key.clone(), counted);
        }
        next
    }

    /// A place for an invocation; `shared` counts those of the account that nobody claims. `now` is told
    /// where rates are limited: too many a second then spill over like too many at once.
    pub(crate) fn permit(
        &self,
        key: &FunctionKey,
        version: Version,
        shared: &Count,
        now: Option<Micros>,
    ) -> Result<Permit, InvokeError> {
        let Some(counted) = self.functions.get(key) else {
            return self.unclaimed(&key.scope, shared, now);
        };
        let seat = match counted.provisioned.iter().find(|(it, ..)| *it == version) {
            Some((_, places, count)) if *places > 0 => {
                match count.place(*places, now, Permit::take_provisioned) {
                    Ok(permit) => return Ok(permit),
                    Err(_) => Seat::Spilled,
                }
            }
            _ => Seat::Ordinary,
        };
        if counted.claim.reserved == Some(0) {
            return Err(InvokeError::SwitchedOff);
        }
        let permit = match counted.claim.on_demand() {
            Some(places) => {
                counted.reserved.place(places, now, Permit::take).map_err(|full| match full {
                    Full::Taken => InvokeError::ReservedUsedUp,
                    Full::TooFast => InvokeError::ReservedTooFast,
                })
            }
            None => self.unclaimed(&key.scope, shared, now),
        };
        Ok(permit?.seated(seat))
    }

    /// How many places of functions are taken, reserved and provisioned ones.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> u32 {
        let of = |counted: &Counted| {
            let provisioned = counted.provisioned.iter().map(|(.., it)| it);
            provisioned.chain([&counted.reserved]).map(Count::running).sum::<u32>()
        };
        self.functions.values().map(of).sum()
    }

    fn unclaimed(
        &self,
        scope: &Scope,
        shared: &Count,
        now: Option<Micros>,
    ) -> Result<Permit, InvokeError> {
        let claimed = self.claimed.get(scope).copied().unwrap_or(0);
        shared.place(unclaimed(claimed), now, Permit::take).map_err(|full| match full {
            Full::Taken => InvokeError::Throttled,
            Full::TooFast => InvokeError::TooFast,
        })
    }
}

impl Counted {
    fn with(self, claim: Claim) -> Self {
        let mut provisioned = self.provisioned;
        for (version, places, _) in &mut provisioned {
            *places = claim.provisioned.get(version).copied().unwrap_or(0);
        }
        for (version, places) in &claim.provisioned {
            if !provisioned.iter().any(|(it, ..)| it == version) {
                provisioned.push((*version, *places, Count::default()));
            }
        }
        // One that is gone is remembered while something runs in it: should it come back, that counts.
        provisioned.retain(|(_, places, count)| *places > 0 || count.running() > 0);
        Self { claim, reserved: self.reserved, provisioned }
    }

    fn is_nothing(&self) -> bool {
        let runs = self.reserved.running() > 0;
        self.claim == Claim::default() && self.provisioned.is_empty() && !runs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATEST: Version = Version::Latest;

    fn key(name: &str) -> FunctionKey {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        FunctionKey { scope, name: name.parse().unwrap() }
    }

    fn claim(reserved: Option<u32>, provisioned: &[(u64, u32)]) -> Claim {
        let provisioned = provisioned.iter();
        let provisioned = provisioned.map(|(number, n)| (Version::Number(*number), *n)).collect();
        Claim { reserved, provisioned }
    }

    /// How many of this version of a function get a place at once.
    fn places(counts: &Counts, name: &str, version: Version) -> (usize, InvokeError) {
        let shared = Count::default();
        let mut held = Vec::new();
        loop {
            match counts.permit(&key(name), version, &shared, None) {
                Ok(permit) => held.push(permit),
                Err(error) => return (held.len(), error),
            }
        }
    }

    #[test]
    fn a_reservation_is_a_limit_and_taken_from_all_others() {
        let none = Counts::default();
        assert_eq!(places(&none, "f", LATEST), (1_000, InvokeError::Throttled));
        let reserving = |places| claim(Some(places), &[]);
        let some = none.with(&key("f"), reserving(10)).with(&key("g"), reserving(0));
        assert_eq!(places(&some, "f", LATEST), (10, InvokeError::ReservedUsedUp));
        assert_eq!(places(&some, "g", LATEST), (0, InvokeError::SwitchedOff));
        assert_eq!(places(&some, "h", LATEST), (990, InvokeError::Throttled));
        let less = some.with(&key("f"), reserving(3)).with(&key("g"), Claim::default());
        assert_eq!(places(&less, "f", LATEST), (3, InvokeError::ReservedUsedUp));
        assert_eq!(places(&less, "g", LATEST), (997, InvokeError::Throttled));
        assert_eq!(less.functions.len(), 1);
    }

    #[test]
    fn provisioned_places_are_a_versions_own_and_the_rest_spills_over() {
        let (one, two) = (Version::Number(1), Version::Number(2));
        let some = Counts::default().with(&key("f"), claim(None, &[(1, 5)]));
        assert_eq!(places(&some, "f", one), (1_000, InvokeError::Throttled));
        assert_eq!(places(&some, "f", two), (995, InvokeError::Throttled));
        assert_eq!(places(&some, "g", LATEST), (995, InvokeError::Throttled));
        let within = some.with(&key("f"), claim(Some(8), &[(1, 5)]));
        assert_eq!(places(&within, "f", one), (8, InvokeError::ReservedUsedUp));
        assert_eq!(places(&within, "f", LATEST), (3, InvokeError::ReservedUsedUp));
        assert_eq!(places(&within, "g", LATEST), (992, InvokeError::Throttled));
        // All that is reserved is provisioned: nothing is left for the others.
        let starved = within.with(&key("f"), claim(Some(5), &[(1, 5)]));
        assert_eq!(places(&starved, "f", one), (5, InvokeError::ReservedUsedUp));
        assert_eq!(places(&starved, "f", LATEST), (0, InvokeError::ReservedUsedUp));
    }

    #[test]
    fn a_place_says_of_what_kind_it_is() {
        let shared = Count::default();
        let some = Counts::default().with(&key("f"), claim(None, &[(1, 2)]));
        let take = |version| some.permit(&key("f"), version, &shared, None).unwrap();
        let held = [1, 1, 1, 2].map(|number| take(Version::Number(number)));
        let first = Seat::Provisioned { taken: 1, places: 2 };
        let second = Seat::Provisioned { taken: 2, places: 2 };
        assert_eq!(held.map(|it| it.seat()), [first, second, Seat::Spilled, Seat::Ordinary]);
    }

    #[test]
    fn what_runs_is_still_counted_when_a_claim_changes() {
        let shared = Count::default();
        let one = Version::Number(1);
        let take = |counts: &Counts| counts.permit(&key("f"), one, &shared, None);
        for claim in [claim(Some(1), &[]), claim(Some(1), &[(1, 1)])] {
            let one = Counts::default().with(&key("f"), claim.clone());
            let held = take(&one).unwrap();
            let again = one.with(&key("f"), Claim::default()).with(&key("f"), claim);
            assert!(take(&again).is_err());
            drop(held);
            assert!(take(&again).is_ok());
            assert!(again.with(&key("f"), Claim::default()).functions.is_empty());
        }
    }

    /// How many of this version of a function get in within a moment, one after another, and what stops the
    /// next one.
    fn within_a_moment(counts: &Counts, name: &str, version: Version) -> (u32, u32, InvokeError) {
        let shared = Count::default();
        let (mut first, mut spilled) = (0, 0);
        loop {
            match counts.permit(&key(name), version, &shared, Some(7)) {
                Ok(permit) if permit.seat() == Seat::Spilled => spilled += 1,
                Ok(_) => first += 1,
                Err(error) => return (first, spilled, error),
            }
        }
    }

    #[test]
    fn where_rates_are_limited_ten_a_second_come_in_for_each_place() {
        let (one, two) = (Version::Number(1), Version::Number(2));
        let none = Counts::default();
        assert_eq!(within_a_moment(&none, "f", LATEST), (10_000, 0, InvokeError::TooFast));
        let reserved = none.with(&key("f"), claim(Some(3), &[]));
        assert_eq!(within_a_moment(&reserved, "f", one), (30, 0, InvokeError::ReservedTooFast));
        assert_eq!(within_a_moment(&reserved, "g", LATEST), (9_970, 0, InvokeError::TooFast));
        // What is too fast for provisioned places spills over, as what is too much at once does.
        let both = || none.with(&key("f"), claim(Some(3), &[(1, 2)]));
        assert_eq!(within_a_moment(&both(), "f", one), (20, 10, InvokeError::ReservedTooFast));
        assert_eq!(within_a_moment(&both(), "f", two), (10, 0, InvokeError::ReservedTooFast));
        let off = none.with(&key("f"), claim(Some(0), &[]));
        assert_eq!(within_a_moment(&off, "f", one), (0, 0, InvokeError::SwitchedOff));
    }

    #[test]
    fn a_caller_who_comes_too_fast_leaves_no_place_taken() {
        let counts = Counts::default().with(&key("f"), claim(Some(1), &[]));
        let shared = Count::default();
        for now in [0, 1_000_000] {
            let take = || counts.permit(&key("f"), LATEST, &shared, Some(now)).map(drop);
            let got = (0..12).filter_map(|_| take().err()).collect::<Vec<_>>();
            assert_eq!(got, [InvokeError::ReservedTooFast, InvokeError::ReservedTooFast]);
        }
        assert_eq!(counts.taken(), 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Invoke(u8, u64),
        End(usize),
        Claim(u8, Claim),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let provisioned = prop::collection::vec((1_u64..3, 1_u32..4), 0..3);
        let any_claim = (prop::option::of(0_u32..6), provisioned)
            .prop_map(|(reserved, provisioned)| claim(reserved, &provisioned))
            // The rules let nobody provision more than is reserved.
            .prop_filter("allowed", |it| it.total() >= it.provisioned_total());
        prop_oneof![
            4 => (0_u8..3, 0_u64..4).prop_map(|(function, version)| Step::Invoke(function, version)),
            2 => any::<usize>().prop_map(Step::End),
            1 => (0_u8..3, any_claim).prop_map(|(function, claim)| Step::Claim(function, claim)),
        ]
    }

    /// What an invocation may take, in its order: how much of it is taken and how much there is.
    fn lines(
        counts: &Counts,
        key: &FunctionKey,
        version: Version,
        shared: &Count,
    ) -> Vec<(u32, u32)> {
        let line = |count: &Count, places: u32| (count.running(), places);
        let claimed = counts.claimed.get(&key.scope).copied().unwrap_or(0);
        let shared = line(shared, unclaimed(claimed));
        let Some(counted) = counts.functions.get(key) else { return vec![shared] };
        let own = counted.provisioned.iter().filter(|(it, ..)| *it == version);
        let rest = counted.claim.on_demand();
        let rest = rest.map_or(shared, |places| line(&counted.reserved, places));
        own.map(|(_, places, taken)| line(taken, *places)).chain([rest]).collect()
    }

    proptest! {
        #[test]
        fn no_permit_leaks_and_no_count_exceeds_its_places_when_it_is_taken(
            steps in prop::collection::vec(any_step(), 0..200),
        ) {
            let mut counts = Counts::default();
            let shared = Count::default();
            let mut held: Vec<Permit> = Vec::new();
            let name = |function: u8| key(&format!("f{function}"));
            for step in steps {
                match step {
                    Step::Invoke(function, number) => {
                        let version = if number == 0 { LATEST } else { Version::Number(number) };
                        let before = lines(&counts, &name(function), version, &shared);
                        let granted = counts.permit(&name(function), version, &shared, None);
                        let after = lines(&counts, &name(function), version, &shared);
                        let free = before.iter().position(|(taken, places)| taken < places);
                        // It is the first that was free, and one more is counted there.
                        prop_assert_eq!(granted.is_ok(), free.is_some());
                        for (at, (before, after)) in before.iter().zip(&after).enumerate() {
                            prop_assert_eq!(after.0, before.0 + u32::from(free == Some(at)));
                        }
                        held.extend(granted);
                    }
                    Step::End(which) if !held.is_empty() => {
                        held.swap_remove(which % held.len());
                    }
                    Step::End(_) => {}
                    Step::Claim(function, claim) => counts = counts.with(&name(function), claim),
                }
                let taken = shared.running() + counts.taken();
                prop_assert_eq!(taken as usize, held.len());
                let claimed: u32 = counts.functions.values().map(|it| it.claim.total()).sum();
                prop_assert_eq!(counts.claimed.values().sum::<u32>(), claimed);
            }
            // When all has ended and nothing is claimed, nothing is left.
            drop(held);
            for function in 0..3 {
                counts = counts.with(&name(function), Claim::default());
            }
            prop_assert!(counts.functions.is_empty());
            prop_assert_eq!(shared.running(), 0);
        }
    }
}
