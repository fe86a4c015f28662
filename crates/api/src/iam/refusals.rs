//! Why IAM refuses, in IAM's words.

use crate::error::{ApiError, Exception};

/// What a refusal speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// A role.
    Role,
    /// A user.
    User,
    /// A group.
    Group,
    /// An instance profile.
    InstanceProfile,
}

impl Noun {
    fn word(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::User => "user",
            Self::Group => "group",
            Self::InstanceProfile => "Instance Profile",
        }
    }

    fn capital(self) -> &'static str {
        match self {
            Self::Role => "Role",
            Self::User => "User",
            Self::Group => "Group",
            Self::InstanceProfile => "Instance Profile",
        }
    }
}

/// What keeps something from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// It has policies attached.
    Attached,
    /// It has inline policies.
    Inline,
    /// It has access keys.
    AccessKeys,
    /// It is in groups.
    InGroups,
    /// It is a group with users.
    Users,
    /// It is in instance profiles.
    InInstanceProfiles,
    /// It is an instance profile with a role.
    Role,
    /// It is a policy that somebody has.
    AttachedTo,
    /// It is a policy that still has versions besides its default one.
    Versions,
}

/// 409 for what cannot be deleted.
#[must_use]
pub fn conflict(conflict: Conflict) -> ApiError {
    let text = match conflict {
        Conflict::Attached => "Cannot delete entity, must detach all policies first.",
        Conflict::Inline => "Cannot delete entity, must delete policies first.",
        Conflict::AccessKeys => "Cannot delete entity, must delete access keys first.",
        Conflict::InGroups => "Cannot delete entity, must remove user from groups first.",
        Conflict::Users => "Cannot delete entity, must remove users from group first.",
        Conflict::InInstanceProfiles => {
            "Cannot delete entity, must remove roles from instance profile first."
        }
        Conflict::Role => "Cannot delete entity, must remove roles from instance profile first.",
        Conflict::AttachedTo => "Cannot delete a policy attached to entities.",
        Conflict::Versions => {
            "This policy has more than one version. Before you delete a policy, you must delete \
             the policy's versions. The default version is deleted with the policy."
        }
    };
    ApiError::new(Exception::IamDeleteConflict, text)
}

/// 404 for something with a name.
#[must_use]
pub fn not_found(noun: Noun, name: &str) -> ApiError {
    let text = match noun {
        Noun::InstanceProfile => format!("Instance Profile {name} cannot be found."),
        _ => format!("The {} with name {name} cannot be found.", noun.word()),
    };
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 409 for a second one of a name.
#[must_use]
pub fn exists(noun: Noun, name: &str) -> ApiError {
    let text = match noun {
        Noun::InstanceProfile => format!("Instance Profile {name} already exists."),
        _ => format!("{} with name {name} already exists.", noun.capital()),
    };
    ApiError::new(Exception::IamEntityAlreadyExists, text)
}

/// 404 for an inline policy.
#[must_use]
pub fn no_such_inline(noun: Noun, name: &str) -> ApiError {
    let text = format!("The {} policy with name {name} cannot be found.", noun.word());
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 409 for inline policies that are too long together.
#[must_use]
pub fn inline_too_long(noun: Noun, name: &str, limit: usize) -> ApiError {
    let text = format!("Maximum policy size of {limit} bytes exceeded for {} {name}", noun.word());
    ApiError::new(Exception::IamLimitExceeded, text)
}

/// 404 for an access key.
#[must_use]
pub fn no_such_key(id: &str) -> ApiError {
    let text = format!("The Access Key with id {id} cannot be found.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 404 for the password of a user.
#[must_use]
pub fn no_login_profile(user: &str) -> ApiError {
    let text = format!("Login Profile for User {user} cannot be found.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 400 for a request about a user by somebody who is none and names none.
#[must_use]
pub fn name_a_user() -> ApiError {
    let text = "Must specify userName when calling with non-User credentials";
    ApiError::new(Exception::Validation, text)
}

/// 409 for one more than there may be.
#[must_use]
pub fn too_many(quota: &str, limit: usize) -> ApiError {
    let text = format!("Cannot exceed quota for {quota}: {limit}");
    ApiError::new(Exception::IamLimitExceeded, text)
}

/// 404 for a user that is not in a group.
#[must_use]
pub fn not_in_group(user: &str, group: &str) -> ApiError {
    let text = format!("User {user} is not in group {group}.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 404 for a role that is not in an instance profile.
#[must_use]
pub fn not_in_profile(role: &str, profile: &str) -> ApiError {
    let text = format!("Role {role} in InstanceProfile {profile} not found.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 409 for a second role in an instance profile.
#[must_use]
pub fn profile_full() -> ApiError {
    too_many("InstanceSessionsPerInstanceProfile", 1)
}

/// 404 for a policy that is not there to be attached.
#[must_use]
pub fn no_such_policy(arn: &str) -> ApiError {
    let text = format!("Policy {arn} does not exist or is not attachable.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 404 for a policy, or for one that is not attached.
#[must_use]
pub fn policy_not_found(arn: &str) -> ApiError {
    ApiError::new(Exception::IamNoSuchEntity, format!("Policy {arn} was not found."))
}

/// 404 for a policy that cannot bound anybody.
#[must_use]
pub fn no_such_boundary(arn: &str) -> ApiError {
    let text = format!("Scope ARN: {arn} does not exist or is not attachable.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 404 for a version of a policy.
#[must_use]
pub fn no_such_version(arn: &str, version: &str) -> ApiError {
    let text = format!("Policy {arn} version {version} does not exist or is not attachable.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 409 for a second policy of a name.
#[must_use]
pub fn policy_exists(name: &str) -> ApiError {
    let text = format!("A policy called {name} already exists. Duplicate names are not allowed.");
    ApiError::new(Exception::IamEntityAlreadyExists, text)
}

/// 409 for the version that counts.
#[must_use]
pub fn default_version_stays() -> ApiError {
    let text = "Cannot delete the default version of a policy.";
    ApiError::new(Exception::IamDeleteConflict, text)
}

/// 409 for a sixth version.
#[must_use]
pub fn too_many_versions() -> ApiError {
    let text = "A managed policy can have up to 5 versions. Before you create a new version, you \
                must delete an existing version.";
    ApiError::new(Exception::IamLimitExceeded, text)
}

/// 403 for a change of one of AWS's own policies.
#[must_use]
pub fn not_yours(arn: &str) -> ApiError {
    let text = format!("Policy {arn} is owned by AWS and cannot be changed.");
    ApiError::new(Exception::AccessDenied, text)
}

/// 409 for more tags than there may be.
#[must_use]
pub fn too_many_tags() -> ApiError {
    let text = "The number of tags has reached the maximum limit.";
    ApiError::new(Exception::IamLimitExceeded, text)
}
