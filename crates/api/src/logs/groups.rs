//! The requests about log groups themselves: their life, their retention, their tags.

use std::collections::BTreeMap;

use dormouse_model::limits;
use dormouse_model::names::Scope;
use serde::Deserialize;

use super::request::{check_group, finish, invalid, limit, read};
use super::{group_arn_name, no_group};
use crate::error::{ApiError, Exception};
use crate::validate::Violations;

/// What `PutRetentionPolicy` takes, in the order of AWS's text.
const RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1_096, 1_827, 2_192, 2_557,
    2_922, 3_288, 3_653,
];
const CLASSES: [&str; 3] = ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"];
const TAG_KEY_PATTERN: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]+)";
const TAG_VALUE_PATTERN: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)";
const ARN_PATTERN: &str = r"[\w+=/:,.@\-\*]*";

/// `DescribeLogGroups`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeLogGroups {
    /// How names begin.
    pub prefix: String,
    /// What names hold.
    pub contains: String,
    /// Of which class only.
    pub class: Option<String>,
    /// How many at most.
    pub limit: usize,
    /// Where the page begins.
    pub next_token: Option<String>,
}

/// `CreateLogGroup`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateLogGroup {
    /// The group.
    pub group: String,
    /// Its class.
    pub class: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// `DeleteLogGroup`, and `DeleteRetentionPolicy` and `ListTagsLogGroup`, which name a group, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedGroup {
    /// The group.
    pub group: String,
}

/// `PutRetentionPolicy`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutRetentionPolicy {
    /// The group.
    pub group: String,
    /// Days its events are kept.
    pub days: u32,
}

/// `TagResource` and the older `TagLogGroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The group.
    pub group: String,
    /// The tags that are added or replaced.
    pub tags: BTreeMap<String, String>,
}

/// `UntagResource` and the older `UntagLogGroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untag {
    /// The group.
    pub group: String,
    /// The keys that go; one that is not there is no error.
    pub keys: Vec<String>,
}

/// Every member any of the operations reads, but `tags`, which is a map or a list of keys.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    log_group_name: Option<String>,
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_class: Option<String>,
    resource_arn: Option<String>,
    retention_in_days: Option<i64>,
    tag_keys: Option<Vec<String>>,
    limit: Option<i64>,
    next_token: Option<String>,
    kms_key_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TagMap {
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TagKeys {
    tags: Option<Vec<String>>,
}

impl DescribeLogGroups {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text; members that exclude each other.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let mut violations = Violations::default();
        let prefix = members.log_group_name_prefix.unwrap_or_default();
        if !prefix.is_empty() {
            check_group(&mut violations, &prefix, "logGroupNamePrefix");
        }
        let contains = members.log_group_name_pattern.unwrap_or_default();
        if !contains.is_empty() {
            check_group(&mut violations, &contains, "logGroupNamePattern");
        }
        check_class(&mut violations, members.log_group_class.as_deref());
        let limit = limit(&mut violations, members.limit, limits::PAGE_ITEMS);
        finish(violations)?;
        if !prefix.is_empty() && !contains.is_empty() {
            return Err(invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ));
        }
        let (class, next_token) = (members.log_group_class, members.next_token);
        Ok(Self { prefix, contains, class, limit, next_token })
    }
}

impl CreateLogGroup {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text; a key, since we do not encrypt.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let TagMap { tags } = read(body)?;
        let mut violations = Violations::default();
        if let Some(tags) = &tags {
            check_tags(&mut violations, tags);
        }
        check_class(&mut violations, members.log_group_class.as_deref());
        if members.kms_key_id.as_ref().is_some_and(|key| !key.is_empty()) {
            return Err(invalid("kmsKeyId is not supported by this version of Dormouse."));
        }
        Ok(Self {
            class: members.log_group_class.clone().unwrap_or_else(|| CLASSES[0].to_owned()),
            group: members.named_group(violations)?,
            tags: tags.unwrap_or_default(),
        })
    }
}

impl NamedGroup {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        Ok(Self { group: members.named_group(Violations::default())? })
    }

    /// Reads `ListTagsForResource`, which names the group by its ARN.
    ///
    /// # Errors
    /// Every violation in one text; what is no log group here.
    pub fn of_resource(scope: &Scope, body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        Ok(Self { group: members.resource(scope, Violations::default())? })
    }
}

