//! STS: who the caller is, and credentials for a while.

mod credentials;
mod request;

pub use credentials::{AssumedRole, Credentials, access_key_info};
pub use request::{Request, RoleArn, expired, may_not_assume, session_too_long};

use bytes::Bytes;
use dormouse_model::names::{AccountId, RequestId};
use http::Response;

use crate::xml::{Xml, query_answer};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// `GetCallerIdentity`'s answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account.
    pub account: AccountId,
    /// The caller's ARN.
    pub arn: String,
    /// The caller's unique id.
    pub user_id: String,
}

impl CallerIdentity {
    /// An account's root, which is everybody while credentials are not told apart.
    #[must_use]
    pub fn root(account: AccountId) -> Self {
        let arn = format!("arn:aws:iam::{account}:root");
        let user_id = account.to_string();
        Self { account, arn, user_id }
    }

    /// The HTTP answer.
    #[must_use]
    pub fn answer(&self, request_id: &RequestId) -> Response<Bytes> {
        let result = |xml: &mut Xml| {
            xml.leaf("Arn", &self.arn)
                .leaf("UserId", &self.user_id)
                .leaf("Account", self.account.as_str());
        };
        query_answer(NAMESPACE, "GetCallerIdentity", request_id, Some(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_an_account_is_the_caller() {
        let identity = CallerIdentity::root("123456789012".parse().unwrap());
        let answer = identity.answer(&"11111111-2222-4333-8444-555555555555".parse().unwrap());
        assert_eq!(answer.headers()["content-type"], "text/xml");
        insta::assert_snapshot!(std::str::from_utf8(answer.body()).unwrap(), @r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:root</Arn><UserId>123456789012</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#);
    }
}
