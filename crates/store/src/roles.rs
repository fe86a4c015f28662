//! IAM roles: of an account, whatever the region.
//!
//! Knows nothing of policies but their names: what they allow is read elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dormouse_model::names::AccountId;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};
use serde::{Deserialize, Serialize};

use crate::database::{Handle, after_prefix};
use crate::{ChangeError, StorageError};

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE roles (
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        folded_name TEXT NOT NULL,
        path TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (account, name)
    );
    CREATE UNIQUE INDEX roles_folded_name ON roles (account, folded_name);
";

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
    /// ARNs of the attached policies.
    pub attached: BTreeSet<String>,
    /// Documents of the inline policies by name.
    pub inline: BTreeMap<String, String>,
}

/// The roles of all accounts.
#[derive(Debug, Clone)]
pub struct Roles {
    database: Handle,
}

/// Why a role was not created.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateRoleError {
    /// There is one of that name, in upper or lower case.
    #[error("role exists")]
    Exists,
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Roles {
    pub(crate) fn new(database: Handle) -> Self {
        Self { database }
    }

    /// Adds a role.
    ///
    /// # Errors
    /// When there is one of that name but for upper and lower case, or it cannot be written.
    pub async fn create(&self, role: Role) -> Result<(), CreateRoleError> {
        self.database
            .write(move |connection| match insert(connection, &role)? {
                0 => Err(CreateRoleError::Exists),
                _ => Ok(()),
            })
            .await
    }

    /// One role.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, account: &AccountId, name: &str) -> Result<Option<Role>, StorageError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database.read(move |connection| select(connection, &account, &name)).await
    }

    /// Roles whose path begins so, in the order of their names, from the one that follows `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        account: &AccountId,
        path_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Role>, StorageError> {
        let (account, prefix) = (account.clone(), path_prefix.to_owned());
        let after = after.unwrap_or_default().to_owned();
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT name, record FROM roles
                     WHERE account = ?1 AND path >= ?2 AND path < ?3 AND name > ?4
                     ORDER BY name LIMIT ?5",
                )?;
                let end = after_prefix(&prefix);
                roles(statement.query(params![account.as_str(), prefix, end, after, limit])?)
            })
            .await
    }

    /// Replaces a role by what `change` makes of it; changes of one role happen one after the
    /// other. The inner error is `change`'s own, which leaves the role as it was.
    ///
    /// # Errors
    /// When there is no such role, or it cannot be read or written.
    pub async fn change<E: Send + 'static>(
        &self,
        account: &AccountId,
        name: &str,
        change: impl FnOnce(&Role) -> Result<Role, E> + Send + 'static,
    ) -> Result<Result<Role, E>, ChangeError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let current = select(connection, &account, &name)?.ok_or(ChangeError::Missing)?;
                let changed = change(&current);
                if let Ok(role) = &changed {
                    debug_assert_eq!((&role.account, &role.name), (&account, &name));
                    update(connection, role)?;
                }
                Ok(changed)
            })
            .await
    }

    /// Removes a role if `allowed` does not object to what it is just then (it must have no
    /// policies left), and returns it. The inner error is the objection.
    ///
    /// # Errors
    /// When there is no such role, or it cannot be read or removed.
    pub async fn delete<E: Send + 'static>(
        &self,
        account: &AccountId,
        name: &str,
        allowed: impl FnOnce(&Role) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<Role, E>, ChangeError> {
        let (account, name) = (account.clone(), name.to_owned());
        self.database
            .write(move |connection| {
                let role = select(connection, &account, &name)?.ok_or(ChangeError::Missing)?;
                if let Err(objection) = allowed(&role) {
                    return Ok(Err(objection));
                }
                connection
                    .prepare_cached("DELETE FROM roles WHERE account = ?1 AND name = ?2")?
                    .execute([account.as_str(), &name])?;
                Ok(Ok(role))
            })
            .await
    }
}

fn insert(connection: &Connection, role: &Role) -> Result<usize, StorageError> {
    let sql = "INSERT INTO roles (account, name, folded_name, path, record)
               VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let folded = role.name.to_lowercase();
    let of = (role.account.as_str(), &role.name, &folded, &role.path, record(role));
    Ok(connection.prepare_cached(sql)?.execute(of)?)
}

pub(crate) fn update(connection: &Connection, role: &Role) -> Result<usize, StorageError> {
    let sql = "UPDATE roles SET path = ?3, record = ?4 WHERE account = ?1 AND name = ?2";
    let of = (role.account.as_str(), &role.name, &role.path, record(role));
    Ok(connection.prepare_cached(sql)?.execute(of)?)
}

fn record(role: &Role) -> String {
    serde_json::to_string(role).expect("a role serialises: all keys of its maps are strings")
}

pub(crate) fn select(
    connection: &Connection,
    account: &AccountId,
    name: &str,
) -> Result<Option<Role>, StorageError> {
    connection
        .prepare_cached("SELECT name, record FROM roles WHERE account = ?1 AND name = ?2")?
        .query_row([account.as_str(), name], |row| Ok(role(row)))
        .optional()?
        .transpose()
}

pub(crate) fn roles(mut rows: Rows<'_>) -> Result<Vec<Role>, StorageError> {
    let mut roles = Vec::new();
    while let Some(row) = rows.next()? {
        roles.push(role(row)?);
    }
    Ok(roles)
}

/// Reads a row of name and record.
fn role(row: &Row<'_>) -> Result<Role, StorageError> {
    let record = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(record).map_err(|source| StorageError::Unreadable {
        kind: "role",
        name: row.get(0).unwrap_or_default(),
        source: Arc::new(source),
    })
}
