//! Managed policies and what else Terraform changes of a role: requests and answers.

use std::collections::BTreeMap;

use super::answer::{Role, encoded, page, write_tags};
use super::policy::{self, Kind};
use super::request::{Members, Paging};
use crate::error::{ApiError, Exception};
use crate::time;
use crate::xml::Xml;

/// A request about a managed policy, which is named by its ARN once it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum PolicyRequest {
    Create {
        name: String,
        path: String,
        document: String,
        description: Option<String>,
        tags: BTreeMap<String, String>,
    },
    Get {
        arn: String,
    },
    Delete {
        arn: String,
    },
    List {
        scope: PolicyScope,
        only_attached: bool,
        path_prefix: String,
        paging: Paging,
    },
    CreateVersion {
        arn: String,
        document: String,
        set_as_default: bool,
    },
    GetVersion {
        arn: String,
        version: String,
    },
    ListVersions {
        arn: String,
        paging: Paging,
    },
    DeleteVersion {
        arn: String,
        version: String,
    },
    SetDefaultVersion {
        arn: String,
        version: String,
    },
    Tag {
        arn: String,
        tags: BTreeMap<String, String>,
    },
    Untag {
        arn: String,
        keys: Vec<String>,
    },
    ListTags {
        arn: String,
        paging: Paging,
    },
}

/// Whose policies are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyScope {
    /// Everybody's.
    All,
    /// AWS's own.
    Aws,
    /// The account's.
    Local,
}

/// A change of a role, or what is asked about its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum RoleRequest {
    Update { role: String, description: Option<String>, max_session_duration_s: Option<u32> },
    UpdateDescription { role: String, description: String },
    PutBoundary { role: String, arn: String },
    DeleteBoundary { role: String },
    Tag { role: String, tags: BTreeMap<String, String> },
    Untag { role: String, keys: Vec<String> },
    ListTags { role: String, paging: Paging },
}

impl PolicyRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "CreatePolicy" => Self::Create {
                path: members.path("Path", "path"),
                name: members.policy(),
                document: members.document("PolicyDocument", "policyDocument"),
                description: members.description(),
                tags: members.tags(),
            },
            "GetPolicy" => Self::Get { arn: members.policy_arn() },
            "DeletePolicy" => Self::Delete { arn: members.policy_arn() },
            "ListPolicies" => Self::List {
                scope: members.scope(),
                only_attached: members.flag("OnlyAttached"),
                path_prefix: members.text("PathPrefix").unwrap_or_else(|| "/".to_owned()),
                paging: members.paging(),
            },
            "CreatePolicyVersion" => Self::CreateVersion {
                arn: members.policy_arn(),
                document: members.document("PolicyDocument", "policyDocument"),
                set_as_default: members.flag("SetAsDefault"),
            },
            "GetPolicyVersion" => {
                Self::GetVersion { arn: members.policy_arn(), version: members.version() }
            }
            "ListPolicyVersions" => {
                Self::ListVersions { arn: members.policy_arn(), paging: members.paging() }
            }
            "DeletePolicyVersion" => {
                Self::DeleteVersion { arn: members.policy_arn(), version: members.version() }
            }
            "SetDefaultPolicyVersion" => {
                Self::SetDefaultVersion { arn: members.policy_arn(), version: members.version() }
            }
            "TagPolicy" => Self::Tag { arn: members.policy_arn(), tags: members.tags() },
            "UntagPolicy" => Self::Untag { arn: members.policy_arn(), keys: members.tag_keys() },
            "ListPolicyTags" => {
                Self::ListTags { arn: members.policy_arn(), paging: members.paging() }
            }
            _ => return None,
        })
    }

    /// Refuses a document that is no policy.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match self {
            Self::Create { document, .. } | Self::CreateVersion { document, .. } => {
                policy::check(document, Kind::Permissions)
            }
            _ => Ok(()),
        }
    }
}

impl RoleRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "UpdateRole" => Self::Update {
                role: members.role(),
                description: members.description(),
                max_session_duration_s: members.session_duration(),
            },
            "UpdateRoleDescription" => Self::UpdateDescription {
                role: members.role(),
                description: members.required_text("Description", "description"),
            },
            "PutRolePermissionsBoundary" => Self::PutBoundary {
                role: members.role(),
                arn: members.required_text("PermissionsBoundary", "permissionsBoundary"),
            },
            "DeleteRolePermissionsBoundary" => Self::DeleteBoundary { role: members.role() },
            "TagRole" => Self::Tag { role: members.role(), tags: members.tags() },
            "UntagRole" => Self::Untag { role: members.role(), keys: members.tag_keys() },
            "ListRoleTags" => Self::ListTags { role: members.role(), paging: members.paging() },
            _ => return None,
        })
    }
}

/// A managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub policy_id: String,
    /// Its ARN.
    pub arn: String,
    /// `/`, or what groups it.
    pub path: String,
    /// The version that counts.
    pub default_version: u32,
    /// Roles that have it.
    pub attachments: usize,
    /// Free text.
    pub description: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed.
    pub updated_ms: u64,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// A version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedPolicyVersion {
    /// Its number.
    pub number: u32,
    /// Whether it counts.
    pub is_default: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// What it says: only one that is asked for alone does.
    pub document: Option<String>,
}

