//! The machine beside the figures: what it is, how fast its disk syncs, what else it does.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::time::{Samples, now};

const SYNCS: usize = 50;
const PAGE: [u8; 4_096] = [7; 4_096];

/// The facts of a run.
pub(crate) fn describe(directory: &Path) -> anyhow::Result<Value> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1));
    Ok(json!({
        "commit": commit(),
        "kernel": release.trim(),
        "cores": std::thread::available_parallelism()?.get(),
        "memoryKib": memory_kib.and_then(|kib| kib.parse::<u64>().ok()),
        "loadAtStart": load(),
        "fsync4kMicros": syncs(directory)?.p50(),
    }))
}

/// The load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Appending 4 KiB and syncing them, where the server keeps its data.
fn syncs(directory: &Path) -> anyhow::Result<Samples> {
    let path = directory.join("fsync");
    let mut file = File::create(&path)?;
    let mut samples = Samples::default();
    for _ in 0..SYNCS {
        let started = now();
        file.write_all(&PAGE)?;
        file.sync_all()?;
        samples.push(started.elapsed());
    }
    fs::remove_file(&path)?;
    Ok(samples)
}

/// The commit that is checked out here, marked when files differ from it.
fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let hash = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if changed { format!("{hash}+changes") } else { hash })
}
