//! STS: who the caller is.

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::service::{Dialect, Service};
use dormouse_api::sts::CallerIdentity;
use dormouse_model::names::{RequestId, Scope};
use http::Response;

/// Answers an operation.
pub(crate) fn answer(
    scope: &Scope,
    dialect: Dialect,
    operation: &str,
    id: &RequestId,
) -> Result<Response<Bytes>, ApiError> {
    debug_assert_eq!(dialect.service, Some(Service::Sts));
    match operation {
        "GetCallerIdentity" => Ok(CallerIdentity::root(scope.account.clone()).answer(id)),
        other => Err(ApiError::not_implemented(dialect, other)),
    }
}
