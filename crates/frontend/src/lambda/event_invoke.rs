//! What becomes of asynchronous invocations: configured, shown, listed, removed.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::event_invoke::{
    self as api, EventInvokeChange, EventInvokeConfigRequest, EventInvokeConfigResponse,
    ListFunctionEventInvokeConfigsResponse,
};
use dormouse_api::lambda::page::QualifierPage;
use dormouse_api::lambda::{NameShape, Operation, Target, json_answer, together};
use dormouse_model::event_invoke::EventInvokeConfig;
use http::request::Parts;

use super::ask::{Answer, Ask, Asked};
use super::functions::storage;
use super::records::{change_setting, no_content, paged};
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, target) = (ask.inner, ask.existing());
    match ask.operation() {
        Operation::PutFunctionEventInvokeConfig => put(inner, target, ask.body).await,
        Operation::UpdateFunctionEventInvokeConfig => update(inner, target, ask.body).await,
        Operation::GetFunctionEventInvokeConfig => get(inner, &target?).await,
        Operation::ListFunctionEventInvokeConfigs => list(inner, target, ask.parts).await,
        Operation::DeleteFunctionEventInvokeConfig => delete(inner, &target?).await,
        _ => Err(ask.not_here()),
    }
}

async fn put(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let (target, change) = read(inner, target, body).await?;
    let target = &target;
    let config = change.whole(inner.clock.wall_ms());
    let config = change_setting(inner, target, move |_| Ok(Some(config))).await?;
    shown(target, config, Operation::PutFunctionEventInvokeConfig)
}

async fn update(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let (target, change) = read(inner, target, body).await?;
    let target = &target;
    let (now_ms, of) = (inner.clock.wall_ms(), target.clone());
    let config = change_setting(inner, target, move |config: Option<EventInvokeConfig>| {
        let config = config.ok_or_else(|| api::not_found(&of))?;
        Ok(Some(change.applied_to(config, now_ms)))
    });
    shown(target, config.await?, Operation::UpdateFunctionEventInvokeConfig)
}

async fn get(inner: &Inner, target: &Target) -> Answer {
    stored(inner, target).await?;
    let found = inner.settings.get(&target.key, target.qualifier.as_ref()).await;
    let found = found.map_err(|fault| storage(&fault))?;
    shown(target, found, Operation::GetFunctionEventInvokeConfig)
}

async fn list(inner: &Inner, target: Asked, parts: &Parts) -> Answer {
    let (target, page) = together(target, QualifierPage::read(&parts.uri))?;
    stored(inner, &target).await?;
    // One more than the page tells whether there is another.
    let found = inner.settings.list(&target.key, page.after.as_ref(), page.items + 1).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, page.items);
    let next_marker = found.last().filter(|_| more).map(|(qualifier, _)| qualifier.to_string());
    let shown =
        |(qualifier, config)| EventInvokeConfigResponse::of(config, &target.key, Some(&qualifier));
    let answer = ListFunctionEventInvokeConfigsResponse {
        function_event_invoke_configs: found.into_iter().map(shown).collect(),
        next_marker,
    };
    Ok(json_answer(Operation::ListFunctionEventInvokeConfigs.status(), &answer))
}

async fn delete(inner: &Inner, target: &Target) -> Answer {
    stored(inner, target).await?;
    let of = target.clone();
    change_setting(inner, target, move |config: Option<EventInvokeConfig>| match config {
        Some(_) => Ok(None),
        None => Err(api::not_found(&of)),
    })
    .await?;
    Ok(no_content())
}

/// What is to change, once all that it names is found to be there.
async fn read(
    inner: &Inner,
    target: Asked,
    body: &[u8],
) -> Result<(Target, EventInvokeChange), ApiError> {
    let change = EventInvokeConfigRequest::read(body).and_then(EventInvokeConfigRequest::validate);
    let (target, change) = together(target, change)?;
    change.check(&target)?;
    stored(inner, &target).await?;
    for arn in change.functions() {
        let scope = &target.key.scope;
        let there = match Target::resolve(scope, arn, None, NameShape::Existing) {
            Ok(to) => stored(inner, &to).await.is_ok(),
            Err(_) => false,
        };
        if !there {
            return Err(api::invalid_destination(arn));
        }
    }
    Ok((target, change))
}

fn shown(target: &Target, config: Option<EventInvokeConfig>, operation: Operation) -> Answer {
    let config = config.ok_or_else(|| api::not_found(target))?;
    let qualifier = target.qualifier.as_ref();
    let answer = EventInvokeConfigResponse::of(config, &target.key, qualifier);
    Ok(json_answer(operation.status(), &answer))
}
