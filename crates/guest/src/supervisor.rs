//! Keeps the table of started processes and turns requests and ended children into messages.
//!
//! Owns every child of PID 1. It must never trust a process id beyond the table: an id is only
//! signalled while the child has not been waited for, so it cannot have been reused.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use crate::process::{self, Confinement, Stdio};
use crate::protocol::{Exit, FromGuest, Signal, Start, StartFailure, ToGuest};

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

    /// Does what the host asks. A start needs the ends for its output; any others are closed.
    pub fn handle(&mut self, request: ToGuest, descriptors: Vec<OwnedFd>) -> Option<FromGuest> {
        match request {
            ToGuest::Start(start) => Some(self.start(&start, descriptors)),
            ToGuest::Signal { id, signal } => {
                self.signal(id, signal);
                None
            }
            ToGuest::Adopt { id, pid } => Some(self.adopt(id, pid)),
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

    fn start(&mut self, start: &Start, descriptors: Vec<OwnedFd>) -> FromGuest {
        let id = start.id;
        let Some(stdio) = Stdio::new(descriptors, start) else {
            return FromGuest::StartFailed { id, failure: StartFailure::Errno(libc::EBADF) };
        };
        match process::start(start, stdio, &self.confinement) {
            Ok(pid) => {
                self.running.insert(pid, id);
                FromGuest::Started { id }
            }
            Err(failure) => FromGuest::StartFailed { id, failure },
        }
    }

    /// What comes from a snapshot becomes a child of PID 1 when those who brought it leave.
    fn adopt(&mut self, id: u32, pid: i32) -> FromGuest {
        if pid <= 1 || self.running.contains_key(&pid) {
            return FromGuest::StartFailed { id, failure: StartFailure::Errno(libc::EINVAL) };
        }
        self.running.insert(pid, id);
        FromGuest::Started { id }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Identity;

    /// What comes of a start that says this and brings so many descriptors.
    fn started_with(records: bool, briefed: bool, count: usize) -> Option<FromGuest> {
        let identity =
            Identity { uid: 0, gid: 0, processes_max: 1, files_max: 1024, stack_bytes: 8 << 20 };
        let start = Start {
            id: 7,
            programs: vec!["/nothing/there".into()],
            args: vec![],
            variables: vec![],
            cwd: "/".into(),
            identity,
            records,
            briefed,
        };
        let ends = (0..count).map(|_| std::io::pipe().unwrap().1.into()).collect();
        Supervisor::new(Confinement { filter: vec![] }).handle(ToGuest::Start(start), ends)
    }

    #[test]
    fn a_start_with_a_wrong_number_of_descriptors_fails() {
        let failed = FromGuest::StartFailed { id: 7, failure: StartFailure::Errno(libc::EBADF) };
        for (records, briefed, wrong) in [
            (false, false, [0, 1, 3, 16]),
            (true, false, [0, 2, 4, 16]),
            (false, true, [0, 2, 4, 16]),
            (true, true, [0, 2, 3, 5]),
        ] {
            for count in wrong {
                let told = started_with(records, briefed, count);
                assert_eq!(told.as_ref(), Some(&failed), "{records} {briefed} {count}");
            }
        }
    }
}
