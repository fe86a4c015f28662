//! Modes for freezing: a child process, a timer and a socket that go on beside the invocations.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, thread};

use conformance_programs::pause::{pause_ms, wall_ms};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::runtime::Act;

/// One byte a beat.
const HEARTBEAT: &str = "/tmp/heartbeat";
const BEAT_MS: u64 = 10;

static TIMER: AtomicU64 = AtomicU64::new(0);
static SOCKET: AtomicU64 = AtomicU64::new(0);

pub(crate) fn mode(name: &str) -> Option<Act> {
    Some(match name {
        "background-start" => start,
        "background-state" => state,
        "leave-child" => leave_child,
        _ => return None,
    })
}

/// The child process: it beats until it is killed.
pub(crate) fn heartbeat() -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(HEARTBEAT)?;
    loop {
        file.write_all(b"x")?;
        pause_ms(BEAT_MS);
    }
}

fn leave_child(event: &Value) -> io::Result<Value> {
    Command::new(env::current_exe()?).arg("heartbeat").spawn()?;
    state(event)
}

fn start(event: &Value) -> io::Result<Value> {
    thread::spawn(|| {
        loop {
            TIMER.fetch_add(1, Ordering::Relaxed);
            pause_ms(BEAT_MS);
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let mut far = listener.accept()?.0;
    thread::spawn(move || {
        while near.write_all(b"x").is_ok() {
            pause_ms(BEAT_MS);
        }
    });
    thread::spawn(move || {
        while far.read_exact(&mut [0]).is_ok() {
            SOCKET.fetch_add(1, Ordering::Relaxed);
        }
    });
    leave_child(event)
}

/// How far all three are, after so much time, and what the clocks say.
fn state(event: &Value) -> io::Result<Value> {
    let mut state = look();
    // Asked first: what it was when it thawed.
    state["wait_ms"] = event["wait_ms"].clone();
    pause_ms(event["wait_ms"].as_u64().unwrap_or(0));
    state["after"] = look();
    Ok(state)
}

fn look() -> Value {
    let monotonic = clock_gettime(ClockId::Monotonic);
    json!({
        "process": fs::metadata(HEARTBEAT).map(|found| found.len()).unwrap_or(0),
        "timer": TIMER.load(Ordering::Relaxed),
        "socket": SOCKET.load(Ordering::Relaxed),
        "wall_ms": wall_ms(),
        "monotonic_ms": monotonic.tv_sec * 1_000 + monotonic.tv_nsec / 1_000_000,
    })
}
