//! `test-extension`: an external extension with a mode for every misbehaviour.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `TEST_EXTENSION_MODE` | what it does wrong; see [`Mode`] |
//! | `TEST_EXTENSION_TIMES` | in how many starts of an environment (all, unless told otherwise) |
//! | `TEST_EXTENSION_EVENTS` | what it registers for, with commas (`INVOKE,SHUTDOWN`) |
//! | `TEST_EXTENSION_TELEMETRY` | what it subscribes to, see `telemetry.rs` |
//!
//! What the platform answers is printed, so that tests find it in the log.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a user's program: its time, environment and output are its own"
)]

mod extension;
mod telemetry;

use std::path::Path;
use std::process::exit;
use std::{env, fs, io, thread};

use conformance_programs::ending::{again_without_sigterm, end, is_early};
use conformance_programs::http::tell;
use conformance_programs::pause::{for_ever, pause_ms};
use serde_json::{Map, Value, json};

use crate::extension::Extension;

const MODE: &str = "TEST_EXTENSION_MODE";

/// When it ends, or hangs, and how (see `ending.rs`): `before-register exit:1`.
const MOMENTS: [&str; 4] = ["before-register", "after-register", "waiting", "invoked"];
/// The file for which one that is to end while it waits looks. It is gone afterwards.
const TRIGGER: &str = "/tmp/end-of-extension";

/// How long a subscriber listens after it has heard of the end; far less than it may.
const LAST_EVENTS_MS: u64 = 500;

/// Nobody's identifier.
const STRANGER: &str = "00000000-0000-4000-8000-000000000000";

/// What is wrong with this start.
#[derive(Debug, Default)]
struct Mode {
    /// A moment of [`MOMENTS`], or what to do: `report`, `slow`, `register-late`, `register-twice`,
    /// `next-before-register`, `wrong-identifier`, `init-error`, `exit-error`, `ignore-the-end`
    /// (SIGTERM and SHUTDOWN).
    what: String,
    /// How it ends, or how many milliseconds it waits.
    how: String,
}

impl Mode {
    fn read(name: &str) -> io::Result<Self> {
        let text = env::var(MODE).unwrap_or_default();
        let times = env::var("TEST_EXTENSION_TIMES").ok().and_then(|times| times.parse().ok());
        if text.is_empty() || !is_early(name, times)? {
            return Ok(Self::default());
        }
        let (what, how) = text.split_once(' ').unwrap_or((&text, ""));
        Ok(Self { what: what.to_owned(), how: how.to_owned() })
    }

    fn end_if(&self, moment: &str) {
        if MOMENTS.contains(&moment) && self.what == moment {
            end(&self.how);
        }
    }
}

fn main() -> io::Result<()> {
    let name = env::args().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mode = Mode::read(&name)?;
    let mut extension = Extension::new(name)?;
    before(&mode, &mut extension)?;
    extension.register()?;
    if let Ok(wanted) = env::var(telemetry::VARIABLE) {
        telemetry::subscribe(&mut extension, &wanted)?;
    }
    registered(&mode, &mut extension)?;
    listen(&mode, &mut extension)
}

fn before(mode: &Mode, extension: &mut Extension) -> io::Result<()> {
    mode.end_if("before-register");
    match mode.what.as_str() {
        "report" => report(extension.name())?,
        "register-late" => pause_ms(mode.how.parse().unwrap_or(0)),
        "next-before-register" => tell("next", &extension.next()),
        "ignore-the-end" => again_without_sigterm(MODE, "ignore-shutdown")?,
        _ => {}
    }
    Ok(())
}

/// Writes where it is and what it was given to a file that the function can read.
fn report(name: &str) -> io::Result<()> {
    let variables: Map<String, Value> =
        env::vars().map(|(name, value)| (name, Value::from(value))).collect();
    let report = json!({ "cwd": env::current_dir()?, "variables": variables });
    fs::write(format!("/tmp/report-{name}.json"), report.to_string())
}

fn registered(mode: &Mode, extension: &mut Extension) -> io::Result<()> {
    mode.end_if("after-register");
    match mode.what.as_str() {
        "register-twice" => tell("second register", &extension.ask_register()),
        "wrong-identifier" => {
            tell("next of no one", &extension.next_of("me"));
            tell("next of a stranger", &extension.next_of(STRANGER));
        }
        "init-error" | "exit-error" => {
            let path = mode.what.replace('-', "/");
            tell(&path, &extension.report(&path, "Extension.Mine"));
            if mode.how != "and-stay" {
                exit(1);
            }
            for_ever();
        }
        "waiting" => {
            let how = mode.how.clone();
            thread::spawn(move || {
                while fs::remove_file(TRIGGER).is_err() {
                    pause_ms(5);
                }
                end(&how);
            });
        }
        _ => {}
    }
    Ok(())
}

/// Hears of every event until the last.
fn listen(mode: &Mode, extension: &mut Extension) -> io::Result<()> {
    loop {
        let event = extension.next()?.json();
        match event["eventType"].as_str() {
            Some("INVOKE") => {
                mode.end_if("invoked");
                if mode.what == "slow" {
                    pause_ms(mode.how.parse().unwrap_or(0));
                }
            }
            Some("SHUTDOWN") => {
                println!("{} SHUTDOWN {}", extension.name(), event["shutdownReason"]);
                if mode.what == "ignore-shutdown" {
                    for_ever();
                }
                if env::var(telemetry::VARIABLE).is_ok() {
                    // What is still on its way comes now, or never.
                    pause_ms(LAST_EVENTS_MS);
                }
                exit(0);
            }
            _ => return Err(io::Error::other(format!("not an event: {event}"))),
        }
    }
}
