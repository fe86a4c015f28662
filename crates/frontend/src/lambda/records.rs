//! What is kept beside a function and is configuration only: from a call to its answer.

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::{Call, Operation};
use dormouse_api::service::Dialect;
use dormouse_model::names::Scope;
use http::request::Parts;
use http::{Response, StatusCode};

use super::tags;
use crate::context::Inner;

pub(super) async fn answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, body): (&Parts, &[u8]),
) -> Result<Response<Bytes>, ApiError> {
    let resource = call.label("Resource");
    match call.operation {
        Operation::TagResource => tags::tag(inner, scope, resource, body).await,
        Operation::UntagResource => tags::untag(inner, scope, resource, parts).await,
        Operation::ListTags => tags::list(inner, scope, resource).await,
        other => Err(ApiError::not_implemented(Dialect::LAMBDA, other.name())),
    }
}

pub(super) fn no_content() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
