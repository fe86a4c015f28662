//! The members of a form, each read under its constraints. What is wrong is gathered, and the
//! reading goes on with what is there.

use std::collections::BTreeMap;

use dormouse_model::limits;

use super::policy::{self, Kind};
use crate::error::ApiError;
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

/// A form being read.
pub(super) struct Members<'a> {
    form: &'a Form,
    violations: Violations,
    /// Policy documents that were read: they are looked into once the constraints are met.
    documents: Vec<(&'a str, Kind)>,
}

impl<'a> Members<'a> {
    pub(super) fn of(form: &'a Form) -> Self {
        Self { form, violations: Violations::default(), documents: Vec::new() }
    }

    /// Every violated constraint in one text, or the first document that is no policy.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        self.violations.finish()?;
        self.documents.into_iter().try_for_each(|(document, kind)| policy::check(document, kind))
    }

    pub(super) fn role(&mut self) -> String {
        self.name("RoleName", "roleName", 64)
    }

    /// A user's name, of one that is there or is to be made.
    pub(super) fn user(&mut self, max: usize) -> String {
        self.name("UserName", "userName", max)
    }

    /// A user's name, or nothing for the caller.
    pub(super) fn optional_user(&mut self) -> Option<String> {
        self.form.get("UserName")?;
        Some(self.user(128))
    }

    pub(super) fn group(&mut self) -> String {
        self.name("GroupName", "groupName", 128)
    }

    pub(super) fn instance_profile(&mut self) -> String {
        self.name("InstanceProfileName", "instanceProfileName", 128)
    }

    pub(super) fn policy(&mut self) -> String {
        self.name("PolicyName", "policyName", 128)
    }

    pub(super) fn name(&mut self, member: &str, path: &str, max: usize) -> String {
        let Some(name) = self.required(member, path) else {
            return String::new();
        };
        self.violations.length(name, path, 1, max);
        let fits = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        self.violations.pattern(name, path, fits, NAME_PATTERN);
        name.to_owned()
    }

    /// A name that may be left out.
    pub(super) fn optional_name(&mut self, member: &str, path: &str, max: usize) -> Option<String> {
        self.form.get(member)?;
        Some(self.name(member, path, max))
    }

    pub(super) fn path(&mut self, member: &str, shown: &str) -> Option<String> {
        let path = self.form.get(member)?;
        self.violations.length(path, shown, 1, 512);
        let fits = path == "/"
            || (path.len() > 2
                && path.starts_with('/')
                && path.ends_with('/')
                && path.bytes().all(|b| (b'!'..=b'~').contains(&b)));
        let pattern = r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)";
        self.violations.pattern(path, shown, fits, pattern);
        Some(path.to_owned())
    }

    pub(super) fn new_path(&mut self) -> String {
        self.path("Path", "path").unwrap_or_else(|| "/".to_owned())
    }

    pub(super) fn path_prefix(&mut self) -> String {
        let prefix = self.form.get("PathPrefix").unwrap_or("/");
        self.violations.length(prefix, "pathPrefix", 1, 512);
        let fits = prefix.starts_with('/') && prefix.bytes().all(|b| (b'!'..=b'\x7f').contains(&b));
        self.violations.pattern(prefix, "pathPrefix", fits, r"\u002F[\u0021-\u007F]*");
        prefix.to_owned()
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

    /// A member out of a set; nothing when it is not there.
    pub(super) fn one_of(
        &mut self,
        member: &str,
        path: &str,
        allowed: &[&'static str],
    ) -> Option<&'static str> {
        let value = self.form.get(member)?;
        self.violations.one_of(value, path, allowed);
        allowed.iter().find(|it| **it == value).copied()
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

    pub(super) fn access_key(&mut self) -> String {
        let Some(key) = self.required("AccessKeyId", "accessKeyId") else {
            return String::new();
        };
        self.violations.length(key, "accessKeyId", 16, 128);
        let fits = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        self.violations.pattern(key, "accessKeyId", fits, r"[\w]+");
        key.to_owned()
    }

    pub(super) fn policy_arn(&mut self) -> String {
        self.arn("PolicyArn", "policyArn")
    }

    pub(super) fn arn(&mut self, member: &str, path: &str) -> String {
        let arn = self.required(member, path);
        if let Some(arn) = arn {
            self.violations.length(arn, path, 20, 2_048);
        }
        arn.unwrap_or_default().to_owned()
    }

    pub(super) fn boundary(&mut self) -> Option<String> {
        self.form.get("PermissionsBoundary")?;
        Some(self.arn("PermissionsBoundary", "permissionsBoundary"))
    }

    pub(super) fn flag(&self, member: &str) -> bool {
        self.form.get(member) == Some("true")
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
        if keys.len() > limits::TAGS {
            let rule = format!("Member must have length less than or equal to {}", limits::TAGS);
            self.violations.add_hidden("tags", rule);
        }
        for key in &keys {
            self.violations.length(key, "tags.member.key", 1, 128);
        }
        for value in &values {
            self.violations.length(value, "tags.member.value", 0, 256);
        }
        keys.iter().zip(values).map(|(key, value)| ((*key).to_owned(), value.to_owned())).collect()
    }

    pub(super) fn permissions(&mut self) -> String {
        self.document(("PolicyDocument", "policyDocument"), Kind::Permissions)
    }

    pub(super) fn document(&mut self, (member, path): (&str, &str), kind: Kind) -> String {
        let Some(document) = self.required(member, path) else {
            return String::new();
        };
        if document.chars().count() > DOCUMENT_CHARS {
            let rule = format!("Member must have length less than or equal to {DOCUMENT_CHARS}");
            self.violations.add_hidden(path, rule);
        }
        self.documents.push((document, kind));
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
