//! The book of one function version, as a plain value: its environments, who waits for one, what is to
//! be kept ready, and what follows from each thing that happens. No task, no clock, no channel: the
//! owner in `assignment` does what is ordered here, and the simulation in `sim` does the same without
//! any environment.
//!
//! What happens comes in by a method each. What is to be done comes back from it at once when it is on the
//! warm path, and else out of [`Book::next`], which is to be asked until it has nothing more.

use std::collections::{HashMap, VecDeque};

use dormouse_model::concurrency::Allocation;
use dormouse_model::environment::{Cause, InitializationType, Micros};
use dormouse_model::limits;
use dormouse_model::names::EnvironmentId;
use dormouse_worker::capacity::{Asked, Member, Place};
use dormouse_worker::{ColdReason, Refusal};

use crate::bucket::Bucket;
use crate::pool::{Decision, Pool};
use crate::provision::Provision;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Order<J> {
    /// Give the job to the environment, or tell [`Book::not_leased`].
    Lease(EnvironmentId, J),
    /// Start another environment and tell [`Book::started`] which; this is its memory.
    Start(ColdReason, InitializationType, Place),
    /// End the environment when nothing runs in it.
    Stop(EnvironmentId, Cause),
    /// End every environment now.
    KillAll(Cause),
    /// It will not run, and nothing has gone wrong.
    Refuse(J, Refusal),
    /// It will not run.
    Fail(J, Failure),
}

/// Why a job will not run although it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server is being stopped.
    ShuttingDown,
    /// Its environment could not be made.
    NoSandbox,
}

/// The terms of a book.
#[derive(Debug)]
pub(crate) struct Terms {
    /// How many callers may wait.
    pub(crate) waiters: usize,
    /// How long an idle environment is kept.
    pub(crate) idle: Micros,
    /// Why the first environment has to be made.
    pub(crate) first: ColdReason,
    /// What those are made for that callers wait for.
    pub(crate) awaited: InitializationType,
    /// Whether it is over when its last environment has ended, once somebody has called: there are as many
    /// tenants as callers think of.
    pub(crate) passing: bool,
    /// How fast its function may grow, if there is a limit.
    pub(crate) scaling: Option<Bucket>,
    /// Where its environments get their memory.
    pub(crate) room: Member,
}

/// Whether environments may still be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    /// Each environment ends when it has nothing to do and nobody waits.
    Retiring(Cause),
    /// Nothing may be started any more.
    Killed(Cause),
}

/// The environments of one version, and who waits.
#[derive(Debug)]
pub(crate) struct Book<J> {
    pool: Pool<J>,
    provision: Provision,
    /// The memory of each environment.
    places: HashMap<EnvironmentId, Place>,
    /// Somebody waits for room.
    is_in_want: bool,
    terms: Terms,
    /// Why the next environment would have to be made, if none is alive.
    reason: ColdReason,
    standing: Standing,
    /// Somebody has called.
    served: bool,
    /// What was decided and not yet asked for.
    orders: VecDeque<Order<J>>,
}

