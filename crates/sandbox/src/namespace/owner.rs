//! The task that owns one sandbox: from its making to the last trace of it.
//!
//! ```text
//! establish -> run -> take down -> hand over what is left -> Gone
//! ```
//!
//! | channel     | from -> to       | bound              | when full                          |
//! |-------------|------------------|--------------------|------------------------------------|
//! | commands    | handle -> task   | `COMMAND_QUEUE`    | the caller waits                   |
//! | events      | task -> owner    | `EVENT_QUEUE`      | output stays in the pipes          |
//! | connections | task -> owner    | `CONNECTION_QUEUE` | further ones wait in the kernel    |
//! | guest       | task <-> PID 1   | socket buffer      | kept here, `OUTGOING_MAX`          |
//!
//! One place in the events channel is kept for [`Event::Gone`], so that the end never waits for an
//! owner that does not read.

use std::collections::{HashMap, VecDeque};
use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dormouse_guest::protocol::{self, FromGuest, Identity, Start, StartFailure, ToGuest};
use dormouse_guest::socket::{self, Received};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::connect::network_of;
use super::establish::Parts;
use super::handle::{Command, Shared};
use super::output::Output;
use crate::{
    BRIEFING_BYTES_MAX, Connection, Dialled, Event, Exit, Gone, ProcessId, ProcessSpec, Service,
    Signal, StartError,
};

/// Requests for a guest that is too slow to take them. Past it a start is refused.
const OUTGOING_MAX: usize = 64;

/// How long to leave a listener alone that cannot accept, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The user inside, as on Lambda.
pub(super) const UID: u32 = 993;
pub(super) const GID: u32 = 990;
const FILES_MAX: u32 = 1024;
const STACK_BYTES: u64 = 8 << 20;

/// A sandbox that runs.
pub(super) struct Owner {
    pub(super) parts: Parts,
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) connections: mpsc::Sender<Dialled>,
    pub(super) processes_max: u32,
}

/// A process that will come from a snapshot.
#[derive(Debug)]
pub(super) struct Adoption {
    pub(super) id: ProcessId,
    /// Its number inside.
    pub(super) pid: i32,
    /// Whether it writes framed log records.
    pub(super) records: bool,
}

/// Where it will write to, in the order of a start, and when the guest knows of it.
pub(super) type Adopted = io::Result<(Vec<OwnedFd>, oneshot::Receiver<Result<(), StartError>>)>;

/// What [`Owner::run`] keeps besides what it was made of.
struct State {
    output: Output,
    outgoing: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    starts: HashMap<u32, Starting>,
    /// Where processes that were started ahead are told what they are for.
    briefings: HashMap<ProcessId, PipeWriter>,
}

/// A start that the guest has not answered.
struct Starting {
    programs: Vec<String>,
    reply: oneshot::Sender<Result<(), StartError>>,
}

/// Why the task stops running the sandbox.
enum End {
    /// The handle asked, or is gone.
    Asked(Option<oneshot::Sender<()>>),
    /// PID 1 ended by itself.
    Died,
}

enum Happened {
    Command(Option<Command>),
    Guest(io::Result<Received>),
    Died,
    Flushed,
    Passed,
}

impl Owner {
    /// Runs the sandbox until its end and clears it away.
    pub(super) async fn run(mut self) {
        let last = self.events.clone().reserve_owned().await.ok();
        let mut state = State {
            output: Output::new(self.shared.unread.clone()),
            outgoing: VecDeque::new(),
            starts: HashMap::new(),
            briefings: HashMap::new(),
        };
        let end = self.serve(&mut state).await;
        state.starts.clear();
        self.shared.gone.store(true, Ordering::Release);
        self.parts.take_down(&self.shared.cgroup).await;
        let reply = match end {
            End::Asked(reply) => reply,
            End::Died => self.hand_over(&mut state.output).await,
        };
        drop(state);
        drop(self.parts);
        if let Some(last) = last {
            last.send(Event::Gone);
        }
        if let Some(reply) = reply {
            // The caller may have stopped waiting.
            let _ = reply.send(());
        }
    }

