//! Measures group commit: how many functions a second are stored by 1 and by 32 writers, and log
//! appends beside them, with the disk's own fsync rate as the baseline.
//!
//! `cargo run --release -p dormouse-store --example commit_rate -- DIRECTORY`

#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing else to say")]

#[path = "../tests/support/function.rs"]
mod function;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use dormouse_model::names::Scope;
use dormouse_store::Store;
use dormouse_store::logs::{
    Event, EventsFrom, EventsQuery, FilterQuery, GroupKey, StreamKey, StreamsFilter,
};
use function::function;
use tokio::task::JoinSet;

const MEASURED: Duration = Duration::from_secs(2);

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn scope() -> Scope {
    Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

/// Writes of 4 KiB over what is there, each synced, as those to a write-ahead log mostly are.
fn fsync_rate(directory: &Path) {
    const BLOCKS: u64 = 1_024;
    let file = File::create(directory.join("fsync")).unwrap();
    for block in 0..BLOCKS {
        file.write_all_at(&[1; 4096], block * 4096).unwrap();
    }
    file.sync_all().unwrap();
    let (start, mut count) = (now(), 0_u32);
    while start.elapsed() < MEASURED {
        file.write_all_at(&[2; 4096], u64::from(count) % BLOCKS * 4096).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    report("fdatasync of 4 KiB", count, start.elapsed());
}

fn report(what: &str, count: u32, took: Duration) {
    let rate = f64::from(count) / took.as_secs_f64();
    let each_ms = took.as_secs_f64() * 1000.0 / f64::from(count);
    println!("{what:40} {rate:>10.0} /s   {each_ms:>8.3} ms each");
}

async fn create_rate(store: &Store, writers: u32) {
    let mut tasks = JoinSet::new();
    let start = now();
    for writer in 0..writers {
        let functions = store.functions();
        tasks.spawn(async move {
            let mut count = 0_u32;
            while start.elapsed() < MEASURED {
                let name = format!("f-{writers}-{writer}-{count}-{}", start.elapsed().as_nanos());
                functions.create(function(&scope(), &name)).await.unwrap();
                count += 1;
            }
            count
        });
    }
    let counts: u32 = tasks.join_all().await.into_iter().sum();
    report(&format!("create, {writers} writers"), counts, start.elapsed());
}

async fn log_rate(store: &Store) {
    let (logs, mut tasks) = (store.logs(), JoinSet::new());
    let group = GroupKey { scope: scope(), name: "/aws/lambda/f".into() };
    let start = now();
    for stream in 0..100 {
        let (logs, group) = (logs.clone(), group.clone());
        tasks.spawn(async move {
            let name = format!("2026/01/01/[$LATEST]{stream:032}");
            for batch in 0..100_u64 {
                let event = |number: u64| Event {
                    timestamp_ms: batch * 100 + number,
                    message: format!("{stream} {number} {}", "x".repeat(80)),
                };
                let events = (0..100).map(event).collect();
                let stream = StreamKey { group: group.clone(), name: name.clone() };
                logs.append(&stream, events, batch).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    report("log events, 100 a batch, 100 streams", 1_000_000, start.elapsed());
    log_reads(store, &group).await;
}

async fn log_reads(store: &Store, group: &GroupKey) {
    let logs = store.logs();
    let filter = |start: u64, streams| FilterQuery {
        streams,
        between: start..u64::MAX,
        after: None,
        limit: 1_000,
    };
    let name = format!("2026/01/01/[$LATEST]{:032}", 50);
    let start = now();
    for streams in [StreamsFilter::All, StreamsFilter::Named(vec![name.clone()])] {
        let page = logs.filter(group, filter(5_000, streams), |_| true).await.unwrap();
        assert_eq!(page.events.len(), 1_000);
    }
    report("filter, 1 000 of a million", 2, start.elapsed());
    let start = now();
    let none = logs.filter(group, filter(0, StreamsFilter::All), |m| m.contains("nothing")).await;
    assert!(none.unwrap().next.is_some());
    report("filter that finds nothing in 100 000", 1, start.elapsed());
    let start = now();
    let stream = StreamKey { group: group.clone(), name };
    for from in [EventsFrom::Head, EventsFrom::Tail] {
        let query = EventsQuery { between: 5_000..u64::MAX, from, limit: 1_000 };
        assert_eq!(logs.events(&stream, query).await.unwrap().events.len(), 1_000);
    }
    report("events, 1 000 of a million", 2, start.elapsed());
    let start = now();
    logs.delete_group(group).await.unwrap();
    report("delete of a million events, answered", 1, start.elapsed());
}

#[tokio::main]
async fn main() {
    let directory = std::env::args().nth(1).expect("usage: commit_rate DIRECTORY");
    let directory = Path::new(&directory);
    let store = Store::open(directory).unwrap();
    for round in 0..2 {
        println!("round {round}");
        fsync_rate(directory);
        for writers in [1, 8, 32, 128] {
            create_rate(&store, writers).await;
        }
    }
    log_rate(&store).await;
    let start = now();
    store.close().await;
    report("close", 1, start.elapsed());
}
