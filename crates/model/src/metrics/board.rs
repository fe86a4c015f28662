//! Where what happens to invocations becomes values of metrics.
//!
//! A board takes [`Fact`]s and gives [`Point`]s: what came since the last time, by minute. Facts may
//! have been lost on the way; then what runs is counted anew, and nothing runs for ever.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::lambda::{LambdaMetric, NAMESPACE, Outcome, Place, Start, Subject};
use super::totals::Totals;
use super::{Metric, Point, Summary, minute_s};
use crate::concurrency::{Claim, Seat};
use crate::environment::Micros;
use crate::limits;
use crate::names::{FunctionKey, Scope};

/// Something that happened. Times are in milliseconds since 1970.
#[derive(Debug, Clone)]
pub enum Fact {
    /// An invocation begins to run.
    Began {
        /// Told apart from all others by this.
        run: u64,
        /// Of what.
        subject: Arc<Subject>,
        /// In what kind of place.
        seat: Seat,
        /// When.
        at_ms: u64,
    },
    /// It is over.
    Ended {
        /// Which.
        run: u64,
        /// Of what.
        subject: Arc<Subject>,
        /// How it went.
        ran: Ran,
    },
    /// It does not run here after all.
    Left {
        /// Which.
        run: u64,
    },
    /// A request was refused for want of concurrency.
    Throttled {
        /// What was asked for.
        subject: Arc<Subject>,
        /// When.
        at_ms: u64,
    },
    /// A value that somebody else knows.
    Noted {
        /// Of what.
        subject: Arc<Subject>,
        /// Of which metric.
        metric: LambdaMetric,
        /// The value.
        value: f64,
        /// When.
        at_ms: u64,
    },
}

/// How an invocation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// When it began: CloudWatch tells all of it at that time.
    pub at_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took; not known of what never began.
    pub duration: Option<Micros>,
    /// How long the Init before it took, on the first invocation of an environment.
    pub init: Option<Micros>,
    /// How long the restore before it took, likewise.
    pub restore: Option<Micros>,
    /// How long extensions went on after the runtime.
    pub extensions: Option<Micros>,
}

impl Ran {
    /// What it found.
    #[must_use]
    pub fn start(&self) -> Start {
        match (self.init, self.restore) {
            (_, Some(_)) => Start::Restored,
            (Some(_), None) => Start::Cold,
            (None, None) => Start::Warm,
        }
    }
}

type Tally = BTreeMap<LambdaMetric, Summary>;

#[derive(Debug)]
struct Running {
    subject: Arc<Subject>,
    seat: Seat,
    /// Its function reserves nothing.
    unreserved: bool,
    /// It takes a place that no function claims.
    unclaimed: bool,
}

/// What runs at once in an account.
#[derive(Debug, Default)]
struct AtOnce {
    unreserved: u32,
    unclaimed: u32,
}

/// Gathers facts.
#[derive(Debug, Default)]
pub struct Board {
    /// What each subject did in each minute.
    tallies: HashMap<(u64, Arc<Subject>), Tally>,
    /// How much ran at once in each minute.
    gauged: HashMap<(u64, LambdaMetric, Arc<Place>), Summary>,
    running: HashMap<u64, Running>,
    at_once: HashMap<Arc<Place>, u32>,
    accounts: HashMap<Arc<Place>, AtOnce>,
    claims: HashMap<FunctionKey, Claim>,
    /// All claims of an account.
    claimed: HashMap<Scope, u32>,
    /// The last minute in which everything that ran was looked at.
    looked_s: u64,
    totals: HashMap<Arc<Subject>, Totals>,
    others: Totals,
}

