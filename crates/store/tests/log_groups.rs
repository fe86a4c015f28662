//! Log groups: what they keep, for how long, and their tags.

#[cfg(test)]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asked::{fill, group, key, round};
use dormouse_model::clock::Clock;
use dormouse_store::ChangeError;
use dormouse_store::logs::{Event, Group, GroupKey, GroupSettings, Logs, Round, StreamKey};
use support::{home, store};
use tokio::sync::watch;
use tokio::task::JoinSet;

const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod asked {
    use super::*;

    pub(crate) fn key(name: &str) -> GroupKey {
        GroupKey { scope: home(), name: name.into() }
    }

    pub(crate) async fn fill(logs: &Logs, name: &str, timestamps: impl Iterator<Item = u64>) {
        let stream = StreamKey { group: key(name), name: "s".into() };
        let event = |timestamp_ms| Event { timestamp_ms, message: "grün".into() };
        logs.append(&stream, timestamps.map(event).collect(), 1).await.unwrap();
    }

    pub(crate) async fn group(logs: &Logs, name: &str) -> Group {
        logs.group(&key(name)).await.unwrap().unwrap()
    }

    /// Runs a whole round and says how many steps it took.
    pub(crate) async fn round(logs: &Logs, now_ms: u64) -> usize {
        let (mut at, mut steps) = (Some(Round::default()), 0);
        while let Some(round) = at {
            at = logs.expire(now_ms, round).await.unwrap();
            steps += 1;
        }
        steps
    }
}

#[tokio::test]
async fn events_past_their_retention_go_and_the_bytes_follow() {
    let (_directory, store) = store();
    let logs = store.logs();
    fill(&logs, "short", [0, DAY_MS, DAY_MS + 1].into_iter()).await;
    fill(&logs, "kept", [0, 1].into_iter()).await;
    logs.set_retention(&key("short"), Some(1)).await.unwrap();
    assert_eq!(group(&logs, "short").await.stored_bytes, 3 * 31);
    round(&logs, DAY_MS).await;
    assert_eq!(group(&logs, "short").await.stored_bytes, 3 * 31, "a day is not over");
    round(&logs, 2 * DAY_MS).await;
    assert_eq!(group(&logs, "short").await.stored_bytes, 2 * 31);
    round(&logs, 9 * DAY_MS).await;
    assert_eq!(group(&logs, "short").await.stored_bytes, 0);
    assert_eq!(group(&logs, "kept").await.stored_bytes, 2 * 31);
}

#[tokio::test]
async fn a_step_is_bounded_and_a_round_reaches_every_group() {
    let (_directory, store) = store();
    let logs = store.logs();
    for number in 0..250 {
        let name = format!("g{number:03}");
        fill(&logs, &name, std::iter::once(0)).await;
        logs.set_retention(&key(&name), Some(1)).await.unwrap();
    }
    fill(&logs, "large", 0..5_000).await;
    logs.set_retention(&key("large"), Some(1)).await.unwrap();
    // Three for a hundred groups each, the last of which ends early with the large group's events.
    assert_eq!(round(&logs, 9 * DAY_MS).await, 5);
    assert_eq!(group(&logs, "g249").await.stored_bytes, 0);
    assert_eq!(group(&logs, "large").await.stored_bytes, 0);
    assert_eq!(round(&logs, 9 * DAY_MS).await, 3);
}

#[tokio::test(start_paused = true)]
async fn the_task_follows_its_clock_and_ends_when_told() {
    let (_directory, store) = store();
    let logs = store.logs();
    fill(&logs, "g", 0..2_500).await;
    logs.set_retention(&key("g"), Some(1)).await.unwrap();
    let now_ms = Arc::new(AtomicU64::new(DAY_MS));
    let wall = Arc::clone(&now_ms);
    let clock = Clock::new(|| 0, move || wall.load(Ordering::Relaxed));
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(logs.clone().keep_retention(clock, stopping));
    now_ms.store(DAY_MS + 100, Ordering::Relaxed);
    while group(&logs, "g").await.stored_bytes > 2_400 * 31 {
        tokio::task::yield_now().await;
    }
    now_ms.store(3 * DAY_MS, Ordering::Relaxed);
    // Time is paused: whenever everything waits, it goes on to the next round.
    while group(&logs, "g").await.stored_bytes > 0 {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
    drop(stop);
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn tags_and_class_are_kept_over_a_restart() {
    let (directory, store) = store();
    let settings = GroupSettings {
        class: "INFREQUENT_ACCESS".into(),
        tags: [("a".into(), "1".into())].into(),
    };
    store.logs().create_group(&key("g"), settings, 7).await.unwrap();
    let change = |tags: &mut BTreeMap<String, String>| {
        tags.insert("b".into(), "2".into());
        Ok::<(), ()>(())
    };
    store.logs().change_tags(&key("g"), change).await.unwrap().unwrap();
    let refused = |tags: &mut BTreeMap<String, String>| {
        tags.clear();
        Err(())
    };
    assert_eq!(store.logs().change_tags(&key("g"), refused).await.unwrap(), Err(()));
    let missing = store.logs().change_tags(&key("x"), |_| Ok::<(), ()>(())).await;
    assert!(matches!(missing, Err(ChangeError::Missing)));
    store.close().await;
    let store = dormouse_store::Store::open(directory.path()).unwrap();
    let found = group(&store.logs(), "g").await;
    assert_eq!(found.class, "INFREQUENT_ACCESS");
    let tags: Vec<_> = found.tags.into_iter().map(|(key, value)| format!("{key}{value}")).collect();
    assert_eq!(tags, ["a1", "b2"]);
}
