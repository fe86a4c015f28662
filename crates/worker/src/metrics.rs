//! What environments tell of invocations, on its way to metrics: off every caller's path.
//!
//! A fact is handed over without waiting, without the disk and without a copy: it shares its
//! [`Subject`]. One task gathers facts for a moment, so that most are handed over without waking
//! anybody, and writes what they come to every `FLUSH`. When it is behind, facts are dropped and
//! counted; an invocation never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_model::clock::Clock;
use dormouse_model::concurrency::{Claim, Seat};
use dormouse_model::environment::Report;
use dormouse_model::limits;
use dormouse_model::metrics::{Board, Fact, LambdaMetric, Outcome, Ran, Subject, Totals};
use dormouse_model::names::FunctionKey;
use dormouse_store::metrics::Metrics;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// How long facts are gathered once there is one (ours): nobody looks sooner, and until then the next
/// ones wake nobody.
const GATHER: Duration = Duration::from_millis(50);
/// How long what was gathered stays in memory only (ours): what a kill takes at most.
const FLUSH: Duration = Duration::from_secs(5);

/// What is asked of the owner, besides facts.
#[derive(Debug)]
enum Request {
    /// Everything up to now shall be in the store.
    Settle(oneshot::Sender<()>),
    /// What happened since the beginning.
    Look(oneshot::Sender<Seen>),
    /// A function keeps places for itself.
    Claim { function: FunctionKey, claim: Claim },
}

/// What happened since the process began.
#[derive(Debug, Default)]
pub struct Seen {
    /// By subject; `None` stands for those past [`limits::METRIC_SUBJECTS`].
    pub totals: Vec<(Option<Arc<Subject>>, Totals)>,
    /// Facts that were dropped.
    pub lost: u64,
}

/// The handle. Cheap to clone: an invocation has its own.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    facts: mpsc::Sender<Fact>,
    requests: mpsc::Sender<Request>,
    clock: Clock,
    /// Told apart from the owner, which ends when the handles are gone.
    lost: Arc<AtomicU64>,
    runs: AtomicU64,
}

impl Meter {
    /// Starts the owner in `tasks`. It ends when every handle is gone and all is stored.
    #[must_use]
    pub fn start(store: Metrics, clock: Clock, tasks: &mut JoinSet<()>) -> Self {
        let (facts, told) = mpsc::channel(limits::METRIC_FACTS);
        let (requests, asked) = mpsc::channel(limits::OWNER_QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let owner = Owner {
            board: Board::default(),
            store,
            clock: clock.clone(),
            dropped: lost.clone(),
            lost: 0,
        };
        tasks.spawn(owner.run(told, asked));
        Self(Arc::new(Shared { facts, requests, clock, lost, runs: AtomicU64::new(0) }))
    }

    /// An invocation begins to run.
    pub(crate) fn begin(&self, subject: &Arc<Subject>, seat: Seat) -> Running {
        let (run, at_ms) = (self.next_run(), self.0.clock.wall_ms());
        self.tell(Fact::Began { run, subject: subject.clone(), seat, at_ms });
        let (meter, subject) = (self.clone(), subject.clone());
        Running { meter, run: Some(run), subject, at_ms, failed: false }
    }

    /// A request was refused for want of concurrency.
    pub fn throttled(&self, subject: Arc<Subject>) {
        self.tell(Fact::Throttled { subject, at_ms: self.0.clock.wall_ms() });
    }

    /// An invocation was answered with an error because nothing could be made to run it.
    pub fn not_run(&self, subject: Arc<Subject>, outcome: Outcome) {
        let at_ms = self.0.clock.wall_ms();
        let ran =
            Ran { at_ms, outcome, duration: None, init: None, restore: None, extensions: None };
        self.tell(Fact::Ended { run: self.next_run(), subject, ran });
    }

    /// A value of a metric that only the caller knows, such as the age of an event.
    pub fn note(&self, subject: Arc<Subject>, metric: LambdaMetric, value: f64) {
        self.tell(Fact::Noted { subject, metric, value, at_ms: self.0.clock.wall_ms() });
    }

    /// What a function claims of its account's concurrency.
    pub async fn claim(&self, function: FunctionKey, claim: Claim) {
        // The owner outlives every handle; at worst the process is ending.
        let _ = self.0.requests.send(Request::Claim { function, claim }).await;
    }

    /// Waits until all that was told is in the store.
    pub async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        if self.0.requests.send(Request::Settle(done)).await.is_ok() {
            let _ = settled.await;
        }
    }

