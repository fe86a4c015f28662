//! Answers that are passed on while the runtime writes them, and every way in which they end.

use std::time::Duration;

use dormouse_model::invocation::Completion;
use dormouse_placement::{AnswerStream, Answered, Part};

use crate::world::{PATIENCE, World};
use crate::{mask, world};

async fn next(stream: &mut AnswerStream) -> Part {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("every stream goes on or ends")
}

fn begun(answered: Answered) -> AnswerStream {
    match answered {
        Answered::Stream(stream) => stream,
        Answered::Whole(answer) => panic!("not streamed: {answer:?}"),
    }
}

/// A stream of which `one` has arrived.
async fn begin(world: &World, event: &str) -> AnswerStream {
    let mut stream = begun(world.invoke_streamed(event).await);
    assert_eq!(next(&mut stream).await, Part::Piece("one".into()), "{event}");
    stream
}

/// What is left of a stream.
async fn rest(stream: &mut AnswerStream) -> (String, Completion) {
    let mut pieces = String::new();
    loop {
        match next(stream).await {
            Part::Piece(piece) => pieces += std::str::from_utf8(&piece).unwrap(),
            Part::End(completion) => return (pieces, completion),
        }
    }
}

fn masked(completion: Completion) -> (String, String) {
    let tail = completion.log_tail.expect("it was asked for");
    let log = mask(&[String::from_utf8(tail.to_vec()).unwrap()]);
    let Some(error) = completion.error else {
        return ("none".into(), log);
    };
    let id = error.details.split("RequestId: ").nth(1).and_then(|rest| rest.get(..36));
    let details = error.details.replace(id.unwrap_or("-"), "ID");
    (format!("{} {details}", error.code), log)
}

/// `one`, then the gate is opened: what is left, the error, and a line of the log.
async fn check(event: &str, left: &str, error: &str, log: &str) {
    let world = world().await;
    let mut stream = begin(&world, event).await;
    world.gate.notify_one();
    let (pieces, completion) = rest(&mut stream).await;
    assert_eq!(pieces, left, "{event}");
    let (told, lines) = masked(completion);
    assert_eq!(told, error, "{event}");
    assert!(lines.starts_with("START RequestId: _"), "{event}: {lines}");
    assert!(lines.contains(log), "{event}: {lines}");
    // Whatever happened, the next one works.
    assert_eq!(&world.invoke("\"next\"").await.unwrap().payload[..], b"\"next\"", "{event}");
    let logs = world.drain_and_read_logs().await;
    // One that is being reset is not waited for.
    assert!(logs.len() <= 2, "{event}: {} environments", logs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_arrive_while_the_function_still_writes() {
    check("\"stream\"", "two", "none", "REPORT RequestId: _").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_behind_the_last_piece_is_told_at_the_end() {
    check("\"stream fail\"", "", "Mine {}", "REPORT RequestId: _").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_in_the_middle_is_told_rather_than_its_broken_stream() {
    let error = "Runtime.ExitError {\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\
        \"RequestId: ID Error: Runtime exited with error: exit status 3\"}";
    check("\"stream exit\"", "", error, "Error Type: Runtime.ExitError").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_in_a_living_process_is_truncated() {
    let error = "Runtime.TruncatedResponse {\"errorType\":\"Runtime.TruncatedResponse\",\
        \"errorMessage\":\"Response body was truncated\"}";
    check("\"stream break off\"", "", error, "REPORT RequestId: _").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_in_the_middle_ends_the_stream() {
    let error = "Sandbox.Timedout {\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\
        \"RequestId: ID Error: Task timed out after 1.00 seconds\"}";
    check("\"stream hang\"", "", error, "Status: timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_stream_gets_whole_what_is_not_streamed() {
    let world = world().await;
    for (event, payload, failed) in [
        ("{\"a\":1}", "{\"a\":1}", false),
        ("\"error\"", r#"{"errorType":"E","errorMessage":"m"}"#, true),
    ] {
        match world.invoke_streamed(event).await {
            Answered::Whole(answer) => {
                assert_eq!(answer.payload, payload);
                assert_eq!(answer.error.is_some(), failed);
                assert!(answer.log_tail.is_some());
            }
            Answered::Stream(stream) => panic!("{event} is not streamed: {stream:?}"),
        }
    }
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_it_whole_gets_a_stream_whole() {
    let world = world().await;
    world.gate.notify_one();
    let answer = world.invoke("\"stream\"").await.unwrap();
    assert_eq!(answer.payload, "onetwo");
    assert!(answer.error.is_none());
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_does_not_end_the_function() {
    let world = world().await;
    drop(begin(&world, "\"stream\"").await);
    world.gate.notify_one();
    assert_eq!(&world.invoke("\"next\"").await.unwrap().payload[..], b"\"next\"");
    let logs = world.drain_and_read_logs().await;
    let log = mask(&logs[0]);
    let (first, _) = log.split_once("got \"next\"").unwrap_or((&log, ""));
    assert!(first.contains("REPORT RequestId: _") && !first.contains("Status"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_server_ends_a_stream_with_a_word() {
    let world = world().await;
    let mut stream = begin(&world, "\"stream hang\"").await;
    world.placement.drain(Duration::ZERO).await;
    let (pieces, completion) = rest(&mut stream).await;
    assert_eq!(pieces, "");
    let (error, log) = masked(completion);
    assert!(error.starts_with("Sandbox.Failure "), "{error}");
    assert!(error.contains("The server is shutting down"), "{error}");
    assert!(log.contains("REPORT RequestId: _"), "{log}");
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_lost_ends_a_stream_with_a_word() {
    let world = world().await;
    let mut stream = begin(&world, "\"stream collapse\"").await;
    world.gate.notify_one();
    let (_, completion) = rest(&mut stream).await;
    let (error, _) = masked(completion);
    assert!(error.starts_with("Sandbox.Failure "), "{error}");
    assert_eq!(&world.invoke("\"next\"").await.unwrap().payload[..], b"\"next\"");
    world.drain_and_read_logs().await;
}
