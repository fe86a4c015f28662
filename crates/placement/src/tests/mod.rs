//! Simulation of placement: the books of several versions, the counts of their account and the room of
//! their machine, driven through random days in simulated time by a seed. A failure tells its seed.

mod chance;
mod world;

use std::hash::{BuildHasher, Hasher, RandomState};

use dormouse_model::concurrency::rate::Rate;
use dormouse_model::environment::{Cause, Micros};
use dormouse_model::limits;

use self::world::{Day, Fate, World};

const MS: Micros = 1_000;
const SECOND: Micros = 1_000 * MS;

/// Seeds that are always tried.
const SEEDS: std::ops::Range<u64> = 0..150;

/// Lives through a day of this seed to its end.
fn live(seed: u64, day: Day) -> World {
    let mut world = World::new(seed, day);
    world.busy_day();
    world.close();
    world
}

/// A seed that nobody has chosen, told so that a failure can be repeated.
fn fresh_seed() -> u64 {
    let seed = RandomState::new().build_hasher().finish();
    eprintln!("random seed {seed}");
    seed
}

#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    for seed in [1, 2, 3, fresh_seed()] {
        let (first, second) = (live(seed, Day::default()), live(seed, Day::default()));
        let differ = first.trace.iter().zip(&second.trace).find(|(a, b)| a != b);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
    }
    for seed in [4, fresh_seed()] {
        let (first, second) = (live(seed, Day::full()), live(seed, Day::full()));
        let differ = first.trace.iter().zip(&second.trace).find(|(a, b)| a != b);
        assert_eq!(differ, None, "seed {seed}");
    }
    assert_ne!(live(1, Day::default()).trace, live(2, Day::default()).trace);
}

#[test]
fn every_caller_is_answered_or_told_and_nothing_leaks_whatever_happens() {
    let mut seen = Vec::new();
    for seed in SEEDS.chain([fresh_seed()]) {
        let world = live(seed, Day::default());
        seen.extend(world.callers.iter().map(|caller| caller.fate));
    }
    // A day in which nothing goes wrong would show nothing.
    for fate in [Fate::Answered, Fate::Crashed, Fate::NoSandbox, Fate::NoPlace, Fate::NoRoomToWait]
    {
        assert!(seen.contains(&fate), "no caller was {fate:?}");
    }
}

#[test]
fn a_kill_in_the_middle_leaves_nobody_without_an_answer() {
    let mut told = 0;
    for seed in SEEDS.chain([fresh_seed()]) {
        told += live(seed, Day { killed: true, ..Day::default() }).count(Fate::ShutDown);
    }
    assert!(told > 0, "nobody waited when everything was killed");
}

#[test]
fn a_herd_of_first_callers_is_served_to_the_last_by_no_more_environments_than_callers() {
    for seed in 0..2 {
        let mut world = World::new(seed, Day::quiet(1_000));
        world.herd(0, 1_000);
        world.close();
        assert_eq!(world.count(Fate::Answered), 1_000, "seed {seed}");
        assert!(world.started <= 1_000, "seed {seed}: {} environments", world.started);
    }
}

#[test]
fn of_a_herd_as_many_run_as_are_reserved_and_the_others_are_told_at_once() {
    let mut world = World::new(7, Day::quiet(1_000));
    world.reserve(0, 100);
    world.herd(0, 1_000);
    assert_eq!(world.count(Fate::NoPlace), 900);
    world.close();
    assert_eq!((world.count(Fate::Answered), world.count(Fate::NoPlace)), (100, 900));
    assert!(world.started <= 100);
}

#[test]
fn a_function_grows_no_faster_than_its_rate_and_who_came_last_is_told() {
    let growth = Some(Rate::new(20, 10 * SECOND));
    let mut world = World::new(7, Day { growth, functions: 2, ..Day::quiet(1_000) });
    world.herd(0, 50);
    assert_eq!((world.started, world.count(Fate::TooFast)), (20, 30));
    // Another function grows by itself.
    world.herd(1, 20);
    assert_eq!((world.started, world.count(Fate::TooFast)), (40, 30));
    world.close();
    assert_eq!((world.count(Fate::Answered), world.started), (40, 40));
}

#[test]
fn nothing_leaks_where_rates_are_limited() {
    let growth = Some(Rate::new(5, 10 * SECOND));
    let mut told = 0;
    for seed in SEEDS.chain([fresh_seed()]) {
        told += live(seed, Day { growth, ..Day::default() }).count(Fate::TooFast);
    }
    assert!(told > 0, "nobody was too fast");
}

