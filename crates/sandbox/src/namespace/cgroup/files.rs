//! Reading and writing below a root directory.
//!
//! Owns nothing. The root is `/` on a machine; a test points it at a plain directory that imitates
//! a hierarchy, so that layouts this machine does not have can be exercised.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::event::Timespec;

/// Where all paths of this module begin.
#[derive(Debug, Clone)]
pub(super) struct Root {
    path: PathBuf,
    /// A plain directory in a test: control files do not appear by themselves, so they are made
    /// when first written, and go with their directory.
    imitated: bool,
}

impl Root {
    pub(super) fn machine() -> Self {
        Self { path: PathBuf::from("/"), imitated: false }
    }

    #[cfg(test)]
    pub(super) fn imitated(path: &Path) -> Self {
        Self { path: path.to_owned(), imitated: true }
    }

    pub(super) fn at(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(self.at(path))
    }

    /// Opens a control file for writing.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(self.imitated).truncate(false).open(self.at(path))
    }

    pub(super) fn open_both(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(self.imitated).truncate(false).open(self.at(path))
    }

    /// One write system call, as control files want it.
    pub(super) fn write(&self, path: &Path, value: &str) -> io::Result<()> {
        self.open(path)?.write_all(value.as_bytes())
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.at(path).exists()
    }

    pub(super) fn mkdir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(self.at(path))
    }

    /// Like [`Root::mkdir`], but content with a directory that is there already.
    pub(super) fn mkdir_if_absent(&self, path: &Path) -> io::Result<()> {
        match self.mkdir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Removes a group; one that is not there is removed already.
    pub(super) fn rmdir(&self, path: &Path) -> io::Result<()> {
        let path = self.at(path);
        let removed = if self.imitated { fs::remove_dir_all(path) } else { fs::remove_dir(path) };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The groups directly below this one.
    pub(super) fn children(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut children = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                children.push(path.join(entry.file_name()));
            }
        }
        Ok(children)
    }

    /// The processes in a group. Those of a foreign pid namespace are shown as 0 and left out.
    pub(super) fn processes(&self, group: &Path) -> io::Result<Vec<i32>> {
        let text = match self.read(&group.join("cgroup.procs")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        Ok(text
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .filter(|pid| *pid > 0)
            .collect())
    }
}

/// How often a busy group is tried again; with the pauses below about 2 s in all.
const SETTLE_TRIES: u32 = 210;
/// The first pause; most groups are empty by then.
const FIRST_PAUSE_NANOS: i64 = 100_000;
/// The longest pause.
const LAST_PAUSE_NANOS: i64 = 10_000_000;

/// Tries `action` until the kernel no longer says busy: killed processes leave their groups a
/// little after the kill.
pub(super) fn settle(mut action: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut pause_nanos = FIRST_PAUSE_NANOS;
    for _ in 1..SETTLE_TRIES {
        match action() {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => pause(pause_nanos),
            other => return other,
        }
        pause_nanos = (pause_nanos * 2).min(LAST_PAUSE_NANOS);
    }
    action()
}

/// v1 has nothing to wait on for an empty group, and v2 tells it up to 10 ms late.
fn pause(nanos: i64) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: nanos };
    // An interrupted pause is only a shorter one.
    let _ = rustix::event::poll(&mut [], Some(&timeout));
}
