//! The group of one sandbox in all its hierarchies.
//!
//! Owns the directories it made, until [`Cgroup::remove`]; dropping it removes nothing, because
//! processes may still be inside.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use super::files::{self, Root};
use super::layout::{Controller, Layout, Place};
use super::limits::{self, Limits, When, Write};

/// The group of one sandbox.
#[derive(Debug)]
pub struct Cgroup {
    root: Root,
    layout: Layout,
    /// Below each home: `dormouse-<instance>/<id>`.
    below: PathBuf,
    freezer: Freezer,
    /// Kept open: it is read at the end of every invocation. v2 also keeps the reset of a peak per
    /// open file.
    peak: Option<File>,
}

/// Kept open: freezing and thawing are on the path of every invocation.
#[derive(Debug)]
enum Freezer {
    V2(File),
    V1(File),
    None,
}

/// How a new process gets into the group.
#[derive(Debug)]
pub struct Entry {
    /// For `clone3` with `CLONE_INTO_CGROUP`.
    pub into: Option<OwnedFd>,
    /// v1 `tasks` files: the process writes `0` into each while it is single-threaded, before
    /// anything else, so that all it does later is charged to the group.
    pub tasks: Vec<OwnedFd>,
}

impl Cgroup {
    pub(super) fn create(
        root: &Root,
        layout: &Layout,
        instance: &Path,
        id: &str,
        limits: &Limits,
    ) -> io::Result<Self> {
        let below = instance.join(id);
        let mut made: Vec<PathBuf> = Vec::new();
        let result = Self::build(root, layout, &below, limits, &mut made);
        if result.is_err() {
            for group in made {
                // The first error is the one to tell; an empty new group can be removed.
                let _ = root.rmdir(&group);
            }
        }
        result
    }

    fn build(
        root: &Root,
        layout: &Layout,
        below: &Path,
        limits: &Limits,
        made: &mut Vec<PathBuf>,
    ) -> io::Result<Self> {
        for home in layout.homes() {
            let group = home.join(below);
            root.mkdir(&group)?;
            made.push(group);
        }
        let mut group = Self {
            root: root.clone(),
            layout: layout.clone(),
            below: below.to_owned(),
            freezer: Freezer::None,
            peak: None,
        };
        group.write_all(&limits::for_new(layout, limits))?;
        group.freezer = group.open_freezer()?;
        group.peak = group.open_peak()?;
        Ok(group)
    }

    fn open_freezer(&self) -> io::Result<Freezer> {
        if let Some(group) = self.unified() {
            return Ok(Freezer::V2(self.root.open(&group.join("cgroup.freeze"))?));
        }
        match self.layout.v1().and_then(|v1| v1.freezer.as_ref()) {
            Some(home) => {
                let file = home.join(&self.below).join("freezer.state");
                Ok(Freezer::V1(self.root.open(&file)?))
            }
            None => Ok(Freezer::None),
        }
    }

    fn open_peak(&self) -> io::Result<Option<File>> {
        let open = |home: &Path, file| self.root.open_both(&home.join(&self.below).join(file));
        match self.layout.place(Controller::Memory) {
            // Absent before Linux 5.19, and not writable before 6.12: then what is in use is read anew.
            Some(Place::Unified(home)) => Ok(open(home, "memory.peak").ok()),
            Some(Place::V1(home)) => open(home, "memory.max_usage_in_bytes").map(Some),
            None => Ok(None),
        }
    }

    /// What a new process needs to get in.
    pub fn entry(&self) -> io::Result<Entry> {
        let into = match self.unified() {
            Some(group) => Some(open_directory(&self.root.at(&group))?),
            None => None,
        };
        let unified = self.layout.unified().map(|unified| unified.home.as_path());
        let mut tasks = Vec::new();
        for home in self.layout.homes().into_iter().filter(|home| Some(*home) != unified) {
            let file = self.root.open(&home.join(&self.below).join("tasks"))?;
            tasks.push(OwnedFd::from(file));
        }
        Ok(Entry { into, tasks })
    }

