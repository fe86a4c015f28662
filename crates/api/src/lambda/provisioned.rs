//! `PutProvisionedConcurrencyConfig` and its siblings: environments that are kept ready for a version or
//! an alias.

use dormouse_model::concurrency::{
    AllocationFailure, ProvisionDenied, Provisioned, ProvisionedStatus,
};
use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Qualifier, Scope, Version};
use http::Uri;
use serde::{Deserialize, Serialize};

use super::alias::cannot_find;
use super::name::{NameShape, Target};
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::time;
use crate::validate::Violations;

/// The function whose configurations are listed.
///
/// # Errors
/// Every violation in one text; what the service says of names.
pub fn whole(scope: &Scope, name: &str) -> Result<FunctionKey, ApiError> {
    Ok(Target::resolve(scope, name, None, NameShape::Writing)?.key)
}

/// The version or alias that is meant.
///
/// # Errors
/// Every violation in one text; what the service says of names.
pub fn target(scope: &Scope, name: &str, uri: &Uri) -> Result<(FunctionKey, Qualifier), ApiError> {
    let given = QueryString::of(uri).get("Qualifier");
    let mut violations = Violations::default();
    if given.is_none() {
        violations.null("qualifier");
    }
    let named = (name, given.as_deref());
    let target = Target::resolve_with(scope, named, NameShape::Qualified, violations)?;
    let qualifier = target.qualifier.unwrap_or(Qualifier::Version(Version::Latest));
    Ok((target.key, qualifier))
}

/// The body of `PutProvisionedConcurrencyConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutProvisionedConcurrencyConfigRequest {
    provisioned_concurrent_executions: Option<i64>,
}

impl PutProvisionedConcurrencyConfigRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// How many environments are to be ready.
    ///
    /// # Errors
    /// When it does not say, or says less than one.
    pub fn validate(&self) -> Result<u32, ApiError> {
        let mut violations = Violations::default();
        let places = self.provisioned_concurrent_executions;
        match places {
            Some(places) => {
                let most = i64::from(i32::MAX);
                violations.range(places, "provisionedConcurrentExecutions", 1, most);
            }
            None => violations.null("provisionedConcurrentExecutions"),
        }
        violations.finish()?;
        // What was let through is a number of this size.
        Ok(places.and_then(|places| u32::try_from(places).ok()).unwrap_or(u32::MAX))
    }
}

/// A configuration as it is shown, alone or in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProvisionedConcurrencyConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    function_arn: Option<String>,
    requested_provisioned_concurrent_executions: u32,
    available_provisioned_concurrent_executions: u32,
    allocated_provisioned_concurrent_executions: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<&'static str>,
    last_modified: String,
}

impl ProvisionedConcurrencyConfig {
    /// A configuration and how far it has come.
    #[must_use]
    pub fn of(places: u32, provisioned: Provisioned, modified_ms: u64) -> Self {
        let (status, status_reason) = match provisioned.status {
            ProvisionedStatus::InProgress => ("IN_PROGRESS", None),
            ProvisionedStatus::Ready => ("READY", None),
            ProvisionedStatus::Failed(failure) => ("FAILED", Some(reason(failure))),
        };
        Self {
            function_arn: None,
            requested_provisioned_concurrent_executions: places,
            // What is allocated here is initialised.
            available_provisioned_concurrent_executions: provisioned.allocated,
            allocated_provisioned_concurrent_executions: provisioned.allocated,
            status,
            status_reason,
            last_modified: time::lambda_seconds(modified_ms),
        }
    }

    /// What has just been asked for.
    #[must_use]
    pub fn begun(places: u32, modified_ms: u64) -> Self {
        let nothing = Provisioned { allocated: 0, status: ProvisionedStatus::InProgress };
        Self::of(places, nothing, modified_ms)
    }

    /// The same in a list, where it says whose it is.
    #[must_use]
    pub fn listed(self, key: &FunctionKey, qualifier: &Qualifier) -> Self {
        Self { function_arn: Some(key.qualified_arn(qualifier)), ..self }
    }
}

fn reason(failure: AllocationFailure) -> &'static str {
    match failure {
        // Recorded.
        AllocationFailure::Init => "FUNCTION_ERROR_INIT_FAILURE",
        AllocationFailure::Sandbox => "The execution environments could not be made.",
        AllocationFailure::Unpublished => UNPUBLISHED,
    }
}

/// A page of `ListProvisionedConcurrencyConfigs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListProvisionedConcurrencyConfigsResponse {
    /// The configurations, by qualifier.
    pub provisioned_concurrency_configs: Vec<ProvisionedConcurrencyConfig>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

const UNPUBLISHED: &str =
    "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";

