//! Isolation: what an execution environment's processes run in.
//!
//! A crate of its own because it is another trust domain: the only place, with `guest`, where
//! `unsafe` and the kernel's isolation primitives are touched.
//!
//! A [`Backend`] makes sandboxes, a [`Sandbox`] is one of them. Nothing above this crate may assume
//! a shared file system, shared process ids or a loopback socket: content goes in as [`Tree`]s,
//! processes are named by our own [`ProcessId`], output and exits come out as [`Event`]s, what user
//! code dials comes out as [`Connection`]s, and [`Sandbox::connect`] makes one the other way. The
//! lifecycle is decided above; here nobody knows what Init or Invoke is.
//!
//! Contract (held by `tests/contract.rs` for every backend):
//! - every call on a sandbox that is gone is harmless and says [`Gone`];
//! - freeze and thaw are idempotent; a frozen sandbox uses no CPU and dies at once when destroyed;
//! - output of every stream written before an exit comes before that exit;
//! - [`Event::Gone`] is the last event and comes exactly once;
//! - after [`Sandbox::destroy`] returns nothing is left: no process, mount, cgroup, network
//!   namespace, socket or file.

#![expect(
    unsafe_code,
    reason = "clone3, mount_setattr and a few more calls have no safe form; each block says why it holds"
)]

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

mod connection;
pub mod fake;
pub mod namespace;
pub mod pressure;

pub use connection::Connection;
pub use dormouse_guest::protocol::{BRIEFING_DESCRIPTOR, RECORDS_DESCRIPTOR};

/// A boxed future, so that backends can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How many events a sandbox may have waiting for its owner; past it output is held back in the
/// sandbox's own pipes, so a flood slows only the function that makes it.
pub const EVENT_QUEUE: usize = 64;

/// How many dialled connections may wait for the owner; further ones wait in the kernel's backlog.
pub const CONNECTION_QUEUE: usize = 16;

/// How long [`Sandbox::connect`] may take, from the call. A handshake on a loopback takes
/// microseconds; one that has not ended after a second waits for a listener that accepts nothing.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// How many connects may be under way in one sandbox at once: more than anybody needs, and few
/// descriptors. Further ones wait for their turn, within their deadline.
pub const CONNECTS_MAX: usize = 16;

/// The longest briefing. A pipe holds 64 KiB whether anybody reads or not (`pipe(7)`), so that a whole
/// briefing is written at once; the variables of a function, which it carries, have less than a tenth.
pub const BRIEFING_BYTES_MAX: usize = 60 * 1024;

/// Makes sandboxes of one kind.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The name used in configuration and logs, such as `namespace`.
    fn name(&self) -> &'static str;

    /// Whether processes can be written to a snapshot here and go on from one. What it answers names the
    /// machinery: a snapshot is of use only where this is what it was when it was written.
    ///
    /// # Errors
    /// What is missing, and what to do about it, in words for the operator.
    fn snapshots(&self) -> Result<String, String>;

    /// Makes a sandbox whose processes are not started yet.
    fn create(&self, spec: SandboxSpec) -> BoxFuture<'_, Result<Created, CreateError>>;

    /// Ends what the backend itself keeps (spawner, network rules). All sandboxes are destroyed
    /// before.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

/// A sandbox as its owner gets it.
#[derive(Debug)]
pub struct Created {
    /// The handle for calls.
    pub sandbox: std::sync::Arc<dyn Sandbox>,
    /// Exits, output and the end.
    pub events: mpsc::Receiver<Event>,
    /// What processes inside have dialled.
    pub connections: mpsc::Receiver<Dialled>,
}

/// One isolated place for processes. Only its owner calls it.
pub trait Sandbox: fmt::Debug + Send + Sync {
    /// Starts a process. Its end comes as [`Event::Exited`]. A frozen sandbox is thawed first.
    fn start(&self, process: ProcessSpec) -> BoxFuture<'_, Result<(), StartError>>;

    /// Gives a sandbox what was not known when it was made. Called at most once, before anything of user
    /// code runs inside. On an error the sandbox is fit for nothing but its end.
    fn equip(&self, equipment: Equipment) -> BoxFuture<'_, Result<(), EquipError>>;

    /// Tells a process that was started [briefed](ProcessSpec::briefed) what it is for: it reads the
    /// bytes, and then the end. Once for each process.
    fn brief(&self, process: ProcessId, briefing: Bytes) -> BoxFuture<'_, Result<(), BriefError>>;

    /// Writes a process and all it has started to a directory of the host, which is there and empty, and ends
    /// them: the exit comes as usual. `/tmp` is written with them. Whoever reaches the directory may read it, so
    /// it lies where nobody else gets to. The sandbox was made
    /// [for it](SandboxSpec::snapshots), and afterwards is fit for nothing but its end, on an error too.
    /// Takes as long as writing the memory takes; the caller has the deadline.
    fn checkpoint(
        &self,
        process: ProcessId,
        into: PathBuf,
    ) -> BoxFuture<'_, Result<(), SnapshotError>>;

