//! Instance profiles: requests and how one is shown. They serve nobody here; tools that keep roles
//! look for them.

use std::collections::BTreeMap;

use super::answer::{members as list, write_tags};
use super::members::{Members, Paging};
use super::roles::Role;
use crate::time;
use crate::xml::Xml;

/// A request about an instance profile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum InstanceProfileRequest {
    Create { profile: String, path: String, tags: BTreeMap<String, String> },
    Get { profile: String },
    List { path_prefix: String, paging: Paging },
    ListForRole { role: String, paging: Paging },
    Delete { profile: String },
    AddRole { profile: String, role: String },
    RemoveRole { profile: String, role: String },
}

impl InstanceProfileRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "CreateInstanceProfile" => Self::Create {
                profile: members.instance_profile(),
                path: members.new_path(),
                tags: members.tags(),
            },
            "GetInstanceProfile" => Self::Get { profile: members.instance_profile() },
            "ListInstanceProfiles" => {
                Self::List { path_prefix: members.path_prefix(), paging: members.paging() }
            }
            "ListInstanceProfilesForRole" => {
                Self::ListForRole { role: members.role(), paging: members.paging() }
            }
            "DeleteInstanceProfile" => Self::Delete { profile: members.instance_profile() },
            "AddRoleToInstanceProfile" => {
                Self::AddRole { profile: members.instance_profile(), role: members.role() }
            }
            "RemoveRoleFromInstanceProfile" => {
                Self::RemoveRole { profile: members.instance_profile(), role: members.role() }
            }
            _ => return None,
        })
    }
}

/// An instance profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceProfile {
    /// `/`, or what groups it.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub profile_id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The role that is in it.
    pub role: Option<Role>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

impl InstanceProfile {
    /// What lists show: no tags.
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.leaf("Path", &self.path)
            .leaf("InstanceProfileName", &self.name)
            .leaf("InstanceProfileId", &self.profile_id)
            .leaf("Arn", &self.arn)
            .leaf("CreateDate", &time::iso_seconds(self.created_ms));
        list(xml, "Roles", self.role.as_slice(), Role::write);
    }

    pub(super) fn write_whole(&self, xml: &mut Xml) {
        self.write(xml);
        if !self.tags.is_empty() {
            write_tags(xml, &self.tags);
        }
    }
}
