//! Code signing configurations: what is asked of them, how they are shown, and what is said to code
//! that bears no signature.

use dormouse_model::code_signing::{self as model, CodeSigningConfig, Untrusted};
use dormouse_model::names::{CodeSigningConfigId, FunctionKey, FunctionName, Scope};
use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::list::max_items;
use super::name::{NameShape, Target};
use super::pattern::{ARN, CODE_SIGNING_CONFIG, DESCRIPTION};
use super::shape::{Member, Shape, check, may, must, read, typed};
use super::tag;
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::time;
use crate::validate::Violations;

const PUBLISHERS: Shape =
    Shape::Object(&[must("SigningProfileVersionArns", Shape::List(&Shape::Text(&ARN), (1, 20)))]);
const POLICIES: Shape =
    Shape::Object(&[may("UntrustedArtifactOnDeployment", Shape::OneOf(&["Warn", "Enforce"]))]);
const CREATE: &[Member] = &[
    may("Description", Shape::Text(&DESCRIPTION)),
    must("AllowedPublishers", PUBLISHERS),
    may("CodeSigningPolicies", POLICIES),
    may("Tags", tag::TAGS),
];
const UPDATE: &[Member] = &[
    may("Description", Shape::Text(&DESCRIPTION)),
    may("AllowedPublishers", PUBLISHERS),
    may("CodeSigningPolicies", POLICIES),
];
const PUT: &[Member] = &[must("CodeSigningConfigArn", Shape::Text(&CODE_SIGNING_CONFIG))];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Said {
    description: Option<String>,
    allowed_publishers: Option<Publishers>,
    code_signing_policies: Policies,
    tags: tag::Given,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Publishers {
    signing_profile_version_arns: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Policies {
    untrusted_artifact_on_deployment: Option<Untrusted>,
}

/// Reads the body of `CreateCodeSigningConfig`.
///
/// # Errors
/// A body that is none; every violation in one text; tags nobody may give.
pub fn new(
    scope: &Scope,
    id: CodeSigningConfigId,
    body: &[u8],
    now_ms: u64,
) -> Result<CodeSigningConfig, ApiError> {
    let members = read(body, CREATE)?;
    let mut violations = Violations::default();
    check(&mut violations, CREATE, &members);
    violations.finish()?;
    let said: Said = typed(members)?;
    Ok(CodeSigningConfig {
        id,
        scope: scope.clone(),
        description: said.description,
        publishers: said.allowed_publishers.unwrap_or_default().signing_profile_version_arns,
        untrusted: said.code_signing_policies.untrusted_artifact_on_deployment.unwrap_or_default(),
        modified_ms: now_ms,
        tags: tag::given(said.tags)?,
    })
}

/// A change of a configuration.
#[derive(Debug)]
pub struct CodeSigningChange(Said);

/// Reads the label and the body of `UpdateCodeSigningConfig`; absent members stay as they are.
///
/// # Errors
/// A body that is none; every violation in one text; a configuration of elsewhere.
pub fn change(
    scope: &Scope,
    arn: &str,
    body: &[u8],
) -> Result<(CodeSigningConfigId, CodeSigningChange), ApiError> {
    let members = read(body, UPDATE)?;
    let mut violations = Violations::default();
    violations.text(arn, "codeSigningConfigArn", &CODE_SIGNING_CONFIG);
    check(&mut violations, UPDATE, &members);
    violations.finish()?;
    let id = here(scope, arn).ok_or_else(|| not_found(arn))?;
    Ok((id, CodeSigningChange(typed(members)?)))
}

impl CodeSigningChange {
    /// A configuration after the change.
    #[must_use]
    pub fn applied_to(self, config: CodeSigningConfig, now_ms: u64) -> CodeSigningConfig {
        let Said { description, allowed_publishers, code_signing_policies, .. } = self.0;
        let untrusted = code_signing_policies.untrusted_artifact_on_deployment;
        CodeSigningConfig {
            description: description.or(config.description),
            publishers: allowed_publishers
                .map_or(config.publishers, |publishers| publishers.signing_profile_version_arns),
            untrusted: untrusted.unwrap_or(config.untrusted),
            modified_ms: now_ms,
            ..config
        }
    }
}

/// The configuration that a label names.
///
/// # Errors
/// When it is no ARN of one, or one of elsewhere.
pub fn labelled(scope: &Scope, arn: &str) -> Result<CodeSigningConfigId, ApiError> {
    let mut violations = Violations::default();
    violations.text(arn, "codeSigningConfigArn", &CODE_SIGNING_CONFIG);
    violations.finish()?;
    here(scope, arn).ok_or_else(|| not_found(arn))
}

/// The configuration that a request wants a function to have.
///
/// # Errors
/// When it is one of elsewhere.
pub(super) fn wanted(scope: &Scope, arn: &str) -> Result<CodeSigningConfigId, ApiError> {
    here(scope, arn).ok_or_else(|| cannot_be_found(arn))
}

/// The label and the body of `PutFunctionCodeSigningConfig`.
///
/// # Errors
/// A body that is none; every violation in one text; a name with a qualifier.
pub fn put(
    scope: &Scope,
    name: &str,
    body: &[u8],
) -> Result<(FunctionKey, CodeSigningConfigId), ApiError> {
    let members = read(body, PUT)?;
    let mut violations = Violations::default();
    check(&mut violations, PUT, &members);
    let target = Target::resolve_with(scope, (name, None), NameShape::Existing, violations)?;
    let arn = members.get("CodeSigningConfigArn").and_then(Value::as_str).unwrap_or_default();
    Ok((unqualified(target)?, wanted(scope, arn)?))
}

/// The function of a label, which must not be qualified.
///
/// # Errors
/// When a version or an alias is named.
pub fn unqualified(target: Target) -> Result<FunctionKey, ApiError> {
    if target.qualifier.is_some() {
        return Err(ApiError::invalid_parameter(
            "This operation is permitted on Lambda functions only. Aliases and versions do not \
             support this operation. Please specify either a function name or an unqualified \
             function ARN.",
        ));
    }
    Ok(target.key)
}

/// Configurations of another account or region are not to be seen.
fn here(scope: &Scope, arn: &str) -> Option<CodeSigningConfigId> {
    let id = arn.rsplit(':').next()?.parse().ok()?;
    (model::arn(scope, &id) == arn).then_some(id)
}

/// A page of configurations asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Only what comes after this one.
    pub after: Option<T>,
    /// How many at most.
    pub items: usize,
}

impl<T: std::str::FromStr> Page<T> {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a marker that we did not make.
    pub fn read(uri: &Uri) -> Result<Self, ApiError> {
        Self::read_with(uri, Violations::default())
    }

    fn read_with(uri: &Uri, mut violations: Violations) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let items = max_items(query, &mut violations, 10_000);
        violations.finish()?;
        let marker = query.get("Marker").filter(|marker| !marker.is_empty());
        let after = marker.map(|marker| marker.parse()).transpose();
        let after = after.map_err(|_| ApiError::invalid_parameter("Invalid marker."))?;
        Ok(Self { after, items })
    }
}

