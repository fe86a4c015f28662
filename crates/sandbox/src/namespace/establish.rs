//! The making of a sandbox, seen from the daemon, and its taking down.
//!
//! [`Parts`] owns everything of a sandbox that lies outside of it. Whatever step goes wrong, or
//! whoever stops waiting, the parts made so far are taken down.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dormouse_guest::protocol::{self, FromGuest};
use dormouse_guest::socket;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;

use super::cgroup::{Cgroup, Limits};
use super::ids::Pair;
use super::owner::{receive, send_patiently, watch};
use super::wire::{Content, Mapped, Order, Place, Setup, Step};
use super::{Host, Lease};
use crate::{CreateError, Links, Network, Root, SandboxSpec, Tree};

/// All steps together take about a millisecond; a machine that needs this long is out of order.
pub(super) const ESTABLISH_DEADLINE: Duration = Duration::from_secs(30);
/// A killed sandbox is gone at once, unless a process is stuck in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// What a running sandbox consists of outside.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) control: AsyncFd<OwnedFd>,
    pub(super) pidfd: AsyncFd<OwnedFd>,
    pub(super) listeners: [TcpListener; 2],
    lease: Option<Lease>,
    _ids: Pair,
}

/// What exists while the steps are under way.
struct Unfinished {
    ids: Pair,
    pidfd: Option<AsyncFd<OwnedFd>>,
    lease: Option<Lease>,
}

/// What the sandbox has told of itself during setup.
struct Told {
    pid: i32,
    listeners: [TcpListener; 2],
}

/// Makes a sandbox. On an error nothing of it is left.
pub(super) async fn establish(
    host: &Host,
    spec: &SandboxSpec,
) -> Result<(Parts, Arc<Cgroup>), CreateError> {
    let ids = host.ids.take().map_err(step("user numbers"))?;
    let limits = Limits {
        memory_bytes: spec.memory_bytes,
        cpu_millis: spec.cpu_millis,
        // PID 1 is ours and must not count.
        pids_max: spec.pids_max.saturating_add(1),
    };
    let cgroup = Arc::new(host.cgroups.create(&spec.id, &limits).map_err(step("cgroup"))?);
    let mut unfinished = Unfinished { ids, pidfd: None, lease: None };
    let steps = steps(host, spec, &cgroup, &mut unfinished);
    let result = tokio::time::timeout(ESTABLISH_DEADLINE, steps)
        .await
        .unwrap_or_else(|_| Err(step("deadline")(io::ErrorKind::TimedOut.into())));
    let Unfinished { ids, pidfd, lease } = unfinished;
    match (result, pidfd) {
        (Ok((control, listeners)), Some(pidfd)) => {
            Ok((Parts { control, pidfd, listeners, lease, _ids: ids }, cgroup))
        }
        (result, pidfd) => {
            take_down(pidfd.as_ref(), &cgroup, lease).await;
            Err(result.err().unwrap_or_else(|| step("clone")(io::ErrorKind::NotFound.into())))
        }
    }
}

impl Parts {
    /// Kills everything inside and removes what lies outside. Its pipes and sockets close when the
    /// parts are dropped.
    pub(super) async fn take_down(&mut self, cgroup: &Arc<Cgroup>) {
        take_down(Some(&self.pidfd), cgroup, self.lease.take()).await;
    }
}

async fn steps(
    host: &Host,
    spec: &SandboxSpec,
    cgroup: &Cgroup,
    unfinished: &mut Unfinished,
) -> Result<(AsyncFd<OwnedFd>, [TcpListener; 2]), CreateError> {
    let control = order(host, spec, cgroup, unfinished.ids.root()).await?;
    let told = listen(&control, spec.snapshots, unfinished).await?;
    if spec.network == Network::Outbound {
        unfinished.lease = Some(host.attach(told.pid).await.map_err(step("network"))?);
    }
    map_users(told.pid, &unfinished.ids, unfinished.pidfd.as_ref()).map_err(step("user map"))?;
    let go = protocol::encode(&Mapped).map_err(io::Error::other).map_err(step("user map"))?;
    send_patiently(&control, &go, &[]).await.map_err(step("user map"))?;
    let received = receive(&control).await.map_err(step("guest"))?;
    match protocol::decode(&received.bytes) {
        Ok(FromGuest::Ready) => Ok((control, told.listeners)),
        _ => Err(step("guest")(refusal(&received.bytes))),
    }
}

