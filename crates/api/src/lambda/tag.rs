//! `TagResource`, `UntagResource` and `ListTags`: which resource, which tags; and the rules that
//! tags given at creation follow too.

use std::collections::BTreeMap;

use dormouse_model::limits;
use dormouse_model::names::{CapacityProviderName, CodeSigningConfigId, MappingId, Scope};
use http::Uri;
use serde::{Deserialize, Serialize};

use super::name::{NameShape, Target, is_region};
use super::pattern::{TAG_KEY, TAG_VALUE};
use super::shape::{ANY, Shape};
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::{Violations, is_word};

const RESOURCE_PATTERN: &str = r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})";
const RESOURCE_CHARS: usize = 10_000;
/// What only AWS itself may begin a key with.
const RESERVED: &str = "aws:";

/// Tags as a body has them: a null can be written and is refused.
pub(super) type Given = BTreeMap<String, Option<String>>;

/// Tags in a body that is a table.
pub(super) const TAGS: Shape = Shape::Map((&Shape::Text(&TAG_KEY), &Shape::Text(&TAG_VALUE)), ANY);

/// What can be tagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taggable {
    /// A function.
    Function(Target),
    /// An event source mapping.
    EventSourceMapping(MappingId),
    /// A code signing configuration.
    CodeSigningConfig(CodeSigningConfigId),
    /// A capacity provider.
    CapacityProvider(CapacityProviderName),
}

/// The body of `TagResource`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TagResourceRequest {
    tags: Option<Given>,
}

impl TagResourceRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// The tagged resource and its new tags.
    ///
    /// # Errors
    /// Every violation in one text; a resource without tags; tags nobody may give.
    pub fn validate(
        self,
        scope: &Scope,
        resource: &str,
    ) -> Result<(Taggable, BTreeMap<String, String>), ApiError> {
        let mut violations = Violations::default();
        check_resource(&mut violations, resource);
        match &self.tags {
            Some(tags) => check(&mut violations, tags),
            None => violations.null("tags"),
        }
        violations.finish()?;
        let tags = self.tags.unwrap_or_default();
        if tags.is_empty() {
            // Recorded: AWS has no better words for it.
            let text = "An error occurred and the request cannot be processed.";
            return Err(ApiError::invalid_parameter(text));
        }
        Ok((taggable(scope, resource)?, given(tags)?))
    }
}

/// The resource whose tags `ListTags` shows.
///
/// # Errors
/// When the label names no resource that has tags.
pub fn listed(scope: &Scope, resource: &str) -> Result<Taggable, ApiError> {
    let mut violations = Violations::default();
    check_resource(&mut violations, resource);
    violations.finish()?;
    taggable(scope, resource)
}

/// The resource that `UntagResource` names, and the keys it is to lose.
///
/// # Errors
/// Every violation in one text; a resource without tags.
pub fn untagged(
    scope: &Scope,
    resource: &str,
    uri: &Uri,
) -> Result<(Taggable, Vec<String>), ApiError> {
    let keys: Vec<String> = QueryString::of(uri).all("tagKeys").map(String::from).collect();
    let mut violations = Violations::default();
    check_resource(&mut violations, resource);
    if keys.is_empty() {
        violations.null("tagKeys");
    }
    violations.members(&keys, "tagKeys", &TAG_KEY);
    violations.finish()?;
    Ok((taggable(scope, resource)?, keys))
}

/// The answer of `ListTags`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsResponse {
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// What a resource is tagged with once these are added.
///
/// # Errors
/// When they are too many together.
pub fn added(
    mut tags: BTreeMap<String, String>,
    more: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    tags.extend(more);
    check_count(tags.len())?;
    Ok(tags)
}

/// The framework's checks of tags.
pub(super) fn check(violations: &mut Violations, tags: &Given) {
    if let Some(key) = tags.keys().find(|key| !TAG_KEY.is_met(key)) {
        let rule = format!("Map keys must satisfy constraint: {}", TAG_KEY.listed());
        violations.add(format!("[{key}]"), "tags", rule);
    }
    if tags.values().any(|value| value.as_ref().is_none_or(|value| !TAG_VALUE.is_met(value))) {
        let rule = format!("Map value must satisfy constraint: {}", TAG_VALUE.listed());
        violations.add_hidden("tags", rule);
    }
}

