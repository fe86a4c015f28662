//! The records of IAM, and what is done with those of any kind that has a name.

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, Noun, Page, Paging};
use dormouse_store::ChangeError;
use dormouse_store::iam::{
    AccessKeys, CreateError, Entities, Entity, Group, Groups, InstanceProfile, InstanceProfiles,
    Policies, RenameError, Role, Roles, User, Users,
};

use super::{Iam, cut};

/// Handles for all that IAM keeps.
#[derive(Debug, Clone)]
pub struct Records {
    /// Roles.
    pub roles: Roles,
    /// Users.
    pub users: Users,
    /// Groups of users.
    pub groups: Groups,
    /// Managed policies.
    pub policies: Policies,
    /// Instance profiles.
    pub instance_profiles: InstanceProfiles,
    /// Access keys of users.
    pub access_keys: AccessKeys,
}

/// What is known by its name, and what a refusal calls it.
pub(super) trait Named: Entity {
    const NOUN: Noun;
    fn of(records: &Records) -> &Entities<Self>
    where
        Self: Sized;
    fn name(&self) -> &str {
        self.key().1
    }
}

impl Named for Role {
    const NOUN: Noun = Noun::Role;
    fn of(records: &Records) -> &Entities<Self> {
        &records.roles
    }
}

impl Named for User {
    const NOUN: Noun = Noun::User;
    fn of(records: &Records) -> &Entities<Self> {
        &records.users
    }
}

impl Named for Group {
    const NOUN: Noun = Noun::Group;
    fn of(records: &Records) -> &Entities<Self> {
        &records.groups
    }
}

impl Named for InstanceProfile {
    const NOUN: Noun = Noun::InstanceProfile;
    fn of(records: &Records) -> &Entities<Self> {
        &records.instance_profiles
    }
}

impl Iam<'_> {
    fn records<T: Named>(&self) -> &Entities<T> {
        T::of(&self.inner.iam)
    }

    pub(super) async fn get<T: Named>(&self, name: &str) -> Result<T, ApiError> {
        let found = self.records::<T>().get(self.account, name).await;
        found.map_err(|fault| self.storage(&fault))?.ok_or_else(|| iam::not_found(T::NOUN, name))
    }

    pub(super) async fn all<T: Named>(&self) -> Result<Vec<T>, ApiError> {
        let all = self.records::<T>().all(self.account).await;
        all.map_err(|fault| self.storage(&fault))
    }

    pub(super) async fn list<T: Named>(
        &self,
        path_prefix: &str,
        paging: &Paging,
    ) -> Result<Page<T>, ApiError> {
        let after = paging.marker.as_deref();
        let records = self.records::<T>();
        let found = records.list(self.account, path_prefix, after, paging.items + 1).await;
        Ok(cut(found.map_err(|fault| self.storage(&fault))?, T::name, paging))
    }

    pub(super) async fn create<T: Named>(&self, entity: T) -> Result<(), ApiError> {
        let name = entity.name().to_owned();
        self.records::<T>().create(entity).await.map_err(|error| match error {
            CreateError::Exists => iam::exists(T::NOUN, &name),
            CreateError::Storage(fault) => self.storage(&fault),
        })
    }

    pub(super) async fn change<T: Named>(
        &self,
        name: &str,
        change: impl FnOnce(&mut T) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let changed = self.records::<T>().change(self.account, name, change).await;
        changed.unwrap_or_else(|error| Err(self.unchanged::<T>(name, &error)))
    }

    pub(super) async fn rename<T: Named>(
        &self,
        name: &str,
        new_name: &str,
        change: impl FnOnce(&mut T) + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let renamed = self.records::<T>().rename(self.account, name, change).await;
        match renamed {
            Ok(_) => Ok(Answer::Done),
            Err(RenameError::Missing) => Err(iam::not_found(T::NOUN, name)),
            Err(RenameError::Exists) => Err(iam::exists(T::NOUN, new_name)),
            Err(RenameError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    /// Deletes something to which nothing objects: not what it is, nor how many lean on it.
    pub(super) async fn delete<T: Named>(
        &self,
        name: &str,
        allowed: impl FnOnce(&T, usize) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let deleted = self.records::<T>().delete(self.account, name, allowed).await;
        let deleted = deleted.unwrap_or_else(|error| Err(self.unchanged::<T>(name, &error)));
        deleted.map(|()| Answer::Done)
    }

    fn unchanged<T: Named>(&self, name: &str, error: &ChangeError) -> ApiError {
        match error {
            ChangeError::Missing => iam::not_found(T::NOUN, name),
            ChangeError::Storage(fault) => self.storage(fault),
        }
    }
}
