//! Roles.

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, Conflict, RoleRequest, conflict};
use dormouse_store::iam::{Held, Role};

use super::Iam;

/// Characters of a trust policy, white space not counted (IAM's quota at its highest).
const TRUST_CHARS: usize = 4_096;

impl Iam<'_> {
    pub(super) async fn role(&self, request: RoleRequest) -> Result<Answer, ApiError> {
        match request {
            RoleRequest::Create { .. } => self.create_role(request).await,
            RoleRequest::Get { role } => Ok(Answer::Role(shown(&self.get(&role).await?))),
            RoleRequest::Delete { role } => {
                self.delete(&role, |role: &Role, profiles| {
                    without_policies(&role.policies)?;
                    if profiles > 0 {
                        return Err(conflict(Conflict::InInstanceProfiles));
                    }
                    Ok(())
                })
                .await
            }
            RoleRequest::List { path_prefix, paging } => {
                let roles = self.list(&path_prefix, &paging).await?;
                Ok(Answer::Roles(roles.map(|role| shown(&role))))
            }
            RoleRequest::UpdateAssumeRolePolicy { role, document } => {
                fits(&document)?;
                let change = |role: &mut Role| {
                    role.assume_role_policy = document;
                    Ok(())
                };
                self.change(&role, change).await.map(|_| Answer::Done)
            }
            RoleRequest::Update { role, description, max_session_duration_s } => {
                let change = move |role: &mut Role| {
                    role.description = description.or(role.description.take());
                    role.max_session_duration_s =
                        max_session_duration_s.unwrap_or(role.max_session_duration_s);
                    Ok(())
                };
                self.change(&role, change).await.map(|_| Answer::Empty)
            }
            RoleRequest::UpdateDescription { role, description } => {
                let change = move |role: &mut Role| {
                    role.description = Some(description);
                    Ok(())
                };
                self.change(&role, change).await.map(|role| Answer::Role(shown(&role)))
            }
        }
    }

    async fn create_role(&self, request: RoleRequest) -> Result<Answer, ApiError> {
        let RoleRequest::Create {
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
        fits(&assume_role_policy)?;
        self.can_bound(permissions_boundary.as_deref()).await?;
        let role = Role {
            account: self.account.clone(),
            arn: self.arn("role", &path, &name),
            role_id: self.unique_id("AROA"),
            name,
            path,
            assume_role_policy,
            description,
            max_session_duration_s,
            created_ms: self.inner.clock.wall_ms(),
            permissions_boundary,
            tags,
            policies: Held::default(),
        };
        self.create(role.clone()).await?;
        Ok(Answer::Role(shown(&role)))
    }
}

fn fits(document: &str) -> Result<(), ApiError> {
    if iam::size(document) > TRUST_CHARS {
        return Err(iam::too_many("ACLSizePerRole", TRUST_CHARS));
    }
    Ok(())
}

/// Refuses to delete what still has policies.
pub(super) fn without_policies(policies: &Held) -> Result<(), ApiError> {
    if !policies.attached.is_empty() {
        return Err(conflict(Conflict::Attached));
    }
    if !policies.inline.is_empty() {
        return Err(conflict(Conflict::Inline));
    }
    Ok(())
}

pub(super) fn shown(role: &Role) -> iam::Role {
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
