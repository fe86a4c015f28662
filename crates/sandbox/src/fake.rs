//! The fake backend: processes are programs of the test, written in Rust.
