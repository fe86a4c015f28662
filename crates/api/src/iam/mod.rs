//! IAM: roles, users, groups and their policies, in the query protocol.

mod answer;
mod groups;
mod held;
mod instance_profiles;
mod managed;
mod members;
mod policies;
mod policy;
mod refusals;
mod request;
mod roles;
mod users;

pub use answer::{Answer, Page, write};
pub use groups::{Group, GroupRequest};
pub use held::{AttachedPolicy, HeldRequest, IdentityName, PolicyHolder};
pub use instance_profiles::{InstanceProfile, InstanceProfileRequest};
pub use managed::AwsPolicy;
pub use members::Paging;
pub use policies::{ManagedPolicy, ManagedPolicyVersion, PolicyRequest, PolicyScope, PolicyUsage};
pub use policy::size;
pub use refusals::{
    Conflict, Noun, conflict, default_version_stays, exists, inline_too_long, name_a_user,
    no_login_profile, no_such_boundary, no_such_inline, no_such_key, no_such_policy,
    no_such_version, not_found, not_in_group, not_in_profile, not_yours, policy_exists,
    policy_not_found, profile_full, too_many, too_many_tags, too_many_versions,
};
pub use request::{Request, TagRequest, Tagged};
pub use roles::{Role, RoleRequest};
pub use users::{AccessKey, AccessKeyRequest, KeyUse, User, UserRequest};
