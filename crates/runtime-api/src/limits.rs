//! The limits of this boundary alone, each with its unit, its reason and what happens past it.
//! Those it shares with the rest of the system are in `dormouse_model::limits`.

use std::ops::RangeInclusive;

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

/// Calls of `next`, or of `restore/next`, that may be parked in one environment at once (ours). One is usual; a runtime that
/// polls with several threads has a few. Past it further ones are refused.
pub const PARKED_NEXT: usize = 16;

/// Connections one environment may have open at once (ours): a runtime keeps one or two, each of ten
/// extensions the same. The acceptor counts them; past it new connections are closed.
pub const CONNECTIONS: usize = 128;

/// Extensions of one environment, external and internal together (developer guide). Past it a
/// registration is refused.
pub const EXTENSIONS: usize = 10;

/// Bytes of an extension's name (ours): a file name has at most as many. Past it the registration is
/// refused.
pub const EXTENSION_NAME_BYTES: usize = 255;

/// Bytes of a request body of the Extensions, Telemetry and Logs API (ours): a few hundred are usual,
/// an error may bring a long stack trace. Past it: 413.
pub const EXTENSION_BODY_BYTES: usize = 262_144;

/// Milliseconds for which credentials are handed out (RIE: 16 minutes). SDKs ask again before that.
pub const CREDENTIALS_MS: u64 = 16 * 60_000;

/// Bytes of a streamed response (quota page: 200 MB). Past it the stream ends as too large.
pub const STREAM_BYTES: u64 = 200 * 1_048_576;

/// Pieces of a streamed response that wait for the owner (ours); each is at most as long as the
/// connection's read buffer, `HEADER_BYTES`. Past it the runtime's writes wait.
pub const STREAM_PIECES: usize = 4;

/// Bytes a telemetry subscriber may have buffered (developer guide). Outside it: `ValidationError`.
pub const TELEMETRY_BYTES: RangeInclusive<u32> = 262_144..=1_048_576;
/// Bytes unless told otherwise.
pub const TELEMETRY_DEFAULT_BYTES: u32 = 262_144;

/// Events a telemetry subscriber may have buffered (developer guide). Outside it: `ValidationError`.
pub const TELEMETRY_ITEMS: RangeInclusive<u32> = 1_000..=10_000;
/// Events unless told otherwise.
pub const TELEMETRY_DEFAULT_ITEMS: u32 = 10_000;

/// Milliseconds telemetry may be buffered (developer guide). Outside it: `ValidationError`.
pub const TELEMETRY_MS: RangeInclusive<u32> = 25..=30_000;
/// Milliseconds unless told otherwise.
pub const TELEMETRY_DEFAULT_MS: u32 = 1_000;

/// Ports of an environment that are the platform's own (developer guide: 9001; 9000 was). Telemetry
/// is not delivered to them.
pub const PLATFORM_PORTS: [u16; 2] = [9_000, 9_001];
