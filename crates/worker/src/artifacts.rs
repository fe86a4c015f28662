//! Unpacked code by digest: one directory each, made once, shared read-only by all environments.
//!
//! One task owns the directory. A digest that is being unpacked is not begun a second time: who asks
//! meanwhile waits for the same end. A directory appears under its final name only when complete,
//! so what a killed process left half-made is never used; it is removed at start.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dormouse_model::limits;
use dormouse_model::names::Digest;
use dormouse_store::package;
use dormouse_store::packages::Packages;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Why code cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("code {digest} cannot be unpacked: {reason}")]
pub struct Unavailable {
    /// Which.
    pub digest: Digest,
    /// Why, in words.
    pub reason: String,
}

type Reply = oneshot::Sender<Result<PathBuf, Unavailable>>;

/// The handle: asks for code.
#[derive(Debug, Clone)]
pub struct Artifacts {
    requests: mpsc::Sender<(Digest, Reply)>,
}

impl Artifacts {
    /// Starts the owner in `tasks`, over a directory that it empties of half-made things and of
    /// code that nobody needs any more.
    ///
    /// # Errors
    /// When the directory cannot be made or cleaned.
    pub fn start(
        directory: &Path,
        packages: Packages,
        needed: &BTreeSet<Digest>,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        remove_all_but(needed, directory)?;
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let owner = Owner {
            directory: directory.to_owned(),
            packages,
            waiting: HashMap::new(),
            unpacking: JoinSet::new(),
        };
        tasks.spawn(owner.run(inbox));
        Ok(Self { requests })
    }

    /// The directory with the unpacked code.
    ///
    /// # Errors
    /// When the package is missing, damaged or cannot be written.
    pub async fn code(&self, digest: &Digest) -> Result<PathBuf, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let stopped =
            || Unavailable { digest: digest.clone(), reason: "worker has stopped".into() };
        self.requests.send((digest.clone(), reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

struct Owner {
    directory: PathBuf,
    packages: Packages,
    waiting: HashMap<Digest, Vec<Reply>>,
    unpacking: JoinSet<(Digest, Result<PathBuf, Unavailable>)>,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Digest, Reply)>) {
        loop {
            tokio::select! {
                Some(Ok((digest, result))) = self.unpacking.join_next() => {
                    for reply in self.waiting.remove(&digest).unwrap_or_default() {
                        // Who asked may have gone away; the directory stays for the next.
                        let _ = reply.send(result.clone());
                    }
                }
                request = inbox.recv() => match request {
                    Some((digest, reply)) => self.request(digest, reply),
                    None => break,
                },
            }
        }
        while self.unpacking.join_next().await.is_some() {}
    }

    fn request(&mut self, digest: Digest, reply: Reply) {
        let path = self.directory.join(digest.as_str());
        if path.is_dir() {
            let _ = reply.send(Ok(path));
            return;
        }
        let waiting = self.waiting.entry(digest.clone()).or_default();
        waiting.push(reply);
        if waiting.len() == 1 {
            let packages = self.packages.clone();
            self.unpacking.spawn(async move {
                let result = unpack(&packages, &digest, path).await;
                let result = result.map_err(|error| Unavailable {
                    digest: digest.clone(),
                    reason: error.to_string(),
                });
                (digest, result)
            });
        }
    }
}

/// Why one unpacking went wrong.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("package is missing or damaged: {0}")]
    Package(String),
    #[error("package does not unpack: {0}")]
    Extract(String),
    #[error("directory cannot be written: {0}")]
    Directory(#[from] io::Error),
}

async fn unpack(
    packages: &Packages,
    digest: &Digest,
    path: PathBuf,
) -> Result<PathBuf, UnpackError> {
    let damaged = |error: String| UnpackError::Package(error);
    packages.verify(digest).await.map_err(|error| damaged(error.to_string()))?;
    let package = packages.file(digest).await.map_err(|error| damaged(error.to_string()))?;
    let unpacking = tokio::task::spawn_blocking(move || extract(package, path));
    unpacking.await.map_err(|error| UnpackError::Extract(error.to_string()))?
}

fn extract(package: fs::File, path: PathBuf) -> Result<PathBuf, UnpackError> {
    let unfinished = path.with_extension(UNFINISHED);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    let target = fs::File::open(&unfinished)?;
    package::extract(package, target.as_fd(), limits::UNZIPPED_BYTES)
        .map_err(|error| UnpackError::Extract(error.to_string()))?;
    // Environments run as a user of their own.
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

const UNFINISHED: &str = "unfinished";

fn remove_all_but(needed: &BTreeSet<Digest>, directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let digest = name.to_str().and_then(|name| name.parse::<Digest>().ok());
        if !digest.is_some_and(|digest| needed.contains(&digest)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
