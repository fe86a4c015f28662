//! The credential a request is signed with, read from the `Authorization` header or from the query
//! of a presigned link.
//!
//! Only the form is checked here, not the signature: that is what `--auth open` means. Any
//! well-formed credential is accepted, and none at all is, too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::names::{Region, Scope};
use http::header::{AUTHORIZATION, DATE};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::access_key::account_of;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// Characters of a text of the caller's that we repeat in an error.
const SHOWN_CHARS: usize = 256;

/// What a request is signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The access key's id.
    pub access_key: String,
    /// The day of the scope, `YYYYMMDD`.
    pub date: String,
    /// The region of the scope.
    pub region: Region,
    /// The service of the scope.
    pub service: String,
    /// The token of a session, if the key belongs to one.
    pub session_token: Option<String>,
}

/// What is wrong with the form of a signature. The texts are AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no signature where one is needed.
    #[error("Missing Authentication Token")]
    MissingToken,
    /// The header is of another kind.
    #[error("Unsupported authorization type, please use {ALGORITHM}.")]
    OtherAlgorithm,
    /// The header lacks parameters.
    #[error("{}{}", requirements(missing), hashed(authorization_hash))]
    Incomplete {
        /// The parameters that are missing.
        missing: Vec<&'static str>,
        /// The header's hash, as AWS shows it: never the header.
        authorization_hash: String,
    },
    /// The query of a presigned link lacks a parameter.
    #[error(
        "AWS query-string parameters must include '{missing}'. Re-examine the query-string \
         parameters."
    )]
    IncompleteQuery {
        /// The first that is missing.
        missing: &'static str,
    },
    /// The credential has not five parts.
    #[error(
        "Credential must have exactly 5 slash-delimited elements, \
         e.g. keyid/date/region/service/term, got '{got}'"
    )]
    NotFiveElements {
        /// What it is instead, cut short.
        got: String,
    },
    /// The scope ends otherwise.
    #[error("Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{got}'.")]
    Terminator {
        /// In what, cut short.
        got: String,
    },
    /// A part of the scope cannot be one.
    #[error("Credential should be scoped to a valid {part}.")]
    Scope {
        /// Which part.
        part: &'static str,
    },
}

/// Which of AWS's exceptions an [`AuthError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthErrorKind {
    /// `MissingAuthenticationTokenException`, 403.
    MissingAuthenticationToken,
    /// `IncompleteSignatureException`, 400.
    IncompleteSignature,
    /// `InvalidSignatureException`, 403.
    InvalidSignature,
}

impl AuthError {
    /// Which of AWS's exceptions it is.
    #[must_use]
    pub fn kind(&self) -> AuthErrorKind {
        match self {
            Self::MissingToken => AuthErrorKind::MissingAuthenticationToken,
            Self::OtherAlgorithm
            | Self::Incomplete { .. }
            | Self::IncompleteQuery { .. }
            | Self::NotFiveElements { .. } => AuthErrorKind::IncompleteSignature,
            Self::Terminator { .. } | Self::Scope { .. } => AuthErrorKind::InvalidSignature,
        }
    }
}

impl Credential {
    /// The credential of a request; nothing when it is not signed at all.
    ///
    /// # Errors
    /// When there is a signature whose form is wrong.
    pub fn of(parts: &Parts) -> Result<Option<Self>, AuthError> {
        if let Some(value) = parts.headers.get(AUTHORIZATION) {
            let value = value.to_str().map_err(|_| AuthError::OtherAlgorithm)?;
            return Self::of_header(parts, value).map(Some);
        }
        let query = parts.uri.query().unwrap_or_default();
        if query_member(query, "X-Amz-Algorithm").is_some()
            || query_member(query, "X-Amz-Credential").is_some()
        {
            return Self::of_query(query).map(Some);
        }
        Ok(None)
    }

