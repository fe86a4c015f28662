//! Lambda: from a routed call to its answer.

mod aliases;
mod behaviour;
mod concurrency;
pub(crate) mod deployments;
mod event_invoke;
mod functions;
mod invoke;
mod layers;
mod package;
mod permissions;
mod records;
mod served;
mod tags;
mod trace;
mod urls;
mod versions;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::{Call, NameShape, Operation, layer};
use dormouse_model::limits;
use dormouse_model::names::{RequestId, Scope};
use http::Response;
use http::header::HOST;
use http::request::Parts;

use crate::body::BodyError;
use crate::context::Inner;
use crate::outgoing::Outgoing;

/// How large the body of an operation may be.
pub(crate) fn body_limit(operation: Operation) -> usize {
    match operation {
        Operation::CreateFunction
        | Operation::UpdateFunctionCode
        | Operation::PublishLayerVersion => limits::CREATE_REQUEST_BYTES,
        Operation::Invoke | Operation::InvokeWithResponseStream => limits::INVOKE_REQUEST_BYTES,
        _ => limits::CONTROL_REQUEST_BYTES,
    }
}

/// What is said to a body that could not be read.
pub(crate) fn body_refusal(operation: Operation, error: &BodyError) -> ApiError {
    let invokes = matches!(operation, Operation::Invoke | Operation::InvokeWithResponseStream);
    match error {
        BodyError::TooLarge { limit_bytes } if invokes => ApiError::payload_too_large(*limit_bytes),
        BodyError::TooLarge { limit_bytes } => {
            ApiError::request_too_large(*limit_bytes, operation.name())
        }
        BodyError::Incomplete => ApiError::incomplete_body(),
    }
}

/// Answers a call.
pub(crate) async fn answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    parts: &Parts,
    (body, request): (Bytes, &RequestId),
) -> Result<Response<Outgoing>, ApiError> {
    if call.operation == Operation::InvokeWithResponseStream {
        let name = call.label("FunctionName");
        return invoke::with_response_stream(inner, scope, name, parts, (body, request)).await;
    }
    let answered = function_answer(inner, scope, call, parts, (body, request)).await;
    answered.map(|response| response.map(Outgoing::from))
}

async fn function_answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    parts: &Parts,
    (body, request): (Bytes, &RequestId),
) -> Result<Response<Bytes>, ApiError> {
    let name = call.label("FunctionName");
    let existing = || functions::target(scope, name, parts, NameShape::Existing);
    let writing = || functions::target(scope, name, parts, NameShape::Writing);
    match call.operation {
        Operation::Invoke => invoke::invoke(inner, scope, name, parts, (body, request)).await,
        Operation::CreateFunction => functions::create(inner, scope, &body).await,
        Operation::GetFunction => functions::get(inner, &existing()?, host(parts)).await,
        Operation::GetFunctionConfiguration => {
            functions::get_configuration(inner, &existing()?).await
        }
        Operation::UpdateFunctionCode => functions::update_code(inner, writing(), &body).await,
        Operation::UpdateFunctionConfiguration => {
            functions::update_configuration(inner, scope, writing(), &body).await
        }
        Operation::DeleteFunction => functions::delete(inner, &existing()?).await,
        Operation::ListFunctions => functions::list(inner, scope, parts).await,
        Operation::PublishVersion => versions::publish(inner, &writing()?, &body).await,
        Operation::ListVersionsByFunction => versions::list(inner, &existing()?, parts).await,
        Operation::GetAccountSettings => functions::account_settings(inner, scope).await,
        _ => alias_answer(inner, scope, call, (parts, &body)).await,
    }
}

async fn alias_answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, body): (&Parts, &[u8]),
) -> Result<Response<Bytes>, ApiError> {
    let (function, name) = (call.label("FunctionName"), call.label("Name"));
    let existing = || functions::target(scope, function, parts, NameShape::Existing);
    let writing = || functions::target(scope, function, parts, NameShape::Writing);
    match call.operation {
        Operation::CreateAlias => aliases::create(inner, &writing()?, body).await,
        Operation::GetAlias => aliases::get(inner, &existing()?, name).await,
        Operation::UpdateAlias => aliases::update(inner, &writing()?, (name, body)).await,
        Operation::DeleteAlias => aliases::delete(inner, &existing()?, name).await,
        Operation::ListAliases => aliases::list(inner, &existing()?, parts).await,
        _ => layer_answer(inner, scope, call, (parts, body)).await,
    }
}

async fn layer_answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, body): (&Parts, &[u8]),
) -> Result<Response<Bytes>, ApiError> {
    let name = call.label("LayerName");
    let version = || layer::version(scope, name, call.label("VersionNumber"));
    match call.operation {
        Operation::PublishLayerVersion => {
            layers::publish(inner, scope, name, (host(parts), body)).await
        }
        Operation::GetLayerVersion => layers::get(inner, scope, &version()?, host(parts)).await,
        Operation::GetLayerVersionByArn => {
            let key = layer::version_by_arn(scope, &parts.uri)?;
            layers::get(inner, scope, &key, host(parts)).await
        }
        Operation::ListLayerVersions => {
            layers::list_versions(inner, scope, layer::layer(scope, name), parts).await
        }
        Operation::ListLayers => layers::list(inner, scope, parts).await,
        Operation::DeleteLayerVersion => layers::delete(inner, scope, &version()?).await,
        Operation::AddLayerVersionPermission => {
            layers::add_permission(inner, scope, version(), (parts, body)).await
        }
        Operation::RemoveLayerVersionPermission => {
            let id = call.label("StatementId");
            layers::remove_permission(inner, scope, version(), (parts, id)).await
        }
        Operation::GetLayerVersionPolicy => layers::get_policy(inner, scope, &version()?).await,
        _ => records::answer(inner, scope, call, (parts, body)).await,
    }
}

/// The address under which the caller knows us.
fn host(parts: &Parts) -> &str {
    parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost")
}
