//! From a resolved version to its owner: a snapshot that anybody reads without waiting, and one task
//! that replaces it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use arc_swap::ArcSwap;
use dormouse_model::clock::Clock;
use dormouse_model::environment::Cause;
use dormouse_model::function::{Code, ResolvedVersion};
use dormouse_model::invocation::{Answer, Invocation};
use dormouse_model::limits;
use dormouse_model::metrics::Subject;
use dormouse_model::names::{Digest, FunctionKey, Scope, Version};
use dormouse_model::runtime::Runtime;
use dormouse_worker::lives::Lives;
use dormouse_worker::metrics::Meter;
use dormouse_worker::{Answered, ColdReason, Job, NoInterpreter, Reply, Worker};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::assignment::{Assignment, Request};
use crate::reservations::Reservations;

/// What placement is made of.
#[derive(Debug)]
pub struct Config {
    /// The worker that makes environments.
    pub worker: Worker,
    /// Time.
    pub clock: Clock,
    /// How long an idle environment is kept.
    pub idle: Duration,
}

/// Why an invocation was not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// Too many invocations run or wait.
    #[error("too many invocations")]
    Throttled,
    /// As many invocations run as the function has reserved places.
    #[error("reserved concurrency is used up")]
    ReservedUsedUp,
    /// The version was replaced meanwhile: resolve it again.
    #[error("version was replaced")]
    Superseded,
    /// The server is stopping.
    #[error("server is stopping")]
    Stopping,
}

/// Names the owner of a version: a version of a function, in one generation of its configuration
/// and, when its code is a directory, one edition of that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RouteKey {
    key: FunctionKey,
    unique_id: String,
    version: Version,
    generation: u64,
    edition: u64,
}

impl RouteKey {
    fn of(version: &ResolvedVersion, edition: u64) -> Self {
        Self {
            edition,
            key: version.key.clone(),
            unique_id: version.unique_id.clone(),
            version: version.version,
            generation: version.deployment.generation,
        }
    }
}

impl RouteKey {
    /// Whether it is of an earlier edition of the same.
    fn is_before(&self, other: &Self) -> bool {
        self.edition < other.edition && Self { edition: other.edition, ..self.clone() } == *other
    }
}

#[derive(Debug, Clone)]
struct Route {
    requests: mpsc::Sender<Request>,
    running: Arc<AtomicU32>,
}

type Routes = HashMap<RouteKey, Route>;

#[derive(Debug)]
enum RouterRequest {
    Route(Arc<ResolvedVersion>, u64, oneshot::Sender<Option<Route>>),
    Retire { key: FunctionKey, which: Which, cause: Cause },
    Reserve { key: FunctionKey, places: Option<u32>, done: oneshot::Sender<()> },
    Drain(Duration, oneshot::Sender<()>),
}

/// Which environments of a function end.
#[derive(Debug)]
enum Which {
    /// All.
    All,
    /// Those of another function of that name, and those of this version in another generation.
    Not { unique_id: String, version: Version, generation: u64 },
    /// Those of this version.
    Of(Version),
    /// Those of earlier editions of the same code.
    Before(RouteKey),
}

impl Which {
    fn ends(&self, route: &RouteKey) -> bool {
        match self {
            Self::All => true,
            Self::Not { unique_id, version, generation } => {
                route.unique_id != *unique_id
                    || (route.version == *version && route.generation != *generation)
            }
            Self::Of(version) => route.version == *version,
            Self::Before(kept) => route.is_before(kept),
        }
    }
}

/// Runs invocations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Placement {
    routes: Arc<ArcSwap<Routes>>,
    reservations: Arc<ArcSwap<Reservations>>,
    requests: mpsc::Sender<RouterRequest>,
    worker: Worker,
}

