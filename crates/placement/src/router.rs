//! From a resolved version to its owner: a snapshot that anybody reads without waiting, and one task
//! that replaces it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use dormouse_model::clock::Clock;
use dormouse_model::concurrency::rate::Rate;
use dormouse_model::concurrency::{Allocation, Claim};
use dormouse_model::environment::{Cause, Failure, Micros};
use dormouse_model::function::{Code, ResolvedVersion};
use dormouse_model::invocation::{Answer, Invocation};
use dormouse_model::limits;
use dormouse_model::metrics::Subject;
use dormouse_model::names::{FunctionKey, Scope, Version};
use dormouse_worker::{Answered, ColdReason, Job, Refusal, Reply, Waiting, Worker};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::assignment::{Assignment, Request};
use crate::bucket::{Bucket, Level};
use crate::counts::{Count, Counts, FunctionClaim};
use crate::donor::{Donated, Donor, NotDonated};
use crate::refused::InvokeError;
use crate::routes::{Route, RouteKey, Routes, UNCHANGING, Which};

/// What placement is made of.
#[derive(Debug)]
pub struct Config {
    /// The worker that makes environments.
    pub worker: Worker,
    /// Time.
    pub clock: Clock,
    /// How long an idle environment is kept.
    pub idle: Duration,
    /// Whether requests a second and the growth of functions are limited, as on Lambda.
    pub limit_rates: bool,
}

/// The edition of a version's code, for which it has environments of its own.
async fn edition(worker: &Worker, version: &ResolvedVersion) -> u64 {
    match &version.deployment.code {
        Code::Directory { directory } => worker.edition(directory).await,
        Code::Zip(_) | Code::Image(_) => UNCHANGING,
    }
}

/// Answered by an owner that has begun to do what it was told.
type Begun = oneshot::Receiver<()>;

#[derive(Debug)]
enum RouterRequest {
    Route(Arc<ResolvedVersion>, RouteKey, oneshot::Sender<Option<Arc<Route>>>),
    Retire { key: FunctionKey, which: Which, cause: Cause },
    Claim { key: FunctionKey, claim: FunctionClaim, done: oneshot::Sender<Vec<Begun>> },
    Donate(Arc<ResolvedVersion>, oneshot::Sender<Donated>),
    Drain(Duration, oneshot::Sender<()>),
}

/// Runs invocations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Placement {
    routes: Arc<ArcSwap<Routes>>,
    counts: Arc<ArcSwap<Counts>>,
    requests: mpsc::Sender<RouterRequest>,
    pub(crate) worker: Worker,
    /// Where rates are limited, the clock by which they are.
    pace: Option<Clock>,
}

impl Placement {
    /// Starts the router in `tasks`.
    #[must_use]
    pub fn start(config: Config, tasks: &mut JoinSet<()>) -> Self {
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let routes = Arc::new(ArcSwap::from_pointee(Routes::new()));
        let counts = Arc::new(ArcSwap::from_pointee(Counts::default()));
        let worker = config.worker.clone();
        let pace = config.limit_rates.then(|| config.clock.clone());
        let router = Router {
            config,
            routes: routes.clone(),
            counts: counts.clone(),
            shared: HashMap::new(),
            scaling: HashMap::new(),
            owners: JoinSet::new(),
            retiring: Vec::new(),
            stopping: None,
            donors: watch::channel(()).0,
        };
        tasks.spawn(router.run(inbox));
        Self { routes, counts, requests, worker, pace }
    }

    /// Runs an invocation and waits for its answer. When the caller stops waiting, it runs on.
    ///
    /// # Errors
    /// When it was not run.
    pub async fn invoke(
        &self,
        version: &Arc<ResolvedVersion>,
        invocation: Invocation,
    ) -> Result<Answer, InvokeError> {
        self.submit(version, invocation, self.now(), Reply::whole()).await
    }

    /// Runs an invocation that was queued, and waits for its answer: no limit on rates holds for it, only
    /// how many run at once. When the caller stops waiting, it runs on.
    ///
    /// # Errors
    /// When it was not run.
    pub async fn invoke_queued(
        &self,
        version: &Arc<ResolvedVersion>,
        invocation: Invocation,
    ) -> Result<Answer, InvokeError> {
        self.submit(version, invocation, None, Reply::whole()).await
    }

