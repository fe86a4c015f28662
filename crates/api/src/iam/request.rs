//! IAM's requests, read from a form and checked against the model's constraints.

use std::collections::BTreeMap;

use super::policies::{PolicyRequest, PolicyScope, RoleRequest};
use super::policy::{self, Kind};
use crate::error::{ApiError, Exception};
use crate::form::Form;
use crate::validate::Violations;

const NAME_PATTERN: &str = r"[\w+=,.@-]+";
const PAGE_ITEMS: usize = 100;
const DOCUMENT_CHARS: usize = 131_072;
/// Seconds a role session lasts at most unless the role says otherwise.
const SESSION_DEFAULT_S: i64 = 3_600;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Where it begins: the `Marker` of the page before.
    pub marker: Option<String>,
    /// How many at most.
    pub items: usize,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of IAM's model, by the same names")]
pub enum Request {
    CreateRole {
        role: String,
        path: String,
        assume_role_policy: String,
        description: Option<String>,
        max_session_duration_s: u32,
        permissions_boundary: Option<String>,
        tags: BTreeMap<String, String>,
    },
    GetRole {
        role: String,
    },
    DeleteRole {
        role: String,
    },
    ListRoles {
        path_prefix: String,
        paging: Paging,
    },
    UpdateAssumeRolePolicy {
        role: String,
        document: String,
    },
    AttachRolePolicy {
        role: String,
        policy_arn: String,
    },
    DetachRolePolicy {
        role: String,
        policy_arn: String,
    },
    ListAttachedRolePolicies {
        role: String,
        paging: Paging,
    },
    PutRolePolicy {
        role: String,
        policy: String,
        document: String,
    },
    GetRolePolicy {
        role: String,
        policy: String,
    },
    DeleteRolePolicy {
        role: String,
        policy: String,
    },
    ListRolePolicies {
        role: String,
        paging: Paging,
    },
    ListInstanceProfilesForRole {
        role: String,
        paging: Paging,
    },
    Policy(PolicyRequest),
    Role(RoleRequest),
}

impl Request {
    /// Reads an action's form. Nothing for an action we do not have.
    ///
    /// # Errors
    /// Every violated constraint in one text; a document that is no policy.
    pub fn read(action: &str, form: &Form) -> Result<Option<Self>, ApiError> {
        let mut members = Members { form, violations: Violations::default() };
        let Some(request) = members.request(action) else {
            return Ok(None);
        };
        members.violations.finish()?;
        request.check_documents()?;
        Ok(Some(request))
    }

    fn check_documents(&self) -> Result<(), ApiError> {
        match self {
            Self::CreateRole { assume_role_policy, tags, .. } => {
                if tags.len() > dormouse_model::limits::TAGS {
                    let text = "Number of tags exceeds the limit.";
                    return Err(ApiError::new(Exception::IamInvalidInput, text));
                }
                policy::check(assume_role_policy, Kind::Trust)
            }
            Self::UpdateAssumeRolePolicy { document, .. } => policy::check(document, Kind::Trust),
            Self::PutRolePolicy { document, .. } => policy::check(document, Kind::Permissions),
            Self::Policy(request) => request.check(),
            Self::Role(_)
            | Self::GetRole { .. }
            | Self::DeleteRole { .. }
            | Self::ListRoles { .. }
            | Self::AttachRolePolicy { .. }
            | Self::DetachRolePolicy { .. }
            | Self::ListAttachedRolePolicies { .. }
            | Self::GetRolePolicy { .. }
            | Self::DeleteRolePolicy { .. }
            | Self::ListRolePolicies { .. }
            | Self::ListInstanceProfilesForRole { .. } => Ok(()),
        }
    }
}

/// A form being read: what is wrong is gathered, and the reading goes on with what is there.
pub(super) struct Members<'a> {
    form: &'a Form,
    violations: Violations,
}