/// Hands the order to the spawner, which answers on the sandbox's own control socket.
async fn order(
    host: &Host,
    spec: &SandboxSpec,
    cgroup: &Cgroup,
    host_root: u32,
) -> Result<AsyncFd<OwnedFd>, CreateError> {
    let entry = cgroup.entry().map_err(step("cgroup"))?;
    let (ours, theirs) = socket::pair().map_err(step("control socket"))?;
    let place = Place {
        layers: layers(spec).map_err(step("content"))?,
        trees: contents(&spec.trees).map_err(step("content"))?,
        tmp_bytes: spec.tmp_bytes,
        host_root,
        into_cgroup: entry.into.is_some(),
        tasks: entry.tasks.len(),
        owns_pids: spec.snapshots,
    };
    let order = Order::Place(place);
    let bytes = protocol::encode(&order).map_err(io::Error::other).map_err(step("content"))?;
    let descriptors: Vec<OwnedFd> =
        [theirs].into_iter().chain(entry.into).chain(entry.tasks).collect();
    send_patiently(&host.spawner, &bytes, &descriptors).await.map_err(step("spawner"))?;
    rustix::io::ioctl_fionbio(&ours, true)
        .map_err(io::Error::from)
        .and_then(|()| watch(ours))
        .map_err(step("control socket"))
}

fn layers(spec: &SandboxSpec) -> io::Result<Vec<String>> {
    let layers = match &spec.root {
        Root::Host => return Ok(Vec::new()),
        // Without one there would be the host's.
        Root::Layers(layers) if layers.is_empty() => return Err(io::ErrorKind::InvalidInput.into()),
        Root::Layers(layers) => layers.iter(),
    };
    let text = |path: &PathBuf| path.to_str().map(str::to_owned);
    layers.map(|path| text(path).ok_or_else(|| io::ErrorKind::InvalidInput.into())).collect()
}

/// Trees as the spawner is told of them.
pub(super) fn contents(trees: &[Tree]) -> io::Result<Vec<Content>> {
    let text = |path: &PathBuf| path.to_str().map(str::to_owned);
    trees
        .iter()
        .map(|tree| {
            let hosts: Option<Vec<String>> = tree.hosts.iter().map(text).collect();
            match (hosts, tree.at.starts_with('/')) {
                (Some(hosts), true) if !hosts.is_empty() => {
                    let follow = tree.links == Links::Followed;
                    Ok(Content { hosts, at: tree.at.clone(), follow })
                }
                _ => Err(io::ErrorKind::InvalidInput.into()),
            }
        })
        .collect()
}

/// Waits until the spawner has told of the process and the process has told of itself. The two
/// may come in either order. Where another process is PID 1 than the one that was cloned, both are told of.
async fn listen(
    control: &AsyncFd<OwnedFd>,
    is_apart: bool,
    unfinished: &mut Unfinished,
) -> Result<Told, CreateError> {
    let (mut cloned, mut listeners, mut failed) = (None, None, None);
    let mut apart = None;
    loop {
        let received = receive(control).await.map_err(step("control socket"))?;
        let message = protocol::decode(&received.bytes)
            .map_err(|_| step("clone")(io::ErrorKind::UnexpectedEof.into()))?;
        let mut descriptors = received.descriptors.into_iter();
        match message {
            Setup::Cloned { pid: number } => {
                let pidfd = descriptors.next().ok_or(io::ErrorKind::InvalidData.into());
                let pidfd = pidfd.and_then(watch).map_err(step("clone"))?;
                unfinished.pidfd.get_or_insert(pidfd);
                cloned = Some(number);
            }
            Setup::Apart { pid: number } => {
                let pidfd = descriptors.next().ok_or(io::ErrorKind::InvalidData.into());
                unfinished.pidfd = Some(pidfd.and_then(watch).map_err(step("clone"))?);
                apart = Some(number);
            }
            Setup::Placed => {
                let both = (descriptors.next(), descriptors.next());
                listeners = Some(tokio_listeners(both).map_err(step("listeners"))?);
            }
            Setup::Failed { step: Step::Clone, errno } => {
                return Err(step("clone")(io::Error::from_raw_os_error(errno)));
            }
            Setup::Failed { step: at, errno } => {
                failed = Some(step(at.name())(io::Error::from_raw_os_error(errno)));
            }
            Setup::Prepared | Setup::Equipped | Setup::Ended { .. } => {}
        }
        let pid = if is_apart { cloned.and(apart) } else { cloned };
        match (cloned, failed.take(), pid, listeners.take()) {
            (Some(_), Some(error), _, _) => return Err(error),
            (_, None, Some(pid), Some(listeners)) => return Ok(Told { pid, listeners }),
            (_, error, _, kept) => (failed, listeners) = (error, kept),
        }
    }
}

