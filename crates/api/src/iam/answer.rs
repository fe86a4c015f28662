//! IAM's answers as XML. Policy documents are URL-encoded, as AWS does and Terraform expects.

use std::collections::BTreeMap;

use bytes::Bytes;
use dormouse_model::names::RequestId;
use http::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::groups::Group;
use super::held::{AttachedPolicy, IdentityName, PolicyHolder};
use super::instance_profiles::InstanceProfile;
use super::policies::{ManagedPolicy, ManagedPolicyVersion};
use super::roles::Role;
use super::users::{AccessKey, KeyUse, User};
use crate::xml::{Xml, query_answer};

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
/// All but RFC 3986's unreserved characters.
const DOCUMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins.
    pub marker: Option<String>,
}

impl<T> Page<T> {
    /// The same page of what `change` makes of each.
    #[must_use]
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), marker: self.marker }
    }
}

/// An answer: what it shows. Which action it answers is the caller's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No result at all.
    Done,
    /// A result that is empty.
    Empty,
    /// A role.
    Role(Role),
    /// Roles.
    Roles(Page<Role>),
    /// A user.
    User(User),
    /// Users.
    Users(Page<User>),
    /// A group.
    Group(Group),
    /// A group and its users.
    Members(Group, Page<User>),
    /// Groups.
    Groups(Page<Group>),
    /// An instance profile.
    InstanceProfile(InstanceProfile),
    /// Instance profiles.
    InstanceProfiles(Page<InstanceProfile>),
    /// An access key, with its secret.
    AccessKey(AccessKey),
    /// Access keys, without theirs.
    AccessKeys(Page<AccessKey>),
    /// Whose a key is, and its last use.
    KeyUse(String, Option<KeyUse>),
    /// Names of inline policies.
    InlinePolicies(Page<String>),
    /// An inline policy.
    InlinePolicy {
        /// Whose.
        of: IdentityName,
        /// Its name.
        policy: String,
        /// What it says.
        document: String,
    },
    /// Attached policies.
    AttachedPolicies(Page<AttachedPolicy>),
    /// A managed policy that was just made.
    MadePolicy(ManagedPolicy),
    /// A managed policy.
    Policy(ManagedPolicy),
    /// Managed policies.
    Policies(Page<ManagedPolicy>),
    /// A version of one.
    PolicyVersion(ManagedPolicyVersion),
    /// Versions of one.
    PolicyVersions(Page<ManagedPolicyVersion>),
    /// Who has a policy.
    Holders(Page<PolicyHolder>),
    /// A list of nothing, by its name.
    Nothing(&'static str),
    /// Tags.
    Tags(BTreeMap<String, String>, Option<String>),
}

/// The HTTP answer to an action.
#[must_use]
pub fn write(action: &str, answer: &Answer, request_id: &RequestId) -> Response<Bytes> {
    let has_result = !matches!(answer, Answer::Done);
    let result = has_result.then_some(|xml: &mut Xml| answer.write(xml));
    query_answer(NAMESPACE, action, request_id, result)
}

impl Answer {
    fn write(&self, xml: &mut Xml) {
        match self {
            Self::Done | Self::Empty => {}
            Self::Role(role) => wrapped(xml, "Role", role, Role::write_whole),
            Self::User(user) => wrapped(xml, "User", user, User::write_whole),
            Self::Group(group) => wrapped(xml, "Group", group, Group::write),
            Self::InstanceProfile(profile) => {
                wrapped(xml, "InstanceProfile", profile, InstanceProfile::write_whole);
            }
            Self::AccessKey(key) => wrapped(xml, "AccessKey", key, AccessKey::write),
            Self::MadePolicy(policy) => wrapped(xml, "Policy", policy, ManagedPolicy::write),
            Self::Policy(policy) => wrapped(xml, "Policy", policy, ManagedPolicy::write_whole),
            Self::PolicyVersion(version) => {
                wrapped(xml, "PolicyVersion", version, ManagedPolicyVersion::write);
            }
            Self::KeyUse(user, last) => {
                xml.leaf("UserName", user);
                KeyUse::write(last.as_ref(), xml);
            }
            Self::InlinePolicy { of, policy, document } => {
                let (kind, name) = of.split();
                xml.leaf(&format!("{kind}Name"), name)
                    .leaf("PolicyName", policy)
                    .leaf("PolicyDocument", &encoded(document));
            }
            lists => lists.write_list(xml),
        }
    }

    fn write_list(&self, xml: &mut Xml) {
        match self {
            Self::Roles(page) => listed(xml, "Roles", page, Role::write),
            Self::Users(page) => listed(xml, "Users", page, User::write),
            Self::Members(group, page) => {
                wrapped(xml, "Group", group, Group::write);
                listed(xml, "Users", page, User::write);
            }
            Self::Groups(page) => listed(xml, "Groups", page, Group::write),
            Self::InstanceProfiles(page) => {
                listed(xml, "InstanceProfiles", page, InstanceProfile::write);
            }
            Self::AccessKeys(page) => listed(xml, "AccessKeyMetadata", page, AccessKey::write),
            Self::InlinePolicies(page) => {
                xml.element("PolicyNames", |xml| {
                    for name in &page.items {
                        xml.leaf("member", name);
                    }
                });
                more(xml, page.marker.as_deref());
            }
            Self::AttachedPolicies(page) => {
                listed(xml, "AttachedPolicies", page, AttachedPolicy::write);
            }
            Self::Policies(page) => listed(xml, "Policies", page, ManagedPolicy::write),
            Self::PolicyVersions(page) => {
                listed(xml, "Versions", page, ManagedPolicyVersion::write);
            }
            Self::Holders(page) => {
                PolicyHolder::write_all(&page.items, xml);
                more(xml, page.marker.as_deref());
            }
            Self::Nothing(list) => {
                xml.leaf(list, "");
                more(xml, None);
            }
            Self::Tags(tags, marker) => {
                write_tags(xml, tags);
                more(xml, marker.as_deref());
            }
            _ => {}
        }
    }
}

