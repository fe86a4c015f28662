//! HTTP in: reads requests, resolves what they are about, answers.
//!
//! A crate of its own because it is the trust boundary towards clients, and will be another binary
//! where frontends and workers are on different machines.
//!
//! | Task | Owns | Gets | Gives |
//! |---|---|---|---|
//! | [`Server`] | the listener | connections, also those that functions dial | one task per connection |
//! | connection (one each) | one client | requests, one at a time | answers |
//! | uses of keys | when access keys were last used | uses, which may be dropped | rows of the store |
//! | deployments | what serves: the snapshot of all versions | functions to settle, functions removed | a snapshot readable without waiting |
//!
//! One port answers all services. A request is routed first, then its body is read under the limit
//! of what was asked, then the service's folder answers. Nothing here holds state of its own but the
//! snapshot; what is acknowledged is in the store.

mod body;
mod caller;
mod context;
mod dispatch;
mod iam;
mod lambda;
mod logs;
mod monitoring;
mod outbound;
mod outgoing;
mod own;
mod s3;
mod server;
mod sqs;
mod sts;

pub use context::{Config, Frontend};
pub use iam::Records as IamRecords;
pub use lambda::image::{Images, Registries, Registry};
pub use lambda::other_s3::OtherS3;
pub use server::{Listeners, Server};
