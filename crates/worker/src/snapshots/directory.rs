//! The files of snapshots: on a shelf, named `ID.NUMBER.ENVIRONMENT`, with what the machinery has written and a
//! label, the stamp, that says what can use it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dormouse_model::environment::Micros;

use crate::shelf::{self, Found};

/// A snapshot that may be used. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot(Arc<Directory>);

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    stamp: String,
    bytes: u64,
    /// When somebody began to use it last.
    used: AtomicU64,
    /// An environment has gone on from it.
    proven: AtomicBool,
    unwanted: AtomicBool,
}

impl Snapshot {
    pub(super) fn new(path: PathBuf, stamp: String, bytes: u64, now: Micros) -> Self {
        let (proven, unwanted) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Directory { path, stamp, bytes, used: now.into(), proven, unwanted }))
    }

    /// One that a former process has left, and the name of its version: `ID.NUMBER`.
    pub(super) fn found(found: Found, now: Micros) -> (String, Self) {
        let version = found.name.rsplit_once('.').map_or_else(String::new, |(it, _)| it.to_owned());
        let bytes = shelf::bytes(&found.path);
        let snapshot = Self::new(found.path, found.label, bytes, now);
        // Whatever becomes of it here, it was of use where it was made.
        snapshot.has_proved();
        (version, snapshot)
    }

    /// What the machinery has written.
    pub(crate) fn images(&self) -> PathBuf {
        shelf::content(&self.0.path)
    }

    /// Somebody begins to use it.
    pub(super) fn touch(&self, now: Micros) {
        self.0.used.store(now, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> Micros {
        self.0.used.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes
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
            shelf::remove(&self.path);
        }
    }
}
