//! HTTP/1.1 by hand: requests are bytes, so that any may be wrong.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;

/// Names in lower case, and values.
type Headers = Vec<(String, String)>;

/// An answer of the platform.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Prints what came of a request: a line of log that a test reads.
pub fn tell(what: &str, answer: &io::Result<Answer>) {
    match answer {
        Ok(answer) => match answer.json()["errorType"].as_str() {
            Some(error_type) => println!("{what}: {} {error_type}", answer.status),
            None => println!("{what}: {}", answer.status),
        },
        Err(_) => println!("{what}: no answer"),
    }
}

/// A connection to the APIs of the environment.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to `AWS_LAMBDA_RUNTIME_API`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open() -> io::Result<Self> {
        let address = env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// A connection that somebody else opened.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes, whatever they are.
    ///
    /// # Errors
    /// When the other side has gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more comes; answers can still be read.
    ///
    /// # Errors
    /// When the other side has gone.
    pub fn end(&mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write)
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// When the connection ends, or what comes is no HTTP.
    pub fn receive(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(first))?;
        let (headers, body) = self.rest()?;
        Ok(Answer { status, headers, body })
    }

    /// Reads one request of somebody else's and returns its body. `None` at the end.
    ///
    /// # Errors
    /// When the connection ends within it.
    pub fn receive_request(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.stream.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.line()?;
        Ok(Some(self.rest()?.1))
    }

    /// Reads one line, without its end. Empty at the end of the stream, too.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// A whole request and its answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.send(&request(method, path, headers, body))?;
        self.receive()
    }

    fn rest(&mut self) -> io::Result<(Headers, Vec<u8>)> {
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((headers, body))
    }
}

/// The bytes of a request with a `Content-Length`.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = head(method, path, headers);
    bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend(body);
    bytes
}

/// The bytes of a request as far as its last header, so that others can follow.
#[must_use]
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: runtime\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}
