//! What the owner of a sandbox holds: calls become commands to the task, except those that must
//! be quick or may be slow. Freezing, thawing and counting are single small writes and reads in the
//! control group and are done where they are called, which saves two wake-ups in every invocation.
//! Connecting takes its time in the caller's own future: of the task it only needs the network.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::cgroup::Cgroup;
use super::connect::connect;
use super::establish::ESTABLISH_DEADLINE;
use super::output::Unread;
use super::owner::{Adopted, Adoption};
use super::snapshot::{self, Whose};
use super::{Host, equip};
use crate::{
    BoxFuture, BriefError, CONNECT_DEADLINE, CONNECTS_MAX, ConnectError, Connection, EquipError,
    Equipment, Gone, ProcessId, ProcessSpec, SERVICE_PORTS, Sandbox, Signal, SnapshotError,
    StartError, Stream,
};

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Start(ProcessSpec, oneshot::Sender<Result<(), StartError>>),
    Signal(ProcessId, Signal),
    KillAll,
    Drain(u64),
    Brief(ProcessId, Bytes, oneshot::Sender<io::Result<()>>),
    /// The pipes of a process, by their numbers in the kernel.
    Pipes(ProcessId, oneshot::Sender<io::Result<Vec<(Stream, u64)>>>),
    Adopt(Adoption, oneshot::Sender<Adopted>),
    /// A descriptor of PID 1.
    Process(oneshot::Sender<io::Result<OwnedFd>>),
    /// Its network namespace. It lives as long as the descriptor: let go of it soon.
    Network(oneshot::Sender<io::Result<OwnedFd>>),
    Destroy(oneshot::Sender<()>),
}

/// What handle and task both need.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: String,
    pub(super) cgroup: Arc<Cgroup>,
    pub(super) gone: AtomicBool,
    pub(super) unread: Arc<Unread>,
    frozen: AtomicBool,
    /// Weak, because a handle that somebody keeps must not keep the spawner.
    host: Weak<Host>,
}

/// The handle of a namespace sandbox.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    connects: Semaphore,
}

impl Shared {
    pub(super) fn new(id: String, cgroup: Arc<Cgroup>, host: Weak<Host>) -> Self {
        let (gone, frozen) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { id, cgroup, gone, unread: Arc::default(), frozen, host }
    }

    /// Thaws if frozen.
    pub(super) fn thaw(&self) -> Result<(), Gone> {
        self.there()?;
        // Whoever clears the mark does the write, so that a thaw never undoes a later freeze.
        if self.frozen.swap(false, Ordering::AcqRel) {
            self.given(self.cgroup.thaw()).map_err(|error| self.lost("thaw", &error))?;
        }
        Ok(())
    }

    fn freeze(&self) -> Result<(), Gone> {
        self.there()?;
        self.frozen.store(true, Ordering::Release);
        self.given(self.cgroup.freeze()).map_err(|error| self.lost("freeze", &error))
    }

    /// Where this host has no freezer, the operator has given freezing up by name.
    fn given(&self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            other => other,
        }
    }

    fn there(&self) -> Result<(), Gone> {
        if self.gone.load(Ordering::Acquire) { Err(Gone) } else { Ok(()) }
    }

    /// A sandbox that cannot be held must not go on: it is killed, and its end is told as usual.
    fn lost(&self, call: &'static str, error: &io::Error) -> Gone {
        if self.there().is_ok() {
            tracing::error!(sandbox = self.id, call, %error, "control group does not answer");
            if let Err(error) = self.cgroup.kill() {
                tracing::error!(sandbox = self.id, %error, "sandbox was not killed");
            }
        }
        Gone
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, commands: mpsc::Sender<Command>) -> Self {
        Self { shared, commands, connects: Semaphore::new(CONNECTS_MAX) }
    }

    async fn tell(&self, command: Command) -> Result<(), Gone> {
        self.shared.there()?;
        self.commands.send(command).await.map_err(|_| Gone)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply)).await?;
        answer.await.map_err(|_| Gone)
    }

    async fn outfit(&self, equipment: Equipment) -> Result<(), EquipError> {
        self.shared.there()?;
        let failed = |step| move |source| EquipError::Step { step, source };
        if let Some(bytes) = equipment.memory_bytes {
            self.shared.cgroup.set_memory(bytes).map_err(failed("cgroup"))?;
        }
        let host = self.shared.host.upgrade().ok_or(Gone)?;
        let process = self.ask(Command::Process).await?.map_err(failed("guest"))?;
        let asked = equip::ask(&host.spawner, process, &equipment);
        let asked = tokio::time::timeout(ESTABLISH_DEADLINE, asked).await;
        asked.unwrap_or_else(|_| Err(failed("deadline")(io::ErrorKind::TimedOut.into())))
    }

    async fn write_down(&self, process: ProcessId, into: PathBuf) -> Result<(), SnapshotError> {
        self.shared.thaw()?;
        let pipes = self.ask(|reply| Command::Pipes(process, reply)).await?;
        let pipes = pipes.map_err(snapshot::step("pipes"))?;
        if pipes.is_empty() {
            return Err(SnapshotError::Unfit("there is no such process".to_owned()));
        }
        let host = self.shared.host.upgrade().ok_or(Gone)?;
        snapshot::checkpoint(self.whose(&host).await?, pipes, into).await
    }

    async fn bring_back(&self, id: ProcessId, from: PathBuf) -> Result<(), SnapshotError> {
        self.shared.thaw()?;
        let about = snapshot::about(from.clone()).await?;
        let adoption = Adoption { id, pid: about.pid, records: about.has_records() };
        let adopted = self.ask(|reply| Command::Adopt(adoption, reply)).await?;
        let (ends, told) = adopted.map_err(snapshot::step("pipes"))?;
        let told = told.await.map_err(|_| Gone)?;
        told.map_err(io::Error::other).map_err(snapshot::step("guest"))?;
        let host = self.shared.host.upgrade().ok_or(Gone)?;
        snapshot::restore(self.whose(&host).await?, (about, from), ends).await
    }

    async fn whose<'a>(&'a self, host: &'a Host) -> Result<Whose<'a>, SnapshotError> {
        let process = self.ask(Command::Process).await?;
        let pidfd = process.map_err(snapshot::step("guest"))?;
        Ok(Whose { host, cgroup: &self.shared.cgroup, pidfd })
    }

    fn read(
        &self,
        what: &'static str,
        read: impl FnOnce(&Cgroup) -> io::Result<u64>,
    ) -> Result<u64, Gone> {
        self.shared.there()?;
        read(&self.shared.cgroup).map_err(|error| {
            tracing::debug!(sandbox = self.shared.id, what, %error, "cannot be read");
            Gone
        })
    }

    async fn reach(&self, port: u16) -> Result<Connection, ConnectError> {
        self.shared.there()?;
        if SERVICE_PORTS.contains(&port) {
            return Err(ConnectError::Refused(io::ErrorKind::ConnectionRefused.into()));
        }
        let _turn = self.connects.acquire().await.map_err(|_| Gone)?;
        let network = self.ask(Command::Network).await?.map_err(ConnectError::Refused)?;
        match connect(network, port).await {
            Ok(stream) => Ok(Connection::Tcp(stream)),
            Err(error) => {
                // What listened may have gone with the sandbox.
                self.shared.there()?;
                Err(ConnectError::Refused(error))
            }
        }
    }
}

