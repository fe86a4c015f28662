//! `cargo xtask demo`: three functions in a real server, cold, warm and frozen, and nothing left.
//!
//! It speaks plain HTTP to the server it starts, as any client would, and needs no AWS tool. What a
//! machine lacks is named with the command that installs it, and only that part is left out.

mod function;
mod http;
mod invoke;
mod leftovers;
mod life;
mod proof;
mod server;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::json;

use crate::{build, shell};
use function::Function;
use http::Client;
use leftovers::Watch;
use life::Life;
use server::Server;

/// Between the cold and the warm invoke: long enough to see that a frozen thread does not run.
const PAUSE: Duration = Duration::from_millis(300);
/// In which environments must have ended once their function is deleted.
const ENDED_WITHIN: Duration = Duration::from_secs(15);

/// With a binary that is there already, or else with a release build.
pub(crate) fn main(binary: Option<PathBuf>) -> anyhow::Result<()> {
    if !shell::is_root() {
        bail!(
            "the namespace sandbox makes network namespaces, control groups and users of its own, \
             which needs root; run: sudo env \"PATH=$PATH\" \"HOME=$HOME\" make demo"
        );
    }
    let binary = binary.map_or_else(|| build::release("dormouse"), Ok)?;
    let functions = function::all()?;
    let directory = tempfile::Builder::new().prefix("dormouse-demo-").tempdir()?;
    let mut watch = Watch::begin(directory.path())?;
    let mut server = Server::start(&binary, directory.path())?;
    let shown = show(&mut server, &functions);
    watch.look();
    let log = server.log();
    let stopped = server.stop();
    if let Err(error) = shown.as_ref().and(stopped.as_ref().map(|_| &())) {
        println!("{}\n{log}", shell::paint("1;31", &format!("{error:#}")));
        println!("(above: the end of the server's own log)");
    }
    let processes = stopped?;
    directory.close().context("the demo's directory")?;
    watch.end(&processes)?;
    shown
}

/// Runs the functions and shows what they did. The server is stopped by the caller in every case.
fn show(server: &mut Server, functions: &[Function]) -> anyhow::Result<()> {
    let client = server.client();
    for function in functions {
        create(&client, function)?;
        run(&client, function)?;
        server.remember_processes();
    }
    for function in functions {
        let path = format!("/2015-03-31/functions/{}", function.name);
        client.send("DELETE", &path, &[], b"")?.expect(204)?;
    }
    shell::heading("the life of each environment");
    for life in lives(&client)? {
        println!("{life}");
    }
    Ok(())
}

fn create(client: &Client, function: &Function) -> anyhow::Result<()> {
    shell::heading(&format!("create {} ({})", function.name, function.runtime));
    let body = json!({
        "FunctionName": function.name,
        "Runtime": function.runtime,
        "Handler": function.handler,
        "Role": "arn:aws:iam::000000000000:role/demo",
        "Timeout": 10,
        "Code": { "ZipFile": function.package },
    });
    let body = body.to_string();
    let answer = client.send("POST", "/2015-03-31/functions", &[], body.as_bytes())?;
    let created = answer.expect(201)?.json()?;
    println!("    {}", created["FunctionArn"].as_str().unwrap_or("?"));
    let path = format!("/2015-03-31/functions/{}/configuration", function.name);
    server::until(ENDED_WITHIN, "the function to become Active", || {
        let configuration = client.send("GET", &path, &[], b"")?.expect(200)?.json()?;
        Ok((configuration["State"] == "Active").then_some(()))
    })
}

fn run(client: &Client, function: &Function) -> anyhow::Result<()> {
    let cold = invoke::once(client, &function.name, "cold")?;
    #[expect(clippy::disallowed_methods, reason = "the pause is what is shown, not a wait")]
    thread::sleep(PAUSE);
    let paused_ms = cold.ended.elapsed().as_secs_f64() * 1000.0;
    let warm = invoke::once(client, &function.name, "warm")?;
    if function.counts_ticks {
        let proof = proof::Proof::of(&cold.result, &warm.result, paused_ms)?;
        println!("    {proof}");
        ensure!(proof.is_frozen(), "the environment was not frozen between its invokes");
    }
    Ok(())
}

/// All lives, once all have ended.
fn lives(client: &Client) -> anyhow::Result<Vec<Life>> {
    server::until(ENDED_WITHIN, "the environments to end", || {
        let answer = client.send("GET", "/_dormouse/environments?events=true", &[], b"")?;
        let lives = Life::all(&answer.expect(200)?.json()?)?;
        let ended = !lives.is_empty() && lives.iter().all(|life| life.has_ended);
        Ok(ended.then_some(lives))
    })
}

/// The text of an example's file.
fn example(path: &str) -> anyhow::Result<Vec<u8>> {
    let path = shell::root().join("examples").join(path);
    fs::read(&path).with_context(|| path.display().to_string())
}
