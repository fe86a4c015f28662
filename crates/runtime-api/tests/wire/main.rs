//! The APIs as bytes on a connection: what each request is answered, and what hostile ones do.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail by panicking, like the test")]

mod answers;
mod extensions;
mod hostile;
mod owner;
mod restores;
mod streams;
mod talk;
