//! `test-runtime`: a runtime with a mode for every misbehaviour.
//!
//! The event says what it does: `{"mode": "..."}`; without a mode the event comes back. What happens
//! before the first event is said by `TEST_RUNTIME_MODE`, and `TEST_RUNTIME_TIMES` says how many
//! starts of an environment are like that (all, unless told otherwise). `TEST_RUNTIME_AFTER_MS` lets
//! time pass before. What the platform answers is printed, so that tests find it in the log.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a user's program: its time, environment and output are its own"
)]

mod background;
mod output;
mod resources;
mod runtime;
mod wire;

use std::env;
use std::io;

use conformance_programs::ending::{self, again_without_sigterm, is_early};
use conformance_programs::http::tell;
use conformance_programs::pause::{for_ever, pause_ms};
use serde_json::{Value, json};

use crate::runtime::{Invocation, Runtime};

const MODE: &str = "TEST_RUNTIME_MODE";
const TIMES: &str = "TEST_RUNTIME_TIMES";
const AFTER_MS: &str = "TEST_RUNTIME_AFTER_MS";

fn main() -> io::Result<()> {
    // What it starts itself.
    match env::args().nth(1).as_deref() {
        Some("sleep") => for_ever(),
        Some("heartbeat") => background::heartbeat()?,
        _ => {}
    }
    let mut runtime = Runtime::new()?;
    initialise(&mut runtime)?;
    loop {
        let invocation = runtime.next()?;
        invoked(&mut runtime, &invocation)?;
    }
}

fn initialise(runtime: &mut Runtime) -> io::Result<()> {
    let mode = env::var(MODE).unwrap_or_default();
    if mode == "ignore-sigterm" {
        again_without_sigterm(MODE, "")?;
    }
    pause_ms(number(AFTER_MS).unwrap_or(0));
    let times = number(TIMES);
    if mode.is_empty() || !is_early("runtime", times)? {
        return Ok(());
    }
    println!("init: {mode}");
    ending::end(&mode);
    let error = json!({"errorMessage": "no init today", "errorType": "Function.NoInit"});
    if mode.starts_with("init-error") {
        tell("init/error", &runtime.init_error("Function.NoInit", &error));
    }
    match mode.as_str() {
        "init-error" => ending::end("exit:1"),
        "init-error-and-stay" => {
            tell("next", &runtime.ask_next());
            for_ever();
        }
        "response-before-next" => tell("response", &runtime.answer("x", "response", b"{}")),
        _ => {}
    }
    Ok(())
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Does what the event says, after so many milliseconds.
fn invoked(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let mode = invocation.event["mode"].as_str().unwrap_or_default().to_owned();
    pause_ms(invocation.event["after_ms"].as_u64().unwrap_or(0));
    ending::end(&mode);
    if let Some(speak) = wire::mode(&mode) {
        return speak(runtime, invocation);
    }
    let found =
        resources::mode(&mode).or_else(|| background::mode(&mode)).or_else(|| output::mode(&mode));
    let result = match found {
        Some(act) => act(&invocation.event)?,
        None if mode.is_empty() => invocation.event.clone(),
        None => Value::from(format!("there is no mode {mode}")),
    };
    runtime.respond(invocation, result.to_string().as_bytes())
}
