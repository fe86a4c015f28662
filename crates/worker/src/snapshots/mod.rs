//! Snapshots of versions of SnapStart: for each version one at most, in a directory of its own below the data
//! directory, which appears under its final name only when it is complete.
//!
//! ```text
//!        claim             keep                  find, by as many environments as like
//! none ---------> Making ---------> Kept(snapshot) ------------------------------------>
//!   ^               | dropped         | spoil: it could not be used; find: it is of another machinery
//!   +--- later -- Vain <--------------+ nobody has ever gone on from it
//!   +------------------------------- none
//! ```
//!
//! Together they have a bound: past it those go that were used longest ago.
//!
//! A snapshot that is not wanted any more goes when the last environment has done with it. What lies in the
//! directory holds the memory of functions: nobody else may read it.

mod directory;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_model::clock::Clock;
use dormouse_model::environment::Micros;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::limits;
use dormouse_model::names::{EnvironmentId, FunctionKey, Version};
use dormouse_runtimes::{Interpreter, bootstraps_stamp};
use dormouse_sandbox::Network;
use tracing::{debug, info};

pub(crate) use self::directory::Snapshot;
use crate::shelf::{Shelf, Unfinished};

/// What the machinery writes is only for the daemon.
const MODE: u32 = 0o700;

/// Tells a version apart from all others, also from those of an earlier function of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnapshotKey {
    function: FunctionKey,
    unique_id: String,
    version: Version,
}

impl SnapshotKey {
    /// That of a version.
    #[must_use]
    pub fn of(version: &ResolvedVersion) -> Self {
        let (function, unique_id) = (version.key.clone(), version.unique_id.clone());
        Self { function, unique_id, version: version.version }
    }

    /// What its directories begin with: an id of ours and a number.
    fn file_name(&self) -> String {
        format!("{}.{}", self.unique_id, self.version)
    }
}

/// What is needed to open them.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    /// Where they lie; nothing else does.
    pub(crate) directory: &'a Path,
    /// What makes them here, or why nothing does: [`dormouse_sandbox::Backend::snapshots`].
    pub(crate) machinery: Result<String, String>,
    /// The versions that there are.
    pub(crate) versions: &'a [SnapshotKey],
    pub(crate) network: Network,
    pub(crate) clock: Clock,
}

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shelf: Shelf,
    /// Nothing where none can be made.
    machinery: Option<String>,
    network: Network,
    clock: Clock,
    // A lock, because owners of environments and of versions come here. Held for a look into a map.
    entries: Mutex<HashMap<SnapshotKey, Entry>>,
}

#[derive(Debug)]
enum Entry {
    Kept(Snapshot),
    /// By the holder of the turn.
    Making,
    /// The last turn brought none of use; none is wanted before this moment.
    Vain {
        not_before: Micros,
    },
}

impl Snapshots {
    /// Looks what a former process has left and removes what is of no use.
    ///
    /// # Errors
    /// When the directory cannot be made or cleaned.
    pub(crate) fn open(setting: Setting<'_>) -> io::Result<Self> {
        let Setting { directory, machinery, versions, network, clock } = setting;
        let machinery = machinery
            .inspect_err(|reason| {
                info!(reason, "no snapshots here: environments of SnapStart are initialised");
            })
            .ok();
        let shelf = Shelf::open(directory)?;
        let names: HashMap<String, &SnapshotKey> =
            versions.iter().map(|key| (key.file_name(), key)).collect();
        let mut entries = HashMap::new();
        let now = clock.now();
        for (name, snapshot) in shelf.look()?.into_iter().map(|found| Snapshot::found(found, now)) {
            let is_ours = |made_by: &String| snapshot.is_made_by(made_by);
            match names.get(&name).filter(|_| machinery.as_ref().is_some_and(is_ours)) {
                Some(key) if !entries.contains_key(*key) => {
                    entries.insert((*key).clone(), Entry::Kept(snapshot));
                }
                _ => snapshot.discard(),
            }
        }
        info!(kept = entries.len(), "snapshots of a former process");
        let entries = Mutex::new(entries);
        Ok(Self(Arc::new(Shared { shelf, machinery, network, clock, entries })))
    }

    /// What a snapshot is stamped with that an environment with this interpreter can go on from.
    fn stamp(&self, interpreter: Option<&Interpreter>) -> Option<String> {
        let machinery = self.0.machinery.as_ref()?;
        let program = interpreter.map_or_else(
            || "no interpreter".to_owned(),
            |it| format!("{} {}", it.program.display(), it.version),
        );
        let (network, bootstraps) = (self.0.network, bootstraps_stamp());
        Some(format!("{machinery}\n{program}\n{bootstraps}\n{network:?}\n"))
    }

    /// The snapshot of a version, if there is one of use.
    pub(crate) fn find(
        &self,
        version: &ResolvedVersion,
        interpreter: Option<&Interpreter>,
    ) -> Option<Snapshot> {
        let stamp = self.stamp(interpreter)?;
        let key = SnapshotKey::of(version);
        let mut entries = self.lock();
        let Some(Entry::Kept(snapshot)) = entries.get(&key) else { return None };
        if snapshot.has(&stamp) {
            snapshot.touch(self.0.clock.now());
            return Some(snapshot.clone());
        }
        debug!(snapshot = key.file_name(), "snapshot is of another interpreter or bootstrap");
        snapshot.discard();
        let gone = entries.remove(&key);
        drop((entries, gone));
        None
    }

