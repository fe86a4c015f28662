//! The `namespace` backend: Linux namespaces, cgroups, seccomp, on the host's own kernel.
//!
//! ```text
//! daemon                         spawner (one thread)          sandbox, PID 1
//! Namespace --Place + sockets--> clone3 ----------------------> place: own root, users, listeners
//!   owner   <-----pid, pidfd-----                               |
//!   owner   <---------------- listeners ------------------------+
//!   owner   --------------- user map is written --------------> guest::run
//!   owner   <===================== guest protocol ==============>
//! ```
//!
//! A sandbox that was made ahead gets what it lacks by way of the spawner, too: `equip`. So do processes get
//! into and out of a snapshot: `snapshot`.
//!
//! [`Namespace`] is the daemon's side; [`spawner`] is a process of its own that never saw a secret
//! of the daemon; `place` runs in the new process. A network namespace lives until the last
//! [`crate::Connection`] from or into it is dropped, too: owners drop those before they destroy.

pub mod cgroup;
pub mod doctor;
pub mod network;
pub mod spawner;

mod base;
mod connect;
mod equip;
mod establish;
mod handle;
mod ids;
mod mounts;
mod output;
mod owner;
mod place;
mod seccomp;
mod snapshot;
mod wire;

use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::{Backend, BoxFuture, CONNECTION_QUEUE, CreateError, Created, EVENT_QUEUE, SandboxSpec};
use cgroup::Cgroups;
use handle::{Handle, Shared};
use ids::HostIds;
use owner::Owner;
use snapshot::Lookup;
pub use snapshot::Setting as Criu;
use spawner::Spawner;

/// How many calls on one sandbox may wait for its task.
const COMMAND_QUEUE: usize = 16;

/// How long the spawner may take to end.
const SPAWNER_DEADLINE: Duration = Duration::from_secs(5);

/// What the backend works with.
#[derive(Debug)]
pub struct Config {
    /// The name of the daemon on this host; two daemons must differ.
    pub instance: String,
    /// Started before.
    pub spawner: Spawner,
    /// Where sandboxes are limited.
    pub cgroups: Cgroups,
    /// How sandboxes reach the outside; `None` refuses [`crate::Network::Outbound`].
    pub network: Option<Attach>,
    /// What writes and restores snapshots.
    pub criu: Criu,
}

/// The backend.
#[derive(Debug)]
pub struct Namespace {
    // Locks, because callers of different tasks come here. Held for a few instructions.
    host: Mutex<Option<Arc<Host>>>,
    owners: Mutex<JoinSet<()>>,
    spawner: Mutex<Option<Child>>,
}

/// What all sandboxes of the backend share.
#[derive(Debug)]
struct Host {
    spawner: AsyncFd<OwnedFd>,
    cgroups: Cgroups,
    network: Option<Attach>,
    ids: Arc<HostIds>,
    criu: Lookup,
}

impl Namespace {
    /// Takes over what was prepared. Must be called inside an asynchronous runtime.
    pub fn new(config: Config) -> io::Result<Self> {
        let Spawner { child, socket } = config.spawner;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let host = Host {
            spawner: owner::watch(socket)?,
            cgroups: config.cgroups,
            network: config.network,
            ids: HostIds::new(&config.instance),
            criu: Lookup::new(config.criu),
        };
        Ok(Self {
            host: Mutex::new(Some(Arc::new(host))),
            owners: Mutex::default(),
            spawner: Mutex::new(Some(child)),
        })
    }

    fn host(&self) -> Result<Arc<Host>, CreateError> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        host.clone().ok_or(CreateError::ShutDown)
    }
}

