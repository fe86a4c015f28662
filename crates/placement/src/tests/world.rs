//! Callers, environments and limits of a simulated account, and what must hold at each step.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use dormouse_model::concurrency::Claim;
use dormouse_model::concurrency::rate::Rate;
use dormouse_model::environment::{Cause, InitializationType, Micros};
use dormouse_model::limits;
use dormouse_model::names::{EnvironmentId, FunctionKey, Scope, Version};
use dormouse_worker::capacity::{Capacity, Place};
use dormouse_worker::{ColdReason, Permit, Refusal};

use super::chance::Chance;
use super::{MS, SECOND};
use crate::book::{Book, Failure, Order, Terms};
use crate::bucket::{Bucket, Level};
use crate::counts::{Count, Counts};
use crate::refused::InvokeError;

/// What a day is like.
#[derive(Debug, Clone)]
pub(super) struct Day {
    /// How many functions there are, each with `$LATEST` and a version.
    pub(super) functions: usize,
    /// How many callers may wait for one version.
    pub(super) waiters: usize,
    /// How many callers come.
    pub(super) callers: u64,
    /// Of a hundred starts and invocations, how many go wrong in one of the ways there are.
    pub(super) trouble: u64,
    /// How often limits and versions change.
    pub(super) changes: u64,
    /// How fast a function may grow, if there is a limit; requests a second are limited then, too.
    pub(super) growth: Option<Rate>,
    /// How much memory the machine has, in megabytes.
    pub(super) capacity_mb: u64,
    /// How much memory functions may use, in megabytes, one after another.
    pub(super) sizes_mb: &'static [u32],
    /// How long an invocation runs.
    pub(super) runs: Range<Micros>,
    /// Of a hundred invocations, how many run for up to five seconds; half as many Inits take up to eight.
    pub(super) slow: u64,
    /// Whether everything is killed in the middle of it.
    pub(super) killed: bool,
}

impl Default for Day {
    fn default() -> Self {
        Self {
            functions: 3,
            waiters: 12,
            callers: 300,
            trouble: 20,
            changes: 30,
            growth: None,
            capacity_mb: 1 << 40,
            sizes_mb: &[128],
            runs: 0..100 * MS,
            slow: 10,
            killed: false,
        }
    }
}

impl Day {
    /// One on a machine that holds only some of what is wanted.
    pub(super) fn full() -> Self {
        let sizes_mb = &[128, 256, 512, 2_000];
        Self { functions: 4, capacity_mb: 1_200, sizes_mb, ..Self::default() }
    }

    /// One on which nothing happens but what a test says.
    pub(super) fn quiet(waiters: usize) -> Self {
        Self {
            functions: 1,
            waiters,
            callers: 0,
            trouble: 0,
            changes: 0,
            slow: 0,
            ..Self::default()
        }
    }
}

/// How it went for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// He waits, or what he called runs.
    Open,
    /// He has his answer.
    Answered,
    /// What he called ended before it answered.
    Crashed,
    /// Told that no environment could be made.
    NoSandbox,
    /// Told that as many run as may.
    NoPlace,
    /// Told that too many wait.
    NoRoomToWait,
    /// Told that too many came in a second, or that the function grows too fast.
    TooFast,
    /// Told that the machine has no room for what he needs.
    NoRoom,
    /// Told that the server stops.
    ShutDown,
}

#[derive(Debug)]
pub(super) struct Caller {
    pub(super) function: usize,
    pub(super) fate: Fate,
    pub(super) came: Micros,
    /// When he was told.
    pub(super) told: Micros,
    /// He hung up: nothing else may change by that.
    gone: bool,
}

/// What runs, with the place that it holds.
#[derive(Debug)]
pub(super) struct Job {
    caller: usize,
    _permit: Permit,
}

#[derive(Debug)]
enum State {
    Starting(InitializationType),
    Free,
    Busy(Job),
    /// It has answered and is not free yet.
    Settling,
}

#[derive(Debug)]
struct Environment {
    book: usize,
    mb: u64,
    is_kept: bool,
    state: State,
    /// Why it will end when nothing runs in it.
    stopping: Option<Cause>,
    /// Counts what it was told, so that what was to happen before is not taken for what is.
    epoch: u32,
}

impl Environment {
    fn counts_mb(&self) -> u64 {
        let is_idle = matches!(self.state, State::Free) && !self.is_kept;
        if is_idle { self.mb.div_ceil(limits::FROZEN_PART) } else { self.mb }
    }
}

