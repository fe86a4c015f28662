//! Unpacked code and layers of images by digest: one directory each, made once, shared read-only by
//! all environments.
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

use dormouse_model::image::{Image, LayerForm};
use dormouse_model::limits;
use dormouse_model::names::Digest;
use dormouse_store::image;
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

/// What is unpacked: a package, or a layer of an image in its form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Artifact {
    digest: Digest,
    layer: Option<LayerForm>,
}

/// The handle: asks for code.
#[derive(Debug, Clone)]
pub struct Artifacts {
    requests: mpsc::Sender<(Artifact, Reply)>,
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
        for directory in [directory.join(CODE), directory.join(LAYERS)] {
            fs::create_dir_all(&directory)?;
            remove_all_but(needed, &directory)?;
        }
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
        self.ask(digest, None).await
    }

    /// The directories with the unpacked layers of an image, in its order.
    ///
    /// # Errors
    /// As for code, and when they are too large together.
    pub async fn image(&self, image: &Image) -> Result<Vec<PathBuf>, Unavailable> {
        let mut layers = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            layers.push(self.ask(&layer.digest, Some(layer.form)).await?);
        }
        Ok(layers)
    }

    /// How many bytes the layers of an image have, unpacked. They must be.
    ///
    /// # Errors
    /// When it is not known of one.
    pub async fn image_bytes(&self, image: &Image) -> Result<u64, Unavailable> {
        let layers = self.image(image).await?;
        let reading = tokio::task::spawn_blocking(move || layers.iter().map(|it| bytes(it)).sum());
        let read: io::Result<u64> =
            reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        read.map_err(|error| Unavailable {
            digest: image.digest.clone(),
            reason: error.to_string(),
        })
    }

    async fn ask(&self, digest: &Digest, layer: Option<LayerForm>) -> Result<PathBuf, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let stopped =
            || Unavailable { digest: digest.clone(), reason: "worker has stopped".into() };
        let artifact = Artifact { digest: digest.clone(), layer };
        self.requests.send((artifact, reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

struct Owner {
    directory: PathBuf,
    packages: Packages,
    waiting: HashMap<Artifact, Vec<Reply>>,
    unpacking: JoinSet<(Artifact, Result<PathBuf, Unavailable>)>,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Artifact, Reply)>) {
        loop {
            tokio::select! {
                Some(Ok((artifact, result))) = self.unpacking.join_next() => {
                    for reply in self.waiting.remove(&artifact).unwrap_or_default() {
                        // Who asked may have gone away; the directory stays for the next.
                        let _ = reply.send(result.clone());
                    }
                }
                request = inbox.recv() => match request {
                    Some((artifact, reply)) => self.request(artifact, reply),
                    None => break,
                },
            }
        }
        while self.unpacking.join_next().await.is_some() {}
    }

    fn request(&mut self, artifact: Artifact, reply: Reply) {
        let kind = if artifact.layer.is_some() { LAYERS } else { CODE };
        let path = self.directory.join(kind).join(artifact.digest.as_str());
        if path.is_dir() {
            let _ = reply.send(Ok(artifact.inside(path)));
            return;
        }
        let waiting = self.waiting.entry(artifact.clone()).or_default();
        waiting.push(reply);
        if waiting.len() == 1 {
            let packages = self.packages.clone();
            self.unpacking.spawn(async move {
                let result = unpack(&packages, &artifact, path).await;
                let result = result.map(|path| artifact.inside(path));
                let result = result.map_err(|error| Unavailable {
                    digest: artifact.digest.clone(),
                    reason: error.to_string(),
                });
                (artifact, result)
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

impl Artifact {
    /// The content of an unpacked one. Beside that of a layer stands its size.
    fn inside(&self, path: PathBuf) -> PathBuf {
        if self.layer.is_some() { path.join(CONTENT) } else { path }
    }
}

async fn unpack(
    packages: &Packages,
    artifact: &Artifact,
    path: PathBuf,
) -> Result<PathBuf, UnpackError> {
    let (digest, layer) = (&artifact.digest, artifact.layer);
    let damaged = |error: String| UnpackError::Package(error);
    packages.verify(digest).await.map_err(|error| damaged(error.to_string()))?;
    let package = packages.file(digest).await.map_err(|error| damaged(error.to_string()))?;
    let unpacking = tokio::task::spawn_blocking(move || {
        let unfinished = path.with_extension(UNFINISHED);
        let extracted = match layer {
            None => extract(package, path),
            Some(form) => extract_layer(package, form, path),
        };
        if extracted.is_err() {
            // What cannot be removed now is removed at the next start.
            let _ = fs::remove_dir_all(unfinished);
        }
        extracted
    });
    unpacking.await.map_err(|error| UnpackError::Extract(error.to_string()))?
}

fn extract_layer(
    archive: fs::File,
    form: LayerForm,
    path: PathBuf,
) -> Result<PathBuf, UnpackError> {
    let unfinished = begin(&path)?;
    let content = unfinished.join(CONTENT);
    fs::create_dir(&content)?;
    let target = fs::File::open(&content)?;
    let from = io::BufReader::new(archive);
    let unpacked = image::unpack(from, form, target.as_fd(), limits::IMAGE_BYTES);
    let unpacked = unpacked.map_err(|error| UnpackError::Extract(with_cause(&error)))?;
    fs::set_permissions(&content, fs::Permissions::from_mode(0o755))?;
    fs::write(unfinished.join(SIZE), unpacked.bytes.to_string())?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// An error with what lies below it: of an image, say, that it does not decompress.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_cause(cause)),
        None => error.to_string(),
    }
}

fn bytes(content: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(content.with_file_name(SIZE))?;
    text.parse().map_err(io::Error::other)
}

fn begin(path: &Path) -> io::Result<PathBuf> {
    let unfinished = path.with_extension(UNFINISHED);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    Ok(unfinished)
}

fn extract(package: fs::File, path: PathBuf) -> Result<PathBuf, UnpackError> {
    let unfinished = begin(&path)?;
    let target = fs::File::open(&unfinished)?;
    package::extract(package, target.as_fd(), limits::UNZIPPED_BYTES)
        .map_err(|error| UnpackError::Extract(error.to_string()))?;
    // Environments run as a user of their own.
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

const UNFINISHED: &str = "unfinished";
/// Unpacked packages.
const CODE: &str = "code";
/// Unpacked layers of images.
const LAYERS: &str = "layers";
/// Of a layer, what it holds.
const CONTENT: &str = "content";
/// Of a layer, how many bytes that is.
const SIZE: &str = "bytes";

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
