//! Answers of a server and keys in, pictures out.

use std::fmt::Write;
use std::time::Duration;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::lives::Environment;
use super::machine::Machine;
use super::state::{Event, State, Wish};
use super::view;

/// What a server says of five environments of three functions.
pub(super) fn answer() -> String {
    let environment = |number: u32, function: &str, more: serde_json::Value| {
        let mut one = json!({
            "id": format!("{number:08x}{}", "0".repeat(24)),
            "functionName": function,
            "functionArn": format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
            "version": "$LATEST", "runtime": "python3.12", "memorySizeMb": 128,
            "logGroup": format!("/aws/lambda/{function}"), "logStream": format!("2026/01/01/[$LATEST]{number:08x}"),
            "coldReason": "first", "createdMs": 1_767_225_600_000_u64,
            "phase": "frozen", "phaseSinceMicros": 10_000_000, "ageMicros": 75_000_000,
            "invocations": 3, "errors": 0, "memoryPeakBytes": 40_000_000,
            "lastInvocation": { "requestId": "r", "durationMicros": 1_234 },
            "ended": null, "eventsDropped": 0,
        });
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    json!([
        environment(1, "hello", json!({})),
        environment(2, "orders-api", json!({
            "phase": "running", "version": "7", "invocations": 123_456, "errors": 2, "memorySizeMb": 1_769,
            "lastInvocation": { "requestId": "r", "durationMicros": 1_500_000, "error": "timeout" },
        })),
        environment(3, "orders-api", json!({
            "phase": "init", "version": "7", "coldReason": "scale-out", "ageMicros": 120_000,
            "invocations": 0, "memoryPeakBytes": null, "lastInvocation": null,
        })),
        environment(4, "a-function-whose-name-is-far-too-long-for-its-column", json!({
            "phase": "cold", "coldReason": "idle-expiry", "errors": 1,
        })),
        environment(5, "hello", json!({
            "phase": "ended", "ended": { "atMicros": 75_000_000, "agoMicros": 5_000_000, "cause": "update" },
        })),
        environment(6, "hello", json!({
            "phase": "ended", "ended": { "atMicros": 75_000_000, "agoMicros": 95_000_000, "cause": "idle" },
        })),
    ])
    .to_string()
}

/// What a server says of the first of them.
fn one() -> Environment {
    let mut one: Environment = environments(&answer()).remove(0);
    let request = "11111111-2222-4333-8444-555555555555";
    one.events = serde_json::from_value(json!([
        { "atMicros": 40, "what": "created" },
        { "atMicros": 7_490, "what": "provisioned" },
        { "atMicros": 7_501, "what": "init" },
        { "atMicros": 35_662, "what": "ready" },
        { "atMicros": 35_784, "what": "invoke", "requestId": request },
        { "atMicros": 36_723, "what": "failed", "requestId": request, "error": "exited" },
        { "atMicros": 36_754, "what": "reset" },
        { "atMicros": 38_262, "what": "emptied" },
        { "atMicros": 38_337, "what": "reported", "requestId": request, "error": "exited",
          "durationMicros": 938, "memoryPeakBytes": 4_653_056 },
        { "atMicros": 12_038_345, "what": "ready" },
    ]))
    .unwrap();
    one.events_dropped = 6;
    one
}

fn environments(answer: &str) -> Vec<Environment> {
    serde_json::from_str(answer).unwrap()
}

pub(super) fn state(answer: &str) -> State {
    let mut state = State::new("http://127.0.0.1:9000".to_owned());
    state.update(Event::Environments(Duration::ZERO, environments(answer)));
    state.update(Event::Machine(Some(machine())));
    state
}

/// What a server says of its machine.
fn machine() -> Machine {
    serde_json::from_value(json!({
        "capacityMb": 21_504, "usedMb": 2_048, "waiting": 1,
        "standby": [
            { "kind": "bare", "standing": 2, "target": 2, "hits": 3, "misses": 0 },
            { "kind": "python3.12", "standing": 1, "target": 4, "hits": 9, "misses": 2 },
        ],
    }))
    .unwrap()
}

/// Types: words of the keyboard, or single characters.
fn press(state: &mut State, keys: &str) -> Wish {
    let code = |word: &str| match word {
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "back" => KeyCode::Backspace,
        other => KeyCode::Char(other.chars().next().unwrap()),
    };
    keys.split_whitespace().fold(Wish::None, |_, word| {
        state.update(Event::Key(KeyEvent::new(code(word), KeyModifiers::NONE)))
    })
}

fn picture(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::render(frame, state)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let mut text = String::new();
    for row in buffer.content.chunks(usize::from(width)) {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        let _ = writeln!(text, "|{line}|");
    }
    text
}

/// The rows in their order, by the first digit that tells them apart.
#[track_caller]
fn check(keys: &str, expected: &str) {
    let mut state = state(&answer());
    press(&mut state, keys);
    let rows = state.rows();
    let selected = rows.get(state.row(&rows)).map(|it| it.id.as_str());
    let shown: Vec<String> = rows
        .iter()
        .map(|it| {
            format!("{}{}", &it.id[7..8], if Some(it.id.as_str()) == selected { "*" } else { "" })
        })
        .collect();
    assert_eq!(shown.join(" "), expected, "{keys}");
}

#[test]
fn keys_sort_filter_and_select() {
    check("", "4* 1 2 3 5");
    check("s", "3* 4 1 2 5");
    check("s s", "2* 4 1 3 5");
    check("s s s", "2* 4 1 3 5");
    check("s s s s", "4* 1 2 3 5");
    check("s s s s s", "2* 3 4 1 5");
    check("s s s s s s", "4* 1 2 3 5");
    check("e", "4* 1 2 3 5 6");
    check("e e", "4* 1 2 3 5");
    check("down down", "4 1 2* 3 5");
    check("down down up", "4 1* 2 3 5");
    check("end down", "4 1 2 3 5*");
    check("pgdn home", "4* 1 2 3 5");
    check("/ O r d enter", "2* 3");
    check("/ x x x esc", "4* 1 2 3 5");
    check("/ h e l x back enter", "1* 5");
    check("/ h e l enter esc", "4* 1 2 3 5");
    check("/ n o n e", "");
}

#[test]
fn a_selection_stays_with_its_environment() {
    check("down down s", "3 4 1 2* 5");
    // What was selected is not shown any more: the first row is.
    check("end / o r d e r s enter", "2* 3");
}

#[test]
fn keys_ask_quit_and_pause() {
    let mut state = state(&answer());
    assert_eq!(press(&mut state, "p"), Wish::None);
    assert!(state.paused);
    assert_eq!(press(&mut state, "p"), Wish::Ask);
    assert_eq!(press(&mut state, "enter"), Wish::Ask);
    assert_eq!(state.wanted(), Some(format!("00000004{}", "0".repeat(24)).as_str()));
    assert_eq!(press(&mut state, "esc"), Wish::None);
    assert_eq!(state.wanted(), None);
    // A q in a name is a letter.
    assert_eq!(press(&mut state, "/ q"), Wish::None);
    assert_eq!(press(&mut state, "enter q"), Wish::Quit);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut state, "/");
    assert_eq!(state.update(Event::Key(control_c)), Wish::Quit);
}

