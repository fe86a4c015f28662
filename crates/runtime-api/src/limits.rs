//! The limits of this boundary alone, each with its unit, its reason and what happens past it.
//! Those it shares with the rest of the system are in `dormouse_model::limits`.

/// Milliseconds a whole request body may take to arrive (ours). A full response crosses the loopback
/// in milliseconds; a minute is slack for a function throttled to a few percent of a core. Past it
/// the body counts as truncated.
pub const BODY_MS: u64 = 60_000;

/// Bytes of an oversized body that are read and thrown away (ours), so that a client which writes
/// everything before it reads still sees its 413. Past it the connection is closed under the client.
pub const DISCARD_BYTES: u64 = 64 * 1_048_576;

/// Bytes of an error type that are kept (ours): it ends up in a log line. Past it the type is unknown.
pub const ERROR_TYPE_BYTES: usize = 256;

/// Bytes of an X-Ray error cause (X-Ray: a document has at most 64 kB). Past it the cause is cropped.
pub const XRAY_CAUSE_BYTES: usize = 65_536;

/// Calls of `next` that may be parked in one environment at once (ours). One is usual; a runtime that
/// polls with several threads has a few. Past it further ones are refused.
pub const PARKED_NEXT: usize = 16;

/// Connections one environment may have open at once (ours): a runtime keeps one or two, each of ten
/// extensions the same. The acceptor counts them; past it new connections are closed.
pub const CONNECTIONS: usize = 128;
