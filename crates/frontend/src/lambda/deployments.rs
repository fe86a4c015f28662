//! What serves: every function's version that invocations run, as a snapshot that anybody reads
//! without waiting, and the task that replaces it.
//!
//! A created or changed function settles here: its code and layers are unpacked, then the record says that it
//! serves, then the snapshot does. Only this task writes the snapshot, so an old version can never
//! come after a new one.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dormouse_model::chance::Chance;
use dormouse_model::environment::Cause;
use dormouse_model::function::{Function, ResolvedVersion};
use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Version};
use dormouse_placement::Placement;
use dormouse_store::functions::Functions;
use dormouse_store::{ChangeError, StorageError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{info, warn};

type Snapshot = HashMap<FunctionKey, Arc<ResolvedVersion>>;

#[derive(Debug)]
enum Request {
    Settle(Box<Function>),
    Remove(FunctionKey, oneshot::Sender<()>),
}

/// The handle.
#[derive(Debug, Clone)]
pub(crate) struct Deployments {
    snapshot: Arc<ArcSwap<Snapshot>>,
    requests: mpsc::Sender<Request>,
}

impl Deployments {
    /// Loads all that serves and starts the owner in `tasks`.
    pub(crate) async fn start(
        functions: Functions,
        placement: Placement,
        chance: Chance,
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, StorageError> {
        let serving = functions.serving().await?;
        let loaded = serving.iter().filter_map(resolved).map(|v| (v.key.clone(), v)).collect();
        let snapshot: Arc<ArcSwap<Snapshot>> = Arc::new(ArcSwap::from_pointee(loaded));
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let mut owner = Owner {
            functions,
            placement,
            chance,
            snapshot: snapshot.clone(),
            preparing: JoinSet::new(),
        };
        // What a former process acknowledged and did not finish.
        for function in owner.functions.settling().await? {
            owner.prepare(function);
        }
        tasks.spawn(owner.run(inbox));
        Ok(Self { snapshot, requests })
    }

    /// What `$LATEST` of a function runs now, if it serves.
    pub(crate) fn latest(&self, key: &FunctionKey) -> Option<Arc<ResolvedVersion>> {
        self.snapshot.load().get(key).cloned()
    }

    /// Makes a created or changed function serve; the record tells when it does.
    pub(crate) async fn settle(&self, function: Function) {
        // When the server stops, the next one settles it.
        let _ = self.requests.send(Request::Settle(Box::new(function))).await;
    }

    /// A deleted function serves no more once this returns.
    pub(crate) async fn removed(&self, key: &FunctionKey) {
        let (reply, removed) = oneshot::channel();
        if self.requests.send(Request::Remove(key.clone(), reply)).await.is_ok() {
            let _ = removed.await;
        }
    }
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
    functions: Functions,
    placement: Placement,
    chance: Chance,
    snapshot: Arc<ArcSwap<Snapshot>>,
    preparing: JoinSet<Prepared>,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(Request::Settle(function)) => self.prepare(*function),
                    Some(Request::Remove(key, reply)) => {
                        self.publish(&key, None);
                        self.placement.retire(&key, None, Cause::Update).await;
                        let _ = reply.send(());
                    }
                    None => break,
                },
                Some(Ok(prepared)) = self.preparing.join_next() => self.finish(prepared).await,
            }
        }
    }

    fn prepare(&mut self, function: Function) {
        let placement = self.placement.clone();
        self.preparing.spawn(async move {
            let result = ready(&placement, &function).await;
            Prepared { function, result }
        });
    }

    async fn finish(&mut self, prepared: Prepared) {
        let Prepared { function, result } = prepared;
        let (key, revision) = (function.key.clone(), self.chance.revision_id());
        let prepared_revision = function.revision;
        let changed = self.functions.change(&key, move |current| {
            // Deleted and created anew, or changed again: that one is settled by its own request.
            if current.revision != prepared_revision {
                return Err(());
            }
            Ok(match &result {
                Ok(()) => current.activated(revision),
                Err(not_ready) => current.failed(revision, not_ready.code, &not_ready.reason),
            })
        });
        match changed.await {
            Ok(Ok(settled)) => self.serve(&settled).await,
            Ok(Err(())) | Err(ChangeError::Missing) => {}
            Err(ChangeError::Storage(error)) => {
                warn!(%error, function = %key.name, "function stays unsettled until the next start");
            }
        }
    }

    async fn serve(&mut self, function: &Function) {
        let Some(version) = resolved(function) else {
            return;
        };
        info!(function = %function.key.name, generation = version.deployment.generation, "function serves");
        self.publish(&function.key, Some(version.clone()));
        self.placement.retire(&function.key, Some(&version), Cause::Update).await;
    }

    fn publish(&self, key: &FunctionKey, version: Option<Arc<ResolvedVersion>>) {
        let mut next = Snapshot::clone(&self.snapshot.load());
        match version {
            Some(version) => next.insert(key.clone(), version),
            None => next.remove(key),
        };
        self.snapshot.store(Arc::new(next));
    }
}

async fn ready(placement: &Placement, function: &Function) -> Result<(), NotReady> {
    placement
        .can_run(function.configuration.runtime)
        .await
        .map_err(|missing| NotReady { code: "InvalidRuntime", reason: missing.to_string() })?;
    let layers = function.configuration.layers.iter().map(|layer| &layer.digest);
    for digest in layers.chain([&function.code.digest]) {
        placement
            .prepare(digest)
            .await
            .map_err(|reason| NotReady { code: "InvalidZipFileException", reason })?;
    }
    Ok(())
}
