//! Following log groups: what comes is told once, in order, and no more than a page holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[cfg(test)]
mod support;

use std::sync::Arc;

use dormouse_model::limits;
use dormouse_store::logs::{
    Event, GroupKey, GroupSettings, Logs, StreamKey, TailError, TailPage, TailStreams,
};
use support::{home, scope, store};

fn group(name: &str) -> GroupKey {
    GroupKey { scope: home(), name: name.into() }
}

async fn append(logs: &Logs, group: &GroupKey, stream: &str, messages: &[&str]) {
    let event = |text: &&str| Event { timestamp_ms: 5, message: (*text).to_owned() };
    let events = messages.iter().map(event).collect();
    let stream = StreamKey { group: group.clone(), name: stream.to_owned() };
    logs.append(&stream, events, 7).await.unwrap();
}

fn shown(page: &TailPage) -> String {
    let events = page.events.iter();
    let texts = events.map(|it| format!("{}/{}:{}", it.group, it.event.stream, it.event.message));
    texts.collect::<Vec<_>>().join(" ")
}

fn all() -> Arc<fn(&str) -> bool> {
    Arc::new(|_| true)
}

#[tokio::test]
async fn what_comes_after_the_beginning_is_told_once() {
    let (_directory, store) = store();
    let logs = store.logs();
    append(&logs, &group("a"), "s", &["before"]).await;
    append(&logs, &group("b"), "s", &["before"]).await;
    let mut tail = logs.tail(vec![group("a"), group("b")], TailStreams::All).await.unwrap();
    assert_eq!(tail.page(&all()).await.unwrap(), TailPage::default());
    append(&logs, &group("a"), "s", &["one", "two"]).await;
    append(&logs, &group("c"), "s", &["not asked"]).await;
    append(&logs, &group("b"), "t", &["three"]).await;
    let foreign = GroupKey { scope: scope(3, "us-east-1"), name: "a".into() };
    append(&logs, &foreign, "s", &["another account's"]).await;
    assert_eq!(shown(&tail.page(&all()).await.unwrap()), "a/s:one a/s:two b/t:three");
    assert_eq!(tail.page(&all()).await.unwrap(), TailPage::default());
    append(&logs, &group("a"), "s", &["four"]).await;
    let wanted: Arc<fn(&str) -> bool> = Arc::new(|message| message.contains('5'));
    assert_eq!(shown(&tail.page(&wanted).await.unwrap()), "");
    assert_eq!(shown(&tail.page(&all()).await.unwrap()), "", "it was looked at");
}

#[tokio::test]
async fn streams_are_chosen_by_name_or_prefix() {
    let (_directory, store) = store();
    let logs = store.logs();
    append(&logs, &group("a"), "x1", &["before"]).await;
    let named = TailStreams::Named(vec!["x1".into(), "y".into()]);
    let prefixed = TailStreams::Prefixed(vec!["x".into()]);
    let mut named = logs.tail(vec![group("a")], named).await.unwrap();
    let mut prefixed = logs.tail(vec![group("a")], prefixed).await.unwrap();
    for stream in ["x1", "x2", "y", "z"] {
        append(&logs, &group("a"), stream, &["m"]).await;
    }
    assert_eq!(shown(&named.page(&all()).await.unwrap()), "a/x1:m a/y:m");
    assert_eq!(shown(&prefixed.page(&all()).await.unwrap()), "a/x1:m a/x2:m");
}

#[tokio::test]
async fn more_than_a_page_is_cut_and_the_cut_is_told() {
    let (_directory, store) = store();
    let logs = store.logs();
    append(&logs, &group("a"), "s", &[]).await;
    let mut tail = logs.tail(vec![group("a")], TailStreams::All).await.unwrap();
    append(&logs, &group("a"), "s", &vec!["m"; limits::LIVE_TAIL_EVENTS]).await;
    let exact = tail.page(&all()).await.unwrap();
    assert_eq!((exact.events.len(), exact.sampled), (limits::LIVE_TAIL_EVENTS, false));
    append(&logs, &group("a"), "s", &vec!["m"; limits::LIVE_TAIL_EVENTS + 1]).await;
    let cut = tail.page(&all()).await.unwrap();
    assert_eq!((cut.events.len(), cut.sampled), (limits::LIVE_TAIL_EVENTS, true));
    append(&logs, &group("a"), "s", &["next"]).await;
    assert_eq!(shown(&tail.page(&all()).await.unwrap()), "a/s:next");
    let large = "x".repeat(1_048_576);
    append(&logs, &group("a"), "s", &[&large, "left out"]).await;
    let cut = tail.page(&all()).await.unwrap();
    assert_eq!((cut.events.len(), cut.sampled), (1, true));
}

#[tokio::test]
async fn only_groups_that_are_there_and_of_the_standard_class_are_followed() {
    let (_directory, store) = store();
    let logs = store.logs();
    let missing = logs.tail(vec![group("a")], TailStreams::All).await;
    assert!(matches!(missing, Err(TailError::NoGroup)));
    let class = "INFREQUENT_ACCESS".to_owned();
    let settings = GroupSettings { class, ..GroupSettings::default() };
    logs.create_group(&group("a"), settings, 1).await.unwrap();
    let other = logs.tail(vec![group("a")], TailStreams::All).await;
    assert!(matches!(other, Err(TailError::WrongClass { .. })));
}
