//! Versions of SnapStart that wait to be initialised, each by a task of its own until it is known how that
//! went. Owned by the owner of what serves, who writes it down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::environment::Failure;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Version};
use dormouse_placement::{NotDonated, Placement};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

/// Before another try (ours); doubled each time.
const RETRY: Duration = Duration::from_secs(1);

/// How the Init of a version went.
#[derive(Debug)]
pub(super) struct Initialised {
    pub(super) version: Arc<ResolvedVersion>,
    /// Why not, in AWS's terms: a code and words.
    pub(super) result: Result<(), (&'static str, String)>,
}

/// The tasks. Dropping it ends them all.
#[derive(Debug)]
pub(super) struct Donations {
    placement: Placement,
    turns: Arc<Semaphore>,
    running: JoinSet<Option<Initialised>>,
    /// By what tells a version apart from one of another function of that name.
    known: HashMap<(FunctionKey, String, Version), AbortHandle>,
}

impl Donations {
    pub(super) fn new(placement: Placement) -> Self {
        Self {
            placement,
            turns: Arc::new(Semaphore::new(limits::SNAPSHOTS_AT_ONCE)),
            running: JoinSet::new(),
            known: HashMap::new(),
        }
    }

    /// Begins with these versions of a function unless that was begun before, and leaves off with those that
    /// are not among them any more.
    pub(super) fn keep(&mut self, key: &FunctionKey, waiting: Vec<ResolvedVersion>) {
        let wanted = |known: &(FunctionKey, String, Version)| {
            known.0 != *key || waiting.iter().any(|version| of(version) == *known)
        };
        self.known.retain(|known, task| {
            let stays = wanted(known);
            if !stays {
                task.abort();
            }
            stays
        });
        for version in waiting {
            let name = of(&version);
            if self.known.contains_key(&name) {
                continue;
            }
            info!(function = %version.key.name, version = %version.version, "version is initialised");
            let task = initialise(self.placement.clone(), self.turns.clone(), Arc::new(version));
            self.known.insert(name, self.running.spawn(task));
        }
    }

    /// The next one of which it is known. Cancel safe; never ends while there is none.
    pub(super) async fn next(&mut self) -> Initialised {
        loop {
            match self.running.join_next().await {
                Some(Ok(Some(initialised))) => {
                    self.known.remove(&of(&initialised.version));
                    return initialised;
                }
                // It was not wanted any more.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

fn of(version: &ResolvedVersion) -> (FunctionKey, String, Version) {
    (version.key.clone(), version.unique_id.clone(), version.version)
}

/// Tries until it is known; nothing when the server stops, whose successor goes on with it.
async fn initialise(
    placement: Placement,
    turns: Arc<Semaphore>,
    version: Arc<ResolvedVersion>,
) -> Option<Initialised> {
    let _turn = turns.acquire().await.ok()?;
    let mut wait = RETRY;
    for _ in 0..limits::SNAPSHOT_TRIES {
        match placement.donate(version.clone()).await {
            Ok(failure) => {
                let result = failure.as_ref().map(Failure::state_reason).map_or(Ok(()), Err);
                return Some(Initialised { version, result });
            }
            Err(NotDonated::Unwanted) => return None,
            Err(error @ (NotDonated::NoRoom | NotDonated::Sandbox)) => {
                warn!(%error, function = %version.key.name, "version is to be initialised again");
            }
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    let reason = "The execution environment could not be made.".to_owned();
    Some(Initialised { version, result: Err(("InternalError", reason)) })
}
