//! Directories that are functions' code: which edition of one there is now.
//!
//! The kernel queues what changes (inotify) in the very call that changes it, so whoever asks after a
//! change hears of it. Nothing is done in between: many changes that come before the next invocation
//! are one new edition. Asking reads the queue and looks the directory up once more, without reading
//! it; only when directories came or went, or too much happened, is it walked anew.
//!
//! One lock, because asking is so short that a task for it would cost more; it is only taken on
//! threads that may block, and never held while anybody waits for something else.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_model::limits;
use dormouse_store::directories::{Directories, Found};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use tracing::warn;

/// What counts as a change. Reading does not.
const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Changes that let directories come or go.
const RESHAPING: ReadFlags = ReadFlags::ISDIR
    .union(ReadFlags::DELETE_SELF)
    .union(ReadFlags::MOVE_SELF)
    .union(ReadFlags::IGNORED)
    .union(ReadFlags::UNMOUNT);

/// The kernel's longest name and its record fit many times.
const BUFFER_BYTES: usize = 16_384;

/// Tells editions of directories. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directories: Directories,
    /// See above. Held for a few system calls on blocking threads, never over an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Made when the first directory is asked for: most servers have none.
    inotify: Option<OwnedFd>,
    roots: HashMap<PathBuf, Root>,
    /// The roots that a watch is for.
    watches: HashMap<i32, BTreeSet<PathBuf>>,
    /// Grows with each question.
    asked: u64,
    /// The last edition of any directory: none is ever given out twice.
    editions: u64,
}

/// A directory that is the code of some function.
#[derive(Debug, Default)]
struct Root {
    edition: u64,
    /// When it was last asked for.
    asked: u64,
    watched: Watched,
    changed: bool,
}

/// How much is known of what happens below a directory.
#[derive(Debug, Default, PartialEq, Eq)]
enum Watched {
    /// Nothing.
    #[default]
    Not,
    /// Everything below this directory.
    All { identity: (u64, u64) },
    /// Everything, but directories came or went since.
    Reshaped,
}

impl Watch {
    /// Watches directories below those that are allowed.
    pub(crate) fn new(directories: Directories) -> Self {
        Self { shared: Arc::new(Shared { directories, state: Mutex::default() }) }
    }

    /// The edition of a directory: a later one whenever something below it may have changed. What
    /// cannot be watched has a later one each time.
    pub(crate) async fn edition(&self, directory: &str) -> u64 {
        let (shared, directory) = (self.shared.clone(), directory.to_owned());
        let asking = tokio::task::spawn_blocking(move || {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.edition(&shared.directories, &directory)
        });
        // It only ends otherwise when the runtime does.
        asking.await.unwrap_or_default()
    }
}

impl State {
    fn edition(&mut self, directories: &Directories, directory: &str) -> u64 {
        self.drain();
        self.asked += 1;
        let asked = self.asked;
        let path = PathBuf::from(directory);
        self.make_room(&path);
        let now = directories.find(directory).ok().and_then(|found| {
            let identity = identity(&found.place).ok()?;
            Some((found, identity))
        });
        let root = self.roots.entry(path.clone()).or_default();
        root.asked = asked;
        let same = now
            .as_ref()
            .is_some_and(|(_, identity)| root.watched == Watched::All { identity: *identity });
        if same && !root.changed {
            return root.edition;
        }
        self.editions += 1;
        (root.edition, root.changed) = (self.editions, false);
        if !same {
            let watched = now.is_some_and(|(found, identity)| self.watch(&path, &found, identity));
            if !watched {
                self.forget(&path);
            }
        }
        self.editions
    }