impl Board {
    /// Takes a fact.
    pub fn take(&mut self, fact: Fact) {
        match &fact {
            Fact::Began { run, subject, seat, at_ms } => {
                return self.began(*run, (subject, *seat), *at_ms);
            }
            Fact::Left { run } => {
                self.left(*run);
                return;
            }
            Fact::Ended { run, subject, ran } => {
                let seat = self.left(*run);
                let tally = self.tally(subject, ran.at_ms);
                tell_seat(tally, seat);
                tell(tally, LambdaMetric::Invocations, 1.0);
                tell(tally, LambdaMetric::Errors, f64::from(u8::from(ran.outcome.is_error())));
                tell(tally, LambdaMetric::Throttles, 0.0);
                if let Some(duration) = ran.duration {
                    tell(tally, LambdaMetric::Duration, milliseconds(duration));
                }
                if let Some(extensions) = ran.extensions {
                    let metric = LambdaMetric::PostRuntimeExtensionsDuration;
                    tell(tally, metric, milliseconds(extensions));
                }
            }
            Fact::Throttled { subject, at_ms } => {
                tell(self.tally(subject, *at_ms), LambdaMetric::Throttles, 1.0);
            }
            Fact::Noted { subject, metric, value, at_ms } => {
                tell(self.tally(subject, *at_ms), *metric, *value);
            }
        }
        self.total(&fact);
    }

    /// What a function claims of its account's concurrency.
    pub fn claim(&mut self, function: FunctionKey, claim: Claim) {
        let before = self.claims.remove(&function).map_or(0, |claim| claim.total());
        let claimed = self.claimed.entry(function.scope.clone()).or_default();
        *claimed = *claimed - before + claim.total();
        if claim != Claim::default() {
            self.claims.insert(function, claim);
        }
    }

    /// Facts were lost: what runs is not known any more.
    pub fn forget_running(&mut self) {
        self.running.clear();
        self.at_once.clear();
        self.accounts.clear();
    }

    /// Whether something runs or waits to be given out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.tallies.is_empty() && self.gauged.is_empty()
    }

    /// How much runs at once is also told of minutes in which nothing begins.
    pub fn look(&mut self, now_ms: u64) {
        let minute = minute_s(now_ms);
        if minute == self.looked_s {
            return;
        }
        self.looked_s = minute;
        let at_once: Vec<_> = self.at_once.iter().map(|(place, n)| (place.clone(), *n)).collect();
        for (place, count) in at_once {
            if place.dimensions.is_empty() {
                self.gauge_account(minute, &place);
            }
            self.gauge(minute, LambdaMetric::ConcurrentExecutions, &place, count);
        }
    }

    /// Everything that was not given out yet.
    pub fn drain(&mut self) -> Vec<Point> {
        let mut summed: BTreeMap<(u64, LambdaMetric, Arc<Place>), Summary> = BTreeMap::new();
        let mut sum = |key, summary: Summary| {
            summed.entry(key).and_modify(|known| known.merge(&summary)).or_insert(summary);
        };
        for ((minute, subject), tally) in self.tallies.drain() {
            for (metric, summary) in tally {
                for place in subject.places() {
                    sum((minute, metric, place.clone()), summary.clone());
                }
            }
        }
        for (key, summary) in self.gauged.drain() {
            sum(key, summary);
        }
        let points = summed.into_iter().map(|((at_s, metric, place), summary)| Point {
            metric: Metric {
                scope: place.scope.clone(),
                namespace: NAMESPACE.to_owned(),
                name: metric.name().to_owned(),
                dimensions: place.dimensions.clone(),
            },
            at_s,
            unit: metric.unit(),
            summary,
        });
        points.collect()
    }

    /// What happened since the beginning to each subject, and under `None` to those past
    /// [`limits::METRIC_SUBJECTS`].
    pub fn totals(&self) -> impl Iterator<Item = (Option<&Arc<Subject>>, &Totals)> {
        let known = self.totals.iter().map(|(subject, totals)| (Some(subject), totals));
        let others = (self.others != Totals::default()).then_some((None, &self.others));
        known.chain(others)
    }

    fn total(&mut self, fact: &Fact) {
        let (Fact::Ended { subject, .. }
        | Fact::Throttled { subject, .. }
        | Fact::Noted { subject, .. }) = fact
        else {
            return;
        };
        let full = self.totals.len() >= limits::METRIC_SUBJECTS;
        let totals = match self.totals.get_mut(subject) {
            Some(known) => known,
            None if full => &mut self.others,
            None => self.totals.entry(subject.clone()).or_default(),
        };
        totals.take(fact);
    }

    fn tally(&mut self, subject: &Arc<Subject>, at_ms: u64) -> &mut Tally {
        self.tallies.entry((minute_s(at_ms), subject.clone())).or_default()
    }

    fn began(&mut self, run: u64, (subject, seat): (&Arc<Subject>, Seat), at_ms: u64) {
        let minute = minute_s(at_ms);
        let reserved = self.claims.get(&subject.function).and_then(|claim| claim.reserved);
        let unreserved = reserved.is_none();
        let unclaimed = unreserved && !matches!(seat, Seat::Provisioned { .. });
        let account = self.accounts.entry(subject.account().clone()).or_default();
        account.unreserved += u32::from(unreserved);
        account.unclaimed += u32::from(unclaimed);
        for place in subject.places() {
            let count = self.at_once.entry(place.clone()).or_default();
            *count += 1;
            let count = *count;
            self.gauge(minute, LambdaMetric::ConcurrentExecutions, place, count);
        }
        self.gauge_account(minute, subject.account());
        let running = Running { subject: subject.clone(), seat, unreserved, unclaimed };
        self.running.insert(run, running);
    }

    /// In what kind of place it was, if that is known.
    fn left(&mut self, run: u64) -> Option<Seat> {
        let Running { subject, seat, unreserved, unclaimed } = self.running.remove(&run)?;
        for place in subject.places() {
            if let Some(count) = self.at_once.get_mut(place) {
                *count -= 1;
                if *count == 0 {
                    self.at_once.remove(place);
                }
            }
        }
        if let Some(account) = self.accounts.get_mut(subject.account()) {
            account.unreserved -= u32::from(unreserved);
            account.unclaimed -= u32::from(unclaimed);
        }
        Some(seat)
    }

    fn gauge_account(&mut self, minute: u64, account: &Arc<Place>) {
        let at_once = self.accounts.get(account);
        let (unreserved, unclaimed) =
            at_once.map_or((0, 0), |at_once| (at_once.unreserved, at_once.unclaimed));
        let claimed = self.claimed.get(&account.scope).copied().unwrap_or(0);
        let metric = LambdaMetric::UnreservedConcurrentExecutions;
        self.gauge(minute, metric, account, unreserved);
        let metric = LambdaMetric::ClaimedAccountConcurrency;
        self.gauge(minute, metric, account, unclaimed + claimed);
    }

    fn gauge(&mut self, minute: u64, metric: LambdaMetric, place: &Arc<Place>, count: u32) {
        let value = f64::from(count);
        self.gauged
            .entry((minute, metric, place.clone()))
            .and_modify(|summary| summary.add(value))
            .or_insert_with(|| Summary::of(value));
    }
}