    /// Runs an invocation and waits until its answer begins. When the caller stops waiting or
    /// reading, it runs on.
    ///
    /// # Errors
    /// When it was not run.
    pub async fn invoke_with_response_stream(
        &self,
        version: &Arc<ResolvedVersion>,
        invocation: Invocation,
    ) -> Result<Answered, InvokeError> {
        self.submit(version, invocation, self.now(), Reply::stream()).await
    }

    /// The moment, where rates are limited.
    fn now(&self) -> Option<Micros> {
        self.pace.as_ref().map(Clock::now)
    }

    async fn submit<T>(
        &self,
        version: &Arc<ResolvedVersion>,
        invocation: Invocation,
        now: Option<Micros>,
        (reply, answer): (Reply, Waiting<T>),
    ) -> Result<T, InvokeError> {
        let route = self.route(version, invocation.tenant.as_deref()).await?;
        let counts = self.counts.load();
        let permit = counts.permit(&version.key, version.version, &route.shared, now);
        let permit = permit.inspect_err(|_| self.throttled(version, &invocation))?;
        let job = Box::new(Job { invocation, reply, permit });
        route.requests.send(Request::Invoke(job)).await.map_err(|_| InvokeError::Superseded)?;
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Refusal::NoRoom)) => Err(InvokeError::NoRoom),
            // Which limit it is when a function grows too fast is not known of AWS; it has no more now.
            Ok(Err(Refusal::LineFull | Refusal::Scaling)) | Err(_) => Err(InvokeError::Throttled),
        }
    }

    fn throttled(&self, version: &ResolvedVersion, invocation: &Invocation) {
        let arn = &invocation.invoked_arn;
        let subject = Subject::of_arn(&version.key, version.version, arn);
        self.worker.meter().throttled(Arc::new(subject));
    }

    async fn route(
        &self,
        version: &Arc<ResolvedVersion>,
        tenant: Option<&str>,
    ) -> Result<Arc<Route>, InvokeError> {
        let key = RouteKey::of(version, edition(&self.worker, version).await, tenant);
        if let Some(route) = self.routes.load().get(&key).filter(|route| route.is_open()) {
            return Ok(route.clone());
        }
        let (reply, answer) = oneshot::channel();
        let request = RouterRequest::Route(version.clone(), key, reply);
        self.requests.send(request).await.map_err(|_| InvokeError::Stopping)?;
        answer.await.ok().flatten().ok_or(InvokeError::Stopping)
    }

    /// Ends the environments of a function, each when it has nothing to do: those of all its
    /// versions; or, when one is replaced by `keep`, only those of what that replaces.
    pub async fn retire(&self, key: &FunctionKey, keep: Option<&ResolvedVersion>, cause: Cause) {
        let which = keep.map_or(Which::All, |kept| Which::Not {
            unique_id: kept.unique_id.clone(),
            version: kept.version,
            generation: kept.deployment.generation,
        });
        self.retire_which(key, which, cause).await;
    }

    /// Ends the environments of one version of a function, each when it has nothing to do.
    pub async fn retire_version(&self, key: &FunctionKey, version: Version, cause: Cause) {
        self.retire_which(key, Which::Of(version), cause).await;
    }

    async fn retire_which(&self, key: &FunctionKey, which: Which, cause: Cause) {
        // A stopping server retires everything anyway.
        let _ = self.requests.send(RouterRequest::Retire { key: key.clone(), which, cause }).await;
    }

    /// Gives a function what it claims of its account, in place of what it had claimed before. The
    /// places are its own once this returns; environments that are to be ready are then being made.
    pub async fn claim(&self, key: &FunctionKey, claim: FunctionClaim) {
        let (done, in_force) = oneshot::channel();
        let request = RouterRequest::Claim { key: key.clone(), claim, done };
        // A stopping server runs nothing more.
        if self.requests.send(request).await.is_ok() {
            for begun in in_force.await.unwrap_or_default() {
                let _ = begun.await;
            }
        }
    }

    /// Initialises a version once, for its snapshot, and waits for that: what went wrong with its Init, if
    /// something did. When the caller stops waiting, so does it.
    ///
    /// # Errors
    /// When it is not known.
    pub async fn donate(
        &self,
        version: Arc<ResolvedVersion>,
    ) -> Result<Option<Failure>, NotDonated> {
        let (reply, donated) = oneshot::channel();
        let request = RouterRequest::Donate(version, reply);
        self.requests.send(request).await.map_err(|_| NotDonated::Unwanted)?;
        donated.await.unwrap_or(Err(NotDonated::Unwanted))
    }

    /// How far the environments of a version have come that are to be ready.
    #[must_use]
    pub fn allocation(&self, version: &ResolvedVersion) -> Allocation {
        let routes = self.routes.load();
        // Only what is published is kept ready, and that never changes.
        let route = routes.get(&RouteKey::of(version, UNCHANGING, None));
        route.map_or_else(Allocation::default, |route| *route.allocation.borrow())
    }

    /// Ends everything: what runs may finish within `limit`, then it is ended.
    pub async fn drain(&self, limit: Duration) {
        let (reply, drained) = oneshot::channel();
        if self.requests.send(RouterRequest::Drain(limit, reply)).await.is_ok() {
            let _ = drained.await;
        }
    }
}