    /// What happened since the process began.
    pub async fn look(&self) -> Seen {
        let (reply, seen) = oneshot::channel();
        if self.0.requests.send(Request::Look(reply)).await.is_err() {
            return Seen::default();
        }
        seen.await.unwrap_or_default()
    }

    fn tell(&self, fact: Fact) {
        if self.0.facts.try_send(fact).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn next_run(&self) -> u64 {
        self.0.runs.fetch_add(1, Ordering::Relaxed)
    }
}

/// An invocation that runs. When it is dropped without an end, it did not run here after all.
#[derive(Debug)]
pub(crate) struct Running {
    meter: Meter,
    run: Option<u64>,
    subject: Arc<Subject>,
    at_ms: u64,
    failed: bool,
}

impl Running {
    /// The function answers with an error.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// It is over.
    pub(crate) fn end(mut self, report: &Report) {
        let Some(run) = self.run.take() else { return };
        let outcome = match &report.failure {
            Some(failure) => Outcome::of_failure(failure),
            None if self.failed => Outcome::FunctionError,
            None => Outcome::Success,
        };
        let extensions = report.extension_overhead;
        let ran = Ran {
            at_ms: self.at_ms,
            outcome,
            duration: Some(report.duration),
            init: report.init_duration,
            restore: report.restored.map(|restored| restored.duration),
            extensions: extensions.map(|span| span.ended.saturating_sub(span.began)),
        };
        self.meter.tell(Fact::Ended { run, subject: self.subject.clone(), ran });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(run) = self.run {
            self.meter.tell(Fact::Left { run });
        }
    }
}

struct Owner {
    board: Board,
    store: Metrics,
    clock: Clock,
    dropped: Arc<AtomicU64>,
    /// Of the facts that were dropped, how many have been noticed.
    lost: u64,
}

impl Owner {
    async fn run(mut self, mut facts: mpsc::Receiver<Fact>, mut requests: mpsc::Receiver<Request>) {
        let mut flush = Instant::now();
        // While facts are gathered nobody waits for them, so telling one wakes nobody.
        let mut gathered: Option<Instant> = None;
        loop {
            let gathering = gathered.is_some();
            let restless = !self.board.is_idle();
            tokio::select! {
                biased;
                Some(request) = requests.recv() => {
                    self.take_all(&mut facts);
                    self.request(request).await;
                }
                fact = facts.recv(), if !gathering => match fact {
                    Some(fact) => {
                        self.board.take(fact);
                        gathered = Some(Instant::now() + GATHER);
                        if !restless {
                            flush = Instant::now() + FLUSH;
                        }
                    }
                    // Every handle is gone, and with it whoever could ask.
                    None => break,
                },
                () = sleep_until(gathered.unwrap_or(flush)), if gathering => {
                    self.take_all(&mut facts);
                    gathered = None;
                }
                () = sleep_until(flush), if restless => {
                    self.take_all(&mut facts);
                    self.flush().await;
                    flush = Instant::now() + FLUSH;
                }
            }
        }
        self.flush().await;
    }

    fn take_all(&mut self, facts: &mut mpsc::Receiver<Fact>) {
        while let Ok(fact) = facts.try_recv() {
            self.board.take(fact);
        }
        let lost = self.dropped.load(Ordering::Relaxed);
        if lost > self.lost {
            warn!(facts = lost - self.lost, "metrics are behind: facts were dropped");
            self.lost = lost;
            self.board.forget_running();
        }
    }

