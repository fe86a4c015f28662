//! What is kept beside a function and is configuration only: from a call to its answer.

use bytes::Bytes;
use dormouse_api::error::{ApiError, Exception};
use dormouse_api::lambda::behaviour::unqualified;
use dormouse_api::lambda::concurrency::whole;
use dormouse_api::lambda::{Call, NameShape, Operation, Target, url};
use dormouse_api::service::Dialect;
use dormouse_model::names::Scope;
use dormouse_store::ChangeError;
use dormouse_store::settings::Setting;
use http::request::Parts;
use http::{Response, StatusCode};

use super::functions::{self, storage};
use super::versions::stored;
use super::{behaviour, concurrency, event_invoke, permissions, tags, urls};
use crate::context::Inner;

pub(super) async fn answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, body): (&Parts, &[u8]),
) -> Result<Response<Bytes>, ApiError> {
    let resource = call.label("Resource");
    let name = call.label("FunctionName");
    let existing = || functions::target(scope, name, parts, NameShape::Existing);
    let whole = || whole(scope, name);
    match call.operation {
        Operation::TagResource => tags::tag(inner, scope, resource, body).await,
        Operation::UntagResource => tags::untag(inner, scope, resource, parts).await,
        Operation::ListTags => tags::list(inner, scope, resource).await,
        Operation::AddPermission => permissions::add(inner, &existing()?, body).await,
        Operation::RemovePermission => {
            let id = call.label("StatementId");
            permissions::remove(inner, &existing()?, (parts, id)).await
        }
        Operation::GetPolicy => permissions::get(inner, &existing()?).await,
        Operation::PutFunctionConcurrency => concurrency::put(inner, &whole()?, body).await,
        Operation::GetFunctionConcurrency => concurrency::get(inner, &whole()?).await,
        Operation::DeleteFunctionConcurrency => concurrency::delete(inner, &whole()?).await,
        _ => event_invoke_answer(inner, scope, call, (parts, body)).await,
    }
}

async fn event_invoke_answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, body): (&Parts, &[u8]),
) -> Result<Response<Bytes>, ApiError> {
    let name = call.label("FunctionName");
    let existing = || functions::target(scope, name, parts, NameShape::Existing);
    match call.operation {
        Operation::PutFunctionEventInvokeConfig => {
            event_invoke::put(inner, &existing()?, body).await
        }
        Operation::UpdateFunctionEventInvokeConfig => {
            event_invoke::update(inner, &existing()?, body).await
        }
        Operation::GetFunctionEventInvokeConfig => event_invoke::get(inner, &existing()?).await,
        Operation::ListFunctionEventInvokeConfigs => {
            event_invoke::list(inner, &existing()?, parts).await
        }
        Operation::DeleteFunctionEventInvokeConfig => {
            event_invoke::delete(inner, &existing()?).await
        }
        _ => behaviour_answer(inner, scope, call, (parts, body)).await,
    }
}

async fn behaviour_answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, body): (&Parts, &[u8]),
) -> Result<Response<Bytes>, ApiError> {
    let name = call.label("FunctionName");
    let existing = || functions::target(scope, name, parts, NameShape::Existing);
    match call.operation {
        Operation::PutFunctionRecursionConfig => {
            behaviour::put_recursion(inner, unqualified(scope, name)?, body).await
        }
        Operation::GetFunctionRecursionConfig => {
            behaviour::get_recursion(inner, unqualified(scope, name)?).await
        }
        Operation::PutRuntimeManagementConfig => {
            behaviour::put_runtime(inner, &existing()?, body).await
        }
        Operation::GetFunctionCodeSigningConfig => {
            behaviour::get_code_signing(inner, &existing()?).await
        }
        Operation::GetRuntimeManagementConfig => behaviour::get_runtime(inner, &existing()?).await,
        _ => url_answer(inner, scope, call, (parts, body)).await,
    }
}

async fn url_answer(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, body): (&Parts, &[u8]),
) -> Result<Response<Bytes>, ApiError> {
    let target = || url::target(scope, call.label("FunctionName"), &parts.uri);
    match call.operation {
        Operation::CreateFunctionUrlConfig => urls::create(inner, &target()?, body).await,
        Operation::GetFunctionUrlConfig => urls::get(inner, &target()?).await,
        Operation::UpdateFunctionUrlConfig => urls::update(inner, &target()?, body).await,
        Operation::DeleteFunctionUrlConfig => urls::delete(inner, &target()?).await,
        Operation::ListFunctionUrlConfigs => urls::list(inner, &target()?, parts).await,
        other => Err(ApiError::not_implemented(Dialect::LAMBDA, other.name())),
    }
}

/// What is missing is told in other words than elsewhere.
pub(super) async fn there(
    inner: &Inner,
    target: &Target,
    missing: ApiError,
) -> Result<(), ApiError> {
    match stored(inner, target).await {
        Err(error) if error.exception == Exception::ResourceNotFound => Err(missing),
        other => other.map(drop),
    }
}

/// Changes a setting of what the caller has found to be there.
pub(super) async fn change_setting<S: Setting>(
    inner: &Inner,
    target: &Target,
    change: impl FnOnce(Option<S>) -> Result<Option<S>, ApiError> + Send + 'static,
) -> Result<Option<S>, ApiError> {
    match inner.settings.change(&target.key, target.qualifier.as_ref(), change).await {
        Ok(result) => result,
        Err(ChangeError::Missing) => Err(ApiError::function_not_found(&target.arn())),
        Err(ChangeError::Storage(fault)) => Err(storage(&fault)),
    }
}

pub(super) fn no_content() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