impl<'a> Members<'a> {
    fn request(&mut self, action: &str) -> Option<Request> {
        Some(match action {
            "CreateRole" => self.create_role(),
            "GetRole" => Request::GetRole { role: self.role() },
            "DeleteRole" => Request::DeleteRole { role: self.role() },
            "ListRoles" => Request::ListRoles {
                path_prefix: self.form.get("PathPrefix").unwrap_or("/").to_owned(),
                paging: self.paging(),
            },
            "UpdateAssumeRolePolicy" => Request::UpdateAssumeRolePolicy {
                role: self.role(),
                document: self.document("PolicyDocument", "policyDocument"),
            },
            "AttachRolePolicy" => {
                Request::AttachRolePolicy { role: self.role(), policy_arn: self.policy_arn() }
            }
            "DetachRolePolicy" => {
                Request::DetachRolePolicy { role: self.role(), policy_arn: self.policy_arn() }
            }
            "ListAttachedRolePolicies" => {
                Request::ListAttachedRolePolicies { role: self.role(), paging: self.paging() }
            }
            "PutRolePolicy" => Request::PutRolePolicy {
                role: self.role(),
                policy: self.policy(),
                document: self.document("PolicyDocument", "policyDocument"),
            },
            "GetRolePolicy" => Request::GetRolePolicy { role: self.role(), policy: self.policy() },
            "DeleteRolePolicy" => {
                Request::DeleteRolePolicy { role: self.role(), policy: self.policy() }
            }
            "ListRolePolicies" => {
                Request::ListRolePolicies { role: self.role(), paging: self.paging() }
            }
            "ListInstanceProfilesForRole" => {
                Request::ListInstanceProfilesForRole { role: self.role(), paging: self.paging() }
            }
            other => {
                let policy = PolicyRequest::read(other, self).map(Request::Policy);
                return policy.or_else(|| RoleRequest::read(other, self).map(Request::Role));
            }
        })
    }

    fn create_role(&mut self) -> Request {
        let form = self.form;
        let path = self.path("Path", "path");
        let description = self.description();
        let duration = self.number("MaxSessionDuration", "maxSessionDuration", SESSION_DEFAULT_S);
        self.violations.range(duration, "maxSessionDuration", 3_600, 43_200);
        Request::CreateRole {
            role: self.role(),
            path,
            assume_role_policy: self
                .document("AssumeRolePolicyDocument", "assumeRolePolicyDocument"),
            description,
            max_session_duration_s: u32::try_from(duration).unwrap_or_default(),
            permissions_boundary: form.get("PermissionsBoundary").map(str::to_owned),
            tags: self.tags(),
        }
    }