impl Placement {
    /// Starts the router in `tasks`.
    #[must_use]
    pub fn start(config: Config, tasks: &mut JoinSet<()>) -> Self {
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let routes = Arc::new(ArcSwap::from_pointee(Routes::new()));
        let reservations = Arc::new(ArcSwap::from_pointee(Reservations::default()));
        let worker = config.worker.clone();
        let router = Router {
            config,
            routes: routes.clone(),
            reservations: reservations.clone(),
            running: HashMap::new(),
            owners: JoinSet::new(),
            retiring: Vec::new(),
            stopping: None,
        };
        tasks.spawn(router.run(inbox));
        Self { routes, reservations, requests, worker }
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
        self.submit(version, invocation, Reply::whole()).await
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
        self.submit(version, invocation, Reply::stream()).await
    }

    async fn submit<T>(
        &self,
        version: &Arc<ResolvedVersion>,
        invocation: Invocation,
        (reply, answer): (Reply, oneshot::Receiver<T>),
    ) -> Result<T, InvokeError> {
        let route = self.route(version).await?;
        let permit = self.reservations.load().permit(&version.key, &route.running);
        let permit = permit.inspect_err(|_| self.throttled(version, &invocation))?;
        let job = Job { invocation, reply, permit };
        route.requests.send(Request::Invoke(job)).await.map_err(|_| InvokeError::Superseded)?;
        // A dropped reply means that there was no room to wait.
        answer.await.map_err(|_| InvokeError::Throttled)
    }

    fn throttled(&self, version: &ResolvedVersion, invocation: &Invocation) {
        let arn = &invocation.invoked_arn;
        let subject = Subject::of_arn(&version.key, version.version, arn);
        self.worker.meter().throttled(Arc::new(subject));
    }

    async fn route(&self, version: &Arc<ResolvedVersion>) -> Result<Route, InvokeError> {
        let edition = match &version.deployment.code {
            Code::Directory { directory } => self.worker.edition(directory).await,
            // It never changes.
            Code::Zip(_) | Code::Image(_) => 0,
        };
        if let Some(route) = self.routes.load().get(&RouteKey::of(version, edition)) {
            return Ok(route.clone());
        }
        let (reply, answer) = oneshot::channel();
        let request = RouterRequest::Route(version.clone(), edition, reply);
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

    /// Keeps places of its account for a function, and no more than these; none lets it share those
    /// that nobody has reserved. In force once this returns.
    pub async fn reserve(&self, key: &FunctionKey, places: Option<u32>) {
        let (done, in_force) = oneshot::channel();
        let request = RouterRequest::Reserve { key: key.clone(), places, done };
        // A stopping server runs nothing more.
        if self.requests.send(request).await.is_ok() {
            let _ = in_force.await;
        }
    }

    /// Unpacks code ahead of its first use.
    ///
    /// # Errors
    /// In words, why it cannot be used.
    pub async fn prepare(&self, code: &Digest) -> Result<(), String> {
        self.worker.prepare(code).await.map_err(|unavailable| unavailable.to_string())
    }

    /// Whether this host can run a runtime.
    ///
    /// # Errors
    /// What is missing and how to install it.
    pub async fn can_run(&self, runtime: Runtime) -> Result<(), NoInterpreter> {
        self.worker.can_run(runtime).await
    }

    /// What is told of invocations, for others who know something of them.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.worker.meter()
    }

