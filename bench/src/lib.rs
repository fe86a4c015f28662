//! HTTP/1.1 as the bench's programs need it: where a message ends, and what one of its headers says.
//!
//! Shared by the load generator, the floor's server and the custom runtime, so that all three read
//! messages at the same cost. Messages have a Content-Length: nothing here reads chunks.

use std::io::{self, Read};

/// What a new buffer holds: the messages of a hello function many times over.
const BUFFER_BYTES: usize = 64 * 1024;

/// The head of a message whose end has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Where the body begins.
    pub body: usize,
    /// Where the message ends.
    pub end: usize,
}

/// The head of the message that these bytes begin with, once it is complete.
#[must_use]
pub fn head(bytes: &[u8]) -> Option<Head> {
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let length = header(&bytes[..body], "content-length")
        .and_then(|value| value.parse::<usize>().ok())
        .unwrap_or(0);
    Some(Head { body, end: body + length })
}

/// The value of a header, whatever the case of its name.
#[must_use]
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let value = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (key, value) = line.split_at_checked(name.len())?;
        (key.eq_ignore_ascii_case(name.as_bytes()) && value.first() == Some(&b':'))
            .then(|| &value[1..])
    })?;
    std::str::from_utf8(value).ok().map(str::trim)
}

/// The status of a response's head.
#[must_use]
pub fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

/// What has been read from a connection and not been used yet. It never shrinks, so that a loop of
/// requests allocates and clears nothing.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    filled: usize,
    head: Option<Head>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { bytes: vec![0; BUFFER_BYTES], filled: 0, head: None }
    }
}

impl Inbox {
    /// Reads once; tells how many bytes came, 0 at the end.
    ///
    /// # Errors
    /// What the connection says.
    pub fn read_once(&mut self, connection: &mut impl Read) -> io::Result<usize> {
        if self.filled == self.bytes.len() {
            self.bytes.resize(self.filled * 2, 0);
        }
        let count = connection.read(&mut self.bytes[self.filled..])?;
        self.filled += count;
        Ok(count)
    }

    /// The first message, once it is complete.
    pub fn message(&mut self) -> Option<Head> {
        self.head = self.head.or_else(|| head(&self.bytes[..self.filled]));
        self.head.filter(|head| self.filled >= head.end)
    }

    /// Reads until there is a message.
    ///
    /// # Errors
    /// What the connection says, or that it ended before.
    pub fn receive(&mut self, connection: &mut impl Read) -> io::Result<Head> {
        loop {
            if let Some(head) = self.message() {
                return Ok(head);
            }
            if self.read_once(connection)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// What has been read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Forgets a message.
    pub fn consume(&mut self, head: Head) {
        self.bytes.copy_within(head.end..self.filled, 0);
        self.filled -= head.end;
        self.head = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_length_says() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest";
        let found = head(bytes).unwrap();
        assert_eq!(&bytes[found.body..found.end], b"{}");
        assert_eq!(status(bytes), Some(200));
        assert_eq!(header(bytes, "CONTENT-LENGTH"), Some("2"));
        assert_eq!(header(bytes, "content"), None);
    }

    #[test]
    fn messages_come_out_one_by_one_however_they_were_read() {
        let mut wire: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nahalf";
        let mut inbox = Inbox::default();
        let first = inbox.receive(&mut wire).unwrap();
        assert_eq!(&inbox.bytes()[first.body..first.end], b"a");
        inbox.consume(first);
        assert_eq!(inbox.bytes(), b"half");
        assert!(inbox.receive(&mut wire).is_err());
    }

    #[test]
    fn half_a_head_is_none() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-Len"), None);
    }
}
