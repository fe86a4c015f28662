//! Reserved concurrency: stored first, then in force, then answered.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::concurrency::{
    self as api, FunctionConcurrency, PutFunctionConcurrencyRequest,
};
use dormouse_api::lambda::{Operation, Target, json_answer, together};
use dormouse_model::names::FunctionKey;
use dormouse_store::ChangeError;
use dormouse_store::concurrency::ReserveError;

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::no_content;
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, key) = (ask.inner, api::whole(ask.scope, ask.label("FunctionName")));
    match ask.operation() {
        Operation::PutFunctionConcurrency => put(inner, key, ask.body).await,
        Operation::GetFunctionConcurrency => get(inner, &key?).await,
        Operation::DeleteFunctionConcurrency => delete(inner, &key?).await,
        _ => Err(ask.not_here()),
    }
}

async fn put(inner: &Inner, key: Result<FunctionKey, ApiError>, body: &[u8]) -> Answer {
    let places = PutFunctionConcurrencyRequest::read(body).and_then(|asked| asked.validate());
    let (key, places) = together(key, places)?;
    let key = &key;
    inner.concurrency.reserve(key, places).await.map_err(|error| match error {
        ReserveError::Missing => ApiError::function_not_found(&key.arn()),
        ReserveError::Denied(reason) => api::denied(reason),
        ReserveError::Storage(fault) => storage(&fault),
    })?;
    inner.deployments.claimed(key).await;
    inner.events.loosened(key);
    let answer = FunctionConcurrency::of(Some(places));
    Ok(json_answer(Operation::PutFunctionConcurrency.status(), &answer))
}

async fn get(inner: &Inner, key: &FunctionKey) -> Answer {
    stored(inner, &Target { key: key.clone(), qualifier: None }).await?;
    let reserved = inner.concurrency.of(key).await.map_err(|fault| storage(&fault))?;
    let answer = FunctionConcurrency::of(reserved);
    Ok(json_answer(Operation::GetFunctionConcurrency.status(), &answer))
}

async fn delete(inner: &Inner, key: &FunctionKey) -> Answer {
    inner.concurrency.release(key).await.map_err(|error| match error {
        ChangeError::Missing => ApiError::function_not_found(&key.arn()),
        ChangeError::Storage(fault) => storage(&fault),
    })?;
    inner.deployments.claimed(key).await;
    inner.events.loosened(key);
    Ok(no_content())
}