fn wrapped<T>(xml: &mut Xml, tag: &str, value: &T, write: fn(&T, &mut Xml)) {
    xml.element(tag, |xml| write(value, xml));
}

fn listed<T>(xml: &mut Xml, tag: &str, page: &Page<T>, write: fn(&T, &mut Xml)) {
    members(xml, tag, &page.items, write);
    more(xml, page.marker.as_deref());
}

/// A list of elements called `member`.
pub(super) fn members<T>(xml: &mut Xml, tag: &str, members: &[T], write: fn(&T, &mut Xml)) {
    xml.element(tag, |xml| {
        for member in members {
            xml.element("member", |xml| write(member, xml));
        }
    });
}

pub(super) fn write_boundary(xml: &mut Xml, arn: Option<&str>) {
    if let Some(arn) = arn {
        xml.element("PermissionsBoundary", |xml| {
            xml.leaf("PermissionsBoundaryType", "Policy").leaf("PermissionsBoundaryArn", arn);
        });
    }
}

pub(super) fn write_tags(xml: &mut Xml, tags: &BTreeMap<String, String>) {
    xml.element("Tags", |xml| {
        for (key, value) in tags {
            xml.element("member", |xml| {
                xml.leaf("Key", key).leaf("Value", value);
            });
        }
    });
}

/// Whether a list goes on, and where.
fn more(xml: &mut Xml, marker: Option<&str>) {
    xml.leaf("IsTruncated", if marker.is_some() { "true" } else { "false" });
    if let Some(marker) = marker {
        xml.leaf("Marker", marker);
    }
}

pub(super) fn encoded(document: &str) -> String {
    utf8_percent_encode(document, DOCUMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> Role {
        Role {
            path: "/".into(),
            name: "r".into(),
            role_id: "AROA0123456789ABCDEF".into(),
            arn: "arn:aws:iam::123456789012:role/r".into(),
            created_ms: 1_767_323_045_678,
            assume_role_policy: r#"{"Version": "2012-10-17"}"#.into(),
            description: Some("a & b".into()),
            max_session_duration_s: 3_600,
            permissions_boundary: None,
            tags: [("k".to_owned(), "<v>".to_owned())].into(),
        }
    }

    fn body(action: &str, answer: &Answer) -> String {
        let id = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let written = write(action, answer, &id);
        String::from_utf8(written.body().to_vec()).unwrap().replace("><", ">\n<")
    }

    #[test]
    fn a_role_is_shown_with_its_document_encoded() {
        insta::assert_snapshot!(body("GetRole", &Answer::Role(role())), @r#"
        <GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
        <GetRoleResult>
        <Role>
        <Path>/</Path>
        <RoleName>r</RoleName>
        <RoleId>AROA0123456789ABCDEF</RoleId>
        <Arn>arn:aws:iam::123456789012:role/r</Arn>
        <CreateDate>2026-01-02T03:04:05Z</CreateDate>
        <AssumeRolePolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%7D</AssumeRolePolicyDocument>
        <Description>a &amp; b</Description>
        <MaxSessionDuration>3600</MaxSessionDuration>
        <Tags>
        <member>
        <Key>k</Key>
        <Value>&lt;v&gt;</Value>
        </member>
        </Tags>
        <RoleLastUsed>
        </RoleLastUsed>
        </Role>
        </GetRoleResult>
        <ResponseMetadata>
        <RequestId>11111111-2222-4333-8444-555555555555</RequestId>
        </ResponseMetadata>
        </GetRoleResponse>
        "#);
    }

    #[test]
    fn lists_say_whether_they_go_on() {
        let items = vec![AttachedPolicy {
            arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole".into(),
        }];
        let page = Page { items, marker: Some("m".to_owned()) };
        insta::assert_snapshot!(body("ListAttachedRolePolicies", &Answer::AttachedPolicies(page)), @r#"
        <ListAttachedRolePoliciesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
        <ListAttachedRolePoliciesResult>
        <AttachedPolicies>
        <member>
        <PolicyName>AWSLambdaBasicExecutionRole</PolicyName>
        <PolicyArn>arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole</PolicyArn>
        </member>
        </AttachedPolicies>
        <IsTruncated>true</IsTruncated>
        <Marker>m</Marker>
        </ListAttachedRolePoliciesResult>
        <ResponseMetadata>
        <RequestId>11111111-2222-4333-8444-555555555555</RequestId>
        </ResponseMetadata>
        </ListAttachedRolePoliciesResponse>
        "#);
        let listed = body("ListRoles", &Answer::Roles(Page { items: vec![role()], marker: None }));
        assert!(listed.contains("<IsTruncated>false") && !listed.contains("<Tags>"));
    }

    #[test]
    fn an_action_without_a_result_answers_its_envelope() {
        insta::assert_snapshot!(body("DeleteRole", &Answer::Done), @r#"
        <DeleteRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
        <ResponseMetadata>
        <RequestId>11111111-2222-4333-8444-555555555555</RequestId>
        </ResponseMetadata>
        </DeleteRoleResponse>
        "#);
    }
}
