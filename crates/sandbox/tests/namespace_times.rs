//! What the steps of a sandbox's life cost here. Not a test of anything: prints a table when asked,
//! `cargo test --release -p dormouse-sandbox --test namespace_times -- --ignored`.
#![expect(clippy::disallowed_methods, reason = "this measures real time")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a runner of its own, which clippy does not know for a test"
)]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use common::harness::{self, Trial};
use common::{World, next, probe};
use dormouse_sandbox::namespace::spawner::{self, Spawner};
use dormouse_sandbox::{Links, Tree};

const ROUNDS: usize = 200;

fn main() -> ExitCode {
    if spawner::requested() {
        return spawner::main();
    }
    if common::namespace_is_impossible().is_some() {
        return harness::main(Vec::new());
    }
    let mut trial = Trial::new("the_steps_of_a_sandbox_s_life", measure);
    trial.ignored = true;
    harness::main(vec![trial])
}

/// Times per step, in microseconds.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<u128>>);

impl Times {
    fn add(&mut self, step: &'static str, since: Instant) {
        self.0.entry(step).or_default().push(since.elapsed().as_micros());
    }

    fn print(&mut self) {
        for (step, times) in &mut self.0 {
            times.sort_unstable();
            println!("{step:<40} min {:>6} us, median {:>6} us", times[0], times[times.len() / 2]);
        }
    }
}

fn measure() {
    let launch = Instant::now();
    let spawner = Spawner::launch().expect("the spawner starts");
    println!("spawner ready after {} us", launch.elapsed().as_micros());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::namespace(spawner);
        let mut times = Times::default();
        let layers = layers();
        for _ in 0..ROUNDS {
            round(&world, &mut times).await;
            layered(&world, &layers[..1], "1 create to ready, one layer", &mut times).await;
            layered(&world, &layers, "1 create to ready, five layers", &mut times).await;
        }
        times.print();
        world.close().await;
    });
}

fn layers() -> Vec<tempfile::TempDir> {
    let layer = |number: usize| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(number.to_string()), "x").unwrap();
        directory
    };
    (0..5).map(layer).collect()
}

async fn layered(
    world: &World,
    layers: &[tempfile::TempDir],
    step: &'static str,
    times: &mut Times,
) {
    let mut spec = world.spec();
    spec.trees.push(Tree {
        hosts: layers.iter().map(|layer| layer.path().to_owned()).collect(),
        at: "/opt".to_owned(),
        links: Links::Followed,
    });
    let since = Instant::now();
    let sandbox = world.backend.create(spec).await.unwrap();
    times.add(step, since);
    sandbox.sandbox.destroy().await;
}

async fn round(world: &World, times: &mut Times) {
    let since = Instant::now();
    let mut sandbox = world.create().await;
    times.add("1 create to ready", since);
    let since = Instant::now();
    sandbox.sandbox.start(probe(1, &["print", "x", "sleep"])).await.unwrap();
    times.add("2 start, call returns", since);
    assert_eq!(next(&mut sandbox).await, "1 out x");
    times.add("3 start to first byte", since);
    let since = Instant::now();
    sandbox.sandbox.freeze().await.unwrap();
    times.add("4 freeze", since);
    let since = Instant::now();
    sandbox.sandbox.thaw().await.unwrap();
    times.add("5 thaw", since);
    let since = Instant::now();
    sandbox.sandbox.kill_all().await.unwrap();
    while next(&mut sandbox).await != "empty" {}
    times.add("6 kill all to empty", since);
    let since = Instant::now();
    sandbox.sandbox.destroy().await;
    times.add("7 destroy", since);
}