fn tokio_listeners(both: (Option<OwnedFd>, Option<OwnedFd>)) -> io::Result<[TcpListener; 2]> {
    let (Some(runtime_api), Some(endpoint)) = both else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let listener = |descriptor: OwnedFd| {
        let listener = std::net::TcpListener::from(descriptor);
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    Ok([listener(runtime_api)?, listener(endpoint)?])
}

/// Gives the sandbox its two users. Root inside and the user inside are nobody on the host.
fn map_users(pid: i32, ids: &Pair, pidfd: Option<&AsyncFd<OwnedFd>>) -> io::Result<()> {
    let open =
        |name: &str| std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/{name}"));
    let files = [open("setgroups")?, open("uid_map")?, open("gid_map")?];
    // The number could have passed to a stranger if our process had ended: it has not ended, so
    // the files opened before are its own.
    if let Some(pidfd) = pidfd {
        let mut alive = [PollFd::new(pidfd.get_ref(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut alive, Some(&now))? != 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
    }
    let (root, user) = (ids.root(), ids.user());
    let contents = [
        "deny".to_owned(),
        format!("0 {root} 1\n993 {user} 1\n"),
        format!("0 {root} 1\n990 {user} 1\n"),
    ];
    for (file, content) in files.iter().zip(contents) {
        // One write: the kernel takes a map only as a whole.
        let written = rustix::io::write(file.as_fd(), content.as_bytes())?;
        if written != content.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

async fn take_down(pidfd: Option<&AsyncFd<OwnedFd>>, cgroup: &Arc<Cgroup>, lease: Option<Lease>) {
    if let Some(pidfd) = pidfd {
        // Dying takes CPU time: a group full of spinners under a small share would never get to it.
        let _ = cgroup.set_cpu(None);
        // PID 1 takes all others with it, and its end is told when the last of them is gone; the
        // group's own kill reaches those that PID 1 would first have to find.
        let _ = rustix::process::pidfd_send_signal(pidfd.get_ref(), Signal::KILL);
        let _ = cgroup.kill();
        // Dying needs to run, where the freezer is the old one.
        let _ = cgroup.thaw();
        if tokio::time::timeout(KILL_DEADLINE, pidfd.readable()).await.is_err() {
            tracing::error!("a killed sandbox does not end");
        }
    }
    let group = Arc::clone(cgroup);
    match tokio::task::spawn_blocking(move || group.remove()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "control group was not removed"),
        Err(error) => tracing::error!(%error, "control group was perhaps not removed"),
    }
    if let Some(lease) = lease {
        lease.release().await;
    }
}

/// What a wrong message in place of "ready" means.
fn refusal(bytes: &[u8]) -> io::Error {
    match protocol::decode(bytes) {
        Ok(Setup::Failed { errno, .. }) => io::Error::from_raw_os_error(errno),
        _ => io::ErrorKind::UnexpectedEof.into(),
    }
}

fn step(step: &'static str) -> impl Fn(io::Error) -> CreateError {
    move |source| CreateError::Step { step, source }
}
