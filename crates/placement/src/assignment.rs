//! The owner task of one function version: it does what the version's book says, which decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::clock::Clock;
use dormouse_model::concurrency::Allocation;
use dormouse_model::environment::{Cause, InitializationType};
use dormouse_model::function::ResolvedVersion;
use dormouse_model::invocation::{Answer, ErrorOf, ErrorPayload};
use dormouse_model::limits;
use dormouse_model::metrics::{Outcome, Subject};
use dormouse_model::names::EnvironmentId;
use dormouse_worker::capacity::Place;
use dormouse_worker::metrics::Meter;
use dormouse_worker::{ColdReason, EnvironmentHandle, Fact, Job, Refusal, Worker};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::book::{Book, Failure, Order, Terms};
use crate::bucket::Bucket;
use crate::donor::Donor;

/// What the owner is asked.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run this.
    Invoke(Box<Job>),
    /// Keep so many environments ready; answered when that is begun.
    Provide(u32, oneshot::Sender<()>),
    /// End every environment when it has nothing to do, then end.
    Retire(Cause),
    /// End every environment now, then end.
    Kill(Cause),
}

/// What an owner is started with.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) worker: Worker,
    pub(crate) version: Arc<ResolvedVersion>,
    pub(crate) clock: Clock,
    pub(crate) idle: Duration,
    /// Why the first environment has to be made.
    pub(crate) first: ColdReason,
    /// Whether it ends by itself when its last environment has: there are as many tenants as callers
    /// think of.
    pub(crate) passing: bool,
    /// Tells how far the environments have come that are to be ready.
    pub(crate) allocation: watch::Sender<Allocation>,
    /// How fast its function may grow, if there is a limit.
    pub(crate) scaling: Option<Bucket>,
}

impl Assignment {
    /// Runs until retired and empty.
    pub(crate) async fn run(self, inbox: mpsc::Receiver<Request>) {
        let (facts_sender, facts) = mpsc::channel(limits::OWNER_QUEUE);
        let memory_mb = self.version.deployment.configuration.memory_mb;
        let book = Book::new(Terms {
            waiters: limits::WAITERS,
            idle: u64::try_from(self.idle.as_micros()).unwrap_or(u64::MAX),
            first: self.first,
            awaited: if self.version.is_snap_start() {
                InitializationType::SnapStart
            } else {
                InitializationType::OnDemand
            },
            passing: self.passing,
            scaling: self.scaling.clone(),
            room: self.worker.capacity().join(self.version.key.clone(), memory_mb),
        });
        let owner = Owner {
            assignment: self,
            book,
            handles: HashMap::new(),
            tasks: JoinSet::new(),
            donors: Some(watch::channel(()).0),
            facts: facts_sender,
            told: Allocation::default(),
        };
        owner.run(inbox, facts).await;
    }
}

