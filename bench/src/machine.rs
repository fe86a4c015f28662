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
pub(crate) fn describe(directory: &Path, binary: &Path) -> anyhow::Result<Value> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1));
    Ok(json!({
        "commit": commit(),
        "isStatic": is_static(&fs::read(binary)?),
        "kernel": release.trim(),
        "cores": std::thread::available_parallelism()?.get(),
        "memoryKib": memory_kib.and_then(|kib| kib.parse::<u64>().ok()),
        "loadAtStart": load(),
        "fsync4kMicros": syncs(directory)?.p50(),
    }))
}

/// Whether an ELF program of 64 bits names no interpreter, and so brings all of its libraries.
fn is_static(program: &[u8]) -> Option<bool> {
    const INTERPRETER: usize = 3;
    let number = |at: usize, bytes: usize| {
        let field = program.get(at..at.checked_add(bytes)?)?;
        let wide = field.iter().rev().fold(0_u64, |wide, byte| (wide << 8) | u64::from(*byte));
        usize::try_from(wide).ok()
    };
    program.starts_with(b"\x7fELF").then_some(())?;
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    let mut kinds = (0..count).map(|entry| number(table + entry * size, 4));
    let named = kinds.any(|kind| kind == Some(INTERPRETER));
    Some(!named)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with one entry in its table of segments.
    fn program(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 0x40 + 56];
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[0x20] = 0x40;
        bytes[0x36] = 56;
        bytes[0x38] = 1;
        bytes[0x40] = kind;
        bytes
    }

    #[test]
    fn a_program_that_names_an_interpreter_is_not_static() {
        assert_eq!(is_static(&program(1)), Some(true));
        assert_eq!(is_static(&program(3)), Some(false));
        assert_eq!(is_static(b"#!/bin/sh"), None);
    }
}
