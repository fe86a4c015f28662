//! PID 1 inside a sandbox: starts, kills and reaps processes on the host's word.
//!
//! A crate of its own because it is another trust domain: what runs here shares a kernel, or at
//! least a machine, with user code, and the host believes nothing it says beyond the wire format
//! of [`protocol`]. It knows no phases: what Init or Invoke is, is decided on the host.
//!
//! [`supervisor`] and [`process`] work inside any kind of machine; [`socket`] and [`run()`] are the
//! transport of a guest that shares the host's kernel, where file descriptors can be passed. A
//! guest in a virtual machine replaces those two and keeps the rest.
#![expect(
    unsafe_code,
    reason = "fork, signal masks and the seccomp call have no safe form; each block says why it holds"
)]

pub mod process;
pub mod protocol;
mod run;
pub mod socket;
pub mod supervisor;

pub use run::run;
