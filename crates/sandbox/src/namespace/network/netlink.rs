//! Just enough netlink: messages out, acknowledgements and lists in.
//!
//! Owns no state. Answers come from the kernel, so they are trusted, but parsed so that a wrong
//! length can only end a list early.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The kernel answers at once; this only bounds the wait for what cannot happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than one answer of a list, which is at most 32 KiB.
const BUFFER_BYTES: usize = 64 * 1024;
/// More routes than the whole internet has.
const LISTED_MAX: usize = 2_000_000;
/// `struct nlmsghdr`: length, kind, flags, sequence, port.
const HEADER_BYTES: usize = 16;

// linux/netlink.h
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Make it; fail if it is there.
pub(super) const CREATE: u16 = 0x400 | 0x200;

/// A request in the making.
#[derive(Debug, Clone)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// `flags` besides the request flag; `fixed` is the kind's own header.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Self { bytes }
    }

    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |message| message.bytes.extend(value));
    }

    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.nest(kind, |message| {
            message.bytes.extend(value.as_bytes());
            message.bytes.push(0);
        });
    }

    /// An attribute made of attributes, perhaps behind a header of its own.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend(0_u16.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).expect("our attributes are short");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(super) fn finish(mut self, flags: u16, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("our messages are short");
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flags;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// One thing of a list: the kind's header and attributes.
#[derive(Debug)]
pub(super) struct Listed {
    body: Vec<u8>,
    fixed_bytes: usize,
}

impl Listed {
    /// The header's byte at this place.
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or(0)
    }

    pub(super) fn attribute(&self, kind: u16) -> Option<&[u8]> {
        let mut rest = self.body.get(self.fixed_bytes..)?;
        loop {
            let (length, found) = (short(rest)?, short(rest.get(2..)?)?);
            let length = usize::from(length);
            let value = rest.get(4..length)?;
            if found & NLA_TYPE_MASK == kind {
                return Some(value);
            }
            rest = rest.get(length.next_multiple_of(4)..)?;
        }
    }
}

fn short(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?))
}

/// The four-byte number at the start, or 0.
pub(super) fn number(bytes: &[u8]) -> u32 {
    bytes.get(..4).and_then(|it| it.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// A connection with the kernel, in the namespace that the opening thread was in.
#[derive(Debug)]
pub(super) struct Socket {
    socket: OwnedFd,
}

impl Socket {
    pub(super) fn route() -> io::Result<Self> {
        // Protocol 0 of this family: routing.
        Self::open(None)
    }

    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        let receiving = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&socket, receiving, Some(PATIENCE))?;
        Ok(Self { socket })
    }

    /// Has all done in one go, in order; the first refusal is the error.
    pub(super) fn request(&self, messages: Vec<Message>) -> io::Result<()> {
        let mut open = messages.len();
        let mut bytes = Vec::new();
        for (message, sequence) in messages.into_iter().zip(1..) {
            bytes.extend(message.finish(NLM_F_ACK, sequence));
        }
        rustix::net::send(&self.socket, &bytes, SendFlags::empty())?;
        let mut result = Ok(());
        let mut buffer = vec![0; BUFFER_BYTES];
        while open > 0 {
            for (kind, body) in self.receive(&mut buffer)? {
                if kind == NLMSG_ERROR {
                    open = open.saturating_sub(1);
                    result = result.and(acknowledged(body));
                }
            }
        }
        result
    }

    /// Lists things whose own header is `fixed` long.
    pub(super) fn list(&self, kind: u16, fixed: &[u8]) -> io::Result<Vec<Listed>> {
        let question = Message::new(kind, NLM_F_DUMP, fixed).finish(0, 1);
        rustix::net::send(&self.socket, &question, SendFlags::empty())?;
        let mut all = Vec::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            for (kind, body) in self.receive(&mut buffer)? {
                match kind {
                    NLMSG_DONE => return Ok(all),
                    NLMSG_ERROR => acknowledged(body)?,
                    _ if all.len() == LISTED_MAX => return Err(io::ErrorKind::InvalidData.into()),
                    _ => all.push(Listed { body: body.to_vec(), fixed_bytes: fixed.len() }),
                }
            }
        }
    }

    fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Vec<(u16, &'a [u8])>> {
        // A wait with a deadline is not resumed by the kernel after a signal.
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty())
        });
        let (length, _) = received?;
        Ok(split(&buffer[..length]))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The messages in one datagram: kind and what follows the header.
fn split(mut rest: &[u8]) -> Vec<(u16, &[u8])> {
    let mut messages = Vec::new();
    while rest.len() >= HEADER_BYTES {
        let length = usize::try_from(number(rest)).unwrap_or(usize::MAX);
        let Some(body) = rest.get(HEADER_BYTES..length) else { break };
        messages.push((short(&rest[4..]).unwrap_or(0), body));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

fn acknowledged(body: &[u8]) -> io::Result<()> {
    match number(body).cast_signed() {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno.wrapping_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let mut message = Message::new(18, CREATE, &[7, 0, 0, 0]);
        message.text(3, "eth0");
        message.nest(5, |inner| inner.number(1, 42));
        message.number(6, 9);
        let bytes = message.finish(NLM_F_ACK, 1);
        assert_eq!(bytes.len() % 4, 0);
        let (kind, body) = split(&bytes)[0];
        let listed = Listed { body: body.to_vec(), fixed_bytes: 4 };
        assert_eq!((kind, listed.byte(0)), (18, 7));
        assert_eq!(listed.attribute(3), Some(&b"eth0\0"[..]));
        assert_eq!(listed.attribute(6).map(number), Some(9));
        assert_eq!(listed.attribute(5).map(|it| number(&it[4..])), Some(42));
        assert_eq!(listed.attribute(4), None);
    }

    #[test]
    fn cut_off_answers_end_the_list_and_nothing_else() {
        for bytes in [&[][..], &[0; 15], &[0; 16], &[255; 40], &[16, 0, 0, 0, 2, 0]] {
            assert!(split(bytes).is_empty());
        }
        let listed = Listed { body: vec![0, 0, 3, 0], fixed_bytes: 0 };
        assert_eq!(listed.attribute(3), None);
        assert!(
            acknowledged(&(-17_i32).to_ne_bytes())
                .is_err_and(|error| { error.kind() == io::ErrorKind::AlreadyExists })
        );
    }
}
