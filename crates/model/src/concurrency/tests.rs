//! Tables and properties of the arithmetic.

use proptest::prelude::*;

use super::*;
use crate::alias::Weighted;
use crate::names::{FunctionKey, Scope};

fn alias(name: &str, version: Version, additional: Option<(u64, f64)>) -> Alias {
    let scope =
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    Alias {
        function: FunctionKey { scope, name: "f".parse().unwrap() },
        name: name.parse().unwrap(),
        version,
        additional: additional.map(|(number, weight)| Weighted { number, weight }),
        description: String::new(),
        revision: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
    }
}

fn qualifier(text: &str) -> Qualifier {
    text.parse().unwrap()
}

/// What is said to `places` for a version, when `reserved` and `provisioned` are the function's and
/// others claim `others`.
fn check(places: u32, (reserved, provisioned): (Option<u32>, u32), others: u32, expected: &str) {
    let said = may_provision(places, &OwnClaim { reserved, provisioned }, others);
    let said = said.map_or_else(|denied| denied.to_string(), |()| "so be it".to_owned());
    assert_eq!(said, expected, "{places} {reserved:?} {provisioned} {others}");
}

#[test]
fn what_is_provisioned_comes_from_the_reservation_or_from_what_nobody_claims() {
    check(1, (None, 0), 0, "so be it");
    check(900, (None, 0), 0, "so be it");
    check(901, (None, 0), 0, "too little would be left unclaimed");
    check(1_001, (None, 0), 0, "more than the 1000 that nobody claims");
    check(500, (None, 300), 100, "so be it");
    check(501, (None, 300), 100, "too little would be left unclaimed");
    check(601, (None, 300), 100, "more than the 600 that nobody claims");
    check(2, (Some(5), 3), 900, "so be it");
    check(3, (Some(5), 3), 900, "more than is reserved");
    check(1, (Some(0), 0), 0, "more than is reserved");
}

#[test]
fn a_reservation_covers_what_is_provisioned_and_leaves_a_rest() {
    assert_eq!(may_reserve(5, 5, 0), Ok(()));
    assert_eq!(
        may_reserve(4, 5, 0),
        Err(ReserveDenied::BelowProvisioned { places: 4, provisioned: 5 })
    );
    assert_eq!(may_reserve(0, 0, 900), Ok(()));
    assert_eq!(may_reserve(1, 0, 900), Err(ReserveDenied::TooMuch));
    assert_eq!(may_reserve(u32::MAX, 0, u32::MAX), Err(ReserveDenied::TooMuch));
}

#[test]
fn a_version_and_its_alias_are_not_both_provisioned() {
    let one = Version::Number(1);
    let aliases = [
        alias("live", one, None),
        alias("canary", one, Some((2, 0.5))),
        alias("latest", Version::Latest, None),
    ];
    let check = |asked: &str, provisioned: &[&str], expected: &str| {
        let provisioned: Vec<Qualifier> = provisioned.iter().map(|it| qualifier(it)).collect();
        let find = |wanted: &Qualifier| {
            aliases.iter().find(|alias| Qualifier::Alias(alias.name.clone()) == *wanted)
        };
        let said = may_have_places(&qualifier(asked), &provisioned, find);
        let said = said.map_or_else(|denied| denied.to_string(), |()| "so be it".to_owned());
        assert_eq!(said, expected, "{asked} beside {provisioned:?}");
    };
    check("1", &[], "so be it");
    check("1", &["1", "2"], "so be it");
    check("1", &["live"], "alias of the version is provisioned");
    check("2", &["canary"], "alias of the version is provisioned");
    check("2", &["live"], "so be it");
    check("live", &["live", "2"], "so be it");
    check("live", &["1"], "version of the alias is provisioned");
    check("canary", &[], "alias runs two versions");
    check("canary", &["1"], "version of the alias is provisioned");
    check("latest", &[], "$LATEST is not published");
    check("$LATEST", &[], "$LATEST is not published");
}

#[test]
fn the_places_of_an_alias_go_to_what_it_runs() {
    let one = Version::Number(1);
    let given = |alias: Option<&Alias>| shares(&qualifier("live"), 10, alias);
    assert_eq!(shares(&qualifier("3"), 2, None), [(Version::Number(3), 2)]);
    assert_eq!(given(None), []);
    assert_eq!(given(Some(&alias("live", one, None))), [(one, 10)]);
    assert_eq!(given(Some(&alias("live", Version::Latest, None))), []);
    let weighted = |weight| given(Some(&alias("live", one, Some((2, weight)))));
    assert_eq!(weighted(0.3), [(one, 7), (Version::Number(2), 3)]);
    assert_eq!(weighted(0.0), [(one, 10)]);
    assert_eq!(weighted(1.0), [(Version::Number(2), 10)]);
}

#[test]
fn the_status_says_what_is_there_and_not_what_was_asked() {
    let status = |places, versions: &[(u32, u32, u32, Option<AllocationFailure>)]| {
        let versions: Vec<(u32, Allocation)> = versions
            .iter()
            .map(|(share, wanted, ready, failure)| {
                (*share, Allocation { wanted: *wanted, ready: *ready, failure: *failure })
            })
            .collect();
        let Provisioned { allocated, status } = Provisioned::of(places, &versions);
        format!("{allocated} {status:?}")
    };
    let init = Some(AllocationFailure::Init);
    assert_eq!(status(2, &[(2, 2, 0, None)]), "0 InProgress");
    assert_eq!(status(2, &[(2, 2, 1, None)]), "1 InProgress");
    assert_eq!(status(2, &[(2, 2, 2, None)]), "2 Ready");
    assert_eq!(status(2, &[(2, 2, 1, init)]), "1 Failed(Init)");
    // An alias of `$LATEST`.
    assert_eq!(status(2, &[]), "0 Failed(Unpublished)");
    // Not yet told what it is to have.
    assert_eq!(status(2, &[(2, 0, 0, None)]), "0 InProgress");
    // Two aliases of one version.
    assert_eq!(status(2, &[(2, 6, 3, None)]), "1 InProgress");
    assert_eq!(status(2, &[(2, 6, 6, None)]), "2 Ready");
    // Two versions of one alias.
    assert_eq!(status(3, &[(2, 2, 2, None), (1, 1, 0, init)]), "2 Failed(Init)");
}