impl<J> Book<J> {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            pool: Pool::new(terms.waiters),
            provision: Provision::default(),
            places: HashMap::new(),
            is_in_want: false,
            reason: terms.first,
            terms,
            standing: Standing::Open,
            served: false,
            orders: VecDeque::new(),
        }
    }

    /// A caller comes.
    pub(crate) fn arrive(&mut self, job: J, now: Micros) -> Option<Order<J>> {
        if let Standing::Killed(_) = self.standing {
            return Some(Order::Fail(job, Failure::ShuttingDown));
        }
        self.served = true;
        match self.pool.arrive(job, now) {
            Decision::Lease(id, job) => Some(self.lease(id, job)),
            Decision::Refuse(job) => Some(Order::Refuse(job, Refusal::LineFull)),
            Decision::Start => None,
        }
    }

    /// An environment has answered its caller, or is being reset, and will be free in a moment.
    pub(crate) fn answered(&mut self, id: &EnvironmentId, now: Micros) {
        self.pool.answered(id, now + limits::SETTLE_MS * 1_000);
    }

    /// An environment is free.
    pub(crate) fn ready(&mut self, id: &EnvironmentId, now: Micros) -> Option<Order<J>> {
        self.provision.is_ready(id, now);
        if self.gives_way(id, now) {
            self.pool.leaves(id);
            return Some(Order::Stop(id.clone(), Cause::Evicted));
        }
        match self.pool.ready(id, self.provision.owns(id), now) {
            // It is counted as busy still.
            Some(Decision::Lease(id, job)) => Some(Order::Lease(id, job)),
            Some(Decision::Start | Decision::Refuse(_)) | None => {
                if let Some(place) = self.places.get(id) {
                    place.is_idle(now);
                }
                if let Standing::Retiring(cause) | Standing::Killed(cause) = self.standing {
                    self.retire(cause);
                }
                None
            }
        }
    }

    fn lease(&self, id: EnvironmentId, job: J) -> Order<J> {
        if let Some(place) = self.places.get(&id) {
            place.is_busy();
        }
        Order::Lease(id, job)
    }

    /// Whether one that has become free ends for another function, although callers of this one wait.
    fn gives_way(&self, id: &EnvironmentId, now: Micros) -> bool {
        self.pool.is_wanted_again(id)
            && self.places.get(id).is_some_and(|place| place.gives_way(now))
    }

    /// A job came back unstarted.
    pub(crate) fn handed_back(&mut self, job: J, now: Micros) {
        match self.standing {
            Standing::Killed(_) => self.orders.push_back(Order::Fail(job, Failure::ShuttingDown)),
            Standing::Open | Standing::Retiring(_) => {
                let leased = self.pool.handed_back(job, now);
                let order = leased.map(|(id, job)| self.lease(id, job));
                self.orders.extend(order);
            }
        }
    }

    /// An environment that was to have the job has died, and its last fact is on the way.
    pub(crate) fn not_leased(&mut self, id: &EnvironmentId, job: J, now: Micros) {
        self.pool.dead(id);
        self.handed_back(job, now);
    }

    /// An environment that was ordered is being started.
    pub(crate) fn started(
        &mut self,
        id: EnvironmentId,
        initialization: InitializationType,
        place: Place,
    ) {
        self.places.insert(id.clone(), place);
        match initialization {
            InitializationType::OnDemand | InitializationType::SnapStart => self.pool.started(id),
            InitializationType::ProvisionedConcurrency => {
                self.pool.preparing(id.clone());
                self.provision.started(id);
            }
        }
    }

    /// An environment has ended.
    pub(crate) fn dead(&mut self, id: &EnvironmentId, cause: Cause, now: Micros) {
        let kept = self.provision.has_ended(id, cause, now);
        self.pool.dead(id);
        self.places.remove(id);
        self.reason = match cause {
            Cause::Idle | Cause::Evicted | Cause::Released => ColdReason::IdleExpiry,
            Cause::Recycled => ColdReason::Recycled,
            Cause::Update | Cause::Shutdown => ColdReason::Update,
            Cause::ProvisionFailed
            | Cause::InitFailed
            | Cause::Crashed
            | Cause::Donated
            | Cause::SnapshotUnusable
            | Cause::UnclearEnd
            | Cause::SandboxLost => ColdReason::Failure,
        };
        // One caller pays for one failed attempt, or a machine that can make no sandbox would try
        // for ever. Nobody waits for one that is to be kept ready.
        if cause == Cause::ProvisionFailed
            && !kept
            && let Some(job) = self.pool.give_up_one()
        {
            self.orders.push_back(Order::Fail(job, Failure::NoSandbox));
        }
    }

    /// Keeps so many environments ready. One that retires has nothing to keep; whether it does.
    pub(crate) fn provide(&mut self, places: u32) -> bool {
        let is_open = self.standing == Standing::Open;
        if is_open {
            self.keep(places, Cause::Released);
        }
        is_open
    }

    fn keep(&mut self, places: u32, cause: Cause) {
        self.provision.want(places);
        let pool = &self.pool;
        for id in self.provision.take_surplus(|id| pool.is_kept_free(id)) {
            let is_free = self.pool.is_kept_free(&id);
            self.pool.released(&id);
            self.stop(id, cause, is_free);
        }
    }

    /// Ends every environment when it has nothing to do.
    pub(crate) fn retire(&mut self, cause: Cause) {
        if !matches!(self.standing, Standing::Killed(_)) {
            self.standing = Standing::Retiring(cause);
        }
        self.keep(0, cause);
        self.expire(Micros::MAX, cause);
    }

    /// Ends every environment now, and fails whoever waits.
    pub(crate) fn kill(&mut self, cause: Cause) {
        self.standing = Standing::Killed(cause);
        self.orders.push_back(Order::KillAll(cause));
        while let Some(job) = self.pool.give_up_one() {
            self.orders.push_back(Order::Fail(job, Failure::ShuttingDown));
        }
    }

    /// Ends those that have been idle since then or longer.
    fn expire(&mut self, since: Micros, cause: Cause) {
        for id in self.pool.expire(since) {
            self.stop(id, cause, true);
        }
    }

    fn stop(&mut self, id: EnvironmentId, cause: Cause, is_free: bool) {
        if is_free && let Some(place) = self.places.get(&id) {
            place.leaves();
        }
        self.orders.push_back(Order::Stop(id, cause));
    }

    /// Ends those that are to end for others.
    fn evict(&mut self) {
        for place in self.terms.room.take_ending() {
            let Some((id, held)) = self.places.iter().find(|(_, it)| it.id() == place) else {
                continue;
            };
            if self.pool.evict(id) {
                self.orders.push_back(Order::Stop(id.clone(), Cause::Evicted));
            } else {
                held.stays();
            }
        }
    }

    /// What is to be done next, until it is nothing.
    pub(crate) fn next(&mut self, now: Micros) -> Option<Order<J>> {
        let has_rung = self.terms.room.has_rung();
        if has_rung {
            self.evict();
        }
        if self.expiry().is_some_and(|expiry| expiry <= now) {
            self.expire(now.saturating_sub(self.terms.idle), Cause::Idle);
        }
        if let Some(order) = self.orders.pop_front() {
            return Some(order);
        }
        let is_short = self.pool.is_short(now);
        if self.is_in_want && !is_short {
            self.is_in_want = false;
            self.terms.room.withdraw();
        }
        // Who waits for room asks again when he is told to.
        if is_short && (has_rung || !self.is_in_want) {
            return self.start(now).or_else(|| self.next_unasked(now));
        }
        self.next_unasked(now)
    }

    /// What is to be done besides asking for room.
    fn next_unasked(&mut self, now: Micros) -> Option<Order<J>> {
        if self.room_wait_ends(now).is_some_and(|end| end <= now) {
            return self.pool.give_up_in_want(now).map(|job| Order::Refuse(job, Refusal::NoRoom));
        }
        if self.provision.is_short(now) {
            let Some(place) = self.terms.room.ask_kept() else {
                self.provision.has_no_room(now);
                return None;
            };
            let kept = InitializationType::ProvisionedConcurrency;
            return Some(Order::Start(ColdReason::Provisioned, kept, place));
        }
        None
    }

    /// Another environment for who waits, if there may be one.
    fn start(&mut self, now: Micros) -> Option<Order<J>> {
        self.is_in_want = false;
        let place = match self.terms.room.ask(now) {
            Asked::Granted(place) => place,
            Asked::Wait => {
                self.is_in_want = true;
                return None;
            }
            Asked::Never => {
                let job = self.pool.give_up_in_want(now);
                return job.map(|job| Order::Refuse(job, Refusal::NoRoom));
            }
        };
        // Who came last is told: the others may still get one that is about to be free.
        if self.terms.scaling.as_ref().is_some_and(|bucket| !bucket.take(now)) {
            return self.pool.give_up_newest().map(|job| Order::Refuse(job, Refusal::Scaling));
        }
        let reason = if self.pool.alive() == 0 { self.reason } else { ColdReason::ScaleOut };
        Some(Order::Start(reason, self.terms.awaited, place))
    }

    /// When who waits for room has waited for too long.
    fn room_wait_ends(&self, now: Micros) -> Option<Micros> {
        let since = self.is_in_want.then(|| self.pool.in_want_since(now)).flatten()?;
        Some(since + limits::ROOM_WAIT_MS * 1_000)
    }

    /// Waits until there may be something to do for others. Cancel safe.
    pub(crate) async fn rings(&mut self) {
        self.terms.room.rings().await;
    }

    /// When there is something to do although nothing happens: an environment has been idle for too long,
    /// callers stop waiting for one that was about to be free, a caller has waited for room for too long, or
    /// another attempt at one that is to be ready is due.
    pub(crate) fn next_moment(&self, now: Micros) -> Option<Micros> {
        let patience = self.pool.patience_ends(now);
        let attempt = self.provision.next_attempt(now);
        let moments = [self.expiry(), patience, attempt, self.room_wait_ends(now)];
        moments.into_iter().flatten().min()
    }

    fn expiry(&self) -> Option<Micros> {
        Some(self.pool.idle_since()?.saturating_add(self.terms.idle))
    }

    /// How far the environments have come that are to be ready.
    pub(crate) fn allocation(&self) -> Allocation {
        self.provision.allocation()
    }

    /// Whether nothing is left to do, unless more was asked meanwhile.
    pub(crate) fn is_over(&self) -> bool {
        let may_end = self.standing != Standing::Open || (self.terms.passing && self.served);
        may_end && self.pool.is_empty() && self.orders.is_empty()
    }
}
