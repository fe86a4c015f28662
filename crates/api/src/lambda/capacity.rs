//! Capacity providers and how functions scale on them: what is asked, how it is shown, and how what
//! cannot be done without managed instances is refused.

use dormouse_model::capacity::{self as model, CapacityProvider, State};
use dormouse_model::names::{CapacityProviderName, Scope};
use http::Uri;
use serde::Serialize;
use serde_json::{Value, json};

use super::list::max_items;
use super::name::{NameShape, Target};
use super::pattern::{CAPACITY_PROVIDER, is_partition, of_lambda};
use super::shape::{Member, Members, Shape, check, may, must, read};
use super::tag;
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::time;
use crate::validate::{Text, Violations, is_word};

use Shape::{Double, Integer, List, Map, Object, OneOf, Text as Is};

const NAME: Text = Text {
    min: 1,
    max: 140,
    pattern: r"(arn:aws[a-zA-Z-]*:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:capacity-provider:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+",
    fits: |text| is_word(text) || (CAPACITY_PROVIDER.fits)(text),
};
const SUBNET: Text = Text {
    min: 0,
    max: 1_024,
    pattern: "subnet-[0-9a-z]*",
    fits: |text| {
        text.strip_prefix("subnet-")
            .is_some_and(|id| id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()))
    },
};
const GROUP: Text = Text {
    min: 0,
    max: 1_024,
    pattern: "sg-[0-9a-zA-Z]*",
    fits: |text| {
        text.strip_prefix("sg-").is_some_and(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))
    },
};
const ROLE: Text = Text {
    min: 0,
    max: 10_000,
    pattern: r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    fits: is_role,
};
const INSTANCE: Text = Text {
    min: 1,
    max: 30,
    pattern: r"[a-zA-Z0-9\.\*\-]+",
    fits: |text| is_word(&text.replace(['.', '*'], "-")) && !text.contains('_'),
};
const KEY: Text = Text {
    min: 0,
    max: 10_000,
    pattern: r"arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*",
    fits: |text| !text.is_empty() && (super::pattern::ARN_OR_EMPTY.fits)(text),
};
const LOG_GROUP: Text = Text {
    min: 1,
    max: 512,
    pattern: r"[\.\-_/#A-Za-z0-9]+",
    fits: |text| is_word(&text.replace(['.', '/', '#'], "-")),
};
const QUALIFIER: Text = Text {
    min: 1,
    max: 128,
    pattern: r"(\$LATEST\.PUBLISHED|[0-9]+)",
    fits: |text| {
        text == "$LATEST.PUBLISHED"
            || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
    },
};

const INSTANCES: Shape = List(&Is(&INSTANCE), (0, 400));
const SCALING: Shape = Object(&[
    may("MaxVCpuCount", Integer(2, 15_000)),
    may("ScalingMode", OneOf(&["Auto", "Manual"])),
    may(
        "ScalingPolicies",
        List(
            &Object(&[
                must(
                    "PredefinedMetricType",
                    OneOf(&[
                        "LambdaCapacityProviderAverageCPUUtilization",
                        "LambdaCapacityProviderAverageGPUUtilization",
                    ]),
                ),
                must("TargetValue", Double(0.0, 100.0)),
            ]),
            (1, 10),
        ),
    ),
]);
const PROPAGATED: Shape = Object(&[
    may("Mode", OneOf(&["None", "Explicit"])),
    may(
        "ExplicitTags",
        Map((&Is(&super::pattern::TAG_KEY), &Is(&super::pattern::TAG_VALUE)), (0, 40)),
    ),
]);
const TELEMETRY: Shape = Object(&[may(
    "LoggingConfig",
    Object(&[
        may("SystemLogLevel", OneOf(&["DEBUG", "INFO", "WARN"])),
        may("LogGroup", Is(&LOG_GROUP)),
    ]),
)]);
const CREATE: &[Member] = &[
    must("CapacityProviderName", Is(&NAME)),
    must(
        "VpcConfig",
        Object(&[
            must("SubnetIds", List(&Is(&SUBNET), (1, 16))),
            must("SecurityGroupIds", List(&Is(&GROUP), (0, 5))),
        ]),
    ),
    must("PermissionsConfig", Object(&[must("CapacityProviderOperatorRoleArn", Is(&ROLE))])),
    may(
        "InstanceRequirements",
        Object(&[
            may("Architectures", List(&OneOf(&["x86_64", "arm64"]), (1, 1))),
            may("AllowedInstanceTypes", INSTANCES),
            may("ExcludedInstanceTypes", INSTANCES),
        ]),
    ),
    may("CapacityProviderScalingConfig", SCALING),
    may("KmsKeyArn", Is(&KEY)),
    may("Tags", tag::TAGS),
    may("PropagateTags", PROPAGATED),
    may("TelemetryConfig", TELEMETRY),
];
const UPDATE: &[Member] = &[
    may("CapacityProviderScalingConfig", SCALING),
    may("PropagateTags", PROPAGATED),
    may("TelemetryConfig", TELEMETRY),
];
const PUT_SCALING: &[Member] = &[may(
    "FunctionScalingConfig",
    Object(&[
        may("MinExecutionEnvironments", Integer(0, 15_000)),
        may("MaxExecutionEnvironments", Integer(0, 15_000)),
    ]),
)];

fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, role] = parts.as_slice() else { return false };
    // The slash that may follow may be the path itself.
    let Some(path) = role.strip_prefix("role") else { return false };
    is_partition(partition)
        && super::pattern::is_account(account)
        && !path.is_empty()
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&b))
}

/// Reads the body of `CreateCapacityProvider`.
///
/// # Errors
/// A body that is none; every violation in one text; a name of elsewhere; what cannot be together.
pub fn new(scope: &Scope, body: &[u8], now_ms: u64) -> Result<CapacityProvider, ApiError> {
    let mut members = read(body, CREATE)?;
    let mut violations = Violations::default();
    check(&mut violations, CREATE, &members);
    violations.finish()?;
    let name = members.remove("CapacityProviderName");
    let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
    let name = here(scope, name).ok_or_else(|| {
        let text = "A capacity provider is named by at most 64 letters, or by its ARN in this account \
                    and region.";
        ApiError::invalid_parameter(text)
    })?;
    if let Some(arn) = members.get("KmsKeyArn").and_then(Value::as_str) {
        return Err(super::no_key(arn));
    }
    check_scaling(&members)?;
    let tags = members.remove("Tags").map(serde_json::from_value).and_then(Result::ok);
    let tags = tag::given(tags.unwrap_or_default())?;
    Ok(CapacityProvider { name, scope: scope.clone(), members, modified_ms: now_ms, tags })
}

/// A change of a capacity provider.
#[derive(Debug)]
pub struct CapacityChange(Members);

/// The label and the body of `UpdateCapacityProvider`.
///
/// # Errors
/// A body that is none; every violation in one text; a provider of elsewhere.
pub fn change(
    scope: &Scope,
    name: &str,
    body: &[u8],
) -> Result<(CapacityProviderName, CapacityChange), ApiError> {
    let members = read(body, UPDATE)?;
    let mut violations = Violations::default();
    violations.text(name, "capacityProviderName", &NAME);
    check(&mut violations, UPDATE, &members);
    violations.finish()?;
    let name = here(scope, name).ok_or_else(|| not_found(name))?;
    check_scaling(&members)?;
    Ok((name, CapacityChange(members)))
}

impl CapacityChange {
    /// A provider after the change: what is not named stays.
    #[must_use]
    pub fn applied_to(self, provider: CapacityProvider, now_ms: u64) -> CapacityProvider {
        let mut members = provider.members;
        members.extend(self.0);
        CapacityProvider { members, modified_ms: now_ms, ..provider }
    }
}

fn check_scaling(members: &Members) -> Result<(), ApiError> {
    let scaling = members.get("CapacityProviderScalingConfig");
    let manual = scaling.is_some_and(|scaling| scaling["ScalingMode"] == "Manual");
    if manual && scaling.is_none_or(|scaling| scaling.get("ScalingPolicies").is_none()) {
        let text = "ScalingPolicies are required when ScalingMode is Manual.";
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(())
}

/// The provider that a label names.
///
/// # Errors
/// When it is no name, or one of elsewhere.
pub fn labelled(scope: &Scope, name: &str) -> Result<CapacityProviderName, ApiError> {
    let mut violations = Violations::default();
    violations.text(name, "capacityProviderName", &NAME);
    violations.finish()?;
    here(scope, name).ok_or_else(|| not_found(name))
}

/// Providers of another account or region are not to be seen.
fn here(scope: &Scope, name: &str) -> Option<CapacityProviderName> {
    match of_lambda(name, "capacity-provider") {
        Some(bare) => {
            let bare = bare.parse().ok()?;
            (model::arn(scope, &bare) == name).then_some(bare)
        }
        None => name.parse().ok(),
    }
}

/// A page of providers asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCapacityProvidersRequest {
    /// Only what is in this state.
    pub state: Option<String>,
    /// Only what comes after this one.
    pub after: Option<CapacityProviderName>,
    /// How many at most.
    pub items: usize,
}

impl ListCapacityProvidersRequest {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a marker that we did not make.
    pub fn read(uri: &Uri) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let state = query.get("State").map(String::from);
        let mut violations = Violations::default();
        if let Some(state) = &state {
            violations.one_of(state, "state", &["Pending", "Active", "Failed", "Deleting"]);
        }
        let items = max_items(query, &mut violations, 50);
        violations.finish()?;
        Ok(Self { state, after: marker(query)?, items })
    }
}