#[test]
fn on_a_full_machine_every_caller_is_answered_or_told_and_nothing_leaks() {
    let (mut evicted, mut told) = (0, 0);
    for seed in SEEDS.chain([fresh_seed()]) {
        let world = live(seed, Day::full());
        evicted += world.evicted;
        told += world.count(Fate::NoRoom);
        live(seed, Day { killed: true, ..Day::full() });
    }
    assert!(evicted > 0 && told > 0, "the machine was never full: {evicted} {told}");
}

/// A machine that holds four environments that run, and nothing goes wrong.
fn four() -> Day {
    Day { functions: 10, capacity_mb: 4 * 128, ..Day::quiet(1_000) }
}

#[test]
fn a_herd_of_one_function_keeps_nobody_else_waiting() {
    for seed in 0..20 {
        let mut world = World::new(seed, four());
        world.herd(0, 300);
        world.wait(100 * MS);
        world.herd(1, 1);
        world.close();
        assert_eq!(world.count(Fate::Answered), 301, "seed {seed}");
        let other = world.callers.iter().find(|caller| caller.function == 1).unwrap();
        let waited = other.told - other.came;
        assert!(waited < 700 * MS, "seed {seed}: the other function waited for {waited}");
    }
}

#[test]
fn two_herds_share_the_machine() {
    for seed in 0..20 {
        let mut world = World::new(seed, four());
        world.herd(0, 150);
        world.herd(1, 150);
        world.wait(2 * SECOND);
        let served = |function| {
            let of = world.callers.iter().filter(|caller| caller.function == function);
            of.filter(|caller| caller.fate == Fate::Answered).count()
        };
        let (first, second) = (served(0), served(1));
        assert!(first.abs_diff(second) * 3 < first + second, "seed {seed}: {first} and {second}");
        // Once each has its part, it keeps it: nobody is started again and again.
        assert!(world.started <= 8, "seed {seed}: {} starts", world.started);
        world.close();
        assert_eq!(world.count(Fate::Answered), 300, "seed {seed}");
    }
}

#[test]
fn more_functions_than_fit_have_their_turns() {
    for seed in 0..20 {
        let mut world = World::new(seed, four());
        for function in 0..10 {
            world.herd(function, 30);
        }
        world.close();
        assert_eq!(world.count(Fate::Answered), 300, "seed {seed}");
        for function in 0..10 {
            let of = world.callers.iter().filter(|caller| caller.function == function);
            let first = of.map(|caller| caller.told).min().unwrap();
            assert!(first < 2 * SECOND, "seed {seed}: {function} was first served at {first}");
        }
        assert!(world.started < 100, "seed {seed}: {} starts for 300 callers", world.started);
    }
}

#[test]
fn who_finds_no_room_is_told_after_a_while_and_at_once_where_there_never_is_any() {
    let mut world = World::new(7, Day { runs: 60 * SECOND..61 * SECOND, ..four() });
    for function in 0..5 {
        world.herd(function, 1);
    }
    world.close();
    assert_eq!((world.count(Fate::Answered), world.count(Fate::NoRoom)), (4, 1));
    let told = world.callers.iter().find(|caller| caller.fate == Fate::NoRoom).unwrap();
    assert_eq!((told.function, told.told), (4, limits::ROOM_WAIT_MS * MS));
    // All there is is kept ready for another function.
    let mut world = World::new(7, four());
    world.provide(0, 4);
    world.wait(SECOND);
    world.herd(1, 1);
    assert_eq!(world.count(Fate::NoRoom), 1);
    world.herd(0, 5);
    world.close();
    assert_eq!(world.evicted, 0);
}

#[test]
fn idle_environments_make_room_for_others() {
    let mut world = World::new(7, Day { functions: 40, ..four() });
    for function in 0..40 {
        world.herd(function, 1);
        world.wait(SECOND);
    }
    world.close();
    assert_eq!((world.count(Fate::Answered), world.count(Fate::NoRoom)), (40, 0));
    assert!(world.evicted > 0);
}

#[test]
fn callers_past_the_bound_of_the_line_are_told_and_the_others_served() {
    let mut world = World::new(7, Day::quiet(10));
    world.herd(0, 25);
    world.close();
    assert_eq!((world.count(Fate::Answered), world.count(Fate::NoRoomToWait)), (10, 15));
    assert_eq!(world.started, 10);
}

#[test]
fn an_environment_that_fails_costs_one_caller_and_the_others_are_served() {
    let mut world = World::new(7, Day::quiet(100));
    world.fail_next_start(Cause::ProvisionFailed);
    world.herd(0, 50);
    world.close();
    assert_eq!((world.count(Fate::Answered), world.count(Fate::NoSandbox)), (49, 1));
}
