//! The server under measurement: started on a free port in a directory of its own, stopped by
//! SIGTERM, never left behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::http::Client;
use crate::pool::Pool;
use crate::time::{now, until};

const READY: &str = "dormouse is ready on http://";
/// A log line of the server: from here on nothing of its start is left to do.
const SETTLED: &str = "interpreters found";
const SETTLED_WITHIN: Duration = Duration::from_secs(20);
const FILLED_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) started_within: Duration,
    data: PathBuf,
    log: PathBuf,
}

/// More than any number of environments here counts for.
const CAPACITY_MB: &str = "16777216";

impl Server {
    /// Starts it on this directory and waits until it is ready.
    pub(crate) fn start(binary: &Path, directory: &Path, pool: Pool) -> anyhow::Result<Self> {
        let (data, log) = (directory.join("data"), directory.join("server.log"));
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--network", "none"]);
        // The functions are given far more memory than they use, for the sake of their CPU share.
        command.args(["--capacity-mb", CAPACITY_MB]);
        if let Some(standby) = pool.standby(binary)? {
            command.args(["--standby", &standby]);
        }
        let started = now();
        let mut child = command
            .arg("--data-dir")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        let mut line = String::new();
        let output = child.stdout.take().context("piped standard output")?;
        let read = BufReader::new(output).read_line(&mut line);
        let started_within = started.elapsed();
        let address = line.trim().strip_prefix(READY).map(str::parse);
        let (Ok(_), Some(Ok(address))) = (read, address) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the server did not become ready:\n{}", tail(&log));
        };
        Ok(Self { child, address, started_within, data, log })
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it keeps the bootstraps of the managed runtimes.
    pub(crate) fn bootstraps(&self) -> PathBuf {
        self.data.join("bootstraps")
    }

    /// The end of the server's own log.
    pub(crate) fn log(&self) -> String {
        tail(&self.log)
    }

    /// Waits until it has looked for interpreters.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        until(SETTLED_WITHIN, "the server to find interpreters", || {
            Ok(fs::read_to_string(&self.log)?.contains(SETTLED).then_some(()))
        })
    }

    /// Waits until so much stands by as the pool holds of so many kinds.
    pub(crate) fn filled(&self, pool: Pool, kinds: usize) -> anyhow::Result<()> {
        let mut client = self.client()?;
        until(FILLED_WITHIN, "the standby pool to be full", || pool.is_full(kinds, &mut client))
    }

    /// SIGTERM, and how long it took to end.
    pub(crate) fn stop(mut self) -> anyhow::Result<Duration> {
        let started = now();
        self.terminate()?;
        Ok(started.elapsed())
    }

    fn terminate(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process has a number")?, Signal::TERM)?;
        until(STOPPED_WITHIN, "the server to stop", || Ok(self.child.try_wait()?.map(|_| ())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.terminate().is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
