//! Logs: pages that go on where they ended, whichever way, and deletions that are whole.

#[cfg(test)]
mod support;

use dormouse_store::logs::{
    CreateGroupError, Event, EventsFrom, EventsQuery, FilterQuery, GroupKey, GroupSettings, Logs,
    ReadLogsError, Round, StreamKey, StreamsFilter, StreamsOrder, StreamsQuery,
};
use dormouse_store::{ChangeError, Store};
use proptest::prelude::*;
use support::{home, scope, store};

#[cfg(test)]
mod asked {
    use super::*;

    pub(crate) fn group(name: &str) -> GroupKey {
        GroupKey { scope: home(), name: name.into() }
    }

    pub(crate) fn stream(group_name: &str, name: &str) -> StreamKey {
        StreamKey { group: group(group_name), name: name.into() }
    }

    pub(crate) fn event(timestamp_ms: u64, message: &str) -> Event {
        Event { timestamp_ms, message: message.into() }
    }

    /// The messages of one page of a stream, with the cursors to go on from.
    pub(crate) async fn page(logs: &Logs, from: EventsFrom, limit: usize) -> Page {
        let query = EventsQuery { between: 0..u64::MAX, from, limit };
        let page = logs.events(&stream("g", "s"), query).await.unwrap();
        Page {
            text: page.events.into_iter().map(|event| event.message).collect(),
            backward: EventsFrom::Cursor(page.backward),
            forward: EventsFrom::Cursor(page.forward),
        }
    }

    pub(crate) struct Page {
        pub(crate) text: String,
        pub(crate) backward: EventsFrom,
        pub(crate) forward: EventsFrom,
    }

    /// Names of streams in pages, a space between.
    pub(crate) async fn streams(logs: &Logs, order: StreamsOrder, descending: bool) -> String {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let prefix = String::new();
            let query = StreamsQuery { prefix, order, descending, after, limit: 2 };
            let page = logs.streams(&group("g"), query).await.unwrap();
            pages.push(page.streams.into_iter().map(|stream| stream.name).collect::<String>());
            let Some(next) = page.next else {
                return pages.join(" ");
            };
            after = Some(next.to_string().parse().unwrap());
        }
    }

    /// All messages of a stream, page by page in one direction, in the order of their time.
    pub(crate) async fn paged(
        logs: &Logs,
        name: &str,
        from: EventsFrom,
        limit: usize,
    ) -> Vec<String> {
        let (mut from, mut pages) = (from, Vec::new());
        let forward = matches!(from, EventsFrom::Head);
        loop {
            let query = EventsQuery { between: 0..u64::MAX, from, limit };
            let page = logs.events(&stream("g", name), query).await.unwrap();
            if page.events.is_empty() {
                break;
            }
            from = EventsFrom::Cursor(if forward { page.forward } else { page.backward });
            pages.push(page.events.into_iter().map(|event| event.message).collect::<Vec<_>>());
        }
        if !forward {
            pages.reverse();
        }
        pages.concat()
    }

    /// All messages of a filter, in its order, however many pages they take.
    pub(crate) async fn filtered(logs: &Logs, streams: StreamsFilter, limit: usize) -> Vec<String> {
        let mut messages = Vec::new();
        let mut after = None;
        loop {
            let streams = streams.clone();
            let query = FilterQuery { streams, between: 0..u64::MAX, after, limit };
            let page = logs.filter(&group("g"), query, |m| !m.contains('-')).await.unwrap();
            messages.extend(page.events.into_iter().map(|event| event.message));
            let Some(next) = page.next else {
                return messages;
            };
            after = Some(next.to_string().parse().unwrap());
        }
    }
}

use asked::{event, filtered, group, page, paged, stream, streams};

#[tokio::test]
async fn events_are_paged_both_ways_and_a_page_without_any_stays_where_it_is() {
    let (_directory, store) = store();
    let logs = store.logs();
    let events = [(3, "c"), (1, "a"), (2, "b"), (3, "d"), (9, "e")];
    let events = events.iter().map(|(at, text)| event(*at, text)).collect();
    logs.append(&stream("g", "s"), events, 10).await.unwrap();

    let head = page(&logs, EventsFrom::Head, 2).await;
    assert_eq!(head.text, "ab");
    let second = page(&logs, head.forward, 2).await;
    assert_eq!(second.text, "cd");
    let third = page(&logs, second.forward, 2).await;
    assert_eq!(third.text, "e");
    let end = page(&logs, third.forward, 2).await;
    assert_eq!(end.text, "");
    logs.append(&stream("g", "s"), vec![event(10, "f")], 11).await.unwrap();
    assert_eq!(page(&logs, end.forward, 2).await.text, "f");

    let tail = page(&logs, EventsFrom::Tail, 2).await;
    assert_eq!(tail.text, "ef");
    let before = page(&logs, tail.backward, 3).await;
    assert_eq!(before.text, "bcd");
    assert_eq!(page(&logs, before.forward, 9).await.text, "ef");
    let first = page(&logs, before.backward, 3).await;
    assert_eq!(first.text, "a");
    assert_eq!(page(&logs, first.backward, 3).await.text, "");
}

