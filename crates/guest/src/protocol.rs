//! The messages between the host and the guest, and their encoding.
//!
//! One message is one datagram of at most [`MAX_MESSAGE_BYTES`]. Both sides treat what they read as
//! hostile: it decodes to a message or to an error, never to a panic. Descriptors that belong to a
//! message ([`ToGuest::Start`] brings the ends for output) travel beside it, not in it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message. Below 64 KiB, because some virtual sockets lose longer frames.
pub const MAX_MESSAGE_BYTES: usize = 60 * 1024;

/// The descriptor to which a process writes framed log records, if it has one (recorded: AWS's
/// managed runtimes are told this number in `_LAMBDA_TELEMETRY_LOG_FD`).
pub const RECORDS_DESCRIPTOR: i32 = 62;

/// The descriptor from which a process that was started ahead reads what it is for, if it has one:
/// where no program puts one by itself.
pub const BRIEFING_DESCRIPTOR: i32 = 61;

/// What the host asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuest {
    /// Start a process; answered by [`FromGuest::Started`] or [`FromGuest::StartFailed`]. Beside it
    /// come the ends to write to, output, errors and, if asked for, records; then, if asked for, the
    /// end from which to read a briefing.
    Start(Start),
    /// Send a signal to a process that was started; harmless if it is gone.
    Signal {
        /// Whom.
        id: u32,
        /// Which.
        signal: Signal,
    },
    /// Kill everything but the guest itself; answered by [`FromGuest::Empty`].
    KillAll,
    /// A process with this number will come from a snapshot, and is from then on like one that was
    /// started; answered by [`FromGuest::Started`].
    Adopt {
        /// The host's name for it.
        id: u32,
        /// Its number.
        pid: i32,
    },
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The host's name for it.
    pub id: u32,
    /// Tried in order: the first that is a file and may be executed is run.
    pub programs: Vec<String>,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment.
    pub variables: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
    /// Who it is and what it may use.
    pub identity: Identity,
    /// Whether it gets [`RECORDS_DESCRIPTOR`].
    pub records: bool,
    /// Whether it gets [`BRIEFING_DESCRIPTOR`].
    pub briefed: bool,
}

/// Who a process is and what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User inside the sandbox.
    pub uid: u32,
    /// Group inside the sandbox; there are no others.
    pub gid: u32,
    /// How many processes and threads its user may have.
    pub processes_max: u32,
    /// How many descriptors one process may have open.
    pub files_max: u32,
    /// The size to which a stack may grow.
    pub stack_bytes: u64,
}

/// The signals the host sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// What the guest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGuest {
    /// The guest listens. Its first message.
    Ready,
    /// The process runs its program.
    Started {
        /// Which.
        id: u32,
    },
    /// The process does not exist.
    StartFailed {
        /// Which.
        id: u32,
        /// Why.
        failure: StartFailure,
    },
    /// A started process ended.
    Exited {
        /// Which.
        id: u32,
        /// How.
        exit: Exit,
    },
    /// After [`ToGuest::KillAll`]: no process but the guest is left.
    Empty,
}

/// Why a process was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartFailure {
    /// None of the programs is a file that may be executed.
    NoProgram,
    /// The kernel refused with this number.
    Errno(i32),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

/// Why bytes are no message, or a message is no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("message is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// Not a message of this protocol.
    #[error("bytes are not a message")]
    Malformed,
}

/// Encodes a message.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = postcard::to_stdvec(message).map_err(|_| CodecError::Malformed)?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(CodecError::TooLong);
    }
    Ok(bytes)
}

/// Decodes one whole message; bytes after it are an error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(CodecError::TooLong);
    }
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(CodecError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Start {
        Start {
            id: 7,
            programs: vec!["/var/task/bootstrap".into(), "/opt/bootstrap".into()],
            args: vec!["one".into()],
            variables: vec![("LANG".into(), "en_US.UTF-8".into())],
            cwd: "/var/task".into(),
            identity: Identity {
                uid: 993,
                gid: 990,
                processes_max: 1024,
                files_max: 1024,
                stack_bytes: 8 << 20,
            },
            records: true,
            briefed: true,
        }
    }

    #[test]
    fn a_start_comes_back_as_it_was() {
        let message = ToGuest::Start(start());
        let bytes = encode(&message).unwrap();
        assert_eq!(decode::<ToGuest>(&bytes), Ok(message));
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_on_both_sides() {
        let mut long = start();
        long.args = vec!["x".repeat(MAX_MESSAGE_BYTES)];
        assert_eq!(encode(&ToGuest::Start(long)), Err(CodecError::TooLong));
        let bytes = vec![0; MAX_MESSAGE_BYTES + 1];
        assert_eq!(decode::<FromGuest>(&bytes), Err(CodecError::TooLong));
    }

    #[test]
    fn bytes_after_a_message_are_refused() {
        let mut bytes = encode(&FromGuest::Ready).unwrap();
        bytes.push(0);
        assert_eq!(decode::<FromGuest>(&bytes), Err(CodecError::Malformed));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = decode::<ToGuest>(&bytes);
            let _ = decode::<FromGuest>(&bytes);
        }

        #[test]
        fn a_damaged_message_never_panics(at in 0usize..64, value in any::<u8>(), cut in 0usize..80) {
            let mut bytes = encode(&ToGuest::Start(start())).unwrap();
            let index = at % bytes.len();
            bytes[index] = value;
            bytes.truncate(cut.min(bytes.len()));
            let _ = decode::<ToGuest>(&bytes);
        }

        #[test]
        fn exits_come_back_as_they_were(id in any::<u32>(), code in any::<i32>()) {
            for exit in [Exit::Code(code), Exit::Signal(code)] {
                let message = FromGuest::Exited { id, exit };
                prop_assert_eq!(decode::<FromGuest>(&encode(&message).unwrap()), Ok(message));
            }
        }
    }
}