impl Sandbox for Handle {
    fn start(&self, process: ProcessSpec) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(async move { self.ask(|reply| Command::Start(process, reply)).await? })
    }

    fn equip(&self, equipment: Equipment) -> BoxFuture<'_, Result<(), EquipError>> {
        Box::pin(self.outfit(equipment))
    }

    fn brief(&self, process: ProcessId, briefing: Bytes) -> BoxFuture<'_, Result<(), BriefError>> {
        Box::pin(async move {
            let told = self.ask(|reply| Command::Brief(process, briefing, reply)).await?;
            told.map_err(BriefError::Refused)
        })
    }

    fn checkpoint(
        &self,
        process: ProcessId,
        into: PathBuf,
    ) -> BoxFuture<'_, Result<(), SnapshotError>> {
        Box::pin(self.write_down(process, into))
    }

    fn restore(
        &self,
        process: ProcessId,
        from: PathBuf,
    ) -> BoxFuture<'_, Result<(), SnapshotError>> {
        Box::pin(self.bring_back(process, from))
    }

    fn signal(&self, process: ProcessId, signal: Signal) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::Signal(process, signal)))
    }

    fn kill_all(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::KillAll))
    }

    fn freeze(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(async { self.shared.freeze() })
    }

    fn thaw(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(async { self.shared.thaw() })
    }

    fn connect(&self, port: u16) -> BoxFuture<'_, Result<Connection, ConnectError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                // An attempt under way holds the network, of which nothing must be left.
                () = self.commands.closed() => Err(Gone.into()),
                reached = tokio::time::timeout(CONNECT_DEADLINE, self.reach(port)) => reached
                    .unwrap_or_else(|_| Err(ConnectError::Refused(io::ErrorKind::TimedOut.into()))),
            }
        })
    }

    fn drain_output(&self, token: u64) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::Drain(token)))
    }

    fn is_drained(&self) -> bool {
        self.shared.there().is_ok() && self.shared.unread.is_nothing()
    }

    fn memory_peak(&self) -> BoxFuture<'_, Result<u64, Gone>> {
        Box::pin(async { self.read("memory peak", Cgroup::memory_peak) })
    }

    fn oom_kills(&self) -> BoxFuture<'_, Result<u64, Gone>> {
        Box::pin(async { self.read("kills for memory", Cgroup::oom_kills) })
    }

    fn reset_peak(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(async {
            self.shared.there()?;
            if let Err(error) = self.shared.cgroup.reset_peak() {
                tracing::debug!(sandbox = self.shared.id, %error, "memory peak goes on");
            }
            Ok(())
        })
    }

    fn set_cpu(&self, cpu_millis: Option<u32>) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(async move {
            self.shared.there()?;
            if let Err(error) = self.shared.cgroup.set_cpu(cpu_millis) {
                tracing::debug!(sandbox = self.shared.id, %error, "cpu share stays as it was");
            }
            Ok(())
        })
    }

    fn destroy(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let (reply, done) = oneshot::channel();
            if self.commands.send(Command::Destroy(reply)).await.is_ok() {
                // Without an answer the task has ended, which it does only when all is cleared away.
                let _ = done.await;
            }
            self.commands.closed().await;
        })
    }
}
