//! SnapStart: the first invoke of an environment that goes on from a snapshot, of a function whose Init is
//! heavy: a client of boto3. Beside it stands the Init that it takes the place of, and what that takes when its
//! bytecode is kept.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::effort::Bench;
use crate::functions::{self, FUNCTIONS};
use crate::http::{Client, invoke};
use crate::lives;
use crate::machine;
use crate::report::{Table, millis, say};
use crate::time::{Samples, now, until};

/// The oldest Python that Lambda restores.
const RUNTIME: &str = "python3.12";
const NAME: &str = "restored";
const PUBLISHED_WITHIN: Duration = Duration::from_secs(60);
const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// A function whose environment ends when asked to, so that the next invoke has another one.
const CODE: &str = "import os, boto3
client = boto3.client('dynamodb', region_name='us-east-1')

def handler(event, context):
    if event.get('end'):
        os._exit(1)
    return event
";
const EVENT: &[u8] = br#"{"name":"you"}"#;
const END: &[u8] = br#"{"end":true}"#;

/// What boto3 is made of, and what of its descriptions of services one client needs.
const PACKAGES: [&str; 7] =
    ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"];
const DESCRIBED: [&str; 5] =
    ["dynamodb/", "endpoints.json", "partitions.json", "_retry.json", "sdk-default"];

/// Prints the table and returns its figures; nothing where there are no snapshots.
pub(crate) fn run(bench: Bench<'_>, packages: &Path) -> anyhow::Result<Value> {
    let mut client = bench.server.client()?;
    publish(&mut client, packages)?;
    let load = machine::load();
    let mut restored = restores(bench)?;
    let mut client = bench.server.client()?;
    let lives = lives::of(&mut client, NAME)?;
    // One was initialised, for the snapshot.
    let takes_snapshots = lives::count(&lives, "init") <= 1.0;
    let mut kept = inits(bench)?;
    functions::delete(&mut client, NAME)?;
    if !takes_snapshots {
        say("Restores are left out: this server takes no snapshots (criu 4.2 or newer is needed).");
        return Ok(Value::Null);
    }
    let mut sandbox = lives::steps(&lives, "created", "provisioned");
    let mut processes = lives::steps(&lives, "restoring", "ready");
    let mut init = lives::steps(&lives, "init", "checkpoint");
    let mut table = Table::new(
        "Restore of a function with a boto3 client, request to answer (ms)".to_owned(),
        &[
            "p50",
            "p99",
            "max",
            "sandbox",
            "processes",
            "Init in its place",
            "Init with its bytecode kept",
            "n",
            "load",
        ],
    );
    table.row(vec![
        millis(restored.p50()),
        millis(restored.percentile(99.0)),
        millis(restored.max()),
        millis(sandbox.p50()),
        millis(processes.p50()),
        millis(init.p50()),
        millis(kept.p50()),
        restored.len().to_string(),
        format!("{load:.2}"),
    ]);
    table.print();
    Ok(json!([{
        "row": "restore", "runtime": "python", "load": load, "dormouse": restored.figures(),
        "sandbox": sandbox.figures(), "processes": processes.figures(),
        "init": init.figures(), "initBytecodeKept": kept.figures(),
    }]))
}

/// First invokes of the published version, each of another environment: from request to answer.
fn restores(bench: Bench<'_>) -> anyhow::Result<Samples> {
    let qualified = format!("{NAME}:1");
    let request = |payload| invoke(bench.server.address, &qualified, payload);
    let (first, end) = (request(EVENT), request(END));
    let mut took = Samples::default();
    // The first finds a cold page cache: it is not counted.
    for turn in 0..=bench.effort.cold_starts {
        // Waiting may have taken long enough for the server to close what is idle.
        let mut client = bench.server.client()?;
        let sent = now();
        let answer = client.exchange(&first)?;
        let elapsed = sent.elapsed();
        ensure!(answer.is_good(), "{NAME}: {}", String::from_utf8_lossy(answer.body));
        if turn > 0 {
            took.push(elapsed);
        }
        client.exchange(&end)?;
        until(ENDED_WITHIN, "the environment to end", || {
            Ok((lives::living(&mut client, NAME)? == 0).then_some(()))
        })?;
    }
    Ok(took)
}