/// The service's checks of tags that [`check`] let through.
pub(super) fn given(tags: Given) -> Result<BTreeMap<String, String>, ApiError> {
    check_count(tags.len())?;
    if tags.keys().any(|key| key.starts_with(RESERVED)) {
        let text = "aws: prefixed tag key names are not allowed for external use.";
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(tags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

fn check_count(count: usize) -> Result<(), ApiError> {
    if count > limits::TAGS {
        let text = "Number of tags exceeds resource tag limit.";
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(())
}

/// 404 for a resource that is not there.
#[must_use]
pub fn not_found() -> ApiError {
    ApiError::new(Exception::ResourceNotFound, "The resource you requested does not exist.")
}

/// What an ARN names. What else can be tagged at AWS does not exist here.
fn taggable(scope: &Scope, resource: &str) -> Result<Taggable, ApiError> {
    let (kind, rest) = parts(resource).ok_or_else(not_found)?;
    if kind == "function" {
        return function(scope, resource).map(Taggable::Function);
    }
    // Another account's and another region's are not to be seen from here.
    let here = |id: &str| resource == scope.arn("lambda", format_args!("{kind}:{id}"));
    match kind {
        "event-source-mapping" if here(rest) => rest
            .to_ascii_lowercase()
            .parse()
            .map(Taggable::EventSourceMapping)
            .map_err(|_| not_found()),
        "code-signing-config" if here(rest) => {
            rest.parse().map(Taggable::CodeSigningConfig).map_err(|_| not_found())
        }
        "capacity-provider" if here(rest) => {
            rest.parse().map(Taggable::CapacityProvider).map_err(|_| not_found())
        }
        _ => Err(not_found()),
    }
}

fn function(scope: &Scope, resource: &str) -> Result<Target, ApiError> {
    let target = Target::resolve(scope, resource, None, NameShape::Existing)?;
    if target.qualifier.is_some() {
        return Err(ApiError::invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function \
             ARN.",
        ));
    }
    Ok(target)
}

fn check_resource(violations: &mut Violations, resource: &str) {
    violations.length(resource, "resource", 1, RESOURCE_CHARS);
    violations.pattern(resource, "resource", fits(resource), RESOURCE_PATTERN);
}

/// The kind of the resource that an ARN names, and the rest of its name.
fn parts(resource: &str) -> Option<(&str, &str)> {
    resource.splitn(6, ':').nth(5)?.split_once(':')
}

fn fits(resource: &str) -> bool {
    let head: Vec<&str> = resource.splitn(6, ':').collect();
    let [arn, partition, service, region, account, _] = head.as_slice() else {
        return false;
    };
    let tail = partition.strip_prefix("aws");
    let head_fits = *arn == "arn"
        && tail.is_some_and(|tail| tail.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'))
        && *service == "lambda"
        // An operator may call his region as he likes.
        && (is_region(region) || region.parse::<dormouse_model::names::Region>().is_ok())
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit());
    head_fits && parts(resource).is_some_and(|(kind, rest)| names(kind, rest))
}

fn names(kind: &str, rest: &str) -> bool {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match kind {
        "function" => match rest.split_once(':') {
            Some((name, qualifier)) => {
                is_word(name) && (qualifier == "$LATEST" || is_word(qualifier))
            }
            None => is_word(rest),
        },
        "code-signing-config" => {
            rest.strip_prefix("csc-").is_some_and(|id| id.len() == 17 && id.bytes().all(lower))
        }
        "event-source-mapping" => rest.parse::<dormouse_model::names::RequestId>().is_ok(),
        "capacity-provider" | "network-connector" => is_word(rest) && rest.len() <= 64,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:";

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn tagged(resource: &str, tags: &Value) -> Result<String, ApiError> {
        let body = json!({"Tags": tags}).to_string();
        let (target, tags) =
            TagResourceRequest::read(body.as_bytes())?.validate(&scope(), resource)?;
        let name = match target {
            Taggable::Function(target) => target.key.name.to_string(),
            Taggable::EventSourceMapping(id) => id.to_string(),
            Taggable::CodeSigningConfig(id) => id.to_string(),
            Taggable::CapacityProvider(name) => name.to_string(),
        };
        Ok(format!("{name} {tags:?}"))
    }

    fn refused(resource: &str, tags: &Value, expected: &str) {
        let text = tagged(resource, tags).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_resource_is_named_by_its_arn_alone() {
        let tags = json!({"a": "b"});
        assert_eq!(tagged(&format!("{ARN}function:f"), &tags).unwrap(), r#"f {"a": "b"}"#);
        let versions = "InvalidParameterValueException: Tags on function aliases and versions are";
        refused(&format!("{ARN}function:f:1"), &tags, versions);
        refused(&format!("{ARN}function:f:$LATEST"), &tags, versions);
        let missing = "ResourceNotFoundException: The resource you requested does not exist.";
        let uuid = "00000000-0000-4000-8000-000000000001";
        let mapping = format!("event-source-mapping:{uuid}");
        let named = tagged(&format!("{ARN}{mapping}"), &tags).unwrap();
        assert_eq!(named, format!(r#"{uuid} {{"a": "b"}}"#));
        let config = format!("{ARN}code-signing-config:csc-0123456789abcdefg");
        assert_eq!(tagged(&config, &tags).unwrap(), r#"csc-0123456789abcdefg {"a": "b"}"#);
        let elsewhere = "arn:aws:lambda:eu-west-1:123456789012:";
        refused(&format!("{elsewhere}{mapping}"), &tags, missing);
        refused(&format!("{ARN}network-connector:n"), &tags, missing);
        for wrong in ["f", "arn:aws:s3:::bucket", "arn:aws:lambda:us-east-1:1:function:f"] {
            let text = format!(
                "ValidationException: 1 validation error detected: Value '{wrong}' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:("
            );
            refused(wrong, &tags, &text);
        }
    }

    #[test]
    fn tags_have_their_rules() {
        let arn = format!("{ARN}function:f");
        let nothing = "InvalidParameterValueException: An error occurred and the request cannot";
        refused(&arn, &json!({}), nothing);
        refused(&arn, &json!({"aws:x": "y"}), "InvalidParameterValueException: aws: prefixed");
        refused(
            &arn,
            &json!(null),
            "ValidationException: 1 validation error detected: Value null at 'tags'",
        );
        let tags: BTreeMap<_, _> = (0..51).map(|n| (n.to_string(), "v".to_owned())).collect();
        let many = "InvalidParameterValueException: Number of tags exceeds resource tag limit.";
        refused(&arn, &json!(tags), many);
        assert!(added(tags, BTreeMap::new()).is_err());
        refused(
            &arn,
            &json!({"k".repeat(129): "v", "a": "v".repeat(257)}),
            "ValidationException: 2 ",
        );
    }

    #[test]
    fn keys_to_lose_stand_in_the_query() {
        let untag = |query: &str| {
            let uri: Uri = format!("/2017-03-31/tags/x?{query}").parse().unwrap();
            let read = untagged(&scope(), &format!("{ARN}function:f"), &uri);
            read.map_or_else(|error| error.to_string(), |(_, keys)| keys.join(" "))
        };
        assert_eq!(untag("tagKeys=a&tagKeys=b%20c"), "a b c");
        assert!(untag("").ends_with(
            "Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"
        ));
        assert!(untag("tagKeys=").starts_with("ValidationException"));
    }

    proptest! {
        #[test]
        fn no_resource_panics_the_reader(resource in ".{0,160}", near in "(arn:|aws:|lambda:|us-east-1:|123456789012:|function:|f|:){0,9}") {
            let _ = listed(&scope(), &resource);
            let _ = listed(&scope(), &near);
        }
    }
}
