//! Tags, and the policies that bound roles and users.

use std::collections::BTreeMap;

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, IdentityName, Paging, TagRequest, Tagged};
use dormouse_model::limits;
use dormouse_store::iam::{InstanceProfile, Role, User};

use super::records::Named;
use super::{Iam, page};

type Tags = BTreeMap<String, String>;

/// What has a name and tags.
trait Labelled: Named {
    fn tags(&mut self) -> &mut Tags;
}

impl Labelled for Role {
    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Labelled for User {
    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Labelled for InstanceProfile {
    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Iam<'_> {
    pub(super) async fn tags(&self, of: Tagged, request: TagRequest) -> Result<Answer, ApiError> {
        match of {
            Tagged::Role(name) => self.labels::<Role>(&name, request).await,
            Tagged::User(name) => self.labels::<User>(&name, request).await,
            Tagged::InstanceProfile(name) => self.labels::<InstanceProfile>(&name, request).await,
            Tagged::Policy(arn) => match request {
                TagRequest::List(paging) => Ok(listed(self.found(&arn).await?.tags, &paging)),
                change => {
                    let change = self.changed_policy(&arn, |it| apply(&mut it.tags, change));
                    change.await.map(|_| Answer::Done)
                }
            },
        }
    }

    async fn labels<T: Labelled>(
        &self,
        name: &str,
        request: TagRequest,
    ) -> Result<Answer, ApiError> {
        if let TagRequest::List(paging) = &request {
            return Ok(listed(std::mem::take(self.get::<T>(name).await?.tags()), paging));
        }
        let changed = self.change(name, |it: &mut T| apply(it.tags(), request)).await;
        changed.map(|_| Answer::Done)
    }

    /// Sets or removes the policy that bounds a role or a user.
    pub(super) async fn bound(
        &self,
        of: IdentityName,
        arn: Option<String>,
    ) -> Result<Answer, ApiError> {
        self.can_bound(arn.as_deref()).await?;
        match of {
            IdentityName::Role(name) => {
                let change = |role: &mut Role| {
                    role.permissions_boundary = arn;
                    Ok(())
                };
                self.change(&name, change).await.map(|_| Answer::Done)
            }
            IdentityName::User(name) => {
                let change = |user: &mut User| {
                    user.permissions_boundary = arn;
                    Ok(())
                };
                self.change(&name, change).await.map(|_| Answer::Done)
            }
            IdentityName::Group(_) => Err(ApiError::internal(self.dialect)),
        }
    }

    /// Refuses to bound anybody by a policy that is not there.
    pub(super) async fn can_bound(&self, arn: Option<&str>) -> Result<(), ApiError> {
        let Some(arn) = arn else { return Ok(()) };
        let own = self.attachable(arn).map_err(|_| iam::no_such_boundary(arn))?;
        if own.is_some() {
            self.found(arn).await.map_err(|_| iam::no_such_boundary(arn))?;
        }
        Ok(())
    }
}

fn apply(tags: &mut Tags, change: TagRequest) -> Result<(), ApiError> {
    match change {
        TagRequest::Add(more) => tags.extend(more),
        TagRequest::Remove(keys) => tags.retain(|key, _| !keys.contains(key)),
        TagRequest::List(_) => {}
    }
    if tags.len() > limits::TAGS { Err(iam::too_many_tags()) } else { Ok(()) }
}

fn listed(mut tags: Tags, paging: &Paging) -> Answer {
    let shown = page(tags.keys().cloned(), String::as_str, paging);
    tags.retain(|key, _| shown.items.contains(key));
    Answer::Tags(tags, shown.marker)
}
