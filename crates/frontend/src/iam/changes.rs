//! What else changes a role: its description, its boundary, its tags.

use std::collections::BTreeMap;

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, PolicyAnswer, RoleRequest};
use dormouse_model::limits;

use super::{Iam, page, shown};

impl Iam<'_> {
    pub(super) async fn update_role(&self, request: RoleRequest) -> Result<Answer, ApiError> {
        match request {
            RoleRequest::Update { role, description, max_session_duration_s } => {
                self.change("UpdateRole", &role, move |role| {
                    role.description = description.or(role.description.take());
                    role.max_session_duration_s =
                        max_session_duration_s.unwrap_or(role.max_session_duration_s);
                    Ok(())
                })
                .await?;
                Ok(Answer::Policy(PolicyAnswer::UpdateRole))
            }
            RoleRequest::UpdateDescription { role: name, description } => {
                self.change("UpdateRoleDescription", &name, move |role| {
                    role.description = Some(description);
                    Ok(())
                })
                .await?;
                let role = shown(&self.role(&name).await?);
                Ok(Answer::Policy(PolicyAnswer::UpdateRoleDescription(role)))
            }
            RoleRequest::PutBoundary { role, arn } => {
                self.change("PutRolePermissionsBoundary", &role, move |role| {
                    role.permissions_boundary = Some(arn);
                    Ok(())
                })
                .await
            }
            RoleRequest::DeleteBoundary { role } => {
                self.change("DeleteRolePermissionsBoundary", &role, |role| {
                    role.permissions_boundary = None;
                    Ok(())
                })
                .await
            }
            RoleRequest::Tag { role, tags } => {
                self.change("TagRole", &role, |role| add(&mut role.tags, tags)).await
            }
            RoleRequest::Untag { role, keys } => {
                self.change("UntagRole", &role, move |role| {
                    role.tags.retain(|key, _| !keys.contains(key));
                    Ok(())
                })
                .await
            }
            RoleRequest::ListTags { role, paging } => {
                let tags = self.role(&role).await?.tags;
                let (keys, marker) = page(tags.keys().cloned(), &paging);
                Ok(listed("ListRoleTags", tags, &keys, marker))
            }
        }
    }
}

/// Adds tags to those that are there.
pub(super) fn add(
    tags: &mut BTreeMap<String, String>,
    more: BTreeMap<String, String>,
) -> Result<(), ApiError> {
    tags.extend(more);
    if tags.len() > limits::TAGS { Err(iam::too_many_tags()) } else { Ok(()) }
}

/// A page of tags: those of these keys.
pub(super) fn listed(
    action: &'static str,
    mut tags: BTreeMap<String, String>,
    keys: &[String],
    marker: Option<String>,
) -> Answer {
    tags.retain(|key, _| keys.contains(key));
    Answer::Policy(PolicyAnswer::Tags { action, tags, marker })
}