    /// Reads what the kernel has queued.
    fn drain(&mut self) {
        let Some(inotify) = &self.inotify else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(inotify.as_fd(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let (watch, what) = (event.wd(), event.events());
                    note(&mut self.roots, self.watches.get(&watch), what);
                    if what.contains(ReadFlags::IGNORED) {
                        self.watches.remove(&watch);
                    }
                }
                Err(Errno::INTR) => {}
                // Nothing more is queued.
                Err(_) => return,
            }
        }
    }

    /// Watches a directory and all below it.
    fn watch(&mut self, path: &Path, found: &Found, identity: (u64, u64)) -> bool {
        match self.try_watch(path, found) {
            Ok(seen) => {
                self.unwatch(path, &seen);
                if let Some(root) = self.roots.get_mut(path) {
                    root.watched = Watched::All { identity };
                }
                true
            }
            Err(error) => {
                let directory = path.display();
                warn!(%error, %directory, "directory is taken as changed each time");
                false
            }
        }
    }

    fn forget(&mut self, path: &Path) {
        self.unwatch(path, &BTreeSet::new());
        self.roots.remove(path);
    }

    fn try_watch(&mut self, path: &Path, found: &Found) -> io::Result<BTreeSet<i32>> {
        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        let inotify = match self.inotify.take() {
            Some(inotify) => inotify,
            None => inotify::init(flags)?,
        };
        let walked = walk(&inotify, found);
        self.inotify = Some(inotify);
        let seen = walked?;
        for watch in &seen {
            self.watches.entry(*watch).or_default().insert(path.to_owned());
        }
        Ok(seen)
    }

    /// Lets go of what was watched for a root, but for these.
    fn unwatch(&mut self, path: &Path, but: &BTreeSet<i32>) {
        let Some(inotify) = &self.inotify else {
            return;
        };
        self.watches.retain(|watch, roots| {
            if !but.contains(watch) && roots.remove(path) && roots.is_empty() {
                // One that has gone by itself is as good.
                let _ = inotify::remove_watch(inotify, *watch);
                return false;
            }
            true
        });
    }

    /// Makes room for a new root: the one that was not asked for the longest is forgotten, and
    /// has a later edition when it is asked for again.
    fn make_room(&mut self, new: &Path) {
        if self.roots.contains_key(new) || self.roots.len() < limits::WATCHED_CODE {
            return;
        }
        let oldest = self.roots.iter().min_by_key(|(_, root)| root.asked);
        if let Some(path) = oldest.map(|(path, _)| path.clone()) {
            self.forget(&path);
        }
    }
}

/// What an event says of the roots that its watch is for.
fn note(roots: &mut HashMap<PathBuf, Root>, of: Option<&BTreeSet<PathBuf>>, what: ReadFlags) {
    let overflow = what.contains(ReadFlags::QUEUE_OVERFLOW);
    for (path, root) in roots {
        if !overflow && !of.is_some_and(|of| of.contains(path)) {
            continue;
        }
        root.changed = true;
        if (overflow || what.intersects(RESHAPING)) && root.watched != Watched::Not {
            root.watched = Watched::Reshaped;
        }
    }
}