/// The book of one version, and who waits by the world's own account.
#[derive(Debug)]
struct Shelf {
    mb: u32,
    book: Book<Job>,
    line: VecDeque<usize>,
    wake: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Call { function: usize, version: u64 },
    HangUp { caller: usize },
    Up(EnvironmentId, u32),
    Answer(EnvironmentId, u32),
    Free(EnvironmentId, u32),
    HandBack(EnvironmentId, u32),
    Down(EnvironmentId, &'static str),
    Change,
    Wake(usize),
    Kill,
}

/// Causes by the words under which they wait in the queue, which wants an order.
const CAUSES: [(&str, Cause); 8] = [
    ("evicted", Cause::Evicted),
    ("crashed", Cause::Crashed),
    ("could not be made", Cause::ProvisionFailed),
    ("init failed", Cause::InitFailed),
    ("idle", Cause::Idle),
    ("released", Cause::Released),
    ("update", Cause::Update),
    ("shutdown", Cause::Shutdown),
];

fn word(cause: Cause) -> &'static str {
    CAUSES.iter().find(|(_, it)| *it == cause).expect("the world knows every cause it meets").0
}

fn cause(word: &str) -> Cause {
    CAUSES.iter().find(|(it, _)| *it == word).expect("it was made of a cause").1
}

pub(super) struct World {
    seed: u64,
    day: Day,
    chance: Chance,
    now: Micros,
    queue: BinaryHeap<Reverse<(Micros, u64, Happening)>>,
    sequence: u64,
    capacity: Capacity,
    counts: Counts,
    shared: Count,
    /// How fast each function grows.
    growth: Vec<Level>,
    shelves: Vec<Shelf>,
    /// Which shelf a function's `$LATEST` and version are on now.
    current: BTreeMap<(usize, u64), usize>,
    environments: BTreeMap<EnvironmentId, Environment>,
    next_start: Option<Cause>,
    pub(super) callers: Vec<Caller>,
    pub(super) started: usize,
    pub(super) evicted: usize,
    pub(super) trace: Vec<String>,
}

fn key(function: usize) -> FunctionKey {
    let scope =
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    FunctionKey { scope, name: format!("f{function}").parse().unwrap() }
}

fn version(number: u64) -> Version {
    if number == 0 { Version::Latest } else { Version::Number(number) }
}

impl World {
    pub(super) fn new(seed: u64, day: Day) -> Self {
        let mut world = Self {
            seed,
            chance: Chance::new(seed),
            now: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            capacity: Capacity::new(day.capacity_mb, Arc::new(|| None)),
            counts: Counts::default(),
            shared: Count::default(),
            growth: (0..day.functions).map(|_| Level::default()).collect(),
            shelves: Vec::new(),
            current: BTreeMap::new(),
            environments: BTreeMap::new(),
            next_start: None,
            callers: Vec::new(),
            started: 0,
            evicted: 0,
            trace: Vec::new(),
            day,
        };
        for function in 0..world.day.functions {
            for number in 0..2 {
                world.open(function, number);
            }
        }
        world
    }

    /// A new book for a version, in place of what it had.
    fn open(&mut self, function: usize, number: u64) {
        let mb = self.day.sizes_mb[function % self.day.sizes_mb.len()];
        let terms = Terms {
            room: self.capacity.join(key(function), mb),
            waiters: self.day.waiters,
            idle: 60 * SECOND,
            first: ColdReason::First,
            awaited: InitializationType::OnDemand,
            passing: false,
            scaling: self.day.growth.map(|rate| {
                let level = self.growth[function].clone();
                Bucket { level, rate }
            }),
        };
        self.current.insert((function, number), self.shelves.len());
        let (book, line) = (Book::new(terms), VecDeque::new());
        self.shelves.push(Shelf { mb, book, line, wake: None });
    }

    pub(super) fn count(&self, fate: Fate) -> usize {
        self.callers.iter().filter(|caller| caller.fate == fate).count()
    }

    /// The next start ends like this.
    pub(super) fn fail_next_start(&mut self, cause: Cause) {
        self.next_start = Some(cause);
    }

    pub(super) fn reserve(&mut self, function: usize, places: u32) {
        let claim = Claim { reserved: Some(places), ..Claim::default() };
        self.counts = self.counts.with(&key(function), claim);
    }

