//! Instance profiles: how a role is handed to a machine. At most one role is in one.

use std::collections::BTreeMap;

use dormouse_model::names::AccountId;
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::iam::Role;
use crate::iam::entities::{Entities, Entity, Tied, select, update};

/// An instance profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: String,
    /// `/`, or what groups it.
    pub path: String,
    /// Its ARN, path included.
    pub arn: String,
    /// `AIPA` and 16 upper-case letters or digits.
    pub profile_id: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The name of the role that is in it; roles keep their names.
    pub role: Option<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// Why a role was not put into a profile.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RoleError {
    /// There is no such profile.
    #[error("no such instance profile")]
    NoProfile,
    /// There is no such role.
    #[error("no such role")]
    NoRole,
    /// There is a role in it.
    #[error("instance profile has a role")]
    Full,
    /// It could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Entities<InstanceProfile> {
    /// Puts a role into a profile.
    ///
    /// # Errors
    /// When there is no such profile or role, there is a role in it, or it cannot be written.
    pub async fn add_role(
        &self,
        account: &AccountId,
        (profile, role): (String, String),
    ) -> Result<(), RoleError> {
        let account = account.clone();
        self.database
            .write(move |connection| {
                let profile = select(connection, &account, &profile)?;
                let mut profile: InstanceProfile = profile.ok_or(RoleError::NoProfile)?;
                let role: Option<Role> = select(connection, &account, &role)?;
                let role = role.ok_or(RoleError::NoRole)?;
                if profile.role.is_some() {
                    return Err(RoleError::Full);
                }
                profile.role = Some(role.name);
                update(connection, &profile, &profile.name)?;
                Ok(())
            })
            .await
    }
}

impl Entity for InstanceProfile {
    const KIND: &'static str = "instance-profile";
    fn key(&self) -> (&AccountId, &str, &str) {
        (&self.account, &self.name, &self.path)
    }
}

impl Tied for InstanceProfile {}
