//! `PutFunctionConcurrency` and its siblings: places of the account that a function keeps.

use dormouse_model::concurrency::ReserveDenied;
use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Scope};
use serde::{Deserialize, Serialize};

use super::name::{NameShape, Target};
use crate::error::ApiError;
use crate::validate::Violations;

/// The body of `PutFunctionConcurrency`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutFunctionConcurrencyRequest {
    reserved_concurrent_executions: Option<i64>,
}

impl PutFunctionConcurrencyRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// How many places are to be kept.
    ///
    /// # Errors
    /// When it does not say, or no account has as many.
    pub fn validate(&self) -> Result<u32, ApiError> {
        let mut violations = Violations::default();
        let places = self.reserved_concurrent_executions;
        match places {
            Some(places) => {
                let most = i64::from(i32::MAX);
                violations.range(places, "reservedConcurrentExecutions", 0, most);
            }
            None => violations.null("reservedConcurrentExecutions"),
        }
        violations.finish()?;
        places.and_then(|places| u32::try_from(places).ok()).ok_or_else(too_much)
    }
}

/// The function of a path label, which must not be qualified.
///
/// # Errors
/// When it is no name, or names a version or an alias.
pub fn whole(scope: &Scope, name: &str) -> Result<FunctionKey, ApiError> {
    let target = Target::resolve(scope, name, None, NameShape::Writing)?;
    if target.qualifier.is_some() {
        return Err(ApiError::invalid_parameter(
            "This operation is permitted on Lambda functions only. Aliases and versions do not \
             support this operation. Please specify either a function name or an unqualified \
             function ARN.",
        ));
    }
    Ok(target.key)
}

/// 400 for a reservation that leaves the other functions too little.
fn too_much() -> ApiError {
    denied(ReserveDenied::TooMuch)
}

/// 400 for what a function may not reserve.
#[must_use]
pub fn denied(reason: ReserveDenied) -> ApiError {
    match reason {
        ReserveDenied::TooMuch => ApiError::invalid_parameter(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's \
             UnreservedConcurrentExecution below its minimum value of [{}].",
            limits::UNRESERVED_CONCURRENCY
        )),
        // Recorded, with these blanks.
        ReserveDenied::BelowProvisioned { places, provisioned } => {
            ApiError::untyped_invalid_parameter(format!(
                " ReservedConcurrentExecutions  {places} should not be lower than function's total \
                 provisioned concurrency [{provisioned}]."
            ))
        }
    }
}

/// What a function has reserved, alone or as a part of `GetFunction`'s answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionConcurrency {
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_concurrent_executions: Option<u32>,
}

impl FunctionConcurrency {
    /// What is reserved; a function that has reserved nothing shows no member.
    #[must_use]
    pub fn of(reserved_concurrent_executions: Option<u32>) -> Self {
        Self { reserved_concurrent_executions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        let places = PutFunctionConcurrencyRequest::read(body.as_bytes())
            .and_then(|request| request.validate());
        let got = places.map_or_else(|error| error.to_string(), |places| places.to_string());
        assert!(got.starts_with(expected), "{got}");
    }

    #[test]
    fn places_are_a_number_from_nothing_on() {
        check(r#"{"ReservedConcurrentExecutions":0}"#, "0");
        check(r#"{"ReservedConcurrentExecutions":900}"#, "900");
        check("{}", "ValidationException: 1 validation error detected: Value null at 'reserved");
        check(r#"{"ReservedConcurrentExecutions":-1}"#, "ValidationException: 1 validation error");
        check(r#"{"ReservedConcurrentExecutions":9999999999}"#, "ValidationException");
        check(r#"{"ReservedConcurrentExecutions":"x"}"#, "SerializationException");
    }

    #[test]
    fn only_whole_functions_reserve() {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        assert_eq!(whole(&scope, "f").unwrap().name.as_str(), "f");
        for name in ["f:1", "f:$LATEST", "f:live"] {
            let text = whole(&scope, name).unwrap_err().to_string();
            assert!(text.starts_with(
                "InvalidParameterValueException: This operation is permitted on Lambda functions only."
            ));
        }
    }
}