/// Places of one account, counted one by one: what the counts of `placement` come to.
#[derive(Debug, Default)]
struct Ledger {
    claims: BTreeMap<u8, Claim>,
    /// Who runs: the function and, for a provisioned place, the version; or nobody's.
    taken: BTreeMap<Place, u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Provisioned(u8, Version),
    Reserved(u8),
    Unclaimed,
}

impl Ledger {
    fn claimed(&self) -> u32 {
        self.claims.values().map(Claim::total).sum()
    }

    /// The places that an invocation may take, in their order, each with how many there are.
    fn order(&self, function: u8, version: Version) -> Vec<(Place, u32)> {
        let unclaimed = (Place::Unclaimed, unclaimed(self.claimed()));
        let Some(claim) = self.claims.get(&function) else { return vec![unclaimed] };
        let provisioned = claim.provisioned.get(&version);
        let provisioned =
            provisioned.map(|places| (Place::Provisioned(function, version), *places));
        let rest =
            claim.on_demand().map_or(unclaimed, |places| (Place::Reserved(function), places));
        provisioned.into_iter().chain([rest]).collect()
    }

    fn grant(&mut self, function: u8, version: Version) -> Option<Place> {
        for (place, places) in self.order(function, version) {
            let taken = self.taken.entry(place).or_default();
            if let Some(more) = with_one_more(*taken, places) {
                *taken = more;
                return Some(place);
            }
        }
        None
    }

    /// What the store does: nothing is claimed that the rules deny.
    fn claim(&mut self, function: u8, claim: Claim) {
        let before = self.claims.remove(&function).unwrap_or_default();
        let others = self.claimed();
        let own = OwnClaim { reserved: claim.reserved, provisioned: 0 };
        let allowed = claim
            .reserved
            .is_none_or(|places| may_reserve(places, claim.provisioned_total(), others).is_ok())
            && may_provision(claim.provisioned_total(), &own, others).is_ok();
        self.claims.insert(function, if allowed { claim } else { before });
    }
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let provisioned =
        prop::collection::btree_map((1_u64..3).prop_map(Version::Number), 1_u32..9, 0..3);
    (prop::option::of(0_u32..20), provisioned)
        .prop_map(|(reserved, provisioned)| Claim { reserved, provisioned })
}

#[derive(Debug, Clone)]
enum Step {
    Invoke(u8, u64),
    /// An end or a crash: to the count it is the same.
    End(usize),
    Claim(u8, Claim),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..3, 0_u64..4).prop_map(|(function, version)| Step::Invoke(function, version)),
        2 => any::<usize>().prop_map(Step::End),
        1 => (0_u8..3, any_claim()).prop_map(|(function, claim)| Step::Claim(function, claim)),
    ]
}

proptest! {
    #[test]
    fn places_neither_leak_nor_go_below_nothing_and_a_claim_is_kept(
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut ledger = Ledger::default();
        let mut running: Vec<Place> = Vec::new();
        for step in steps {
            match step {
                Step::Invoke(function, version) => {
                    let version = match version { 0 => Version::Latest, n => Version::Number(n) };
                    let order = ledger.order(function, version);
                    match ledger.grant(function, version) {
                        Some(place) => {
                            let places = order.iter().find(|(it, _)| *it == place).unwrap().1;
                            prop_assert!(ledger.taken[&place] <= places);
                            running.push(place);
                        }
                        // Whoever is refused finds every one of its places taken.
                        None => for (place, places) in order {
                            let there = running.iter().filter(|it| **it == place).count();
                            prop_assert!(there >= places as usize, "{place:?} was free");
                        },
                    }
                }
                Step::End(which) if !running.is_empty() => {
                    let place = running.swap_remove(which % running.len());
                    let taken = ledger.taken.get_mut(&place).unwrap();
                    prop_assert!(*taken > 0);
                    *taken -= 1;
                }
                Step::End(_) => {}
                Step::Claim(function, claim) => ledger.claim(function, claim),
            }
            // The count is what runs.
            for (place, taken) in &ledger.taken {
                prop_assert_eq!(*taken as usize, running.iter().filter(|it| *it == place).count());
            }
            // What is promised to somebody is never more than there is.
            prop_assert!(unclaimed(ledger.claimed()) >= limits::UNRESERVED_CONCURRENCY);
            for claim in ledger.claims.values() {
                prop_assert!(claim.provisioned_total() <= claim.total());
                let split = claim.on_demand().map(|rest| rest + claim.provisioned_total());
                prop_assert_eq!(split, claim.reserved);
            }
        }
    }

    #[test]
    fn an_alias_gives_away_exactly_its_places(places in 1_u32..1_000, weight in 0.0..=1.0_f64) {
        let alias = alias("live", Version::Number(1), Some((2, weight)));
        let shares = shares(&qualifier("live"), places, Some(&alias));
        prop_assert_eq!(shares.iter().map(|(_, share)| share).sum::<u32>(), places);
    }
}