    fn of_header(parts: &Parts, value: &str) -> Result<Self, AuthError> {
        let rest = value.trim().strip_prefix(ALGORITHM);
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with([' ', ',']));
        let rest = rest.ok_or(AuthError::OtherAlgorithm)?;
        let parameter = |name: &str| {
            rest.split(',')
                .filter_map(|pair| pair.trim().split_once('='))
                .find(|(key, value)| *key == name && !value.is_empty())
                .map(|(_, value)| value)
        };
        let has_date = parts.headers.contains_key("x-amz-date") || parts.headers.contains_key(DATE);
        let mut missing: Vec<&'static str> = ["Credential", "Signature", "SignedHeaders"]
            .into_iter()
            .filter(|name| parameter(name).is_none())
            .collect();
        if !has_date {
            missing.push("X-Amz-Date");
        }
        let Some(credential) = parameter("Credential").filter(|_| missing.is_empty()) else {
            let authorization_hash = STANDARD.encode(Sha256::digest(value));
            return Err(AuthError::Incomplete { missing, authorization_hash });
        };
        let token = parts.headers.get("x-amz-security-token");
        let token = token.and_then(|token| token.to_str().ok()).map(str::to_owned);
        Self::parse(credential, token)
    }

    fn of_query(query: &str) -> Result<Self, AuthError> {
        for missing in [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-SignedHeaders",
            "X-Amz-Signature",
        ] {
            if query_member(query, missing).is_none_or(|value| value.is_empty()) {
                return Err(AuthError::IncompleteQuery { missing });
            }
        }
        if query_member(query, "X-Amz-Algorithm").as_deref() != Some(ALGORITHM) {
            return Err(AuthError::OtherAlgorithm);
        }
        let credential = query_member(query, "X-Amz-Credential").unwrap_or_default();
        Self::parse(&credential, query_member(query, "X-Amz-Security-Token"))
    }

    fn parse(credential: &str, session_token: Option<String>) -> Result<Self, AuthError> {
        let elements: Vec<&str> = credential.split('/').collect();
        let [access_key, date, region, service, terminator] = elements.as_slice() else {
            return Err(AuthError::NotFiveElements { got: shown(credential) });
        };
        if *terminator != TERMINATOR {
            return Err(AuthError::Terminator { got: shown(terminator) });
        }
        if access_key.is_empty() {
            return Err(AuthError::Scope { part: "access key" });
        }
        if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AuthError::Scope { part: "date" });
        }
        if service.is_empty() {
            return Err(AuthError::Scope { part: "service" });
        }
        Ok(Self {
            access_key: (*access_key).to_owned(),
            date: (*date).to_owned(),
            region: region.parse().map_err(|_| AuthError::Scope { part: "region" })?,
            service: (*service).to_owned(),
            session_token,
        })
    }
}

/// The account and region a request acts in. An access key of exactly 12 digits is the account;
/// anything else acts in the configured one. The region is the scope's, else the configured one.
#[must_use]
pub fn scope(credential: Option<&Credential>, configured: &Scope) -> Scope {
    let Some(credential) = credential else {
        return configured.clone();
    };
    let account = account_of(&credential.access_key);
    Scope {
        account: account.unwrap_or_else(|| configured.account.clone()),
        region: credential.region.clone(),
    }
}

