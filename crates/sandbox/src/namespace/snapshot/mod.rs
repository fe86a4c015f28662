//! Snapshots: processes of a sandbox written to a directory, and brought back in other sandboxes.
//!
//! ```text
//! daemon --Aside + images, log, pipes--> spawner --clone--> entrant --enters, forks--> criu
//!   ^                                                          |                        |
//!   +------------------------- exit code ----------------------+<-----------------------+
//! ```
//!
//! What is hard about it is done by CRIU, a program of the host's, which must be there and new enough:
//! [`criu`]. It runs as the host's root in the sandbox's namespaces and group, but not among its users
//! ([`enter`]): only so may it read and set system call filters. The processes that it brings back join the
//! users of the sandbox they come back in, which differ from those they left; what was written is changed
//! so that it knows nothing of users ([`images`]).
//!
//! A connection does not survive: both ends would have to be written at the same moment, and one is the
//! daemon's. Runtimes that can be restored know that, and ask anew. `/tmp` goes along by [`tmp`].

mod criu;
pub(super) mod enter;
mod images;
mod tmp;

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_guest::{protocol, socket};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};

use self::criu::Criu;
pub(super) use self::criu::Lookup;
pub use self::criu::Setting;
use super::Host;
use super::cgroup::Cgroup;
use super::owner::{receive, send_patiently, watch};
use super::wire::{Aside, Order, Setup};
use crate::{SnapshotError, Stream};

/// The file beside the images that says what they are of.
const ABOUT: &str = "dormouse";

/// How much of a log is looked at for what went wrong, in bytes from its end.
const LOG_BYTES: u64 = 16 * 1024;

/// What the images are of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The number of the first process inside.
    pub(super) pid: i32,
    /// The pipes that it writes to, by their numbers in the kernel.
    pipes: Vec<(Written, u64)>,
}

/// What a pipe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Written {
    Out,
    Err,
    Records,
}

impl From<Stream> for Written {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Out => Self::Out,
            Stream::Err => Self::Err,
            Stream::Records => Self::Records,
        }
    }
}

impl About {
    /// Whether there is a pipe for framed log records.
    pub(super) fn has_records(&self) -> bool {
        self.pipes.iter().any(|(written, _)| *written == Written::Records)
    }

    /// What lies in a directory. Blocks.
    fn read(from: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(from.join(ABOUT))?;
        protocol::decode(&bytes).map_err(io::Error::other)
    }

    fn write(&self, into: &Path) -> io::Result<()> {
        let bytes = protocol::encode(self).map_err(io::Error::other)?;
        std::fs::write(into.join(ABOUT), bytes)
    }
}

/// A sandbox as seen from here.
#[derive(Debug)]
pub(super) struct Whose<'a> {
    pub(super) host: &'a Host,
    pub(super) cgroup: &'a Cgroup,
    /// Its PID 1.
    pub(super) pidfd: OwnedFd,
}

impl Whose<'_> {
    fn criu(&self) -> Result<Arc<Criu>, SnapshotError> {
        self.host.criu.get().map_err(|reason| SnapshotError::Unfit(reason.to_owned()))
    }
}

/// Writes the only process that PID 1 has started, and all that comes of it.
pub(super) async fn checkpoint(
    whose: Whose<'_>,
    pipes: Vec<(Stream, u64)>,
    into: PathBuf,
) -> Result<(), SnapshotError> {
    let criu = whose.criu()?;
    let guest = Guest::of(&whose.pidfd).map_err(step("guest"))?;
    let pipes = pipes.into_iter().map(|(stream, inode)| (stream.into(), inode)).collect();
    let about = About { pid: guest.only_child()?, pipes };
    let args = criu::dump(about.pid);
    run(&whose, &criu, Run { args, images: &into, pipes: Vec::new() }).await?;
    // All that could write to it is gone.
    blocking(move || {
        tmp::write(&guest.tmp()?, &into)?;
        images::forget_users(&into)?;
        about.write(&into)?;
        // Those who come back read them as root inside, who is nobody here.
        std::fs::set_permissions(&into, Permissions::from_mode(0o755))
    })
    .await
}

/// Learns what lies in a directory.
pub(super) async fn about(from: PathBuf) -> Result<About, SnapshotError> {
    blocking(move || About::read(&from)).await
}

/// Brings back what lies in a directory; `ends` are where it shall write to, in the order of a start.
pub(super) async fn restore(
    whose: Whose<'_>,
    (about, from): (About, PathBuf),
    ends: Vec<OwnedFd>,
) -> Result<(), SnapshotError> {
    let criu = whose.criu()?;
    let guest = Guest::of(&whose.pidfd).map_err(step("guest"))?;
    let images = from.clone();
    blocking(move || tmp::read(&images, &guest.tmp()?)).await?;
    let inodes: Vec<u64> = about.pipes.iter().map(|(_, inode)| *inode).collect();
    let args = criu::restore(&inodes);
    // Who comes back opens them anew, as root inside, who is nobody to the daemon's pipes.
    let pipes = ends.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>();
    permit(&ends, OPEN_TO_ALL).map_err(step("pipes"))?;
    let run = Run { args, images: &from, pipes: pipes.map_err(step("pipes"))? };
    self::run(&whose, &criu, run).await?;
    permit(&ends, OPEN_TO_NOBODY).map_err(step("pipes"))
}

