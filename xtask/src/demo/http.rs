//! A client of HTTP/1.1, as small as the demo needs it: one request per connection, read to the end.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// Longer than any function of the demo may run.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Talks to one address.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
}

/// An answer, read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)
            .with_context(|| format!("connecting to {}", self.address))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: application/json\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| format!("{method} {path}"))?;
        Answer::parse(&answer).with_context(|| format!("answer to {method} {path}"))
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.context("no end of its head")?;
        let head = std::str::from_utf8(&bytes[..end]).context("head")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok()).context("no status")?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body)?;
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().context("content-length")?;
            if status != 304 && answer.body.len() != length {
                bail!("{} bytes of {length}", answer.body.len());
            }
        }
        Ok(answer)
    }

    /// A header by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    /// The answer, if its status is the one expected.
    pub(super) fn expect(self, status: u16) -> anyhow::Result<Self> {
        if self.status != status {
            bail!("status {} instead of {status}: {}", self.status, self.text().trim());
        }
        Ok(self)
    }
}

fn unchunked(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n");
        let end = end.context("a chunk without a size")?;
        let size = std::str::from_utf8(&rest[..end])?;
        let size = size.split(';').next().unwrap_or(size).trim();
        let size = usize::from_str_radix(size, 16).context("size of a chunk")?;
        if size == 0 {
            return Ok(body);
        }
        rest = &rest[end + 2..];
        let chunk = rest.get(..size).context("a chunk was cut off")?;
        body.extend_from_slice(chunk);
        rest = rest.get(size + 2..).context("a chunk was cut off")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expected: &str) {
        let got = match Answer::parse(answer.as_bytes()) {
            Ok(answer) => format!("{} {}", answer.status, answer.text()),
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn bodies_with_a_length_in_chunks_or_to_the_end_are_read() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 hi");
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n yo\r\n0\r\n\r\n",
            "200 hi yo",
        );
        check("HTTP/1.1 204 No Content\r\n\r\n", "204 ");
    }

    #[test]
    fn an_answer_that_was_cut_off_is_an_error() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "2 bytes of 3");
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi",
            "a chunk was cut off",
        );
        check("HTTP/1.1 200", "no end of its head");
    }
}
