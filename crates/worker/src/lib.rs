//! One host: its execution environments, the code they run and the lines they write.
//!
//! A crate of its own because it will be another binary: on a fleet, each host runs a worker. It
//! sees no metadata, only the resolved version it is told to run.
//!
//! | Task | Owns | Gets | Gives |
//! |---|---|---|---|
//! | [`environment`] (one each) | one sandbox, its lifecycle | jobs and stops by [`EnvironmentHandle`]; events of its sandbox; calls of its runtime | [`Fact`]s to whoever started it; lines to [`logs`]; transitions to [`lives`] |
//! | stream (one each, while a response is streamed) | the way of its pieces, no faster than the bandwidth | pieces from the runtime's connection | pieces to the caller, its end to the environment |
//! | [`artifacts`] | the directory of unpacked code | requests for a digest | the directory, one unpacking at a time per digest |
//! | `bytecode` | archives of compiled Python, on their shelf | packages that functions have | their archives, compiled one at a time |
//! | [`logs`] | the way of lines to the store | batches of lines | one append per batch |
//! | [`metrics`] | what invocations come to in each minute | facts about them; requests to write or show it | points to the store, totals to whoever asks |
//! | [`standby`] | the sandboxes that were made ahead | functions that are there; requests for one | a sandbox, once |
//! | `stillness` | nothing | environments that wait to be frozen | word that no environment has work |
//! | [`capacity`] (where the kernel tells of memory pressure) | the kernel's trigger | its news | idle environments their end |
//! | [`lives`] | what happened to each environment | transitions | a copy to whoever asks |
//!
//! Every channel is bounded by a constant of `model::limits`. Environments never wait on who
//! started them: their inbox is filled with `try_send`.

mod answer;
pub mod artifacts;
mod bytecode;
pub mod capacity;
pub mod environment;
mod interpreters;
pub mod lives;
pub mod logs;
pub mod metrics;
mod recipe;
mod shelf;
pub mod snapshots;
pub mod standby;
mod stillness;
mod variables;
mod watch;
mod worker;

pub use answer::{AnswerStream, Answered, Part, Refusal, Reply, Waiting};
pub use dormouse_sandbox::Connection;
pub use environment::{ColdReason, EnvironmentHandle, Fact, Job, Permit};
pub use interpreters::{Interpreters, NoInterpreter};
pub use standby::{Setting as StandbySetting, Standby};
pub use worker::{Config, CpuModel, Worker};
