//! One invoke, with its result, its REPORT line and the time a client saw.

use std::time::Instant;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::http::Client;
use super::server::now;
use crate::shell;

/// What an invoke gave.
#[derive(Debug)]
pub(super) struct Invoked {
    pub(super) result: Value,
    pub(super) ended: Instant,
}

/// Invokes and prints.
pub(super) fn once(client: &Client, name: &str, kind: &str) -> anyhow::Result<Invoked> {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let started = now();
    let answer = client.send("POST", &path, &[("x-amz-log-type", "Tail")], br#"{"name":"you"}"#)?;
    let ended = now();
    let answer = answer.expect(200)?;
    let log = answer.header("x-amz-log-result").map(decoded).transpose()?.unwrap_or_default();
    if let Some(error) = answer.header("x-amz-function-error") {
        bail!("{name} answered {error}: {}\n{log}", answer.text());
    }
    let ms = (ended - started).as_secs_f64() * 1000.0;
    println!("  {} {ms:>8.1} ms   {}", shell::paint("1", kind), answer.text().trim());
    println!("    {}", shell::paint("2", &report(&log)));
    Ok(Invoked { result: answer.json()?, ended })
}

fn decoded(log: &str) -> anyhow::Result<String> {
    let bytes = STANDARD.decode(log).context("x-amz-log-result")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The REPORT line of a log, its tabs as single spaces.
fn report(log: &str) -> String {
    let line = log.lines().find(|line| line.starts_with("REPORT"));
    let line = line.unwrap_or("(no REPORT line in the log)");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_line_is_found_in_a_log() {
        let log = "START RequestId: a\nREPORT RequestId: a\tDuration: 1.0 ms\t\nXRAY\n";
        assert_eq!(report(log), "REPORT RequestId: a Duration: 1.0 ms");
        assert_eq!(report("START\n"), "(no REPORT line in the log)");
    }
}
