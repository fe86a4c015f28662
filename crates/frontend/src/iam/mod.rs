//! IAM: roles and managed policies. Stored and shown; what they allow is not evaluated yet.

mod changes;
mod policies;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::form::Form;
use dormouse_api::iam::{self, Answer, AttachedPolicy, Paging, Request};
use dormouse_api::service::Dialect;
use dormouse_model::names::{AccountId, RequestId, Scope};
use dormouse_store::roles::{CreateRoleError, Role};
use dormouse_store::{ChangeError, StorageError};
use http::Response;
use tracing::error;

use crate::context::Inner;

/// Answers an operation.
pub(crate) async fn answer(
    inner: &Inner,
    scope: &Scope,
    (dialect, operation): (Dialect, &str),
    form: &Form,
    id: &RequestId,
) -> Result<Response<Bytes>, ApiError> {
    let Some(request) = Request::read(operation, form)? else {
        return Err(ApiError::not_implemented(dialect, operation));
    };
    let service = Iam { inner, account: &scope.account, dialect };
    service.run(request).await.map(|answer| answer.answer(id))
}

/// One caller's view of IAM, which knows no regions.
struct Iam<'a> {
    inner: &'a Inner,
    account: &'a AccountId,
    dialect: Dialect,
}

impl Iam<'_> {
    async fn run(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::CreateRole { .. } => self.create(request).await,
            Request::GetRole { role } => Ok(Answer::GetRole(shown(&self.role(&role).await?))),
            Request::DeleteRole { role } => self.delete(&role).await,
            Request::ListRoles { path_prefix, paging } => self.list(&path_prefix, paging).await,
            Request::UpdateAssumeRolePolicy { role, document } => {
                self.change("UpdateAssumeRolePolicy", &role, |role| {
                    role.assume_role_policy = document;
                    Ok(())
                })
                .await
            }
            Request::AttachRolePolicy { role, policy_arn } => self.attach(role, policy_arn).await,
            Request::Policy(request) => self.policy(request).await,
            Request::Role(request) => self.update_role(request).await,
            Request::DetachRolePolicy { role, policy_arn } => {
                self.change("DetachRolePolicy", &role, move |role| {
                    let attached = role.attached.remove(&policy_arn);
                    attached.then_some(()).ok_or_else(|| iam::policy_not_attached(&policy_arn))
                })
                .await
            }
            Request::PutRolePolicy { role, policy, document } => {
                self.change("PutRolePolicy", &role, |role| {
                    role.inline.insert(policy, document);
                    Ok(())
                })
                .await
            }
            Request::DeleteRolePolicy { role, policy } => {
                self.change("DeleteRolePolicy", &role, move |role| {
                    let removed = role.inline.remove(&policy).is_some();
                    removed.then_some(()).ok_or_else(|| iam::no_such_role_policy(&policy))
                })
                .await
            }
            reading => self.read(reading).await,
        }
    }

    async fn read(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::GetRolePolicy { role, policy } => {
                let stored = self.role(&role).await?;
                let document = stored.inline.get(&policy).cloned();
                let document = document.ok_or_else(|| iam::no_such_role_policy(&policy))?;
                Ok(Answer::GetRolePolicy { role, policy, document })
            }
            Request::ListRolePolicies { role, paging } => {
                let stored = self.role(&role).await?;
                let (names, marker) = page(stored.inline.into_keys(), &paging);
                Ok(Answer::ListRolePolicies { names, marker })
            }
            Request::ListAttachedRolePolicies { role, paging } => {
                let stored = self.role(&role).await?;
                let (arns, marker) = page(stored.attached.into_iter(), &paging);
                let policies = arns.into_iter().map(|arn| AttachedPolicy { arn }).collect();
                Ok(Answer::ListAttachedRolePolicies { policies, marker })
            }
            Request::ListInstanceProfilesForRole { role, .. } => {
                self.role(&role).await?;
                Ok(Answer::ListInstanceProfilesForRole)
            }
            _ => Err(ApiError::internal(self.dialect)),
        }
    }

    async fn create(&self, request: Request) -> Result<Answer, ApiError> {
        let Request::CreateRole {
            role: name,
            path,
            assume_role_policy,
            description,
            max_session_duration_s,
            permissions_boundary,
            tags,
        } = request
        else {
            return Err(ApiError::internal(self.dialect));
        };
        let role = Role {
            account: self.account.clone(),
            arn: format!("arn:aws:iam::{}:role{path}{name}", self.account),
            role_id: unique_id("AROA", self.inner.chance.bits()),
            name,
            path,
            assume_role_policy,
            description,
            max_session_duration_s,
            created_ms: self.inner.clock.wall_ms(),
            permissions_boundary,
            tags,
            attached: BTreeSet::new(),
            inline: BTreeMap::new(),
        };
        match self.inner.roles.create(role.clone()).await {
            Ok(()) => Ok(Answer::CreateRole(shown(&role))),
            Err(CreateRoleError::Exists) => Err(iam::role_exists(&role.name)),
            Err(CreateRoleError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn delete(&self, name: &str) -> Result<Answer, ApiError> {
        let deleted = self.inner.roles.delete(self.account, name, |role| {
            if !role.attached.is_empty() {
                return Err(iam::detach_first());
            }
            if !role.inline.is_empty() {
                return Err(iam::delete_policies_first());
            }
            Ok(())
        });
        self.outcome(name, deleted.await).map(|_| Answer::Done { action: "DeleteRole" })
    }

    async fn list(&self, path_prefix: &str, paging: Paging) -> Result<Answer, ApiError> {
        let after = paging.marker.as_deref();
        let roles = self.inner.roles.list(self.account, path_prefix, after, paging.items + 1).await;
        let mut roles = roles.map_err(|fault| self.storage(&fault))?;
        let more = roles.len() > paging.items;
        roles.truncate(paging.items);
        let marker = roles.last().filter(|_| more).map(|role| role.name.clone());
        Ok(Answer::ListRoles { roles: roles.iter().map(shown).collect(), marker })
    }

    async fn change(
        &self,
        action: &'static str,
        name: &str,
        change: impl FnOnce(&mut Role) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let changed = self.inner.roles.change(self.account, name, move |role| {
            let mut role = role.clone();
            change(&mut role).map(|()| role)
        });
        self.outcome(name, changed.await).map(|_| Answer::Done { action })
    }

    async fn role(&self, name: &str) -> Result<Role, ApiError> {
        let role = self.inner.roles.get(self.account, name).await;
        role.map_err(|fault| self.storage(&fault))?.ok_or_else(|| iam::no_such_role(name))
    }

    fn outcome(
        &self,
        name: &str,
        outcome: Result<Result<Role, ApiError>, ChangeError>,
    ) -> Result<Role, ApiError> {
        match outcome {
            Ok(result) => result,
            Err(ChangeError::Missing) => Err(iam::no_such_role(name)),
            Err(ChangeError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    fn storage(&self, fault: &StorageError) -> ApiError {
        error!(error = %fault, "store");
        ApiError::internal(self.dialect)
    }
}

/// A page of names in order; the marker is the last name of the page before.
fn page(names: impl Iterator<Item = String>, paging: &Paging) -> (Vec<String>, Option<String>) {
    let after = |name: &String| paging.marker.as_ref().is_none_or(|marker| name > marker);
    let mut page: Vec<String> = names.filter(after).take(paging.items + 1).collect();
    let more = page.len() > paging.items;
    page.truncate(paging.items);
    let marker = page.last().filter(|_| more).cloned();
    (page, marker)
}

fn shown(role: &Role) -> iam::Role {
    iam::Role {
        path: role.path.clone(),
        name: role.name.clone(),
        role_id: role.role_id.clone(),
        arn: role.arn.clone(),
        created_ms: role.created_ms,
        assume_role_policy: role.assume_role_policy.clone(),
        description: role.description.clone(),
        max_session_duration_s: role.max_session_duration_s,
        permissions_boundary: role.permissions_boundary.clone(),
        tags: role.tags.clone(),
    }
}

/// A prefix that says of what it is the id, and 16 characters, as AWS makes them.
fn unique_id(prefix: &str, bits: u128) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letters = bits.to_le_bytes();
    let id: String =
        letters.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    format!("{prefix}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_names_follow_each_other() {
        let names = || ["a", "b", "c"].map(String::from).into_iter();
        let paging = |marker: Option<&str>| Paging { marker: marker.map(Into::into), items: 2 };
        assert_eq!(page(names(), &paging(None)), (vec!["a".into(), "b".into()], Some("b".into())));
        assert_eq!(page(names(), &paging(Some("b"))), (vec!["c".into()], None));
    }

    #[test]
    fn a_role_id_has_twenty_characters() {
        assert_eq!(unique_id("AROA", 0), "AROAAAAAAAAAAAAAAAAA");
        assert_eq!(unique_id("AROA", u128::MAX).len(), 20);
    }
}