/// Inits of what is not published, each in another environment. The server has had the time of all restores to
/// compile what lies in the layer.
fn inits(bench: Bench<'_>) -> anyhow::Result<Samples> {
    let mut client = bench.server.client()?;
    let before = lives::of(&mut client, NAME)?.len();
    for turn in 0..bench.effort.cold_starts {
        // What is changed has other environments.
        let path = format!("{FUNCTIONS}/{NAME}/configuration");
        client.call("PUT", &path, &json!({ "Description": turn.to_string() }))?;
        functions::settled(&mut client, NAME, "LastUpdateStatus", "Successful")?;
        let answer = client.exchange(&invoke(bench.server.address, NAME, EVENT))?;
        ensure!(answer.is_good(), "{NAME}: {}", String::from_utf8_lossy(answer.body));
    }
    let lives = lives::of(&mut client, NAME)?;
    ensure!(lives.len() == before + bench.effort.cold_starts, "{NAME} has kept environments");
    Ok(lives::steps(&lives, "init", "ready"))
}

/// A published version that is restored, with boto3 in a layer.
fn publish(client: &mut Client, packages: &Path) -> anyhow::Result<()> {
    let layer = json!({ "Content": { "ZipFile": STANDARD.encode(layer(packages)?) } });
    let layer = client.call("POST", "/2018-10-31/layers/boto3/versions", &layer)?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("app.py", SimpleFileOptions::default().unix_permissions(0o644))?;
    zip.write_all(CODE.as_bytes())?;
    let creation = json!({
        "FunctionName": NAME,
        "Runtime": RUNTIME,
        "Handler": "app.handler",
        "Role": "arn:aws:iam::000000000000:role/bench",
        "Timeout": 30,
        "MemorySize": 512,
        "Layers": [layer["LayerVersionArn"]],
        "SnapStart": { "ApplyOn": "PublishedVersions" },
        "Code": { "ZipFile": STANDARD.encode(zip.finish()?.into_inner()) },
    });
    client.call("POST", FUNCTIONS, &creation)?;
    functions::settled(client, NAME, "State", "Active")?;
    client.call("POST", &format!("{FUNCTIONS}/{NAME}/versions"), &json!({}))?;
    let version = format!("{FUNCTIONS}/{NAME}/configuration?Qualifier=1");
    until(PUBLISHED_WITHIN, "the version to be Active", || {
        let configuration = client.call("GET", &version, &Value::Null)?;
        ensure!(configuration["State"] != "Failed", "{configuration}");
        Ok((configuration["State"] == "Active").then_some(()))
    })
}

/// A layer with what one client needs.
fn layer(packages: &Path) -> anyhow::Result<Vec<u8>> {
    let mut files = Vec::new();
    for package in PACKAGES {
        gather(&packages.join(package), &mut files)?;
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o644);
    for file in files {
        let name = file.strip_prefix(packages)?.to_string_lossy().into_owned();
        if is_needed(&name) {
            zip.start_file(format!("python/{name}"), options)?;
            zip.write_all(&fs::read(&file)?)?;
        }
    }
    Ok(zip.finish()?.into_inner())
}

fn is_needed(name: &str) -> bool {
    let is_compiled = name.contains("__pycache__");
    let is_description = name.starts_with("botocore/data/");
    !is_compiled && (!is_description || DESCRIBED.iter().any(|part| name.contains(part)))
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    let hint = "boto3 is not there: cargo xtask test installs it";
    for entry in fs::read_dir(path).with_context(|| format!("{}: {hint}", path.display()))? {
        gather(&entry?.path(), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_has_what_one_client_needs_and_no_more() {
        for name in
            ["boto3/session.py", "botocore/data/endpoints.json", "botocore/data/dynamodb/x.gz"]
        {
            assert!(is_needed(name), "{name}");
        }
        for name in ["boto3/__pycache__/session.pyc", "botocore/data/ec2/x.json.gz"] {
            assert!(!is_needed(name), "{name}");
        }
    }
}
