//! Code signing configurations, which functions have which, and what becomes of code that is not
//! signed: none is here, since no signature is verified.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::code_signing::{
    self as api, CodeSigningConfigResponse, FunctionCodeSigningConfigResponse,
    ListCodeSigningConfigsResponse, ListFunctionsByCodeSigningConfigResponse, Page, shown,
};
use dormouse_api::lambda::{Operation, json_answer};
use dormouse_model::code_signing::{self as model, CodeSigningConfig};
use dormouse_model::names::{CodeSigningConfigId, FunctionKey, Scope};
use dormouse_store::code_signing::CodeSigningError;
use dormouse_store::resources::{Marks, Refused};

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::{no_content, paged};
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    match ask.operation() {
        Operation::CreateCodeSigningConfig => create(ask).await,
        Operation::GetCodeSigningConfig => get(ask).await,
        Operation::UpdateCodeSigningConfig => update(ask).await,
        Operation::DeleteCodeSigningConfig => delete(ask).await,
        Operation::ListCodeSigningConfigs => list(ask).await,
        Operation::ListFunctionsByCodeSigningConfig => users(ask).await,
        Operation::GetFunctionCodeSigningConfig => get_of_function(ask).await,
        Operation::PutFunctionCodeSigningConfig => put(ask).await,
        Operation::DeleteFunctionCodeSigningConfig => take_away(ask).await,
        _ => Err(ask.not_here()),
    }
}

/// Code of a function is deployed unless its configuration wants a signature.
pub(super) async fn check_unsigned(inner: &Inner, key: &FunctionKey) -> Result<(), ApiError> {
    let config = inner.code_signing.of(key).await.map_err(|fault| storage(&fault))?;
    match config {
        Some(config) if !config.lets_unsigned_pass() => Err(api::unsigned(key)),
        _ => Ok(()),
    }
}

/// The same of a function that is to be made with a configuration.
pub(super) async fn check_new(
    inner: &Inner,
    key: &FunctionKey,
    config: Option<&CodeSigningConfigId>,
) -> Result<(), ApiError> {
    let Some(id) = config else { return Ok(()) };
    let missing = || api::cannot_be_found(&model::arn(&key.scope, id));
    let config = found(inner, &key.scope, id).await?.ok_or_else(missing)?;
    if config.lets_unsigned_pass() { Ok(()) } else { Err(api::unsigned(key)) }
}

async fn found(
    inner: &Inner,
    scope: &Scope,
    id: &CodeSigningConfigId,
) -> Result<Option<CodeSigningConfig>, ApiError> {
    inner.resources.get(scope, id.as_str()).await.map_err(|fault| storage(&fault))
}

