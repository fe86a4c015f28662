//! Which events are to be had next: a lane for each function that has some. Plain values: no task, no
//! clock, no channel. Times are milliseconds of a clock that never goes back.
//!
//! Rules: no function gets more places than it leaves free, so there is one for any other at any
//! time; whose last turn is the longest ago goes first. A function that finds no place gets no more
//! than it has, and when it has none it rests, longer each time; each event that had a place makes
//! room for one more and ends the rest.

use std::collections::{HashMap, HashSet};

use dormouse_model::limits;
use dormouse_model::names::FunctionKey;
use dormouse_model::retry::doubled;
use dormouse_store::events::{EventId, Found, FunctionId, Look, QueuedEvent, Wanted};

/// Milliseconds after which a function that has had places tries for one again, doubled each time
/// (ours): an environment gives its place back a moment after its answer.
const PLACE_BACK_MS: u64 = 25;

/// The functions that have events.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: HashMap<FunctionId, Lane>,
    running: usize,
    turns: u64,
    stopped: bool,
}

#[derive(Debug)]
struct Lane {
    /// How many of its events are tried now.
    running: usize,
    /// Those, and those of which the end is not written yet.
    held: HashSet<EventId>,
    /// Whether the store is being asked for more.
    asked: bool,
    /// When there may be more to be had than it is asked for.
    look: Look,
    /// It rests until then.
    rest: Option<u64>,
    /// How often in a row it had to rest.
    rests: u32,
    /// Whether one of its events has had a place.
    had_places: bool,
    /// How many of its events may be tried at once.
    window: usize,
    /// In which turn it was last given something.
    turn: u64,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            running: 0,
            held: HashSet::new(),
            asked: false,
            look: Look::Now,
            rest: None,
            rests: 0,
            had_places: false,
            window: limits::EVENTS_RUNNING,
            turn: 0,
        }
    }
}

impl Lane {
    /// From when on its events are to be had, if nothing else happens.
    fn ready_at(&self) -> Option<u64> {
        match self.look {
            Look::Never => None,
            Look::Now => Some(self.rest.unwrap_or(0)),
            Look::At(at) => Some(self.rest.unwrap_or(0).max(at)),
        }
    }

    /// How many more it may have when so many places are free.
    fn room(&self, free: usize) -> usize {
        if self.running >= free {
            return 0;
        }
        // What it takes is no longer free: so half of what is free beyond its own.
        let share = ((free - self.running) / 2).max(1);
        share.min(self.window.saturating_sub(self.running))
    }

    fn rouse(&mut self) {
        (self.rest, self.rests) = (None, 0);
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.look == Look::Never && !self.asked
    }
}

impl Lanes {
    /// Lanes of functions of which it is not known what they have.
    pub(crate) fn of(functions: Vec<FunctionId>) -> Self {
        let lanes = functions.into_iter().map(|function| (function, Lane::default()));
        Self { lanes: lanes.collect(), ..Self::default() }
    }

    /// An event of a function was accepted.
    pub(crate) fn came(&mut self, function: FunctionId) {
        self.lanes.entry(function).or_default().look = Look::Now;
    }

    /// More of a function's events may run than before.
    pub(crate) fn loosened(&mut self, key: &FunctionKey) {
        for (_, lane) in self.lanes.iter_mut().filter(|(function, _)| function.key == *key) {
            lane.rouse();
            lane.window = limits::EVENTS_RUNNING;
        }
    }

    /// No event is to be had any more.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// What to ask the store for now.
    pub(crate) fn wanted(&mut self, now: u64) -> Vec<Wanted> {
        let mut free = limits::EVENTS_RUNNING.saturating_sub(self.running);
        if self.stopped || free == 0 {
            return Vec::new();
        }
        self.turns += 1;
        let ready = |lane: &Lane| lane.ready_at().is_some_and(|at| at <= now);
        let mut lanes: Vec<_> = self.lanes.iter_mut().filter(|(_, lane)| ready(lane)).collect();
        lanes.sort_by_key(|(_, lane)| lane.turn);
        let mut wanted = Vec::new();
        for (function, lane) in lanes {
            let max = lane.room(free);
            if max > 0 {
                free -= max;
                (lane.turn, lane.asked, lane.look) = (self.turns, true, Look::Never);
                wanted.push(Wanted { function: function.clone(), max, held: lane.held.clone() });
            }
        }
        wanted
    }

