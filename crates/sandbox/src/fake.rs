//! The fake backend: processes are programs of the test, written in Rust.
//!
//! No processes, no kernel, no real time of its own. Everything of a sandbox is polled by one task:
//! what is frozen is not polled, what is killed is dropped.

mod listeners;
mod owner;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::{
    Backend, BoxFuture, BriefError, CONNECT_DEADLINE, CONNECTION_QUEUE, ConnectError, Connection,
    CreateError, Created, Dialled, EVENT_QUEUE, EquipError, Equipment, Event, Gone, ProcessId,
    ProcessSpec, Sandbox, SandboxSpec, Service, Signal, SnapshotError, StartError, Stream,
};

use listeners::Listeners;
use owner::{Command, Owner};

/// A program of the test; its result is the exit code.
pub type Program = Arc<dyn Fn(FakeProcess) -> BoxFuture<'static, i32> + Send + Sync>;

/// How many calls on one sandbox may wait for its task.
const COMMAND_QUEUE: usize = 16;
/// How many bytes one side of a connection may be ahead of the other.
const CONNECTION_BYTES: usize = 64 * 1024;

/// Makes fake sandboxes.
pub struct Fake {
    programs: Arc<HashMap<String, Program>>,
    // Locks, because callers of different tasks come here. Held for a few instructions.
    owners: Mutex<JoinSet<()>>,
    refusal: Mutex<Option<&'static str>>,
    live: Arc<AtomicUsize>,
    shut_down: AtomicBool,
    with_snapshots: AtomicBool,
    snapshots: Snapshots,
}

/// What was written to snapshots: a process is its program, which is told that it goes on. Each directory
/// has a file that says which one lies there, so that it may be moved.
type Snapshots = Arc<Mutex<Vec<ProcessSpec>>>;

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fake").field("live", &self.live()).finish_non_exhaustive()
    }
}

impl Fake {
    /// A backend whose sandboxes can run these programs, by absolute path.
    pub fn new(programs: HashMap<String, Program>) -> Self {
        Self {
            programs: Arc::new(programs),
            owners: Mutex::default(),
            refusal: Mutex::default(),
            live: Arc::default(),
            shut_down: AtomicBool::new(false),
            with_snapshots: AtomicBool::new(false),
            snapshots: Arc::default(),
        }
    }

    /// How many sandboxes exist.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// From now on processes can be written to snapshots.
    pub fn allow_snapshots(&self) {
        self.with_snapshots.store(true, Ordering::Release);
    }

