//! IAM besides roles: managed policies and users, of an account, whatever the region.
//!
//! Both are records with a name and a path. Knows nothing of what policies allow.

mod attachments;
mod entities;

pub use attachments::AttachError;
pub use entities::{CreateError, Entities, Entity};

use std::collections::BTreeMap;

use dormouse_model::names::AccountId;
use serde::{Deserialize, Serialize};

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE iam_entities (
        kind TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        folded_name TEXT NOT NULL,
        path TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (kind, account, name)
    );
    CREATE UNIQUE INDEX iam_entities_folded_name ON iam_entities (kind, account, folded_name);
";

/// Managed policies.
pub type Policies = Entities<Policy>;
/// Users.
pub type Users = Entities<User>;

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

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: String,
    /// `/`, or what groups it.
    pub path: String,
    /// Its ARN, path included.
    pub arn: String,
    /// `AIDA` and 16 upper-case letters or digits.
    pub user_id: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The ARN of the policy that bounds it.
    pub permissions_boundary: Option<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// Access keys by their ids.
    pub access_keys: BTreeMap<String, AccessKey>,
}

/// An access key of a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// What signs.
    pub secret: String,
    /// Whether it may be used.
    pub active: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets never reach a log.
        f.debug_struct("AccessKey").field("active", &self.active).finish_non_exhaustive()
    }
}

impl Entity for Policy {
    const KIND: &'static str = "policy";
    fn key(&self) -> (&AccountId, &str, &str) {
        (&self.account, &self.name, &self.path)
    }
}

impl Entity for User {
    const KIND: &'static str = "user";
    fn key(&self) -> (&AccountId, &str, &str) {
        (&self.account, &self.name, &self.path)
    }
}