/// An answer about policies, or about a role's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its action")]
pub enum PolicyAnswer {
    CreatePolicy(ManagedPolicy),
    GetPolicy(ManagedPolicy),
    ListPolicies {
        policies: Vec<ManagedPolicy>,
        marker: Option<String>,
    },
    CreatePolicyVersion(ManagedPolicyVersion),
    GetPolicyVersion(ManagedPolicyVersion),
    ListPolicyVersions {
        versions: Vec<ManagedPolicyVersion>,
        marker: Option<String>,
    },
    /// To any action that lists tags.
    Tags {
        action: &'static str,
        tags: BTreeMap<String, String>,
        marker: Option<String>,
    },
    UpdateRole,
    UpdateRoleDescription(Role),
}

impl PolicyAnswer {
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::CreatePolicy(_) => "CreatePolicy",
            Self::GetPolicy(_) => "GetPolicy",
            Self::ListPolicies { .. } => "ListPolicies",
            Self::CreatePolicyVersion(_) => "CreatePolicyVersion",
            Self::GetPolicyVersion(_) => "GetPolicyVersion",
            Self::ListPolicyVersions { .. } => "ListPolicyVersions",
            Self::Tags { action, .. } => action,
            Self::UpdateRole => "UpdateRole",
            Self::UpdateRoleDescription(_) => "UpdateRoleDescription",
        }
    }

    pub(super) fn write(&self, xml: &mut Xml) {
        match self {
            Self::CreatePolicy(policy) => {
                xml.element("Policy", |xml| policy.write(xml));
            }
            Self::GetPolicy(policy) => {
                xml.element("Policy", |xml| policy.write_whole(xml));
            }
            Self::ListPolicies { policies, marker } => {
                members(xml, "Policies", policies, ManagedPolicy::write);
                page(xml, marker.as_deref());
            }
            Self::CreatePolicyVersion(version) | Self::GetPolicyVersion(version) => {
                xml.element("PolicyVersion", |xml| version.write(xml));
            }
            Self::ListPolicyVersions { versions, marker } => {
                members(xml, "Versions", versions, ManagedPolicyVersion::write);
                page(xml, marker.as_deref());
            }
            Self::Tags { tags, marker, .. } => {
                write_tags(xml, tags);
                page(xml, marker.as_deref());
            }
            Self::UpdateRole => {}
            Self::UpdateRoleDescription(role) => {
                xml.element("Role", |xml| role.write_whole(xml));
            }
        }
    }
}

/// A list of elements called `member`.
pub(super) fn members<T>(xml: &mut Xml, tag: &str, members: &[T], write: fn(&T, &mut Xml)) {
    xml.element(tag, |xml| {
        for member in members {
            xml.element("member", |xml| write(member, xml));
        }
    });
}

impl ManagedPolicy {
    fn write(&self, xml: &mut Xml) {
        xml.leaf("PolicyName", &self.name)
            .leaf("PolicyId", &self.policy_id)
            .leaf("Arn", &self.arn)
            .leaf("Path", &self.path)
            .leaf("DefaultVersionId", &format!("v{}", self.default_version))
            .leaf("AttachmentCount", &self.attachments.to_string())
            .leaf("PermissionsBoundaryUsageCount", "0")
            .leaf("IsAttachable", "true")
            .leaf("CreateDate", &time::iso_seconds(self.created_ms))
            .leaf("UpdateDate", &time::iso_seconds(self.updated_ms));
    }

    /// What only `GetPolicy` shows: its description and tags.
    fn write_whole(&self, xml: &mut Xml) {
        self.write(xml);
        if let Some(description) = &self.description {
            xml.leaf("Description", description);
        }
        write_tags(xml, &self.tags);
    }
}

impl ManagedPolicyVersion {
    fn write(&self, xml: &mut Xml) {
        if let Some(document) = &self.document {
            xml.leaf("Document", &encoded(document));
        }
        xml.leaf("VersionId", &format!("v{}", self.number))
            .leaf("IsDefaultVersion", if self.is_default { "true" } else { "false" })
            .leaf("CreateDate", &time::iso_seconds(self.created_ms));
    }
}

/// 404 for a policy.
#[must_use]
pub fn no_such_policy(arn: &str) -> ApiError {
    let text = format!("Policy {arn} does not exist or is not attachable.");
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

/// 409 for a policy that roles still have.
#[must_use]
pub fn policy_attached() -> ApiError {
    let text = "Cannot delete a policy attached to entities.";
    ApiError::new(Exception::IamDeleteConflict, text)
}

/// 409 for a policy that still has versions besides its default one.
#[must_use]
pub fn delete_versions_first() -> ApiError {
    let text = "This policy has more than one version. Before you delete a policy, you must delete \
                the policy's versions. The default version is deleted with the policy.";
    ApiError::new(Exception::IamDeleteConflict, text)
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
