//! Who may: the credentials a request names, links that prove themselves, and how our own requests do.
//!
//! A crate of its own because it is another domain of trust: all of it is pure but for a time that
//! is handed in, so that what decides over access can be tested without a server. It keeps no
//! state and must never put a key or a signature into a log or an error.

mod access_key;
mod credential;
mod link;
mod session;
mod signature;

pub use access_key::{account_of, lasting_access_key, temporary_access_key};
pub use credential::{AuthError, AuthErrorKind, Credential, scope};
pub use link::{LinkError, Signer};
pub use session::Session;
pub use signature::{SigningKey, UnsignedGet};