/// A stop under way.
struct Stopping {
    /// When what still runs is killed.
    deadline: Instant,
    /// Who wants to hear of the end.
    waiting: Vec<oneshot::Sender<()>>,
}

/// How long after a kill the next look is due; by then there is nobody left to kill.
const AGAIN: Duration = Duration::from_secs(3_600);

struct Router {
    config: Config,
    routes: Arc<ArcSwap<Routes>>,
    counts: Arc<ArcSwap<Counts>>,
    shared: HashMap<Scope, Count>,
    /// How fast functions grow, where that is limited.
    scaling: HashMap<FunctionKey, Level>,
    owners: JoinSet<()>,
    /// Owners that have no route any more and have not ended.
    retiring: Vec<mpsc::Sender<Request>>,
    /// Since the server began to stop.
    stopping: Option<Stopping>,
    /// Held for those who make snapshots: they end when it is replaced.
    donors: watch::Sender<()>,
}

impl Router {
    async fn run(mut self, mut inbox: mpsc::Receiver<RouterRequest>) {
        let mut open = true;
        while open || !self.owners.is_empty() {
            let until = self.stopping.as_ref().map(|stopping| stopping.deadline);
            tokio::select! {
                request = inbox.recv(), if open => match request {
                    Some(request) => self.request(request).await,
                    None => {
                        open = false;
                        self.stop(Duration::ZERO, None).await;
                    }
                },
                Some(_) = self.owners.join_next() => {
                    self.forget_ended();
                    self.tell_when_empty();
                }
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)),
                    if until.is_some() => self.kill().await,
            }
        }
    }

    async fn request(&mut self, request: RouterRequest) {
        match request {
            RouterRequest::Route(version, key, reply) => {
                let route = self.stopping.is_none().then(|| self.route(version, key.clone()));
                let _ = reply.send(route);
                if key.edition > 0 {
                    let function = key.key.clone();
                    self.retire(&function, &Which::Before(key), Cause::Update).await;
                }
            }
            RouterRequest::Retire { key, which, cause } => {
                self.retire(&key, &which, cause).await;
            }
            RouterRequest::Claim { key, claim, done } => {
                let begun = self.claim(&key, claim).await;
                let _ = done.send(begun);
            }
            // Without a reply who asked hears that it is not wanted.
            RouterRequest::Donate(..) if self.stopping.is_some() => {}
            RouterRequest::Donate(version, reply) => {
                let donor = Donor {
                    worker: self.config.worker.clone(),
                    version,
                    clock: self.config.clock.clone(),
                    stop: self.donors.subscribe(),
                };
                self.owners.spawn(donor.run(reply));
            }
            RouterRequest::Drain(limit, reply) => self.stop(limit, Some(reply)).await,
        }
    }

    /// Counts what a function claims, and tells the owners of its versions what to keep ready.
    async fn claim(&mut self, key: &FunctionKey, claim: FunctionClaim) -> Vec<Begun> {
        let FunctionClaim { reserved, provisioned } = claim;
        let places = provisioned.iter().map(|(version, places)| (version.version, *places));
        let counted = Claim { reserved, provisioned: places.collect() };
        self.config.worker.meter().claim(key.clone(), counted.clone()).await;
        self.counts.store(Arc::new(self.counts.load().with(key, counted)));
        if self.stopping.is_some() {
            return Vec::new();
        }
        let mut told: Vec<(Arc<Route>, u32)> = Vec::new();
        let mut kept: HashSet<RouteKey> = HashSet::new();
        for (version, places) in provisioned {
            let of = RouteKey::of(&version, UNCHANGING, None);
            kept.insert(of.clone());
            told.push((self.route(version, of), places));
        }
        for (of, route) in self.routes.load().iter() {
            if of.key == *key && !kept.contains(of) {
                told.push((route.clone(), 0));
            }
        }
        let mut begun = Vec::new();
        for (route, places) in told {
            let (reply, answer) = oneshot::channel();
            // One that has ended keeps nothing ready.
            if route.requests.send(Request::Provide(places, reply)).await.is_ok() {
                begun.push(answer);
            }
        }
        begun
    }

    fn route(&mut self, version: Arc<ResolvedVersion>, key: RouteKey) -> Arc<Route> {
        let routes = self.routes.load();
        if let Some(route) = routes.get(&key).filter(|route| route.is_open()) {
            return route.clone();
        }
        // Who asks for an edition may come later than who asked for the next.
        if let Some((_, later)) = routes.iter().find(|(other, _)| key.is_before(other)) {
            return later.clone();
        }
        let again = routes.keys().any(|other| other.is_before(&key));
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let shared = self.shared.entry(version.key.scope.clone()).or_default().clone();
        let (told, allocation) = watch::channel(Allocation::default());
        let route = Arc::new(Route { requests, shared, allocation });
        let changed = version.deployment.generation > 1 && key.version == Version::Latest;
        let scaling = self.scaling(&version.key);
        let first = if changed || again { ColdReason::Update } else { ColdReason::First };
        let assignment = Assignment {
            worker: self.config.worker.clone(),
            version,
            clock: self.config.clock.clone(),
            idle: self.config.idle,
            first,
            passing: key.tenant.is_some(),
            allocation: told,
            scaling,
        };
        self.owners.spawn(assignment.run(inbox));
        let mut next = Routes::clone(&routes);
        next.insert(key, route.clone());
        self.routes.store(Arc::new(next));
        route
    }

    fn scaling(&mut self, key: &FunctionKey) -> Option<Bucket> {
        let level =
            self.config.limit_rates.then(|| self.scaling.entry(key.clone()).or_default())?;
        Some(Bucket { level: level.clone(), rate: Rate::of_scaling() })
    }

    async fn retire(&mut self, key: &FunctionKey, which: &Which, cause: Cause) {
        let stays = |route: &RouteKey| route.key != *key || !which.ends(route);
        let (kept, retired): (Routes, Routes) =
            Routes::clone(&self.routes.load()).into_iter().partition(|(key, _)| stays(key));
        self.routes.store(Arc::new(kept));
        self.retiring.retain(|owner| !owner.is_closed());
        for route in retired.into_values() {
            // One that has ended needs no telling.
            let _ = route.requests.send(Request::Retire(cause)).await;
            self.retiring.push(route.requests.clone());
        }
    }

    /// Lets what runs finish within `limit`. Asked again, the shorter limit counts.
    async fn stop(&mut self, limit: Duration, reply: Option<oneshot::Sender<()>>) {
        let deadline = Instant::now() + limit;
        let stopping =
            self.stopping.get_or_insert_with(|| Stopping { deadline, waiting: Vec::new() });
        stopping.deadline = stopping.deadline.min(deadline);
        stopping.waiting.extend(reply);
        self.donors = watch::channel(()).0;
        let routes = self.routes.swap(Arc::new(Routes::new()));
        for route in routes.values() {
            let _ = route.requests.send(Request::Retire(Cause::Shutdown)).await;
            self.retiring.push(route.requests.clone());
        }
        self.tell_when_empty();
    }

    /// The time of what still runs is over.
    async fn kill(&mut self) {
        for owner in self.retiring.drain(..) {
            // One that has ended needs no telling.
            let _ = owner.send(Request::Kill(Cause::Shutdown)).await;
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.deadline += AGAIN;
        }
    }

    /// Owners that end by themselves leave their routes behind.
    fn forget_ended(&mut self) {
        self.scaling.retain(|_, level| !level.is_forgotten());
        let routes = self.routes.load();
        if routes.values().any(|route| !route.is_open()) {
            let mut next = Routes::clone(&routes);
            next.retain(|_, route| route.is_open());
            self.routes.store(Arc::new(next));
        }
    }

    fn tell_when_empty(&mut self) {
        if let Some(stopping) = &mut self.stopping
            && self.owners.is_empty()
        {
            for waiting in stopping.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
    }
}
