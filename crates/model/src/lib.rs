//! The rules of Lambda, as pure values and functions.
//!
//! A crate of its own because purity is enforced here: nothing waits, reads a clock, does I/O or
//! draws a random number. Time and chance are arguments. Every other crate may use it.

pub mod alias;
pub mod behaviour;
pub mod bucket;
pub mod capacity;
pub mod chance;
pub mod clock;
pub mod code_signing;
pub mod concurrency;
pub mod environment;
pub mod event_invoke;
pub mod event_source;
pub mod function;
pub mod image;
pub mod invocation;
pub mod layer;
pub mod limits;
pub mod metrics;
pub mod names;
pub mod object;
pub mod permission;
pub mod policy;
pub mod retry;
pub mod runtime;
pub mod telemetry;
pub mod url;
pub mod version;