impl PutRetentionPolicy {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text; a number of days that AWS does not offer.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let mut violations = Violations::default();
        let days = members.retention_in_days;
        if days.is_none() {
            violations.null("retentionInDays");
        }
        let offered = &RETENTION_DAYS;
        let fits = days.and_then(|days| u32::try_from(days).ok()).filter(|d| offered.contains(d));
        let group = members.named_group(violations)?;
        let days = fits.ok_or_else(|| {
            let offered: Vec<String> = offered.iter().map(u32::to_string).collect();
            let text = format!(
                "1 validation error detected: Value '{}' at 'retentionInDays' failed to satisfy \
                 constraint: Member must satisfy enum value set: [{}]",
                days.unwrap_or_default(),
                offered.join(", ")
            );
            invalid(&text)
        })?;
        Ok(Self { group, days })
    }
}

impl Tag {
    /// Reads `TagLogGroup`.
    ///
    /// # Errors
    /// Every violation in one text.
    pub fn of_name(body: &[u8]) -> Result<Self, ApiError> {
        let (members, tags, violations) = Self::members(body)?;
        Ok(Self { group: members.named_group(violations)?, tags })
    }

    /// Reads `TagResource`.
    ///
    /// # Errors
    /// Every violation in one text; what is no log group here.
    pub fn of_resource(scope: &Scope, body: &[u8]) -> Result<Self, ApiError> {
        let (members, tags, violations) = Self::members(body)?;
        Ok(Self { group: members.resource(scope, violations)?, tags })
    }

    fn members(body: &[u8]) -> Result<(Members, BTreeMap<String, String>, Violations), ApiError> {
        let members: Members = read(body)?;
        let TagMap { tags } = read(body)?;
        let mut violations = Violations::default();
        match &tags {
            None => violations.null("tags"),
            Some(tags) if tags.is_empty() => {
                violations.count("{}", 0, "tags", (1, limits::TAGS));
            }
            Some(tags) => check_tags(&mut violations, tags),
        }
        Ok((members, tags.unwrap_or_default(), violations))
    }

    /// Adds them to those that are there.
    ///
    /// # Errors
    /// `TooManyTagsException` past the limit.
    pub fn add_to(self, tags: &mut BTreeMap<String, String>) -> Result<(), ApiError> {
        tags.extend(self.tags);
        if tags.len() > limits::TAGS {
            let text = format!("A resource can have at most {} tags.", limits::TAGS);
            return Err(ApiError::new(Exception::LogsTooManyTags, text));
        }
        Ok(())
    }
}

impl Untag {
    /// Reads `UntagLogGroup`.
    ///
    /// # Errors
    /// Every violation in one text.
    pub fn of_name(body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let TagKeys { tags } = read(body)?;
        let (keys, violations) = keys(tags, "tags");
        Ok(Self { group: members.named_group(violations)?, keys })
    }

    /// Reads `UntagResource`.
    ///
    /// # Errors
    /// Every violation in one text; what is no log group here.
    pub fn of_resource(scope: &Scope, body: &[u8]) -> Result<Self, ApiError> {
        let mut members: Members = read(body)?;
        let (keys, violations) = keys(members.tag_keys.take(), "tagKeys");
        Ok(Self { group: members.resource(scope, violations)?, keys })
    }
}

impl Members {
    fn named_group(self, mut violations: Violations) -> Result<String, ApiError> {
        match &self.log_group_name {
            Some(name) => check_group(&mut violations, name, "logGroupName"),
            None => violations.null("logGroupName"),
        }
        finish(violations)?;
        Ok(self.log_group_name.unwrap_or_default())
    }

    fn resource(self, scope: &Scope, mut violations: Violations) -> Result<String, ApiError> {
        match &self.resource_arn {
            Some(arn) => {
                violations.length(arn, "resourceArn", 1, 1_011);
                let fits = |c: char| c.is_ascii_alphanumeric() || r"_+=/:,.@-*".contains(c);
                violations.pattern(arn, "resourceArn", arn.chars().all(fits), ARN_PATTERN);
            }
            None => violations.null("resourceArn"),
        }
        finish(violations)?;
        let arn = self.resource_arn.unwrap_or_default();
        if !arn.starts_with("arn:") {
            return Err(invalid(&format!("Invalid ARN: {arn}")));
        }
        group_arn_name(scope, &arn).map(str::to_owned).ok_or_else(no_group)
    }
}

fn check_class(violations: &mut Violations, class: Option<&str>) {
    if let Some(class) = class {
        violations.one_of(class, "logGroupClass", &CLASSES);
    }
}

fn check_tags(violations: &mut Violations, tags: &BTreeMap<String, String>) {
    if tags.len() > limits::TAGS {
        violations.count(format_args!("{tags:?}"), tags.len(), "tags", (1, limits::TAGS));
    }
    for (key, value) in tags {
        check_key(violations, key, "tags");
        violations.length(value, "tags", 0, 256);
        violations.pattern(value, "tags", value.chars().all(is_tag_char), TAG_VALUE_PATTERN);
    }
}

