//! Aliases: what the operations ask and answer, and the words in which they are refused.

use std::collections::BTreeMap;

use dormouse_model::alias::{Alias, AliasChange, AliasDenied, Weighted};
use dormouse_model::limits;
use dormouse_model::names::{AliasName, FunctionKey, Qualifier, RevisionId, Version};
use http::Uri;
use serde::{Deserialize, Serialize};

use super::list::max_items;
use super::update::expected;
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::{LONGEST, PATTERN, SHORTEST, Violations, is_word};

const NAME_PATTERN: &str = "(?!^[0-9]+$)([a-zA-Z0-9-_]+)";
const NAME_CHARS: usize = 128;
const VERSION_PATTERN: &str = r"(\$LATEST(\.PUBLISHED)?|[0-9]+)";
const VERSION_CHARS: usize = 1_024;

/// `AliasRoutingConfiguration`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RoutingConfig {
    additional_version_weights: Option<BTreeMap<String, Option<f64>>>,
}

/// The body of `CreateAlias`, and of `UpdateAlias`, which has no name and may have a revision.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AliasRequest {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<RoutingConfig>,
    revision_id: Option<String>,
}

/// An alias to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAlias {
    /// Its name.
    pub name: AliasName,
    version: Version,
    additional: Option<Weighted>,
    description: String,
}

impl NewAlias {
    /// The alias.
    #[must_use]
    pub fn of(self, function: FunctionKey, revision: RevisionId) -> Alias {
        Alias {
            function,
            name: self.name,
            version: self.version,
            additional: self.additional,
            description: self.description,
            revision,
        }
    }
}

impl AliasRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// The alias that `CreateAlias` asks for.
    ///
    /// # Errors
    /// Every violation of the framework in one text, then the service's objection.
    pub fn new_alias(self) -> Result<NewAlias, ApiError> {
        let mut violations = Violations::default();
        let name = match &self.name {
            Some(name) => check_name(&mut violations, name),
            None => {
                violations.null("name");
                None
            }
        };
        let version = self.check(&mut violations);
        if self.function_version.is_none() {
            violations.null("functionVersion");
        }
        violations.finish()?;
        let (Some(name), Some(version)) = (name, version) else {
            return Err(ApiError::invalid_parameter("Name and FunctionVersion are required."));
        };
        let additional = additional(self.routing_config)?.flatten();
        let description = self.description.unwrap_or_default();
        Ok(NewAlias { name, version, additional, description })
    }

    /// The change that `UpdateAlias` asks for.
    ///
    /// # Errors
    /// Every violation of the framework in one text, then the service's objection.
    pub fn change(self) -> Result<AliasChange, ApiError> {
        let mut violations = Violations::default();
        let version = self.check(&mut violations);
        violations.finish()?;
        let expected = expected(self.revision_id)?;
        let additional = additional(self.routing_config)?;
        Ok(AliasChange { version, additional, description: self.description, expected })
    }

    fn check(&self, violations: &mut Violations) -> Option<Version> {
        if let Some(description) = &self.description {
            violations.length(description, "description", 0, limits::DESCRIPTION_CHARS);
        }
        let routing = self.routing_config.as_ref();
        if let Some(weights) = routing.and_then(|it| it.additional_version_weights.as_ref()) {
            check_weights(violations, weights);
        }
        let version = self.function_version.as_deref();
        version.and_then(|version| check_version(violations, version))
    }
}

/// The path label `Name`.
///
/// # Errors
/// When it cannot be the name of an alias.
pub fn name(name: &str) -> Result<AliasName, ApiError> {
    let mut violations = Violations::default();
    let alias = check_name(&mut violations, name);
    violations.finish()?;
    alias.ok_or_else(|| ApiError::invalid_parameter("Name is required."))
}

