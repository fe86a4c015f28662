//! Every refusal we can send, and what it looks like in each protocol.
//!
//! [`Exception`] names them, one table says status, code, casing and whose fault; [`ApiError`] adds
//! the text; [`ApiError::answer`] makes the HTTP answer. Status and code come from nowhere else.

mod exception;
mod render;

pub use exception::{Exception, Facts, Fault, Kind, MessageKey};

use dormouse_model::names::FunctionKey;

use crate::service::{Dialect, Protocol, Service};

/// A refusal: what happened and its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", exception.facts().code)]
pub struct ApiError {
    /// What happened.
    pub exception: Exception,
    /// AWS's text for it.
    pub message: String,
    /// What this exception says besides.
    pub detail: Detail,
}

/// What an exception says besides its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// Why a caller is throttled and when to come back.
    Throttle {
        /// The member `Reason`.
        reason: ThrottleReason,
        /// The header `Retry-After`, in seconds.
        retry_after_s: u32,
    },
    /// The member `EC2ErrorCode`.
    Ec2(String),
    /// Elements of S3's errors, by name.
    Elements(Vec<(&'static str, String)>),
    /// There is no member `Type` where others have one: recorded of a few.
    Untyped,
}

/// `TooManyRequestsException.Reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleReason {
    /// The account's unreserved concurrency is used up.
    ConcurrentInvocationLimitExceeded,
    /// Too many invocations of the account a second.
    FunctionInvocationRateLimitExceeded,
    /// The function's reserved concurrency is used up.
    ReservedFunctionConcurrentInvocationLimitExceeded,
    /// Too many invocations a second for the reserved concurrency.
    ReservedFunctionInvocationRateLimitExceeded,
    /// Too many API calls a second.
    CallerRateLimitExceeded,
    /// Too many snapshots at once.
    ConcurrentSnapshotCreateLimitExceeded,
}

impl ThrottleReason {
    /// AWS's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            Self::FunctionInvocationRateLimitExceeded => "FunctionInvocationRateLimitExceeded",
            Self::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
            Self::ReservedFunctionInvocationRateLimitExceeded => {
                "ReservedFunctionInvocationRateLimitExceeded"
            }
            Self::CallerRateLimitExceeded => "CallerRateLimitExceeded",
            Self::ConcurrentSnapshotCreateLimitExceeded => "ConcurrentSnapshotCreateLimitExceeded",
        }
    }
}

impl ApiError {
    /// A refusal with its text.
    #[must_use]
    pub fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self { exception, message: message.into(), detail: Detail::None }
    }

    /// `InvalidParameterValueException`, the service's own validation.
    #[must_use]
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(Exception::InvalidParameterValue, message)
    }

    /// The same without its member `Type`.
    #[must_use]
    pub fn untyped_invalid_parameter(message: impl Into<String>) -> Self {
        Self { detail: Detail::Untyped, ..Self::invalid_parameter(message) }
    }

    /// 429, with its reason and the seconds to wait.
    #[must_use]
    pub fn throttled(reason: ThrottleReason, retry_after_s: u32) -> Self {
        Self {
            exception: Exception::TooManyRequests,
            message: "Rate Exceeded.".to_owned(),
            detail: Detail::Throttle { reason, retry_after_s },
        }
    }

    /// 404 for a function; `arn` is qualified when the caller was.
    #[must_use]
    pub fn function_not_found(arn: &str) -> Self {
        Self::new(Exception::ResourceNotFound, format!("Function not found: {arn}"))
    }

    /// 409 for a second `CreateFunction`.
    #[must_use]
    pub fn function_exists(key: &FunctionKey) -> Self {
        Self::new(Exception::ResourceConflict, format!("Function already exist: {}", key.name))
    }

    /// 409 while another update runs.
    #[must_use]
    pub fn update_in_progress(arn: &str) -> Self {
        let text = format!(
            "The operation cannot be performed at this time. \
             An update is in progress for resource: {arn}"
        );
        Self::new(Exception::ResourceConflict, text)
    }

    /// 409 while a function is in a state that does not allow the operation.
    #[must_use]
    pub fn function_in_state(state: &str) -> Self {
        let text = format!(
            "The operation cannot be performed at this time. \
             The function is currently in the following state: {state}"
        );
        Self::new(Exception::ResourceConflict, text)
    }

    /// 412 for a stale `RevisionId`.
    #[must_use]
    pub fn stale_revision() -> Self {
        let text = "The Revision Id provided does not match the latest Revision Id. \
                    Call the GetFunction/GetAlias API to retrieve the latest Revision Id";
        Self::new(Exception::PreconditionFailed, text)
    }

    /// 413 for a request body over its limit.
    #[must_use]
    pub fn request_too_large(limit_bytes: usize, operation: &str) -> Self {
        let text = format!(
            "Request must be smaller than {limit_bytes} bytes for the {operation} operation"
        );
        Self::new(Exception::RequestEntityTooLarge, text)
    }

    /// 413 for an invocation's payload over its limit.
    #[must_use]
    pub fn payload_too_large(limit_bytes: usize) -> Self {
        let text = format!(
            "Request must be smaller than {limit_bytes} bytes for the InvokeFunction operation"
        );
        Self::new(Exception::RequestTooLarge, text)
    }

    /// 400 for a body that ended before its announced end, or came too slowly.
    #[must_use]
    pub fn incomplete_body() -> Self {
        Self::new(Exception::Serialization, "The request body ended early.")
    }

    /// 413 for a package over its limit.
    #[must_use]
    pub fn zip_too_large(limit_bytes: usize) -> Self {
        let text = format!("Zipped size must be smaller than {limit_bytes} bytes");
        Self::new(Exception::RequestEntityTooLarge, text)
    }

    /// An operation AWS has and this version does not. 501 is not retried by SDKs.
    #[must_use]
    pub fn not_implemented(dialect: Dialect, operation: &str) -> Self {
        let text = format!(
            "The operation {operation} of the service {} is not supported by this version of \
             Dormouse.",
            dialect.service_name()
        );
        Self::new(Exception::NotImplemented, text)
    }

    /// Nothing AWS has either.
    #[must_use]
    pub fn unknown_operation(dialect: Dialect) -> Self {
        let exception = match dialect.protocol {
            Protocol::RestJson | Protocol::RestXml => Exception::UnknownPath,
            Protocol::Json10
            | Protocol::Json11
            | Protocol::Query
            | Protocol::Ec2Query
            | Protocol::RpcV2Cbor => Exception::UnknownOperation,
        };
        let text = format!("The service {} has no such operation.", dialect.service_name());
        Self::new(exception, text)
    }

    /// Our own fault, in the words of the service. The cause belongs in the log, not here.
    #[must_use]
    pub fn internal(dialect: Dialect) -> Self {
        let exception = match dialect.service {
            Some(Service::Lambda) => Exception::Service,
            Some(Service::Logs) => Exception::LogsServiceUnavailable,
            Some(Service::Iam) => Exception::IamServiceFailure,
            Some(Service::S3) => Exception::S3InternalError,
            Some(Service::Monitoring) => Exception::CloudWatchInternalServiceFault,
            _ => Exception::InternalFailure,
        };
        Self::new(exception, "An error occurred and the request cannot be processed.")
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.exception.facts().fault
    }
}