    /// Makes the next creation go wrong in this step.
    pub fn refuse_next(&self, step: &'static str) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }
}

/// What a program sees of its sandbox.
#[derive(Clone)]
pub struct FakeProcess {
    /// Its arguments, after its name.
    pub args: Vec<String>,
    /// Its environment.
    pub variables: HashMap<String, String>,
    /// Its working directory.
    pub cwd: String,
    /// Whether it has a pipe for framed log records.
    pub records: bool,
    /// Whether it goes on from a snapshot.
    pub restored: bool,
    id: ProcessId,
    inside: Arc<Inside>,
    briefing: Option<watch::Receiver<Option<Bytes>>>,
    term: watch::Receiver<bool>,
    awaits_term: Arc<AtomicBool>,
}

impl std::fmt::Debug for FakeProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeProcess").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What all processes of one sandbox share.
struct Inside {
    events: mpsc::Sender<Event>,
    connections: mpsc::Sender<Dialled>,
    // Locks, because a program may have concurrent parts. Never held over an await.
    tmp: Mutex<HashMap<String, Vec<u8>>>,
    listeners: Mutex<Listeners>,
    memory_peak_bytes: AtomicU64,
    collapse: Notify,
}

impl Inside {
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeProcess {
    /// Writes to a stream; waits while the owner is behind. Records of a process that has no pipe
    /// for them are lost.
    pub async fn print(&self, stream: Stream, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if bytes.is_empty() || (stream == Stream::Records && !self.records) {
            return;
        }
        // An owner that is gone reads nothing; the process does not notice, as with a full pipe.
        let _ = self.inside.events.send(Event::Output { process: self.id, stream, bytes }).await;
    }

    /// Opens a connection to a service of the host.
    pub async fn dial(&self, service: Service) -> io::Result<Connection> {
        let (ours, theirs) = tokio::io::duplex(CONNECTION_BYTES);
        let dialled = Dialled { service, connection: Connection::Memory(theirs) };
        match self.inside.connections.send(dialled).await {
            Ok(()) => Ok(Connection::Memory(ours)),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// Listens on a port of the sandbox, until the receiver is dropped or the process ends. What
    /// [`Sandbox::connect`] opens comes out here.
    pub fn listen(&self, port: u16) -> io::Result<mpsc::Receiver<Connection>> {
        self.inside.listeners().open(self.id, port)
    }

    /// Waits for the briefing; nothing for a process that gets none.
    pub async fn briefing(&self) -> Option<Bytes> {
        let mut briefing = self.briefing.clone()?;
        // The sender lives as long as the process, or until it has been told.
        let told = briefing.wait_for(Option::is_some).await.ok()?;
        told.clone()
    }

    /// Waits for a request to end. A process that waits is not ended by it.
    pub async fn terminated(&self) {
        self.awaits_term.store(true, Ordering::Release);
        let mut term = self.term.clone();
        // The sender lives as long as the process.
        let _ = term.wait_for(|asked| *asked).await;
    }

    /// Writes a file of the sandbox's `/tmp`.
    pub fn write_tmp(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        let mut tmp = self.inside.tmp.lock().unwrap_or_else(PoisonError::into_inner);
        tmp.insert(name.to_owned(), bytes.into());
    }

    /// Reads a file of the sandbox's `/tmp`.
    pub fn read_tmp(&self, name: &str) -> Option<Vec<u8>> {
        let tmp = self.inside.tmp.lock().unwrap_or_else(PoisonError::into_inner);
        tmp.get(name).cloned()
    }

    /// Raises the memory peak of the sandbox to at least this.
    pub fn use_memory(&self, bytes: u64) {
        self.inside.memory_peak_bytes.fetch_max(bytes, Ordering::AcqRel);
    }

    /// Ends the whole sandbox, as when its PID 1 dies.
    pub fn collapse(&self) {
        self.inside.collapse.notify_one();
    }
}

impl Backend for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn snapshots(&self) -> Result<String, String> {
        if self.with_snapshots.load(Ordering::Acquire) {
            Ok("fake".to_owned())
        } else {
            Err("the fake was not asked to have any".to_owned())
        }
    }

    fn create(&self, _spec: SandboxSpec) -> BoxFuture<'_, Result<Created, CreateError>> {
        Box::pin(async move {
            if self.shut_down.load(Ordering::Acquire) {
                return Err(CreateError::ShutDown);
            }
            let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(step) = refusal {
                return Err(CreateError::Step { step, source: io::ErrorKind::Other.into() });
            }
            let (commands_sender, commands) = mpsc::channel(COMMAND_QUEUE);
            let (events_sender, events) = mpsc::channel(EVENT_QUEUE + 1);
            let (connections_sender, connections) = mpsc::channel(CONNECTION_QUEUE);
            let inside = Arc::new(Inside {
                events: events_sender,
                connections: connections_sender,
                tmp: Mutex::default(),
                listeners: Mutex::default(),
                memory_peak_bytes: AtomicU64::new(0),
                collapse: Notify::new(),
            });
            self.live.fetch_add(1, Ordering::AcqRel);
            let owner =
                Owner::new(Arc::clone(&self.programs), self.snapshots.clone(), inside, commands);
            let live = Arc::clone(&self.live);
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            while owners.try_join_next().is_some() {}
            owners.spawn(owner.run(live));
            let sandbox = Arc::new(Handle { commands: commands_sender });
            Ok(Created { sandbox, events, connections })
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.shut_down.store(true, Ordering::Release);
            let owners =
                std::mem::take(&mut *self.owners.lock().unwrap_or_else(PoisonError::into_inner));
            owners.join_all().await;
        })
    }
}

#[derive(Debug)]
struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    async fn tell(&self, command: Command) -> Result<(), Gone> {
        self.commands.send(command).await.map_err(|_| Gone)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply)).await?;
        answer.await.map_err(|_| Gone)
    }

    async fn reach(&self, port: u16) -> Result<Connection, ConnectError> {
        let refused = || ConnectError::Refused(io::ErrorKind::ConnectionRefused.into());
        let listener = self.ask(|reply| Command::Listener(port, reply)).await?;
        let listener = listener.ok_or_else(refused)?;
        let place = listener.reserve().await.map_err(|_| refused())?;
        let (ours, theirs) = tokio::io::duplex(CONNECTION_BYTES);
        place.send(Connection::Memory(theirs));
        Ok(Connection::Memory(ours))
    }
}