    /// Whether one is to be made of a version: there is none, nobody makes one, and the last attempt is long
    /// ago.
    pub(crate) fn wants(&self, version: &ResolvedVersion) -> bool {
        self.0.machinery.is_some() && self.may_claim(self.lock().get(&SnapshotKey::of(version)))
    }

    fn may_claim(&self, entry: Option<&Entry>) -> bool {
        match entry {
            None => true,
            Some(Entry::Vain { not_before }) => self.0.clock.now() >= *not_before,
            Some(Entry::Kept(_) | Entry::Making) => false,
        }
    }

    /// The turn to make one, if one is to be made.
    pub(crate) fn claim(&self, version: &ResolvedVersion) -> Option<Turn> {
        self.0.machinery.as_ref()?;
        let key = SnapshotKey::of(version);
        let mut entries = self.lock();
        if !self.may_claim(entries.get(&key)) {
            return None;
        }
        entries.insert(key.clone(), Entry::Making);
        Some(Turn { snapshots: self.clone(), key })
    }

    /// One could not be used: it is not used again. Another is made at once, unless this one never was of use:
    /// then the next would be no better, and callers would wait for its failure each time.
    pub(crate) fn spoil(&self, version: &ResolvedVersion, snapshot: &Snapshot) {
        snapshot.discard();
        let is_it = |_: &SnapshotKey, entry: &mut Entry| matches!(entry, Entry::Kept(kept) if kept.is(snapshot));
        let was_there = !self.take(is_it).is_empty();
        if was_there && !snapshot.is_proven() {
            let vain = Entry::Vain { not_before: self.retry_at() };
            self.lock().entry(SnapshotKey::of(version)).or_insert(vain);
        }
    }

    /// When an attempt that begins to fail now may be made again.
    fn retry_at(&self) -> Micros {
        self.0.clock.now() + limits::SNAPSHOT_RETRY_MS * 1_000
    }

    /// A version was deleted, or all of a function.
    pub(crate) fn forget(&self, function: &FunctionKey, version: Option<Version>) {
        let is_of = |key: &SnapshotKey, _: &mut Entry| {
            key.function == *function && version.is_none_or(|version| version == key.version)
        };
        for entry in self.take(is_of) {
            if let Entry::Kept(snapshot) = entry {
                snapshot.discard();
            }
        }
    }

    /// Takes entries out. What goes with them goes without the lock.
    fn take(&self, which: impl FnMut(&SnapshotKey, &mut Entry) -> bool) -> Vec<Entry> {
        self.lock().extract_if(which).map(|(_, entry)| entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SnapshotKey, Entry>> {
        // Nothing in there panics halfway through a change.
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make the snapshot of a version; nobody else has it until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    snapshots: Snapshots,
    key: SnapshotKey,
}

impl Turn {
    /// An empty directory to write one to, of at most so many bytes. It is removed unless it is kept.
    ///
    /// # Errors
    /// When the disk has no room, and what the file system says.
    pub(crate) fn begin(&self, environment: &EnvironmentId, bytes: u64) -> io::Result<Unfinished> {
        let name = format!("{}.{environment}", self.key.file_name());
        self.snapshots.0.shelf.begin(&name, MODE, bytes)
    }

    /// From now on environments with this interpreter go on from it, unless the version is not there any more. It
    /// has so many bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn keep(
        self,
        (unfinished, bytes): (Unfinished, u64),
        interpreter: Option<&Interpreter>,
    ) -> io::Result<()> {
        let stamp = self.snapshots.stamp(interpreter).unwrap_or_default();
        let now = self.snapshots.0.clock.now();
        let snapshot = Snapshot::new(unfinished.finish(&stamp)?, stamp, bytes, now);
        let mut entries = self.snapshots.lock();
        match entries.get_mut(&self.key) {
            Some(entry @ Entry::Making) => *entry = Entry::Kept(snapshot),
            _ => snapshot.discard(),
        }
        let surplus = surplus(&entries, &self.key);
        let gone: Vec<Option<Entry>> = surplus.iter().map(|key| entries.remove(key)).collect();
        drop((entries, gone));
        Ok(())
    }
}

/// Those used longest ago, which are too many: never the one that has just come.
fn surplus(entries: &HashMap<SnapshotKey, Entry>, newest: &SnapshotKey) -> Vec<SnapshotKey> {
    let mut kept: Vec<(&SnapshotKey, &Snapshot)> = entries
        .iter()
        .filter_map(|(key, entry)| match entry {
            Entry::Kept(snapshot) => Some((key, snapshot)),
            Entry::Making | Entry::Vain { .. } => None,
        })
        .collect();
    kept.sort_by_key(|(key, snapshot)| (*key != newest, std::cmp::Reverse(snapshot.used())));
    let mut bytes = 0_u64;
    let mut gone = Vec::new();
    for (key, snapshot) in kept {
        bytes = bytes.saturating_add(snapshot.bytes());
        if bytes > limits::SNAPSHOTS_BYTES_MAX && key != newest {
            snapshot.discard();
            gone.push(key.clone());
        }
    }
    gone
}

impl Drop for Turn {
    fn drop(&mut self) {
        let not_before = self.snapshots.retry_at();
        if let Some(entry @ Entry::Making) = self.snapshots.lock().get_mut(&self.key) {
            *entry = Entry::Vain { not_before };
        }
    }
}
