//! The Extensions API, asked rightly or as told.

use std::{env, io};

use conformance_programs::http::{Answer, Connection, tell};
use serde_json::{Value, json};

const BASE: &str = "/2020-01-01/extension/";
const IDENTIFIER: &str = "Lambda-Extension-Identifier";

/// This extension, its connection and what it is called by the platform.
#[derive(Debug)]
pub(crate) struct Extension {
    name: String,
    identifier: String,
    connection: Connection,
}

impl Extension {
    pub(crate) fn new(name: String) -> io::Result<Self> {
        Ok(Self { name, identifier: String::new(), connection: Connection::open()? })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Registers and remembers the identifier. A refusal ends the program.
    pub(crate) fn register(&mut self) -> io::Result<()> {
        let answer = self.ask_register()?;
        let Some(identifier) = answer.header("lambda-extension-identifier") else {
            tell(&format!("{} register", self.name), &Ok(answer));
            return Err(io::Error::other("not registered"));
        };
        self.identifier = identifier.to_owned();
        Ok(())
    }

    pub(crate) fn ask_register(&mut self) -> io::Result<Answer> {
        let events = env::var("TEST_EXTENSION_EVENTS").unwrap_or("INVOKE,SHUTDOWN".to_owned());
        let events: Vec<&str> = events.split(',').filter(|event| !event.is_empty()).collect();
        let body = json!({ "events": events }).to_string();
        let headers = [("Lambda-Extension-Name", self.name.as_str())];
        self.connection.ask("POST", &format!("{BASE}register"), &headers, body.as_bytes())
    }

    /// Waits for an event.
    pub(crate) fn next(&mut self) -> io::Result<Answer> {
        if self.identifier.is_empty() {
            return self.connection.ask("GET", &format!("{BASE}event/next"), &[], b"");
        }
        self.next_of(&self.identifier.clone())
    }

    pub(crate) fn next_of(&mut self, identifier: &str) -> io::Result<Answer> {
        let headers = [(IDENTIFIER, identifier)];
        self.connection.ask("GET", &format!("{BASE}event/next"), &headers, b"")
    }

    /// Says that it cannot go on: `init/error` or `exit/error`.
    pub(crate) fn report(&mut self, path: &str, error_type: &str) -> io::Result<Answer> {
        let headers = [
            (IDENTIFIER, self.identifier.as_str()),
            ("Lambda-Extension-Function-Error-Type", error_type),
        ];
        let body = br#"{"errorMessage":"mine","errorType":"Extension.Mine"}"#;
        self.connection.ask("POST", &format!("{BASE}{path}"), &headers, body)
    }

    /// Subscribes to telemetry or logs, by the path of that API.
    pub(crate) fn subscribe(&mut self, path: &str, wanted: &Value) -> io::Result<Answer> {
        let headers = [(IDENTIFIER, self.identifier.as_str())];
        self.connection.ask("PUT", path, &headers, wanted.to_string().as_bytes())
    }
}
