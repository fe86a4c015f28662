//! Who asks: the account and region of a request.
//!
//! With open authentication any well-formed credentials are accepted, and none at all; an access key
//! of twelve digits names the account.

use dormouse_api::error::{ApiError, Exception};
use dormouse_identity::{AuthError, AuthErrorKind, Credential};
use dormouse_model::names::Scope;
use http::request::Parts;

/// The account and region a request is about.
pub(crate) fn scope(parts: &Parts, home: &Scope) -> Result<Scope, ApiError> {
    let credential = Credential::of(parts).map_err(|error| refusal(&error))?;
    Ok(dormouse_identity::scope(credential.as_ref(), home))
}

fn refusal(error: &AuthError) -> ApiError {
    let exception = match error.kind() {
        AuthErrorKind::MissingAuthenticationToken => Exception::MissingAuthenticationToken,
        AuthErrorKind::IncompleteSignature => Exception::IncompleteSignature,
        AuthErrorKind::InvalidSignature => Exception::InvalidSignature,
    };
    ApiError::new(exception, error.to_string())
}
