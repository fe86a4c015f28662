//! The ways a process ends, or never does, by name. Both programs know them, at every moment.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, abort, exit};
use std::{env, fs};

use rustix::process::{Signal, getpid, kill_process};

use crate::pause::for_ever;

/// Bytes that are taken at once by who wants them all.
const BITE: usize = 1 << 20;

/// Ends as a mode says: `exit:N`, `segv`, `abort`, `kill`, `out-of-memory`, or `hang`, which never
/// does. Returns when the mode is none of these.
pub fn end(mode: &str) {
    match mode.split_once(':').unwrap_or((mode, "")) {
        ("exit", code) => exit(code.parse().unwrap_or(0)),
        ("segv", _) => signal(Signal::SEGV),
        ("abort", _) => abort(),
        ("kill", _) => signal(Signal::KILL),
        ("out-of-memory", _) => eat(),
        ("hang", _) => for_ever(),
        _ => {}
    }
}

fn signal(signal: Signal) -> ! {
    // Rust's library takes the first SIGSEGV, to see whether the stack is full.
    loop {
        let _ = kill_process(getpid(), signal);
    }
}

fn eat() -> ! {
    let mut eaten = Vec::new();
    loop {
        // Written to, so that the pages are really there.
        eaten.push(vec![1u8; BITE]);
        std::hint::black_box(&eaten);
    }
}

/// Whether this start is among the first `times`, counted in a file that resets do not remove.
///
/// # Errors
/// When `/tmp` cannot be written.
pub fn is_early(name: &str, times: Option<u64>) -> io::Result<bool> {
    let path = format!("/tmp/starts-of-{name}");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    file.write_all(b"x")?;
    let starts = fs::metadata(path)?.len();
    Ok(times.is_none_or(|times| starts <= times))
}

/// Starts this program anew, in another mode and with SIGTERM ignored, which a process keeps across
/// exec. By a shell, since ignoring it here would be unsafe code.
///
/// # Errors
/// When there is no shell.
pub fn again_without_sigterm(variable: &str, mode: &str) -> io::Result<()> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' TERM; exec \"$0\""]).arg(env::current_exe()?);
    Err(shell.env(variable, mode).exec())
}