fn identity(place: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fstat(place)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Watches a directory and all below it. Each is watched before it is read, so that one that appears
/// meanwhile is either read or told of.
fn walk(inotify: &OwnedFd, found: &Found) -> io::Result<BTreeSet<i32>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut seen = BTreeSet::new();
    // By path and not open: there may be more of them than descriptors.
    let mut waiting = vec![PathBuf::from(".")];
    while let Some(path) = waiting.pop() {
        if seen.len() >= limits::WATCHED_DIRECTORIES {
            return Err(io::Error::other("too many directories"));
        }
        let directory = match openat2(&found.place, &path, flags, Mode::empty(), beneath) {
            Ok(directory) => directory,
            // It is gone, or no directory any more.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => return Err(errno.into()),
        };
        // By descriptor: a path could lead elsewhere by now.
        let place = format!("/proc/self/fd/{}", directory.as_raw_fd());
        seen.insert(inotify::add_watch(inotify, place, CHANGES)?);
        for entry in Dir::read_from(&directory)?.flatten() {
            let name = entry.file_name();
            let may_be = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            if may_be && name != c"." && name != c".." {
                waiting.push(path.join(OsStr::from_bytes(name.to_bytes())));
            }
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        root: tempfile::TempDir,
        watch: Watch,
        last: u64,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("app/lib/deep")).unwrap();
            fs::write(root.path().join("app/main.py"), "1").unwrap();
            let watch = Watch::new(Directories::allow(&[root.path().to_owned()]).unwrap());
            Self { root, watch, last: 0 }
        }

        /// Whether there is a later edition than when it was asked last.
        fn changed(&mut self) -> bool {
            let directory = self.root.path().canonicalize().unwrap().join("app");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let edition = runtime.block_on(self.watch.edition(directory.to_str().unwrap()));
            assert!(edition >= self.last);
            let changed = edition > self.last;
            self.last = edition;
            changed
        }

        fn at(&self, name: &str) -> PathBuf {
            self.root.path().join("app").join(name)
        }
    }

    #[test]
    fn each_change_below_is_a_later_edition_and_reading_is_none() {
        let mut place = Place::new();
        assert!(place.changed(), "the first is later than none");
        fs::read(place.at("main.py")).unwrap();
        fs::read_dir(place.at("lib")).unwrap().count();
        assert!(!place.changed());
        let changes: [fn(&Place); 8] = [
            |place| fs::write(place.at("main.py"), "2").unwrap(),
            |place| fs::write(place.at("lib/deep/new.py"), "").unwrap(),
            |place| fs::create_dir_all(place.at("other/er")).unwrap(),
            |place| fs::write(place.at("other/er/a"), "").unwrap(),
            |place| fs::rename(place.at("other"), place.at("lib/other")).unwrap(),
            |place| fs::write(place.at("lib/other/er/a"), "3").unwrap(),
            |place| symlink("main.py", place.at("link")).unwrap(),
            |place| fs::remove_dir_all(place.at("lib")).unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            change(&place);
            assert!(place.changed(), "{number}");
            assert!(!place.changed(), "{number}");
        }
    }

    #[test]
    fn a_directory_that_is_replaced_or_comes_back_is_watched_anew() {
        let mut place = Place::new();
        place.changed();
        let old = place.root.path().join("old");
        fs::rename(place.at(""), &old).unwrap();
        fs::create_dir(place.at("")).unwrap();
        assert!(place.changed());
        assert!(!place.changed());
        // The one that was there before is nobody's any more.
        fs::write(old.join("main.py"), "old").unwrap();
        assert!(!place.changed());
        fs::remove_dir(place.at("")).unwrap();
        assert!(place.changed() && place.changed(), "what is not there is another each time");
        fs::create_dir(place.at("")).unwrap();
        assert!(place.changed());
        assert!(!place.changed());
        fs::write(place.at("main.py"), "new").unwrap();
        assert!(place.changed());
    }

    #[test]
    fn what_was_moved_out_and_what_a_link_leads_to_is_not_watched() {
        let mut place = Place::new();
        let outside = place.root.path().join("outside");
        fs::rename(place.at("lib"), &outside).unwrap();
        symlink(&outside, place.at("lib")).unwrap();
        place.changed();
        fs::write(outside.join("deep/x"), "").unwrap();
        assert!(!place.changed());
    }

    #[test]
    fn more_changes_than_the_kernel_queues_are_a_later_edition() {
        let mut place = Place::new();
        place.changed();
        let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        for number in 0..queue.trim().parse::<usize>().unwrap() / 2 + 1 {
            // Two different files by turns: the kernel merges what is alike.
            fs::write(place.at(&number.to_string()), "").unwrap();
        }
        fs::create_dir(place.at("unseen")).unwrap();
        assert!(place.changed());
        fs::write(place.at("unseen/file"), "").unwrap();
        assert!(place.changed());
        assert!(!place.changed());
    }

    #[test]
    fn the_directory_that_was_not_asked_for_the_longest_makes_room() {
        let mut place = Place::new();
        place.changed();
        let many = limits::WATCHED_CODE;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let root = place.root.path().canonicalize().unwrap();
        for number in 0..many {
            let directory = root.join(number.to_string());
            fs::create_dir(&directory).unwrap();
            runtime.block_on(place.watch.edition(directory.to_str().unwrap()));
        }
        assert_eq!(place.watch.shared.state.lock().unwrap().roots.len(), many);
        assert!(place.changed(), "it was forgotten");
        assert!(!place.changed());
    }
}
