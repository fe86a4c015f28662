//! Who runs it: counting (permits), assignment (an owner task per function version).
//!
//! A crate of its own because it must not see the store: it is handed the resolved, immutable
//! version and everything it needs is inside.
//!
//! | Task | Owns | Gets | Gives |
//! |---|---|---|---|
//! | `router` | which versions have an owner, what functions claim of their account | routes asked for, versions retired, places claimed, drain | snapshots of all routes and counts, readable without waiting |
//! | `assignment` (one per version) | the environments of that version, the callers who wait | jobs, how many environments to keep ready; facts of its environments | leases to environments; how many are ready |
//! | `donor` (one per snapshot to be made) | an environment that nobody leases | the end of the server, or of who waits | how its Init went |
//!
//! What an owner decides is in its `book`, a plain value: `tests` lives through days of callers, crashes
//! and changes with such books, counts and simulated time.
//!
//! The warm path reads the snapshot and sends one message to the version's owner, which sends one
//! to the environment; the answer goes straight to the caller.

mod assignment;
mod book;
mod bucket;
mod counts;
mod donor;
mod passed_on;
mod pool;
mod provision;
mod refused;
mod router;
mod routes;
#[cfg(test)]
mod tests;

pub use counts::FunctionClaim;
pub use donor::NotDonated;
pub use dormouse_worker::capacity::Use as MemoryUse;
pub use dormouse_worker::lives::{Filter, Life, Lives, trace};
pub use dormouse_worker::metrics::{Meter, Seen};
pub use dormouse_worker::standby::{Kind as StandbyKind, Level as StandbyLevel};
pub use dormouse_worker::{AnswerStream, Answered, NoInterpreter, Part};
pub use refused::InvokeError;
pub use router::{Config, Placement};
