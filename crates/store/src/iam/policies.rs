//! Managed policies with their versions.

use std::collections::BTreeMap;

use dormouse_model::names::AccountId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::iam::entities::{Entity, Tied};
use crate::iam::identities::holders;

/// A managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: String,
    /// `/`, or what groups it.
    pub path: String,
    /// Its ARN, path included.
    pub arn: String,
    /// `ANPA` and 16 upper-case letters or digits.
    pub policy_id: String,
    /// Free text.
    pub description: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When its versions were last changed.
    pub updated_ms: u64,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// Versions by their numbers; there is always the default one.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The number of the version that counts.
    pub default_version: u32,
    /// The number of the next version: none is given twice.
    pub next_version: u32,
}

/// A version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// What it says.
    pub document: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Entity for Policy {
    const KIND: &'static str = "policy";
    fn key(&self) -> (&AccountId, &str, &str) {
        (&self.account, &self.name, &self.path)
    }
}

impl Tied for Policy {
    /// Who has it attached, or is bounded by it.
    fn ties(&self, connection: &Connection) -> Result<usize, StorageError> {
        let holders = holders(connection, &self.account)?;
        let has = |arn: &str| arn == self.arn;
        Ok(holders
            .iter()
            .filter(|it| it.attached.contains(&self.arn) || it.boundary.as_deref().is_some_and(has))
            .count())
    }
}
