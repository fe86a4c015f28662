//! What serves: every function's version that invocations run, as a snapshot that anybody reads
//! without waiting, and the task that replaces it.
//!
//! A created or changed function settles here: its code and layers are unpacked, then the record
//! says that it serves, then the snapshot does. A version of SnapStart is initialised once before it
//! serves (`donations`). What was published is read anew from the store
//! whenever somebody says that it changed. Only this task writes the snapshot, so what is old can
//! never come after what is new.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use dormouse_events::Resolve;
use dormouse_model::alias::Alias;
use dormouse_model::chance::Chance;
use dormouse_model::environment::Cause;
use dormouse_model::function::{Code, Function, ResolvedVersion};
use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Qualifier, Version};
use dormouse_model::version::PublishedVersion;
use dormouse_placement::{FunctionClaim, Placement};
use dormouse_store::aliases::Aliases;
use dormouse_store::concurrency::{ClaimRecord, Concurrency};
use dormouse_store::functions::Functions;
use dormouse_store::versions::Versions;
use dormouse_store::{ChangeError, StorageError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::donations::{Donations, Initialised};
use super::image::Images;
use super::served::Served;

type Snapshot = HashMap<FunctionKey, Arc<Served>>;

#[derive(Debug)]
enum Request {
    Settle(Box<Function>),
    /// What was published of a function has changed.
    Published(FunctionKey, oneshot::Sender<()>),
    /// A version was deleted.
    Unpublished(FunctionKey, u64, oneshot::Sender<()>),
    Remove(FunctionKey, oneshot::Sender<()>),
    /// What a function claims of its account has changed.
    Claim(FunctionKey, oneshot::Sender<()>),
}

/// Where what serves is kept, and what of it comes from elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) functions: Functions,
    pub(crate) versions: Versions,
    pub(crate) aliases: Aliases,
    pub(crate) concurrency: Concurrency,
    pub(crate) images: Images,
}

/// The handle.
#[derive(Debug, Clone)]
pub(crate) struct Deployments {
    snapshot: Arc<ArcSwap<Snapshot>>,
    chance: Chance,
    requests: mpsc::Sender<Request>,
}

impl Deployments {
    /// Loads all that serves and starts the owner in `tasks`.
    pub(crate) async fn start(
        records: Records,
        placement: Placement,
        chance: Chance,
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, StorageError> {
        let (loaded, waiting) = load(&records).await?;
        let snapshot: Arc<ArcSwap<Snapshot>> = Arc::new(ArcSwap::from_pointee(loaded));
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let mut owner = Owner {
            records,
            donations: Donations::new(placement.clone()),
            placement,
            chance: chance.clone(),
            snapshot: snapshot.clone(),
            preparing: JoinSet::new(),
        };
        for key in owner.records.concurrency.claiming().await? {
            let claim = owner.claimed(&key).await?;
            owner.placement.claim(&key, claim).await;
        }
        // What a former process acknowledged and did not finish.
        for function in owner.records.functions.settling().await? {
            owner.prepare(function);
        }
        for (key, versions) in waiting {
            owner.donations.keep(&key, versions);
        }
        tasks.spawn(owner.run(inbox));
        Ok(Self { snapshot, chance, requests })
    }

    /// What a qualifier of a function runs now, if it serves; without one, what `$LATEST` does. An
    /// alias of two versions rolls for each call.
    pub(crate) fn get(
        &self,
        key: &FunctionKey,
        qualifier: Option<&Qualifier>,
    ) -> Option<Arc<ResolvedVersion>> {
        self.snapshot.load().get(key)?.get(qualifier, &self.chance)
    }

    /// The same for who outlives this handle: the owner ends all the same.
    pub(crate) fn resolve(&self) -> Resolve {
        let (snapshot, chance) = (self.snapshot.clone(), self.chance.clone());
        Resolve::new(move |key, qualifier| snapshot.load().get(key)?.get(qualifier, &chance))
    }

    /// Makes a created or changed function serve; the record tells when it does.
    pub(crate) async fn settle(&self, function: Function) {
        // When the server stops, the next one settles it.
        let _ = self.requests.send(Request::Settle(Box::new(function))).await;
    }

    /// What was published serves once this returns.
    pub(crate) async fn published(&self, key: &FunctionKey) {
        self.ask(|reply| Request::Published(key.clone(), reply)).await;
    }

    /// A deleted version serves no more once this returns.
    pub(crate) async fn unpublished(&self, key: &FunctionKey, number: u64) {
        self.ask(|reply| Request::Unpublished(key.clone(), number, reply)).await;
    }

    /// A deleted function serves no more once this returns.
    pub(crate) async fn removed(&self, key: &FunctionKey) {
        self.ask(|reply| Request::Remove(key.clone(), reply)).await;
    }

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<()>) -> Request) {
        let (reply, done) = oneshot::channel();
        // When the server stops, the next one loads all anew.
        if self.requests.send(request(reply)).await.is_ok() {
            let _ = done.await;
        }
    }

    /// What a function claims, or no longer claims, is in force once this returns.
    pub(crate) async fn claimed(&self, key: &FunctionKey) {
        self.ask(|reply| Request::Claim(key.clone(), reply)).await;
    }

    /// What gets the places that are provisioned for a version or an alias: the version, if it
    /// serves, and how many.
    pub(crate) fn shares(
        &self,
        key: &FunctionKey,
        qualifier: &Qualifier,
        places: u32,
    ) -> Vec<(Option<Arc<ResolvedVersion>>, u32)> {
        let snapshot = self.snapshot.load();
        snapshot.get(key).map_or_else(Vec::new, |served| served.shares(qualifier, places))
    }
}

