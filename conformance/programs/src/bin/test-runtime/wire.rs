//! Modes that break the Runtime API: answers that come twice, late, wrong, in pieces or not at all.
//!
//! Each prints what it was answered. None leaves an invocation without an end unless that is its
//! point.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::channel;
use std::thread;

use conformance_programs::http::{Answer, Connection, head, request, tell};
use conformance_programs::pause::{for_ever, pause_ms, wall_ms};
use serde_json::json;

use crate::runtime::{Invocation, NEXT, Runtime, Speak};

/// The most a response may have, and one byte.
const TOO_MANY_BYTES: usize = 6_291_557;
/// How many ask at once.
const PARALLEL: usize = 1_000;

pub(crate) fn mode(name: &str) -> Option<Speak> {
    Some(match name {
        "answer-and-hang" => answer_and_hang,
        "double-response" => double_response,
        "wrong-id" => wrong_id,
        "response-after-error" => response_after_error,
        "late-response" => late_response,
        "next-twice" => next_twice,
        "parallel-next" => parallel_next,
        "parallel-next-idle" => parallel_next_idle,
        "slow-body" => slow_body,
        "truncated-body" => truncated_body,
        "truncated-chunks" => truncated_chunks,
        "too-large" => too_large,
        "raw" => raw,
        "error" => error,
        "garbage" => garbage,
        "huge-headers" => huge_headers,
        "pipelined" => pipelined,
        "streamed" => streamed,
        "streamed-error" => streamed_error,
        "wrong-response-mode" => wrong_response_mode,
        "init-error-late" => init_error_late,
        _ => return None,
    })
}

/// The caller has the answer; the invocation has no end.
fn answer_and_hang(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    runtime.respond(invocation, b"\"answered\"")?;
    for_ever()
}

fn double_response(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    for (what, body) in [("first", "\"first\""), ("second", "\"second\"")] {
        let answer = runtime.answer(&invocation.id, "response", body.as_bytes());
        tell(&format!("{what} response"), &answer);
    }
    Ok(())
}

fn wrong_id(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let nobody = "00000000-0000-4000-8000-000000000000";
    tell("response to nobody", &runtime.answer(nobody, "response", b"\"wrong\""));
    tell("error to nobody", &runtime.answer(nobody, "error", b"{}"));
    tell("response", &runtime.answer(&invocation.id, "response", b"\"right\""));
    Ok(())
}

fn response_after_error(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let body = br#"{"errorType":"Function.Mine","errorMessage":"mine"}"#;
    tell("error", &runtime.answer(&invocation.id, "error", body));
    tell("response", &runtime.answer(&invocation.id, "response", b"\"too late\""));
    Ok(())
}

/// Answers after the deadline. Whether it lives to do so is the question.
fn late_response(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    pause_ms((invocation.deadline_ms + 100).saturating_sub(wall_ms()));
    tell("late response", &runtime.answer(&invocation.id, "response", b"\"late\""));
    for_ever()
}

fn next_twice(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let again = runtime.ask_next()?;
    let same = Invocation::of(&again).is_some_and(|again| again.id == invocation.id);
    runtime
        .respond(invocation, json!({"status": again.status, "same": same}).to_string().as_bytes())
}

