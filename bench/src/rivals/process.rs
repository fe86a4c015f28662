//! A rival's server as a child in a process group of its own: started on a free port, and ended with
//! all that it started.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::time::until;

/// The slowest takes two seconds on a quiet machine.
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// A running rival. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) address: SocketAddr,
    /// What it calls the function.
    pub(super) function: String,
    child: Child,
}

/// A port that was free a moment ago: rivals do not tell which one they took.
pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Running {
    /// Starts it and waits until it listens.
    pub(super) fn start(
        mut command: Command,
        port: u16,
        function: &str,
        home: &Path,
    ) -> anyhow::Result<Self> {
        let log = home.join("log");
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let program = PathBuf::from(command.get_program());
        let child = command.spawn().with_context(|| program.display().to_string())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let running = Self { address, function: function.to_owned(), child };
        until(READY_WITHIN, "it to listen", || {
            if running.has_ended()? {
                bail!("it ended at once: {}", last_line(&log));
            }
            Ok(TcpStream::connect(address).ok().map(drop))
        })?;
        Ok(running)
    }

    /// Whether it has ended; its number stays its own until it is waited for.
    fn has_ended(&self) -> anyhow::Result<bool> {
        let pid = self.pid().context("a process has a number")?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.pid() {
            // A group that is gone already is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let _ = until(STOPPED_WITHIN, "it to end", || Ok(self.has_ended()?.then_some(())));
        // Also when it ended by itself: it may have left children. It is not waited for before that, so
        // that its number cannot be another's yet.
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("without a word").to_owned()
}