#[test]
fn a_late_answer_about_another_environment_is_not_shown() {
    let mut state = state(&answer());
    press(&mut state, "enter");
    state.update(Event::Environment(Box::new(one())));
    assert!(picture(&state, 80, 24).contains("asking the server"));
}

/// A minute of looks in which invocations come and go.
fn busy() -> State {
    let mut state = State::new("http://127.0.0.1:9000".to_owned());
    let mut all = environments(&answer());
    for half_second in 0_u32..120 {
        all[0].invocations += u64::from(half_second % 20);
        let at = Duration::from_millis(500) * half_second;
        state.update(Event::Environments(at, all.clone()));
    }
    state
}

#[test]
fn the_table_at_80_by_24() {
    insta::assert_snapshot!(picture(&busy(), 80, 24));
}

#[test]
fn the_table_at_120_by_16() {
    let mut state = busy();
    press(&mut state, "down p");
    insta::assert_snapshot!(picture(&state, 120, 16));
}

#[test]
fn the_table_at_40_by_10() {
    insta::assert_snapshot!(picture(&busy(), 40, 10));
}

#[test]
fn a_server_that_is_away_is_said_so_over_what_was_known() {
    let mut state = busy();
    state.update(Event::Lost(
        "server does not answer at URL: is `dormouse serve` running?".to_owned(),
    ));
    insta::assert_snapshot!(picture(&state, 80, 16));
    state.update(Event::Environments(Duration::from_secs(90), Vec::new()));
    assert!(!picture(&state, 80, 16).contains("does not answer"));
}