fn check_key(violations: &mut Violations, key: &str, path: &str) {
    violations.length(key, path, 1, 128);
    violations.pattern(key, path, key.chars().all(is_tag_char), TAG_KEY_PATTERN);
}

fn is_tag_char(c: char) -> bool {
    // The separators of Unicode are its white space but for the control characters.
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

fn keys(given: Option<Vec<String>>, path: &str) -> (Vec<String>, Violations) {
    let mut violations = Violations::default();
    match &given {
        None => violations.null(path),
        Some(keys) => {
            if keys.is_empty() {
                violations.count("[]", 0, path, (1, limits::TAGS));
            }
            for key in keys {
                check_key(&mut violations, key, path);
            }
        }
    }
    (given.unwrap_or_default(), violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    #[test]
    fn a_group_is_made_with_its_class_and_tags() {
        let body =
            br#"{"logGroupName":"g","tags":{"a b":"1"},"logGroupClass":"INFREQUENT_ACCESS"}"#;
        let asked = CreateLogGroup::read(body).unwrap();
        assert_eq!((asked.class.as_str(), asked.tags["a b"].as_str()), ("INFREQUENT_ACCESS", "1"));
        assert_eq!(CreateLogGroup::read(br#"{"logGroupName":"g"}"#).unwrap().class, "STANDARD");
        let body = br#"{"logGroupName":"g","tags":{"a\n":"1"},"logGroupClass":"COLD"}"#;
        let error = CreateLogGroup::read(body).unwrap_err().to_string();
        assert!(error.contains("2 validation errors"), "{error}");
        assert!(NamedGroup::read(b"{}").is_err());
        assert!(DescribeLogGroups::read(b"").unwrap().prefix.is_empty());
    }

    #[test]
    fn retention_has_only_the_days_that_are_offered() {
        let read = |days: &str| {
            let body = format!(r#"{{"logGroupName":"g","retentionInDays":{days}}}"#);
            PutRetentionPolicy::read(body.as_bytes())
        };
        assert_eq!(read("7").unwrap().days, 7);
        assert_eq!(read("3653").unwrap().days, 3_653);
        insta::assert_snapshot!(read("2").unwrap_err(), @"InvalidParameterException: 1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]");
        for days in ["0", "-1", "null", "4294967297"] {
            assert!(read(days).is_err(), "{days}");
        }
    }

    #[test]
    fn a_resource_is_a_group_by_its_arn_with_or_without_the_star() {
        let read = |arn: &str| {
            let body = format!(r#"{{"resourceArn":"{arn}","tags":{{"k":"v"}}}}"#);
            Tag::of_resource(&scope(), body.as_bytes()).map_or_else(|e| e.message, |t| t.group)
        };
        assert_eq!(read("arn:aws:logs:us-east-1:123456789012:log-group:/a/b"), "/a/b");
        assert_eq!(read("arn:aws:logs:us-east-1:123456789012:log-group:/a/b:*"), "/a/b");
        let elsewhere = read("arn:aws:logs:eu-west-1:123456789012:log-group:/a/b");
        assert_eq!(elsewhere, "The specified log group does not exist.");
        assert_eq!(read("/a/b"), "Invalid ARN: /a/b");
    }

    #[test]
    fn tags_are_added_up_to_the_limit() {
        let tag = |body: &str| Tag::of_name(body.as_bytes());
        let mut tags: BTreeMap<String, String> =
            (0..50).map(|number| (format!("k{number}"), String::new())).collect();
        let asked = tag(r#"{"logGroupName":"g","tags":{"k1":"new"}}"#).unwrap();
        asked.add_to(&mut tags).unwrap();
        assert_eq!(tags["k1"], "new");
        let asked = tag(r#"{"logGroupName":"g","tags":{"k50":"v"}}"#).unwrap();
        assert_eq!(asked.add_to(&mut tags).unwrap_err().exception, Exception::LogsTooManyTags);
        assert!(tag(r#"{"logGroupName":"g","tags":{}}"#).is_err());
        assert!(tag(r#"{"logGroupName":"g"}"#).is_err());
        let untag = Untag::of_name(br#"{"logGroupName":"g","tags":["a","b"]}"#).unwrap();
        assert_eq!(untag.keys, ["a", "b"]);
        let body =
            br#"{"resourceArn":"arn:aws:logs:us-east-1:123456789012:log-group:g","tagKeys":["a"]}"#;
        assert_eq!(Untag::of_resource(&scope(), body).unwrap().keys, ["a"]);
        assert!(Untag::of_name(br#"{"logGroupName":"g","tags":[]}"#).is_err());
    }
}