/// Versions that are to be initialised, by function.
type Initialising = HashMap<FunctionKey, Vec<ResolvedVersion>>;

/// What serves, and what is to be initialised before it does.
async fn load(records: &Records) -> Result<(Snapshot, Initialising), StorageError> {
    let mut loaded: HashMap<FunctionKey, Served> = HashMap::new();
    for version in records.functions.serving().await?.iter().filter_map(resolved) {
        let key = version.key.clone();
        loaded.entry(key).or_default().latest = Some(version);
    }
    let versions = records.versions.all(None).await?;
    for version in versions.iter().filter_map(PublishedVersion::resolved) {
        loaded.entry(version.key.clone()).or_default().add_version(version);
    }
    let mut waiting = Initialising::new();
    for version in versions.iter().filter_map(PublishedVersion::initialising) {
        waiting.entry(version.key.clone()).or_default().push(version);
    }
    for alias in records.aliases.all(None).await? {
        loaded.entry(alias.function.clone()).or_default().add_alias(alias);
    }
    let loaded = loaded.into_iter().map(|(key, served)| (key, Arc::new(served))).collect();
    Ok((loaded, waiting))
}

fn resolved(function: &Function) -> Option<Arc<ResolvedVersion>> {
    let deployment = function.serving()?.clone();
    Some(Arc::new(ResolvedVersion {
        key: function.key.clone(),
        unique_id: function.unique_id.clone(),
        version: Version::Latest,
        deployment,
    }))
}

/// The end of a preparation.
struct Prepared {
    function: Function,
    result: Result<(), NotReady>,
}

/// Why a function cannot serve, in AWS's terms.
struct NotReady {
    code: &'static str,
    reason: String,
}