/// Asks for the event a thousand times at once while it has it, and counts the answers.
fn parallel_next(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let (sender, answers) = channel();
    let mut threads = Vec::new();
    for _ in 0..PARALLEL {
        let sender = sender.clone();
        threads.push(small_thread(move || {
            // The receiver stays until all have told.
            let _ = sender.send(ask_anew());
        })?);
    }
    drop(sender);
    let mut counts = BTreeMap::new();
    for answer in answers {
        let told = match answer {
            Ok(answer) if answer.status == 200 => match Invocation::of(&answer) {
                Some(again) if again.id == invocation.id => "same event".to_owned(),
                _ => "another event".to_owned(),
            },
            Ok(answer) => answer.status.to_string(),
            Err(_) => "closed".to_owned(),
        };
        *counts.entry(told).or_insert(0) += 1;
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
    runtime.respond(invocation, json!(counts).to_string().as_bytes())
}

/// Asks for the next event a thousand times at once, after its answer. One of them gets it.
fn parallel_next_idle(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    runtime.respond(invocation, b"\"asking\"")?;
    let (sender, answers) = channel();
    for _ in 0..PARALLEL {
        let sender = sender.clone();
        small_thread(move || {
            // Who comes after the event is of no interest.
            let _ = sender.send(ask_anew());
        })?;
    }
    drop(sender);
    runtime.come = answers.into_iter().flatten().find_map(|answer| Invocation::of(&answer));
    Ok(())
}

fn ask_anew() -> io::Result<Answer> {
    Connection::open()?.ask("GET", NEXT, &[], b"")
}

fn small_thread(run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().stack_size(64 << 10).spawn(run)
}

/// Byte by byte, and whole in the end.
fn slow_body(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    for byte in request("POST", &invocation.path("response"), &[], b"\"one byte after the other\"")
    {
        runtime.connection.send(&[byte])?;
        pause_ms(1);
    }
    tell("response", &runtime.connection.receive());
    Ok(())
}

/// Says that a hundred bytes come, sends ten and goes.
fn truncated_body(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let mut bytes = head("POST", &invocation.path("response"), &[("Content-Length", "100")]);
    bytes.extend(b"\r\n\"ten bytes");
    broken_off(runtime, &bytes)
}

/// A chunk and no end.
fn truncated_chunks(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let headers = [("Transfer-Encoding", "chunked")];
    let mut bytes = head("POST", &invocation.path("response"), &headers);
    bytes.extend(b"\r\n5\r\n\"five\r\n");
    broken_off(runtime, &bytes)
}

fn broken_off(runtime: &mut Runtime, bytes: &[u8]) -> io::Result<()> {
    runtime.connection.send(bytes)?;
    runtime.connection.end()?;
    tell("response", &runtime.connection.receive());
    runtime.reconnect()
}

fn too_large(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let body = vec![b'1'; TOO_MANY_BYTES];
    tell("response", &runtime.answer(&invocation.id, "response", &body));
    runtime.reconnect()
}

/// Exactly these bytes, JSON or not.
fn raw(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let body = invocation.event["body"].as_str().unwrap_or_default();
    tell("response", &runtime.answer(&invocation.id, "response", body.as_bytes()));
    Ok(())
}

/// An error of the type the event names.
fn error(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let error_type = invocation.event["type"].as_str().unwrap_or("Function.Mine");
    let headers = [("Lambda-Runtime-Function-Error-Type", error_type)];
    let body = br#"{"errorType":"Mine","errorMessage":"mine","more":1}"#;
    let answer = runtime.connection.ask("POST", &invocation.path("error"), &headers, body);
    tell("error", &answer);
    Ok(())
}

/// What is no HTTP, on a connection of its own.
fn garbage(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let mut connection = Connection::open()?;
    connection.send(b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n\0\0\0\xff")?;
    tell("garbage", &connection.receive());
    runtime.respond(invocation, b"\"after garbage\"")
}

/// A million bytes of header, on a connection of its own.
fn huge_headers(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let huge = "h".repeat(1_000_000);
    let mut connection = Connection::open()?;
    let sent = connection.send(&request("GET", NEXT, &[("X-Huge", &huge)], b""));
    tell("huge headers", &sent.and_then(|()| connection.receive()));
    runtime.respond(invocation, b"\"after huge headers\"")
}

/// The response and the `next` after it in one piece.
fn pipelined(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let mut bytes = request("POST", &invocation.path("response"), &[], b"\"pipelined\"");
    bytes.extend(request("GET", NEXT, &[], b""));
    runtime.connection.send(&bytes)?;
    tell("response", &runtime.connection.receive());
    let answer = runtime.connection.receive()?;
    runtime.come = Invocation::of(&answer);
    Ok(())
}

fn streamed(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    stream(runtime, invocation, "")
}

/// Says in the trailers that it went wrong in the middle.
fn streamed_error(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    // {"errorMessage":"mid-stream"}
    let trailers = "Lambda-Runtime-Function-Error-Type: Function.MidStream\r\n\
                    Lambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJtaWQtc3RyZWFtIn0=\r\n";
    stream(runtime, invocation, trailers)
}

fn stream(runtime: &mut Runtime, invocation: &Invocation, trailers: &str) -> io::Result<()> {
    let headers = [
        ("Lambda-Runtime-Function-Response-Mode", "streaming"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"),
    ];
    let mut bytes = head("POST", &invocation.path("response"), &headers);
    bytes.extend(b"\r\n");
    runtime.connection.send(&bytes)?;
    for piece in ["\"first, ", "second, ", "third\""] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        runtime.connection.send(chunk.as_bytes())?;
        pause_ms(5);
    }
    runtime.connection.send(format!("0\r\n{trailers}\r\n").as_bytes())?;
    tell("response", &runtime.connection.receive());
    runtime.reconnect()
}

fn wrong_response_mode(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    let headers = [("Lambda-Runtime-Function-Response-Mode", "telepathy")];
    let path = invocation.path("response");
    tell("response", &runtime.connection.ask("POST", &path, &headers, b"\"thought\""));
    Ok(())
}

/// `init/error` when Init is over.
fn init_error_late(runtime: &mut Runtime, invocation: &Invocation) -> io::Result<()> {
    tell("init/error", &runtime.init_error("Function.TooLate", &json!({})));
    runtime.respond(invocation, b"\"after init/error\"")
}
