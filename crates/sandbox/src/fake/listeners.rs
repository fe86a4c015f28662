//! The ports on which programs of one fake sandbox listen.

use std::collections::HashMap;
use std::io;

use tokio::sync::mpsc;

use crate::{Connection, ProcessId, SERVICE_PORTS};

/// How many connections may wait for a program to take them; others wait until their deadline.
const BACKLOG: usize = 16;

/// Who listens where.
#[derive(Default)]
pub(super) struct Listeners(HashMap<u16, (ProcessId, mpsc::Sender<Connection>)>);

impl Listeners {
    /// Gives a free port to a process.
    pub(super) fn open(
        &mut self,
        process: ProcessId,
        port: u16,
    ) -> io::Result<mpsc::Receiver<Connection>> {
        if SERVICE_PORTS.contains(&port) || self.at(port).is_some() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.0.insert(port, (process, sender));
        Ok(receiver)
    }

    /// Who listens on a port, if anybody does.
    pub(super) fn at(&self, port: u16) -> Option<mpsc::Sender<Connection>> {
        let (_, sender) = self.0.get(&port)?;
        (!sender.is_closed()).then(|| sender.clone())
    }

    /// Frees the ports of a process that has ended, even if the test keeps a receiver.
    pub(super) fn close(&mut self, process: ProcessId) {
        self.0.retain(|_, (listening, _)| *listening != process);
    }
}
