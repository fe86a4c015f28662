//! A process that creates functions is killed at random moments: whatever it was told is stored
//! must be there when the directory is next opened.
//!
//! This shows what a killed process leaves, not what a power cut leaves: the page cache survives.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
mod support;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::clock::Clock;
use dormouse_store::Store;
use dormouse_store::events::{self, FunctionId, NewEvent, QueuedEvent, Turn};
use dormouse_store::logs::{Event, EventsFrom, EventsQuery, GroupKey, StreamKey};
use dormouse_store::queue::{Draft, Order, Queue, QueueKey, Queues, Rules, Wait, Wanted};
use made::function;
use support::{home, store};
use tokio::task::JoinSet;

const ROUNDS: u64 = 20;
const DIRECTORY: &str = "DORMOUSE_CRASH_TEST_DIRECTORY";
const ROUND: &str = "DORMOUSE_CRASH_TEST_ROUND";

fn stream() -> StreamKey {
    StreamKey { group: GroupKey { scope: home(), name: "g".into() }, name: "s".into() }
}

#[cfg(test)]
mod child {
    use super::*;

    pub(crate) fn start(directory: &Path, round: u64, test: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Kills the child after some acknowledgements and returns all it gave.
    pub(crate) fn acknowledged_before_death(mut child: Child, enough: u64) -> Vec<String> {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let name = |line: String| line.split_once("acknowledged ").map(|(_, name)| name.to_owned());
        let mut names = Vec::new();
        while (names.len() as u64) < enough {
            let line = lines.next().expect("the child ended by itself").unwrap();
            names.extend(name(line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // A last line that the kill cut short has no end: its name may be cut short too.
        let rest = lines.map_while(Result::ok).collect::<Vec<_>>();
        names.extend(rest.into_iter().filter(|line| line.ends_with(" .")).filter_map(name));
        names.into_iter().map(|name| name.trim_end_matches(" .").to_owned()).collect()
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let (directory, store) = store();
    store.close().await;
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let enough = 1 + RandomState::new().hash_one(round) % 150;
        let child =
            child::start(directory.path(), round, "a_process_that_stores_until_it_is_killed");
        acknowledged.extend(child::acknowledged_before_death(child, enough));

        let store = Store::open(directory.path()).unwrap();
        for name in &acknowledged {
            let expected = function(&home(), name);
            let found = store.functions().get(&expected.key).await.unwrap();
            assert_eq!(found, Some(expected), "round {round}, killed after {enough}");
        }
        let stored = store.functions().usage(&home()).await.unwrap().functions;
        assert!(stored >= acknowledged.len() as u64);
        let between = 0..u64::MAX;
        let query = EventsQuery { between, from: EventsFrom::Head, limit: 1_000_000 };
        let events = store.logs().events(&stream(), query).await.unwrap().events;
        let told: std::collections::HashSet<&str> =
            events.iter().map(|event| event.message.as_str()).collect();
        for name in &acknowledged {
            assert!(told.contains(name.as_str()), "the log line of {name} is gone");
        }
        store.close().await;
    }
    println!("{} acknowledgements in {ROUNDS} rounds", acknowledged.len());
}

#[tokio::test]
#[ignore = "the child of what_was_acknowledged_survives_a_kill_at_any_moment"]
async fn a_process_that_stores_until_it_is_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("run by its parent test only");
    let round = std::env::var_os(ROUND).expect("run by its parent test only");
    let store = Store::open(Path::new(&directory)).unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (functions, logs) = (store.functions(), store.logs());
        let round = round.to_string_lossy().into_owned();
        writers.spawn(async move {
            for number in 0_u64.. {
                let name = format!("f-{round}-{writer}-{number}");
                let event = Event { timestamp_ms: number, message: name.clone() };
                logs.append(&stream(), vec![event], number).await.unwrap();
                functions.create(function(&home(), &name)).await.unwrap();
                // One write a line, so that lines of several writers do not mix.
                let line = format!("acknowledged {name} .\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    while writers.join_next().await.is_some() {}
}

fn queue() -> Queue {
    let rules = Rules {
        delay_ms: 0,
        visibility_ms: 1,
        retention_ms: u64::MAX,
        order: Order::Standard,
        dead_letter: None,
    };
    let key = QueueKey { scope: home(), name: "q".into() };
    let (attributes, tags) = (BTreeMap::new(), BTreeMap::new());
    Queue { key, rules, attributes, tags, created_ms: 0, modified_ms: 0 }
}

async fn receive(queues: &Queues, now_ms: u64, max: usize) -> Vec<dormouse_store::queue::Message> {
    let clock = Clock::new(|| 0, move || now_ms);
    let wait = Wait { patience: Duration::ZERO, clock };
    let wanted = Wanted { max, visibility_ms: None };
    queues
        .receive(&queue().key, wanted, &wait, std::future::pending())
        .await
        .expect("the queue is there")
}

#[tokio::test]
async fn messages_that_were_acknowledged_survive_and_those_removed_stay_removed() {
    let (directory, store) = store();
    store.queues().create(queue()).await.unwrap();
    store.close().await;
    for round in 0..ROUNDS {
        let enough = 1 + RandomState::new().hash_one(round) % 150;
        let child =
            child::start(directory.path(), round, "a_process_that_queues_until_it_is_killed");
        let told = child::acknowledged_before_death(child, enough);
        let store = Store::open(directory.path()).unwrap();
        let queues = store.queues();
        let found: std::collections::HashSet<String> =
            receive(&queues, u64::MAX / 4, usize::MAX / 4)
                .await
                .into_iter()
                .map(|it| it.body)
                .collect();
        for line in &told {
            let (what, body) = line.split_once('-').unwrap();
            let removed = told.contains(&format!("removing-{body}"));
            assert!(what != "sent" || removed || found.contains(body), "{body} is lost");
            assert!(what != "removed" || !found.contains(body), "{body} came back");
        }
        store.queues().purge(&queue().key, (round + 1) * 100_000).await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
#[ignore = "the child of messages_that_were_acknowledged_survive_and_those_removed_stay_removed"]
async fn a_process_that_queues_until_it_is_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("run by its parent test only");
    let store = Store::open(Path::new(&directory)).unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..4_u64 {
        let queues = store.queues();
        writers.spawn(async move {
            for number in 0_u64.. {
                let body = format!("{writer}.{number}");
                let draft = Draft {
                    message_id: body.clone(),
                    body: body.clone(),
                    attributes: String::new(),
                    group: None,
                    deduplication: None,
                    delay_ms: None,
                };
                queues.send(&queue().key, vec![draft], number).await.unwrap();
                let line = format!("acknowledged sent-{body} .\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
                if number % 2 == 0 {
                    continue;
                }
                for message in receive(&queues, number, 1).await {
                    // It may be removed without our being told so.
                    let line = format!("acknowledged removing-{} .\n", message.body);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    let receipt = vec![message.receipt];
                    let removed = queues.remove(&queue().key, receipt, number).await.unwrap();
                    if removed != [dormouse_store::queue::Removed::Gone] {
                        continue;
                    }
                    let line = format!("acknowledged removed-{} .\n", message.body);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            }
        });
    }
    while writers.join_next().await.is_some() {}
}

async fn due(store: &Store, of: &FunctionId) -> Vec<QueuedEvent> {
    let held = std::collections::HashSet::new();
    let wanted = vec![events::Wanted { function: of.clone(), max: usize::MAX / 4, held }];
    let turn = Turn { now_ms: 1, longest_ms: u64::MAX / 4, wanted, ..Turn::default() };
    store.events().turn(turn).await.expect("it can be read").remove(0).events
}

fn evented() -> FunctionId {
    FunctionId { key: function(&home(), "f").key, unique_id: "u".into() }
}

#[tokio::test]
async fn events_that_were_acknowledged_survive_and_those_that_ended_stay_away() {
    let (directory, store) = store();
    store.close().await;
    let mut told = Vec::new();
    for round in 0..ROUNDS {
        let enough = 1 + RandomState::new().hash_one(round) % 150;
        let child =
            child::start(directory.path(), round, "a_process_that_accepts_until_it_is_killed");
        told.extend(child::acknowledged_before_death(child, enough));
        let store = Store::open(directory.path()).unwrap();
        let found: std::collections::HashSet<String> = due(&store, &evented())
            .await
            .into_iter()
            .map(|event| String::from_utf8(event.payload.to_vec()).unwrap())
            .collect();
        let said: std::collections::HashSet<&str> = told.iter().map(String::as_str).collect();
        for line in &told {
            let (what, payload) = line.split_once('-').unwrap();
            let ending = said.contains(format!("ending-{payload}").as_str());
            assert!(what != "accepted" || ending || found.contains(payload), "{payload} is lost");
            assert!(what != "ended" || !found.contains(payload), "{payload} came back");
        }
        store.close().await;
    }
    println!("{} acknowledgements in {ROUNDS} rounds", told.len());
}

#[tokio::test]
#[ignore = "the child of events_that_were_acknowledged_survive_and_those_that_ended_stay_away"]
async fn a_process_that_accepts_until_it_is_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("run by its parent test only");
    let round = std::env::var_os(ROUND).expect("run by its parent test only");
    let store = Arc::new(Store::open(Path::new(&directory)).unwrap());
    let say = |what: &str, payload: &str| {
        let line = format!("acknowledged {what}-{payload} .\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    };
    let mut tasks = JoinSet::new();
    for writer in 0..4_u64 {
        let (store, round) = (store.clone(), round.to_string_lossy().into_owned());
        tasks.spawn(async move {
            for number in 0_u64.. {
                let payload = format!("{round}.{writer}.{number}");
                let event = NewEvent {
                    function: evented(),
                    qualifier: None,
                    request: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
                    payload: payload.clone().into(),
                    trace: None,
                    tenant: None,
                    accepted_ms: number,
                };
                store.events().accept(event, || {}).await.unwrap();
                say("accepted", &payload);
            }
        });
    }
    tasks.spawn(async move {
        loop {
            let wanted = events::Wanted {
                function: evented(),
                max: 3,
                held: std::collections::HashSet::new(),
            };
            let turn = Turn { now_ms: 1, longest_ms: 1, wanted: vec![wanted], ..Turn::default() };
            let found = store.events().turn(turn).await.unwrap().remove(0).events;
            let payloads: Vec<String> =
                found.iter().map(|it| String::from_utf8_lossy(&it.payload).into_owned()).collect();
            // They may end without our being told so.
            payloads.iter().for_each(|payload| say("ending", payload));
            let ended = found.iter().map(|event| event.id).collect();
            store.events().turn(Turn { ended, ..Turn::default() }).await.unwrap();
            payloads.iter().for_each(|payload| say("ended", payload));
        }
    });
    while tasks.join_next().await.is_some() {}
}