    async fn serve(&mut self, state: &mut State) -> End {
        loop {
            match self.next(state).await {
                Happened::Command(None) => return End::Asked(None),
                Happened::Command(Some(Command::Destroy(reply))) => return End::Asked(Some(reply)),
                Happened::Command(Some(command)) => self.obey(command, state),
                Happened::Guest(Ok(received)) if !received.bytes.is_empty() => {
                    if self.heard(&received, state).is_err() {
                        tracing::warn!(
                            sandbox = self.shared.id,
                            "guest does not speak the protocol"
                        );
                        return End::Died;
                    }
                }
                Happened::Guest(_) | Happened::Died => {
                    self.hear_out(state);
                    return End::Died;
                }
                Happened::Flushed | Happened::Passed => {}
            }
        }
    }

    async fn next(&mut self, state: &mut State) -> Happened {
        let control = &self.parts.control;
        let [runtime_api, endpoint] = &self.parts.listeners;
        tokio::select! {
            command = self.commands.recv() => Happened::Command(command),
            received = receive(control) => Happened::Guest(received),
            _ = self.parts.pidfd.readable() => Happened::Died,
            () = flush(control, &mut state.outgoing) => Happened::Flushed,
            () = pass(&mut state.output, &self.events) => Happened::Passed,
            () = accept(runtime_api, Service::RuntimeApi, &self.connections) => Happened::Passed,
            () = accept(endpoint, Service::Endpoint, &self.connections) => Happened::Passed,
        }
    }

    /// Everything that PID 1 said before it ended.
    fn hear_out(&self, state: &mut State) {
        while let Ok(received) = socket::receive(self.parts.control.get_ref()) {
            if received.bytes.is_empty() || self.heard(&received, state).is_err() {
                break;
            }
        }
    }

    /// After a death: what was written before still belongs to the owner, who may take its time.
    async fn hand_over(&mut self, output: &mut Output) -> Option<oneshot::Sender<()>> {
        while !output.is_finished() && !self.events.is_closed() {
            tokio::select! {
                command = self.commands.recv() => match command {
                    None => return None,
                    Some(Command::Destroy(reply)) => return Some(reply),
                    Some(_) => {}
                },
                () = pass(output, &self.events) => {}
            }
        }
        None
    }

    fn obey(&mut self, command: Command, state: &mut State) {
        match command {
            Command::Start(spec, reply) => self.start(spec, reply, state),
            Command::Signal(id, signal) => {
                let signal = match signal {
                    Signal::Term => protocol::Signal::Term,
                    Signal::Kill => protocol::Signal::Kill,
                };
                self.ask(&ToGuest::Signal { id: id.0, signal }, Vec::new(), state);
            }
            Command::KillAll => {
                self.thaw();
                // Dying takes CPU time: a group full of spinners would starve PID 1 of it.
                if let Err(error) = self.shared.cgroup.set_cpu(None) {
                    tracing::debug!(sandbox = self.shared.id, %error, "cpu share stays as it was");
                }
                self.ask(&ToGuest::KillAll, Vec::new(), state);
            }
            Command::Drain(token) => state.output.after(None, Event::Drained { token }),
            Command::Brief(id, briefing, reply) => {
                let told = match state.briefings.remove(&id) {
                    Some(pipe) => tell(pipe, &briefing),
                    None => Err(io::ErrorKind::NotFound.into()),
                };
                let _ = reply.send(told);
            }
            Command::Pipes(id, reply) => {
                let _ = reply.send(state.output.numbers(id));
            }
            Command::Adopt(adoption, reply) => self.adopt(&adoption, reply, state),
            Command::Process(reply) => {
                let _ = reply.send(self.parts.pidfd.get_ref().try_clone());
            }
            Command::Network(reply) => {
                // The caller may have stopped waiting.
                let _ = reply.send(network_of(&self.parts.listeners[0]));
            }
            Command::Destroy(_) => {}
        }
    }

