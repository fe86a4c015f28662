//! Who asks S3: by a signature, by that of a link, by the old signature, or nobody.
//!
//! With open authentication none is checked but for its form and, of links, for their time.

use dormouse_api::error::{ApiError, Exception};
use dormouse_api::query::QueryString;
use dormouse_api::s3::amz_seconds;
use dormouse_api::s3::refusal::{authorization_malformed, link_expired};
use dormouse_identity::account_of;
use dormouse_model::names::{AccountId, Region, Scope};
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::caller::Caller;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// In which account.
    pub(super) account: AccountId,
    /// In which region; who does not say reaches any.
    pub(super) region: Option<Region>,
    /// The region where things are made.
    pub(super) home: Region,
}

impl Visitor {
    /// Who asks, at this time.
    pub(super) fn of(parts: &Parts, home: &Scope, now_ms: u64) -> Result<Self, ApiError> {
        let query = QueryString::of(&parts.uri);
        check_time(query, i64::try_from(now_ms / 1_000).unwrap_or(i64::MAX))?;
        if let Some(access_key) = old_access_key(parts, query) {
            let account = account_of(&access_key).unwrap_or_else(|| home.account.clone());
            return Ok(Self { account, region: None, home: home.region.clone() });
        }
        let scope = Caller::of(parts, home, now_ms).map_err(refused)?.scope;
        let is_signed =
            parts.headers.contains_key(AUTHORIZATION) || query.get("X-Amz-Credential").is_some();
        let region = is_signed.then(|| scope.region.clone());
        Ok(Self { account: scope.account, region, home: scope.region })
    }
}

/// S3 has a code of its own for what the other services call by several.
fn refused(error: ApiError) -> ApiError {
    match error.exception {
        Exception::IncompleteSignature | Exception::InvalidSignature => {
            authorization_malformed(&error.message)
        }
        _ => error,
    }
}

/// The access key of a signature of version 2, in the header or in a link.
fn old_access_key(parts: &Parts, query: QueryString<'_>) -> Option<String> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        return Some(header.strip_prefix("AWS ")?.split_once(':')?.0.to_owned());
    }
    query.get("AWSAccessKeyId").map(std::borrow::Cow::into_owned)
}

/// A link is good for a time.
fn check_time(query: QueryString<'_>, now_s: i64) -> Result<(), ApiError> {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<i64>().ok());
    let made = query.get("X-Amz-Date").and_then(|date| amz_seconds(&date));
    let ends = match (made, number("X-Amz-Expires")) {
        (Some(made), Some(lasts)) => Some(made.saturating_add(lasts)),
        _ if query.get("AWSAccessKeyId").is_some() => number("Expires"),
        _ => None,
    };
    if ends.is_some_and(|ends| ends < now_s) { Err(link_expired()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(uri: &str, authorization: &str, expected: &str) {
        let mut request = Request::builder().uri(uri).header("x-amz-date", "20260102T030405Z");
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let home = Scope {
            account: "000000000000".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        // 2026-01-02T03:04:05Z.
        let shown = match Visitor::of(&parts, &home, 1_767_323_045_000) {
            Ok(Visitor { account, region, .. }) => {
                format!("{account} {}", region.map_or_else(|| "anywhere".to_owned(), String::from))
            }
            Err(error) => error.exception.facts().query_code.to_owned(),
        };
        assert_eq!(shown, expected, "{uri} {authorization}");
    }

    #[test]
    fn whoever_asks_has_an_account() {
        check("/b/k", "", "000000000000 anywhere");
        check("/b/k", "AWS 123456789012:sig", "123456789012 anywhere");
        let signed = "AWS4-HMAC-SHA256 Credential=123456789012/20260102/eu-west-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";
        check("/b/k", signed, "123456789012 eu-west-1");
        check("/b/k", "Bearer x", "AuthorizationHeaderMalformed");
    }

    #[test]
    fn a_link_is_good_until_its_time() {
        check(
            "/b/k?AWSAccessKeyId=test&Signature=s&Expires=1767323046",
            "",
            "000000000000 anywhere",
        );
        check("/b/k?AWSAccessKeyId=test&Signature=s&Expires=1767323044", "", "AccessDenied");
        let link = |date: &str, lasts: &str| {
            format!(
                "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires={lasts}\
                 &X-Amz-Credential=test%2F20260102%2Feu-west-1%2Fs3%2Faws4_request\
                 &X-Amz-SignedHeaders=host&X-Amz-Signature=0"
            )
        };
        check(&link("20260102T030400Z", "60"), "", "000000000000 eu-west-1");
        check(&link("20260102T030300Z", "60"), "", "AccessDenied");
    }
}
