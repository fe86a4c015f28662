//! Who asks: the account and region of a request.
//!
//! With open authentication any well-formed credentials are accepted, and none at all; an access key
//! of twelve digits names the account, and so does one that IAM or STS gave out.

use dormouse_api::error::{ApiError, Exception};
use dormouse_api::sts;
use dormouse_identity::{AuthError, AuthErrorKind, Credential, Session};
use dormouse_model::names::Scope;
use http::request::Parts;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The account and region a request is about.
    pub(crate) scope: Scope,
    /// The access key, and the service it was signed for.
    pub(crate) key: Option<(String, String)>,
    /// Whom the session token names, if it is one of ours and belongs to the key.
    pub(crate) session: Option<Session>,
}

impl Caller {
    /// Who asks, at this time.
    pub(crate) fn of(parts: &Parts, home: &Scope, now_ms: u64) -> Result<Self, ApiError> {
        let credential = Credential::of(parts).map_err(|error| refusal(&error))?;
        let scope = dormouse_identity::scope(credential.as_ref(), home);
        let session = credential.as_ref().and_then(|credential| {
            let session = Session::of_token(credential.session_token.as_ref()?)?;
            Some(session).filter(|session| session.access_key == credential.access_key)
        });
        if session.as_ref().is_some_and(|session| session.is_over(now_ms)) {
            return Err(sts::expired());
        }
        let key = credential.map(|credential| (credential.access_key, credential.service));
        Ok(Self { scope, key, session })
    }
}

fn refusal(error: &AuthError) -> ApiError {
    let exception = match error.kind() {
        AuthErrorKind::MissingAuthenticationToken => Exception::MissingAuthenticationToken,
        AuthErrorKind::IncompleteSignature => Exception::IncompleteSignature,
        AuthErrorKind::InvalidSignature => Exception::InvalidSignature,
    };
    ApiError::new(exception, error.to_string())
}