/// Nothing is returned exactly when something was added.
fn check_name(violations: &mut Violations, name: &str) -> Option<AliasName> {
    violations.length(name, "name", 1, NAME_CHARS);
    let fits = is_word(name) && !name.bytes().all(|b| b.is_ascii_digit());
    violations.pattern(name, "name", fits, NAME_PATTERN);
    name.parse().ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The number of no version.
const NO_VERSION: u64 = u64::MAX;

/// A number that is too large is that of no version.
fn number(text: &str) -> u64 {
    text.parse().unwrap_or(NO_VERSION)
}

fn check_version(violations: &mut Violations, text: &str) -> Option<Version> {
    violations.length(text, "functionVersion", 1, VERSION_CHARS);
    let fits = matches!(text, "$LATEST" | "$LATEST.PUBLISHED") || is_number(text);
    violations.pattern(text, "functionVersion", fits, VERSION_PATTERN);
    match text {
        "$LATEST" => Some(Version::Latest),
        // Only functions on managed instances publish so, and there are none: it is no version's.
        "$LATEST.PUBLISHED" => Some(Version::Number(NO_VERSION)),
        text => fits.then(|| Version::Number(number(text))),
    }
}

fn check_weights(violations: &mut Violations, weights: &BTreeMap<String, Option<f64>>) {
    let path = "routingConfig.additionalVersionWeights";
    let shown = |weight: &Option<f64>| weight.map_or("null".to_owned(), |w| format!("{w:?}"));
    let entries = weights.iter().map(|(number, weight)| format!("{number}={}", shown(weight)));
    let value = format!("{{{}}}", entries.collect::<Vec<_>>().join(", "));
    if weights.keys().any(|key| !is_number(key) || key.len() > VERSION_CHARS) {
        let rule = format!(
            "Map keys must satisfy constraint: [{LONGEST} {VERSION_CHARS}, {SHORTEST} 1, \
             {PATTERN}: [0-9]+, Member must not be null]"
        );
        violations.add(&value, path, rule);
    }
    if weights.values().any(|weight| weight.is_none_or(|weight| !(0.0..=1.0).contains(&weight))) {
        let rule = "Map value must satisfy constraint: [Member must have value less than or equal \
                    to 1.0, Member must have value greater than or equal to 0.0, Member must not \
                    be null]";
        violations.add(&value, path, rule);
    }
}

/// The other version: nothing is said, or there is none, or this one.
fn additional(routing: Option<RoutingConfig>) -> Result<Option<Option<Weighted>>, ApiError> {
    let Some(routing) = routing else {
        return Ok(None);
    };
    let weights = routing.additional_version_weights.unwrap_or_default();
    if weights.len() > 1 {
        return Err(ApiError::invalid_parameter(
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ));
    }
    let weighted = |(version, weight): (String, Option<f64>)| {
        Some(Weighted { number: number(&version), weight: weight? })
    };
    Ok(Some(weights.into_iter().find_map(weighted)))
}

/// Why an alias cannot be so, in AWS's words.
#[must_use]
pub fn denied(denied: AliasDenied, function: &FunctionKey) -> ApiError {
    match denied {
        AliasDenied::StaleRevision => ApiError::stale_revision(),
        AliasDenied::NoVersion(version) => {
            let arn = function.qualified_arn(&Qualifier::Version(version));
            ApiError::function_not_found(&arn)
        }
        AliasDenied::Twice(number) => ApiError::invalid_parameter(format!(
            "Invalid function version {number}. Function version {number} is already included in \
             routing configuration."
        )),
        AliasDenied::Latest => ApiError::invalid_parameter(
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
    }
}

/// 409 for a second `CreateAlias`.
#[must_use]
pub fn exists(alias: &Alias) -> ApiError {
    let text = format!("Alias already exists: {}", alias.arn());
    ApiError::new(Exception::ResourceConflict, text)
}

/// 404 of `GetAlias`.
#[must_use]
pub fn cannot_find(function: &FunctionKey, name: &AliasName) -> ApiError {
    let arn = function.qualified_arn(&Qualifier::Alias(name.clone()));
    ApiError::new(Exception::ResourceNotFound, format!("Cannot find alias arn: {arn}"))
}

/// 404 of `UpdateAlias`.
#[must_use]
pub fn not_found(function: &FunctionKey, name: &AliasName) -> ApiError {
    let arn = function.qualified_arn(&Qualifier::Alias(name.clone()));
    ApiError::new(Exception::ResourceNotFound, format!("Alias not found: {arn}"))
}

/// 409 for the deletion of a version that aliases run.
#[must_use]
pub fn held(names: &[AliasName]) -> ApiError {
    let names: Vec<&str> = names.iter().map(AliasName::as_str).collect();
    let text = format!(
        "Unable to delete version because the following aliases reference it: [{}]",
        names.join(", ")
    );
    ApiError::new(Exception::ResourceConflict, text)
}

/// The query of `ListAliases`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAliasesRequest {
    /// Only aliases that run this version.
    pub runs: Option<Version>,
    /// Only aliases after this one.
    pub after: Option<AliasName>,
    /// How many at most.
    pub items: usize,
}

impl ListAliasesRequest {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a marker that we did not make.
    pub fn read(uri: &Uri) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let mut violations = Violations::default();
        let items = max_items(query, &mut violations, 10_000);
        let version = query.get("FunctionVersion");
        let runs = version.and_then(|version| check_version(&mut violations, &version));
        violations.finish()?;
        let marker = query.get("Marker").filter(|marker| !marker.is_empty());
        let after = marker.map(|marker| marker.parse()).transpose();
        let after = after.map_err(|_| ApiError::invalid_parameter("Invalid marker."))?;
        Ok(Self { runs, after, items })
    }
}

