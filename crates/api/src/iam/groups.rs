//! Groups of users: requests and how one is shown.

use super::members::{Members, Paging};
use crate::time;
use crate::xml::Xml;

/// A request about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum GroupRequest {
    Create { group: String, path: String },
    Get { group: String, paging: Paging },
    List { path_prefix: String, paging: Paging },
    Update { group: String, new_name: Option<String>, new_path: Option<String> },
    Delete { group: String },
    AddUser { group: String, user: String },
    RemoveUser { group: String, user: String },
    ListForUser { user: String, paging: Paging },
}

impl GroupRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "CreateGroup" => Self::Create { path: members.new_path(), group: members.group() },
            "GetGroup" => Self::Get { group: members.group(), paging: members.paging() },
            "ListGroups" => {
                Self::List { path_prefix: members.path_prefix(), paging: members.paging() }
            }
            "UpdateGroup" => Self::Update {
                group: members.group(),
                new_path: members.path("NewPath", "newPath"),
                new_name: members.optional_name("NewGroupName", "newGroupName", 128),
            },
            "DeleteGroup" => Self::Delete { group: members.group() },
            "AddUserToGroup" => Self::AddUser { group: members.group(), user: members.user(128) },
            "RemoveUserFromGroup" => {
                Self::RemoveUser { group: members.group(), user: members.user(128) }
            }
            "ListGroupsForUser" => {
                Self::ListForUser { user: members.user(128), paging: members.paging() }
            }
            _ => return None,
        })
    }
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `/`, or what groups it.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub group_id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Group {
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.leaf("Path", &self.path)
            .leaf("GroupName", &self.name)
            .leaf("GroupId", &self.group_id)
            .leaf("Arn", &self.arn)
            .leaf("CreateDate", &time::iso_seconds(self.created_ms));
    }
}
