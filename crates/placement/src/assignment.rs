//! The owner task of one function version: its environments and the callers who wait for one.

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
use dormouse_worker::metrics::Meter;
use dormouse_worker::{ColdReason, EnvironmentHandle, Fact, Job, Worker};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::pool::{Decision, Pool};
use crate::provision::Provision;

/// What the owner is asked.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run this.
    Invoke(Job),
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
}

impl Assignment {
    /// Runs until retired and empty.
    pub(crate) async fn run(self, inbox: mpsc::Receiver<Request>) {
        let (facts_sender, facts) = mpsc::channel(limits::OWNER_QUEUE);
        let reason = self.first;
        let owner = Owner {
            assignment: self,
            pool: Pool::new(limits::WAITERS),
            provision: Provision::default(),
            handles: HashMap::new(),
            tasks: JoinSet::new(),
            facts: facts_sender,
            reason,
            retired: None,
            killed: false,
            served: false,
        };
        owner.run(inbox, facts).await;
    }
}

/// What callers hear whose invocation can neither wait nor run.
const SHUTTING_DOWN: &str = "The server is shutting down";

struct Owner {
    assignment: Assignment,
    pool: Pool<Job>,
    provision: Provision,
    handles: HashMap<EnvironmentId, EnvironmentHandle>,
    tasks: JoinSet<()>,
    facts: mpsc::Sender<Fact>,
    /// Why the next environment would have to be made, if none is alive.
    reason: ColdReason,
    retired: Option<Cause>,
    /// Nothing may be started any more.
    killed: bool,
    /// Somebody has called.
    served: bool,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>, mut facts: mpsc::Receiver<Fact>) {
        let mut open = true;
        loop {
            let is_over = self.retired.is_some() || (self.assignment.passing && self.served);
            if is_over && self.pool.is_empty() {
                // What is still queued came before the end and runs here.
                inbox.close();
                if inbox.is_empty() {
                    break;
                }
            }
            let expiry = self.until_idle_expiry();
            let again = self.until_something_is_short();
            tokio::select! {
                biased;
                Some(fact) = facts.recv() => self.fact(fact),
                request = inbox.recv(), if open => match request {
                    Some(request) => self.request(request),
                    None => {
                        open = false;
                        self.retire(Cause::Shutdown);
                    }
                },
                Some(_) = self.tasks.join_next() => {}
                () = tokio::time::sleep(expiry.unwrap_or_default()), if expiry.is_some() => self.expire(),
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
            }
            self.start_what_is_short();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Invoke(job) if self.killed => fail(job, SHUTTING_DOWN),
            Request::Invoke(job) => {
                self.served = true;
                let decision = self.pool.arrive(job);
                self.decide(decision);
            }
            // One that retires has nothing to keep ready.
            Request::Provide(..) if self.retired.is_some() => {}
            Request::Provide(places, begun) => {
                self.provide(places, Cause::Released);
                let _ = begun.send(());
            }
            Request::Retire(cause) => self.retire(cause),
            Request::Kill(cause) => {
                self.retired = Some(cause);
                self.killed = true;
                for handle in self.handles.values() {
                    handle.kill(cause);
                }
                while let Some(job) = self.pool.give_up_one() {
                    fail(job, SHUTTING_DOWN);
                }
            }
        }
    }

    /// Keeps so many environments ready; those that are too many end for `cause`.
    fn provide(&mut self, places: u32, cause: Cause) {
        self.provision.want(places);
        let pool = &self.pool;
        for id in self.provision.take_surplus(|id| pool.is_kept_free(id)) {
            self.pool.released(&id);
            self.stop(&id, cause);
        }
        self.tell_allocation();
    }

    fn tell_allocation(&self) {
        self.assignment.allocation.send_replace(self.provision.allocation());
    }

    fn retire(&mut self, cause: Cause) {
        self.retired = Some(cause);
        self.provide(0, cause);
        for id in self.pool.expire(u64::MAX) {
            self.stop(&id, cause);
        }
    }

    fn fact(&mut self, fact: Fact) {
        match fact {
            Fact::Ready(id) => self.ready(&id),
            Fact::Answered(id) => {
                let until = self.assignment.clock.now() + limits::SETTLE_MS * 1_000;
                self.pool.answered(&id, until);
            }
            Fact::HandBack(_, job) if self.killed => fail(job, SHUTTING_DOWN),
            Fact::HandBack(_, job) => self.pool.handed_back(job),
            Fact::Dead(id, cause) => self.dead(&id, cause),
        }
    }

    fn ready(&mut self, id: &EnvironmentId) {
        let now = self.assignment.clock.now();
        if self.provision.is_ready(id, now) {
            self.tell_allocation();
        }
        match self.pool.ready(id, self.provision.owns(id), now) {
            Some(decision) => self.decide(decision),
            None => {
                if let Some(cause) = self.retired {
                    self.retire(cause);
                }
            }
        }
    }

    fn dead(&mut self, id: &EnvironmentId, cause: Cause) {
        let kept = self.provision.has_ended(id, cause, self.assignment.clock.now());
        if kept {
            self.tell_allocation();
        }
        self.pool.dead(id);
        self.handles.remove(id);
        self.reason = match cause {
            Cause::Idle | Cause::Evicted | Cause::Released => ColdReason::IdleExpiry,
            Cause::Recycled => ColdReason::Recycled,
            Cause::Update | Cause::Shutdown => ColdReason::Update,
            Cause::ProvisionFailed
            | Cause::InitFailed
            | Cause::Crashed
            | Cause::UnclearEnd
            | Cause::SandboxLost => ColdReason::Failure,
        };
        // One caller pays for one failed attempt, or a machine that can make no sandbox would try
        // for ever. Nobody waits for one that is to be kept ready.
        if cause == Cause::ProvisionFailed
            && !kept
            && let Some(job) = self.pool.give_up_one()
        {
            self.meter().not_run(self.subject(&job), Outcome::Sandbox);
            fail(job, "The execution environment could not be made");
        }
    }

    fn decide(&mut self, decision: Decision<Job>) {
        match decision {
            Decision::Lease(id, job) => self.lease(&id, job),
            Decision::Start => {}
            // Dropping the job tells its caller.
            Decision::Refuse(job) => self.meter().throttled(self.subject(&job)),
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

    fn lease(&mut self, id: &EnvironmentId, job: Job) {
        let refused = match self.handles.get(id) {
            Some(handle) => handle.lease(job).err(),
            None => Some(job),
        };
        // It has died and its last fact is on the way.
        if let Some(job) = refused {
            self.pool.dead(id);
            self.pool.handed_back(job);
        }
    }

    fn start_what_is_short(&mut self) {
        while self.pool.is_short(self.assignment.clock.now()) {
            let reason = if self.pool.alive() == 0 { self.reason } else { ColdReason::ScaleOut };
            let id = self.start(reason, InitializationType::OnDemand);
            self.pool.started(id);
        }
        while self.provision.is_short(self.assignment.clock.now()) {
            let id =
                self.start(ColdReason::Provisioned, InitializationType::ProvisionedConcurrency);
            self.pool.preparing(id.clone());
            self.provision.started(id);
        }
    }

    fn start(&mut self, reason: ColdReason, initialization: InitializationType) -> EnvironmentId {
        let version = self.assignment.version.clone();
        let worker = &self.assignment.worker;
        let facts = self.facts.clone();
        let (handle, task) = worker.environment(version, reason, initialization, facts);
        let id = handle.id().clone();
        self.handles.insert(id.clone(), handle);
        self.tasks.spawn(task);
        id
    }

    fn expire(&mut self) {
        let idle = u64::try_from(self.assignment.idle.as_micros()).unwrap_or(u64::MAX);
        let since = self.assignment.clock.now().saturating_sub(idle);
        for id in self.pool.expire(since) {
            self.stop(&id, Cause::Idle);
        }
    }

    fn stop(&self, id: &EnvironmentId, cause: Cause) {
        if let Some(handle) = self.handles.get(id) {
            handle.stop(cause);
        }
    }

    /// How long callers still wait for an environment that was about to be free, or until another
    /// attempt at one that is to be ready.
    fn until_something_is_short(&self) -> Option<Duration> {
        let now = self.assignment.clock.now();
        let moments = [self.pool.patience_ends(now), self.provision.next_attempt(now)];
        let until = moments.into_iter().flatten().min()?;
        Some(Duration::from_micros(until - now))
    }

    /// How long until the longest idle environment has been idle for too long.
    fn until_idle_expiry(&self) -> Option<Duration> {
        let since = self.pool.idle_since()?;
        let idle_for = Duration::from_micros(self.assignment.clock.now().saturating_sub(since));
        Some(self.assignment.idle.saturating_sub(idle_for))
    }
}

fn fail(mut job: Job, message: &str) {
    let payload = ErrorPayload {
        error_type: "Sandbox.Failure".to_owned(),
        error_message: format!("RequestId: {} Error: {message}", job.invocation.request),
    };
    let error = Some(ErrorOf::Platform);
    let answer = Answer { payload: payload.to_json().into(), error, log_tail: None };
    job.reply.give(answer);
}
