//! `PutFunctionEventInvokeConfig` and its siblings: what becomes of asynchronous invocations.

use dormouse_model::event_invoke::EventInvokeConfig;
use dormouse_model::names::{FunctionKey, Qualifier, Version};
use serde::{Deserialize, Serialize};

use super::name::{Target, is_region};
use crate::error::{ApiError, Exception};
use crate::validate::{Text, Violations};

const DESTINATION_PATTERN: &str = r"$|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)";
const DESTINATION_CHARS: usize = 350;
/// Where records can go.
pub(super) const DESTINATION: Text =
    Text { min: 0, max: DESTINATION_CHARS, pattern: DESTINATION_PATTERN, fits };
/// Services that take the records of asynchronous invocations.
const DESTINATIONS: [&str; 5] = ["sqs", "sns", "lambda", "events", "s3"];

/// The body of `PutFunctionEventInvokeConfig` and `UpdateFunctionEventInvokeConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EventInvokeConfigRequest {
    maximum_retry_attempts: Option<i64>,
    maximum_event_age_in_seconds: Option<i64>,
    destination_config: Option<DestinationConfig>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DestinationConfig {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
}

impl Destination {
    fn given(self) -> Option<String> {
        self.destination.filter(|arn| !arn.is_empty())
    }
}

/// A change of a configuration: what is absent stays, or falls back to what holds unless said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventInvokeChange {
    retries: Option<u32>,
    age_s: Option<u32>,
    /// Absent when nothing was said; an empty one removes.
    on_success: Option<Option<String>>,
    on_failure: Option<Option<String>>,
}

impl EventInvokeConfigRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// What is to change.
    ///
    /// # Errors
    /// Every violation in one text; a request that says nothing.
    pub fn validate(self) -> Result<EventInvokeChange, ApiError> {
        let mut violations = Violations::default();
        if let Some(retries) = self.maximum_retry_attempts {
            violations.range(retries, "maximumRetryAttempts", 0, 2);
        }
        if let Some(age) = self.maximum_event_age_in_seconds {
            violations.range(age, "maximumEventAgeInSeconds", 60, 21_600);
        }
        let destinations = self.destination_config.clone().unwrap_or_default();
        for (destination, path) in [
            (&destinations.on_success, "destinationConfig.onSuccess.destination"),
            (&destinations.on_failure, "destinationConfig.onFailure.destination"),
        ] {
            if let Some(arn) = destination.as_ref().and_then(|d| d.destination.as_ref()) {
                violations.length(arn, path, 0, DESTINATION_CHARS);
                violations.pattern(arn, path, fits(arn), DESTINATION_PATTERN);
            }
        }
        violations.finish()?;
        let handling =
            self.maximum_retry_attempts.is_some() || self.maximum_event_age_in_seconds.is_some();
        if !handling && self.destination_config.is_none() {
            let text = "You must specify at least one of error handling or destination setting.";
            return Err(ApiError::invalid_parameter(text));
        }
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        Ok(EventInvokeChange {
            retries: number(self.maximum_retry_attempts),
            age_s: number(self.maximum_event_age_in_seconds),
            on_success: destinations.on_success.map(Destination::given),
            on_failure: destinations.on_failure.map(Destination::given),
        })
    }
}

impl EventInvokeChange {
    fn arns(&self) -> impl Iterator<Item = &str> {
        [&self.on_success, &self.on_failure].into_iter().flatten().flatten().map(String::as_str)
    }

    /// The service's checks of destinations; whether they are there is not known here.
    ///
    /// # Errors
    /// When one is of a service that takes no records, or is the function itself.
    pub fn check(&self, target: &Target) -> Result<(), ApiError> {
        let takes = |arn: &str| arn.split(':').nth(2).is_some_and(|s| DESTINATIONS.contains(&s));
        if !self.arns().all(takes) {
            let shown = |name: &str, arn: &Option<Option<String>>| match arn.iter().flatten().next()
            {
                Some(arn) => format!("{name}(destination={arn})"),
                None => "null".to_owned(),
            };
            return Err(ApiError::invalid_parameter(format!(
                "The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is \
                 invalid.",
                shown("OnSuccess", &self.on_success),
                shown("OnFailure", &self.on_failure)
            )));
        }
        if self.arns().any(|arn| is_of(arn, target)) {
            let text = "You can't specify the function as a destination for itself.";
            return Err(ApiError::invalid_parameter(text));
        }
        Ok(())
    }

    /// The functions that records are to go to, as they are named.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.arns().filter(|arn| arn.split(':').nth(2) == Some("lambda"))
    }

    /// A whole configuration of what was said.
    #[must_use]
    pub fn whole(self, now_ms: u64) -> EventInvokeConfig {
        self.applied_to(EventInvokeConfig::default(), now_ms)
    }

    /// A configuration with what was said changed.
    #[must_use]
    pub fn applied_to(self, config: EventInvokeConfig, now_ms: u64) -> EventInvokeConfig {
        EventInvokeConfig {
            retries: self.retries.or(config.retries),
            age_s: self.age_s.or(config.age_s),
            on_success: self.on_success.unwrap_or(config.on_success),
            on_failure: self.on_failure.unwrap_or(config.on_failure),
            modified_ms: now_ms,
        }
    }
}

/// A configuration as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventInvokeConfigResponse {
    last_modified: f64,
    function_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_retry_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_event_age_in_seconds: Option<u32>,
    destination_config: DestinationConfigShown,
}

/// Both members are always there, empty when nothing goes anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationConfigShown {
    on_success: Destination,
    on_failure: Destination,
}

