//! Code signing configurations: whose signatures code must bear, and what becomes of other code.
//!
//! No signature is ever verified here, so that no code counts as signed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{CodeSigningConfigId, Scope};

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSigningConfig {
    /// Which.
    pub id: CodeSigningConfigId,
    /// Whose and where.
    pub scope: Scope,
    /// Free text.
    pub description: Option<String>,
    /// The versions of signing profiles whose signatures count, as ARNs.
    pub publishers: Vec<String>,
    /// What becomes of code without such a signature.
    pub untrusted: Untrusted,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// What becomes of code without a signature that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Untrusted {
    /// It is deployed.
    #[default]
    Warn,
    /// It is refused.
    Enforce,
}

impl CodeSigningConfig {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        arn(&self.scope, &self.id)
    }

    /// Whether unsigned code is deployed.
    #[must_use]
    pub fn lets_unsigned_pass(&self) -> bool {
        self.untrusted == Untrusted::Warn
    }
}

/// The ARN of a configuration.
#[must_use]
pub fn arn(scope: &Scope, id: &CodeSigningConfigId) -> String {
    scope.arn("lambda", format_args!("code-signing-config:{id}"))
}