    /// What was asked for could not be had.
    pub(crate) fn not_found(&mut self, function: &FunctionId) {
        self.look(function, Look::Now);
        if let Some(lane) = self.lanes.get_mut(function) {
            lane.asked = false;
        }
    }

    /// What was asked for is here, and is tried.
    pub(crate) fn found(&mut self, function: &FunctionId, found: &Found) {
        self.look(function, found.look);
        if let Some(lane) = self.lanes.get_mut(function) {
            lane.asked = false;
            lane.running += found.events.len();
            lane.held.extend(found.events.iter().map(|event| event.id));
            self.running += found.events.len();
        }
        self.tidy(function);
    }

    /// A try is over that had its place.
    pub(crate) fn ran(&mut self, event: &QueuedEvent) {
        if let Some(lane) = self.over(event) {
            lane.rouse();
            lane.had_places = true;
            lane.window = (lane.window + 1).min(limits::EVENTS_RUNNING);
        }
    }

    /// A try is over for which no place was needed, or none is known of.
    pub(crate) fn passed(&mut self, event: &QueuedEvent) {
        self.over(event);
    }

    /// How often a function's events found no place in a row.
    pub(crate) fn rests(&self, function: &FunctionId) -> u32 {
        self.lanes.get(function).map_or(0, |lane| lane.rests)
    }

    /// A try is over that found no place: the function gets no more than it has, and rests.
    pub(crate) fn throttled(&mut self, event: &QueuedEvent, now: u64, until: u64) {
        if let Some(lane) = self.over(event) {
            lane.window = lane.running.max(1);
            // Those that were refused together count once.
            if lane.rest.is_none_or(|rest| rest <= now) {
                let soon = now.saturating_add(doubled(PLACE_BACK_MS, lane.rests));
                let until = if lane.had_places { until.min(soon) } else { until };
                (lane.rest, lane.rests) = (Some(until), lane.rests.saturating_add(1));
            }
        }
    }

    /// Nothing is held of an event any more: what became of it is written, or nothing became of it.
    pub(crate) fn let_go(&mut self, function: &FunctionId, id: EventId, look: Look) {
        if let Some(lane) = self.lanes.get_mut(function) {
            lane.held.remove(&id);
        }
        self.look(function, look);
        self.tidy(function);
    }

    /// When there will be something to ask for, if nothing else happens.
    pub(crate) fn next(&self, now: u64) -> Option<u64> {
        if self.stopped {
            return None;
        }
        self.lanes.values().filter_map(Lane::ready_at).filter(|at| *at > now).min()
    }

    fn over(&mut self, event: &QueuedEvent) -> Option<&mut Lane> {
        let lane = self.lanes.get_mut(&event.function)?;
        lane.running -= 1;
        self.running -= 1;
        Some(lane)
    }

    fn look(&mut self, function: &FunctionId, look: Look) {
        if let Some(lane) = self.lanes.get_mut(function) {
            lane.look = lane.look.min(look);
        }
    }

