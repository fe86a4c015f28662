//! A subscriber of the Telemetry or Logs API: every event becomes a line of
//! `/tmp/telemetry-NAME.jsonl`, where the function can read it.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `TEST_EXTENSION_TELEMETRY` | `http`, `tcp`, `logs-http` or `logs-tcp` |
//! | `TEST_EXTENSION_TYPES` | which events, with commas (`platform,function,extension`) |
//! | `TEST_EXTENSION_SCHEMA` | the version of their schema (the first of the API, unless told otherwise) |

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::{env, thread};

use conformance_programs::http::{Connection, tell};
use serde_json::{Value, json};

use crate::extension::Extension;

/// Says that it subscribes, and how.
pub(crate) const VARIABLE: &str = "TEST_EXTENSION_TELEMETRY";

/// What to do with one connection, and where its events go.
type Receive = fn(TcpStream, File) -> io::Result<()>;

/// Listens, and asks for events.
pub(crate) fn subscribe(extension: &mut Extension, wanted: &str) -> io::Result<()> {
    let (api, protocol) = wanted.split_once('-').unwrap_or(("telemetry", wanted));
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    let (destination, receive): (_, Receive) = match protocol {
        "tcp" => (json!({"protocol": "TCP", "port": port}), lines),
        _ => {
            let uri = format!("http://sandbox.localdomain:{port}/events");
            (json!({"protocol": "HTTP", "URI": uri}), posts)
        }
    };
    let path = format!("/tmp/telemetry-{}.jsonl", extension.name());
    thread::spawn(move || listen(&listener, &path, receive));
    let (path, schema) = match api {
        "logs" => ("/2020-08-15/logs", "2020-08-15"),
        _ => ("/2022-07-01/telemetry", "2022-07-01"),
    };
    let schema = env::var("TEST_EXTENSION_SCHEMA").unwrap_or(schema.to_owned());
    let types =
        env::var("TEST_EXTENSION_TYPES").unwrap_or("platform,function,extension".to_owned());
    let subscription = json!({
        "schemaVersion": schema,
        "types": types.split(',').collect::<Vec<_>>(),
        // As little delay as may be.
        "buffering": {"maxItems": 1_000, "maxBytes": 262_144, "timeoutMs": 25},
        "destination": destination,
    });
    tell("subscription", &extension.subscribe(path, &subscription));
    Ok(())
}

fn listen(listener: &TcpListener, path: &str, receive: Receive) -> io::Result<()> {
    for stream in listener.incoming() {
        let (stream, path) = (stream?, path.to_owned());
        thread::spawn(move || {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            receive(stream, file)
        });
    }
    Ok(())
}

/// One event a line.
fn lines(stream: TcpStream, mut file: File) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        file.write_all(format!("{}\n", line?).as_bytes())?;
    }
    Ok(())
}

/// An array of events a request. What was received is in the file before it is confirmed.
fn posts(stream: TcpStream, mut file: File) -> io::Result<()> {
    let mut connection = Connection::over(stream);
    while let Some(body) = connection.receive_request()? {
        let events: Vec<Value> = serde_json::from_slice(&body)?;
        let text: String = events.iter().map(|event| format!("{event}\n")).collect();
        file.write_all(text.as_bytes())?;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}
