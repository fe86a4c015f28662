//! What user code talks to: the Runtime, Extensions, Telemetry and Logs API of one execution
//! environment, and the endpoint of its credentials.
//!
//! A crate of its own because it is a trust boundary: every byte that comes in was written by user
//! code, so it is parsed here, bounded here, and leaves as a typed [`Call`].
//!
//! It serves HTTP/1.1 on connections it is handed and turns requests into calls to the environment's
//! owner, which answers through reply slots. It decides nothing about the lifecycle but which
//! request a runtime or an extension may make in which of its own states ([`RuntimeState`],
//! [`Registry`], values the owner keeps). It must never parse an event or a response, and never wait
//! for user code without a bound; a stream's is the owner's deadline.
//!
//! | channel | from | to | bound | when full |
//! | --- | --- | --- | --- | --- |
//! | `mpsc::Sender<Call>` | one [`serve()`] per connection | the owner | the owner's | the connection waits, before it reads a body: each has at most one call out |
//! | `oneshot` in a call | the owner | the connection | 1 | - |
//! | [`ResponseStream`] in a call | the connection | who takes the response | [`limits::STREAM_PIECES`] | the runtime's writes wait |
//!
//! Where to start reading: [`serve()`], then `route`, then [`RuntimeState`].

mod answer;
mod call;
mod cause;
mod credentials;
mod exchange;
mod extension;
mod extension_refusal;
mod extension_serve;
mod extension_state;
mod identifier;
pub mod limits;
mod parked;
mod receive;
mod refusal;
mod register;
mod registry;
mod report;
mod route;
mod serve;
mod state;
mod stream;
mod subscription;

pub use call::{Call, Delivery, ErrorReport};
pub use credentials::Credentials;
pub use extension::{Events, ExtensionEvent, Registration, ShutdownReason};
pub use extension_refusal::ExtensionRefusal;
pub use extension_state::{ExtensionProgress, ExtensionRequest, ExtensionState};
pub use identifier::{Identifier, NotAnIdentifier};
pub use parked::{ParkedEvent, ParkedNext, ParkedRestore};
pub use refusal::{Mismatch, Refusal};
pub use registry::{Extension, ExtensionKind, Registry};
pub use route::CREDENTIALS_PATH;
pub use serve::{ServeError, serve};
pub use state::{Progress, Request, RuntimeState};
pub use stream::{Collected, Piece, ResponseStream, StreamEnd, StreamError};
pub use subscription::{Buffering, Destination, Subscription};
