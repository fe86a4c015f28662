//! IAM users.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_model::names::AccountId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::iam::entities::{Entity, Tied};
use crate::iam::{Held, HolderKind, Identity, access_keys};

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
    /// The ids of the groups it is in: a group keeps its id when it gets another name.
    pub groups: BTreeSet<String>,
    /// Its policies.
    #[serde(flatten)]
    pub policies: Held,
}

impl Entity for User {
    const KIND: &'static str = "user";
    fn key(&self) -> (&AccountId, &str, &str) {
        (&self.account, &self.name, &self.path)
    }
}

impl Tied for User {
    /// Its access keys.
    fn ties(&self, connection: &Connection) -> Result<usize, StorageError> {
        Ok(access_keys::of_user(connection, &self.account, &self.name)?.len())
    }

    fn renamed(&self, connection: &Connection, before: &str) -> Result<(), StorageError> {
        access_keys::rename_user(connection, &self.account, (before, &self.name))
    }
}

impl Identity for User {
    const HOLDER: HolderKind = HolderKind::User;
    fn id(&self) -> &str {
        &self.user_id
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
