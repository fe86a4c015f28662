//! Packages as they were uploaded, each a file named by its SHA-256.
//!
//! Owns one directory: `<first two digits>/<digest>` for each blob and `put-<number>` for those
//! still being written. A blob is under its name only when all of it is on disk, and [`put`]
//! returns only when the name is too. Must never change a blob, nor serve one that is incomplete.
//!
//! Why not the crate `object_store` here: since 0.14 its local store can sync files and
//! directories (`with_fsync`, off by default), so durability is no longer the reason. What is
//! missing is the rest: half-written uploads of a killed process stay for ever, a blob that is
//! there but shorter than it must be is not noticed, nothing keeps a collection of unused blobs
//! from racing an upload of the same bytes, and an open blob is a stream, not a file that can be
//! seeked or handed to another process. It remains the way to stores that are not a directory.
//!
//! # Collecting what nothing refers to
//! A blob is put before the record that refers to it is written, so there is a moment in which it
//! looks unused. Age closes it: a put makes the blob young, also one that was there already, and
//! [`remove_unreferenced`] spares whatever is younger than the caller says. A lock held over each
//! of "is it there? make it young" and "is it old? remove it" keeps the two apart.
//!
//! [`put`]: Packages::put
//! [`remove_unreferenced`]: Packages::remove_unreferenced

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use dormouse_model::names::Digest;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use sha2::{Digest as _, Sha256};
use tokio::task;

const UNFINISHED: &str = "put-";
/// Bytes of a package that are in memory at once while it is copied or hashed (ours).
const COPY_BYTES: usize = 1024 * 1024;

/// A blob was not stored.
#[derive(Debug, thiserror::Error)]
#[error("package {digest} is not stored")]
pub struct PutError {
    /// Which.
    pub digest: Digest,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A blob was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("package {digest} is not here")]
    Absent {
        /// Which.
        digest: Digest,
    },
    /// There is one, but it cannot be read.
    #[error("package {digest} is unreadable")]
    Unreadable {
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A blob is not what its name says.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It was not opened, or not read to its end.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It has other bytes.
    #[error("package {digest} holds {found}")]
    Mismatch {
        /// Its name.
        digest: Digest,
        /// The name of what it holds.
        found: Digest,
    },
}

/// The blobs. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Packages {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    next: AtomicU64,
    /// Keeps "is it there?" of a put and "is it old?" of a collection apart. Held for a few
    /// system calls on blocking threads, never over an await or a sync.
    presence: Mutex<()>,
}

impl Packages {
    /// Opens the store in `directory`, making it if need be, and removes what a killed
    /// predecessor left unfinished. Only one process may have it open.
    ///
    /// # Errors
    /// The directory cannot be made, listed or cleaned.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        // A relative one would have no parent to sync.
        let directory = fs::canonicalize(directory)?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                fs::remove_file(entry.path())?;
            }
        }
        sync_directory(directory.parent().unwrap_or(&directory))?;
        Ok(Self {
            shared: Arc::new(Shared {
                directory,
                next: AtomicU64::new(0),
                presence: Mutex::new(()),
            }),
        })
    }

    /// Stores bytes. When this returns they survive a power failure; when it is dropped earlier
    /// they may or may not be stored, but never in part.
    ///
    /// # Errors
    /// The disk refused; nothing is stored.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, PutError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let digest = digest(&Sha256::digest(&bytes));
            match shared.put(&digest, &bytes) {
                Ok(()) => Ok(digest),
                Err(source) => Err(PutError { digest, source }),
            }
        })
        .await
    }

    /// Stores what a file holds, piece by piece, as [`Packages::put`]; says how many bytes it was.
    ///
    /// # Errors
    /// The file cannot be read, or the disk refused; nothing is stored.
    pub async fn put_file(&self, file: File) -> io::Result<(Digest, u64)> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.put_file(file)).await
    }

    /// Whether a blob of this size is here. It is young from now on, as if it had been put again.
    pub async fn has(&self, digest: &Digest, size: u64) -> bool {
        let (shared, digest) = (Arc::clone(&self.shared), digest.clone());
        blocking(move || shared.refresh(&shared.path(&digest), size).unwrap_or(false)).await
    }

    /// Stores what comes from elsewhere under the name that it should have; otherwise as [`put`].
    /// Blocks, and so belongs on a thread that may.
    ///
    /// # Errors
    /// It has another name or more bytes than it should, or cannot be read or written.
    ///
    /// [`put`]: Self::put
    pub fn put_from(&self, from: impl Read, digest: &Digest, size: u64) -> Result<(), PutError> {
        let put = || {
            let (unfinished, mut file) = self.shared.begin()?;
            copy(from, &mut file, digest, size)?;
            self.shared.place(digest, size, || {
                file.sync_all()?;
                Ok(unfinished)
            })
        };
        put().map_err(|source| PutError { digest: digest.clone(), source })
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    pub async fn file(&self, digest: &Digest) -> Result<File, OpenError> {
        let (shared, digest) = (Arc::clone(&self.shared), digest.clone());
        blocking(move || shared.file(&digest)).await
    }

    /// Reads a blob and compares it with its name.
    ///
    /// # Errors
    /// There is none, or it holds something else.
    pub async fn verify(&self, digest: &Digest) -> Result<(), VerifyError> {
        let (shared, digest) = (Arc::clone(&self.shared), digest.clone());
        blocking(move || shared.verify(&digest)).await
    }

    /// Removes the blobs that are not in `referenced` and were last put before `older_than`;
    /// says how many.
    ///
    /// `older_than` must lie before the moment `referenced` was read, by more than a record can
    /// come after its blob.
    ///
    /// # Errors
    /// The disk refused; what was removed until then is gone.
    pub async fn remove_unreferenced(
        &self,
        referenced: HashSet<Digest>,
        older_than: SystemTime,
    ) -> io::Result<usize> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.remove_unreferenced(&referenced, older_than)).await
    }
}