    /// Has so many environments of a function's version kept ready.
    pub(super) fn provide(&mut self, function: usize, places: u32) {
        let shelf = self.current[&(function, 1)];
        self.shelves[shelf].book.provide(places);
        self.settle(shelf);
    }

    /// So many callers of `$LATEST` at once.
    pub(super) fn herd(&mut self, function: usize, callers: usize) {
        for _ in 0..callers {
            self.call(function, 0);
        }
    }

    /// Callers, herds of them, changes, and time that passes.
    pub(super) fn busy_day(&mut self) {
        let mut at = 0;
        let mut left = self.day.callers;
        while left > 0 {
            at += self.chance.within(0..200 * MS);
            // Some come together, most alone, and some only after a long time.
            let herd = if self.chance.happens(5) { self.chance.within(5..40) } else { 1 };
            at += if self.chance.happens(2) { 100 * SECOND } else { 0 };
            let function = self.chance.index(self.day.functions);
            let version = self.chance.within(0..2);
            for _ in 0..herd.min(left) {
                self.at(at, Happening::Call { function, version });
            }
            left -= herd.min(left);
        }
        for _ in 0..self.day.changes {
            let when = self.chance.within(0..at + 1);
            self.at(when, Happening::Change);
        }
        if self.day.killed {
            // At a moment when somebody waits, so that it shows something.
            let function = self.chance.index(self.day.functions);
            for _ in 0..5 {
                self.at(at / 2, Happening::Call { function, version: 0 });
            }
            self.at(at / 2, Happening::Kill);
        }
        // What cannot be kept ready is tried again for ever.
        self.run_until(at + 60 * SECOND);
    }

    /// Ends everything in peace, and looks that nothing is left.
    pub(super) fn close(&mut self) {
        self.run_until(self.now + 10 * SECOND);
        for shelf in 0..self.shelves.len() {
            self.shelves[shelf].book.retire(Cause::Shutdown);
            self.settle(shelf);
        }
        self.run();
        let open = self.callers.iter().position(|caller| caller.fate == Fate::Open);
        assert_eq!(open, None, "seed {}: a caller was left without an answer", self.seed);
        assert!(self.environments.is_empty(), "seed {}: environments are left", self.seed);
        for (at, shelf) in self.shelves.iter().enumerate() {
            assert!(shelf.book.is_over(), "seed {}: book {at} is not over", self.seed);
        }
        assert_eq!(self.taken(), 0, "seed {}: places are still taken", self.seed);
        let used = self.capacity.look();
        assert_eq!((used.used_mb, used.waiting), (0, 0), "seed {}: {used:?}", self.seed);
    }

    fn taken(&self) -> u32 {
        self.shared.running() + self.counts.taken()
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, micros: Micros) {
        let end = self.now + micros;
        self.run_until(end);
        self.now = end;
    }

