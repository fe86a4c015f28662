//! The well-behaved part: asking for events and answering them.

use std::io;

use conformance_programs::http::{Answer, Connection};
use serde_json::Value;

/// `next`.
pub(crate) const NEXT: &str = "/2018-06-01/runtime/invocation/next";

/// What a mode does that only has a result.
pub(crate) type Act = fn(&Value) -> io::Result<Value>;
/// What a mode does that speaks to the platform itself.
pub(crate) type Speak = fn(&mut Runtime, &Invocation) -> io::Result<()>;

/// An event and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) deadline_ms: u64,
    pub(crate) event: Value,
}

impl Invocation {
    /// What an answer to `next` brings; none when it is a refusal.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let id = answer.header("lambda-runtime-aws-request-id")?.to_owned();
        let deadline_ms = answer.header("lambda-runtime-deadline-ms")?.parse().ok()?;
        Some(Self { id, deadline_ms, event: answer.json() })
    }

    /// The path of an answer: `response` or `error`.
    pub(crate) fn path(&self, kind: &str) -> String {
        path(&self.id, kind)
    }
}

/// The connection, and an event that came by another one.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) connection: Connection,
    pub(crate) come: Option<Invocation>,
}

impl Runtime {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { connection: Connection::open()?, come: None })
    }

    /// A new connection in the place of one that is spoilt.
    pub(crate) fn reconnect(&mut self) -> io::Result<()> {
        self.connection = Connection::open()?;
        Ok(())
    }

    /// Waits for an event. A refusal ends the program.
    pub(crate) fn next(&mut self) -> io::Result<Invocation> {
        if let Some(come) = self.come.take() {
            return Ok(come);
        }
        let answer = self.ask_next()?;
        Invocation::of(&answer).ok_or_else(|| io::Error::other(format!("next: {}", answer.status)))
    }

    pub(crate) fn ask_next(&mut self) -> io::Result<Answer> {
        self.connection.ask("GET", NEXT, &[], b"")
    }

    /// Answers an invocation, whichever and however.
    pub(crate) fn answer(&mut self, id: &str, kind: &str, body: &[u8]) -> io::Result<Answer> {
        self.connection.ask("POST", &path(id, kind), &[], body)
    }

    /// Answers as a runtime should.
    pub(crate) fn respond(&mut self, invocation: &Invocation, body: &[u8]) -> io::Result<()> {
        self.answer(&invocation.id, "response", body).map(|_| ())
    }

    pub(crate) fn init_error(&mut self, error_type: &str, error: &Value) -> io::Result<Answer> {
        let headers = [("Lambda-Runtime-Function-Error-Type", error_type)];
        let body = error.to_string();
        self.connection.ask("POST", "/2018-06-01/runtime/init/error", &headers, body.as_bytes())
    }
}

fn path(id: &str, kind: &str) -> String {
    format!("/2018-06-01/runtime/invocation/{id}/{kind}")
}