    async fn request(&mut self, request: Request) {
        match request {
            Request::Settle(done) => {
                self.flush().await;
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Request::Look(reply) => {
                let totals = self.board.totals();
                let totals =
                    totals.map(|(subject, totals)| (subject.cloned(), totals.clone())).collect();
                let _ = reply.send(Seen { totals, lost: self.lost });
            }
            Request::Claim { function, claim } => self.board.claim(function, claim),
        }
    }

    async fn flush(&mut self) {
        self.board.look(self.clock.wall_ms());
        let points = self.board.drain();
        if points.is_empty() {
            return;
        }
        if let Err(error) = self.store.add(points).await {
            warn!(%error, "metrics lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_model::environment::{Failure, InitializationType};
    use dormouse_model::metrics::{Metric, NAMESPACE, Period, Statistic};
    use dormouse_store::Store;
    use dormouse_store::metrics::ValuesQuery;

    use super::*;
    use crate::environment::tests::resolved;

    fn subject() -> Arc<Subject> {
        let version = resolved();
        Arc::new(Subject::of_arn(&version.key, version.version, &version.key.arn()))
    }

    fn clock() -> Clock {
        Clock::new(|| 0, || 120_000)
    }

    fn report(failure: Option<Failure>) -> Report {
        let initialization = InitializationType::OnDemand;
        Report {
            initialization,
            duration: 1_000,
            init_duration: None,
            restored: None,
            extension_overhead: None,
            failure,
        }
    }

    /// A statistic of one of the account's metrics in the only minute there is.
    async fn value(store: &Store, name: &str, statistic: Statistic) -> Option<f64> {
        let query = ValuesQuery {
            metric: Metric {
                scope: resolved().key.scope,
                namespace: NAMESPACE.into(),
                name: name.into(),
                dimensions: Default::default(),
            },
            between_s: 120..180,
            period: Period::of_s(60).unwrap(),
            unit: None,
        };
        let values = store.metrics().values(vec![query]).await.unwrap().remove(0);
        statistic.of(&values.into_values().flatten().next()?.summary)
    }

    #[tokio::test]
    async fn all_that_was_told_is_stored_when_the_last_handle_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut tasks = JoinSet::new();
        let meter = Meter::start(store.metrics(), clock(), &mut tasks);
        let subject = subject();
        let mut failing = meter.begin(&subject, Seat::Ordinary);
        failing.fail();
        failing.end(&report(None));
        meter.begin(&subject, Seat::Ordinary).end(&report(Some(Failure::Timeout)));
        meter.begin(&subject, Seat::Ordinary).end(&report(None));
        // One that is given back was none.
        drop(meter.begin(&subject, Seat::Ordinary));
        meter.throttled(subject);
        drop(meter);
        while tasks.join_next().await.is_some() {}
        assert_eq!(value(&store, "Invocations", Statistic::Sum).await, Some(3.0));
        assert_eq!(value(&store, "Errors", Statistic::Sum).await, Some(2.0));
        assert_eq!(value(&store, "Throttles", Statistic::Sum).await, Some(1.0));
        assert_eq!(value(&store, "ConcurrentExecutions", Statistic::Maximum).await, Some(1.0));
    }

    #[tokio::test]
    async fn nobody_waits_when_it_is_behind_and_the_loss_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut tasks = JoinSet::new();
        let meter = Meter::start(store.metrics(), clock(), &mut tasks);
        let subject = subject();
        // The owner does not run before this test first waits.
        let kept = meter.begin(&subject, Seat::Ordinary);
        for _ in 0..limits::METRIC_FACTS + 4 {
            meter.throttled(subject.clone());
        }
        kept.end(&report(None));
        meter.settle().await;
        assert_eq!(meter.look().await.lost, 6);
        let throttles = u32::try_from(limits::METRIC_FACTS).unwrap() - 1;
        assert_eq!(value(&store, "Throttles", Statistic::Sum).await, Some(f64::from(throttles)));
        // What was running is forgotten, not running for ever.
        let next = meter.begin(&subject, Seat::Ordinary);
        meter.settle().await;
        assert_eq!(value(&store, "ConcurrentExecutions", Statistic::Maximum).await, Some(1.0));
        drop(next);
    }

    #[tokio::test]
    async fn what_others_know_is_told_with_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut tasks = JoinSet::new();
        let meter = Meter::start(store.metrics(), clock(), &mut tasks);
        meter.note(subject(), LambdaMetric::AsyncEventAge, 250.0);
        meter.note(subject(), LambdaMetric::AsyncEventsReceived, 1.0);
        meter.settle().await;
        assert_eq!(value(&store, "AsyncEventAge", Statistic::Maximum).await, Some(250.0));
        assert_eq!(value(&store, "AsyncEventsReceived", Statistic::Sum).await, Some(1.0));
    }
}