/// Does what the book orders.
struct Owner {
    assignment: Assignment,
    book: Book<Box<Job>>,
    handles: HashMap<EnvironmentId, EnvironmentHandle>,
    tasks: JoinSet<()>,
    /// Held for those who make snapshots, until the version retires: they end when it is dropped.
    donors: Option<watch::Sender<()>>,
    facts: mpsc::Sender<Fact>,
    /// What was told last of the environments that are to be ready.
    told: Allocation,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>, mut facts: mpsc::Receiver<Fact>) {
        let mut open = true;
        loop {
            if self.book.is_over() {
                // What is still queued came before the end and runs here.
                inbox.close();
                if inbox.is_empty() {
                    break;
                }
            }
            let wait = self.until_next_moment();
            tokio::select! {
                biased;
                Some(fact) = facts.recv() => self.fact(fact),
                request = inbox.recv(), if open => match request {
                    Some(request) => self.request(request),
                    None => {
                        open = false;
                        self.book.retire(Cause::Shutdown);
                    }
                },
                Some(_) = self.tasks.join_next() => {}
                () = self.book.rings() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            self.do_what_is_ordered();
        }
        self.donors = None;
        while self.tasks.join_next().await.is_some() {}
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Invoke(job) => {
                if let Some(order) = self.book.arrive(job, self.assignment.clock.now()) {
                    self.obey(order);
                }
            }
            Request::Provide(places, begun) => {
                if self.book.provide(places) {
                    self.tell_allocation();
                    let _ = begun.send(());
                }
            }
            Request::Retire(cause) => {
                self.donors = None;
                self.book.retire(cause);
            }
            Request::Kill(cause) => {
                self.donors = None;
                self.book.kill(cause);
            }
        }
    }

    fn fact(&mut self, fact: Fact) {
        let now = self.assignment.clock.now();
        match fact {
            Fact::Ready(id) => {
                if let Some(order) = self.book.ready(&id, now) {
                    self.obey(order);
                }
            }
            Fact::Answered(id) => self.book.answered(&id, now),
            Fact::HandBack(_, job) => self.book.handed_back(job, now),
            Fact::Dead(id, cause) => {
                self.handles.remove(&id);
                self.book.dead(&id, cause, now);
            }
        }
    }

    fn do_what_is_ordered(&mut self) {
        while let Some(order) = self.book.next(self.assignment.clock.now()) {
            self.obey(order);
        }
        self.tell_allocation();
    }

    fn obey(&mut self, order: Order<Box<Job>>) {
        match order {
            Order::Lease(id, job) => self.lease(&id, job),
            Order::Start(reason, initialization, place) => {
                self.start(reason, initialization, place);
            }
            Order::Stop(id, cause) => {
                if let Some(handle) = self.handles.get(&id) {
                    handle.stop(cause);
                }
            }
            Order::KillAll(cause) => self.handles.values().for_each(|handle| handle.kill(cause)),
            Order::Refuse(job, refusal) => {
                match refusal {
                    Refusal::NoRoom => self.meter().not_run(self.subject(&job), Outcome::Sandbox),
                    Refusal::LineFull | Refusal::Scaling => {
                        self.meter().throttled(self.subject(&job));
                    }
                }
                job.reply.refuse(refusal);
            }
            Order::Fail(job, failure) => self.fail(job, failure),
        }
    }

    fn lease(&mut self, id: &EnvironmentId, job: Box<Job>) {
        let refused = match self.handles.get(id) {
            Some(handle) => handle.lease(job).err(),
            None => Some(job),
        };
        if let Some(job) = refused {
            self.book.not_leased(id, job, self.assignment.clock.now());
        }
    }

    fn start(&mut self, reason: ColdReason, initialization: InitializationType, place: Place) {
        let version = self.assignment.version.clone();
        let worker = &self.assignment.worker;
        let facts = self.facts.clone();
        let (handle, task) = worker.environment(version, reason, initialization, facts);
        self.book.started(handle.id().clone(), initialization, place);
        self.handles.insert(handle.id().clone(), handle);
        self.tasks.spawn(task);
        if initialization == InitializationType::SnapStart {
            self.renew_snapshot();
        }
    }

    /// Has a snapshot made where there is none of use: of another boot or interpreter, or it has proved
    /// unusable. Callers do not wait for it.
    fn renew_snapshot(&mut self) {
        let worker = &self.assignment.worker;
        let wanted = worker.wants_snapshot(&self.assignment.version);
        let Some(donors) = self.donors.as_ref().filter(|_| wanted) else { return };
        let donor = Donor {
            worker: worker.clone(),
            version: self.assignment.version.clone(),
            clock: self.assignment.clock.clone(),
            stop: donors.subscribe(),
        };
        self.tasks.spawn(async move {
            // Kept to the end: who makes it looks whether somebody waits.
            let (reply, _donated) = oneshot::channel();
            donor.run(reply).await;
        });
    }

    fn fail(&self, mut job: Box<Job>, failure: Failure) {
        let message = match failure {
            Failure::ShuttingDown => "The server is shutting down",
            Failure::NoSandbox => {
                self.meter().not_run(self.subject(&job), Outcome::Sandbox);
                "The execution environment could not be made"
            }
        };
        let payload = ErrorPayload {
            error_type: "Sandbox.Failure".to_owned(),
            error_message: format!("RequestId: {} Error: {message}", job.invocation.request),
        };
        let error = Some(ErrorOf::Platform);
        job.reply.give(Answer { payload: payload.to_json().into(), error, log_tail: None });
    }

    fn tell_allocation(&mut self) {
        let allocation = self.book.allocation();
        if allocation != self.told {
            self.told = allocation;
            self.assignment.allocation.send_replace(allocation);
        }
    }

    fn meter(&self) -> Meter {
        self.assignment.worker.meter()
    }

    /// What a job that does not run is told of as.
    fn subject(&self, job: &Job) -> Arc<Subject> {
        let version = &self.assignment.version;
        let arn = &job.invocation.invoked_arn;
        Arc::new(Subject::of_arn(&version.key, version.version, arn))
    }

    /// How long until there is something to do although nothing happens.
    fn until_next_moment(&self) -> Option<Duration> {
        let now = self.assignment.clock.now();
        let moment = self.book.next_moment(now)?;
        Some(Duration::from_micros(moment.saturating_sub(now)))
    }
}
