//! Capacity providers: where the instances of functions on managed instances would run.
//!
//! Kept as they were described. Nothing is launched here, and no function can be given one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::{CapacityProviderName, Scope};

/// A capacity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapacityProvider {
    /// Which.
    pub name: CapacityProviderName,
    /// Whose and where.
    pub scope: Scope,
    /// What was said of it, by AWS's names.
    pub members: Map<String, Value>,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

impl CapacityProvider {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        arn(&self.scope, &self.name)
    }
}

/// The ARN of a capacity provider.
#[must_use]
pub fn arn(scope: &Scope, name: &CapacityProviderName) -> String {
    scope.arn("lambda", format_args!("capacity-provider:{name}"))
}

/// What a provider does, or is about to do. One without functions has nothing to launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was just made.
    Pending,
    /// It can be used.
    Active,
    /// It is about to be gone.
    Deleting,
}

impl State {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
            Self::Deleting => "Deleting",
        }
    }
}