    /// Stops all processes from running. Returns when the kernel has been told; one that is busy
    /// in the kernel stops a little later. Twice is harmless.
    pub fn freeze(&self) -> io::Result<()> {
        match &self.freezer {
            Freezer::V2(file) => file.write_all_at(b"1", 0),
            Freezer::V1(file) => file.write_all_at(b"FROZEN", 0),
            Freezer::None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Lets them run again. Twice is harmless.
    pub fn thaw(&self) -> io::Result<()> {
        match &self.freezer {
            Freezer::V2(file) => file.write_all_at(b"0", 0),
            Freezer::V1(file) => file.write_all_at(b"THAWED", 0),
            Freezer::None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Kills all processes, frozen or not. They are gone a little later: [`Cgroup::remove`] waits.
    pub fn kill(&self) -> io::Result<()> {
        for home in self.layout.homes() {
            // The first one knows all processes, unless somebody entered only a later one.
            kill_group(&self.root, &home.join(&self.below))?;
        }
        Ok(())
    }

    /// The most memory in use at once, or what is in use now where the kernel keeps no peak, in bytes.
    pub fn memory_peak(&self) -> io::Result<u64> {
        match (&self.peak, self.layout.place(Controller::Memory)) {
            (Some(peak), _) => number_at_start(peak),
            (None, Some(Place::Unified(home))) => {
                Ok(number(&self.root.read(&home.join(&self.below).join("memory.current"))?))
            }
            (None, _) => Ok(0),
        }
    }

    /// How many processes the kernel killed for want of memory.
    pub fn oom_kills(&self) -> io::Result<u64> {
        let (home, file) = match self.layout.place(Controller::Memory) {
            Some(Place::Unified(home)) => (home, "memory.events"),
            Some(Place::V1(home)) => (home, "memory.oom_control"),
            None => return Ok(0),
        };
        let counters = self.root.read(&home.join(&self.below).join(file))?;
        Ok(keyed(&counters, "oom_kill"))
    }

    /// Starts the memory peak anew; `false` where the kernel cannot.
    pub fn reset_peak(&self) -> io::Result<bool> {
        Ok(self.peak.as_ref().is_some_and(|peak| peak.write_all_at(b"0", 0).is_ok()))
    }

    /// Changes the CPU share.
    pub fn set_cpu(&self, cpu_millis: Option<u32>) -> io::Result<()> {
        self.write_all(&limits::for_cpu(&self.layout, cpu_millis))
    }

    /// Changes the memory limit.
    pub fn set_memory(&self, bytes: u64) -> io::Result<()> {
        self.write_all(&limits::for_memory(&self.layout, bytes))
    }

    /// The processes inside, as the daemon names them.
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        match self.layout.homes().first() {
            Some(home) => self.root.processes(&home.join(&self.below)),
            None => Ok(Vec::new()),
        }
    }

    /// Removes the group; waits up to 2 s for killed processes to leave it. Twice is harmless.
    pub fn remove(&self) -> io::Result<()> {
        for home in self.layout.homes() {
            files::settle(|| self.root.rmdir(&home.join(&self.below)))?;
        }
        Ok(())
    }

    fn unified(&self) -> Option<PathBuf> {
        Some(self.layout.unified()?.home.join(&self.below))
    }

    fn write_all(&self, writes: &[Write]) -> io::Result<()> {
        for write in writes {
            let file = write.home.join(&self.below).join(write.file);
            if write.when == When::IfThere && !self.root.exists(&file) {
                continue;
            }
            match self.root.write(&file, &write.value) {
                Err(error) if is_above(&error) && write.when == When::UnlessAbove => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// How often a group without `cgroup.kill` is looked at again for processes born meanwhile.
const KILL_ROUNDS: u32 = 64;

/// Kills everything in one directory, thawing it if it is a v1 freezer. Returns how many processes
/// were signalled, 0 when the kernel did it in one go or there was nobody.
pub(super) fn kill_group(root: &Root, group: &Path) -> io::Result<u32> {
    let whole = group.join("cgroup.kill");
    if root.exists(&whole) {
        return root.write(&whole, "1").map(|()| 0);
    }
    let killed = kill_one_by_one(root, group)?;
    let state = group.join("freezer.state");
    if root.exists(&state) {
        root.write(&state, "THAWED")?;
    }
    let freeze = group.join("cgroup.freeze");
    if root.exists(&freeze) {
        root.write(&freeze, "0")?;
    }
    Ok(killed)
}

/// Frozen, nobody forks or gives its number away between looking and killing.
fn kill_one_by_one(root: &Root, group: &Path) -> io::Result<u32> {
    for (file, value) in [("freezer.state", "FROZEN"), ("cgroup.freeze", "1")] {
        let file = group.join(file);
        if root.exists(&file) {
            root.write(&file, value)?;
        }
    }
    let mut signalled: Vec<i32> = Vec::new();
    for _ in 0..KILL_ROUNDS {
        let found = root.processes(group)?;
        let new: Vec<i32> = found.into_iter().filter(|pid| !signalled.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new.iter().copied().filter_map(Pid::from_raw) {
            match rustix::process::kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        signalled.extend(new);
    }
    Ok(u32::try_from(signalled.len()).unwrap_or(u32::MAX))
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = i32::try_from(rustix::fs::OFlags::DIRECTORY.bits()).unwrap_or(0);
    Ok(OpenOptions::new().read(true).custom_flags(flags).open(path)?.into())
}

/// v1 refuses a quota above that of the group above.
fn is_above(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

fn number_at_start(file: &File) -> io::Result<u64> {
    let mut buffer = [0; 32];
    let length = file.read_at(&mut buffer, 0)?;
    Ok(std::str::from_utf8(&buffer[..length]).map_or(0, number))
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// The number after `key` in lines of `key number`.
fn keyed(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .map_or(0, |(_, value)| number(value))
}