    /// What happened to the environments.
    #[must_use]
    pub fn lives(&self) -> Lives {
        self.worker.lives()
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
    reservations: Arc<ArcSwap<Reservations>>,
    running: HashMap<Scope, Arc<AtomicU32>>,
    owners: JoinSet<()>,
    /// Owners that have no route any more and have not ended.
    retiring: Vec<mpsc::Sender<Request>>,
    /// Since the server began to stop.
    stopping: Option<Stopping>,
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
                Some(_) = self.owners.join_next() => self.tell_when_empty(),
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)),
                    if until.is_some() => self.kill().await,
            }
        }
    }

    async fn request(&mut self, request: RouterRequest) {
        match request {
            RouterRequest::Route(version, edition, reply) => {
                let key = RouteKey::of(&version, edition);
                let route = self.stopping.is_none().then(|| self.route(version, key.clone()));
                let _ = reply.send(route);
                if edition > 0 {
                    let function = key.key.clone();
                    self.retire(&function, &Which::Before(key), Cause::Update).await;
                }
            }
            RouterRequest::Retire { key, which, cause } => {
                self.retire(&key, &which, cause).await;
            }
            RouterRequest::Reserve { key, places, done } => {
                self.reservations.store(Arc::new(self.reservations.load().with(&key, places)));
                self.config.worker.meter().reserve(key, places).await;
                let _ = done.send(());
            }
            RouterRequest::Drain(limit, reply) => self.stop(limit, Some(reply)).await,
        }
    }

    fn route(&mut self, version: Arc<ResolvedVersion>, key: RouteKey) -> Route {
        let routes = self.routes.load();
        if let Some(route) = routes.get(&key) {
            return route.clone();
        }
        // Who asks for an edition may come later than who asked for the next.
        if let Some((_, later)) = routes.iter().find(|(other, _)| key.is_before(other)) {
            return later.clone();
        }
        let again = routes.keys().any(|other| other.is_before(&key));
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let running = self.running.entry(version.key.scope.clone()).or_default().clone();
        let route = Route { requests, running };
        let changed = version.deployment.generation > 1 && key.version == Version::Latest;
        let first = if changed || again { ColdReason::Update } else { ColdReason::First };
        let assignment = Assignment {
            worker: self.config.worker.clone(),
            version,
            clock: self.config.clock.clone(),
            idle: self.config.idle,
            first,
        };
        self.owners.spawn(assignment.run(inbox));
        let mut next = Routes::clone(&routes);
        next.insert(key, route.clone());
        self.routes.store(Arc::new(next));
        route
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
            self.retiring.push(route.requests);
        }
    }

    /// Lets what runs finish within `limit`. Asked again, the shorter limit counts.
    async fn stop(&mut self, limit: Duration, reply: Option<oneshot::Sender<()>>) {
        let deadline = Instant::now() + limit;
        let stopping =
            self.stopping.get_or_insert_with(|| Stopping { deadline, waiting: Vec::new() });
        stopping.deadline = stopping.deadline.min(deadline);
        stopping.waiting.extend(reply);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Which routes of one function end; each is written `function's id.version.generation`.
    fn check(which: &Which, expected: &str) {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let key = FunctionKey { scope, name: "f".parse().unwrap() };
        let (latest, first) = (Version::Latest, Version::Number(1));
        let routes = [("a", latest, 1), ("b", latest, 1), ("b", latest, 2), ("b", first, 1)];
        let ended = routes.map(|(unique_id, version, generation)| {
            let (key, unique_id) = (key.clone(), unique_id.into());
            let route = RouteKey { key, unique_id, version, generation, edition: 0 };
            let ends = which.ends(&route);
            ends.then(|| format!("{}.{version}.{generation}", route.unique_id))
        });
        let ended: Vec<String> = ended.into_iter().flatten().collect();
        assert_eq!(ended.join(" "), expected, "{which:?}");
    }

    #[test]
    fn an_update_of_latest_ends_no_published_version_and_a_deletion_only_its_own() {
        check(&Which::All, "a.$LATEST.1 b.$LATEST.1 b.$LATEST.2 b.1.1");
        let update = Which::Not { unique_id: "b".into(), version: Version::Latest, generation: 2 };
        check(&update, "a.$LATEST.1 b.$LATEST.1");
        check(&Which::Of(Version::Number(1)), "b.1.1");
    }

    #[test]
    fn a_later_edition_comes_after_earlier_ones_of_the_same_code_only() {
        let scope = "123456789012 us-east-1".split_once(' ').unwrap();
        let scope = Scope { account: scope.0.parse().unwrap(), region: scope.1.parse().unwrap() };
        let key = |generation, edition| RouteKey {
            key: FunctionKey { scope: scope.clone(), name: "f".parse().unwrap() },
            unique_id: "u".into(),
            version: Version::Latest,
            generation,
            edition,
        };
        assert!(key(1, 3).is_before(&key(1, 4)));
        assert!(!key(1, 4).is_before(&key(1, 4)) && !key(1, 5).is_before(&key(1, 4)));
        assert!(!key(1, 3).is_before(&key(2, 4)));
    }
}