impl Sandbox for Handle {
    fn start(&self, process: ProcessSpec) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(async move { self.ask(|reply| Command::Start(process, reply)).await? })
    }

    /// Programs of a test see no content; only that the sandbox is still there can be told.
    fn equip(&self, _equipment: Equipment) -> BoxFuture<'_, Result<(), EquipError>> {
        let gone = self.commands.is_closed();
        Box::pin(async move { if gone { Err(Gone.into()) } else { Ok(()) } })
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
        Box::pin(async move { self.ask(|reply| Command::Checkpoint(process, into, reply)).await? })
    }

    fn restore(
        &self,
        process: ProcessId,
        from: PathBuf,
    ) -> BoxFuture<'_, Result<(), SnapshotError>> {
        Box::pin(async move { self.ask(|reply| Command::Restore(process, from, reply)).await? })
    }

    fn signal(&self, process: ProcessId, signal: Signal) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::Signal(process, signal)))
    }

    fn kill_all(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::KillAll))
    }

    fn freeze(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.ask(|reply| Command::Freeze(true, reply)))
    }

    fn thaw(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.ask(|reply| Command::Freeze(false, reply)))
    }

    /// Attempts that wait hold nothing, therefore their number has no bound here.
    fn connect(&self, port: u16) -> BoxFuture<'_, Result<Connection, ConnectError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = self.commands.closed() => Err(Gone.into()),
                reached = tokio::time::timeout(CONNECT_DEADLINE, self.reach(port)) => reached
                    .unwrap_or_else(|_| Err(ConnectError::Refused(io::ErrorKind::TimedOut.into()))),
            }
        })
    }

    fn drain_output(&self, token: u64) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::Drain(token)))
    }

    /// What is printed is delivered where it is printed.
    fn is_drained(&self) -> bool {
        !self.commands.is_closed()
    }

    fn memory_peak(&self) -> BoxFuture<'_, Result<u64, Gone>> {
        Box::pin(self.ask(Command::MemoryPeak))
    }

    /// No kernel, no kills.
    fn oom_kills(&self) -> BoxFuture<'_, Result<u64, Gone>> {
        let gone = self.commands.is_closed();
        Box::pin(async move { if gone { Err(Gone) } else { Ok(0) } })
    }

    fn reset_peak(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::ResetPeak))
    }

    /// Programs of a test share the test's own CPU; only that it is still there can be told.
    fn set_cpu(&self, _cpu_millis: Option<u32>) -> BoxFuture<'_, Result<(), Gone>> {
        let gone = self.commands.is_closed();
        Box::pin(async move { if gone { Err(Gone) } else { Ok(()) } })
    }

    fn destroy(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // Without an answer the sandbox was gone already.
            let _ = self.ask(Command::Destroy).await;
            self.commands.closed().await;
        })
    }
}
