//! Directories that appear under their names only when they are complete. Each has its content in a directory
//! of its own, and beside it a label that says of what it is. Only the daemon reaches them.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dormouse_model::limits;
use tracing::warn;

const CONTENT: &str = "content";
const LABEL: &str = "label";
/// Ends the name of a directory that is being written.
const UNFINISHED: &str = ".unfinished";
/// Only the daemon itself.
const MODE: u32 = 0o700;

/// The directory of all of them.
#[derive(Debug)]
pub(crate) struct Shelf(PathBuf);

/// One that a former process has left.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) path: PathBuf,
}

impl Shelf {
    /// Makes it where it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(MODE))?;
        Ok(Self(directory.to_owned()))
    }

    /// All that are complete; what is not is removed.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn look(&self) -> io::Result<Vec<Found>> {
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

    /// One to be filled, whose content has this mode and at most so many bytes.
    ///
    /// # Errors
    /// When the disk has no room for that and what others need, and what the file system says.
    pub(crate) fn begin(&self, name: &str, mode: u32, bytes: u64) -> io::Result<Unfinished> {
        let disk = rustix::fs::statvfs(&self.0)?;
        has_room(disk.f_bavail.saturating_mul(disk.f_frsize), bytes)?;
        let path = self.0.join(format!("{name}{UNFINISHED}"));
        DirBuilder::new().mode(MODE).create(&path)?;
        let unfinished = Unfinished { path, finished: self.0.join(name) };
        fs::create_dir(unfinished.content())?;
        fs::set_permissions(unfinished.content(), Permissions::from_mode(mode))?;
        Ok(unfinished)
    }
}

/// What is kept here can be made again: what must be kept goes first.
fn has_room(available_bytes: u64, bytes: u64) -> io::Result<()> {
    if available_bytes >= bytes.saturating_add(limits::DISK_RESERVE_BYTES) {
        return Ok(());
    }
    let available_mb = available_bytes >> 20;
    let needed_mb = bytes >> 20;
    let text = format!("disk has {available_mb} MB left, of which this may take {needed_mb}");
    Err(io::Error::new(io::ErrorKind::StorageFull, text))
}

fn read(path: &Path) -> Option<Found> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(UNFINISHED) {
        return None;
    }
    let label = fs::read_to_string(path.join(LABEL)).ok()?;
    Some(Found { name: name.to_owned(), label, path: path.to_owned() })
}

/// The content of a directory that is complete.
pub(crate) fn content(path: &Path) -> PathBuf {
    path.join(CONTENT)
}

/// How many bytes the files in it have.
pub(crate) fn bytes(path: &Path) -> u64 {
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    fs::read_dir(path).map_or(0, |entries| entries.flatten().map(of).sum())
}

/// Removes one. What cannot be removed now is looked at again at the next start.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        warn!(%error, path = %path.display(), "directory stays until the next start");
    }
}

/// A directory that is being written; it goes with this value unless it is finished.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    finished: PathBuf,
}

impl Unfinished {
    /// Where the content goes.
    pub(crate) fn content(&self) -> PathBuf {
        content(&self.path)
    }

    /// It is complete: from now on it has its name, and is found again. Its content is on disk already, or may
    /// be lost with the power.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn finish(self, label: &str) -> io::Result<PathBuf> {
        let mut file = fs::File::create(self.path.join(LABEL))?;
        file.write_all(label.as_bytes())?;
        file.sync_all()?;
        fs::rename(&self.path, &self.finished)?;
        Ok(self.finished.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.path.exists() {
            remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_is_found_again_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(directory.path()).unwrap();
        let one = shelf.begin("one", 0o755, 0).unwrap();
        fs::create_dir(one.content().join("inside")).unwrap();
        fs::write(one.content().join("a"), "1").unwrap();
        fs::write(one.content().join("inside/b"), "234").unwrap();
        assert_eq!(bytes(&one.content()), 4);
        assert_eq!(fs::metadata(one.content()).unwrap().permissions().mode() & 0o777, 0o755);
        let path = one.finish("of a\nkind").unwrap();
        assert_eq!(fs::read(content(&path).join("a")).unwrap(), b"1");
        drop(shelf.begin("given-up", 0o700, 0).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        // As a process leaves it that is killed.
        std::mem::forget(shelf.begin("two", 0o700, 0).unwrap());
        fs::create_dir(directory.path().join("unlabelled")).unwrap();
        let [found] = shelf.look().unwrap().try_into().unwrap();
        assert_eq!((found.name.as_str(), found.label.as_str()), ("one", "of a\nkind"));
        assert_eq!(found.path, path);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_begun_that_would_take_what_others_need() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(directory.path()).unwrap();
        let refused = shelf.begin("one", 0o755, u64::MAX).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let reserve = limits::DISK_RESERVE_BYTES;
        assert!(has_room(reserve + 5, 5).is_ok() && has_room(reserve + 4, 5).is_err());
    }
}