    pub(super) fn path(&mut self, member: &str, shown: &str) -> String {
        let path = self.form.get(member).unwrap_or("/");
        self.violations.length(path, shown, 1, 512);
        let fits = path == "/"
            || (path.len() > 2
                && path.starts_with('/')
                && path.ends_with('/')
                && path.bytes().all(|b| (b'!'..=b'~').contains(&b)));
        let pattern = r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)";
        self.violations.pattern(path, shown, fits, pattern);
        path.to_owned()
    }

    pub(super) fn description(&mut self) -> Option<String> {
        let description = self.form.get("Description");
        if let Some(description) = description {
            self.violations.length(description, "description", 0, 1_000);
        }
        description.map(str::to_owned)
    }

    pub(super) fn session_duration(&mut self) -> Option<u32> {
        self.form.get("MaxSessionDuration")?;
        let duration = self.number("MaxSessionDuration", "maxSessionDuration", SESSION_DEFAULT_S);
        self.violations.range(duration, "maxSessionDuration", 3_600, 43_200);
        u32::try_from(duration).ok()
    }

    pub(super) fn scope(&mut self) -> PolicyScope {
        match self.form.get("Scope") {
            None | Some("All") => PolicyScope::All,
            Some("AWS") => PolicyScope::Aws,
            Some("Local") => PolicyScope::Local,
            Some(other) => {
                self.violations.one_of(other, "scope", &["All", "AWS", "Local"]);
                PolicyScope::All
            }
        }
    }

    pub(super) fn version(&mut self) -> String {
        let version = self.required_text("VersionId", "versionId");
        let number = version.strip_prefix('v').unwrap_or_default();
        let fits = version.is_empty()
            || (number.starts_with(|c: char| ('1'..='9').contains(&c))
                && number.bytes().all(|b| b.is_ascii_digit()));
        let pattern = r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?";
        self.violations.pattern(&version, "versionId", fits, pattern);
        version
    }

    pub(super) fn flag(&self, member: &str) -> bool {
        self.form.get(member) == Some("true")
    }

    pub(super) fn text(&self, member: &str) -> Option<String> {
        self.form.get(member).map(str::to_owned)
    }

    pub(super) fn required_text(&mut self, member: &str, path: &str) -> String {
        self.required(member, path).unwrap_or_default().to_owned()
    }

    pub(super) fn tag_keys(&mut self) -> Vec<String> {
        let keys = self.form.indexed("TagKeys.member", "");
        for key in &keys {
            self.violations.length(key, "tagKeys", 1, 128);
        }
        keys.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn tags(&mut self) -> BTreeMap<String, String> {
        let keys = self.form.indexed("Tags.member", ".Key");
        let values = self.form.indexed("Tags.member", ".Value");
        for key in &keys {
            self.violations.length(key, "tags.member.key", 1, 128);
        }
        keys.iter().zip(values).map(|(key, value)| ((*key).to_owned(), value.to_owned())).collect()
    }

    pub(super) fn role(&mut self) -> String {
        self.name("RoleName", "roleName", 64)
    }

    pub(super) fn policy(&mut self) -> String {
        self.name("PolicyName", "policyName", 128)
    }

    pub(super) fn policy_arn(&mut self) -> String {
        let arn = self.required("PolicyArn", "policyArn");
        if let Some(arn) = arn {
            self.violations.length(arn, "policyArn", 20, 2_048);
        }
        arn.unwrap_or_default().to_owned()
    }

    fn name(&mut self, member: &str, path: &str, max: usize) -> String {
        let Some(name) = self.required(member, path) else {
            return String::new();
        };
        self.violations.length(name, path, 1, max);
        let fits = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        self.violations.pattern(name, path, fits, NAME_PATTERN);
        name.to_owned()
    }

    pub(super) fn document(&mut self, member: &str, path: &str) -> String {
        let Some(document) = self.required(member, path) else {
            return String::new();
        };
        if document.chars().count() > DOCUMENT_CHARS {
            let rule = format!("Member must have length less than or equal to {DOCUMENT_CHARS}");
            self.violations.add_hidden(path, rule);
        }
        document.to_owned()
    }

    pub(super) fn paging(&mut self) -> Paging {
        let items = self.number("MaxItems", "maxItems", 100);
        self.violations.range(items, "maxItems", 1, 1_000);
        let marker = self.form.get("Marker").map(str::to_owned);
        Paging { marker, items: usize::try_from(items).unwrap_or(PAGE_ITEMS) }
    }

    fn number(&mut self, member: &str, path: &str, default: i64) -> i64 {
        let Some(text) = self.form.get(member) else {
            return default;
        };
        text.parse().unwrap_or_else(|_| {
            self.violations.add(text, path, "Member must be an integer");
            default
        })
    }

    fn required(&mut self, member: &str, path: &str) -> Option<&'a str> {
        let value = self.form.get(member);
        if value.is_none() {
            self.violations.null(path);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Option<Request>, ApiError> {
        let form = Form::parse(form.as_bytes()).unwrap();
        Request::read(form.action().unwrap(), &form)
    }

    const TRUST: &str = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%22*%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D";

    #[test]
    fn a_role_gets_its_defaults() {
        let form = format!(
            "Action=CreateRole&RoleName=r&AssumeRolePolicyDocument={TRUST}\
             &Tags.member.1.Key=k&Tags.member.1.Value=v"
        );
        let Some(Request::CreateRole { role, path, max_session_duration_s, tags, .. }) =
            read(&form).unwrap()
        else {
            panic!("not a CreateRole")
        };
        assert_eq!((role.as_str(), path.as_str(), max_session_duration_s), ("r", "/", 3_600));
        assert_eq!(tags["k"], "v");
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        let text = |form: &str| read(form).unwrap_err().to_string();
        insta::assert_snapshot!(text("Action=CreateRole&RoleName=a+b&MaxSessionDuration=1").replace("; ", ";\n"), @r"
        ValidationException: 3 validation errors detected: Value '1' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600;
        Value 'a b' at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+;
        Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null
        ");
        let document = "Action=CreateRole&RoleName=r&AssumeRolePolicyDocument=x";
        assert_eq!(
            text(document),
            "MalformedPolicyDocumentException: This policy contains invalid Json"
        );
        assert_eq!(
            text("Action=AttachRolePolicy&RoleName=r"),
            "ValidationException: 1 validation error detected: Value null at 'policyArn' failed to satisfy constraint: Member must not be null"
        );
    }

    #[test]
    fn every_action_is_read_and_others_are_left() {
        let role = "r".to_owned();
        let paging = Paging { marker: None, items: 100 };
        let same = |form: &str, request: Request| assert_eq!(read(form), Ok(Some(request)));
        same("Action=GetRole&RoleName=r", Request::GetRole { role: role.clone() });
        same("Action=DeleteRole&RoleName=r", Request::DeleteRole { role: role.clone() });
        same(
            "Action=ListRolePolicies&RoleName=r",
            Request::ListRolePolicies { role: role.clone(), paging: paging.clone() },
        );
        same(
            "Action=ListInstanceProfilesForRole&RoleName=r&MaxItems=5&Marker=m",
            Request::ListInstanceProfilesForRole {
                role,
                paging: Paging { marker: Some("m".into()), items: 5 },
            },
        );
        same("Action=ListRoles", Request::ListRoles { path_prefix: "/".into(), paging });
        assert_eq!(read("Action=CreateUser"), Ok(None));
    }
}
