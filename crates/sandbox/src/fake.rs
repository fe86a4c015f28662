//! The fake backend: processes are programs of the test, written in Rust.
//!
//! No processes, no kernel, no real time of its own. Everything of a sandbox is polled by one task:
//! what is frozen is not polled, what is killed is dropped.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::{
    Backend, BoxFuture, CONNECTION_QUEUE, Connection, CreateError, Created, Dialled, EVENT_QUEUE,
    Event, Exit, Gone, ProcessId, ProcessSpec, Sandbox, SandboxSpec, Service, Signal, StartError,
    Stream, Usage,
};

/// A program of the test; its result is the exit code.
pub type Program = Arc<dyn Fn(FakeProcess) -> BoxFuture<'static, i32> + Send + Sync>;

/// How many calls on one sandbox may wait for its task.
const COMMAND_QUEUE: usize = 16;
/// How many bytes one side of a dialled connection may be ahead of the other.
const CONNECTION_BYTES: usize = 64 * 1024;
/// The signal numbers that ended processes report.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Makes fake sandboxes.
pub struct Fake {
    programs: Arc<HashMap<String, Program>>,
    // Locks, because callers of different tasks come here. Held for a few instructions.
    owners: Mutex<JoinSet<()>>,
    refusal: Mutex<Option<&'static str>>,
    live: Arc<AtomicUsize>,
    shut_down: AtomicBool,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fake")
            .field("live", &self.live())
            .finish_non_exhaustive()
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
        }
    }

    /// How many sandboxes exist.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
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
    id: ProcessId,
    inside: Arc<Inside>,
    term: watch::Receiver<bool>,
    awaits_term: Arc<AtomicBool>,
}

impl std::fmt::Debug for FakeProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeProcess")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What all processes of one sandbox share.
struct Inside {
    events: mpsc::Sender<Event>,
    connections: mpsc::Sender<Dialled>,
    // A lock, because a program may have concurrent parts. Never held over an await.
    tmp: Mutex<HashMap<String, Vec<u8>>>,
    memory_peak_bytes: AtomicU64,
    collapse: Notify,
}