#[test]
fn an_empty_server_says_what_to_do() {
    insta::assert_snapshot!(picture(&state("[]"), 80, 12));
}

#[test]
fn the_events_at_80_by_24() {
    let mut state = state(&answer());
    press(&mut state, "down enter");
    state.update(Event::Environment(Box::new(one())));
    insta::assert_snapshot!(picture(&state, 80, 24));
}

#[test]
fn the_events_scrolled_back_at_40_by_10() {
    let mut state = state(&answer());
    press(&mut state, "down enter");
    state.update(Event::Environment(Box::new(one())));
    press(&mut state, "up up");
    insta::assert_snapshot!(picture(&state, 40, 10));
}

#[test]
fn who_scrolled_back_reads_on_where_they_are() {
    let mut state = state(&answer());
    press(&mut state, "down enter");
    state.update(Event::Environment(Box::new(one())));
    press(&mut state, "up up");
    let read = picture(&state, 80, 18);
    let mut more = one();
    more.events.extend(one().events.split_off(8));
    state.update(Event::Environment(Box::new(more)));
    let last = |picture: &str| picture.lines().rev().nth(1).map(str::to_owned);
    assert_eq!(last(&picture(&state, 80, 18)), last(&read));
}

#[test]
fn the_events_end_with_the_cause() {
    let mut state = state(&answer());
    press(&mut state, "end enter");
    let mut one = environments(&answer()).remove(4);
    one.events = self::one().events;
    state.update(Event::Environment(Box::new(one)));
    let picture = picture(&state, 80, 24);
    assert!(picture.contains("+75.000000s   62.9s  ended         cause: update"), "{picture}");
}

#[test]
fn the_help_fits_80_by_24() {
    let mut state = state(&answer());
    press(&mut state, "?");
    let picture = picture(&state, 80, 24);
    assert!(picture.contains("ui.perfetto.dev"), "{picture}");
    insta::assert_snapshot!(picture);
}

#[test]
fn a_server_of_before_says_nothing_of_its_machine() {
    let mut state = state(&answer());
    assert!(
        picture(&state, 80, 24).contains(
            " memory 2048 of 21504 MB, 1 waiting   standing by bare 2, python3.12 1 of 4 "
        )
    );
    state.update(Event::Machine(None));
    assert!(!picture(&state, 80, 24).contains("standing by"));
}

#[test]
fn a_newer_server_is_understood_as_far_as_it_goes() {
    let state = state(r#"[{"id":"x","phase":"dreaming","surprise":[1]}]"#);
    assert!(picture(&state, 80, 24).contains("dreaming"));
}

const KEYS: [&str; 16] = [
    "up", "down", "home", "end", "pgup", "pgdn", "enter", "esc", "back", "s", "/", "p", "?", "e",
    "h", "x",
];

proptest! {
    // Each case is dozens of pictures.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_key_and_no_size_breaks_it(
        steps in prop::collection::vec(0..KEYS.len() + 3, 0..40),
        width in 1_u16..140,
        height in 1_u16..50,
    ) {
        let mut state = state(&answer());
        for step in steps {
            match KEYS.get(step) {
                Some(key) => { press(&mut state, key); }
                None if step == KEYS.len() => { state.update(Event::Environment(Box::new(one()))); }
                None if step == KEYS.len() + 1 => { state.update(Event::Gone); }
                None => { state.update(Event::Lost("gone".to_owned())); }
            }
            picture(&state, width, height);
        }
    }
}