/// The label and the query of `ListFunctionVersionsByCapacityProvider`, of which every page is empty.
///
/// # Errors
/// Every violation in one text; a marker, since there is no second page; a provider of elsewhere.
pub fn versions(scope: &Scope, name: &str, uri: &Uri) -> Result<CapacityProviderName, ApiError> {
    let query = QueryString::of(uri);
    let mut violations = Violations::default();
    violations.text(name, "capacityProviderName", &NAME);
    max_items(query, &mut violations, 50);
    violations.finish()?;
    if query.get("Marker").is_some_and(|marker| !marker.is_empty()) {
        return Err(ApiError::invalid_parameter("Invalid marker."));
    }
    here(scope, name).ok_or_else(|| not_found(name))
}

fn marker(query: QueryString<'_>) -> Result<Option<CapacityProviderName>, ApiError> {
    let marker = query.get("Marker").filter(|marker| !marker.is_empty());
    let after = marker.map(|marker| marker.parse()).transpose();
    after.map_err(|_| ApiError::invalid_parameter("Invalid marker."))
}

/// The version whose scaling `GetFunctionScalingConfig` asks for.
///
/// # Errors
/// Every violation in one text; a name nobody has.
pub fn scaled(scope: &Scope, name: &str, uri: &Uri) -> Result<Target, ApiError> {
    scaled_with(scope, name, uri, Violations::default())
}

/// The same of `PutFunctionScalingConfig`, with what its body says of the scaling.
///
/// # Errors
/// The same, and a body that is none.
pub fn put_scaling(scope: &Scope, name: &str, uri: &Uri, body: &[u8]) -> Result<Target, ApiError> {
    let members = read(body, PUT_SCALING)?;
    let mut violations = Violations::default();
    check(&mut violations, PUT_SCALING, &members);
    scaled_with(scope, name, uri, violations)
}

fn scaled_with(
    scope: &Scope,
    name: &str,
    uri: &Uri,
    others: Violations,
) -> Result<Target, ApiError> {
    let qualifier = QueryString::of(uri).get("Qualifier").map(String::from);
    let mut violations = Violations::default();
    violations.required(qualifier.as_ref(), "qualifier", &QUALIFIER);
    violations.extend(others);
    let target = Target::resolve_with(scope, (name, None), NameShape::Unqualified, violations)?;
    let qualifier = qualifier.unwrap_or_default();
    let not_found = || {
        let rest = format_args!("function:{}:{qualifier}", target.key.name);
        ApiError::function_not_found(&scope.arn("lambda", rest))
    };
    // No function has a published `$LATEST` without managed instances.
    let qualifier = qualifier.parse().map_err(|_| not_found())?;
    Ok(Target { qualifier: Some(qualifier), ..target })
}

/// A provider alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CapacityProviderResponse {
    /// The provider.
    pub capacity_provider: Value,
}

/// A page of providers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCapacityProvidersResponse {
    /// The providers, by name.
    pub capacity_providers: Vec<Value>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// A provider as it is shown.
#[must_use]
pub fn shown(provider: &CapacityProvider, state: State) -> Value {
    let mut shown = provider.members.clone();
    shown.insert("CapacityProviderArn".to_owned(), json!(provider.arn()));
    shown.insert("State".to_owned(), json!(state.as_str()));
    shown.insert("LastModified".to_owned(), json!(time::lambda(provider.modified_ms)));
    Value::Object(shown)
}

/// The versions of functions on a provider: none.
#[must_use]
pub fn no_versions(provider: &CapacityProvider) -> Value {
    json!({"CapacityProviderArn": provider.arn(), "FunctionVersions": []})
}

/// How a version scales: nothing was requested and nothing is applied.
#[must_use]
pub fn no_scaling(target: &Target) -> Value {
    json!({"FunctionArn": target.arn()})
}

/// 400 for the scaling of a version that runs on no managed instances.
#[must_use]
pub fn not_managed(target: &Target) -> ApiError {
    ApiError::invalid_parameter(format!(
        "This server has no managed instances: the scaling of {} cannot be configured.",
        target.arn()
    ))
}

/// 404 for a provider that is not there.
#[must_use]
pub fn not_found(name: &str) -> ApiError {
    ApiError::new(Exception::ResourceNotFound, format!("Capacity provider not found: {name}"))
}

