//! Which roles have a managed policy attached: what ties the two kinds of records together.

use std::collections::BTreeMap;

use dormouse_model::names::AccountId;
use rusqlite::Connection;

use crate::iam::entities::{remove, select};
use crate::iam::{Policies, Policy};
use crate::roles::{self, Role};
use crate::{ChangeError, StorageError};

/// Why a policy was not attached.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AttachError {
    /// There is no such role.
    #[error("no such role")]
    NoRole,
    /// There is no such policy.
    #[error("no such policy")]
    NoPolicy,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Policies {
    /// Attaches a policy to a role of its account. `own` names a policy of that account, which
    /// must be there; without it the policy is one of AWS's.
    ///
    /// # Errors
    /// When there is no such role or policy, or it cannot be written.
    pub async fn attach(
        &self,
        account: &AccountId,
        role: &str,
        (arn, own): (String, Option<String>),
    ) -> Result<(), AttachError> {
        let (account, role) = (account.clone(), role.to_owned());
        self.database
            .write(move |connection| {
                let mut role =
                    roles::select(connection, &account, &role)?.ok_or(AttachError::NoRole)?;
                if let Some(name) = own {
                    let policy: Option<Policy> = select(connection, &account, &name)?;
                    policy.filter(|policy| policy.arn == arn).ok_or(AttachError::NoPolicy)?;
                }
                role.attached.insert(arn);
                roles::update(connection, &role)?;
                Ok(())
            })
            .await
    }

    /// How many roles of an account have each policy attached, by the policies' ARNs.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn attachments(
        &self,
        account: &AccountId,
    ) -> Result<BTreeMap<String, usize>, StorageError> {
        let account = account.clone();
        self.database.read(move |connection| count(connection, &account)).await
    }

    /// Removes a policy if `allowed` does not object to what it is and to how many roles have it.
    /// The inner error is the objection.
    ///
    /// # Errors
    /// When there is no such policy, or it cannot be read or removed.
    pub async fn delete_unattached<E: Send + 'static>(
        &self,
        account: &AccountId,
        name: &str,
        allowed: impl FnOnce(&Policy, usize) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<(), E>, ChangeError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let policy: Policy =
                    select(connection, &account, &name)?.ok_or(ChangeError::Missing)?;
                let attached = count(connection, &account)?.remove(&policy.arn).unwrap_or_default();
                if let Err(objection) = allowed(&policy, attached) {
                    return Ok(Err(objection));
                }
                remove::<Policy>(connection, &account, &name)?;
                Ok(Ok(()))
            })
            .await
    }
}

fn count(
    connection: &Connection,
    account: &AccountId,
) -> Result<BTreeMap<String, usize>, StorageError> {
    let mut statement =
        connection.prepare_cached("SELECT name, record FROM roles WHERE account = ?1")?;
    let mut counts = BTreeMap::new();
    for Role { attached, .. } in roles::roles(statement.query([account.as_str()])?)? {
        for arn in attached {
            *counts.entry(arn).or_default() += 1;
        }
    }
    Ok(counts)
}
