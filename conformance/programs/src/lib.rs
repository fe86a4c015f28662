//! What the test runtime and the test extension share: HTTP by hand, and the ways to end.
//!
//! The programs are the other side of the wire, so they use nothing of the product and no HTTP
//! library: to send what no library would send is what they are for. They run inside environments
//! and must never be needed by the product.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "these are user's programs: their time, environment and output are their own"
)]

pub mod ending;
pub mod http;
pub mod pause;