/// 400 or 409 for what may not be provisioned.
#[must_use]
pub fn denied(reason: ProvisionDenied) -> ApiError {
    let conflict = |text: &str| ApiError::new(Exception::ResourceConflict, text);
    match reason {
        ProvisionDenied::Unpublished => ApiError::invalid_parameter(UNPUBLISHED),
        ProvisionDenied::Weighted => ApiError::invalid_parameter(
            "Alias with weights can not be used with Provisioned Concurrency",
        ),
        ProvisionDenied::VersionIsProvisioned => conflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already \
             Provisioned version",
        ),
        ProvisionDenied::AliasIsProvisioned => {
            conflict("Version is pointed by a Provisioned Concurrency alias")
        }
        ProvisionDenied::AboveReserved => ApiError::invalid_parameter(
            "Requested Provisioned Concurrency should not be greater than the \
             reservedConcurrentExecution for function",
        ),
        ProvisionDenied::AboveUnclaimed { unclaimed } => {
            ApiError::untyped_invalid_parameter(format!(
                "Specified ConcurrentExecutions for function is greater than account's unreserved \
                 concurrency [{unclaimed}]."
            ))
        }
        ProvisionDenied::TooMuch => ApiError::untyped_invalid_parameter(format!(
            "Specified ConcurrentExecutions for function decreases account's \
             UnreservedConcurrentExecution below its minimum value of [{}].",
            limits::UNRESERVED_CONCURRENCY
        )),
    }
}

/// 400 for who asks what is provisioned for `$LATEST`, or has it removed.
///
/// # Errors
/// That one.
pub fn check_published(qualifier: &Qualifier) -> Result<(), ApiError> {
    if *qualifier == Qualifier::Version(Version::Latest) {
        let text = "The function resource provided must be an alias or a published version.";
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(())
}

/// 404 for a version or an alias that is not there.
#[must_use]
pub fn missing(key: &FunctionKey, qualifier: &Qualifier) -> ApiError {
    match qualifier {
        Qualifier::Alias(name) => cannot_find(key, name),
        Qualifier::Version(_) => ApiError::function_not_found(&key.qualified_arn(qualifier)),
    }
}

/// Environments that go on from a snapshot are not kept ready besides (developer guide; the words are ours).
#[must_use]
pub fn not_with_snap_start() -> ApiError {
    let text = "Provisioned Concurrency is not supported for SnapStart enabled functions.";
    ApiError::invalid_parameter(text)
}

/// 404 for a version or an alias for which nothing is provisioned.
#[must_use]
pub fn not_found() -> ApiError {
    let text = "No Provisioned Concurrency Config found for this function";
    ApiError::new(Exception::ProvisionedConcurrencyConfigNotFound, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn check(body: &str, expected: &str) {
        let read = PutProvisionedConcurrencyConfigRequest::read(body.as_bytes());
        let got = read
            .and_then(|request| request.validate())
            .map_or_else(|error| error.to_string(), |places| places.to_string());
        assert!(got.starts_with(expected), "{got}");
    }

    #[test]
    fn places_are_a_number_from_one_on() {
        check(r#"{"ProvisionedConcurrentExecutions":1}"#, "1");
        check("{}", "ValidationException: 1 validation error detected: Value null at 'provisioned");
        check(
            r#"{"ProvisionedConcurrentExecutions":0}"#,
            "ValidationException: 1 validation error detected: Value '0' at \
             'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value \
             greater than or equal to 1",
        );
        check(r#"{"ProvisionedConcurrentExecutions":9999999999}"#, "ValidationException");
        check(r#"{"ProvisionedConcurrentExecutions":"x"}"#, "SerializationException");
    }

    #[test]
    fn it_is_always_about_a_version_or_an_alias() {
        let read = |name: &str, query: &str| {
            let uri = format!("/x{query}").parse().unwrap();
            match target(&scope(), name, &uri) {
                Ok((key, qualifier)) => key.qualified_arn(&qualifier),
                Err(error) => error.to_string(),
            }
        };
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
        assert_eq!(read("f", "?Qualifier=1"), format!("{arn}:1"));
        assert_eq!(read("f:live", "?Qualifier=live"), format!("{arn}:live"));
        assert!(read("f", "").contains("Value null at 'qualifier'"));
        assert!(read("f!", "").contains("2 validation errors"));
        assert!(read("f:1", "?Qualifier=2").starts_with("InvalidParameterValueException"));
    }

    #[test]
    fn a_configuration_says_how_far_it_has_come() {
        let shown = |status, allocated| {
            let of = ProvisionedConcurrencyConfig::of(2, Provisioned { allocated, status }, 1_000);
            serde_json::to_value(of).unwrap()
        };
        assert_eq!(
            shown(ProvisionedStatus::Ready, 2),
            json!({
                "RequestedProvisionedConcurrentExecutions": 2,
                "AvailableProvisionedConcurrentExecutions": 2,
                "AllocatedProvisionedConcurrentExecutions": 2,
                "Status": "READY",
                "LastModified": "1970-01-01T00:00:01+0000",
            })
        );
        let failed = shown(ProvisionedStatus::Failed(AllocationFailure::Init), 1);
        assert_eq!(failed["StatusReason"], "FUNCTION_ERROR_INIT_FAILURE");
        let begun = serde_json::to_value(ProvisionedConcurrencyConfig::begun(2, 1_000)).unwrap();
        assert_eq!(begun, shown(ProvisionedStatus::InProgress, 0));
    }
}