impl EventInvokeConfigResponse {
    /// The configuration of a function or of one of its qualifiers.
    #[must_use]
    pub fn of(config: EventInvokeConfig, key: &FunctionKey, qualifier: Option<&Qualifier>) -> Self {
        Self {
            last_modified: seconds(config.modified_ms),
            function_arn: arn(key, qualifier),
            maximum_retry_attempts: config.retries,
            maximum_event_age_in_seconds: config.age_s,
            destination_config: DestinationConfigShown {
                on_success: Destination { destination: config.on_success },
                on_failure: Destination { destination: config.on_failure },
            },
        }
    }
}

/// A page of `ListFunctionEventInvokeConfigs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListFunctionEventInvokeConfigsResponse {
    /// The configurations, by qualifier.
    pub function_event_invoke_configs: Vec<EventInvokeConfigResponse>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// 404 for a function, version or alias without a configuration.
#[must_use]
pub fn not_found(target: &Target) -> ApiError {
    let arn = arn(&target.key, target.qualifier.as_ref());
    let text = format!("The function {arn} doesn't have an EventInvokeConfig");
    ApiError::new(Exception::ResourceNotFound, text)
}

/// 400 for a destination that is not there.
#[must_use]
pub fn invalid_destination(arn: &str) -> ApiError {
    ApiError::invalid_parameter(format!("The destination ARN {arn} is invalid."))
}

/// Whether an ARN is that of a function or of anything of it.
fn is_of(arn: &str, target: &Target) -> bool {
    let own = target.key.arn();
    arn.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// The function itself is shown as its `$LATEST`.
fn arn(key: &FunctionKey, qualifier: Option<&Qualifier>) -> String {
    key.qualified_arn(qualifier.unwrap_or(&Qualifier::Version(Version::Latest)))
}

/// Seconds since 1970, with their thousandths.
#[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn fits(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    if let Some(topic) = text.strip_prefix("kafka://") {
        let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        return (1..=249).contains(&topic.len())
            && !topic.starts_with('.')
            && topic.bytes().skip(1).all(rest);
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, _] = parts.as_slice() else {
        return false;
    };
    let region_fits = region.is_empty()
        || is_region(region)
        // An operator may call his region as he likes.
        || region.parse::<dormouse_model::names::Region>().is_ok();
    partition.starts_with("aws")
        && !service.is_empty()
        && service.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && region_fits
        && (account.is_empty()
            || (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::name::NameShape;
    use super::*;

    fn target() -> Target {
        let scope = dormouse_model::names::Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        Target::resolve(&scope, "f", None, NameShape::Existing).unwrap()
    }

    fn read(body: &Value) -> Result<EventInvokeChange, ApiError> {
        let change = EventInvokeConfigRequest::read(body.to_string().as_bytes())?.validate()?;
        change.check(&target()).map(|()| change)
    }

    fn shown(config: EventInvokeConfig) -> Value {
        serde_json::to_value(EventInvokeConfigResponse::of(config, &target().key, None)).unwrap()
    }

    fn refused(body: &Value, expected: &str) {
        let text = read(body).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn what_is_not_said_stays_when_it_is_updated() {
        let queue = "arn:aws:sqs:us-east-1:123456789012:q";
        let first = read(&json!({
            "MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": queue}},
        }));
        let first = first.unwrap().whole(1_500);
        assert_eq!(
            shown(first.clone()),
            json!({
                "LastModified": 1.5,
                "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST",
                "MaximumRetryAttempts": 0,
                "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": queue}},
            })
        );
        let age = read(&json!({"MaximumEventAgeInSeconds": 60})).unwrap();
        let second = age.applied_to(first, 2_000);
        assert_eq!((second.retries, second.age_s), (Some(0), Some(60)));
        assert_eq!(second.on_failure.as_deref(), Some(queue));
        let none = read(&json!({"DestinationConfig": {"OnFailure": {}}})).unwrap();
        assert_eq!(none.applied_to(second, 3_000).on_failure, None);
    }

    #[test]
    fn wrong_members_are_told() {
        refused(
            &json!({"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 59, "DestinationConfig": {"OnSuccess": {"Destination": "x"}}}),
            "ValidationException: 3 validation errors detected: Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal to 2; Value '59' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value greater than or equal to 60; Value 'x' at 'destinationConfig.onSuccess.destination'",
        );
        refused(
            &json!({}),
            "InvalidParameterValueException: You must specify at least one of error handling or destination setting.",
        );
        let to = |arn: &str| json!({"DestinationConfig": {"OnSuccess": {"Destination": arn}}});
        refused(
            &to("arn:aws:lambda:us-east-1:123456789012:function:f"),
            "InvalidParameterValueException: You can't specify the function as a destination for itself.",
        );
        refused(
            &to("arn:aws:ec2:us-east-1:123456789012:x"),
            "InvalidParameterValueException: The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:ec2:us-east-1:123456789012:x), onFailure=null) is invalid.",
        );
        assert!(read(&to("arn:aws:lambda:us-east-1:123456789012:function:g")).is_ok());
        assert!(read(&to("arn:aws:s3:::bucket")).is_ok());
    }

    proptest! {
        #[test]
        fn no_destination_panics(text in ".{0,80}", near in "(arn:|aws:|sqs:|us-east-1:|123456789012:|f|kafka://|:|\\.){0,9}") {
            for text in [text, near] {
                let _ = read(&json!({"DestinationConfig": {"OnSuccess": {"Destination": text}}}));
            }
        }
    }
}
