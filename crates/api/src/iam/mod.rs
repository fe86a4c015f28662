//! IAM: roles and their policies, in the query protocol.

mod answer;
mod managed;
mod policies;
mod policy;
mod request;

pub use answer::{Answer, AttachedPolicy, Role};
pub use managed::AwsPolicy;
pub use policies::{
    ManagedPolicy, ManagedPolicyVersion, PolicyAnswer, PolicyRequest, PolicyScope, RoleRequest,
    default_version_stays, delete_versions_first, no_such_policy, no_such_version, not_yours,
    policy_attached, policy_exists, too_many_tags, too_many_versions,
};
pub use request::{Paging, Request};

use crate::error::{ApiError, Exception};

/// 404 for a role.
#[must_use]
pub fn no_such_role(name: &str) -> ApiError {
    let text = format!("The role with name {name} cannot be found.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 404 for an inline policy.
#[must_use]
pub fn no_such_role_policy(name: &str) -> ApiError {
    let text = format!("The role policy with name {name} cannot be found.");
    ApiError::new(Exception::IamNoSuchEntity, text)
}

/// 404 for a policy that is not attached.
#[must_use]
pub fn policy_not_attached(arn: &str) -> ApiError {
    ApiError::new(Exception::IamNoSuchEntity, format!("Policy {arn} was not found."))
}

/// 409 for a second role of a name.
#[must_use]
pub fn role_exists(name: &str) -> ApiError {
    let text = format!("Role with name {name} already exists.");
    ApiError::new(Exception::IamEntityAlreadyExists, text)
}

/// 409 for a role that still has attached policies.
#[must_use]
pub fn detach_first() -> ApiError {
    let text = "Cannot delete entity, must detach all policies first.";
    ApiError::new(Exception::IamDeleteConflict, text)
}

/// 409 for a role that still has inline policies.
#[must_use]
pub fn delete_policies_first() -> ApiError {
    let text = "Cannot delete entity, must delete policies first.";
    ApiError::new(Exception::IamDeleteConflict, text)
}