impl Backend for Namespace {
    fn name(&self) -> &'static str {
        "namespace"
    }

    fn snapshots(&self) -> Result<String, String> {
        let host = self.host().map_err(|error| error.to_string())?;
        host.criu.get().map(|criu| criu.identity()).map_err(str::to_owned)
    }

    fn create(&self, spec: SandboxSpec) -> BoxFuture<'_, Result<Created, CreateError>> {
        Box::pin(async move {
            let host = self.host()?;
            let (reply, created) = oneshot::channel();
            {
                let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
                while owners.try_join_next().is_some() {}
                // In a task, so that a caller who stops waiting cannot leave half a sandbox.
                owners.spawn(live(host, spec, reply));
            }
            created.await.unwrap_or(Err(CreateError::ShutDown))
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).take();
            let owners =
                std::mem::take(&mut *self.owners.lock().unwrap_or_else(PoisonError::into_inner));
            owners.join_all().await;
            if let Some(host) = host {
                host.close().await;
            }
            let child = self.spawner.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(child) = child {
                end_spawner(child).await;
            }
        })
    }
}

impl Host {
    /// Connects a sandbox with the outside.
    async fn attach(&self, pid: i32) -> io::Result<Lease> {
        let Some(network) = self.network.clone() else {
            return Err(io::Error::other("this host gives sandboxes no network"));
        };
        let attached = tokio::task::spawn_blocking(move || (network.0)(pid)).await;
        Ok(Lease(attached.map_err(io::Error::other)??))
    }

    async fn close(self: Arc<Self>) {
        let closed = tokio::task::spawn_blocking(move || {
            if let Err(error) = self.cgroups.close() {
                tracing::warn!(%error, "control groups were not removed");
            }
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "backend was not closed");
        }
    }
}

/// Connects the network namespace of a process with the outside; what it returns gives the
/// connection back when dropped.
#[derive(Clone)]
pub struct Attach(pub AttachFn);

/// The call behind [`Attach`]; may block.
pub type AttachFn = Arc<dyn Fn(i32) -> io::Result<Box<dyn Send>> + Send + Sync>;

impl std::fmt::Debug for Attach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attach")
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lease")
    }
}

/// A sandbox's place in the network.
struct Lease(Box<dyn Send>);

impl Lease {
    /// Gives it back. Deleting a device waits for the kernel, some tens of milliseconds.
    async fn release(self) {
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self.0)).await {
            tracing::error!(%error, "network address was not given back");
        }
    }
}

/// The life of one sandbox.
async fn live(
    host: Arc<Host>,
    spec: SandboxSpec,
    reply: oneshot::Sender<Result<Created, CreateError>>,
) {
    let (parts, cgroup) = match establish::establish(&host, &spec).await {
        Ok(made) => made,
        Err(error) => {
            // Whoever has stopped waiting needs no answer.
            let _ = reply.send(Err(error));
            return;
        }
    };
    let shared = Arc::new(Shared::new(spec.id, cgroup, Arc::downgrade(&host)));
    drop(host);
    let (commands_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (events_sender, events) = mpsc::channel(EVENT_QUEUE + 1);
    let (connections_sender, connections) = mpsc::channel(CONNECTION_QUEUE);
    let handle = Handle::new(Arc::clone(&shared), commands_sender);
    let created = Created { sandbox: Arc::new(handle), events, connections };
    // If nobody waits any more the handle is dropped here, and the owner's first command is the end.
    let _ = reply.send(Ok(created));
    let owner = Owner {
        parts,
        shared,
        commands,
        events: events_sender,
        connections: connections_sender,
        processes_max: spec.pids_max,
    };
    owner.run().await;
}

/// The spawner ends when its socket is closed; if it does not, it is killed.
async fn end_spawner(mut child: Child) {
    let ended = tokio::task::spawn_blocking(move || {
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pidfd = pid.and_then(|pid| {
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
        });
        if let Some(pidfd) = pidfd {
            let mut end = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
            let patience = rustix::event::Timespec {
                tv_sec: i64::try_from(SPAWNER_DEADLINE.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: 0,
            };
            if matches!(rustix::event::poll(&mut end, Some(&patience)), Ok(1)) {
                return child.wait();
            }
        }
        child.kill()?;
        child.wait()
    });
    if let Ok(Err(error)) = ended.await {
        tracing::error!(%error, "spawner was not ended");
    }
}
