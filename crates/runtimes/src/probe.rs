//! Asking a program what it is, with a deadline.
//!
//! Owns: the child process and its end. Must never: wait longer than the deadline, or leave the child
//! behind (a version manager's shim may hang or ask a question).

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::interpreter::{Interpreter, Language, Version};

/// An answer is three short lines: more than this is no interpreter.
const ANSWER_LIMIT_BYTES: u64 = 16 * 1024;

/// How long the end of a killed program may take.
const KILLED: Duration = Duration::from_secs(1);

/// How long a program may take to say what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Duration);

impl Default for Deadline {
    /// A cold disk takes a second; a shim that asks a question takes for ever.
    fn default() -> Self {
        Self(Duration::from_secs(5))
    }
}

const ASK_PYTHON: &str = "import os,sys;print('.'.join(map(str,sys.version_info[:3])));\
    print(os.path.realpath(getattr(sys,'_base_executable',sys.executable)));\
    print(os.path.realpath(sys.base_prefix))";
const ASK_NODE: &str = "const r=require('fs').realpathSync,p=r(process.execPath);\
    console.log(process.versions.node);console.log(p);\
    console.log(require('path').dirname(require('path').dirname(p)))";

/// Runs the program and reads its version, real path and prefix; none if it is not what it is named.
pub(crate) fn ask(language: Language, program: &Path, deadline: Deadline) -> Option<Interpreter> {
    let mut command = Command::new(program);
    match language {
        Language::Python => command.args(["-I", "-S", "-c", ASK_PYTHON]),
        Language::Node => command.args(["-e", ASK_NODE]),
    };
    // NODE_OPTIONS and PYTHON* of the daemon's own shell must not colour the answer.
    command.env_remove("NODE_OPTIONS").env_remove("PYTHONHOME").env_remove("PYTHONPATH");
    let text = run_with_deadline(command, deadline)
        .inspect_err(|error| tracing::debug!(?program, %error, "not an interpreter"))
        .ok()?;
    let mut lines = text.lines();
    let version = Version::parse(lines.next()?)?;
    let program = PathBuf::from(lines.next()?);
    let root = PathBuf::from(lines.next()?);
    let usable = program.is_absolute() && root.is_absolute();
    usable.then_some(Interpreter { language, version, program, root })
}

/// The standard output of a command that ends well before the deadline.
pub(crate) fn run_with_deadline(mut command: Command, deadline: Deadline) -> io::Result<String> {
    // Its own process group: a shim starts further processes, which hold the pipe open.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let child = command.spawn()?;
    let group = Pid::from_child(&child);
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        // Nobody listens any more once the deadline has passed.
        let _ = sender.send(output_of(child));
    });
    let (text, status) = match receiver.recv_timeout(deadline.0) {
        Ok(ended) => ended?,
        Err(_) => {
            // Fails only when the group is gone already, which is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
            // The thread has its child to collect; what escaped the group is not waited for.
            let _ = receiver.recv_timeout(KILLED);
            return Err(io::ErrorKind::TimedOut.into());
        }
    };
    if status.success() {
        Ok(text)
    } else {
        Err(io::Error::other(format!("it ended with {status}")))
    }
}

fn output_of(mut child: Child) -> io::Result<(String, ExitStatus)> {
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_LIMIT_BYTES).read_to_string(&mut text)?;
    }
    Ok((text, child.wait()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed_at_its_deadline_with_its_children() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let error = run_with_deadline(command, Deadline(Duration::from_millis(50))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_program_that_fails_is_no_interpreter() {
        let path = Path::new("/bin/false");
        assert_eq!(ask(Language::Python, path, Deadline::default()), None);
        assert_eq!(ask(Language::Node, Path::new("/nowhere"), Deadline::default()), None);
    }
}
