//! Users and their access keys: requests and how each is shown.

use std::collections::BTreeMap;

use super::answer::{write_boundary, write_tags};
use super::members::{Members, Paging};
use crate::time;
use crate::xml::Xml;

/// A request about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum UserRequest {
    Create {
        user: String,
        path: String,
        permissions_boundary: Option<String>,
        tags: BTreeMap<String, String>,
    },
    /// Without a name: the caller.
    Get {
        user: Option<String>,
    },
    List {
        path_prefix: String,
        paging: Paging,
    },
    Update {
        user: String,
        new_name: Option<String>,
        new_path: Option<String>,
    },
    Delete {
        user: String,
    },
    /// A list of what nobody can have here, and which tools ask for before they delete a user.
    ListNone {
        user: Option<String>,
        list: &'static str,
    },
    /// `GetLoginProfile` and `DeleteLoginProfile`: there is no console to sign in to.
    LoginProfile {
        user: String,
    },
}

/// Actions that list what nobody can have here, and what the list is called.
const NONE: [(&str, &str); 4] = [
    ("ListMFADevices", "MFADevices"),
    ("ListSSHPublicKeys", "SSHPublicKeys"),
    ("ListSigningCertificates", "Certificates"),
    ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
];

impl UserRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "CreateUser" => Self::Create {
                path: members.new_path(),
                user: members.user(64),
                permissions_boundary: members.boundary(),
                tags: members.tags(),
            },
            "GetUser" => Self::Get { user: members.optional_user() },
            "ListUsers" => {
                Self::List { path_prefix: members.path_prefix(), paging: members.paging() }
            }
            "UpdateUser" => Self::Update {
                user: members.user(128),
                new_path: members.path("NewPath", "newPath"),
                new_name: members.optional_name("NewUserName", "newUserName", 64),
            },
            "DeleteUser" => Self::Delete { user: members.user(128) },
            "GetLoginProfile" | "DeleteLoginProfile" => {
                Self::LoginProfile { user: members.user(64) }
            }
            "ListVirtualMFADevices" => Self::ListNone { user: None, list: "VirtualMFADevices" },
            other => {
                let (_, list) = NONE.into_iter().find(|(action, _)| *action == other)?;
                Self::ListNone { user: members.optional_user(), list }
            }
        })
    }
}

/// A request about access keys. Without a user's name they are the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum AccessKeyRequest {
    Create { user: Option<String> },
    List { user: Option<String>, paging: Paging },
    Update { user: Option<String>, key: String, active: bool },
    Delete { user: Option<String>, key: String },
    LastUsed { key: String },
}

impl AccessKeyRequest {
    /// Reads an action's members; nothing for another action.
    pub(super) fn read(action: &str, members: &mut Members<'_>) -> Option<Self> {
        Some(match action {
            "CreateAccessKey" => Self::Create { user: members.optional_user() },
            "ListAccessKeys" => {
                Self::List { user: members.optional_user(), paging: members.paging() }
            }
            "UpdateAccessKey" => {
                let (user, key) = (members.optional_user(), members.access_key());
                members.required_text("Status", "status");
                let status = members.one_of("Status", "status", &["Active", "Inactive"]);
                Self::Update { user, key, active: status == Some("Active") }
            }
            "DeleteAccessKey" => {
                Self::Delete { user: members.optional_user(), key: members.access_key() }
            }
            "GetAccessKeyLastUsed" => Self::LastUsed { key: members.access_key() },
            _ => return None,
        })
    }
}

/// A user, or the root of an account, which has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `/`, or what groups it.
    pub path: String,
    /// Its name.
    pub name: Option<String>,
    /// Its unique id.
    pub user_id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The ARN of the policy that bounds it.
    pub permissions_boundary: Option<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

impl User {
    /// What lists show: neither tags nor boundary.
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.leaf("Path", &self.path);
        if let Some(name) = &self.name {
            xml.leaf("UserName", name);
        }
        xml.leaf("UserId", &self.user_id)
            .leaf("Arn", &self.arn)
            .leaf("CreateDate", &time::iso_seconds(self.created_ms));
    }

    pub(super) fn write_whole(&self, xml: &mut Xml) {
        self.write(xml);
        write_boundary(xml, self.permissions_boundary.as_deref());
        if !self.tags.is_empty() {
            write_tags(xml, &self.tags);
        }
    }
}

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Whose.
    pub user: String,
    /// Its id.
    pub id: String,
    /// Whether it may be used.
    pub active: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// What signs: shown once, when it is made.
    pub secret: Option<String>,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets never reach a log.
        f.debug_struct("AccessKey").field("user", &self.user).finish_non_exhaustive()
    }
}

impl AccessKey {
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.leaf("UserName", &self.user)
            .leaf("AccessKeyId", &self.id)
            .leaf("Status", if self.active { "Active" } else { "Inactive" });
        if let Some(secret) = &self.secret {
            xml.leaf("SecretAccessKey", secret);
        }
        xml.leaf("CreateDate", &time::iso_seconds(self.created_ms));
    }
}

/// The last use of an access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Which service was asked.
    pub service: String,
    /// In which region.
    pub region: String,
}

impl KeyUse {
    pub(super) fn write(last: Option<&Self>, xml: &mut Xml) {
        xml.element("AccessKeyLastUsed", |xml| match last {
            Some(last) => {
                xml.leaf("LastUsedDate", &time::iso_seconds(last.at_ms))
                    .leaf("ServiceName", &last.service)
                    .leaf("Region", &last.region);
            }
            None => {
                xml.leaf("ServiceName", "N/A").leaf("Region", "N/A");
            }
        });
    }
}
