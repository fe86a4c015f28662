//! STS's answers with credentials.

use bytes::Bytes;
use dormouse_model::names::{AccountId, RequestId};
use http::Response;

use super::NAMESPACE;
use crate::time;
use crate::xml::{Xml, query_answer};

/// Temporary credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key.
    pub access_key: String,
    /// What signs.
    pub secret: String,
    /// What says whose they are.
    pub session_token: String,
    /// When they end, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets never reach a log.
        f.debug_struct("Credentials").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

impl Credentials {
    fn write(&self, xml: &mut Xml) {
        xml.element("Credentials", |xml| {
            xml.leaf("AccessKeyId", &self.access_key)
                .leaf("SecretAccessKey", &self.secret)
                .leaf("SessionToken", &self.session_token)
                .leaf("Expiration", &time::iso_seconds(self.expires_ms));
        });
    }

    /// `GetSessionToken`'s answer.
    #[must_use]
    pub fn answer(&self, request_id: &RequestId) -> Response<Bytes> {
        let result = |xml: &mut Xml| self.write(xml);
        query_answer(NAMESPACE, "GetSessionToken", request_id, Some(result))
    }
}

/// `AssumeRole`'s answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedRole {
    /// The credentials.
    pub credentials: Credentials,
    /// The session's ARN.
    pub arn: String,
    /// The role's id and the session's name.
    pub assumed_role_id: String,
}

impl AssumedRole {
    /// The HTTP answer.
    #[must_use]
    pub fn answer(&self, request_id: &RequestId) -> Response<Bytes> {
        let result = |xml: &mut Xml| {
            xml.element("AssumedRoleUser", |xml| {
                xml.leaf("AssumedRoleId", &self.assumed_role_id).leaf("Arn", &self.arn);
            });
            self.credentials.write(xml);
        };
        query_answer(NAMESPACE, "AssumeRole", request_id, Some(result))
    }
}

/// `GetAccessKeyInfo`'s answer.
#[must_use]
pub fn access_key_info(account: &AccountId, request_id: &RequestId) -> Response<Bytes> {
    let result = |xml: &mut Xml| {
        xml.leaf("Account", account.as_str());
    };
    query_answer(NAMESPACE, "GetAccessKeyInfo", request_id, Some(result))
}