    /// Brings a process back from a directory that [`Sandbox::checkpoint`] has filled, in place of starting
    /// it: in a sandbox like the one it was written in, in which nothing has been started, and made
    /// [for it](SandboxSpec::snapshots). It goes on where it was, but its connections are closed. On an error
    /// the sandbox is fit for nothing but its end.
    fn restore(
        &self,
        process: ProcessId,
        from: PathBuf,
    ) -> BoxFuture<'_, Result<(), SnapshotError>>;

    /// Sends a signal to a process started by [`Sandbox::start`]; one that ended is no error. In a
    /// frozen sandbox it arrives with the thaw.
    fn signal(&self, process: ProcessId, signal: Signal) -> BoxFuture<'_, Result<(), Gone>>;

    /// Kills every process of user code, known or not. Each started one still reports its exit;
    /// after the last of them [`Event::Empty`] comes. The sandbox and its `/tmp` stay; the CPU limit is
    /// lifted, since dying takes time too. A frozen
    /// sandbox is thawed first.
    fn kill_all(&self) -> BoxFuture<'_, Result<(), Gone>>;

    /// Stops every process of user code from running, until thawed. Returns when the kernel has
    /// been told; a process that is running stops within its next scheduler tick.
    fn freeze(&self) -> BoxFuture<'_, Result<(), Gone>>;

    /// Lets frozen processes run again.
    fn thaw(&self) -> BoxFuture<'_, Result<(), Gone>>;

    /// Opens a TCP connection to `127.0.0.1:port` inside, where a process listens. Takes no longer
    /// than [`CONNECT_DEADLINE`]; dropping the future gives the attempt up. The ports of the two
    /// services refuse, since what they would lead to is the host.
    ///
    /// A frozen sandbox is not thawed: the connection may come about or be refused, and nobody
    /// inside takes it before the thaw. Callers wait with it until then.
    ///
    /// How it gets inside is the backend's affair: one whose sandboxes share the host's kernel makes
    /// the socket in their network, one with a kernel inside asks its guest to carry the bytes.
    fn connect(&self, port: u16) -> BoxFuture<'_, Result<Connection, ConnectError>>;

    /// Asks for [`Event::Drained`] with this token after all output written so far.
    fn drain_output(&self, token: u64) -> BoxFuture<'_, Result<(), Gone>>;

    /// Whether all output written so far has been delivered already, as far as that can be told at once.
    /// `false` says nothing; then [`Sandbox::drain_output`] tells when it has been.
    fn is_drained(&self) -> bool;

    /// The most memory in use at once so far, in bytes. Asked for at the end of every invocation.
    fn memory_peak(&self) -> BoxFuture<'_, Result<u64, Gone>>;

    /// How many processes the kernel has killed because the memory limit was reached. That needs a peak
    /// near the limit.
    fn oom_kills(&self) -> BoxFuture<'_, Result<u64, Gone>>;

    /// Starts [`Sandbox::memory_peak`] anew, where the host can do so.
    fn reset_peak(&self) -> BoxFuture<'_, Result<(), Gone>>;

    /// Changes the CPU limit, in thousandths of a core; `None` is unlimited.
    fn set_cpu(&self, cpu_millis: Option<u32>) -> BoxFuture<'_, Result<(), Gone>>;

    /// Ends the sandbox and waits until nothing of it is left. May be called twice.
    fn destroy(&self) -> BoxFuture<'_, ()>;
}

/// What a sandbox is made of.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// The environment's identifier, 32 lower-case hex digits; names cgroups and directories.
    pub id: String,
    /// Memory that all processes together may use.
    pub memory_bytes: u64,
    /// CPU time per wall time, in thousandths of a core; `None` is unlimited.
    pub cpu_millis: Option<u32>,
    /// How many processes and threads may exist at once.
    pub pids_max: u32,
    /// The size of `/tmp`.
    pub tmp_bytes: u64,
    /// What lies at `/`.
    pub root: Root,
    /// Read-only content.
    pub trees: Vec<Tree>,
    /// What the processes can reach.
    pub network: Network,
    /// Whether [`Sandbox::checkpoint`] or [`Sandbox::restore`] will be called.
    pub snapshots: bool,
}

/// What a sandbox that was made ahead gets when it is known for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equipment {
    /// Memory that all processes together may use, if it is not what the spec said.
    pub memory_bytes: Option<u64>,
    /// The size of `/tmp`, if it is not what the spec said.
    pub tmp_bytes: Option<u64>,
    /// Read-only content, each tree at a place that every sandbox has: `/var/task`, `/opt`.
    pub trees: Vec<Tree>,
}

/// What lies at `/` of a sandbox, always read-only but for `/tmp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The host's programs and libraries.
    Host,
    /// The layers of an image, and nothing of the host but its resolver. A later one covers those
    /// before it; what one removes is marked as overlay does it.
    Layers(Vec<PathBuf>),
}