/// 409 for a name that is taken.
#[must_use]
pub fn exists(name: &CapacityProviderName) -> ApiError {
    ApiError::new(Exception::ResourceConflict, format!("Capacity provider already exist: {name}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shape::tests::any_json;
    use super::*;
    use crate::validate::tests::fits_what_it_makes;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn create(changes: &Value) -> Result<CapacityProvider, ApiError> {
        let mut body = json!({
            "CapacityProviderName": "p",
            "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
            "PermissionsConfig": {"CapacityProviderOperatorRoleArn": "arn:aws:iam::123456789012:role/r"},
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        new(&scope(), body.to_string().as_bytes(), 1_767_323_045_678)
    }

    #[test]
    fn a_provider_is_shown_as_it_was_described() {
        let scaling = json!({"ScalingMode": "Manual", "MaxVCpuCount": 8, "ScalingPolicies": [
            {"PredefinedMetricType": "LambdaCapacityProviderAverageCPUUtilization", "TargetValue": 70.5},
        ]});
        let provider = create(&json!({"CapacityProviderScalingConfig": scaling})).unwrap();
        assert_eq!(
            shown(&provider, State::Pending),
            json!({
                "CapacityProviderArn": "arn:aws:lambda:us-east-1:123456789012:capacity-provider:p",
                "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
                "PermissionsConfig": {"CapacityProviderOperatorRoleArn": "arn:aws:iam::123456789012:role/r"},
                "CapacityProviderScalingConfig": scaling, "State": "Pending",
                "LastModified": "2026-01-02T03:04:05.678+0000",
            })
        );
        let body = json!({"TelemetryConfig": {"LoggingConfig": {"LogGroup": "/g"}}}).to_string();
        let (name, changed) = change(&scope(), "p", body.as_bytes()).unwrap();
        let changed = changed.applied_to(provider.clone(), 5);
        assert_eq!((name, &changed.name), (provider.name.clone(), &provider.name));
        assert_eq!(changed.members["CapacityProviderScalingConfig"], scaling);
        assert_eq!(changed.members["TelemetryConfig"]["LoggingConfig"]["LogGroup"], "/g");
    }

    #[test]
    fn names_are_bare_or_arns_of_here() {
        let arn = "arn:aws:lambda:us-east-1:123456789012:capacity-provider:p";
        assert_eq!(create(&json!({"CapacityProviderName": arn})).unwrap().name.as_str(), "p");
        assert_eq!(labelled(&scope(), arn).unwrap().as_str(), "p");
        let elsewhere = arn.replace("us-east-1", "eu-west-1");
        assert_eq!(labelled(&scope(), &elsewhere).unwrap_err(), not_found(&elsewhere));
        for name in [elsewhere, "x".repeat(65)] {
            let error = create(&json!({"CapacityProviderName": name})).unwrap_err();
            assert_eq!(error.exception, Exception::InvalidParameterValue);
        }
    }

    #[test]
    fn wrong_members_are_told_at_once() {
        let text = create(&json!({
            "CapacityProviderName": "a b", "VpcConfig": {"SubnetIds": []}, "PermissionsConfig": {},
            "CapacityProviderScalingConfig": {"MaxVCpuCount": 1, "ScalingPolicies": [{"TargetValue": 101}]},
        }));
        let text = text.unwrap_err().message;
        assert!(text.starts_with("7 validation errors detected: "), "{text}");
        assert!(text.ends_with("Member must have value less than or equal to 100"), "{text}");
        let manual = json!({"CapacityProviderScalingConfig": {"ScalingMode": "Manual"}});
        assert_eq!(create(&manual).unwrap_err().exception, Exception::InvalidParameterValue);
        let key = json!({"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"});
        assert!(create(&key).unwrap_err().message.contains("NotFoundException"));
    }

    #[test]
    fn only_versions_scale() {
        let scaled = |name: &str, query: &str| {
            let read = scaled(&scope(), name, &format!("/x?{query}").parse().unwrap());
            read.map_or_else(|error| error.to_string(), |target| target.arn())
        };
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
        assert_eq!(scaled("f", "Qualifier=1"), format!("{arn}:1"));
        assert!(scaled("f:1", "Qualifier=live").starts_with("ValidationException: 2 "));
        assert!(scaled("f", "").contains("Value null at 'qualifier'"));
        let published = scaled("f", "Qualifier=%24LATEST.PUBLISHED");
        assert!(published.ends_with(&format!("Function not found: {arn}:$LATEST.PUBLISHED")));
    }

    #[test]
    fn whatever_a_pattern_makes_is_let_through() {
        for rule in [&NAME, &SUBNET, &GROUP, &ROLE, &INSTANCE, &LOG_GROUP, &QUALIFIER] {
            fits_what_it_makes(rule.pattern, rule.fits);
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(value in any_json(), text in ".{0,60}") {
            for name in ["VpcConfig", "CapacityProviderScalingConfig", "PropagateTags", "Tags"] {
                let _ = create(&json!({name: value}));
            }
            let _ = create(&json!({"CapacityProviderName": text}));
            let _ = labelled(&scope(), &text);
        }
    }
}
