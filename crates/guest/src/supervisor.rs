//! Keeps the table of started processes and turns requests and ended children into messages.
//!
//! Owns every child of PID 1. It must never trust a process id beyond the table: an id is only
//! signalled while the child has not been waited for, so it cannot have been reused.

use std::collections::HashMap;

use crate::process::{self, Confinement, Stdio};
use crate::protocol::{Exit, FromGuest, Signal, Start, ToGuest};

/// The processes of one sandbox.
#[derive(Debug)]
pub struct Supervisor {
    confinement: Confinement,
    running: HashMap<libc::pid_t, u32>,
    emptying: bool,
}

impl Supervisor {
    /// A supervisor with no processes; each one started is confined in this way.
    pub fn new(confinement: Confinement) -> Self {
        Self { confinement, running: HashMap::new(), emptying: false }
    }

    /// Does what the host asks. A start needs the two ends for its output.
    pub fn handle(&mut self, request: ToGuest, stdio: Option<Stdio>) -> Option<FromGuest> {
        match request {
            ToGuest::Start(start) => Some(self.start(&start, stdio)),
            ToGuest::Signal { id, signal } => {
                self.signal(id, signal);
                None
            }
            ToGuest::KillAll => {
                self.emptying = true;
                process::kill_everyone();
                None
            }
        }
    }

    /// Collects every child that has ended, in the order in which the kernel tells.
    pub fn reap(&mut self) -> Vec<FromGuest> {
        let mut messages = Vec::new();
        loop {
            match process::wait_any() {
                process::Waited::Ended(pid, exit) => messages.extend(self.ended(pid, exit)),
                process::Waited::NoneEnded => break,
                process::Waited::NoChildren => {
                    if std::mem::take(&mut self.emptying) {
                        messages.push(FromGuest::Empty);
                    }
                    break;
                }
            }
        }
        messages
    }

    fn start(&mut self, start: &Start, stdio: Option<Stdio>) -> FromGuest {
        let id = start.id;
        let Some(stdio) = stdio else {
            let failure = crate::protocol::StartFailure::Errno(libc::EBADF);
            return FromGuest::StartFailed { id, failure };
        };
        match process::start(start, stdio, &self.confinement) {
            Ok(pid) => {
                self.running.insert(pid, id);
                FromGuest::Started { id }
            }
            Err(failure) => FromGuest::StartFailed { id, failure },
        }
    }

    fn signal(&self, id: u32, signal: Signal) {
        let found = self.running.iter().find(|(_, running)| **running == id);
        if let Some((pid, _)) = found {
            process::signal(*pid, signal);
        }
    }

    fn ended(&mut self, pid: libc::pid_t, exit: Exit) -> Option<FromGuest> {
        // Anything not in the table is an orphan of user code that was left to us.
        let id = self.running.remove(&pid)?;
        Some(FromGuest::Exited { id, exit })
    }
}