fn one(ask: &Ask<'_>, config: &CodeSigningConfig) -> Answer {
    let answer = CodeSigningConfigResponse { code_signing_config: shown(config) };
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn create(ask: &Ask<'_>) -> Answer {
    let inner = ask.inner;
    let id = inner.chance.code_signing_config_id();
    let config = api::new(ask.scope, id.clone(), ask.body, inner.clock.wall_ms())?;
    let config = change(inner, ask.scope, &id, |_| Ok((Some(config.clone()), config))).await?;
    one(ask, &config)
}

async fn get(ask: &Ask<'_>) -> Answer {
    let arn = ask.label("CodeSigningConfigArn");
    let id = api::labelled(ask.scope, arn)?;
    let config = found(ask.inner, ask.scope, &id).await?.ok_or_else(|| api::not_found(arn))?;
    one(ask, &config)
}

async fn update(ask: &Ask<'_>) -> Answer {
    let (arn, now_ms) = (ask.label("CodeSigningConfigArn").to_owned(), ask.inner.clock.wall_ms());
    let (id, asked) = api::change(ask.scope, &arn, ask.body)?;
    let changed = change(ask.inner, ask.scope, &id, move |found| {
        let config = found.ok_or_else(|| api::not_found(&arn))?;
        let config = asked.applied_to(config, now_ms);
        Ok((Some(config.clone()), config))
    });
    one(ask, &changed.await?)
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let arn = ask.label("CodeSigningConfigArn");
    let id = api::labelled(ask.scope, arn)?;
    let deleted = ask.inner.code_signing.delete(ask.scope, &id).await;
    deleted.map_err(|error| match error {
        CodeSigningError::InUse => api::in_use(arn),
        CodeSigningError::Storage(fault) => storage(&fault),
        _ => api::not_found(arn),
    })?;
    Ok(no_content())
}

async fn list(ask: &Ask<'_>) -> Answer {
    let asked: Page<CodeSigningConfigId> = Page::read(&ask.parts.uri)?;
    let after = asked.after.as_ref().map(CodeSigningConfigId::as_str);
    // One more than the page tells whether there is another.
    let all = Marks::default();
    let found = ask.inner.resources.list(ask.scope, &all, after, asked.items + 1).await;
    let found: Vec<CodeSigningConfig> = found.map_err(|fault| storage(&fault))?;
    let (found, more) = paged(found, asked.items);
    let next_marker = found.last().filter(|_| more).map(|last| last.id.to_string());
    let code_signing_configs = found.iter().map(shown).collect();
    let answer = ListCodeSigningConfigsResponse { code_signing_configs, next_marker };
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn users(ask: &Ask<'_>) -> Answer {
    let (inner, scope, arn) = (ask.inner, ask.scope, ask.label("CodeSigningConfigArn"));
    let (id, page) = api::users(scope, arn, &ask.parts.uri)?;
    found(inner, scope, &id).await?.ok_or_else(|| api::not_found(arn))?;
    let found = inner.code_signing.functions(scope, &id, page.after.as_ref(), page.items + 1).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, page.items);
    let next_marker = found.last().filter(|_| more).map(ToString::to_string);
    let arn = |name| FunctionKey { scope: scope.clone(), name }.arn();
    let function_arns = found.into_iter().map(arn).collect();
    let answer = ListFunctionsByCodeSigningConfigResponse { function_arns, next_marker };
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn get_of_function(ask: &Ask<'_>) -> Answer {
    let (inner, target) = (ask.inner, ask.existing()?);
    stored(inner, &target).await?;
    let config = inner.code_signing.of(&target.key).await.map_err(|fault| storage(&fault))?;
    let id = config.as_ref().map(|config| &config.id);
    let answer = FunctionCodeSigningConfigResponse::of(&target.key, id);
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn put(ask: &Ask<'_>) -> Answer {
    let (key, id) = api::put(ask.scope, ask.label("FunctionName"), ask.body)?;
    assign(ask.inner, &key, Some(id.clone())).await?;
    let answer = FunctionCodeSigningConfigResponse::of(&key, Some(&id));
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn take_away(ask: &Ask<'_>) -> Answer {
    let key = api::unqualified(ask.existing()?)?;
    assign(ask.inner, &key, None).await?;
    Ok(no_content())
}

async fn assign(
    inner: &Inner,
    key: &FunctionKey,
    config: Option<CodeSigningConfigId>,
) -> Result<(), ApiError> {
    let arn = config.as_ref().map(|id| model::arn(&key.scope, id)).unwrap_or_default();
    inner.code_signing.assign(key, config).await.map_err(|error| refused(&error, key, &arn))
}

/// Why a function does not have a configuration, in AWS's words.
pub(super) fn refused(error: &CodeSigningError, key: &FunctionKey, arn: &str) -> ApiError {
    match error {
        CodeSigningError::NoFunction => ApiError::function_not_found(&key.arn()),
        CodeSigningError::FunctionExists => ApiError::function_exists(key),
        CodeSigningError::NoConfig => api::cannot_be_found(arn),
        CodeSigningError::InUse => api::in_use(arn),
        CodeSigningError::Storage(fault) => storage(fault),
    }
}

/// Changes a configuration, or its absence.
pub(super) async fn change<T: Send + 'static>(
    inner: &Inner,
    scope: &Scope,
    id: &CodeSigningConfigId,
    change: impl FnOnce(Option<CodeSigningConfig>) -> Result<(Option<CodeSigningConfig>, T), ApiError>
    + Send
    + 'static,
) -> Result<T, ApiError> {
    match inner.resources.change(scope, id.as_str(), change).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Refused::Change(error))) => Err(error),
        Ok(Err(Refused::Clash { record, .. })) => Err(api::in_use(&record.arn())),
        Err(fault) => Err(storage(&fault)),
    }
}