    fn at(&mut self, when: Micros, what: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((when, self.sequence, what)));
    }

    fn after(&mut self, delay: std::ops::Range<Micros>, what: Happening) {
        let when = self.now + self.chance.within(delay);
        self.at(when, what);
    }

    fn run(&mut self) {
        self.run_until(Micros::MAX);
    }

    fn run_until(&mut self, end: Micros) {
        while let Some(Reverse((when, ..))) = self.queue.peek()
            && *when <= end
        {
            let Some(Reverse((when, _, what))) = self.queue.pop() else { break };
            self.now = when;
            self.trace.push(format!("{when} {what:?}"));
            let last = self.trace.len().saturating_sub(20);
            let busy = self.trace.len() < 100_000;
            assert!(busy, "seed {}: it never ends: {:#?}", self.seed, &self.trace[last..]);
            self.happen(what);
            self.ring();
            self.check();
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Call { function, version } => self.call(function, version),
            Happening::HangUp { caller } => self.callers[caller].gone = true,
            Happening::Up(id, epoch) | Happening::Free(id, epoch) if self.is_now(&id, epoch) => {
                self.free(&id);
            }
            Happening::Answer(id, epoch) if self.is_now(&id, epoch) => self.answer(&id),
            Happening::HandBack(id, epoch) if self.is_now(&id, epoch) => self.hand_back(&id),
            Happening::Down(id, word) => self.end(&id, cause(word)),
            Happening::Change => self.change(),
            Happening::Wake(shelf) => {
                self.shelves[shelf].wake = None;
                self.settle(shelf);
            }
            Happening::Kill => {
                for shelf in 0..self.shelves.len() {
                    self.shelves[shelf].book.kill(Cause::Shutdown);
                    self.settle(shelf);
                }
            }
            Happening::Up(..)
            | Happening::Free(..)
            | Happening::Answer(..)
            | Happening::HandBack(..) => {}
        }
    }

    /// Those who are told of room that is there, or is wanted, do something about it.
    fn ring(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut rounds = 0;
        loop {
            let mut rings =
                |shelf: &mut Shelf| pin!(shelf.book.rings()).poll(&mut context).is_ready();
            let Some(shelf) = self.shelves.iter_mut().position(&mut rings) else { break };
            self.settle(shelf);
            rounds += 1;
            assert!(rounds < 10_000, "seed {}: they tell each other for ever", self.seed);
        }
    }

    fn is_now(&self, id: &EnvironmentId, epoch: u32) -> bool {
        self.environments.get(id).is_some_and(|it| it.epoch == epoch)
    }

    fn call(&mut self, function: usize, number: u64) {
        let caller = self.callers.len();
        let (came, told) = (self.now, self.now);
        self.callers.push(Caller { function, fate: Fate::Open, came, told, gone: false });
        if self.chance.happens(10) && self.day.callers > 0 {
            self.after(0..SECOND, Happening::HangUp { caller });
        }
        let now = self.day.growth.map(|_| self.now);
        let place = self.counts.permit(&key(function), version(number), &self.shared, now);
        let permit = match place {
            Ok(permit) => permit,
            Err(error) => {
                let fast = matches!(error, InvokeError::TooFast | InvokeError::ReservedTooFast);
                self.callers[caller].fate = if fast { Fate::TooFast } else { Fate::NoPlace };
                return;
            }
        };
        let shelf = self.current[&(function, number)];
        match self.shelves[shelf].book.arrive(Job { caller, _permit: permit }, self.now) {
            // Who waits came first.
            Some(order @ Order::Lease(..)) => {
                assert!(self.shelves[shelf].line.is_empty(), "seed {}: overtaken", self.seed);
                self.shelves[shelf].line.push_front(caller);
                self.obey(shelf, order);
            }
            Some(order) => self.obey(shelf, order),
            None => self.shelves[shelf].line.push_back(caller),
        }
        self.settle(shelf);
        self.ring();
    }

    /// Does what a book orders until that is nothing.
    fn settle(&mut self, shelf: usize) {
        while let Some(order) = self.shelves[shelf].book.next(self.now) {
            self.obey(shelf, order);
        }
        if let Some(moment) = self.shelves[shelf].book.next_moment(self.now)
            && self.shelves[shelf].wake.is_none_or(|wake| moment < wake)
        {
            self.shelves[shelf].wake = Some(moment);
            self.at(moment.max(self.now), Happening::Wake(shelf));
        }
    }

    fn obey(&mut self, shelf: usize, order: Order<Job>) {
        match order {
            Order::Lease(id, job) => self.lease(shelf, id, job),
            Order::Start(_, initialization, place) => self.start(shelf, initialization, place),
            Order::Stop(id, cause) => self.stop(&id, cause),
            Order::KillAll(cause) => {
                let of_it = self.environments.iter().filter(|(_, it)| it.book == shelf);
                let ids: Vec<EnvironmentId> = of_it.map(|(id, _)| id.clone()).collect();
                for id in ids {
                    self.after(0..2 * MS, Happening::Down(id, word(cause)));
                }
            }
            Order::Refuse(job, Refusal::NoRoom) => {
                let line = &mut self.shelves[shelf].line;
                let at = line.iter().position(|waits| *waits == job.caller).expect("he waited");
                line.remove(at);
                self.tell(job, Fate::NoRoom);
            }
            Order::Refuse(job, Refusal::LineFull) => self.tell(job, Fate::NoRoomToWait),
            Order::Refuse(job, Refusal::Scaling) => {
                let newest = self.shelves[shelf].line.pop_back();
                assert_eq!(newest, Some(job.caller), "seed {}: not the newest", self.seed);
                self.tell(job, Fate::TooFast);
            }
            Order::Fail(job, failure) => {
                let fate = match failure {
                    Failure::NoSandbox => Fate::NoSandbox,
                    Failure::ShuttingDown => Fate::ShutDown,
                };
                let line = &mut self.shelves[shelf].line;
                // Who comes after a kill has not waited.
                if let Some(at) = line.iter().position(|waits| *waits == job.caller) {
                    assert_eq!(at, 0, "seed {}: not the oldest", self.seed);
                    line.pop_front();
                }
                self.tell(job, fate);
            }
        }
    }

    fn tell(&mut self, job: Job, fate: Fate) {
        let caller = &mut self.callers[job.caller];
        assert_eq!(caller.fate, Fate::Open, "seed {}: told twice", self.seed);
        caller.fate = fate;
        caller.told = self.now;
        self.trace.push(format!("{} caller {} {fate:?}", self.now, job.caller));
    }

    fn start(&mut self, shelf: usize, initialization: InitializationType, place: Place) {
        self.trace.push(format!("{} {shelf} starts {initialization:?}", self.now));
        self.started += 1;
        let id: EnvironmentId = format!("{:032x}", self.started).parse().unwrap();
        if initialization == InitializationType::OnDemand {
            let starting = self.environments.values().filter(|it| {
                let on_demand = State::Starting(InitializationType::OnDemand);
                it.book == shelf
                    && std::mem::discriminant(&it.state) == std::mem::discriminant(&on_demand)
                    && matches!(it.state, State::Starting(InitializationType::OnDemand))
            });
            let (starting, waiting) = (starting.count(), self.shelves[shelf].line.len());
            let seed = self.seed;
            assert!(starting < waiting, "seed {seed}: {starting} start, {waiting} wait");
        }
        let mb = u64::from(self.shelves[shelf].mb);
        let used: u64 = self.environments.values().map(Environment::counts_mb).sum();
        let fits = used + mb <= self.day.capacity_mb || self.environments.is_empty();
        assert!(fits, "seed {}: {used} MB are used and {mb} taken", self.seed);
        self.shelves[shelf].book.started(id.clone(), initialization, place);
        let state = State::Starting(initialization);
        let is_kept = initialization == InitializationType::ProvisionedConcurrency;
        let made = Environment { book: shelf, mb, is_kept, state, stopping: None, epoch: 0 };
        self.environments.insert(id.clone(), made);
        let trouble = self.chance.happens(self.day.trouble / 2).then(|| {
            [Cause::ProvisionFailed, Cause::InitFailed, Cause::Crashed][self.chance.index(3)]
        });
        // A slow Init now and then.
        let slow = self.chance.happens(self.day.slow / 2);
        let takes = if slow { 8 * SECOND } else { 50 * MS };
        match trouble.or(self.next_start.take()) {
            Some(cause) => self.after(MS..takes, Happening::Down(id, word(cause))),
            None => self.after(MS..takes, Happening::Up(id, 0)),
        }
    }

    fn lease(&mut self, shelf: usize, id: EnvironmentId, job: Job) {
        let oldest = self.shelves[shelf].line.pop_front();
        assert_eq!(oldest, Some(job.caller), "seed {}: not the oldest", self.seed);
        let (seed, trouble) = (self.seed, self.day.trouble);
        // It has died, and its last fact is on the way.
        if self.chance.happens(trouble / 10) {
            self.after(0..MS, Happening::Down(id.clone(), "crashed"));
            self.environments.get_mut(&id).expect("it is told of before it ends").epoch += 1;
            self.shelves[shelf].line.push_front(job.caller);
            self.shelves[shelf].book.not_leased(&id, job, self.now);
            return;
        }
        let environment = self.environments.get_mut(&id).expect("a lease is to a living one");
        assert!(matches!(environment.state, State::Free), "seed {seed}: {:?}", environment.state);
        assert_eq!(environment.book, shelf, "seed {seed}: of another version");
        environment.state = State::Busy(job);
        environment.epoch += 1;
        let epoch = environment.epoch;
        let slow = self.chance.happens(self.day.slow);
        let takes = if slow { 0..5 * SECOND } else { self.day.runs.clone() };
        match self.chance.within(0..100) {
            n if n < trouble / 4 => self.after(takes, Happening::Down(id, "crashed")),
            n if n < trouble / 2 => self.after(0..MS, Happening::HandBack(id, epoch)),
            _ => self.after(takes, Happening::Answer(id, epoch)),
        }
    }

    fn answer(&mut self, id: &EnvironmentId) {
        let environment = self.environments.get_mut(id).expect("it was looked for");
        let (shelf, epoch) = (environment.book, environment.epoch);
        if let State::Busy(job) = std::mem::replace(&mut environment.state, State::Settling) {
            self.tell(job, Fate::Answered);
        }
        self.shelves[shelf].book.answered(id, self.now);
        self.after(0..30 * MS, Happening::Free(id.clone(), epoch));
        self.settle(shelf);
    }

    fn free(&mut self, id: &EnvironmentId) {
        let environment = self.environments.get_mut(id).expect("it was looked for");
        let shelf = environment.book;
        if let Some(cause) = environment.stopping {
            return self.end(id, cause);
        }
        environment.state = State::Free;
        if let Some(order) = self.shelves[shelf].book.ready(id, self.now) {
            self.obey(shelf, order);
        }
        self.settle(shelf);
    }

    fn hand_back(&mut self, id: &EnvironmentId) {
        let environment = self.environments.get_mut(id).expect("it was looked for");
        let shelf = environment.book;
        environment.epoch += 1;
        if let State::Busy(job) = std::mem::replace(&mut environment.state, State::Settling) {
            self.shelves[shelf].line.push_front(job.caller);
            self.shelves[shelf].book.handed_back(job, self.now);
        }
        self.after(0..MS, Happening::Down(id.clone(), "crashed"));
        self.settle(shelf);
    }

    fn stop(&mut self, id: &EnvironmentId, cause: Cause) {
        self.trace.push(format!("{} {id} stops: {cause:?}", self.now));
        let Some(environment) = self.environments.get_mut(id) else { return };
        environment.stopping = Some(cause);
        if cause == Cause::Evicted {
            self.evicted += 1;
            let seed = self.seed;
            assert!(!environment.is_kept, "seed {seed}: one that is kept was evicted");
            assert!(!matches!(environment.state, State::Busy(_)), "seed {seed}: it runs");
            // It was free, or is since a moment.
            environment.epoch += 1;
            let id = id.clone();
            return self.after(0..5 * MS, Happening::Down(id, word(cause)));
        }
        if !matches!(environment.state, State::Busy(_) | State::Settling) {
            environment.epoch += 1;
            self.after(0..5 * MS, Happening::Down(id.clone(), word(cause)));
        }
    }

    fn end(&mut self, id: &EnvironmentId, cause: Cause) {
        let Some(environment) = self.environments.remove(id) else { return };
        let shelf = environment.book;
        if let State::Busy(job) = environment.state {
            self.tell(job, Fate::Crashed);
        }
        self.shelves[shelf].book.dead(id, cause, self.now);
        self.settle(shelf);
    }

    /// Another claim of a function, or another generation of one of its versions.
    fn change(&mut self) {
        let function = self.chance.index(self.day.functions);
        if self.chance.happens(30) {
            let number = self.chance.within(0..2);
            let old = self.current[&(function, number)];
            self.open(function, number);
            self.shelves[old].book.retire(Cause::Update);
            return self.settle(old);
        }
        let reserved = [None, Some(0), Some(2), Some(8)][self.chance.index(4)];
        let most = reserved.unwrap_or(4);
        let provisioned = u32::try_from(self.chance.within(0..5)).unwrap_or(0).min(most);
        let ready = [(Version::Number(1), provisioned)].into_iter().filter(|(_, n)| *n > 0);
        let claim = Claim { reserved, provisioned: ready.collect() };
        self.trace.push(format!("{} f{function} claims {claim:?}", self.now));
        self.counts = self.counts.with(&key(function), claim);
        self.provide(function, provisioned);
    }

    /// What holds after each step: every place that is taken is one of a job that waits or runs, and who
    /// waits has somebody to wait for.
    fn check(&self) {
        let running = self.environments.values().filter(|it| matches!(it.state, State::Busy(_)));
        let waiting: usize = self.shelves.iter().map(|shelf| shelf.line.len()).sum();
        let taken = usize::try_from(self.taken()).unwrap();
        assert_eq!(taken, running.count() + waiting, "seed {} at {}", self.seed, self.now);
        for (at, shelf) in self.shelves.iter().enumerate() {
            let alive = self.environments.values().filter(|it| it.book == at).count();
            let seed = self.seed;
            let waits = self.capacity.look().waiting > 0;
            let line = &shelf.line;
            assert!(
                line.is_empty() || alive > 0 || waits,
                "seed {seed}: {shelf:?} waits for nothing"
            );
            // The longest wait for room, and then an Init and a run that take their time.
            let longest = limits::ROOM_WAIT_MS * MS + 30 * SECOND;
            let oldest = line.front().map(|caller| self.callers[*caller].came);
            let waited = oldest.map_or(0, |came| self.now - came);
            assert!(waited <= longest, "seed {seed}: a caller of {at} has waited for {waited}");
        }
    }
}
