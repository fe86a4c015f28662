//! Events: what is accepted is handed out once at a time, in order, until its end is written.

#[cfg(test)]
mod support;

use std::collections::HashSet;

use dormouse_model::names::FunctionKey;
use dormouse_model::retry::Tries;
use dormouse_store::Store;
use dormouse_store::events::{
    Again, EventId, Found, FunctionId, Look, NewEvent, QueuedEvent, QueuedEvents, Turn, Wanted,
};
use proptest::prelude::*;
use support::{home, scope, store};

/// Nothing is put off for longer.
const LONGEST_MS: u64 = 300_000;

fn function(name: &str) -> FunctionId {
    let key = FunctionKey { scope: home(), name: name.parse().expect("it is a name") };
    FunctionId { key, unique_id: "u".into() }
}

fn event(of: &FunctionId, payload: &str) -> NewEvent {
    NewEvent {
        function: of.clone(),
        qualifier: None,
        request: "00000000-0000-4000-8000-000000000001".parse().expect("it is an id"),
        payload: payload.to_owned().into(),
        trace: None,
        tenant: None,
        accepted_ms: 1_000,
    }
}

async fn accept(events: &QueuedEvents, of: &FunctionId, payloads: &[&str]) {
    for payload in payloads {
        events.accept(event(of, payload), || {}).await.expect("there is room");
    }
}

fn wanted(of: &FunctionId, max: usize, held: &[QueuedEvent]) -> Wanted {
    let held = held.iter().map(|event| event.id).collect();
    Wanted { function: of.clone(), max, held }
}

fn turn(now_ms: u64, wanted: Vec<Wanted>) -> Turn {
    Turn { now_ms, longest_ms: LONGEST_MS, wanted, ..Turn::default() }
}

async fn find(
    events: &QueuedEvents,
    of: &FunctionId,
    now_ms: u64,
    (max, held): (usize, &[QueuedEvent]),
) -> Found {
    let turn = turn(now_ms, vec![wanted(of, max, held)]);
    events.turn(turn).await.expect("there is room").remove(0)
}

fn shown(found: &Found) -> String {
    let payloads = found.events.iter().map(|it| String::from_utf8_lossy(&it.payload).into_owned());
    let look = match found.look {
        Look::Now => "now".to_owned(),
        Look::At(at_ms) => at_ms.to_string(),
        Look::Never => "never".to_owned(),
    };
    format!("{} | {look}", payloads.collect::<Vec<_>>().join(" "))
}

fn put_off(id: EventId, at_ms: u64, failures: u32) -> Again {
    Again { id, at_ms, tries: Tries { accepted_ms: 1_000, failures, deferrals: 3 } }
}

#[tokio::test]
async fn everything_of_an_event_comes_back_also_from_another_process() {
    let (directory, store) = store();
    let qualifiers = [None, Some("$LATEST"), Some("7"), Some("live")];
    for (number, qualifier) in qualifiers.iter().enumerate() {
        let accepted = NewEvent {
            qualifier: qualifier.map(|text| text.parse().unwrap()),
            payload: vec![0, b'"', 0xff, 10].into(),
            trace: (number > 0).then(|| "Root=1-a-b".to_owned()),
            tenant: (number > 1).then(|| "t 1".to_owned()),
            ..event(&function("f"), "")
        };
        store.events().accept(accepted.clone(), || {}).await.unwrap();
    }
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.events().functions().await.unwrap(), [function("f")]);
    let found = find(&store.events(), &function("f"), 5, (10, &[])).await;
    for (number, got) in found.events.iter().enumerate() {
        let expected = QueuedEvent {
            id: got.id,
            function: function("f"),
            qualifier: qualifiers[number].map(|text| text.parse().unwrap()),
            request: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
            payload: vec![0, b'"', 0xff, 10].into(),
            trace: (number > 0).then(|| "Root=1-a-b".to_owned()),
            tenant: (number > 1).then(|| "t 1".to_owned()),
            tries: Tries { accepted_ms: 1_000, failures: 0, deferrals: 0 },
        };
        assert_eq!(*got, expected);
    }
    assert_eq!((found.events.len(), found.look), (4, Look::Never));
}