impl FakeProcess {
    /// Writes to a stream; waits while the owner is behind.
    pub async fn print(&self, stream: Stream, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return;
        }
        // An owner that is gone reads nothing; the process does not notice, as with a full pipe.
        let _ = self
            .inside
            .events
            .send(Event::Output {
                process: self.id,
                stream,
                bytes,
            })
            .await;
    }

    /// Opens a connection to a service of the host.
    pub async fn dial(&self, service: Service) -> io::Result<Connection> {
        let (ours, theirs) = tokio::io::duplex(CONNECTION_BYTES);
        let dialled = Dialled {
            service,
            connection: Connection::Memory(theirs),
        };
        match self.inside.connections.send(dialled).await {
            Ok(()) => Ok(Connection::Memory(ours)),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
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
        let mut tmp = self
            .inside
            .tmp
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tmp.insert(name.to_owned(), bytes.into());
    }

    /// Reads a file of the sandbox's `/tmp`.
    pub fn read_tmp(&self, name: &str) -> Option<Vec<u8>> {
        let tmp = self
            .inside
            .tmp
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tmp.get(name).cloned()
    }

    /// Raises the memory peak of the sandbox to at least this.
    pub fn use_memory(&self, bytes: u64) {
        self.inside
            .memory_peak_bytes
            .fetch_max(bytes, Ordering::AcqRel);
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

    fn create(&self, _spec: SandboxSpec) -> BoxFuture<'_, Result<Created, CreateError>> {
        Box::pin(async move {
            if self.shut_down.load(Ordering::Acquire) {
                return Err(CreateError::ShutDown);
            }
            let refusal = self
                .refusal
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(step) = refusal {
                return Err(CreateError::Step {
                    step,
                    source: io::ErrorKind::Other.into(),
                });
            }
            let (commands_sender, commands) = mpsc::channel(COMMAND_QUEUE);
            let (events_sender, events) = mpsc::channel(EVENT_QUEUE + 1);
            let (connections_sender, connections) = mpsc::channel(CONNECTION_QUEUE);
            let inside = Arc::new(Inside {
                events: events_sender,
                connections: connections_sender,
                tmp: Mutex::default(),
                memory_peak_bytes: AtomicU64::new(0),
                collapse: Notify::new(),
            });
            self.live.fetch_add(1, Ordering::AcqRel);
            let owner = Owner {
                programs: Arc::clone(&self.programs),
                inside,
                commands,
                running: Vec::new(),
                pending: VecDeque::new(),
                frozen: false,
            };
            let live = Arc::clone(&self.live);
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            while owners.try_join_next().is_some() {}
            owners.spawn(owner.run(live));
            let sandbox = Arc::new(Handle {
                commands: commands_sender,
            });
            Ok(Created {
                sandbox,
                events,
                connections,
            })
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

enum Command {
    Start(ProcessSpec, oneshot::Sender<Result<(), StartError>>),
    Signal(ProcessId, Signal),
    KillAll,
    Freeze(bool, oneshot::Sender<()>),
    Drain(u64),
    Usage(oneshot::Sender<Usage>),
    ResetPeak,
    Destroy(oneshot::Sender<()>),
}

struct Running {
    id: ProcessId,
    future: BoxFuture<'static, i32>,
    term: watch::Sender<bool>,
    awaits_term: Arc<AtomicBool>,
}

struct Owner {
    programs: Arc<HashMap<String, Program>>,
    inside: Arc<Inside>,
    commands: mpsc::Receiver<Command>,
    running: Vec<Running>,
    pending: VecDeque<Event>,
    frozen: bool,
}

enum Happened {
    Command(Option<Command>),
    Ended(ProcessId, i32),
    Passed,
    Collapsed,
}

impl Owner {
    async fn run(mut self, live: Arc<AtomicUsize>) {
        let last = self.inside.events.clone().reserve_owned().await.ok();
        let reply = self.serve().await;
        self.running.clear();
        drop(self);
        live.fetch_sub(1, Ordering::AcqRel);
        if let Some(last) = last {
            last.send(Event::Gone);
        }
        if let Some(reply) = reply {
            // The caller may have stopped waiting.
            let _ = reply.send(());
        }
    }

    async fn serve(&mut self) -> Option<oneshot::Sender<()>> {
        loop {
            match self.next().await {
                Happened::Command(None) => return None,
                Happened::Command(Some(Command::Destroy(reply))) => return Some(reply),
                Happened::Command(Some(command)) => self.obey(command),
                Happened::Ended(process, code) => {
                    self.pending.push_back(Event::Exited {
                        process,
                        exit: Exit::Code(code),
                    });
                }
                Happened::Passed => {}
                Happened::Collapsed => {
                    self.running.clear();
                    return self.hand_over().await;
                }
            }
        }
    }

    async fn next(&mut self) -> Happened {
        tokio::select! {
            biased;
            command = self.commands.recv() => Happened::Command(command),
            () = pass(&mut self.pending, &self.inside.events) => Happened::Passed,
            () = self.inside.collapse.notified() => Happened::Collapsed,
            (process, code) = run_all(&mut self.running), if !self.frozen => {
                Happened::Ended(process, code)
            }
        }
    }

    /// After a collapse: what happened before still belongs to the owner.
    async fn hand_over(&mut self) -> Option<oneshot::Sender<()>> {
        while !self.pending.is_empty() && !self.inside.events.is_closed() {
            tokio::select! {
                command = self.commands.recv() => match command {
                    None => return None,
                    Some(Command::Destroy(reply)) => return Some(reply),
                    Some(_) => {}
                },
                () = pass(&mut self.pending, &self.inside.events) => {}
            }
        }
        None
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(spec, reply) => {
                self.frozen = false;
                // The caller may have stopped waiting; the process runs all the same.
                let _ = reply.send(self.start(spec));
            }
            Command::Signal(id, signal) => self.signal(id, signal),
            Command::KillAll => {
                self.frozen = false;
                for process in self.running.drain(..) {
                    let exit = Exit::Signal(SIGKILL);
                    self.pending.push_back(Event::Exited {
                        process: process.id,
                        exit,
                    });
                }
                self.pending.push_back(Event::Empty);
            }
            Command::Freeze(frozen, reply) => {
                self.frozen = frozen;
                let _ = reply.send(());
            }
            Command::Drain(token) => self.pending.push_back(Event::Drained { token }),
            Command::Usage(reply) => {
                let peak = self.inside.memory_peak_bytes.load(Ordering::Acquire);
                let _ = reply.send(Usage {
                    memory_peak_bytes: peak,
                    ..Usage::default()
                });
            }
            Command::ResetPeak => self.inside.memory_peak_bytes.store(0, Ordering::Release),
            Command::Destroy(_) => {}
        }
    }

    fn start(&mut self, spec: ProcessSpec) -> Result<(), StartError> {
        let program = spec
            .programs
            .iter()
            .find_map(|path| self.programs.get(path));
        let Some(program) = program else {
            return Err(StartError::NoProgram {
                programs: spec.programs,
            });
        };
        let (term, term_seen) = watch::channel(false);
        let awaits_term = Arc::new(AtomicBool::new(false));
        let future = program(FakeProcess {
            args: spec.args,
            variables: spec.variables.into_iter().collect(),
            cwd: spec.cwd,
            id: spec.id,
            inside: Arc::clone(&self.inside),
            term: term_seen,
            awaits_term: Arc::clone(&awaits_term),
        });
        self.running.push(Running {
            id: spec.id,
            future,
            term,
            awaits_term,
        });
        Ok(())
    }

    fn signal(&mut self, id: ProcessId, signal: Signal) {
        let Some(index) = self.running.iter().position(|process| process.id == id) else {
            return;
        };
        let process = &self.running[index];
        let number = match signal {
            Signal::Term if process.awaits_term.load(Ordering::Acquire) => {
                process.term.send_replace(true);
                return;
            }
            Signal::Term => SIGTERM,
            Signal::Kill => SIGKILL,
        };
        self.running.remove(index);
        self.pending.push_back(Event::Exited {
            process: id,
            exit: Exit::Signal(number),
        });
    }
}

/// Polls every process until one ends.
async fn run_all(running: &mut Vec<Running>) -> (ProcessId, i32) {
    poll_fn(|cx| {
        for index in 0..running.len() {
            if let Poll::Ready(code) = running[index].future.as_mut().poll(cx) {
                let process = running.remove(index);
                return Poll::Ready((process.id, code));
            }
        }
        Poll::Pending
    })
    .await
}

async fn pass(pending: &mut VecDeque<Event>, events: &mpsc::Sender<Event>) {
    if pending.is_empty() {
        return std::future::pending().await;
    }
    match events.reserve().await {
        Ok(permit) => {
            if let Some(event) = pending.pop_front() {
                permit.send(event);
            }
        }
        Err(_) => pending.clear(),
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
}

impl Sandbox for Handle {
    fn start(&self, process: ProcessSpec) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(async move { self.ask(|reply| Command::Start(process, reply)).await? })
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

    fn drain_output(&self, token: u64) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::Drain(token)))
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, Gone>> {
        Box::pin(self.ask(Command::Usage))
    }

    fn reset_peak(&self) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(self.tell(Command::ResetPeak))
    }

    fn destroy(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // Without an answer the sandbox was gone already.
            let _ = self.ask(Command::Destroy).await;
            self.commands.closed().await;
        })
    }
}
