//! What this machine can and cannot give.

mod guarantee;

pub use guarantee::{Guarantee, UnknownGuarantee};