struct Owner {
    records: Records,
    placement: Placement,
    chance: Chance,
    snapshot: Arc<ArcSwap<Snapshot>>,
    preparing: JoinSet<Prepared>,
    donations: Donations,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(request) => self.request(request).await,
                    None => break,
                },
                Some(Ok(prepared)) = self.preparing.join_next() => self.finish(prepared).await,
                initialised = self.donations.next() => self.initialised(initialised).await,
            }
        }
    }

    async fn request(&mut self, request: Request) {
        let reply = match request {
            Request::Settle(function) => return self.prepare(*function),
            Request::Published(key, reply) => {
                self.reload(&key).await;
                self.claim(&key).await;
                reply
            }
            Request::Unpublished(key, number, reply) => {
                self.reload(&key).await;
                self.claim(&key).await;
                let version = Version::Number(number);
                self.placement.retire_version(&key, version, Cause::Update).await;
                self.placement.forget_snapshots(&key, Some(version));
                reply
            }
            Request::Remove(key, reply) => {
                self.replace(&key, |served| *served = Served::default());
                self.donations.keep(&key, Vec::new());
                self.placement.claim(&key, FunctionClaim::default()).await;
                self.placement.retire(&key, None, Cause::Update).await;
                self.placement.forget_snapshots(&key, None);
                reply
            }
            Request::Claim(key, reply) => {
                self.claim(&key).await;
                reply
            }
        };
        let _ = reply.send(());
    }

    fn prepare(&mut self, function: Function) {
        let (placement, images) = (self.placement.clone(), self.records.images.clone());
        self.preparing.spawn(async move {
            let result = ready(&placement, &images, &function).await;
            Prepared { function, result }
        });
    }

    async fn finish(&mut self, prepared: Prepared) {
        let Prepared { function, result } = prepared;
        let (key, revision) = (function.key.clone(), self.chance.revision_id());
        let prepared_revision = function.revision;
        let result = Arc::new(result);
        let settled = Arc::clone(&result);
        let changed = self.records.versions.settle(
            &key,
            move |current| {
                // Deleted and created anew, or changed again: that one is settled by its own
                // request.
                if current.revision != prepared_revision {
                    return Err(());
                }
                Ok(match &*result {
                    Ok(()) => current.activated(revision),
                    Err(not_ready) => current.failed(revision, not_ready.code, &not_ready.reason),
                })
            },
            move |version| {
                let failed = settled.as_ref().as_ref().err();
                version.settled(match failed {
                    None => Ok(()),
                    Some(not_ready) => Err((not_ready.code, &not_ready.reason)),
                })
            },
        );
        match changed.await {
            Ok(Ok(settled)) => self.serve(&settled).await,
            Ok(Err(())) | Err(ChangeError::Missing) => {}
            Err(ChangeError::Storage(error)) => {
                warn!(%error, function = %key.name, "function stays unsettled until the next start");
            }
        }
    }

    /// A version of SnapStart serves from now on, or never will.
    async fn initialised(&mut self, initialised: Initialised) {
        let Initialised { version, result } = initialised;
        let Version::Number(number) = version.version else { return };
        let unique_id = version.unique_id.clone();
        let changed = self.records.versions.change(&version.key, number, move |stored| {
            // Deleted and created anew: that one is initialised by itself.
            if stored.snapshot.function.unique_id != unique_id {
                return stored.clone();
            }
            let result = result.as_ref().copied();
            stored.initialised(result.map_err(|(code, reason)| (*code, reason.as_str())))
        });
        match changed.await {
            Ok(()) => {
                self.reload(&version.key).await;
                self.claim(&version.key).await;
            }
            Err(error) => {
                warn!(%error, function = %version.key.name, "version stays pending until the next start");
            }
        }
    }

    async fn serve(&mut self, function: &Function) {
        let Some(version) = resolved(function) else {
            return;
        };
        info!(function = %function.key.name, generation = version.deployment.generation, "function serves");
        let latest = Some(version.clone());
        self.replace(&function.key, |served| served.latest = latest);
        self.reload(&function.key).await;
        self.claim(&function.key).await;
        self.placement.retire(&function.key, Some(&version), Cause::Update).await;
    }

    /// Serves what is published of a function now.
    async fn reload(&mut self, key: &FunctionKey) {
        match self.published(key).await {
            Ok((versions, aliases)) => {
                self.replace(key, |served| served.publish(&versions, aliases));
                let waiting = versions.iter().filter_map(PublishedVersion::initialising);
                self.donations.keep(key, waiting.collect());
            }
            Err(error) => {
                warn!(%error, function = %key.name, "what was published serves from the next start");
            }
        }
    }

    /// What is stored is read here, one after the other, so that the last that was stored counts.
    async fn claim(&self, key: &FunctionKey) {
        match self.claimed(key).await {
            Ok(claim) => self.placement.claim(key, claim).await,
            Err(error) => {
                warn!(%error, function = %key.name, "claim is not in force until the next start");
            }
        }
    }

    /// What is stored that a function claims, by the versions that serve.
    async fn claimed(&self, key: &FunctionKey) -> Result<FunctionClaim, StorageError> {
        let ClaimRecord { reserved, provisioned } = self.records.concurrency.claim(key).await?;
        let mut places: BTreeMap<Version, (Arc<ResolvedVersion>, u32)> = BTreeMap::new();
        let snapshot = self.snapshot.load();
        if let Some(served) = snapshot.get(key) {
            let shares = provisioned.iter().flat_map(|it| served.shares(&it.qualifier, it.places));
            for (version, share) in shares {
                let Some(version) = version else { continue };
                places.entry(version.version).or_insert_with(|| (version, 0)).1 += share;
            }
        }
        Ok(FunctionClaim { reserved, provisioned: places.into_values().collect() })
    }

    async fn published(
        &self,
        key: &FunctionKey,
    ) -> Result<(Vec<PublishedVersion>, Vec<Alias>), StorageError> {
        let versions = self.records.versions.all(Some(key)).await?;
        Ok((versions, self.records.aliases.all(Some(key)).await?))
    }

    fn replace(&self, key: &FunctionKey, change: impl FnOnce(&mut Served)) {
        let mut next = Snapshot::clone(&self.snapshot.load());
        let mut served = next.get(key).map(|served| Served::clone(served)).unwrap_or_default();
        change(&mut served);
        if served.is_empty() {
            next.remove(key);
        } else {
            next.insert(key.clone(), Arc::new(served));
        }
        self.snapshot.store(Arc::new(next));
    }
}

async fn ready(
    placement: &Placement,
    images: &Images,
    function: &Function,
) -> Result<(), NotReady> {
    if let Code::Image(image) = &function.code {
        let pulled = images.pull(&function.key.scope, image).await;
        pulled.map_err(|reason| NotReady {
            code: reason.state_reason_code(),
            reason: reason.to_string(),
        })?;
        let prepared = placement.prepare_image(image).await;
        prepared.map_err(|reason| NotReady { code: "InvalidImage", reason })?;
    }
    if let Some(runtime) = function.configuration.runtime() {
        placement
            .can_run(runtime)
            .await
            .map_err(|missing| NotReady { code: "InvalidRuntime", reason: missing.to_string() })?;
    }
    let layers = function.configuration.layers.iter().map(|layer| &layer.digest);
    for digest in layers.chain(function.code.package().map(|package| &package.digest)) {
        placement
            .prepare(digest)
            .await
            .map_err(|reason| NotReady { code: "InvalidZipFileException", reason })?;
    }
    placement.expect(&function.code, &function.configuration).await;
    Ok(())
}
