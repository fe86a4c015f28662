//! Other programs: finding them, running them, saying so. Colour only where a person looks.

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, IsTerminal, Read, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail};

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the workspace")
}

/// The cargo that runs us, with colours kept where ours are.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    if is_coloured() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// A program on `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command to its end, its output shown as it comes.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    heading(&spelt(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| spelt(command))?;
    if !status.success() {
        bail!("{} ended with {status}", spelt(command));
    }
    Ok(())
}

/// What a command prints on standard output; it must succeed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| spelt(command))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", spelt(command), output.status, why.trim());
    }
    String::from_utf8(output.stdout).with_context(|| spelt(command))
}

/// Whether a command succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// The end of a command whose lines were looked at.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) succeeded: bool,
    /// The lines that were asked for, without colour.
    pub(crate) kept: Vec<String>,
}

/// Runs a command, shows its lines and keeps those that `keep` wants.
pub(crate) fn watch(command: &mut Command, keep: fn(&str) -> bool) -> anyhow::Result<Watched> {
    heading(&spelt(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| spelt(command))?;
    let errors = child.stderr.take().context("piped standard error")?;
    let errors = thread::spawn(move || show(errors, keep));
    let mut kept = show(child.stdout.take().context("piped standard output")?, keep);
    kept.extend(errors.join().expect("showing lines does not panic"));
    let succeeded = child.wait()?.success();
    Ok(Watched { succeeded, kept })
}

/// A program may print what is no text: such bytes are replaced, the rest is shown.
fn show(output: impl Read, keep: fn(&str) -> bool) -> Vec<String> {
    let mut kept = Vec::new();
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        let plain = plain(&line);
        if keep(&plain) {
            kept.push(plain);
        }
    }
    kept
}

/// A line without its escape sequences for colour.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            let _ = chars.find(char::is_ascii_alphabetic);
        } else {
            text.push(char);
        }
    }
    text
}

/// A command as one would type it.
fn spelt(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let _ = write!(text, " {}", arg.to_string_lossy());
    }
    text
}

pub(crate) fn heading(text: &str) {
    println!("{}", paint("1;34", &format!("==> {text}")));
}

pub(crate) fn good(text: &str) {
    println!("{} {text}", paint("32", "ok"));
}

/// Something is left out or weaker than it could be.
pub(crate) fn warn(text: &str) {
    println!("{} {text}", paint("1;33", "note:"));
}

pub(crate) fn red(text: &str) -> String {
    if std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none() {
        format!("\u{1b}[1;31m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// The text in a colour (an SGR parameter), plain where nobody looks.
pub(crate) fn paint(colour: &str, text: &str) -> String {
    if is_coloured() { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn is_coloured() -> bool {
    stdout().is_terminal() && env::var_os("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_off_before_a_line_is_judged() {
        assert_eq!(plain("\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s]"), "     Summary [ 0.1s]");
    }

    #[test]
    fn a_command_is_spelt_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/cargo");
        assert_eq!(spelt(command.args(["fmt", "--all"])), "cargo fmt --all");
    }
}
