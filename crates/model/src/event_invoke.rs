//! How asynchronous invocations of a function are retried, and where their outcome goes.

use serde::{Deserialize, Serialize};

/// The configuration of a function, or of one of its versions or aliases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInvokeConfig {
    /// How often a failed invocation is tried again; twice unless said.
    pub retries: Option<u32>,
    /// How old an event may be, in seconds; six hours unless said.
    pub age_s: Option<u32>,
    /// Where records of successes go, as an ARN.
    pub on_success: Option<String>,
    /// Where records of failures go, as an ARN.
    pub on_failure: Option<String>,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: u64,
}
