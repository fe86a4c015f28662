//! IAM roles.

use std::collections::BTreeMap;

use dormouse_model::names::AccountId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::iam::entities::{Entity, Tied, all};
use crate::iam::{Held, HolderKind, Identity, InstanceProfile};

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: String,
    /// `/`, or what groups it.
    pub path: String,
    /// Its ARN, path included.
    pub arn: String,
    /// `AROA` and 16 upper-case letters or digits: told apart from an earlier role of its name.
    pub role_id: String,
    /// Who may assume it: a policy document.
    pub assume_role_policy: String,
    /// Free text.
    pub description: Option<String>,
    /// Seconds one of its sessions may last.
    pub max_session_duration_s: u32,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The ARN of the policy that bounds it.
    pub permissions_boundary: Option<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// Its policies.
    #[serde(flatten)]
    pub policies: Held,
}

impl Entity for Role {
    const KIND: &'static str = "role";
    fn key(&self) -> (&AccountId, &str, &str) {
        (&self.account, &self.name, &self.path)
    }
}

impl Tied for Role {
    /// The instance profiles it is in.
    fn ties(&self, connection: &Connection) -> Result<usize, StorageError> {
        let profiles: Vec<InstanceProfile> = all(connection, &self.account)?;
        Ok(profiles.iter().filter(|profile| profile.role.as_ref() == Some(&self.name)).count())
    }
}

impl Identity for Role {
    const HOLDER: HolderKind = HolderKind::Role;
    fn id(&self) -> &str {
        &self.role_id
    }
    fn policies(&self) -> &Held {
        &self.policies
    }
    fn policies_mut(&mut self) -> &mut Held {
        &mut self.policies
    }
    fn boundary(&self) -> Option<&str> {
        self.permissions_boundary.as_deref()
    }
}