/// Directories of the host that appear read-only as one inside. They and all in them that user code
/// needs must be readable by everybody: inside they belong to nobody (user 65534).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Where they lie on the host; at least one. What a later one has covers what an earlier one has
    /// under the same name, but directories of the same name are merged. One that is given twice
    /// counts where it comes last.
    pub hosts: Vec<PathBuf>,
    /// Where it appears inside; absolute, such as `/var/task`.
    pub at: String,
    /// What a symbolic link on the way to one of `hosts` does.
    pub links: Links,
}

/// What a symbolic link in a path of the host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is followed: the way is the daemon's own.
    Followed,
    /// It is refused: strangers may write to directories on the way.
    Refused,
}

/// What processes inside can reach besides the two services they may dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing.
    None,
    /// The outside world through the host, but nothing of the host itself and no other sandbox.
    Outbound,
}

/// Our own name for a process inside, chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(pub u32);

/// A process to start as the sandbox's unprivileged user.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// The caller's name for it; unique while the process lives.
    pub id: ProcessId,
    /// Programs to try in order; the first that exists and may be executed is run.
    pub programs: Vec<String>,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment.
    pub variables: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
    /// Whether it gets a pipe for framed log records, as descriptor [`RECORDS_DESCRIPTOR`].
    pub records: bool,
    /// Whether it gets a pipe, as descriptor [`BRIEFING_DESCRIPTOR`], from which it learns later what
    /// it is for: [`Sandbox::brief`].
    pub briefed: bool,
}

/// The signals a caller may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A request to end.
    Term,
    /// The end.
    Kill,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

/// Which stream a process wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Framed log records, if the process has a pipe for them.
    Records,
}

/// What happened inside, in the order in which it happened.
#[derive(Debug)]
pub enum Event {
    /// A process wrote these bytes.
    Output {
        /// Who.
        process: ProcessId,
        /// Where.
        stream: Stream,
        /// What; never empty.
        bytes: Bytes,
    },
    /// A started process ended.
    Exited {
        /// Who.
        process: ProcessId,
        /// How.
        exit: Exit,
    },
    /// After [`Sandbox::kill_all`]: no process of user code is left.
    Empty,
    /// All output written before the matching [`Sandbox::drain_output`] has been delivered.
    Drained {
        /// The caller's token.
        token: u64,
    },
    /// The sandbox is gone; nothing follows.
    Gone,
}

/// A connection that a process inside opened.
#[derive(Debug)]
pub struct Dialled {
    /// Which service it dialled.
    pub service: Service,
    /// The bytes.
    pub connection: Connection,
}

/// The services a process inside can dial on its own loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `127.0.0.1:9001`: Runtime, Extensions and Telemetry API.
    RuntimeApi,
    /// `127.0.0.1:9000`: the daemon's AWS endpoint.
    Endpoint,
}

/// Where [`Service::RuntimeApi`] is dialled from inside; the value of `AWS_LAMBDA_RUNTIME_API`.
pub const RUNTIME_API_ADDRESS: &str = "127.0.0.1:9001";

/// Where [`Service::Endpoint`] is dialled from inside.
pub const ENDPOINT_ADDRESS: &str = "127.0.0.1:9000";

/// The ports of the two.
const SERVICE_PORTS: [u16; 2] = [9001, 9000];

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A step inside or outside went wrong; nothing is left of the attempt.
    #[error("sandbox step {step}")]
    Step {
        /// Which step.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The backend has been shut down.
    #[error("sandbox backend is shut down")]
    ShutDown,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// None of the programs exists and may be executed.
    #[error("no executable among {programs:?}")]
    NoProgram {
        /// What was tried.
        programs: Vec<String>,
    },
    /// The kernel refused, for example because of the process limit.
    #[error("process could not be started")]
    Refused(#[source] io::Error),
    /// The sandbox is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Why a sandbox did not get what it lacked.
#[derive(Debug, thiserror::Error)]
pub enum EquipError {
    /// A step went wrong.
    #[error("sandbox step {step}")]
    Step {
        /// Which step.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The sandbox is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Why a process was not told what it is for.
#[derive(Debug, thiserror::Error)]
pub enum BriefError {
    /// It has ended, was not started to be briefed, has been briefed, or the briefing is too long.
    #[error("process takes no briefing")]
    Refused(#[source] io::Error),
    /// The sandbox is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Why there is no connection into a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens on the port, or who does has not taken the connection in time.
    #[error("nobody inside takes the connection")]
    Refused(#[source] io::Error),
    /// The sandbox is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Why there is no snapshot, or nothing that goes on from one.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// These processes cannot be written.
    #[error("not written to a snapshot: {0}")]
    Unfit(String),
    /// A step went wrong.
    #[error("snapshot step {step}")]
    Step {
        /// Which step.
        step: &'static str,
        /// What the kernel or the machinery said.
        #[source]
        source: io::Error,
    },
    /// The sandbox is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// The sandbox is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sandbox is gone")]
pub struct Gone;
