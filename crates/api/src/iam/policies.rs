//! Managed policies: requests and how one is shown.

use std::collections::BTreeMap;

use super::answer::{encoded, write_tags};
use super::members::{Members, Paging};
use crate::time;
use crate::xml::Xml;

/// What `EntityFilter` may say. The last two say whose policies, which is no filter of entities.
const ENTITIES: [&str; 5] = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];
const USAGES: [&str; 2] = ["PermissionsPolicy", "PermissionsBoundary"];

fn usage(word: &str) -> PolicyUsage {
    if word == USAGES[0] { PolicyUsage::Permissions } else { PolicyUsage::Boundary }
}

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
    ListEntities {
        arn: String,
        /// Only of this kind: `Role`, `User` or `Group`.
        only: Option<&'static str>,
        path_prefix: String,
        usage: Option<PolicyUsage>,
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

/// How a policy is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyUsage {
    /// It is attached.
    Permissions,
    /// It bounds.
    Boundary,
}

impl PolicyRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "CreatePolicy" => Self::Create {
                path: members.new_path(),
                name: members.policy(),
                document: members.permissions(),
                description: members.description(),
                tags: members.tags(),
            },
            "GetPolicy" => Self::Get { arn: members.policy_arn() },
            "DeletePolicy" => Self::Delete { arn: members.policy_arn() },
            "ListPolicies" => Self::List {
                scope: match members.one_of("Scope", "scope", &["All", "AWS", "Local"]) {
                    Some("AWS") => PolicyScope::Aws,
                    Some("Local") => PolicyScope::Local,
                    _ => PolicyScope::All,
                },
                only_attached: members.flag("OnlyAttached"),
                path_prefix: members.path_prefix(),
                paging: members.paging(),
            },
            "CreatePolicyVersion" => Self::CreateVersion {
                arn: members.policy_arn(),
                document: members.permissions(),
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
            "ListEntitiesForPolicy" => Self::ListEntities {
                arn: members.policy_arn(),
                only: members.one_of("EntityFilter", "entityFilter", &ENTITIES),
                path_prefix: members.path_prefix(),
                usage: members.one_of("PolicyUsageFilter", "policyUsageFilter", &USAGES).map(usage),
                paging: members.paging(),
            },
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
    /// How many roles, users and groups have it.
    pub attachments: usize,
    /// How many roles and users it bounds.
    pub bounds: usize,
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

impl ManagedPolicy {
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.leaf("PolicyName", &self.name)
            .leaf("PolicyId", &self.policy_id)
            .leaf("Arn", &self.arn)
            .leaf("Path", &self.path)
            .leaf("DefaultVersionId", &format!("v{}", self.default_version))
            .leaf("AttachmentCount", &self.attachments.to_string())
            .leaf("PermissionsBoundaryUsageCount", &self.bounds.to_string())
            .leaf("IsAttachable", "true")
            .leaf("CreateDate", &time::iso_seconds(self.created_ms))
            .leaf("UpdateDate", &time::iso_seconds(self.updated_ms));
    }

    /// What only `GetPolicy` shows: its description and tags.
    pub(super) fn write_whole(&self, xml: &mut Xml) {
        self.write(xml);
        if let Some(description) = &self.description {
            xml.leaf("Description", description);
        }
        write_tags(xml, &self.tags);
    }
}

impl ManagedPolicyVersion {
    pub(super) fn write(&self, xml: &mut Xml) {
        if let Some(document) = &self.document {
            xml.leaf("Document", &encoded(document));
        }
        xml.leaf("VersionId", &format!("v{}", self.number))
            .leaf("IsDefaultVersion", if self.is_default { "true" } else { "false" })
            .leaf("CreateDate", &time::iso_seconds(self.created_ms));
    }
}
