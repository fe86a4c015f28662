//! Modes that write to the log what nobody should.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::runtime::Act;

pub(crate) fn mode(name: &str) -> Option<Act> {
    Some(match name {
        "log" => log,
        "log-endless-line" => endless_line,
        "log-flood" => flood,
        "log-garbage" => garbage,
        _ => return None,
    })
}

/// A line.
fn log(event: &Value) -> io::Result<Value> {
    writeln!(io::stdout(), "{}", event["text"].as_str().unwrap_or("a line"))?;
    Ok(json!("logged"))
}

fn endless_line(event: &Value) -> io::Result<Value> {
    let mut out = io::stdout().lock();
    let piece = [b'e'; 4_096];
    let bytes = event["bytes"].as_u64().unwrap_or(0);
    for _ in 0..bytes / 4_096 {
        out.write_all(&piece)?;
    }
    out.flush()?;
    Ok(json!(bytes / 4_096 * 4_096))
}

fn flood(event: &Value) -> io::Result<Value> {
    let mut out = io::stdout().lock();
    let lines = event["lines"].as_u64().unwrap_or(0);
    for number in 0..lines {
        writeln!(out, "flood {number}")?;
    }
    Ok(json!(lines))
}

/// Every byte, most of them no text, and a line feed at the end.
fn garbage(_: &Value) -> io::Result<Value> {
    let mut out = io::stdout().lock();
    let bytes: Vec<u8> = (0..=255u8).rev().filter(|byte| *byte != b'\n').chain([b'\n']).collect();
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(json!("written"))
}