/// `AliasConfiguration`
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasConfiguration {
    alias_arn: String,
    name: String,
    function_version: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_config: Option<ShownRouting>,
    revision_id: RevisionId,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownRouting {
    additional_version_weights: BTreeMap<String, f64>,
}

impl AliasConfiguration {
    /// An alias as every operation shows it.
    #[must_use]
    pub fn of(alias: &Alias) -> Self {
        let routing = |it: Weighted| ShownRouting {
            additional_version_weights: [(it.number.to_string(), it.weight)].into(),
        };
        Self {
            alias_arn: alias.arn(),
            name: alias.name.to_string(),
            function_version: alias.version.to_string(),
            description: alias.description.clone(),
            routing_config: alias.additional.map(routing),
            revision_id: alias.revision.clone(),
        }
    }
}

/// A page of aliases.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAliasesResponse {
    /// The aliases, by name.
    pub aliases: Vec<AliasConfiguration>,
    /// What to pass as `Marker` for the next page: the last name of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::lambda::configuration::tests::pending;

    const REVISION: &str = "00000000-0000-4000-8000-000000000001";

    fn read(body: &Value) -> AliasRequest {
        AliasRequest::read(body.to_string().as_bytes()).unwrap()
    }

    fn new(body: &Value) -> Result<NewAlias, ApiError> {
        read(body).new_alias()
    }

    #[test]
    fn an_alias_is_read_and_shown() {
        let plain = json!({"Name": "live", "FunctionVersion": "1"});
        let shown = |body: &Value| {
            let alias = new(body).unwrap().of(pending().key, REVISION.parse().unwrap());
            serde_json::to_string(&AliasConfiguration::of(&alias)).unwrap()
        };
        assert_eq!(
            shown(&plain),
            r#"{"AliasArn":"arn:aws:lambda:us-east-1:123456789012:function:hello:live","Name":"live","FunctionVersion":"1","Description":"","RevisionId":"00000000-0000-4000-8000-000000000001"}"#
        );
        let weighted = json!({
            "Name": "live", "FunctionVersion": "1", "Description": "d",
            "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.05}},
        });
        assert_eq!(
            shown(&weighted),
            r#"{"AliasArn":"arn:aws:lambda:us-east-1:123456789012:function:hello:live","Name":"live","FunctionVersion":"1","Description":"d","RoutingConfig":{"AdditionalVersionWeights":{"2":0.05}},"RevisionId":"00000000-0000-4000-8000-000000000001"}"#
        );
    }

    #[test]
    fn a_change_tells_no_routing_from_an_empty_one() {
        let change = |body: Value| read(&body).change();
        assert_eq!(change(json!({})).unwrap(), AliasChange::default());
        for empty in [json!({}), json!({"AdditionalVersionWeights": {}})] {
            let cleared = change(json!({"RoutingConfig": empty})).unwrap();
            assert_eq!(cleared.additional, Some(None));
        }
        let weights = json!({"RoutingConfig": {"AdditionalVersionWeights": {"2": 1}}});
        let weighted = Weighted { number: 2, weight: 1.0 };
        assert_eq!(change(weights).unwrap().additional, Some(Some(weighted)));
        let stale = change(json!({"RevisionId": "old"})).unwrap_err();
        assert_eq!(stale, ApiError::stale_revision());
    }

    #[test]
    fn a_wrong_alias_is_refused() {
        let text = |body: Value| new(&body).unwrap_err().to_string();
        insta::assert_snapshot!(text(json!({"Name": "7", "Description": "x".repeat(257)})).replace(&"x".repeat(257), "x…").replace("; ", ";\n"), @r"
        ValidationException: 3 validation errors detected: Value '7' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+);
        Value 'x…' at 'description' failed to satisfy constraint: Member must have length less than or equal to 256;
        Value null at 'functionVersion' failed to satisfy constraint: Member must not be null
        ");
        let weights = |weights: Value| {
            let routing = json!({"AdditionalVersionWeights": weights});
            text(json!({"Name": "a", "FunctionVersion": "live", "RoutingConfig": routing}))
        };
        insta::assert_snapshot!(weights(json!({"$LATEST": 1.5})).replace("; ", ";\n"), @r"
        ValidationException: 3 validation errors detected: Value '{$LATEST=1.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, Member must not be null];
        Value '{$LATEST=1.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null];
        Value 'live' at 'functionVersion' failed to satisfy constraint: Member must satisfy regular expression pattern: (\$LATEST(\.PUBLISHED)?|[0-9]+)
        ");
        assert!(weights(json!({"2": null})).contains("Value '{2=null}' at"));
        let two = json!({"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}});
        assert_eq!(
            text(json!({"Name": "a", "FunctionVersion": "1", "RoutingConfig": two})),
            "InvalidParameterValueException: Number of items in AdditionalVersionWeights cannot be greater than 1"
        );
        assert!(name("12").is_err() && name("a b").is_err() && name(&"x".repeat(129)).is_err());
    }

    #[test]
    fn a_page_is_bounded_and_starts_after_its_marker() {
        let read = |query: &str| ListAliasesRequest::read(&format!("/x?{query}").parse().unwrap());
        let page = read("MaxItems=7&Marker=live&FunctionVersion=$LATEST").unwrap();
        assert_eq!((page.items, page.runs), (7, Some(Version::Latest)));
        assert_eq!(page.after, Some("live".parse().unwrap()));
        assert!(read("FunctionVersion=live").is_err() && read("Marker=1").is_err());
    }

    proptest! {
        #[test]
        fn no_text_in_a_member_panics(text in ".{0,140}", weight in any::<f64>()) {
            let routing = json!({"AdditionalVersionWeights": {text.clone(): weight}});
            let body = json!({"Name": text, "FunctionVersion": text, "RoutingConfig": routing});
            let _ = new(&body);
            let _ = read(&body).change();
        }
    }
}
