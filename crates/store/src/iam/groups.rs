//! Groups of users. Who is in a group is written in the users.

use dormouse_model::names::AccountId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::iam::entities::{Entities, Entity, Tied, all, select, update};
use crate::iam::{Held, HolderKind, Identity, User};

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: String,
    /// `/`, or what groups it.
    pub path: String,
    /// Its ARN, path included.
    pub arn: String,
    /// `AGPA` and 16 upper-case letters or digits.
    pub group_id: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its policies.
    #[serde(flatten)]
    pub policies: Held,
}

/// Why a user was neither put into a group nor taken out of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JoinError {
    /// There is no such group.
    #[error("no such group")]
    NoGroup,
    /// There is no such user, or, of one to be taken out, it is not in the group.
    #[error("no such user")]
    NoUser,
    /// The user is in as many groups as it may be.
    #[error("user is in {limit} groups")]
    TooMany {
        /// How many that are.
        limit: usize,
    },
    /// It could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Entities<Group> {
    /// Puts a user into a group, or takes it out.
    ///
    /// # Errors
    /// When there is no such group or user, the user has too many, or it cannot be written.
    pub async fn join(
        &self,
        account: &AccountId,
        (group, user): (String, String),
        limit: usize,
    ) -> Result<(), JoinError> {
        let account = account.clone();
        self.database
            .write(move |connection| {
                let (group, mut user) = both(connection, &account, (&group, &user))?;
                user.groups.insert(group.group_id);
                if user.groups.len() > limit {
                    return Err(JoinError::TooMany { limit });
                }
                update(connection, &user, &user.name)?;
                Ok(())
            })
            .await
    }

    /// Takes a user out of a group.
    ///
    /// # Errors
    /// When there is no such group or user, the user is not in it, or it cannot be written.
    pub async fn leave(
        &self,
        account: &AccountId,
        (group, user): (String, String),
    ) -> Result<(), JoinError> {
        let account = account.clone();
        self.database
            .write(move |connection| {
                let (group, mut user) = both(connection, &account, (&group, &user))?;
                if !user.groups.remove(&group.group_id) {
                    return Err(JoinError::NoUser);
                }
                update(connection, &user, &user.name)?;
                Ok(())
            })
            .await
    }
}

fn both(
    connection: &Connection,
    account: &AccountId,
    (group, user): (&str, &str),
) -> Result<(Group, User), JoinError> {
    let group = select(connection, account, group)?.ok_or(JoinError::NoGroup)?;
    let user = select(connection, account, user)?.ok_or(JoinError::NoUser)?;
    Ok((group, user))
}

impl Entity for Group {
    const KIND: &'static str = "group";
    fn key(&self) -> (&AccountId, &str, &str) {
        (&self.account, &self.name, &self.path)
    }
}

impl Tied for Group {
    /// The users in it.
    fn ties(&self, connection: &Connection) -> Result<usize, StorageError> {
        let users: Vec<User> = all(connection, &self.account)?;
        Ok(users.iter().filter(|user| user.groups.contains(&self.group_id)).count())
    }
}

impl Identity for Group {
    const HOLDER: HolderKind = HolderKind::Group;
    fn id(&self) -> &str {
        &self.group_id
    }
    fn policies(&self) -> &Held {
        &self.policies
    }
    fn policies_mut(&mut self) -> &mut Held {
        &mut self.policies
    }
}
