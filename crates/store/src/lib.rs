//! What must not be lost: records, packages, logs.
//!
//! A crate of its own because it is the one place that writes to disk what was acknowledged; what
//! needs it gets a handle for its part ([`packages::Packages`], and so on), never the whole store.

pub mod aliases;
pub mod code_signing;
pub mod concurrency;
mod database;
pub mod directories;
pub mod events;
pub mod functions;
pub mod iam;
pub mod image;
pub mod layers;
mod lock;
pub mod logs;
pub mod metrics;
pub mod objects;
pub mod package;
pub mod packages;
pub mod provisioned;
pub mod queue;
pub mod resources;
pub mod settings;
mod store;
pub mod versions;

pub use database::error::{ChangeError, StorageError};
pub use store::{OpenError, Store};
