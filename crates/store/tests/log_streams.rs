//! Streams that clients make, fill and delete themselves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod support;

use dormouse_store::Store;
use dormouse_store::logs::{
    CreateStreamError, Event, EventsFrom, EventsQuery, GroupKey, GroupSettings, Logs,
    ReadLogsError, StreamKey,
};
use support::{home, store};

fn key(group: &str, stream: &str) -> StreamKey {
    StreamKey { group: GroupKey { scope: home(), name: group.into() }, name: stream.into() }
}

/// Puts a message, and says what the group keeps.
async fn put(logs: &Logs, stream: &StreamKey, message: &str) -> Result<Option<u32>, ReadLogsError> {
    let event = Event { timestamp_ms: 5, message: message.into() };
    logs.put(stream, 6, move |days| (vec![event], days)).await
}

async fn messages(logs: &Logs, stream: &StreamKey) -> Vec<String> {
    let query = EventsQuery { between: 0..100, from: EventsFrom::Head, limit: 10 };
    let page = logs.events(stream, query).await.unwrap();
    page.events.into_iter().map(|event| event.message).collect()
}

#[tokio::test]
async fn a_stream_is_made_once_and_filled_only_when_it_is_there() {
    let (directory, store) = store();
    let logs = store.logs();
    let stream = key("g", "s");
    let made = logs.create_stream(&stream, 1).await;
    assert!(matches!(made, Err(CreateStreamError::NoGroup)));
    assert!(matches!(put(&logs, &stream, "m").await, Err(ReadLogsError::NoGroup)));
    logs.create_group(&stream.group, GroupSettings::default(), 1).await.unwrap();
    assert!(matches!(put(&logs, &stream, "m").await, Err(ReadLogsError::NoStream)));
    logs.create_stream(&stream, 2).await.unwrap();
    let again = logs.create_stream(&stream, 3).await;
    assert!(matches!(again, Err(CreateStreamError::Exists)));
    logs.set_retention(&stream.group, Some(7)).await.unwrap();
    assert_eq!(put(&logs, &stream, "m").await.unwrap(), Some(7));
    let none = logs.put(&stream, 7, |_| (Vec::new(), "outcome")).await.unwrap();
    assert_eq!(none, "outcome");
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(messages(&store.logs(), &stream).await, ["m"]);
}

#[tokio::test]
async fn a_deleted_stream_takes_its_events_and_leaves_the_others() {
    let (_directory, store) = store();
    let logs = store.logs();
    let (gone, kept) = (key("g", "gone"), key("g", "kept"));
    let event = |timestamp_ms| Event { timestamp_ms, message: "four".into() };
    logs.append(&gone, (0..5_000).map(event).collect(), 1).await.unwrap();
    logs.append(&kept, vec![event(1)], 1).await.unwrap();
    logs.delete_stream(&gone).await.unwrap();
    assert!(matches!(logs.delete_stream(&gone).await, Err(ReadLogsError::NoStream)));
    // A new stream of the name begins empty, and what is swept is not its own.
    logs.create_stream(&gone, 2).await.unwrap();
    logs.append(&gone, vec![event(2)], 2).await.unwrap();
    // The writer sweeps a step between any two batches, so it ends however fast we ask.
    let left = async || logs.group(&gone.group).await.unwrap().unwrap().stored_bytes;
    while left().await > 2 * 30 {
        logs.set_retention(&gone.group, None).await.unwrap();
    }
    assert_eq!(left().await, 2 * 30);
    assert_eq!(messages(&logs, &gone).await, ["four"]);
    assert_eq!(messages(&logs, &kept).await, ["four"]);
}
