//! Tables and properties of the ledger.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use dormouse_model::names::Scope;

const TURN: Micros = limits::ROOM_TURN_MS * 1_000;

fn function(name: &str) -> FunctionKey {
    let scope =
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    FunctionKey { scope, name: name.parse().unwrap() }
}

/// A ledger in which things happen one after another, and who holds what.
struct Table {
    ledger: Ledger,
    members: BTreeMap<&'static str, MemberId>,
    places: BTreeMap<&'static str, (PlaceId, IdleSince)>,
}

impl Table {
    /// Members are named after their function and, behind a dot, a version.
    fn new(total_mb: u64, members: &[(&'static str, u32)]) -> Self {
        let mut ledger = Ledger::new(total_mb);
        let mut ids = BTreeMap::new();
        for (name, mb) in members {
            let of = name.split('.').next().unwrap();
            ids.insert(*name, ledger.join(function(of), *mb));
        }
        Self { ledger, members: ids, places: BTreeMap::new() }
    }

    fn said(&mut self, place: &'static str, said: Said) -> &'static str {
        match said {
            Said::Granted(id, idle_since) => {
                self.places.insert(place, (id, idle_since));
                "granted"
            }
            Said::Wait => "wait",
            Said::Never => "never",
        }
    }

    fn ask(&mut self, member: &str, place: &'static str, now: Micros) -> &'static str {
        let said = self.ledger.ask(self.members[member], now);
        self.said(place, said)
    }

    fn keep(&mut self, member: &str, place: &'static str) -> &'static str {
        let said = self.ledger.ask_kept(self.members[member]);
        self.said(place, said)
    }

    fn idle(&mut self, place: &str, now: Micros) {
        self.places[place].1.store(now, Ordering::Release);
        self.ledger.review();
    }

    fn busy(&mut self, place: &str) {
        self.places[place].1.store(BUSY, Ordering::Release);
    }

    fn gone(&mut self, place: &str) {
        let (id, _) = self.places.remove(place).unwrap();
        self.ledger.freed(id);
    }

    fn gives_way(&mut self, place: &str, now: Micros) -> bool {
        self.ledger.gives_way(self.places[place].0, now)
    }

    /// Who has something to do, and what is to end.
    fn told(&mut self) -> String {
        let poked = self.ledger.take_poked();
        let mut told = Vec::new();
        for (name, id) in self.members.clone() {
            if poked.contains(&id) {
                let ends = self.ledger.take_ending(id);
                let name_of =
                    |id: PlaceId| *self.places.iter().find(|(_, (it, _))| *it == id).unwrap().0;
                let ends: Vec<&str> = ends.into_iter().map(name_of).collect();
                told.push(if ends.is_empty() { name.to_owned() } else { ends.join("+") });
            }
        }
        told.join(" ")
    }
}

#[test]
fn what_runs_counts_in_full_and_what_is_idle_with_an_eighth() {
    let mut table = Table::new(400, &[("f", 100), ("g", 100)]);
    for place in ["1", "2", "3", "4"] {
        assert_eq!(table.ask("f", place, 1), "granted");
    }
    assert_eq!(table.ledger.used_mb(), 400);
    table.idle("1", 5);
    assert_eq!(table.ledger.used_mb(), 313);
    assert_eq!(table.ask("g", "5", 6), "wait");
    // One that ends gives 13 MB, and 13 are missing.
    assert_eq!(table.told(), "1");
    table.gone("1");
    assert_eq!((table.told().as_str(), table.ask("g", "5", 7)), ("g", "granted"));
}

#[test]
fn those_that_are_idle_longest_end_first_and_no_more_than_are_needed() {
    let mut table = Table::new(330, &[("f", 80), ("g", 80)]);
    for (place, since) in [("1", 30), ("2", 10), ("3", 20), ("4", 40)] {
        assert_eq!(table.ask("f", place, 1), "granted");
        table.idle(place, since);
    }
    for place in ["5", "6", "7"] {
        assert_eq!(table.ask("g", place, 50), "granted");
    }
    // 280 MB are used, and 80 are asked for: 30 are missing, and each that ends gives 10.
    assert_eq!(table.ask("g", "8", 60), "wait");
    assert_eq!(table.told(), "2+3+1");
    // One of them ends already for another reason.
    table.ledger.stays(table.places["2"].0);
    assert_eq!(table.told(), "");
    // One of them is busy again, so that what is idle is not enough any more.
    table.busy("3");
    table.ledger.stays(table.places["3"].0);
    assert_eq!(table.told(), "");
    table.gone("5");
    assert_eq!((table.told().as_str(), table.ask("g", "8", 70)), ("", "wait"));
    table.gone("2");
    table.gone("1");
    assert_eq!((table.told().as_str(), table.ask("g", "8", 80)), ("g", "granted"));
}

#[test]
fn functions_wait_in_turn_whatever_their_number_of_callers() {
    let mut table = Table::new(200, &[("f", 100), ("f.1", 100), ("g", 100), ("h", 100)]);
    assert_eq!((table.ask("f", "1", 1), table.ask("f", "2", 1)), ("granted", "granted"));
    for member in ["f", "f.1", "g", "h"] {
        assert_eq!(table.ask(member, "-", 2), "wait");
    }
    let mut served = Vec::new();
    for (ended, place) in [("1", "3"), ("2", "4"), ("3", "5"), ("4", "6")] {
        table.gone(ended);
        let next = table.told();
        assert_eq!(table.ask(&next, place, 3), "granted");
        served.push(next);
    }
    assert_eq!(served, ["f", "g", "h", "f.1"]);
    assert_eq!(table.ledger.waiting(), 0);
}

#[test]
fn nobody_overtakes_who_is_first_in_turn_however_little_he_wants() {
    let mut table = Table::new(300, &[("large", 250), ("small", 50), ("f", 100)]);
    assert_eq!((table.ask("f", "1", 1), table.ask("f", "2", 1)), ("granted", "granted"));
    assert_eq!((table.ask("large", "-", 2), table.ask("small", "-", 2)), ("wait", "wait"));
    table.gone("1");
    assert_eq!(table.told(), "");
    assert_eq!(table.ask("small", "-", 2), "wait");
    // Until he waits no more.
    table.ledger.withdraw(table.members["large"]);
    assert_eq!((table.told().as_str(), table.ask("small", "3", 3)), ("small", "granted"));
}

#[test]
fn what_is_kept_ready_counts_in_full_and_never_ends_for_others() {
    let mut table = Table::new(300, &[("kept", 100), ("f", 100), ("large", 250)]);
    assert_eq!((table.keep("kept", "1"), table.keep("kept", "2")), ("granted", "granted"));
    table.idle("1", 5);
    table.idle("2", 5);
    assert_eq!((table.ledger.used_mb(), table.ask("f", "3", 6)), (200, "granted"));
    assert_eq!((table.ask("f", "4", 6), table.ask("large", "4", 6)), ("wait", "never"));
    assert!(!table.gives_way("1", 100 * TURN));
    assert_eq!(table.ledger.relieve(), 0);
    assert_eq!(table.told(), "");
    // It has room made for it, and waits for nobody's turn.
    assert_eq!(table.keep("kept", "5"), "wait");
    table.ledger.withdraw(table.members["f"]);
    table.idle("3", 7);
    assert_eq!((table.keep("kept", "5"), table.told().as_str()), ("wait", "3"));
    table.gone("3");
    assert_eq!(table.keep("kept", "5"), "granted");
}

#[test]
fn one_that_is_larger_than_all_there_is_runs_alone() {
    let mut table = Table::new(100, &[("large", 500), ("f", 50)]);
    assert_eq!(table.ask("large", "1", 1), "granted");
    assert_eq!(table.ask("f", "2", 1), "wait");
    table.idle("1", 5);
    assert_eq!(table.told(), "1");
    table.gone("1");
    assert_eq!((table.told().as_str(), table.ask("f", "2", 6)), ("f", "granted"));
    table.idle("2", 7);
    assert_eq!((table.ask("large", "1", 8), table.told().as_str()), ("wait", "2"));
}

#[test]
fn a_function_with_many_gives_way_until_both_hold_the_same() {
    let mut table = Table::new(400, &[("f", 100), ("g", 100)]);
    for place in ["1", "2", "3", "4"] {
        assert_eq!(table.ask("f", place, 1), "granted");
    }
    assert!(!table.gives_way("1", 2), "nobody waits");
    assert_eq!(table.ask("g", "-", 2), "wait");
    assert!(table.gives_way("1", 3));
    assert!(!table.gives_way("2", 3), "enough is about to be free");
    table.gone("1");
    assert_eq!((table.ask("g", "5", 4), table.ask("g", "-", 4)), ("granted", "wait"));
    assert!(table.gives_way("2", 5));
    table.gone("2");
    assert_eq!((table.ask("g", "6", 6), table.ask("g", "-", 6)), ("granted", "wait"));
    assert!(!table.gives_way("3", 100 * TURN), "both hold two");
}

#[test]
fn who_holds_nothing_has_his_turn_after_a_while() {
    let mut table = Table::new(100, &[("f", 100), ("g", 100)]);
    assert_eq!((table.ask("f", "1", 1), table.ask("g", "-", 10)), ("granted", "wait"));
    assert!(!table.gives_way("1", 9 + TURN));
    assert!(table.gives_way("1", 10 + TURN));
}

#[test]
fn under_pressure_a_part_of_the_idle_ones_ends() {
    let mut table = Table::new(10_000, &[("f", 100)]);
    let places = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    for (place, since) in places.iter().zip([9, 8, 7, 6, 5, 4, 3, 2, 1]) {
        table.ask("f", place, 0);
        table.idle(place, since);
    }
    assert_eq!((table.ledger.relieve(), table.told().as_str()), (2, "9+8"));
    assert_eq!((table.ledger.relieve(), table.told().as_str()), (1, "7"));
}

#[derive(Debug, Clone)]
enum Step {
    Ask(usize),
    Keep(usize),
    Withdraw(usize),
    Idle(usize),
    Busy(usize),
    Gone(usize),
    GiveWay(usize),
    Relieve,
}

fn any_step() -> impl Strategy<Value = Step> {
    let any = || 0_usize..100;
    prop_oneof![
        6 => any().prop_map(Step::Ask),
        1 => any().prop_map(Step::Keep),
        1 => any().prop_map(Step::Withdraw),
        4 => any().prop_map(Step::Idle),
        2 => any().prop_map(Step::Busy),
        3 => any().prop_map(Step::Gone),
        2 => any().prop_map(Step::GiveWay),
        1 => Just(Step::Relieve),
    ]
}

struct Holding {
    id: PlaceId,
    idle_since: IdleSince,
    mb: u64,
    is_kept: bool,
}

impl Holding {
    fn is_idle(&self) -> bool {
        self.idle_since.load(Ordering::Acquire) != BUSY
    }

    fn counts_mb(&self) -> u64 {
        let idle = self.is_idle() && !self.is_kept;
        if idle { self.mb.div_ceil(limits::FROZEN_PART) } else { self.mb }
    }
}

proptest! {
    #[test]
    fn what_is_granted_fits_what_is_kept_stays_and_in_the_end_all_are_served(
        total_mb in 100_u64..1_000,
        sizes in prop::collection::vec(10_u32..400, 2..6),
        steps in prop::collection::vec(any_step(), 0..150),
    ) {
        let mut ledger = Ledger::new(total_mb);
        let members: Vec<(MemberId, u64)> = sizes
            .iter()
            .enumerate()
            // Two members of one function, and others alone.
            .map(|(at, mb)| (ledger.join(function(&format!("f{}", at / 2)), *mb), u64::from(*mb)))
            .collect();
        let mut held: Vec<Holding> = Vec::new();
        let mut waits: BTreeSet<MemberId> = BTreeSet::new();
        for (now, step) in steps.into_iter().enumerate() {
            let now = now as Micros + 1;
            match step {
                Step::Ask(at) | Step::Keep(at) => {
                    let (id, mb) = members[at % members.len()];
                    let is_kept = matches!(step, Step::Keep(_));
                    let before: u64 = held.iter().map(Holding::counts_mb).sum();
                    let said = if is_kept { ledger.ask_kept(id) } else { ledger.ask(id, now) };
                    match said {
                        Said::Granted(place, idle_since) => {
                            prop_assert!(before + mb <= total_mb || held.is_empty());
                            held.push(Holding { id: place, idle_since, mb, is_kept });
                            if !is_kept {
                                waits.remove(&id);
                            }
                        }
                        Said::Wait if !is_kept => {
                            waits.insert(id);
                        }
                        Said::Wait => {}
                        Said::Never => {
                            let kept = held.iter().filter(|it| it.is_kept).map(|it| it.mb);
                            prop_assert!(!is_kept && kept.sum::<u64>() + mb > total_mb);
                            waits.remove(&id);
                        }
                    }
                }
                Step::Withdraw(at) => {
                    let (id, _) = members[at % members.len()];
                    ledger.withdraw(id);
                    waits.remove(&id);
                }
                Step::Relieve => {
                    ledger.relieve();
                }
                Step::Idle(at) | Step::Busy(at) | Step::Gone(at) | Step::GiveWay(at) => {
                    if held.is_empty() {
                        continue;
                    }
                    let at = at % held.len();
                    match step {
                        Step::Idle(_) => {
                            held[at].idle_since.store(now, Ordering::Release);
                            ledger.review();
                        }
                        Step::Busy(_) => held[at].idle_since.store(BUSY, Ordering::Release),
                        Step::GiveWay(_) => {
                            let gives_way = ledger.gives_way(held[at].id, now);
                            prop_assert!(!gives_way || (!held[at].is_kept && !waits.is_empty()));
                        }
                        _ => ledger.freed(held.swap_remove(at).id),
                    }
                }
            }
            prop_assert_eq!(ledger.used_mb(), held.iter().map(Holding::counts_mb).sum::<u64>());
            prop_assert_eq!(ledger.waiting(), waits.len());
            what_is_to_end_is_not_kept(&mut ledger, &members, &held)?;
        }
        for holding in held {
            ledger.freed(holding.id);
        }
        all_are_served(&mut ledger, members.len(), waits)?;
    }
}

/// What is to end is idle, or was when that was decided, and is never one that is kept.
fn what_is_to_end_is_not_kept(
    ledger: &mut Ledger,
    members: &[(MemberId, u64)],
    held: &[Holding],
) -> Result<(), TestCaseError> {
    for (id, _) in members {
        for place in ledger.take_ending(*id) {
            let Some(holding) = held.iter().find(|it| it.id == place) else { continue };
            prop_assert!(!holding.is_kept);
            if !holding.is_idle() {
                ledger.stays(place);
            }
        }
    }
    Ok(())
}

/// When everything has ended, whoever waits is poked in turn until nobody does.
fn all_are_served(
    ledger: &mut Ledger,
    members: usize,
    mut waits: BTreeSet<MemberId>,
) -> Result<(), TestCaseError> {
    for _ in 0..members {
        for id in ledger.take_poked() {
            if !waits.contains(&id) {
                continue;
            }
            match ledger.ask(id, 1_000) {
                Said::Granted(place, _) => {
                    waits.remove(&id);
                    ledger.freed(place);
                }
                Said::Wait => {}
                Said::Never => prop_assert!(false, "nothing is kept"),
            }
        }
    }
    prop_assert_eq!((waits.len(), ledger.waiting(), ledger.used_mb()), (0, 0, 0));
    Ok(())
}
