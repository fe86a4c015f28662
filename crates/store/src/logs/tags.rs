//! One group: what it is, and the tags on it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::logs::read::{GROUP, group};
use crate::logs::write::of;
use crate::logs::{Group, GroupKey, Logs};
use crate::{ChangeError, StorageError};

impl Logs {
    /// One group.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn group(&self, key: &GroupKey) -> Result<Option<Group>, StorageError> {
        let key = key.clone();
        self.database.read(move |connection| select(connection, &key)).await
    }

    /// Changes the tags of a group. The inner error is `change`'s own, which leaves them as they
    /// were.
    ///
    /// # Errors
    /// When there is no such group, or it cannot be read or written.
    pub async fn change_tags<E: Send + 'static>(
        &self,
        key: &GroupKey,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<(), E>, ChangeError> {
        let key = key.clone();
        self.database
            .write(move |connection| {
                let mut tags = select(connection, &key)?.ok_or(ChangeError::Missing)?.tags;
                if let Err(objection) = change(&mut tags) {
                    return Ok(Err(objection));
                }
                let [account, region, name] = of(&key);
                connection
                    .prepare_cached(
                        "UPDATE log_groups SET tags = ?4
                         WHERE account = ?1 AND region = ?2 AND name = ?3",
                    )?
                    .execute(params![account, region, name, text(&tags)])?;
                Ok(Ok(()))
            })
            .await
    }
}

/// Tags as the database holds them.
pub(super) fn text(tags: &BTreeMap<String, String>) -> String {
    serde_json::to_string(tags).expect("a map of texts serialises")
}

fn select(connection: &Connection, key: &GroupKey) -> Result<Option<Group>, StorageError> {
    let sql =
        format!("SELECT {GROUP} FROM log_groups WHERE account = ?1 AND region = ?2 AND name = ?3");
    Ok(connection.prepare_cached(&sql)?.query_row(of(key), group).optional()?)
}
