//! Roles: requests and how one is shown.

use std::collections::BTreeMap;

use super::answer::{encoded, write_boundary, write_tags};
use super::members::{Members, Paging};
use super::policy::Kind;
use crate::time;
use crate::xml::Xml;

/// A request about a role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum RoleRequest {
    Create {
        role: String,
        path: String,
        assume_role_policy: String,
        description: Option<String>,
        max_session_duration_s: u32,
        permissions_boundary: Option<String>,
        tags: BTreeMap<String, String>,
    },
    Get {
        role: String,
    },
    Delete {
        role: String,
    },
    List {
        path_prefix: String,
        paging: Paging,
    },
    UpdateAssumeRolePolicy {
        role: String,
        document: String,
    },
    Update {
        role: String,
        description: Option<String>,
        max_session_duration_s: Option<u32>,
    },
    UpdateDescription {
        role: String,
        description: String,
    },
}

impl RoleRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "CreateRole" => Self::create(members),
            "GetRole" => Self::Get { role: members.role() },
            "DeleteRole" => Self::Delete { role: members.role() },
            "ListRoles" => {
                Self::List { path_prefix: members.path_prefix(), paging: members.paging() }
            }
            "UpdateAssumeRolePolicy" => Self::UpdateAssumeRolePolicy {
                role: members.role(),
                document: members.document(("PolicyDocument", "policyDocument"), Kind::Trust),
            },
            "UpdateRole" => Self::Update {
                role: members.role(),
                description: members.description(),
                max_session_duration_s: members.session_duration(),
            },
            "UpdateRoleDescription" => Self::UpdateDescription {
                role: members.role(),
                description: members.required_text("Description", "description"),
            },
            _ => return None,
        })
    }

    fn create(members: &mut Members<'_>) -> Self {
        let path = members.new_path();
        let description = members.description();
        let max_session_duration_s = members.session_duration().unwrap_or(3_600);
        let document = ("AssumeRolePolicyDocument", "assumeRolePolicyDocument");
        Self::Create {
            role: members.role(),
            path,
            assume_role_policy: members.document(document, Kind::Trust),
            description,
            max_session_duration_s,
            permissions_boundary: members.boundary(),
            tags: members.tags(),
        }
    }
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `/`, or what groups it.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub role_id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Who may assume it.
    pub assume_role_policy: String,
    /// Free text.
    pub description: Option<String>,
    /// Seconds one of its sessions may last.
    pub max_session_duration_s: u32,
    /// The ARN of the policy that bounds it.
    pub permissions_boundary: Option<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

impl Role {
    /// What lists show: neither tags nor boundary.
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.leaf("Path", &self.path)
            .leaf("RoleName", &self.name)
            .leaf("RoleId", &self.role_id)
            .leaf("Arn", &self.arn)
            .leaf("CreateDate", &time::iso_seconds(self.created_ms))
            .leaf("AssumeRolePolicyDocument", &encoded(&self.assume_role_policy));
        if let Some(description) = &self.description {
            xml.leaf("Description", description);
        }
        xml.leaf("MaxSessionDuration", &self.max_session_duration_s.to_string());
    }

    pub(super) fn write_whole(&self, xml: &mut Xml) {
        self.write(xml);
        write_boundary(xml, self.permissions_boundary.as_deref());
        if !self.tags.is_empty() {
            write_tags(xml, &self.tags);
        }
        xml.leaf("RoleLastUsed", "");
    }
}