#[tokio::test]
async fn events_of_one_moment_are_paged_and_counted_as_any_others() {
    let (_directory, store) = store();
    let logs = store.logs();
    let names: Vec<String> = (0..150).map(|number| format!("{number:03}")).collect();
    let events = names.iter().map(|name| event(5, name)).collect();
    logs.append(&stream("g", "s"), events, 10).await.unwrap();
    for limit in [1, 7, 64, 100] {
        assert_eq!(paged(&logs, "s", EventsFrom::Head, limit).await, names);
        assert_eq!(paged(&logs, "s", EventsFrom::Tail, limit).await, names);
    }
    let query =
        FilterQuery { streams: StreamsFilter::All, between: 0..u64::MAX, after: None, limit: 150 };
    let page = logs.filter(&group("g"), query, |_| true).await.unwrap();
    let ids: Vec<u64> = page.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (ids[0]..ids[0] + 150).collect::<Vec<_>>());
    let scope = group("g").scope;
    let found = logs.groups(&scope, "g", None, 1).await.unwrap();
    assert_eq!(found[0].stored_bytes, 150 * 29);
    logs.set_retention(&group("g"), Some(1)).await.unwrap();
    logs.expire(3 * 86_400_000, Round::default()).await.unwrap();
    assert_eq!(logs.groups(&scope, "g", None, 1).await.unwrap()[0].stored_bytes, 0);
}

#[tokio::test]
async fn only_events_between_the_times_are_shown() {
    let (_directory, store) = store();
    let logs = store.logs();
    let events = (0..10).map(|at| event(at, &at.to_string())).collect();
    logs.append(&stream("g", "s"), events, 10).await.unwrap();
    for from in [EventsFrom::Head, EventsFrom::Tail] {
        let query = EventsQuery { between: 3..6, from, limit: 9 };
        let page = logs.events(&stream("g", "s"), query).await.unwrap();
        let text: String = page.events.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(text, "345");
    }
    let streams = StreamsFilter::All;
    let query = FilterQuery { streams, between: 8..u64::MAX, after: None, limit: 9 };
    assert_eq!(logs.filter(&group("g"), query, |_| true).await.unwrap().events.len(), 2);
}

#[tokio::test]
async fn a_page_ends_when_it_holds_enough_bytes() {
    let (_directory, store) = store();
    let logs = store.logs();
    let large = "x".repeat(400_000);
    let events = (0..5).map(|at| event(at, &large)).collect();
    logs.append(&stream("g", "s"), events, 10).await.unwrap();
    assert_eq!(page(&logs, EventsFrom::Head, 9).await.text.len(), 3 * large.len());
}

#[tokio::test]
async fn a_reader_that_waits_at_the_tail_of_an_empty_stream_sees_the_first_event() {
    let (_directory, store) = store();
    let logs = store.logs();
    logs.append(&stream("g", "s"), vec![], 10).await.unwrap();
    let empty = page(&logs, EventsFrom::Tail, 2).await;
    logs.append(&stream("g", "s"), vec![event(1, "a")], 10).await.unwrap();
    assert_eq!(page(&logs, empty.forward, 2).await.text, "a");
}

#[tokio::test]
async fn streams_are_listed_by_name_or_by_their_last_event() {
    let (_directory, store) = store();
    let logs = store.logs();
    for (name, at) in [("b", 1), ("a", 9), ("d", 5), ("c", 5)] {
        logs.append(&stream("g", name), vec![event(at, "x")], 10).await.unwrap();
    }
    logs.append(&stream("g", "e"), vec![], 10).await.unwrap();
    assert_eq!(streams(&logs, StreamsOrder::Name, false).await, "ab cd e");
    assert_eq!(streams(&logs, StreamsOrder::Name, true).await, "ed cb a");
    assert_eq!(streams(&logs, StreamsOrder::LastEvent, false).await, "eb cd a");
    assert_eq!(streams(&logs, StreamsOrder::LastEvent, true).await, "ad cb e");
}

