//! The task that owns one fake sandbox and polls all its programs.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::{FakeProcess, Inside, Program, Snapshots};
use crate::{
    BRIEFING_BYTES_MAX, BoxFuture, Connection, Event, Exit, ProcessId, ProcessSpec, Signal,
    SnapshotError, StartError,
};

/// The signal numbers that ended processes report.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// The file of a snapshot's directory that says which one lies there.
const SNAPSHOT_FILE: &str = "number";

/// What the task is asked to do.
pub(super) enum Command {
    Start(ProcessSpec, oneshot::Sender<Result<(), StartError>>),
    Signal(ProcessId, Signal),
    KillAll,
    Freeze(bool, oneshot::Sender<()>),
    Drain(u64),
    Brief(ProcessId, Bytes, oneshot::Sender<io::Result<()>>),
    Checkpoint(ProcessId, PathBuf, oneshot::Sender<Result<(), SnapshotError>>),
    Restore(ProcessId, PathBuf, oneshot::Sender<Result<(), SnapshotError>>),
    Listener(u16, oneshot::Sender<Option<mpsc::Sender<Connection>>>),
    MemoryPeak(oneshot::Sender<u64>),
    ResetPeak,
    Destroy(oneshot::Sender<()>),
}

struct Running {
    id: ProcessId,
    spec: ProcessSpec,
    future: BoxFuture<'static, i32>,
    briefing: Option<watch::Sender<Option<Bytes>>>,
    term: watch::Sender<bool>,
    awaits_term: Arc<AtomicBool>,
}

/// A fake sandbox that runs.
pub(super) struct Owner {
    programs: Arc<HashMap<String, Program>>,
    snapshots: Snapshots,
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
    pub(super) fn new(
        programs: Arc<HashMap<String, Program>>,
        snapshots: Snapshots,
        inside: Arc<Inside>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let (running, pending) = (Vec::new(), VecDeque::new());
        Self { programs, snapshots, inside, commands, running, pending, frozen: false }
    }

    /// Runs the sandbox until its end.
    pub(super) async fn run(mut self, live: Arc<AtomicUsize>) {
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
                Happened::Ended(process, code) => self.ended(process, Exit::Code(code)),
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
                let _ = reply.send(self.start(spec, false));
            }
            Command::Signal(id, signal) => self.signal(id, signal),
            Command::KillAll => {
                self.frozen = false;
                for process in std::mem::take(&mut self.running) {
                    self.ended(process.id, Exit::Signal(SIGKILL));
                }
                self.pending.push_back(Event::Empty);
            }
            Command::Freeze(frozen, reply) => {
                self.frozen = frozen;
                let _ = reply.send(());
            }
            Command::Drain(token) => self.pending.push_back(Event::Drained { token }),
            Command::Brief(id, briefing, reply) => {
                let _ = reply.send(self.brief(id, briefing));
            }
            Command::Checkpoint(id, into, reply) => {
                let _ = reply.send(self.checkpoint(id, &into));
            }
            Command::Restore(id, from, reply) => {
                let _ = reply.send(self.restore(id, &from));
            }
            Command::Listener(port, reply) => {
                let _ = reply.send(self.inside.listeners().at(port));
            }
            Command::MemoryPeak(reply) => {
                let _ = reply.send(self.inside.memory_peak_bytes.load(Ordering::Acquire));
            }
            Command::ResetPeak => self.inside.memory_peak_bytes.store(0, Ordering::Release),
            Command::Destroy(_) => {}
        }
    }

    fn start(&mut self, spec: ProcessSpec, restored: bool) -> Result<(), StartError> {
        let program = spec.programs.iter().find_map(|path| self.programs.get(path));
        let Some(program) = program else {
            return Err(StartError::NoProgram { programs: spec.programs });
        };
        let kept = spec.clone();
        let (term, term_seen) = watch::channel(false);
        let awaits_term = Arc::new(AtomicBool::new(false));
        let (briefing, briefed) = watch::channel(None);
        let future = program(FakeProcess {
            args: spec.args,
            variables: spec.variables.into_iter().collect(),
            cwd: spec.cwd,
            records: spec.records,
            restored,
            id: spec.id,
            inside: Arc::clone(&self.inside),
            briefing: spec.briefed.then_some(briefed),
            term: term_seen,
            awaits_term: Arc::clone(&awaits_term),
        });
        let briefing = spec.briefed.then_some(briefing);
        self.running.push(Running { id: spec.id, spec: kept, future, briefing, term, awaits_term });
        Ok(())
    }

    fn checkpoint(&mut self, id: ProcessId, into: &Path) -> Result<(), SnapshotError> {
        let at = self.running.iter().position(|process| process.id == id);
        let Some(at) = at else {
            return Err(SnapshotError::Unfit("there is no such process".to_owned()));
        };
        let number = {
            let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
            snapshots.push(self.running[at].spec.clone());
            snapshots.len() - 1
        };
        std::fs::write(into.join(SNAPSHOT_FILE), number.to_string()).map_err(step("images"))?;
        self.running.remove(at);
        self.ended(id, Exit::Signal(SIGKILL));
        Ok(())
    }

    fn restore(&mut self, id: ProcessId, from: &Path) -> Result<(), SnapshotError> {
        let number = std::fs::read_to_string(from.join(SNAPSHOT_FILE)).map_err(step("images"))?;
        let number: usize = number.parse().map_err(io::Error::other).map_err(step("images"))?;
        let written = {
            let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
            snapshots.get(number).cloned().ok_or(io::ErrorKind::NotFound)
        };
        let written = written.map_err(io::Error::from).map_err(step("images"))?;
        let started = self.start(ProcessSpec { id, ..written }, true);
        started.map_err(io::Error::other).map_err(step("restore"))
    }

    fn brief(&mut self, id: ProcessId, briefing: Bytes) -> io::Result<()> {
        if briefing.len() > BRIEFING_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let process = self.running.iter_mut().find(|process| process.id == id);
        let place = process.and_then(|process| process.briefing.take());
        place.ok_or(io::ErrorKind::NotFound)?.send_replace(Some(briefing));
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
        self.ended(id, Exit::Signal(number));
    }

    fn ended(&mut self, process: ProcessId, exit: Exit) {
        self.inside.listeners().close(process);
        self.pending.push_back(Event::Exited { process, exit });
    }
}

fn step(step: &'static str) -> impl Fn(io::Error) -> SnapshotError {
    move |source| SnapshotError::Step { step, source }
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