    fn start(
        &mut self,
        spec: ProcessSpec,
        reply: oneshot::Sender<Result<(), StartError>>,
        state: &mut State,
    ) {
        self.thaw();
        let id = spec.id;
        if state.starts.contains_key(&id.0) {
            return refuse(reply, io::ErrorKind::AlreadyExists.into());
        }
        let ends = match ends(&spec, state) {
            Ok(ends) => ends,
            Err(error) => return refuse(reply, error),
        };
        let programs = spec.programs.clone();
        let request = ToGuest::Start(Start {
            id: id.0,
            programs: spec.programs,
            args: spec.args,
            variables: spec.variables,
            cwd: spec.cwd,
            identity: Identity {
                uid: UID,
                gid: GID,
                processes_max: self.processes_max,
                files_max: FILES_MAX,
                stack_bytes: STACK_BYTES,
            },
            records: spec.records,
            briefed: spec.briefed,
        });
        if self.ask(&request, ends, state) {
            state.starts.insert(id.0, Starting { programs, reply });
        } else {
            state.output.forget(id);
            state.briefings.remove(&id);
            refuse(reply, io::ErrorKind::ArgumentListTooLong.into());
        }
    }

    /// Makes ready for a process that comes from a snapshot: what it will write to goes to who brings it.
    fn adopt(&self, adoption: &Adoption, reply: oneshot::Sender<Adopted>, state: &mut State) {
        let Adoption { id, pid, records } = *adoption;
        let ends = match state.output.open(id, records) {
            Ok(ends) => ends.into_descriptors(),
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        let (told, started) = oneshot::channel();
        if self.ask(&ToGuest::Adopt { id: id.0, pid }, Vec::new(), state) {
            state.starts.insert(id.0, Starting { programs: Vec::new(), reply: told });
        }
        // The caller may have stopped waiting.
        let _ = reply.send(Ok((ends, started)));
    }

    /// Sends a request, at once or when the guest can take it.
    fn ask(&self, request: &ToGuest, descriptors: Vec<OwnedFd>, state: &mut State) -> bool {
        let Ok(bytes) = protocol::encode(request) else {
            return false;
        };
        if state.outgoing.is_empty() {
            match send(&self.parts.control, &bytes, &descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Any other error is the end of the guest, which is seen on the receiving side.
                Ok(()) | Err(_) => return true,
            }
        }
        // A kill must never be lost; there is at most one per call of the owner.
        if state.outgoing.len() >= OUTGOING_MAX && !matches!(request, ToGuest::KillAll) {
            return false;
        }
        state.outgoing.push_back((bytes, descriptors));
        true
    }

    fn heard(&self, received: &Received, state: &mut State) -> Result<(), protocol::CodecError> {
        match protocol::decode(&received.bytes)? {
            FromGuest::Ready => {}
            FromGuest::Started { id } => {
                if let Some(starting) = state.starts.remove(&id) {
                    // The caller may have stopped waiting; the process runs all the same.
                    let _ = starting.reply.send(Ok(()));
                }
            }
            FromGuest::StartFailed { id, failure } => {
                state.output.forget(ProcessId(id));
                state.briefings.remove(&ProcessId(id));
                if let Some(Starting { programs, reply }) = state.starts.remove(&id) {
                    let _ = reply.send(Err(match failure {
                        StartFailure::NoProgram => StartError::NoProgram { programs },
                        StartFailure::Errno(errno) => {
                            StartError::Refused(io::Error::from_raw_os_error(errno))
                        }
                    }));
                }
            }
            FromGuest::Exited { id, exit } => {
                let process = ProcessId(id);
                state.briefings.remove(&process);
                let exit = match exit {
                    protocol::Exit::Code(code) => Exit::Code(code),
                    protocol::Exit::Signal(signal) => Exit::Signal(signal),
                };
                state.output.after(Some(process), Event::Exited { process, exit });
            }
            FromGuest::Empty => state.output.after(None, Event::Empty),
        }
        Ok(())
    }

    /// The guest lives in the group that is frozen: it can only hear when it runs.
    fn thaw(&self) {
        if let Err(Gone) = self.shared.thaw() {
            tracing::debug!(sandbox = self.shared.id, "sandbox is gone before its thaw");
        }
    }
}

/// The ends that go to the guest with the start of a process, in its order.
fn ends(spec: &ProcessSpec, state: &mut State) -> io::Result<Vec<OwnedFd>> {
    let mut ends = state.output.open(spec.id, spec.records)?.into_descriptors();
    if spec.briefed {
        let (reader, writer) = io::pipe()?;
        ends.push(reader.into());
        state.briefings.insert(spec.id, writer);
    }
    Ok(ends)
}

/// Writes the whole briefing, which the pipe has room for, and closes it.
fn tell(mut pipe: PipeWriter, briefing: &[u8]) -> io::Result<()> {
    if briefing.len() > BRIEFING_BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    pipe.write_all(briefing)
}

fn refuse(reply: oneshot::Sender<Result<(), StartError>>, error: io::Error) {
    let _ = reply.send(Err(StartError::Refused(error)));
}

/// Passes one event on, as soon as there is one and room for it.
async fn pass(output: &mut Output, events: &mpsc::Sender<Event>) {
    match events.reserve().await {
        Ok(permit) => permit.send(output.next().await),
        // Nobody listens: nothing is read, the pipes fill and hold their writers.
        Err(_) => std::future::pending().await,
    }
}

async fn accept(listener: &TcpListener, service: Service, dialled: &mpsc::Sender<Dialled>) {
    let Ok(permit) = dialled.reserve().await else {
        return std::future::pending().await;
    };
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and awaited: never hold one back. Failing costs only time.
            let _ = stream.set_nodelay(true);
            permit.send(Dialled { service, connection: Connection::Tcp(stream) });
        }
        Err(error) => {
            tracing::debug!(%error, "connection from inside was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Lets the runtime tell when a descriptor is ready.
pub(super) fn watch<D: Descriptor>(descriptor: D) -> io::Result<AsyncFd<D>> {
    // SAFETY: an OwnedFd, shared or not, always gives the same descriptor and keeps it open as long as
    // it lives, which is as long as the registration.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// What [`watch`] can take.
pub(super) trait Descriptor: AsRawFd {}
impl Descriptor for OwnedFd {}
impl Descriptor for Arc<OwnedFd> {}

/// Receives one message from the guest.
pub(super) async fn receive(control: &AsyncFd<OwnedFd>) -> io::Result<Received> {
    loop {
        let mut ready = control.readable().await?;
        if let Ok(received) = ready.try_io(|control| socket::receive(control.get_ref())) {
            return received;
        }
    }
}

/// Sends one message, or says `WouldBlock`.
fn send(control: &AsyncFd<OwnedFd>, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    socket::send(control.get_ref(), bytes, &descriptors)
}

/// Sends one message, waiting for room.
pub(super) async fn send_patiently(
    control: &AsyncFd<OwnedFd>,
    bytes: &[u8],
    descriptors: &[OwnedFd],
) -> io::Result<()> {
    loop {
        let mut ready = control.writable().await?;
        if let Ok(sent) = ready.try_io(|control| send(control, bytes, descriptors)) {
            return sent;
        }
    }
}

/// Sends what waits. Waits for ever while there is nothing.
async fn flush(control: &AsyncFd<OwnedFd>, outgoing: &mut VecDeque<(Vec<u8>, Vec<OwnedFd>)>) {
    let Some((bytes, descriptors)) = outgoing.front() else {
        return std::future::pending().await;
    };
    // An error is the end of the guest, which is seen on the receiving side.
    let _ = send_patiently(control, bytes, descriptors).await;
    outgoing.pop_front();
}