/// A member of a query string, decoded; nothing when it is not there or is no text.
fn query_member(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    percent_decode_str(value).decode_utf8().ok().map(|value| value.into_owned())
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

fn requirements(missing: &[&str]) -> String {
    let sentence = |name: &&str| match *name {
        "X-Amz-Date" => "Authorization header requires existence of either a 'X-Amz-Date' or a \
                         'Date' header. "
            .to_owned(),
        name => format!("Authorization header requires '{name}' parameter. "),
    };
    missing.iter().map(sentence).collect()
}

fn hashed(hash: &str) -> String {
    format!("(Hashed with SHA-256 and encoded with Base64) Authorization={hash}")
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn of(uri: &str, headers: &[(&str, &str)]) -> Result<Option<Credential>, AuthError> {
        let mut builder = Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        Credential::of(&builder.body(()).unwrap().into_parts().0)
    }

    fn signed(credential: &str) -> Result<Option<Credential>, AuthError> {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature=ab"
        );
        of("/", &[("authorization", &header), ("x-amz-date", "20260102T030405Z")])
    }

    fn configured() -> Scope {
        Scope { account: "000000000000".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    #[test]
    fn an_unsigned_request_acts_in_the_configured_account() {
        assert_eq!(of("/?a=b", &[]), Ok(None));
        assert_eq!(scope(None, &configured()), configured());
    }

    #[test]
    fn a_header_names_key_region_and_service() {
        let credential = signed("AKIDEXAMPLE/20260102/eu-west-1/lambda/aws4_request");
        let credential = credential.unwrap().unwrap();
        assert_eq!(credential.access_key, "AKIDEXAMPLE");
        assert_eq!((credential.date.as_str(), credential.service.as_str()), ("20260102", "lambda"));
        let scope = scope(Some(&credential), &configured());
        assert_eq!((scope.account.as_str(), scope.region.as_str()), ("000000000000", "eu-west-1"));
    }

    #[test]
    fn a_key_of_twelve_digits_is_the_account() {
        let account = |key: &str| {
            let credential = signed(&format!("{key}/20260102/us-east-1/s3/aws4_request"));
            scope(credential.unwrap().as_ref(), &configured()).account.to_string()
        };
        assert_eq!(account("123456789012"), "123456789012");
        assert_eq!(account("1234567890123"), "000000000000");
        assert_eq!(account("12345678901a"), "000000000000");
    }

    #[test]
    fn a_presigned_link_carries_the_same() {
        let uri = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256\
                   &X-Amz-Credential=AK%2F20260102%2Fus-east-1%2Fs3%2Faws4_request\
                   &X-Amz-Date=20260102T030405Z&X-Amz-SignedHeaders=host&X-Amz-Signature=ab\
                   &X-Amz-Security-Token=t%2B1";
        let credential = of(uri, &[]).unwrap().unwrap();
        assert_eq!(credential.session_token.as_deref(), Some("t+1"));
        let error = of(&uri.replace("X-Amz-Date", "X"), &[]).unwrap_err();
        assert_eq!(error, AuthError::IncompleteQuery { missing: "X-Amz-Date" });
    }

    fn check(result: Result<Option<Credential>, AuthError>, kind: AuthErrorKind, text: &str) {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
    }

    #[test]
    fn a_wrong_form_is_told_in_awss_words() {
        let incomplete = AuthErrorKind::IncompleteSignature;
        let other = "Unsupported authorization type, please use AWS4-HMAC-SHA256.";
        check(of("/", &[("authorization", "Bearer x")]), incomplete, other);
        check(
            of("/", &[("authorization", "AWS4-HMAC-SHA256 Credential=a")]),
            incomplete,
            "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization=520Nq5bS80gLhTcgcZzjkP74XCXMcdxItgMCiiN4K6U=",
        );
        check(
            signed("a/b"),
            incomplete,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b'",
        );
        check(
            signed("a/20260102/us-east-1/s3/aws5"),
            AuthErrorKind::InvalidSignature,
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'.",
        );
        check(
            signed("a/20260102/US_EAST/s3/aws4_request"),
            AuthErrorKind::InvalidSignature,
            "Credential should be scoped to a valid region.",
        );
        assert_eq!(AuthError::MissingToken.kind(), AuthErrorKind::MissingAuthenticationToken);
    }

    proptest! {
        #[test]
        fn no_header_panics_the_reader(header in "(AWS4-HMAC-SHA256)?[ -~]{0,120}") {
            let _ = of("/", &[("authorization", &header), ("x-amz-date", "x")]);
        }

        #[test]
        fn no_credential_panics_the_reader(credential in "[ -+\\--~]{0,120}") {
            let _ = signed(&credential);
        }

        #[test]
        fn no_query_panics_the_reader(value in "[a-zA-Z0-9%/&=-]{0,80}") {
            let uri = format!("/?X-Amz-Credential={value}&X-Amz-Algorithm={value}");
            let _ = of(&uri, &[]);
        }
    }
}
