//! Instance profiles. No machine is started with one here; they are kept for tools that do.

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, Conflict, InstanceProfileRequest, Noun, Page, conflict};
use dormouse_store::iam::{InstanceProfile, Role, RoleError};

use super::{Iam, page, roles};

impl Iam<'_> {
    pub(super) async fn instance_profile(
        &self,
        request: InstanceProfileRequest,
    ) -> Result<Answer, ApiError> {
        match request {
            InstanceProfileRequest::Create { profile: name, path, tags } => {
                let profile = InstanceProfile {
                    account: self.account.clone(),
                    arn: self.arn("instance-profile", &path, &name),
                    profile_id: self.unique_id("AIPA"),
                    name,
                    path,
                    created_ms: self.inner.clock.wall_ms(),
                    role: None,
                    tags,
                };
                self.create(profile.clone()).await?;
                Ok(Answer::InstanceProfile(shown(&profile, None)))
            }
            InstanceProfileRequest::Delete { profile } => {
                self.delete(&profile, |profile: &InstanceProfile, _| {
                    if profile.role.is_some() { Err(conflict(Conflict::Role)) } else { Ok(()) }
                })
                .await
            }
            InstanceProfileRequest::AddRole { profile, role } => self.add_role(profile, role).await,
            InstanceProfileRequest::RemoveRole { profile, role } => {
                self.get::<Role>(&role).await?;
                let name = profile.clone();
                self.change(&name, move |profile: &mut InstanceProfile| {
                    if profile.role.as_ref() != Some(&role) {
                        return Err(iam::not_in_profile(&role, &profile.name));
                    }
                    profile.role = None;
                    Ok(())
                })
                .await
                .map(|_| Answer::Done)
            }
            reading => self.read_instance_profile(reading).await,
        }
    }

    async fn read_instance_profile(
        &self,
        request: InstanceProfileRequest,
    ) -> Result<Answer, ApiError> {
        match request {
            InstanceProfileRequest::Get { profile } => {
                let profile: InstanceProfile = self.get(&profile).await?;
                let shown = self.with_role(profile).await?;
                Ok(Answer::InstanceProfile(shown))
            }
            InstanceProfileRequest::List { path_prefix, paging } => {
                let page = self.list(&path_prefix, &paging).await?;
                Ok(Answer::InstanceProfiles(self.with_roles(page).await?))
            }
            InstanceProfileRequest::ListForRole { role, paging } => {
                let role: Role = self.get(&role).await?;
                let mut profiles: Vec<InstanceProfile> = self.all().await?;
                profiles.retain(|profile| profile.role.as_ref() == Some(&role.name));
                let page = page(profiles.into_iter(), |profile| profile.name.as_str(), &paging);
                Ok(Answer::InstanceProfiles(self.with_roles(page).await?))
            }
            _ => Err(ApiError::internal(self.dialect)),
        }
    }

    async fn add_role(&self, profile: String, role: String) -> Result<Answer, ApiError> {
        let names = (profile.clone(), role.clone());
        match self.inner.iam.instance_profiles.add_role(self.account, names).await {
            Ok(()) => Ok(Answer::Done),
            Err(RoleError::NoProfile) => Err(iam::not_found(Noun::InstanceProfile, &profile)),
            Err(RoleError::NoRole) => Err(iam::not_found(Noun::Role, &role)),
            Err(RoleError::Full) => Err(iam::profile_full()),
            Err(RoleError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn with_roles(
        &self,
        page: Page<InstanceProfile>,
    ) -> Result<Page<iam::InstanceProfile>, ApiError> {
        let mut items = Vec::with_capacity(page.items.len());
        for profile in page.items {
            items.push(self.with_role(profile).await?);
        }
        Ok(Page { items, marker: page.marker })
    }

    async fn with_role(&self, profile: InstanceProfile) -> Result<iam::InstanceProfile, ApiError> {
        let Some(name) = &profile.role else { return Ok(shown(&profile, None)) };
        let role = self.inner.iam.roles.get(self.account, name).await;
        let role = role.map_err(|fault| self.storage(&fault))?;
        Ok(shown(&profile, role.as_ref()))
    }
}

fn shown(profile: &InstanceProfile, role: Option<&Role>) -> iam::InstanceProfile {
    iam::InstanceProfile {
        path: profile.path.clone(),
        name: profile.name.clone(),
        profile_id: profile.profile_id.clone(),
        arn: profile.arn.clone(),
        created_ms: profile.created_ms,
        role: role.map(roles::shown),
        tags: profile.tags.clone(),
    }
}