#[tokio::test]
async fn groups_have_their_scope_size_and_retention() {
    let (_directory, store) = store();
    let logs = store.logs();
    logs.create_group(&group("/aws/lambda/f"), GroupSettings::default(), 5).await.unwrap();
    let again = logs.create_group(&group("/aws/lambda/f"), GroupSettings::default(), 5).await;
    assert!(matches!(again, Err(CreateGroupError::Exists)));
    logs.append(&stream("/aws/lambda/f", "s"), vec![event(1, "1234")], 10).await.unwrap();
    logs.append(&stream("/aws/lambda/g", "s"), vec![], 10).await.unwrap();
    logs.append(&stream("other", "s"), vec![], 10).await.unwrap();
    logs.set_retention(&group("/aws/lambda/f"), Some(7)).await.unwrap();
    let found = logs.groups(&home(), "/aws/", None, 9).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].stored_bytes, found[0].retention_days), (30, Some(7)));
    let after = logs.groups(&home(), "/aws/", Some("/aws/lambda/f"), 9).await.unwrap();
    assert_eq!(after, found[1..]);
    assert_eq!(logs.groups(&scope(3, "us-east-1"), "", None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_deleted_group_is_gone_at_once_and_a_new_one_of_its_name_is_empty() {
    let (directory, store) = store();
    let logs = store.logs();
    let events = (0..5_000).map(|at| event(at, "x")).collect();
    logs.append(&stream("g", "s"), events, 10).await.unwrap();
    logs.delete_group(&group("g")).await.unwrap();
    assert!(matches!(logs.delete_group(&group("g")).await, Err(ChangeError::Missing)));
    logs.append(&stream("g", "t"), vec![event(1, "y")], 10).await.unwrap();
    assert_eq!(filtered(&logs, StreamsFilter::All, 9).await, ["y"]);
    let query = EventsQuery { between: 0..u64::MAX, from: EventsFrom::Head, limit: 1 };
    let missing = logs.events(&stream("g", "s"), query.clone()).await;
    assert!(matches!(missing, Err(ReadLogsError::NoStream)));
    let missing = logs.events(&stream("h", "s"), query).await;
    assert!(matches!(missing, Err(ReadLogsError::NoGroup)));
    // What the sweep had not reached yet is swept after the next start, and only that.
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(filtered(&store.logs(), StreamsFilter::All, 9).await, ["y"]);
    store.logs().append(&stream("g", "t"), vec![event(2, "z")], 10).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_stream_that_is_named_must_be_there() {
    let (_directory, store) = store();
    let logs = store.logs();
    logs.append(&stream("g", "s"), vec![], 10).await.unwrap();
    let streams = StreamsFilter::Named(vec!["s".into(), "t".into()]);
    let query = FilterQuery { streams, between: 0..9, after: None, limit: 1 };
    let missing = logs.filter(&group("g"), query, |_| true).await;
    assert!(matches!(missing, Err(ReadLogsError::NoStream)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the pages, a filter and a stream yield each wanted event once, by time and then by arrival.
    #[test]
    fn filters_and_pages_yield_every_event_once_and_in_order(
        batches in prop::collection::vec(
            (0..3_usize, prop::collection::vec((0..3_u64, "[a-c-]{0,2}"), 0..9)), 0..8),
        limit in 1..7_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_directory, store) = store();
            let logs = store.logs();
            logs.create_group(&group("g"), GroupSettings::default(), 0).await.unwrap();
            for name in ["sa", "sb", "t"] {
                logs.append(&stream("g", name), vec![], 0).await.unwrap();
            }
            let mut all = Vec::new();
            for (of, events) in batches {
                let name = ["sa", "sb", "t"][of];
                let events: Vec<Event> = events.iter().map(|(at, m)| event(*at, m)).collect();
                all.extend(events.iter().map(|e| (e.timestamp_ms, name, e.message.clone())));
                logs.append(&stream("g", name), events, 0).await.unwrap();
            }
            all.sort_by_key(|(at, ..)| *at);
            let named = |names: &[&str]| {
                StreamsFilter::Named(names.iter().map(|&name| name.to_owned()).collect())
            };
            for (streams, of) in [
                (StreamsFilter::All, vec!["sa", "sb", "t"]),
                (StreamsFilter::Prefixed("s".into()), vec!["sa", "sb"]),
                (named(&["t"]), vec!["t"]),
                (named(&["sa", "t"]), vec!["sa", "t"]),
            ] {
                let wanted = all.iter().filter(|(_, name, m)| of.contains(name) && !m.contains('-'));
                let wanted: Vec<String> = wanted.map(|(_, _, m)| m.clone()).collect();
                assert_eq!(filtered(&logs, streams, limit).await, wanted);
            }
            for name in ["sa", "sb", "t"] {
                let own = all.iter().filter(|(_, of, _)| *of == name);
                let own: Vec<String> = own.map(|(_, _, m)| m.clone()).collect();
                assert_eq!(paged(&logs, name, EventsFrom::Head, limit).await, own);
                assert_eq!(paged(&logs, name, EventsFrom::Tail, limit).await, own);
            }
        });
    }
}
