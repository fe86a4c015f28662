//! Modes that use what an environment has, up to its limits, and say how much it was.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::{env, thread};

use conformance_programs::pause::{burn_ms, for_ever, pause_ms};
use rustix::process::{Resource, getgid, getrlimit, getuid};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

use crate::runtime::Act;

pub(crate) fn mode(name: &str) -> Option<Act> {
    Some(match name {
        "report" => report,
        "look-at" => look_at,
        "read-file" => read_file,
        "write-file" => write_file,
        "fill-tmp" => fill_tmp,
        "burn" => burn,
        "wait" => wait,
        "fork-bomb" => fork_bomb,
        "threads" => threads,
        _ => return None,
    })
}

/// Who and where it is, and what it may use.
fn report(_: &Value) -> io::Result<Value> {
    let limit = |resource| {
        let found = getrlimit(resource);
        json!([found.current, found.maximum])
    };
    let variables: Map<String, Value> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), json!(value.to_string_lossy())))
        .collect();
    Ok(json!({
        "uid": getuid().as_raw(),
        "gid": getgid().as_raw(),
        "cwd": env::current_dir()?,
        "arguments": env::args().collect::<Vec<_>>(),
        "cores": thread::available_parallelism()?.get(),
        "limits": {
            "nofile": limit(Resource::Nofile),
            "nproc": limit(Resource::Nproc),
            "core": limit(Resource::Core),
            "stack": limit(Resource::Stack),
        },
        "variables": variables,
    }))
}

/// Kind, mode and owner of each path, and whether something can be written there.
fn look_at(event: &Value) -> io::Result<Value> {
    let paths = event["paths"].as_array().cloned().unwrap_or_default();
    let look = |path: &Value| {
        let path = path.as_str().unwrap_or_default();
        let found = match fs::metadata(path) {
            Err(error) => json!({"error": error.kind().to_string()}),
            Ok(found) => {
                let probe = format!("{path}/probe");
                let writable = found.is_dir() && File::create(&probe).is_ok();
                // Only what it could make is there to be removed.
                let _ = fs::remove_file(probe);
                json!({
                    "mode": format!("{:o}", found.mode() & 0o7777),
                    "owner": [found.uid(), found.gid()],
                    "directory": found.is_dir(),
                    "writable": writable,
                })
            }
        };
        (path.to_owned(), found)
    };
    Ok(Value::Object(paths.iter().map(look).collect()))
}

fn read_file(event: &Value) -> io::Result<Value> {
    let path = event["path"].as_str().unwrap_or_default();
    Ok(fs::read(path).map_or(Value::Null, |bytes| json!(String::from_utf8_lossy(&bytes))))
}

/// Writes a file, for whoever else waits for it.
fn write_file(event: &Value) -> io::Result<Value> {
    fs::write(event["path"].as_str().unwrap_or_default(), "here")?;
    pause_ms(event["wait_ms"].as_u64().unwrap_or(0));
    Ok(Value::Null)
}

/// Writes megabytes until there is no room; how many there were and why it ended.
fn fill_tmp(_: &Value) -> io::Result<Value> {
    let mut file = File::create("/tmp/fill")?;
    let block = vec![1u8; 1 << 20];
    let mut bytes = 0;
    let ended = loop {
        match file.write(&block) {
            Ok(written) => bytes += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break error.kind(),
        }
    };
    fs::remove_file("/tmp/fill")?;
    Ok(json!({"megabytes": bytes >> 20, "ended": ended.to_string()}))
}

/// Computes for so long by the clock on the wall; how much of it was its own.
fn burn(event: &Value) -> io::Result<Value> {
    let before = cpu_ms();
    let ms = event["ms"].as_u64().unwrap_or(0);
    burn_ms(ms);
    Ok(json!({"wall_ms": ms, "cpu_ms": cpu_ms() - before}))
}

fn cpu_ms() -> i64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec * 1_000 + used.tv_nsec / 1_000_000
}

fn wait(event: &Value) -> io::Result<Value> {
    pause_ms(event["ms"].as_u64().unwrap_or(0));
    Ok(Value::Null)
}

/// Processes until there may be no more, all of which are ended again.
fn fork_bomb(_: &Value) -> io::Result<Value> {
    let program = env::current_exe()?;
    let mut children: Vec<Child> = Vec::new();
    let ended = loop {
        match Command::new(&program).arg("sleep").spawn() {
            Ok(child) => children.push(child),
            Err(error) => break error.kind(),
        }
    };
    let count = children.len();
    for child in &mut children {
        child.kill()?;
        child.wait()?;
    }
    Ok(json!({"processes": count, "ended": ended.to_string()}))
}

/// Threads until there may be no more. They stay.
fn threads(_: &Value) -> io::Result<Value> {
    let mut count = 0;
    let ended = loop {
        match thread::Builder::new().stack_size(16_384).spawn(|| for_ever()) {
            Ok(_) => count += 1,
            Err(error) => break error.kind(),
        }
    };
    Ok(json!({"threads": count, "ended": ended.to_string()}))
}
