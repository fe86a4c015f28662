//! The files of snapshots. Each is a directory `ID.NUMBER.ENVIRONMENT` with what the machinery has written and,
//! beside it, the stamp that says what can use it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

/// What the machinery has written.
const IMAGES: &str = "images";
const STAMP: &str = "stamp";
/// Ends the name of a directory that is being written.
const UNFINISHED: &str = ".unfinished";
/// Only the daemon itself.
const MODE: u32 = 0o700;

/// The directory of all of them.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

/// One that a former process has left.
pub(super) struct Found {
    /// Its version: `ID.NUMBER`.
    pub(super) name: String,
    pub(super) snapshot: Snapshot,
}

impl Home {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(MODE))?;
        Ok(Self(directory.to_owned()))
    }

    /// All that are complete; what is not is removed.
    pub(super) fn look(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            match read(&path) {
                Some(one) => found.push(one),
                None => fs::remove_dir_all(&path)?,
            }
        }
        Ok(found)
    }

    pub(super) fn begin(&self, name: String) -> io::Result<Unfinished> {
        let path = self.0.join(format!("{name}{UNFINISHED}"));
        let make = |path: &Path| DirBuilder::new().mode(MODE).create(path);
        make(&path)?;
        let unfinished = Unfinished { path, finished: self.0.join(name) };
        make(&unfinished.images())?;
        Ok(unfinished)
    }
}

fn read(path: &Path) -> Option<Found> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(UNFINISHED) {
        return None;
    }
    let (name, _environment) = name.rsplit_once('.')?;
    let stamp = fs::read_to_string(path.join(STAMP)).ok()?;
    let snapshot = Snapshot::new(path.to_owned(), stamp);
    // Whatever becomes of it here, it was of use where it was made.
    snapshot.has_proved();
    Some(Found { name: name.to_owned(), snapshot })
}

/// A directory that is being written; it goes with this value unless it is finished.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    finished: PathBuf,
}

impl Unfinished {
    /// Where the machinery writes to.
    pub(crate) fn images(&self) -> PathBuf {
        self.path.join(IMAGES)
    }

    pub(super) fn finish(self, stamp: String) -> io::Result<Snapshot> {
        fs::write(self.path.join(STAMP), &stamp)?;
        fs::rename(&self.path, &self.finished)?;
        Ok(Snapshot::new(self.finished.clone(), stamp))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.path.exists() {
            remove(&self.path);
        }
    }
}

/// A snapshot that may be used. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot(Arc<Directory>);

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    stamp: String,
    /// An environment has gone on from it.
    proven: AtomicBool,
    unwanted: AtomicBool,
}

impl Snapshot {
    fn new(path: PathBuf, stamp: String) -> Self {
        let (proven, unwanted) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Directory { path, stamp, proven, unwanted }))
    }

    /// What the machinery has written.
    pub(crate) fn images(&self) -> PathBuf {
        self.0.path.join(IMAGES)
    }

    /// An environment has gone on from it.
    pub(crate) fn has_proved(&self) {
        self.0.proven.store(true, Ordering::Release);
    }

    pub(super) fn is_proven(&self) -> bool {
        self.0.proven.load(Ordering::Acquire)
    }

    pub(super) fn has(&self, stamp: &str) -> bool {
        self.0.stamp == stamp
    }

    pub(super) fn is_made_by(&self, machinery: &str) -> bool {
        self.0.stamp.strip_prefix(machinery).is_some_and(|rest| rest.starts_with('\n'))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Nobody may begin to use it any more: it goes with the last who does.
    pub(super) fn discard(&self) {
        self.0.unwanted.store(true, Ordering::Release);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Done at once: a few files are unlinked, and there is nobody left who could wait for that.
        if self.unwanted.load(Ordering::Acquire) {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        warn!(%error, path = %path.display(), "snapshot stays until the next start");
    }
}