/// The label and the query of `ListFunctionsByCodeSigningConfig`.
///
/// # Errors
/// Every violation in one text; a marker that we did not make; a configuration of elsewhere.
pub fn users(
    scope: &Scope,
    arn: &str,
    uri: &Uri,
) -> Result<(CodeSigningConfigId, Page<FunctionName>), ApiError> {
    let mut violations = Violations::default();
    violations.text(arn, "codeSigningConfigArn", &CODE_SIGNING_CONFIG);
    let page = Page::read_with(uri, violations)?;
    Ok((here(scope, arn).ok_or_else(|| not_found(arn))?, page))
}

/// A configuration alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CodeSigningConfigResponse {
    /// The configuration.
    pub code_signing_config: Value,
}

/// A page of configurations.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCodeSigningConfigsResponse {
    /// The configurations, by id.
    pub code_signing_configs: Vec<Value>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// A page of functions that have a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListFunctionsByCodeSigningConfigResponse {
    /// Their ARNs, by name.
    pub function_arns: Vec<String>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// What a function has; AWS leaves the ARN out when it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionCodeSigningConfigResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    code_signing_config_arn: Option<String>,
    function_name: String,
}

impl FunctionCodeSigningConfigResponse {
    /// What a function has.
    #[must_use]
    pub fn of(key: &FunctionKey, config: Option<&CodeSigningConfigId>) -> Self {
        Self {
            code_signing_config_arn: config.map(|id| model::arn(&key.scope, id)),
            function_name: key.name.to_string(),
        }
    }
}

