//! S3: requests by host, path and query string, and the answers, in XML and headers.
//!
//! [`call`] says what is asked; `put` and `get` read what comes with bytes and which of them are
//! wanted; `chunked` takes apart how SDKs frame a body; `list`, `bucket`, `object` and `upload` hold the
//! documents. Nothing here has seen a byte of an object that it keeps.

pub mod bucket;
mod call;
pub mod checksum;
pub mod chunked;
mod crc;
mod document;
pub mod get;
mod header;
mod host;
pub mod list;
pub mod object;
mod operation;
pub mod put;
pub mod refusal;
mod setting;
pub mod tagging;
pub mod upload;

pub(crate) use call::is_host_of_s3;
pub use call::{Call, Target, bucket_of_path, call};
pub use header::{amz_seconds, http_date};
pub use operation::Operation;
pub use setting::{NAMESPACE, Setting};

/// The canonical id of whoever owns things: each account is a world of its own, so one is enough.
pub const OWNER_ID: &str = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a";
