//! What has policies: roles, users and groups. Ties them to the managed policies.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_model::limits;
use dormouse_model::names::AccountId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::iam::entities::{Entities, Entity, all, select, update};
use crate::iam::{Group, Policy, Role, User};

/// The policies of an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// ARNs of the attached policies.
    pub attached: BTreeSet<String>,
    /// Documents of the inline policies by name.
    pub inline: BTreeMap<String, String>,
}

/// What has policies.
pub trait Identity: Entity {
    /// Its kind, for who looks at all of them.
    const HOLDER: HolderKind;
    /// Its unique id.
    fn id(&self) -> &str;
    /// Its policies.
    fn policies(&self) -> &Held;
    /// Its policies, to be changed.
    fn policies_mut(&mut self) -> &mut Held;
    /// The ARN of the policy that bounds it.
    fn boundary(&self) -> Option<&str> {
        None
    }
}

/// A kind of identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderKind {
    /// A role.
    Role,
    /// A user.
    User,
    /// A group.
    Group,
}

/// An identity, as a managed policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What it is.
    pub kind: HolderKind,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub id: String,
    /// Its path.
    pub path: String,
    /// ARNs of the policies that are attached to it.
    pub attached: BTreeSet<String>,
    /// The ARN of the policy that bounds it.
    pub boundary: Option<String>,
}

/// Why a policy was not attached.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AttachError {
    /// There is no such identity.
    #[error("no such identity")]
    NoIdentity,
    /// There is no such policy.
    #[error("no such policy")]
    NoPolicy,
    /// It has as many as it may have.
    #[error("identity has {} policies attached", limits::ATTACHED_POLICIES)]
    TooMany,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl<T: Identity> Entities<T> {
    /// Attaches a policy to an identity of its account. `own` names a policy of that account,
    /// which must be there; without it the policy is one of AWS's.
    ///
    /// # Errors
    /// When there is no such identity or policy, or it cannot be written.
    pub async fn attach(
        &self,
        account: &AccountId,
        name: &str,
        (arn, own): (String, Option<String>),
    ) -> Result<(), AttachError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let found = select(connection, &account, &name)?;
                let mut identity: T = found.ok_or(AttachError::NoIdentity)?;
                if let Some(name) = own {
                    let policy: Option<Policy> = select(connection, &account, &name)?;
                    policy.filter(|policy| policy.arn == arn).ok_or(AttachError::NoPolicy)?;
                }
                let attached = &mut identity.policies_mut().attached;
                attached.insert(arn);
                if attached.len() > limits::ATTACHED_POLICIES {
                    return Err(AttachError::TooMany);
                }
                update(connection, &identity, &name)?;
                Ok(())
            })
            .await
    }
}

impl Entities<Policy> {
    /// Everybody in an account who can have policies, in the order of kinds and names.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn holders(&self, account: &AccountId) -> Result<Vec<Holder>, StorageError> {
        let account = account.clone();
        self.database.read(move |connection| holders(connection, &account)).await
    }
}

pub(super) fn holders(
    connection: &Connection,
    account: &AccountId,
) -> Result<Vec<Holder>, StorageError> {
    let groups = all::<Group>(connection, account)?;
    let roles = all::<Role>(connection, account)?;
    let users = all::<User>(connection, account)?;
    let holders = groups.iter().map(holder).chain(roles.iter().map(holder));
    Ok(holders.chain(users.iter().map(holder)).collect())
}

fn holder<T: Identity>(identity: &T) -> Holder {
    let (_, name, path) = identity.key();
    Holder {
        kind: T::HOLDER,
        name: name.to_owned(),
        id: identity.id().to_owned(),
        path: path.to_owned(),
        attached: identity.policies().attached.clone(),
        boundary: identity.boundary().map(str::to_owned),
    }
}
