//! Bytecode of packages, compiled ahead and read by all environments that have these packages, so that not each
//! Init has to compile them anew: Python's, and V8's of Node.js.
//!
//! ```text
//!                  +--------+   a sandbox of its own    +----------+
//!  find            | keeper | ------------------------> | compiler |
//!  --------------> |        | <------------------------ |          |
//!  <-------------- +--------+       an archive          +----------+
//!     archives        on a shelf
//! ```
//!
//! What is compiled together is all that lies at one place, as an environment sees it: the code, or its layers
//! one over the other. It is done once, one after the other, by nothing but our own scripts (`dormouse_compile.py`
//! and `compile.cjs` of `runtimes`), which never run what they compile; no environment can change it.
//! Whoever comes before it is done compiles for himself, as on Lambda.

mod compiler;
mod part;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_model::chance::Chance;
use dormouse_model::function::{Code, Configuration};
use dormouse_model::limits;
use dormouse_model::names::Digest;
use dormouse_runtimes::Interpreter;
use dormouse_sandbox::Backend;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, info};

use self::part::{Order, Part};
use crate::artifacts::Artifacts;
use crate::shelf::{Found, Shelf, content, remove};

/// What the keeper works with.
#[derive(Debug)]
pub(crate) struct Means {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) artifacts: Artifacts,
    pub(crate) bootstraps: PathBuf,
    pub(crate) chance: Chance,
}

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Bytecode {
    entries: Entries,
    orders: mpsc::Sender<Order>,
    /// The keeper gives up what it is at when all handles are gone.
    _alive: watch::Sender<()>,
}

// A lock, because owners of environments come here. Held for a look into a map.
type Entries = Arc<Mutex<HashMap<Part, Entry>>>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// Its directory has nothing but the archive.
    Kept(PathBuf),
    Ordered,
    /// There is none worth having.
    Vain,
}

/// Why there is no archive.
#[derive(Debug)]
enum Unmade {
    /// Whoever wants one next may try again.
    Now(String),
    /// It will be no better another time.
    Ever(String),
}

impl Bytecode {
    /// Starts the keeper in `tasks`, over a directory that it empties of what nobody needs any more.
    ///
    /// # Errors
    /// When the directory cannot be made or cleaned.
    pub(crate) fn start(
        directory: &Path,
        means: Means,
        needed: &BTreeSet<Digest>,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<Self> {
        let shelf = Shelf::open(directory)?;
        let mut entries = HashMap::new();
        for Found { label, path, .. } in shelf.look()? {
            match Part::from_label(&label).filter(|part| part.is_of(needed)) {
                Some(part) => drop(entries.insert(part, Entry::Kept(content(&path)))),
                None => remove(&path),
            }
        }
        let entries = Arc::new(Mutex::new(entries));
        let (orders, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let (alive, left) = watch::channel(());
        let keeper = Keeper { shelf, means, entries: entries.clone(), left };
        tasks.spawn(keeper.run(inbox));
        Ok(Self { entries, orders, _alive: alive })
    }

    /// Directories with the archives that there are for a function. Of what has none one is ordered, so that it is
    /// enough to look when a function is there that may be called soon.
    pub(crate) fn find(
        &self,
        code: &Code,
        configuration: &Configuration,
        interpreter: Option<&Interpreter>,
    ) -> Vec<PathBuf> {
        let Some(interpreter) = interpreter else { return Vec::new() };
        let orders = part::orders(code, configuration, interpreter);
        orders.into_iter().filter_map(|order| self.one(order)).collect()
    }

    fn one(&self, order: Order) -> Option<PathBuf> {
        let mut entries = lock(&self.entries);
        match entries.get(&order.part) {
            Some(Entry::Kept(directory)) => Some(directory.clone()),
            Some(Entry::Ordered | Entry::Vain) => None,
            None => {
                let part = order.part.clone();
                // When there are too many, the next who comes orders it again.
                if self.orders.try_send(order).is_ok() {
                    entries.insert(part, Entry::Ordered);
                }
                None
            }
        }
    }
}

fn lock(entries: &Entries) -> MutexGuard<'_, HashMap<Part, Entry>> {
    // Nothing in there panics halfway through a change.
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keeper {
    shelf: Shelf,
    means: Means,
    entries: Entries,
    /// Changes when nobody needs it any more.
    left: watch::Receiver<()>,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        while let Some(order) = inbox.recv().await {
            if self.left.has_changed().is_err() {
                return; // what is still ordered is ordered for nobody
            }
            let made = self.make(&order).await;
            let mut entries = lock(&self.entries);
            match made {
                Ok(directory) => {
                    info!(part = %order.part, "bytecode is kept");
                    entries.insert(order.part, Entry::Kept(directory));
                }
                Err(Unmade::Ever(reason)) => {
                    debug!(part = %order.part, reason, "no bytecode is kept");
                    entries.insert(order.part, Entry::Vain);
                }
                Err(Unmade::Now(reason)) => {
                    debug!(part = %order.part, reason, "no bytecode is kept for now");
                    entries.remove(&order.part);
                }
            }
        }
    }

    /// The directory with the archive.
    async fn make(&mut self, order: &Order) -> Result<PathBuf, Unmade> {
        let Self { shelf, means, left, .. } = self;
        let hosts = order.part.hosts(&means.artifacts).await.map_err(Unmade::Now)?;
        if !compiler::is_worth_it(hosts.clone(), order.interpreter.language).await {
            return Err(Unmade::Ever("there is little source".to_owned()));
        }
        let id = means.chance.environment_id();
        let now = |error: io::Error| Unmade::Now(error.to_string());
        let unfinished =
            shelf.begin(id.as_str(), compiler::MODE, limits::BYTECODE_BYTES_MAX).map_err(now)?;
        let directory = unfinished.content();
        let job = compiler::Job { id: id.as_str(), order, hosts };
        compiler::compile(means, job, directory, left).await?;
        let finished = unfinished.finish(&order.part.label()).map_err(now)?;
        Ok(content(&finished))
    }
}