/// A configuration as it is shown.
#[must_use]
pub fn shown(config: &CodeSigningConfig) -> Value {
    let said = [
        ("CodeSigningConfigId", json!(config.id)),
        ("CodeSigningConfigArn", json!(config.arn())),
        ("Description", json!(config.description)),
        ("AllowedPublishers", json!({"SigningProfileVersionArns": config.publishers})),
        ("CodeSigningPolicies", json!({"UntrustedArtifactOnDeployment": config.untrusted})),
        ("LastModified", json!(time::lambda(config.modified_ms))),
    ];
    let members = said.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(members.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// 404 for a configuration that is not there.
#[must_use]
pub fn not_found(arn: &str) -> ApiError {
    let text = format!("The Lambda code signing configuration {arn} can not be found.");
    ApiError::new(Exception::ResourceNotFound, text)
}

/// 404 for a function that is to have what is not there.
#[must_use]
pub fn cannot_be_found(arn: &str) -> ApiError {
    let text = format!(
        "The code signing configuration cannot be found. Check that the provided configuration is \
         not deleted: {arn}."
    );
    ApiError::new(Exception::CodeSigningConfigNotFound, text)
}

/// 409 for a configuration that functions have.
#[must_use]
pub fn in_use(arn: &str) -> ApiError {
    let text = format!(
        "The code signing configuration {arn} is in use by functions. Remove it from them."
    );
    ApiError::new(Exception::ResourceConflict, text)
}

/// 400 for unsigned code where signatures are enforced.
#[must_use]
pub fn unsigned(key: &FunctionKey) -> ApiError {
    let text = format!(
        "Lambda cannot deploy the function. The function or layer might be signed using a signature \
         that the client is not configured to accept. Check the provided signature for {}.",
        key.arn()
    );
    ApiError::new(Exception::CodeVerificationFailed, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shape::tests::any_json;
    use super::*;

    const PROFILE: &str = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/p/v";
    const ARN: &str =
        "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-0123456789abcdefg";

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn create(body: &Value) -> Result<CodeSigningConfig, ApiError> {
        let id = "csc-0123456789abcdefg".parse().unwrap();
        new(&scope(), id, body.to_string().as_bytes(), 1_767_323_045_678)
    }

    fn minimal() -> Value {
        json!({"AllowedPublishers": {"SigningProfileVersionArns": [PROFILE]}})
    }

    #[test]
    fn a_configuration_warns_unless_told_otherwise() {
        assert_eq!(
            shown(&create(&minimal()).unwrap()),
            json!({
                "CodeSigningConfigId": "csc-0123456789abcdefg", "CodeSigningConfigArn": ARN,
                "AllowedPublishers": {"SigningProfileVersionArns": [PROFILE]},
                "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"},
                "LastModified": "2026-01-02T03:04:05.678+0000",
            })
        );
        let body = json!({"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Enforce"}});
        let (id, strict) = change(&scope(), ARN, body.to_string().as_bytes()).unwrap();
        let config = create(&minimal()).unwrap();
        assert!(config.lets_unsigned_pass() && id == config.id);
        let config = strict.applied_to(config, 5);
        assert!(!config.lets_unsigned_pass() && config.publishers == [PROFILE]);
    }

    #[test]
    fn wrong_members_are_told_at_once() {
        let text = create(&json!({
            "Description": "x".repeat(257), "AllowedPublishers": {"SigningProfileVersionArns": ["x"]},
            "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Ask"}, "Tags": {"": ""},
        }));
        let text = text.unwrap_err().message;
        assert!(text.starts_with("4 validation errors detected: "), "{text}");
        let text = change(&scope(), "x", br#"{"AllowedPublishers": {}}"#).unwrap_err().message;
        assert!(text.starts_with("2 validation errors detected: "), "{text}");
        let text = put(&scope(), "a b", b"{}").unwrap_err().message;
        assert!(text.starts_with("2 validation errors detected: "), "{text}");
    }

    #[test]
    fn what_is_elsewhere_is_not_found() {
        let elsewhere = ARN.replace("us-east-1", "eu-west-1");
        assert_eq!(labelled(&scope(), &elsewhere).unwrap_err(), not_found(&elsewhere));
        let body = json!({"CodeSigningConfigArn": elsewhere}).to_string();
        let error = put(&scope(), "f", body.as_bytes()).unwrap_err();
        assert_eq!(error, cannot_be_found(&elsewhere));
        let body = json!({"CodeSigningConfigArn": ARN}).to_string();
        assert_eq!(
            put(&scope(), "f", body.as_bytes()).unwrap().1.as_str(),
            "csc-0123456789abcdefg"
        );
        let error = put(&scope(), "f:1", body.as_bytes()).unwrap_err();
        assert!(error.message.starts_with("This operation is permitted on Lambda functions only."));
    }

    #[test]
    fn a_function_without_one_shows_its_name_alone() {
        let key = FunctionKey { scope: scope(), name: "f".parse().unwrap() };
        let answer = FunctionCodeSigningConfigResponse::of(&key, None);
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"FunctionName":"f"}"#);
    }

    proptest! {
        #[test]
        fn no_body_panics(value in any_json(), text in ".{0,60}") {
            let _ = create(&json!({"AllowedPublishers": value, "CodeSigningPolicies": value, "Tags": value}));
            let _ = create(&json!({"AllowedPublishers": {"SigningProfileVersionArns": [text]}}));
            let _ = labelled(&scope(), &text);
        }
    }
}
