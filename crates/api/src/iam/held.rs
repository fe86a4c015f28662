//! The policies of roles, users and groups, inline and attached: the same requests for each.

use super::members::{Members, Paging};
use crate::xml::Xml;

/// What has policies, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityName {
    /// A role.
    Role(String),
    /// A user.
    User(String),
    /// A group.
    Group(String),
}

/// A request about the policies of one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum HeldRequest {
    Attach { policy_arn: String },
    Detach { policy_arn: String },
    ListAttached { path_prefix: String, paging: Paging },
    PutInline { policy: String, document: String },
    GetInline { policy: String },
    DeleteInline { policy: String },
    ListInline { paging: Paging },
}

impl HeldRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<(IdentityName, Self)> {
        let (verb, of) = split(action)?;
        let read = Self::verb(verb)?;
        let of = match of {
            "Role" => IdentityName::Role(members.role()),
            "User" => IdentityName::User(members.user(128)),
            _ => IdentityName::Group(members.group()),
        };
        Some((of, read(members)))
    }

    fn verb(verb: &str) -> Option<fn(&mut Members<'_>) -> Self> {
        Some(match verb {
            "Attach" => |members| Self::Attach { policy_arn: members.policy_arn() },
            "Detach" => |members| Self::Detach { policy_arn: members.policy_arn() },
            "ListAttached" => |members| Self::ListAttached {
                path_prefix: members.path_prefix(),
                paging: members.paging(),
            },
            "Put" => |members| Self::PutInline {
                policy: members.policy(),
                document: members.permissions(),
            },
            "Get" => |members| Self::GetInline { policy: members.policy() },
            "Delete" => |members| Self::DeleteInline { policy: members.policy() },
            "List" => |members| Self::ListInline { paging: members.paging() },
            _ => return None,
        })
    }
}

/// `AttachRolePolicy` is `Attach` of a `Role`; what is listed is in the plural.
fn split(action: &str) -> Option<(&str, &str)> {
    let listed = action.starts_with("List");
    let rest = action.strip_suffix(if listed { "Policies" } else { "Policy" })?;
    ["Role", "User", "Group"].into_iter().find_map(|of| Some((rest.strip_suffix(of)?, of)))
}

/// An attached policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedPolicy {
    /// Its ARN; the name is the ARN's last part.
    pub arn: String,
}

impl AttachedPolicy {
    pub(super) fn write(&self, xml: &mut Xml) {
        let name = self.arn.rsplit('/').next().unwrap_or(&self.arn);
        xml.leaf("PolicyName", name).leaf("PolicyArn", &self.arn);
    }
}

/// Who has a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyHolder {
    /// Its name.
    pub name: IdentityName,
    /// Its unique id.
    pub id: String,
}

impl PolicyHolder {
    /// The three lists: groups, users, roles.
    pub(super) fn write_all(holders: &[Self], xml: &mut Xml) {
        for (list, tag) in
            [("PolicyGroups", "Group"), ("PolicyUsers", "User"), ("PolicyRoles", "Role")]
        {
            let of_list = holders.iter().filter(|holder| holder.name.split().0 == tag);
            xml.element(list, |xml| {
                for holder in of_list {
                    xml.element("member", |xml| {
                        xml.leaf(&format!("{tag}Name"), holder.name.split().1)
                            .leaf(&format!("{tag}Id"), &holder.id);
                    });
                }
            });
        }
    }
}

impl IdentityName {
    /// What it is, as members are called after it, and its name.
    #[must_use]
    pub fn split(&self) -> (&'static str, &str) {
        match self {
            Self::Role(name) => ("Role", name),
            Self::User(name) => ("User", name),
            Self::Group(name) => ("Group", name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_say_what_is_done_to_whom() {
        assert_eq!(split("AttachRolePolicy"), Some(("Attach", "Role")));
        assert_eq!(split("ListAttachedUserPolicies"), Some(("ListAttached", "User")));
        assert_eq!(split("ListGroupPolicies"), Some(("List", "Group")));
        for other in ["ListRolePolicy", "PutRolePolicies", "UpdateAssumeRolePolicy", "GetPolicy"] {
            assert!(split(other).is_none_or(|(verb, _)| HeldRequest::verb(verb).is_none()));
        }
    }
}
