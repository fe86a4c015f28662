//! The load generator's client: one kept connection, one request at a time, nothing allocated
//! between them.

use std::fmt::Write as _;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use dormouse_bench::{Head, Inbox, header, status};
use serde_json::Value;

/// Longer than any invoke of a bench takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    stream: TcpStream,
    inbox: Inbox,
    /// The last answer: forgotten when the next request has been sent.
    answered: Option<Head>,
}

/// An answer, in the client's own buffer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Whether the function failed, which Lambda tells by a header beside status 200.
    pub(crate) function_error: bool,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// Whether an invoke went well.
    pub(crate) fn is_good(&self) -> bool {
        self.status == 200 && !self.function_error
    }
}

/// The bytes of an invoke.
pub(crate) fn invoke(address: SocketAddr, function: &str, payload: &[u8]) -> Vec<u8> {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    request(address, "POST", &path, payload)
}

fn request(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n");
    let _ =
        write!(head, "content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { address, stream, inbox: Inbox::default(), answered: None })
    }

    /// Sends bytes that were made by [`invoke`] and reads the answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).context("sending a request")?;
        if let Some(last) = self.answered.take() {
            self.inbox.consume(last);
        }
        let found = self.inbox.receive(&mut self.stream).context("reading an answer")?;
        self.answered = Some(found);
        let (head, body) = self.inbox.bytes()[..found.end].split_at(found.body);
        Ok(Answer {
            status: status(head).context("an answer without a status")?,
            function_error: header(head, "x-amz-function-error").is_some(),
            body,
        })
    }

    /// A request of the control plane: JSON both ways; any status but 2xx is an error.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let text = self.ask(method, path, &body)?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("answer to {method} {path}"))
    }

    /// What a path says that has no JSON.
    pub(crate) fn text(&mut self, path: &str) -> anyhow::Result<String> {
        self.ask("GET", path, "")
    }

    /// Connects anew, since minutes of load may lie between two requests and a server closes what is
    /// idle.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        *self = Self::connect(self.address)?;
        let bytes = request(self.address, method, path, body.as_bytes());
        let answer = self.exchange(&bytes).with_context(|| format!("{method} {path}"))?;
        let text = String::from_utf8_lossy(answer.body).into_owned();
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path} answered {}: {text}", answer.status);
        }
        Ok(text)
    }
}
