//! Why a request is refused, and the exact status and body each reason has on the wire. The only
//! place that knows either.

use bytes::Bytes;
use dormouse_model::limits::INVOKE_RESPONSE_BYTES;
use http::StatusCode;
use serde::Serialize;

use crate::exchange::Gone;
use crate::receive::Broken;

/// A request the Runtime API does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id is not the running invocation's.
    #[error("invalid request id: {0}")]
    InvalidRequestId(Mismatch),
    /// Not in this state. The names are those of [`crate::RuntimeState::name`].
    #[error("no transition from {from} to {to}")]
    InvalidStateTransition {
        /// The state the runtime is in.
        from: &'static str,
        /// The state the request would lead to.
        to: &'static str,
    },
    /// The body is larger than a response may be.
    #[error("body is larger than {limit_bytes} bytes")]
    RequestEntityTooLarge {
        /// What it may be, buffered or streamed.
        limit_bytes: u64,
    },
    /// The body ended before its announced end, or came too slowly.
    #[error("body was truncated")]
    TruncatedHttpRequest,
    /// `Lambda-Runtime-Function-Response-Mode` names no mode.
    #[error("unknown response mode")]
    InvalidFunctionResponseMode,
    /// These are not the credentials' token's bearer's to have.
    #[error("no credentials for this token")]
    UnknownToken,
    /// No such route.
    #[error("no such route")]
    NotFound,
    /// The route exists, with another method.
    #[error("only {allowed} is allowed here")]
    MethodNotAllowed {
        /// The method that would do.
        allowed: &'static str,
    },
    /// The environment is gone or about to be: nobody answers any more.
    #[error("the environment's owner is gone")]
    InternalServerError,
}

/// In which way a request id is not the running invocation's. One answer on the wire, told apart in
/// logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// No invocation of that id is known here.
    #[error("unknown")]
    Unknown,
    /// It has its response already.
    #[error("already answered")]
    Answered,
    /// It timed out: the response is too late.
    #[error("too late, it timed out")]
    TimedOut,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    error_message: &'a str,
    error_type: &'a str,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequestId(_)
            | Self::TruncatedHttpRequest
            | Self::InvalidFunctionResponseMode => StatusCode::BAD_REQUEST,
            Self::InvalidStateTransition { .. } => StatusCode::FORBIDDEN,
            Self::RequestEntityTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownToken | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The `errorType` of the body.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidRequestId(_) => "InvalidRequestID",
            Self::InvalidStateTransition { .. } => "InvalidStateTransition",
            Self::RequestEntityTooLarge { .. } => "RequestEntityTooLarge",
            Self::TruncatedHttpRequest => "TruncatedHTTPRequest",
            Self::InvalidFunctionResponseMode => "InvalidFunctionResponseMode",
            // Never shown: the body is plain text.
            Self::UnknownToken => "UnknownToken",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed { .. } => "MethodNotAllowed",
            Self::InternalServerError => "InternalServerError",
        }
    }

    /// The `errorMessage` of the body.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::InvalidRequestId(_) => "Invalid request ID".to_owned(),
            Self::InvalidStateTransition { from, to } => format!(
                "State transition from {from} to {to} failed for runtime. \
                 Error: State transition is not allowed"
            ),
            Self::RequestEntityTooLarge { limit_bytes } => {
                format!("Exceeded maximum allowed payload size ({limit_bytes} bytes).")
            }
            Self::TruncatedHttpRequest => "HTTP request detected as truncated".to_owned(),
            Self::InvalidFunctionResponseMode => "Invalid function response mode".to_owned(),
            Self::UnknownToken => "cannot get credentials for the provided token".to_owned(),
            Self::NotFound => "Not found".to_owned(),
            Self::MethodNotAllowed { allowed } => format!("Only {allowed} is allowed"),
            Self::InternalServerError => "Internal Server Error".to_owned(),
        }
    }

    /// The whole body: JSON and a line feed, or text and a line feed.
    pub(crate) fn body(&self) -> Bytes {
        if *self == Self::UnknownToken {
            return format!("{}\n", self.message()).into();
        }
        error_body(&self.message(), self.error_type())
    }
}

impl From<Gone> for Refusal {
    fn from(_: Gone) -> Self {
        Self::InternalServerError
    }
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge { .. } => {
                Self::RequestEntityTooLarge { limit_bytes: INVOKE_RESPONSE_BYTES as u64 }
            }
            Broken::Truncated => Self::TruncatedHttpRequest,
        }
    }
}

/// The body of an error in all the APIs: JSON and a line feed.
pub(crate) fn error_body(error_message: &str, error_type: &str) -> Bytes {
    let body = ErrorBody { error_message, error_type };
    let mut json = serde_json::to_vec(&body).expect("two texts are always valid JSON");
    json.push(b'\n');
    json.into()
}
