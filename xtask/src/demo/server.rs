//! The server under demonstration: started on a free port, stopped by SIGTERM, never left behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::http::Client;
use super::leftovers::{self, Process};
use crate::shell;

const READY: &str = "dormouse is ready on http://";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// A stopping server lets running invocations end; the demo has none by then.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    processes: BTreeSet<Process>,
}

impl Server {
    /// Functions get a network where this machine can give one; the demo needs none.
    pub(super) fn start(binary: &Path, directory: &Path) -> anyhow::Result<Self> {
        if shell::find("nft").is_none() {
            shell::warn(
                "nft is missing: functions get no network (--network none). Install it with: \
                 apt-get install nftables",
            );
            return Self::launch(binary, directory, &["--network", "none"]);
        }
        let refusal = match Self::launch(binary, directory, &[]) {
            Ok(server) => return Ok(server),
            Err(error) => format!("{error:#}"),
        };
        if !refusal.contains("network") {
            bail!(refusal);
        }
        shell::warn(&format!("functions get no network (--network none), because {refusal}"));
        Self::launch(binary, directory, &["--network", "none"])
    }

    fn launch(binary: &Path, directory: &Path, more: &[&str]) -> anyhow::Result<Self> {
        shell::heading("dormouse serve, on a free port, in a directory of its own");
        let log = directory.join("server.log");
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(directory.join("data")).args(more);
        let started = now();
        let errors = File::create(&log)?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
        let mut child = child.with_context(|| binary.display().to_string())?;
        let output = child.stdout.take().context("piped standard output")?;
        let address = match ready(output) {
            Ok(address) => address,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("{error:#}:\n{}", tail(&log));
            }
        };
        println!("    ready on {address} after {:.0} ms", started.elapsed().as_secs_f64() * 1000.0);
        Ok(Self { child, address, log, processes: BTreeSet::new() })
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// The end of the server's own log.
    pub(super) fn log(&self) -> String {
        tail(&self.log)
    }

    /// Notes which processes there are now, to look for them once the server has stopped.
    pub(super) fn remember_processes(&mut self) {
        self.processes.extend(leftovers::family(self.child.id()));
    }

    /// SIGTERM, and the processes that must be gone by now.
    pub(super) fn stop(mut self) -> anyhow::Result<BTreeSet<Process>> {
        shell::heading("SIGTERM");
        self.remember_processes();
        let started = now();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process has a number")?, Signal::TERM)?;
        let status = until(STOPPED_WITHIN, "the server to stop", || Ok(self.child.try_wait()?))?;
        println!(
            "    ended with {status} after {:.0} ms",
            started.elapsed().as_secs_f64() * 1000.0
        );
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(std::mem::take(&mut self.processes))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for the line that says the server is ready, and goes on reading so that it never blocks.
fn ready(output: ChildStdout) -> anyhow::Result<SocketAddr> {
    let (sender, lines) = mpsc::sync_channel(1);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(READY) {
                let _ = sender.send(address.trim().to_owned());
            }
        }
    });
    let address = lines.recv_timeout(READY_WITHIN).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => anyhow::anyhow!("not ready after {READY_WITHIN:?}"),
        mpsc::RecvTimeoutError::Disconnected => {
            anyhow::anyhow!("the server ended at its start")
        }
    })?;
    address.parse().with_context(|| format!("address {address:?} in the ready line"))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Asks again and again until there is an answer.
pub(super) fn until<T>(
    within: Duration,
    what: &str,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started = now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if started.elapsed() > within {
            bail!("waited {within:?} for {what}");
        }
        #[expect(clippy::disallowed_methods, reason = "another process gives no event for this")]
        thread::sleep(POLL);
    }
}

#[expect(clippy::disallowed_methods, reason = "the demo measures real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}
