//! Users.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, Conflict, UserRequest, conflict};
use dormouse_store::iam::{Held, User};

use super::Iam;
use super::roles::without_policies;
use crate::sts::{Identity, identity};

impl Iam<'_> {
    pub(super) async fn user(&self, request: UserRequest) -> Result<Answer, ApiError> {
        match request {
            UserRequest::Create { user: name, path, permissions_boundary, tags } => {
                self.can_bound(permissions_boundary.as_deref()).await?;
                let user = User {
                    account: self.account.clone(),
                    arn: self.arn("user", &path, &name),
                    user_id: self.unique_id("AIDA"),
                    name,
                    path,
                    created_ms: self.inner.clock.wall_ms(),
                    permissions_boundary,
                    tags,
                    groups: BTreeSet::new(),
                    policies: Held::default(),
                };
                self.create(user.clone()).await?;
                Ok(Answer::User(shown(&user)))
            }
            UserRequest::Get { user: Some(name) } => {
                Ok(Answer::User(shown(&self.get(&name).await?)))
            }
            UserRequest::Get { user: None } => self.calling_user().await,
            UserRequest::List { path_prefix, paging } => {
                let users = self.list(&path_prefix, &paging).await?;
                Ok(Answer::Users(users.map(|user| shown(&user))))
            }
            UserRequest::Update { user, new_name, new_path } => {
                let account = self.account.clone();
                let wanted = new_name.clone().unwrap_or_else(|| user.clone());
                self.rename(&user, &wanted, move |user: &mut User| {
                    user.name = new_name.unwrap_or_else(|| user.name.clone());
                    user.path = new_path.unwrap_or_else(|| user.path.clone());
                    user.arn = format!("arn:aws:iam::{account}:user{}{}", user.path, user.name);
                })
                .await
            }
            UserRequest::Delete { user } => self.delete(&user, deletable).await,
            UserRequest::ListNone { user, list } => {
                if let Some(name) = user {
                    self.get::<User>(&name).await?;
                }
                Ok(Answer::Nothing(list))
            }
            UserRequest::LoginProfile { user } => {
                let user: User = self.get(&user).await?;
                Err(iam::no_login_profile(&user.name))
            }
        }
    }

    /// The user who asks, or the root of the account. Others have to say whom they mean.
    async fn calling_user(&self) -> Result<Answer, ApiError> {
        match identity(self.inner, self.caller, self.dialect).await? {
            Identity::User(user) => Ok(Answer::User(shown(&user))),
            Identity::Session(_) => Err(iam::name_a_user()),
            Identity::Root(account) => Ok(Answer::User(iam::User {
                path: "/".to_owned(),
                name: None,
                arn: format!("arn:aws:iam::{account}:root"),
                user_id: account.into(),
                // An account is there before anybody counts.
                created_ms: 0,
                permissions_boundary: None,
                tags: BTreeMap::new(),
            })),
        }
    }

    /// The name that was given, or that of the user who asks.
    pub(super) async fn user_name(&self, given: Option<String>) -> Result<String, ApiError> {
        if let Some(name) = given {
            return Ok(name);
        }
        match identity(self.inner, self.caller, self.dialect).await? {
            Identity::User(user) => Ok(user.name),
            Identity::Session(_) | Identity::Root(_) => Err(iam::name_a_user()),
        }
    }
}

fn deletable(user: &User, access_keys: usize) -> Result<(), ApiError> {
    without_policies(&user.policies)?;
    if access_keys > 0 {
        return Err(conflict(Conflict::AccessKeys));
    }
    if !user.groups.is_empty() {
        return Err(conflict(Conflict::InGroups));
    }
    Ok(())
}

pub(super) fn shown(user: &User) -> iam::User {
    iam::User {
        path: user.path.clone(),
        name: Some(user.name.clone()),
        user_id: user.user_id.clone(),
        arn: user.arn.clone(),
        created_ms: user.created_ms,
        permissions_boundary: user.permissions_boundary.clone(),
        tags: user.tags.clone(),
    }
}