/// Modes of a pipe, which has no name: it can be opened only by who has it open.
const OPEN_TO_ALL: Mode = Mode::from_raw_mode(0o666);
const OPEN_TO_NOBODY: Mode = Mode::from_raw_mode(0o600);

fn permit(pipes: &[OwnedFd], mode: Mode) -> io::Result<()> {
    pipes.iter().try_for_each(|pipe| Ok(rustix::fs::fchmod(pipe, mode)?))
}

/// PID 1 of a sandbox, as the host sees it. Its number is its own as long as it lives, and whoever has this
/// has a sandbox that lives; should it die meanwhile, what is read here is of nobody or unfit.
#[derive(Debug)]
struct Guest {
    pid: i32,
}

impl Guest {
    fn of(pidfd: &OwnedFd) -> io::Result<Self> {
        let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
        let pid = about.lines().find_map(|line| line.strip_prefix("Pid:"));
        let pid = pid.and_then(|pid| pid.trim().parse().ok()).filter(|pid| *pid > 0);
        Ok(Self { pid: pid.ok_or(io::ErrorKind::NotFound)? })
    }

    /// The number inside of its only child: what others have left behind could not come back with it.
    fn only_child(&self) -> Result<i32, SnapshotError> {
        let children = format!("/proc/{0}/task/{0}/children", self.pid);
        let children = std::fs::read_to_string(children).map_err(step("processes"))?;
        let children: Vec<&str> = children.split_ascii_whitespace().collect();
        let [child] = children.as_slice() else {
            let text = "processes run in it that are not the runtime's own".to_owned();
            return Err(SnapshotError::Unfit(text));
        };
        let status = std::fs::read_to_string(format!("/proc/{child}/status"));
        let status = status.map_err(step("processes"))?;
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let inside = numbers.and_then(|numbers| numbers.split_ascii_whitespace().last());
        let inside = inside.and_then(|number| number.parse().ok());
        inside.ok_or_else(|| step("processes")(io::ErrorKind::InvalidData.into()))
    }

    /// Its `/tmp`.
    fn tmp(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::open(format!("/proc/{}/root/tmp", self.pid), flags, Mode::empty())?)
    }
}

/// A run of CRIU.
struct Run<'a> {
    args: Vec<String>,
    images: &'a Path,
    pipes: Vec<OwnedFd>,
}

async fn run(whose: &Whose<'_>, criu: &Criu, run: Run<'_>) -> Result<(), SnapshotError> {
    let Run { args, images, pipes } = run;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let images = rustix::fs::open(images, flags, Mode::empty()).map_err(io::Error::from);
    let images = images.map_err(step("images"))?;
    let log = rustix::fs::memfd_create("criu-log", MemfdFlags::CLOEXEC).map_err(io::Error::from);
    let log = log.map_err(step("log"))?;
    let theirs = [
        whose.pidfd.try_clone().map_err(step("guest"))?,
        criu.program.try_clone().map_err(step("criu"))?,
        images,
        log.try_clone().map_err(step("log"))?,
    ];
    let code = ask(whose, args, theirs.into_iter(), pipes).await.map_err(step("spawner"))?;
    if code == 0 { Ok(()) } else { Err(step("criu")(said(code, log))) }
}

/// Has the spawner do it, and waits for the exit code.
async fn ask(
    whose: &Whose<'_>,
    args: Vec<String>,
    theirs: impl Iterator<Item = OwnedFd>,
    pipes: Vec<OwnedFd>,
) -> io::Result<i32> {
    let entry = whose.cgroup.entry()?;
    let (ours, answer) = socket::pair()?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let (into_cgroup, tasks) = (entry.into.is_some(), entry.tasks.len());
    let order = Order::Aside(Aside { args, into_cgroup, tasks });
    let bytes = protocol::encode(&order).map_err(io::Error::other)?;
    let descriptors: Vec<OwnedFd> = std::iter::once(answer)
        .chain(theirs)
        .chain(entry.into)
        .chain(entry.tasks)
        .chain(pipes)
        .collect();
    send_patiently(&whose.host.spawner, &bytes, &descriptors).await?;
    drop(descriptors);
    let received = receive(&watch(ours)?).await?;
    match protocol::decode(&received.bytes) {
        Ok(Setup::Ended { code }) => Ok(code),
        Ok(Setup::Failed { errno, .. }) => Err(io::Error::from_raw_os_error(errno)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// What CRIU says went wrong.
fn said(code: i32, log: OwnedFd) -> io::Error {
    let mut log = File::from(log);
    let mut text = String::new();
    let read = log
        .seek(io::SeekFrom::End(0))
        .and_then(|end| log.seek(io::SeekFrom::Start(end.saturating_sub(LOG_BYTES))))
        .and_then(|_| log.read_to_string(&mut text));
    // A log that cannot be read says nothing; the code remains.
    let _ = read;
    let first = text.lines().find(|line| line.contains("Error"));
    io::Error::other(format!("exit code {code}: {}", first.unwrap_or("nothing was logged")))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SnapshotError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).and_then(|done| done).map_err(step("files"))
}

pub(super) fn step(step: &'static str) -> impl Fn(io::Error) -> SnapshotError {
    move |source| SnapshotError::Step { step, source }
}
