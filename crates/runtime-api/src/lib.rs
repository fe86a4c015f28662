//! What user code talks to: the Runtime API of one execution environment.
//!
//! A crate of its own because it is a trust boundary: every byte that comes in was written by user
//! code, so it is parsed here, bounded here, and leaves as a typed [`Call`].
//!
//! It serves HTTP/1.1 on connections it is handed and turns requests into calls to the environment's
//! owner, which answers through reply slots. It decides nothing about the lifecycle but which
//! request a runtime may make in which of its own states ([`RuntimeState`], a value the owner
//! keeps). It must never parse an event or a response, and never wait for a runtime without a bound.
//!
//! | channel | from | to | bound | when full |
//! | --- | --- | --- | --- | --- |
//! | `mpsc::Sender<Call>` | one [`serve()`] per connection | the owner | the owner's | the connection waits, before it reads a body: each has at most one call out |
//! | `oneshot` in a call | the owner | the connection | 1 | - |
//!
//! Where to start reading: [`serve()`], then `route`, then [`RuntimeState`].

mod call;
mod cause;
pub mod limits;
mod parked;
mod receive;
mod refusal;
mod report;
mod route;
mod serve;
mod state;

pub use call::{Call, Delivery, ErrorReport};
pub use parked::ParkedNext;
pub use refusal::{Mismatch, Refusal};
pub use serve::{ServeError, serve};
pub use state::{Progress, Request, RuntimeState};