#[tokio::test]
async fn what_is_held_is_not_handed_out_again_and_what_ended_is_gone() {
    let (_directory, store) = store();
    let (events, f) = (store.events(), function("f"));
    accept(&events, &f, &["a", "b", "c"]).await;
    let first = find(&events, &f, 0, (2, &[])).await;
    assert_eq!(shown(&first), "a b | now");
    assert_eq!(shown(&find(&events, &f, 0, (2, &first.events)).await), "c | never");
    let ended = vec![first.events[0].id];
    let turn = Turn { ended, ..turn(0, vec![wanted(&f, 9, &first.events[1..])]) };
    assert_eq!(shown(&events.turn(turn).await.unwrap()[0]), "c | never");
    // Who holds nothing, as after a kill, gets all that has not ended.
    assert_eq!(shown(&find(&events, &f, 0, (9, &[])).await), "b c | never");
}

#[tokio::test]
async fn what_is_put_off_comes_in_its_time_and_before_what_was_never_tried() {
    let (_directory, store) = store();
    let (events, f) = (store.events(), function("f"));
    accept(&events, &f, &["a", "b", "c"]).await;
    let found = find(&events, &f, 0, (2, &[])).await.events;
    let again = vec![put_off(found[0].id, 700, 1), put_off(found[1].id, 600, 2)];
    let found = events.turn(Turn { again, ..turn(0, vec![wanted(&f, 9, &[])]) }).await.unwrap();
    assert_eq!(shown(&found[0]), "c | 600");
    assert_eq!(shown(&find(&events, &f, 600, (9, &[])).await), "b c | 700");
    let found = find(&events, &f, 700, (9, &[])).await;
    assert_eq!(shown(&found), "b a c | never");
    assert_eq!(found.events[0].tries, Tries { accepted_ms: 1_000, failures: 2, deferrals: 3 });
    assert_eq!(shown(&find(&events, &f, 700, (1, &[])).await), "b | now");
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_event_waiting() {
    let (_directory, store) = store();
    let (events, f) = (store.events(), function("f"));
    accept(&events, &f, &["never-tried", "put-off"]).await;
    let id = find(&events, &f, 0, (2, &[])).await.events[1].id;
    let year_ms = 31_536_000_000;
    let again = vec![put_off(id, 2 * year_ms, 1)];
    events.turn(Turn { again, ..turn(0, vec![]) }).await.unwrap();
    assert_eq!(
        shown(&find(&events, &f, year_ms, (9, &[])).await),
        "put-off never-tried | 63072000000"
    );
    let found = find(&events, &f, 2 * year_ms - LONGEST_MS, (9, &[])).await;
    assert_eq!(shown(&found), "never-tried | 63072000000");
}

#[tokio::test]
async fn functions_accounts_and_regions_do_not_see_each_others_events() {
    let (_directory, store) = store();
    let events = store.events();
    let mut functions = vec![function("f"), function("g")];
    functions.push(FunctionId { unique_id: "another".into(), ..function("f") });
    for other in [scope(3, "us-east-1"), scope(2, "eu-west-1")] {
        let key = FunctionKey { scope: other, name: "f".parse().unwrap() };
        functions.push(FunctionId { key, unique_id: "u".into() });
    }
    for (number, function) in functions.iter().enumerate() {
        accept(&events, function, &[&number.to_string()]).await;
    }
    let wanted = functions.iter().map(|function| wanted(function, 9, &[])).collect();
    let found = events.turn(turn(0, wanted)).await.unwrap();
    let found: Vec<_> = found.iter().map(shown).collect();
    assert_eq!(found, ["0 | never", "1 | never", "2 | never", "3 | never", "4 | never"]);
    let there: HashSet<_> = events.functions().await.unwrap().into_iter().collect();
    assert_eq!(there, functions.into_iter().collect());
}

#[tokio::test]
async fn the_events_of_a_function_that_is_gone_are_gone_and_those_of_its_successor_are_not() {
    let (_directory, store) = store();
    let (events, old) = (store.events(), function("f"));
    let new = FunctionId { unique_id: "new".into(), ..function("f") };
    let many: Vec<String> = (0..2_500).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    accept(&events, &old, &many).await;
    accept(&events, &new, &["kept"]).await;
    let running = find(&events, &old, 0, (1, &[])).await.events.remove(0);
    events.forget(&old).await.unwrap();
    assert_eq!(shown(&find(&events, &old, 0, (9, &[])).await), " | never");
    // One that was on its way in goes, too; what ends or is put off hurts nobody.
    accept(&events, &old, &["late"]).await;
    let again = vec![put_off(running.id, 5, 1)];
    let late = Turn { again, gone: vec![old.clone()], ..turn(9, vec![wanted(&new, 9, &[])]) };
    assert_eq!(shown(&events.turn(late).await.unwrap()[0]), "kept | never");
    assert_eq!(events.functions().await.unwrap(), [new]);
}

/// What a caller does: accepts, takes, ends, puts off.
#[derive(Debug, Clone)]
enum Step {
    Accept(u8),
    Take(u8, usize),
    End(usize),
    PutOff(usize, u64),
    Pass(u64),
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..2).prop_map(Step::Accept),
        (0_u8..2, 1_usize..4).prop_map(|(of, max)| Step::Take(of, max)),
        (0_usize..8).prop_map(Step::End),
        (0_usize..8, 0_u64..50).prop_map(|(at, ms)| Step::PutOff(at, ms)),
        (0_u64..40).prop_map(Step::Pass),
        Just(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Whatever is done: nothing is lost, nothing is had twice at once, nothing comes before its time.
    #[test]
    fn nothing_is_lost_nor_had_twice_at_once(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_directory, store) = store();
            let events = store.events();
            let functions = [function("f"), function("g")];
            let (mut now_ms, mut open) = (1_000, std::collections::HashMap::new());
            let mut held: Vec<QueuedEvent> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Accept(of) => {
                        let payload = number.to_string();
                        accept(&events, &functions[usize::from(of)], &[&payload]).await;
                        open.insert(payload, 0);
                    }
                    Step::Take(of, max) => {
                        let found =
                            find(&events, &functions[usize::from(of)], now_ms, (max, &held)).await;
                        prop_assert!(found.events.len() <= max);
                        for event in found.events {
                            let payload = std::str::from_utf8(&event.payload).unwrap();
                            prop_assert!(open[payload] <= now_ms, "before its time");
                            prop_assert!(held.iter().all(|other| other.id != event.id));
                            held.push(event);
                        }
                    }
                    Step::End(at) if at < held.len() => {
                        let event = held.remove(at);
                        open.remove(std::str::from_utf8(&event.payload).unwrap());
                        let ended = vec![event.id];
                        events.turn(Turn { ended, ..turn(now_ms, vec![]) }).await.unwrap();
                    }
                    Step::PutOff(at, ms) if at < held.len() => {
                        let event = held.remove(at);
                        let payload = String::from_utf8(event.payload.to_vec()).unwrap();
                        open.insert(payload, now_ms + ms);
                        let again = vec![put_off(event.id, now_ms + ms, 1)];
                        events.turn(Turn { again, ..turn(now_ms, vec![]) }).await.unwrap();
                    }
                    Step::End(_) | Step::PutOff(..) => {}
                    Step::Pass(ms) => now_ms += ms,
                    Step::Die => held.clear(),
                }
            }
            now_ms += 1_000;
            let mut left = HashSet::new();
            for function in &functions {
                for event in find(&events, function, now_ms, (1_000, &[])).await.events {
                    prop_assert!(left.insert(String::from_utf8(event.payload.to_vec()).unwrap()));
                }
            }
            prop_assert_eq!(left, open.into_keys().collect::<HashSet<_>>());
            Ok(())
        })?;
    }
}