    fn tidy(&mut self, function: &FunctionId) {
        if self.lanes.get(function).is_some_and(Lane::is_empty) {
            self.lanes.remove(function);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use dormouse_model::names::Scope;
    use dormouse_model::retry::Tries;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn function(name: &str) -> FunctionId {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let key = FunctionKey { scope, name: name.parse().unwrap() };
        FunctionId { key, unique_id: "u".into() }
    }

    fn event(name: &str, id: EventId) -> QueuedEvent {
        QueuedEvent {
            id,
            function: function(name),
            qualifier: None,
            request: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
            payload: "{}".into(),
            trace: None,
            tenant: None,
            tries: Tries { accepted_ms: 0, failures: 0, deferrals: 0 },
        }
    }

    /// Lanes over queues without end.
    struct World {
        lanes: Lanes,
        last: EventId,
        tried: Vec<QueuedEvent>,
    }

    impl World {
        fn new(names: &[&str]) -> Self {
            let functions = names.iter().map(|name| function(name)).collect();
            Self { lanes: Lanes::of(functions), last: 0, tried: Vec::new() }
        }

        /// What is handed out at a time, as `name number` of each function.
        fn turn(&mut self, now: u64) -> String {
            let mut said = Vec::new();
            for wanted in self.lanes.wanted(now) {
                let name = wanted.function.key.name.to_string();
                let from = self.last;
                self.last += EventId::try_from(wanted.max).unwrap();
                let events: Vec<_> = (from..self.last).map(|id| event(&name, id)).collect();
                self.tried.extend(events.iter().cloned());
                said.push(format!("{name} {}", wanted.max));
                self.lanes.found(&wanted.function, &Found { events, look: Look::Now });
            }
            said.join(", ")
        }

        fn turns(&mut self, now: u64) -> String {
            let mut last = String::new();
            loop {
                let next = self.turn(now);
                if next.is_empty() {
                    return last;
                }
                last = next;
            }
        }

        fn running(&self, name: &str) -> usize {
            self.lanes.lanes.get(&function(name)).map_or(0, |lane| lane.running)
        }

        /// The oldest try of a function, which is over.
        fn over(&mut self, name: &str) -> QueuedEvent {
            let at = self.tried.iter().position(|event| event.function == function(name));
            self.tried.remove(at.expect("one is tried"))
        }

        fn ran(&mut self, name: &str) {
            let event = self.over(name);
            self.lanes.ran(&event);
            self.lanes.let_go(&event.function, event.id, Look::Never);
        }

        fn throttled(&mut self, name: &str, now: u64, until: u64) {
            let event = self.over(name);
            self.lanes.throttled(&event, now, until);
            self.lanes.let_go(&event.function, event.id, Look::Now);
        }
    }

    #[test]
    fn a_function_gets_no_more_than_it_leaves_free() {
        let mut world = World::new(&["a"]);
        world.turns(0);
        assert_eq!(world.running("a"), 64);
        world.lanes.came(function("b"));
        world.turns(0);
        assert_eq!((world.running("a"), world.running("b")), (64, 32));
        for _ in 0..64 {
            world.ran("a");
            world.turns(0);
        }
        assert!(world.running("a") + world.running("b") < limits::EVENTS_RUNNING);
        assert!(world.running("b") > world.running("a") / 2);
    }

    #[test]
    fn whose_last_turn_is_the_longest_ago_goes_first() {
        let mut world = World::new(&["a"]);
        assert_eq!(world.turn(0), "a 64");
        world.lanes.came(function("b"));
        assert_eq!(world.turn(0), "b 32");
        world.lanes.came(function("c"));
        assert_eq!(world.turn(0), "c 16");
        for _ in 0..64 {
            world.ran("a");
        }
        assert_eq!(world.turn(0), "a 40, b 4, c 10");
    }

    #[test]
    fn what_finds_no_place_waits_for_its_own_and_for_a_while() {
        let mut world = World::new(&["a"]);
        world.turn(0);
        for _ in 0..54 {
            world.throttled("a", 0, 1_000);
        }
        assert_eq!((world.turn(0).as_str(), world.lanes.next(0)), ("", Some(1_000)));
        assert_eq!(world.lanes.rests(&function("a")), 1);
        // One that had its place makes room for the next and for another one.
        world.ran("a");
        assert_eq!(world.lanes.rests(&function("a")), 0);
        assert_eq!(world.turns(5), "a 2");
        assert_eq!(world.running("a"), 11);
    }

    #[test]
    fn a_place_that_was_just_given_back_is_tried_for_soon() {
        let mut world = World::new(&["a"]);
        world.turn(0);
        for _ in 0..63 {
            world.throttled("a", 0, 1_000);
        }
        world.ran("a");
        assert_eq!(world.turn(100), "a 2");
        world.throttled("a", 100, 1_100);
        world.throttled("a", 100, 1_100);
        assert_eq!((world.turn(124).as_str(), world.turn(125).as_str()), ("", "a 1"));
        world.throttled("a", 125, 2_125);
        assert_eq!((world.turn(174).as_str(), world.turn(175).as_str()), ("", "a 1"));
    }

    #[test]
    fn a_function_that_never_finds_a_place_tries_with_one_event_and_rests_ever_longer() {
        let mut world = World::new(&["a"]);
        world.turn(0);
        for _ in 0..64 {
            world.throttled("a", 0, 1_000);
        }
        assert_eq!((world.turn(999).as_str(), world.turn(1_000).as_str()), ("", "a 1"));
        world.throttled("a", 1_000, 3_000);
        assert_eq!(world.lanes.rests(&function("a")), 2);
        assert_eq!(world.turn(2_999), "");
        world.lanes.loosened(&function("a").key);
        assert_eq!(world.turn(2_999), "a 64");
    }

    #[test]
    fn what_comes_while_the_store_is_asked_is_not_overlooked() {
        let mut lanes = Lanes::of(vec![function("a")]);
        assert_eq!(lanes.wanted(0).len(), 1);
        assert_eq!(lanes.wanted(0).len(), 0);
        lanes.came(function("a"));
        lanes.found(&function("a"), &Found { events: vec![], look: Look::Never });
        assert_eq!(lanes.wanted(0).len(), 1);
        lanes.not_found(&function("a"));
        assert_eq!(lanes.wanted(0).len(), 1);
    }

    #[test]
    fn a_function_is_not_forgotten_while_the_store_is_asked_for_its_events() {
        let mut lanes = Lanes::of(vec![function("a")]);
        lanes.wanted(0);
        lanes.found(&function("a"), &Found { events: vec![event("a", 1)], look: Look::Now });
        lanes.ran(&event("a", 1));
        assert_eq!(lanes.wanted(0).len(), 1);
        lanes.let_go(&function("a"), 1, Look::Never);
        lanes.found(&function("a"), &Found { events: vec![event("a", 2)], look: Look::Never });
        lanes.throttled(&event("a", 2), 0, 1_000);
        lanes.let_go(&function("a"), 2, Look::Now);
        assert_eq!(lanes.wanted(1_000).len(), 1);
    }

    #[test]
    fn nothing_is_kept_of_a_function_without_events() {
        let mut lanes = Lanes::of(vec![function("a")]);
        lanes.wanted(0);
        lanes.found(&function("a"), &Found { events: vec![event("a", 1)], look: Look::Never });
        lanes.ran(&event("a", 1));
        assert_eq!(lanes.lanes.len(), 1, "its end is not written");
        lanes.let_go(&function("a"), 1, Look::At(70));
        assert_eq!(
            (lanes.next(0), lanes.wanted(69).len(), lanes.wanted(70).len()),
            (Some(70), 0, 1)
        );
        lanes.found(&function("a"), &Found { events: vec![], look: Look::Never });
        assert!(lanes.lanes.is_empty());
    }

    #[test]
    fn nothing_is_begun_once_it_is_stopped() {
        let mut world = World::new(&["a"]);
        world.lanes.stop();
        assert_eq!((world.turn(0).as_str(), world.lanes.next(0)), ("", None));
    }

    /// A store of events by function and number, due at times, and an owner that does what it is told
    /// to, one thing after the other.
    #[derive(Default)]
    struct Simulation {
        lanes: Lanes,
        now: u64,
        stored: BTreeMap<EventId, (usize, u64)>,
        last: EventId,
        /// What the store is asked for, and what ended before that.
        turn: Option<(Vec<Wanted>, Vec<Written>)>,
        tried: Vec<(usize, EventId)>,
        settled: Vec<Written>,
    }

    /// Function, event and, if it is put off, until when.
    type Written = (usize, EventId, Option<u64>);

    const NAMES: [&str; 3] = ["a", "b", "c"];

    #[derive(Debug, Clone)]
    enum Step {
        Accept(usize),
        StartTurn,
        EndTurn { works: bool },
        Ran(usize),
        Throttled(usize),
        PutOff(usize, u64),
        Pass(u64),
    }

    impl Simulation {
        fn step(&mut self, step: &Step) {
            match *step {
                Step::Accept(which) => {
                    self.last += 1;
                    self.stored.insert(self.last, (which, 0));
                    self.lanes.came(function(NAMES[which]));
                }
                Step::StartTurn if self.turn.is_none() => {
                    let wanted = self.lanes.wanted(self.now);
                    self.turn = Some((wanted, std::mem::take(&mut self.settled)));
                }
                Step::EndTurn { works: true } => self.turned(),
                Step::EndTurn { works: false } => {
                    if let Some((wanted, written)) = self.turn.take() {
                        self.settled.extend(written);
                        wanted.iter().for_each(|wanted| self.lanes.not_found(&wanted.function));
                    }
                }
                Step::Ran(at) if at < self.tried.len() => self.over(at, None),
                Step::PutOff(at, ms) if at < self.tried.len() => self.over(at, Some(self.now + ms)),
                Step::Throttled(at) if at < self.tried.len() => {
                    let (which, id) = self.tried.remove(at);
                    let event = event(NAMES[which], id);
                    self.lanes.throttled(&event, self.now, self.now + 1_000);
                    self.lanes.let_go(&event.function, id, Look::Now);
                }
                Step::Pass(ms) => self.now += ms,
                Step::StartTurn | Step::Ran(_) | Step::PutOff(..) | Step::Throttled(_) => {}
            }
        }

        fn over(&mut self, at: usize, put_off: Option<u64>) {
            let (which, id) = self.tried.remove(at);
            self.lanes.ran(&event(NAMES[which], id));
            self.settled.push((which, id, put_off));
        }

        fn turned(&mut self) {
            let Some((wanted, written)) = self.turn.take() else {
                return;
            };
            for (which, id, put_off) in written {
                match put_off {
                    Some(at) => drop(self.stored.insert(id, (which, at))),
                    None => drop(self.stored.remove(&id)),
                }
                let look = put_off.map_or(Look::Never, Look::At);
                self.lanes.let_go(&function(NAMES[which]), id, look);
            }
            for wanted in wanted {
                let found = self.find(&wanted);
                for event in &found.events {
                    let which = self.stored[&event.id].0;
                    assert!(!self.tried.contains(&(which, event.id)), "tried twice at once");
                    self.tried.push((which, event.id));
                }
                self.lanes.found(&wanted.function, &found);
            }
        }

        fn find(&self, wanted: &Wanted) -> Found {
            let name = wanted.function.key.name.as_str();
            let of = self.stored.iter().filter(|(_, (which, _))| NAMES[*which] == name);
            let (due, later): (Vec<_>, Vec<_>) = of.partition(|(_, (_, at))| *at <= self.now);
            let due = due.into_iter().filter(|(id, _)| !wanted.held.contains(id));
            let events: Vec<_> = due.take(wanted.max).map(|(id, _)| event(name, *id)).collect();
            let next = later.into_iter().map(|(_, (_, at))| *at).min();
            let look = next.map_or(Look::Never, Look::At);
            Found { look: if events.len() < wanted.max { look } else { Look::Now }, events }
        }

        /// Goes on without anything new, each try running well, until there is nothing to do.
        fn finish(&mut self) {
            for _ in 0..10_000 {
                self.turned();
                self.step(&Step::StartTurn);
                let nothing = self
                    .turn
                    .as_ref()
                    .is_some_and(|(wanted, written)| wanted.is_empty() && written.is_empty());
                self.turned();
                match (self.tried.len(), self.lanes.next(self.now)) {
                    (0, None) if nothing => return,
                    (0, next) => self.now = next.unwrap_or(self.now),
                    _ => self.step(&Step::Ran(0)),
                }
            }
            panic!("it has no end");
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_usize..3).prop_map(Step::Accept),
            Just(Step::StartTurn),
            Just(Step::StartTurn),
            any::<bool>().prop_map(|works| Step::EndTurn { works }),
            Just(Step::EndTurn { works: true }),
            (0_usize..6).prop_map(Step::Ran),
            (0_usize..6).prop_map(Step::Throttled),
            (0_usize..6, 0_u64..3_000).prop_map(|(at, ms)| Step::PutOff(at, ms)),
            (0_u64..700).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// However tries end: no more run than there are places, one is left for a newcomer, and
        /// every function gets one as long as others' tries end.
        #[test]
        fn no_function_keeps_another_waiting(
            ends in prop::collection::vec((0_usize..3, any::<bool>()), 0..300),
        ) {
            let names = ["a", "b", "c"];
            let mut world = World::new(&names);
            for (at, (which, throttled)) in ends.into_iter().enumerate() {
                let now = at as u64 * 100;
                world.turns(now);
                prop_assert!(world.lanes.running < limits::EVENTS_RUNNING);
                prop_assert_eq!(world.lanes.running, world.tried.len());
                if world.running(names[which]) > 0 {
                    if throttled {
                        world.throttled(names[which], now, now + 1_000);
                    } else {
                        world.ran(names[which]);
                    }
                }
            }
            world.turns(1_000_000);
            prop_assert!(names.iter().all(|name| world.running(name) > 0));
            world.lanes.came(function("d"));
            world.turns(1_000_000);
            prop_assert!(world.running("d") > 0);
        }

        /// In whatever order things happen: no event is overlooked or tried twice at once, and in the
        /// end nothing is kept.
        #[test]
        fn every_event_is_tried_until_it_ends(steps in prop::collection::vec(step(), 0..120)) {
            let mut simulation = Simulation::default();
            for step in &steps {
                simulation.step(step);
            }
            simulation.finish();
            prop_assert!(simulation.stored.is_empty(), "left: {:?}", simulation.stored);
            prop_assert!(simulation.lanes.lanes.is_empty() && simulation.lanes.running == 0);
        }
    }
}
