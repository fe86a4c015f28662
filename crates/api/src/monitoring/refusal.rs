//! What CloudWatch refuses, in its words.

use std::fmt::Display;

use crate::error::{ApiError, Exception};

/// A parameter that has to be there.
pub(super) fn missing(parameter: &str) -> ApiError {
    let text = format!("The parameter {parameter} is required.");
    ApiError::new(Exception::CloudWatchMissingParameter, text)
}

/// A parameter that is not what it has to be.
pub(super) fn invalid(text: impl Display) -> ApiError {
    ApiError::new(Exception::CloudWatchInvalidParameterValue, text.to_string())
}

/// A parameter whose value is none of its own.
pub(super) fn invalid_value(value: impl Display, parameter: &str) -> ApiError {
    invalid(format_args!("The value {value} for parameter {parameter} is invalid."))
}

/// A parameter that is out of a set.
pub(super) fn not_in_set(parameter: &str, set: &[&str]) -> ApiError {
    let set = set.join(", ");
    invalid(format_args!("The parameter {parameter} must be a value in the set [ {set} ]."))
}

/// Parameters that do not go together.
pub(super) fn combination(text: impl Display) -> ApiError {
    ApiError::new(Exception::CloudWatchInvalidParameterCombination, text.to_string())
}

/// What `GetMetricData` says of everything but its token.
pub(super) fn validation(text: impl Display) -> ApiError {
    ApiError::new(Exception::Validation, text.to_string())
}

/// A token that was not given out here.
pub(super) fn invalid_token() -> ApiError {
    ApiError::new(Exception::CloudWatchInvalidNextToken, "Invalid nextToken")
}
