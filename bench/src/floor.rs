//! The floor from outside: its server as a child process, and runtimes as plain processes beside it.
//!
//! Same bootstraps, same interpreters, same flags as in the sandbox; no sandbox.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::functions::Function;
use crate::http::{Client, invoke};
use crate::load;
use crate::time::now;

/// The argument that makes this program the floor's server.
pub(crate) const SERVER: &str = "floor-server";
/// The floor has one function: the name in a path means nothing to it.
pub(crate) const NAME: &str = "floor";

/// A running floor for one function. Dropping it ends its processes.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) address: SocketAddr,
    function: Function,
    task: PathBuf,
    bootstraps: PathBuf,
    runtimes: Vec<Child>,
    server: Child,
    /// The server ends when this is closed.
    input: Option<ChildStdin>,
}

impl Floor {
    /// Starts the server; no runtime yet.
    pub(crate) fn start(
        function: &Function,
        bootstraps: PathBuf,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let task = function.unpack(directory)?;
        let mut server = Command::new(std::env::current_exe()?)
            .arg(SERVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the floor's server")?;
        let mut line = String::new();
        let output = server.stdout.take().context("piped standard output")?;
        BufReader::new(output).read_line(&mut line)?;
        let input = server.stdin.take();
        Ok(Self {
            address: line.trim().parse().context("the floor's address")?,
            function: function.clone(),
            task,
            bootstraps,
            runtimes: Vec::new(),
            server,
            input,
        })
    }

    /// Starts runtimes until there are so many, and waits until all answer.
    pub(crate) fn scale(&mut self, runtimes: usize) -> anyhow::Result<()> {
        while self.runtimes.len() < runtimes {
            let child = self.command().spawn();
            self.runtimes.push(child.context("a runtime of the floor")?);
        }
        load::at_once(self.address, NAME, br#"{"sleep_ms":100}"#, runtimes)?;
        Ok(())
    }

    /// From the start of a process to its first answer; the process is ended afterwards.
    pub(crate) fn cold(&self, client: &mut Client, payload: &[u8]) -> anyhow::Result<Duration> {
        let request = invoke(self.address, NAME, payload);
        let mut command = self.command();
        let started = now();
        let mut runtime = command.spawn().context("a runtime of the floor")?;
        let answer = client.exchange(&request).map(|_| started.elapsed());
        end(&mut runtime);
        answer
    }

    fn command(&self) -> Command {
        let function = &self.function;
        let mut command = Command::new(&function.command[0]);
        command.env_clear().args(&function.command[1..]);
        if let Some(bootstrap) = function.bootstrap {
            let path = self.bootstraps.join(bootstrap);
            let directory = path.parent().unwrap_or(&self.bootstraps).to_owned();
            // As in the sandbox: the client beside the bootstrap must be found however python starts.
            command.arg(&path).env("PYTHONPATH", directory);
            // In the sandbox as on Lambda the code's directory is read-only: each start compiles the
            // function, where the floor would find the byte code of the start before.
            command.env("PYTHONDONTWRITEBYTECODE", "1");
        }
        command
            .current_dir(&self.task)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", self.address.to_string().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", NAME),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/floor"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "floor"),
            ("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{}", function.runtime)),
            ("AWS_REGION", "us-east-1"),
            ("LAMBDA_TASK_ROOT", &self.task.to_string_lossy()),
            ("_HANDLER", function.handler),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ]);
        command
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.runtimes.iter_mut().for_each(end);
        self.input = None;
        let _ = self.server.wait();
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
