//! One compilation: a sandbox of its own, in which nothing runs but our script over somebody's source.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::image::LayerForm;
use dormouse_model::limits;
use dormouse_runtimes::Language;
use dormouse_sandbox::{Created, Event, Exit, ProcessSpec, Stream};
use dormouse_store::image;
use tokio::sync::watch;

use super::{Means, Order, Unmade};
use crate::capacity;
use crate::recipe;

/// The mode of an archive's directory: whoever is in an environment that has it reads it.
pub(super) const MODE: u32 = 0o755;
const ARCHIVE_MODE: u32 = 0o644;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 1024 * 1024;
/// How much of what it says is told on.
const LAST_WORDS_BYTES: usize = 500;

/// What is compiled.
pub(super) struct Job<'a> {
    /// The sandbox's name.
    pub(super) id: &'a str,
    pub(super) order: &'a Order,
    /// Where the source lies.
    pub(super) hosts: Vec<PathBuf>,
}

/// Whether there is so much source that finding its bytecode is quicker than making it.
pub(super) async fn is_worth_it(hosts: Vec<PathBuf>, language: Language) -> bool {
    let (names, mut missing): (&[&str], u64) = match language {
        Language::Python => (&["py"], limits::BYTECODE_PYTHON_BYTES_MIN),
        Language::Node => (&["js", "cjs", "mjs"], limits::BYTECODE_NODE_BYTES_MIN),
    };
    let looking = tokio::task::spawn_blocking(move || {
        hosts.iter().any(|host| has_source(host, names, &mut missing).unwrap_or(false))
    });
    looking.await.unwrap_or(false)
}

/// Whether as many bytes lie below a directory, in files whose names end so, as are missing; if not, fewer are.
fn has_source(directory: &Path, names: &[&str], missing: &mut u64) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        let is_source = |name: &OsStr| names.iter().any(|it| name == *it);
        if kind.is_file() && path.extension().is_some_and(is_source) {
            *missing = missing.saturating_sub(entry.metadata()?.len());
            if *missing == 0 {
                return Ok(true);
            }
        } else if kind.is_dir() && has_source(&path, names, missing)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the archive into a directory, on disk. Given up when `left` changes.
///
/// # Errors
/// Why there is none.
pub(super) async fn compile(
    means: &Means,
    job: Job<'_>,
    directory: PathBuf,
    left: &mut watch::Receiver<()>,
) -> Result<(), Unmade> {
    let Order { part, interpreter, command } = job.order;
    let content = (job.hosts, part.place().at());
    let (spec, process) =
        recipe::compiler(job.id, command, content, (interpreter, &means.bootstraps));
    capacity::for_another(limits::STANDBY_ROOM_MB)
        .map_err(|error| Unmade::Now(error.to_string()))?;
    let path = directory.join(part.place().archive());
    let archive = Archive::create(&path)?;
    let created = means.backend.create(spec).await;
    let mut created = created.map_err(|error| Unmade::Now(recipe::in_words(&error)))?;
    let patience = Duration::from_millis(limits::BYTECODE_MS);
    let made = tokio::select! {
        made = tokio::time::timeout(patience, run(&mut created, process, archive)) => {
            made.unwrap_or_else(|_| Err(Unmade::Ever("it takes too long".to_owned())))
        }
        _ = left.changed() => Err(Unmade::Now("the server stops".to_owned())),
    };
    let Created { sandbox, events, connections } = created;
    // Nothing of it is left only when nobody holds its connections.
    drop((events, connections));
    sandbox.destroy().await;
    made?;
    match interpreter.language {
        Language::Python => Ok(()),
        Language::Node => unpack(path, directory).await,
    }
}

/// Puts what is in a tar in its place.
async fn unpack(tar: PathBuf, directory: PathBuf) -> Result<(), Unmade> {
    let unpacking = tokio::task::spawn_blocking(move || {
        let from = io::BufReader::new(File::open(&tar)?);
        fs::remove_file(tar)?;
        let target = File::open(directory)?;
        let limit_bytes = limits::BYTECODE_BYTES_MAX;
        image::unpack(from, LayerForm::Tar, target.as_fd(), limit_bytes).map_err(io::Error::other)
    });
    let unpacked = unpacking.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    unpacked.map(|_| ()).map_err(|error| Unmade::Ever(error.to_string()))
}

async fn run(
    created: &mut Created,
    process: ProcessSpec,
    mut archive: Archive,
) -> Result<(), Unmade> {
    let ever = |error: String| Unmade::Ever(error);
    created.sandbox.start(process).await.map_err(|error| ever(error.to_string()))?;
    let mut last_words = Vec::new();
    while let Some(event) = created.events.recv().await {
        match event {
            Event::Output { stream: Stream::Out, bytes, .. } => {
                archive = archive.add(bytes).await?
            }
            Event::Output { bytes, .. } => {
                last_words.extend_from_slice(&bytes);
                let surplus = last_words.len().saturating_sub(LAST_WORDS_BYTES);
                last_words.drain(..surplus);
            }
            Event::Exited { exit: Exit::Code(0), .. } => return archive.close().await,
            Event::Exited { exit, .. } => {
                let said = String::from_utf8_lossy(&last_words).into_owned();
                return Err(ever(format!("compiler ended with {exit:?}: {said}")));
            }
            Event::Gone => break,
            Event::Empty | Event::Drained { .. } => {}
        }
    }
    Err(ever("the sandbox has ended".to_owned()))
}

/// The file that is written. Never by the daemon's own thread.
struct Archive {
    file: File,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    total_bytes: u64,
}

impl Archive {
    fn create(path: &Path) -> Result<Self, Unmade> {
        let create = || {
            let file = File::create_new(path)?;
            // Whatever the daemon's umask is.
            file.set_permissions(Permissions::from_mode(ARCHIVE_MODE))?;
            Ok(Self { file, waiting: Vec::new(), waiting_bytes: 0, total_bytes: 0 })
        };
        create().map_err(|error: io::Error| Unmade::Now(error.to_string()))
    }

    async fn add(mut self, bytes: Bytes) -> Result<Self, Unmade> {
        self.total_bytes += bytes.len() as u64;
        if self.total_bytes > limits::BYTECODE_BYTES_MAX {
            return Err(Unmade::Ever("it is too large".to_owned()));
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes < WRITE_BYTES { Ok(self) } else { self.write(false).await }
    }

    async fn close(self) -> Result<(), Unmade> {
        self.write(true).await.map(|_| ())
    }

    /// Writes what waits, and if it is to be, makes sure that it is on disk.
    async fn write(mut self, last: bool) -> Result<Self, Unmade> {
        let writing = tokio::task::spawn_blocking(move || {
            for bytes in self.waiting.drain(..) {
                self.file.write_all(&bytes)?;
            }
            self.waiting_bytes = 0;
            if last {
                self.file.sync_all()?;
            }
            Ok(self)
        });
        let written: io::Result<Self> =
            writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|error| Unmade::Now(error.to_string()))
    }
}