impl Shared {
    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.as_str();
        self.directory.join(&name[..2]).join(name)
    }

    fn put(&self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        self.place(digest, bytes.len() as u64, || self.write(bytes))
    }

    /// Copies first: the name is known only once everything was read.
    fn put_file(&self, mut file: File) -> io::Result<(Digest, u64)> {
        let (unfinished, mut copy) = self.begin()?;
        let (mut hasher, mut size) = (Sha256::new(), 0);
        let mut bytes = vec![0; COPY_BYTES];
        loop {
            match file.read(&mut bytes)? {
                0 => break,
                read => {
                    hasher.update(&bytes[..read]);
                    copy.write_all(&bytes[..read])?;
                    size += read as u64;
                }
            }
        }
        let digest = digest(&hasher.finalize());
        self.place(&digest, size, || {
            copy.sync_all()?;
            Ok(unfinished)
        })?;
        Ok((digest, size))
    }

    /// Gives a blob its name, unless it is there already.
    fn place(
        &self,
        digest: &Digest,
        size: u64,
        write: impl FnOnce() -> io::Result<Unfinished>,
    ) -> io::Result<()> {
        let path = self.path(digest);
        let shelf = path.parent().unwrap_or(&self.directory);
        if !self.refresh(&path, size)? {
            let unfinished = write()?;
            match fs::create_dir(shelf) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            unfinished.rename(&path)?;
        }
        // Also when the blob was there: whoever renamed it may have been killed before this, or
        // may not have come to it yet.
        sync_directory(shelf)?;
        sync_directory(&self.directory)
    }

    /// Makes the blob young if it is there and has the right size.
    fn refresh(&self, path: &Path, size: u64) -> io::Result<bool> {
        let _guard = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() != size {
            return Ok(false);
        }
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        futimens(&file, &times)?;
        Ok(true)
    }

    fn begin(&self) -> io::Result<(Unfinished, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{UNFINISHED}{number}"));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((Unfinished { path }, file))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<Unfinished> {
        let (unfinished, mut file) = self.begin()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(unfinished)
    }

    fn file(&self, digest: &Digest) -> Result<File, OpenError> {
        let digest = digest.clone();
        File::open(self.path(&digest)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => OpenError::Absent { digest },
            _ => OpenError::Unreadable { digest, source },
        })
    }

    fn verify(&self, named: &Digest) -> Result<(), VerifyError> {
        let mut file = self.file(named)?;
        let found = hash(&mut file)
            .map_err(|source| OpenError::Unreadable { digest: named.clone(), source })?;
        if found == *named {
            Ok(())
        } else {
            Err(VerifyError::Mismatch { digest: named.clone(), found })
        }
    }

    fn remove_unreferenced(
        &self,
        referenced: &HashSet<Digest>,
        older_than: SystemTime,
    ) -> io::Result<usize> {
        let mut removed = 0;
        for shelf in fs::read_dir(&self.directory)? {
            let shelf = shelf?;
            if !shelf.file_type()?.is_dir() {
                continue;
            }
            for blob in fs::read_dir(shelf.path())? {
                let blob = blob?;
                let name = blob.file_name().to_str().and_then(|name| name.parse().ok());
                // What is not named like a blob is not ours to remove.
                let Some::<Digest>(digest) = name else {
                    continue;
                };
                if !referenced.contains(&digest) && self.remove_old(&blob.path(), older_than)? {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn remove_old(&self, path: &Path, older_than: SystemTime) -> io::Result<bool> {
        let _guard = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        let modified = match fs::metadata(path) {
            Ok(meta) => meta.modified()?,
            // Another collection was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if modified >= older_than {
            return Ok(false);
        }
        fs::remove_file(path)?;
        Ok(true)
    }
}

/// A blob that is being written. Dropped, it is gone.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    fn rename(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Renamed, it is no longer there; not removable, it is removed when the store is opened.
        let _ = fs::remove_file(&self.path);
    }
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut bytes = vec![0; COPY_BYTES];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(digest(&hasher.finalize())),
            read => hasher.update(&bytes[..read]),
        }
    }
}

/// Copies what must be so many bytes of that digest.
fn copy(from: impl Read, to: &mut File, expected: &Digest, size: u64) -> io::Result<()> {
    let mut hasher = Sha256::new();
    let mut bytes = vec![0; 1024 * 1024];
    // One byte more tells that there is more.
    let mut from = from.take(size.saturating_add(1));
    let mut copied = 0;
    loop {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => {
                copied += read as u64;
                hasher.update(&bytes[..read]);
                to.write_all(&bytes[..read])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let found = digest(&hasher.finalize());
    if copied == size && found == *expected {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("it holds {copied} bytes of {found}")))
}

fn digest(hash: &[u8]) -> Digest {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("32 bytes are 64 lower-case hex digits")
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Runs on a thread that may block. A panic there is one here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is being dropped does this; it never polls us again.
            Err(_) => std::future::pending().await,
        },
    }
}