/// What is told of provisioned concurrency: each value is that of the moment at which one more was taken,
/// so that the greatest of a minute is true.
fn tell_seat(tally: &mut Tally, seat: Option<Seat>) {
    match seat {
        None | Some(Seat::Ordinary) => {}
        Some(Seat::Spilled) => {
            tell(tally, LambdaMetric::ProvisionedConcurrencySpilloverInvocations, 1.0);
        }
        Some(Seat::Provisioned { taken, places }) => {
            tell(tally, LambdaMetric::ProvisionedConcurrencyInvocations, 1.0);
            tell(tally, LambdaMetric::ProvisionedConcurrentExecutions, f64::from(taken));
            let share = f64::from(taken) / f64::from(places.max(1));
            tell(tally, LambdaMetric::ProvisionedConcurrencyUtilization, share);
        }
    }
}

fn tell(tally: &mut Tally, metric: LambdaMetric, value: f64) {
    tally
        .entry(metric)
        .and_modify(|summary| summary.add(value))
        .or_insert_with(|| Summary::of(value));
}

fn milliseconds(micros: Micros) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lambda::tests::subject;
    use super::*;
    use crate::names::Version;

    fn ran(at_ms: u64, outcome: Outcome) -> Ran {
        Ran { at_ms, outcome, duration: Some(1_500), init: None, restore: None, extensions: None }
    }

    fn shown(points: &[Point]) -> String {
        let lines = points.iter().map(|point| {
            let Summary { samples, sum, maximum, .. } = &point.summary;
            let dimensions: Vec<&str> =
                point.metric.dimensions.values().map(String::as_str).collect();
            format!(
                "{} {}[{}] {samples} {sum} {maximum} {}\n",
                point.at_s,
                point.metric.name,
                dimensions.join(","),
                point.unit.as_str()
            )
        });
        lines.collect()
    }

    #[test]
    fn an_invocation_is_told_in_the_minute_in_which_it_began() {
        let mut board = Board::default();
        let f = subject("f:1", Version::Number(1));
        board.take(Fact::Began {
            run: 1,
            subject: f.clone(),
            seat: Seat::Ordinary,
            at_ms: 119_999,
        });
        board.take(Fact::Ended { run: 1, subject: f, ran: ran(119_999, Outcome::Timeout) });
        let expected = "\
            60 Invocations[] 1 1 1 Count\n\
            60 Invocations[f] 1 1 1 Count\n\
            60 Invocations[f,f:1] 1 1 1 Count\n\
            60 Errors[] 1 1 1 Count\n\
            60 Errors[f] 1 1 1 Count\n\
            60 Errors[f,f:1] 1 1 1 Count\n\
            60 Throttles[] 1 0 0 Count\n\
            60 Throttles[f] 1 0 0 Count\n\
            60 Throttles[f,f:1] 1 0 0 Count\n\
            60 Duration[] 1 1.5 1.5 Milliseconds\n\
            60 Duration[f] 1 1.5 1.5 Milliseconds\n\
            60 Duration[f,f:1] 1 1.5 1.5 Milliseconds\n\
            60 ConcurrentExecutions[] 1 1 1 Count\n\
            60 ConcurrentExecutions[f] 1 1 1 Count\n\
            60 ConcurrentExecutions[f,f:1] 1 1 1 Count\n\
            60 UnreservedConcurrentExecutions[] 1 1 1 Count\n\
            60 ClaimedAccountConcurrency[] 1 1 1 Count\n";
        assert_eq!(shown(&board.drain()), expected);
        assert!(board.is_idle());
        assert_eq!(board.drain(), []);
    }

    /// The greatest value of a metric of the account.
    fn greatest(points: &[Point], metric: LambdaMetric) -> Option<f64> {
        let of_account = |p: &&Point| p.metric.dimensions.is_empty();
        let named = |p: &&Point| p.metric.name == metric.name();
        points.iter().filter(of_account).find(named).map(|p| p.summary.maximum)
    }

    #[test]
    fn reserved_concurrency_is_claimed_but_not_unreserved() {
        let mut board = Board::default();
        let (f, g) = (subject("f", Version::Latest), subject("g", Version::Latest));
        board.claim(f.function.clone(), Claim { reserved: Some(10), ..Claim::default() });
        board.take(Fact::Began { run: 1, subject: f, seat: Seat::Ordinary, at_ms: 0 });
        board.take(Fact::Began { run: 2, subject: g, seat: Seat::Ordinary, at_ms: 0 });
        let points = board.drain();
        assert_eq!(greatest(&points, LambdaMetric::ConcurrentExecutions), Some(2.0));
        assert_eq!(greatest(&points, LambdaMetric::UnreservedConcurrentExecutions), Some(1.0));
        assert_eq!(greatest(&points, LambdaMetric::ClaimedAccountConcurrency), Some(11.0));
        // Nothing begins in the next minute, and both run on.
        board.look(60_000);
        assert_eq!(greatest(&board.drain(), LambdaMetric::ConcurrentExecutions), Some(2.0));
        board.look(60_001);
        assert_eq!(board.drain(), []);
        board.take(Fact::Left { run: 2 });
        board.look(120_000);
        assert_eq!(greatest(&board.drain(), LambdaMetric::ConcurrentExecutions), Some(1.0));
    }

    #[test]
    fn provisioned_concurrency_is_claimed_used_and_spilled_over() {
        let mut board = Board::default();
        let f = subject("f:1", Version::Number(1));
        let provisioned = [(Version::Number(1), 2)].into();
        board.claim(f.function.clone(), Claim { reserved: None, provisioned });
        let first = Seat::Provisioned { taken: 1, places: 2 };
        let second = Seat::Provisioned { taken: 2, places: 2 };
        for (run, seat) in (1..).zip([first, second, Seat::Spilled]) {
            board.take(Fact::Began { run, subject: f.clone(), seat, at_ms: 0 });
        }
        for run in 1..=3 {
            let ran = ran(0, Outcome::Success);
            board.take(Fact::Ended { run, subject: f.clone(), ran });
        }
        let points = board.drain();
        let of_account = |p: &&Point| p.metric.dimensions.is_empty();
        let told: String = [
            LambdaMetric::ProvisionedConcurrencyInvocations,
            LambdaMetric::ProvisionedConcurrencySpilloverInvocations,
            LambdaMetric::ProvisionedConcurrentExecutions,
            LambdaMetric::ProvisionedConcurrencyUtilization,
            LambdaMetric::UnreservedConcurrentExecutions,
            LambdaMetric::ClaimedAccountConcurrency,
        ]
        .into_iter()
        .map(|metric| {
            let mut account = points.iter().filter(of_account);
            let point = account.find(|p| p.metric.name == metric.name()).unwrap();
            let Summary { sum, maximum, .. } = point.summary;
            format!("{} {sum} {maximum}\n", metric.name())
        })
        .collect();
        let expected = "\
            ProvisionedConcurrencyInvocations 2 1\n\
            ProvisionedConcurrencySpilloverInvocations 1 1\n\
            ProvisionedConcurrentExecutions 3 2\n\
            ProvisionedConcurrencyUtilization 1.5 1\n\
            UnreservedConcurrentExecutions 6 3\n\
            ClaimedAccountConcurrency 7 3\n";
        assert_eq!(told, expected);
    }

    #[test]
    fn what_runs_is_counted_anew_when_facts_were_lost() {
        let mut board = Board::default();
        let f = subject("f", Version::Latest);
        board.take(Fact::Began { run: 1, subject: f.clone(), seat: Seat::Ordinary, at_ms: 0 });
        board.forget_running();
        board.take(Fact::Ended { run: 1, subject: f.clone(), ran: ran(0, Outcome::Success) });
        board.drain();
        board.take(Fact::Began { run: 2, subject: f, seat: Seat::Ordinary, at_ms: 0 });
        assert_eq!(greatest(&board.drain(), LambdaMetric::ConcurrentExecutions), Some(1.0));
    }

    #[test]
    fn totals_grow_and_their_number_is_bounded() {
        let mut board = Board::default();
        for number in 0..limits::METRIC_SUBJECTS + 2 {
            let subject = subject(&format!("f{number}"), Version::Latest);
            board.take(Fact::Throttled { subject, at_ms: 0 });
        }
        board.drain();
        assert_eq!(board.totals().count(), limits::METRIC_SUBJECTS + 1);
        let others: Vec<u64> = board
            .totals()
            .filter(|(subject, _)| subject.is_none())
            .map(|(_, totals)| totals.throttles)
            .collect();
        assert_eq!(others, [2]);
    }

    proptest! {
        /// Whenever it is drained: the points add up to what was told.
        #[test]
        fn no_invocation_is_lost_or_counted_twice(
            steps in prop::collection::vec((0_u8..4, 0_usize..3, 0_u64..300_000), 0..200)
        ) {
            let subjects = ["f", "f:1", "g:live"].map(|name| subject(name, Version::Number(1)));
            let mut board = Board::default();
            let (mut points, mut invoked, mut throttled) = (Vec::new(), 0, 0);
            for (run, (step, which, at_ms)) in (0..).zip(steps) {
                let subject = subjects[which].clone();
                match step {
                    0 => points.extend(board.drain()),
                    1 => {
                        throttled += 1;
                        board.take(Fact::Throttled { subject, at_ms });
                    }
                    2 => board.take(Fact::Began { run, subject, seat: Seat::Ordinary, at_ms }),
                    _ => {
                        invoked += 1;
                        let ran = ran(at_ms, Outcome::Success);
                        board.take(Fact::Ended { run: run / 2, subject, ran });
                    }
                }
            }
            points.extend(board.drain());
            let sum = |metric: LambdaMetric| -> f64 {
                let account = points.iter().filter(|point| point.metric.dimensions.is_empty());
                account.filter(|p| p.metric.name == metric.name()).map(|p| p.summary.sum).sum()
            };
            prop_assert_eq!(sum(LambdaMetric::Invocations), f64::from(invoked));
            prop_assert_eq!(sum(LambdaMetric::Throttles), f64::from(throttled));
            for point in &points {
                prop_assert_eq!(point.at_s % 60, 0);
                prop_assert!(point.summary.minimum >= 0.0);
            }
        }
    }
}
