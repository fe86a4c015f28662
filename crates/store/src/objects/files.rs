//! The files of objects: written aside, synced, then given a name that is never used again.
//!
//! Owns one directory: `staging/` for what is being written, and a directory for each run of the
//! server that kept something. A file is found only through a record, and has its name before the
//! record is written. Must never change a file that has its name.
//!
//! Everything here blocks: it belongs on threads that may.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const STAGING: &str = "staging";
/// Directories over which the files of a run are spread.
const SHELVES: u64 = 256;

/// The directory. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Files {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    run: String,
    next: AtomicU64,
    /// The shelves of this run that are there for sure. Held while one is made and synced, on threads
    /// that may block: who comes second must not acknowledge a file whose shelf a power cut could take.
    made: Mutex<BTreeSet<u64>>,
}

/// The name of a file: its path below the directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FileName(pub(super) String);

/// A file that is being written. Dropped, it is gone.
#[derive(Debug)]
pub struct Staged {
    files: Files,
    number: u64,
    file: File,
    written_bytes: u64,
}

/// A file that has its name and no record yet. Dropped, it is gone.
#[derive(Debug)]
pub struct Kept {
    files: Files,
    name: Option<FileName>,
    size_bytes: u64,
}

impl Files {
    /// Opens the directory, making it if need be, and removes what was being written when a former
    /// process ended. `run` must not have been one before.
    pub(super) fn open(directory: &Path, run: u128) -> io::Result<Self> {
        fs::create_dir_all(directory.join(STAGING))?;
        for entry in fs::read_dir(directory.join(STAGING))? {
            fs::remove_file(entry?.path())?;
        }
        let run = format!("{run:032x}");
        sync_directory(directory)?;
        directory.parent().map_or(Ok(()), sync_directory)?;
        let (directory, made) = (directory.to_owned(), Mutex::default());
        let shared = Shared { directory, run, next: AtomicU64::new(0), made };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins a file.
    pub(super) fn stage(&self) -> io::Result<Staged> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let path = self.staging(number);
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Staged { files: self.clone(), number, file, written_bytes: 0 })
    }

    /// Opens a file to read it.
    pub(super) fn read(&self, name: &FileName) -> io::Result<File> {
        File::open(self.path(name))
    }

    /// Gives the content of a file a second name. A file system that has no more names for it gets a
    /// copy.
    pub(super) fn again(&self, name: &FileName) -> io::Result<Kept> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (second, path) = self.place(number)?;
        match fs::hard_link(self.path(name), &path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(_) => return self.concatenate(std::slice::from_ref(name))?.keep(),
        }
        let size_bytes = fs::metadata(&path)?.len();
        let kept = Kept { files: self.clone(), name: Some(second), size_bytes };
        sync_directory(path.parent().unwrap_or(&self.shared.directory))?;
        Ok(kept)
    }

    /// Begins a file with the content of others, one behind the other.
    pub(super) fn concatenate(&self, names: &[FileName]) -> io::Result<Staged> {
        let mut whole = self.stage()?;
        for name in names {
            let mut part = self.read(name)?;
            // The kernel copies, or only refers to the same blocks where the file system can.
            whole.written_bytes += io::copy(&mut part, &mut whole.file)?;
        }
        Ok(whole)
    }

    /// The directories of former runs.
    pub(super) fn former_runs(&self) -> io::Result<Vec<String>> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(&self.shared.directory)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if name != STAGING && name != self.shared.run {
                runs.push(name);
            }
        }
        Ok(runs)
    }

    /// The files on the shelves of a former run, one shelf after the other.
    pub(super) fn shelves(&self, run: &str) -> io::Result<Vec<PathBuf>> {
        let shelves = fs::read_dir(self.shared.directory.join(run))?;
        shelves.map(|entry| Ok(entry?.path())).collect()
    }

    /// The names of the files on a shelf.
    pub(super) fn on_shelf(&self, shelf: &Path) -> io::Result<Vec<FileName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(shelf)? {
            let path = entry?.path();
            let below = path.strip_prefix(&self.shared.directory).ok().and_then(Path::to_str);
            names.extend(below.map(|below| FileName(below.to_owned())));
        }
        Ok(names)
    }

    /// Removes a file; it may be gone.
    pub(super) fn remove(&self, name: &FileName) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Removes a directory of a former run if nothing is in it.
    pub(super) fn remove_empty(&self, path: &Path) {
        let _ = fs::remove_dir(self.shared.directory.join(path));
    }

    fn staging(&self, number: u64) -> PathBuf {
        self.shared.directory.join(STAGING).join(number.to_string())
    }

    fn path(&self, name: &FileName) -> PathBuf {
        self.shared.directory.join(&name.0)
    }

    /// A new name and where it is, on a shelf that is there.
    fn place(&self, number: u64) -> io::Result<(FileName, PathBuf)> {
        let run = self.shared.directory.join(&self.shared.run);
        let shelf = run.join(format!("{:02x}", number % SHELVES));
        let mut made = self.shared.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !made.contains(&(number % SHELVES)) {
            fs::create_dir_all(&shelf)?;
            sync_directory(&run)?;
            sync_directory(&self.shared.directory)?;
            made.insert(number % SHELVES);
        }
        drop(made);
        let name = format!("{}/{:02x}/{number}", self.shared.run, number % SHELVES);
        Ok((FileName(name), shelf.join(number.to_string())))
    }
}

impl Staged {
    /// Writes on.
    ///
    /// # Errors
    /// The disk refused.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Bytes that were written.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.written_bytes
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written_bytes == 0
    }

    /// Syncs the file and gives it its name. It survives a power cut, and is found once there is a
    /// record of it.
    ///
    /// # Errors
    /// The disk refused; there is no file.
    pub fn keep(self) -> io::Result<Kept> {
        self.file.sync_all()?;
        let (name, path) = self.files.place(self.number)?;
        fs::rename(self.files.staging(self.number), &path)?;
        let size_bytes = self.written_bytes;
        let kept = Kept { files: self.files.clone(), name: Some(name), size_bytes };
        sync_directory(path.parent().unwrap_or(&self.files.shared.directory))?;
        Ok(kept)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Kept, it is no longer there; not removable, it is removed at the next start.
        let _ = fs::remove_file(self.files.staging(self.number));
    }
}

impl Kept {
    /// Its size.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Opens it for reading. Blocks.
    ///
    /// # Errors
    /// The disk refused.
    pub fn open(&self) -> io::Result<File> {
        let name = self.name.as_ref().ok_or(io::ErrorKind::NotFound)?;
        self.files.read(name)
    }

    /// Its name, for a record that is being written. The file stays from now on, whatever becomes of
    /// the commit: without a record the next start removes it.
    pub(super) fn recorded(mut self) -> FileName {
        self.name.take().expect("a kept file has its name until it is recorded")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = self.files.remove(name);
        }
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
