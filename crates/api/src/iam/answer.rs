//! IAM's answers as XML. Policy documents are URL-encoded, as AWS does and Terraform expects.

use std::collections::BTreeMap;

use bytes::Bytes;
use dormouse_model::names::RequestId;
use http::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::policies::PolicyAnswer;
use crate::time;
use crate::xml::{Xml, query_answer};

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
/// All but RFC 3986's unreserved characters.
const DOCUMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

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

/// An attached policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedPolicy {
    /// Its ARN; the name is the ARN's last part.
    pub arn: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To `CreateRole`.
    CreateRole(Role),
    /// To `GetRole`.
    GetRole(Role),
    /// To `ListRoles`.
    ListRoles {
        /// The page.
        roles: Vec<Role>,
        /// Where the next one begins.
        marker: Option<String>,
    },
    /// To `ListAttachedRolePolicies`.
    ListAttachedRolePolicies {
        /// The page.
        policies: Vec<AttachedPolicy>,
        /// Where the next one begins.
        marker: Option<String>,
    },
    /// To `ListRolePolicies`.
    ListRolePolicies {
        /// The page.
        names: Vec<String>,
        /// Where the next one begins.
        marker: Option<String>,
    },
    /// To `GetRolePolicy`.
    GetRolePolicy {
        /// The role's name.
        role: String,
        /// The policy's name.
        policy: String,
        /// The policy.
        document: String,
    },
    /// To `ListInstanceProfilesForRole`: there never are any.
    ListInstanceProfilesForRole,
    /// About a policy, or about a role's tags.
    Policy(PolicyAnswer),
    /// To an action that answers nothing.
    Done {
        /// The action.
        action: &'static str,
    },
}

impl Answer {
    fn action(&self) -> &'static str {
        match self {
            Self::CreateRole(_) => "CreateRole",
            Self::GetRole(_) => "GetRole",
            Self::ListRoles { .. } => "ListRoles",
            Self::ListAttachedRolePolicies { .. } => "ListAttachedRolePolicies",
            Self::ListRolePolicies { .. } => "ListRolePolicies",
            Self::GetRolePolicy { .. } => "GetRolePolicy",
            Self::ListInstanceProfilesForRole => "ListInstanceProfilesForRole",
            Self::Policy(answer) => answer.action(),
            Self::Done { action } => action,
        }
    }

    /// The HTTP answer.
    #[must_use]
    pub fn answer(&self, request_id: &RequestId) -> Response<Bytes> {
        let has_result = !matches!(self, Self::Done { .. });
        let result = has_result.then_some(|xml: &mut Xml| self.write(xml));
        query_answer(NAMESPACE, self.action(), request_id, result)
    }

    fn write(&self, xml: &mut Xml) {
        match self {
            Self::CreateRole(role) | Self::GetRole(role) => {
                xml.element("Role", |xml| role.write_whole(xml));
            }
            Self::ListRoles { roles, marker } => {
                xml.element("Roles", |xml| {
                    for role in roles {
                        xml.element("member", |xml| role.write(xml));
                    }
                });
                page(xml, marker.as_deref());
            }
            Self::ListAttachedRolePolicies { policies, marker } => {
                xml.element("AttachedPolicies", |xml| {
                    for policy in policies {
                        xml.element("member", |xml| policy.write(xml));
                    }
                });
                page(xml, marker.as_deref());
            }
            Self::ListRolePolicies { names, marker } => {
                xml.element("PolicyNames", |xml| {
                    for name in names {
                        xml.leaf("member", name);
                    }
                });
                page(xml, marker.as_deref());
            }
            Self::GetRolePolicy { role, policy, document } => {
                xml.leaf("RoleName", role)
                    .leaf("PolicyName", policy)
                    .leaf("PolicyDocument", &encoded(document));
            }
            Self::ListInstanceProfilesForRole => {
                xml.leaf("InstanceProfiles", "");
                page(xml, None);
            }
            Self::Policy(answer) => answer.write(xml),
            Self::Done { .. } => {}
        }
    }
}

impl Role {
    /// What lists show: neither tags nor boundary.
    fn write(&self, xml: &mut Xml) {
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
        if let Some(arn) = &self.permissions_boundary {
            xml.element("PermissionsBoundary", |xml| {
                xml.leaf("PermissionsBoundaryType", "Policy").leaf("PermissionsBoundaryArn", arn);
            });
        }
        if !self.tags.is_empty() {
            write_tags(xml, &self.tags);
        }
        xml.leaf("RoleLastUsed", "");
    }
}

impl AttachedPolicy {
    fn write(&self, xml: &mut Xml) {
        let name = self.arn.rsplit('/').next().unwrap_or(&self.arn);
        xml.leaf("PolicyName", name).leaf("PolicyArn", &self.arn);
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

pub(super) fn page(xml: &mut Xml, marker: Option<&str>) {
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

    fn body(answer: &Answer) -> String {
        let id = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        String::from_utf8(answer.answer(&id).body().to_vec()).unwrap().replace("><", ">\n<")
    }

    #[test]
    fn a_role_is_shown_with_its_document_encoded() {
        insta::assert_snapshot!(body(&Answer::GetRole(role())), @r#"
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
        let policies = vec![AttachedPolicy {
            arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole".into(),
        }];
        let marker = Some("m".to_owned());
        insta::assert_snapshot!(body(&Answer::ListAttachedRolePolicies { policies, marker }), @r#"
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
        let listed = body(&Answer::ListRoles { roles: vec![role()], marker: None });
        assert!(listed.contains("<IsTruncated>false") && !listed.contains("<Tags>"));
    }

    #[test]
    fn an_action_without_a_result_answers_its_envelope() {
        insta::assert_snapshot!(body(&Answer::Done { action: "DeleteRole" }), @r#"
        <DeleteRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
        <ResponseMetadata>
        <RequestId>11111111-2222-4333-8444-555555555555</RequestId>
        </ResponseMetadata>
        </DeleteRoleResponse>
        "#);
    }
}
