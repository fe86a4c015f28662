//! Function URLs as records: made, shown, changed, listed, removed.

use dormouse_api::lambda::page::QualifierPage;
use dormouse_api::lambda::url::{
    self as api, FunctionUrlConfigRequest, FunctionUrlConfigResponse,
    ListFunctionUrlConfigsResponse,
};
use dormouse_api::lambda::{Operation, Target, json_answer, together};
use dormouse_model::url::FunctionUrl;
use http::request::Parts;

use super::ask::{Answer, Ask, Asked};
use super::functions::storage;
use super::records::{change_setting, no_content, paged, refuse_tenants, there};
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let target = api::target(ask.scope, ask.label("FunctionName"), &ask.parts.uri);
    let inner = ask.inner;
    match ask.operation() {
        Operation::CreateFunctionUrlConfig => create(inner, target, ask.body).await,
        Operation::GetFunctionUrlConfig => get(inner, &target?).await,
        Operation::UpdateFunctionUrlConfig => update(inner, target, ask.body).await,
        Operation::DeleteFunctionUrlConfig => delete(inner, &target?).await,
        Operation::ListFunctionUrlConfigs => list(inner, target, ask.parts).await,
        _ => Err(ask.not_here()),
    }
}

async fn create(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let new = FunctionUrlConfigRequest::read(body).and_then(FunctionUrlConfigRequest::validate_new);
    let (target, new) = together(target, new)?;
    let target = &target;
    let found = there(inner, target, api::no_function()).await?;
    refuse_tenants(&found, "A function URL")?;
    let mode_given = new.mode.is_some();
    let url = new.made(format!("{:032x}", inner.chance.bits()), inner.clock.wall_ms());
    let (made, of) = (url.clone(), target.clone());
    change_setting(inner, target, move |found: Option<FunctionUrl>| match found {
        None => Ok(Some(made)),
        Some(_) => Err(api::exists(&of)),
    })
    .await?;
    let answer = response(url, target).created(mode_given);
    Ok(json_answer(Operation::CreateFunctionUrlConfig.status(), &answer))
}

async fn get(inner: &Inner, target: &Target) -> Answer {
    there(inner, target, api::not_found()).await?;
    let found = inner.settings.get(&target.key, target.qualifier.as_ref()).await;
    let url = found.map_err(|fault| storage(&fault))?.ok_or_else(api::not_found)?;
    Ok(json_answer(Operation::GetFunctionUrlConfig.status(), &response(url, target)))
}

async fn update(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let change = FunctionUrlConfigRequest::read(body).and_then(FunctionUrlConfigRequest::validate);
    let (target, change) = together(target, change)?;
    let target = &target;
    there(inner, target, api::no_function()).await?;
    let now_ms = inner.clock.wall_ms();
    let changed = change_setting(inner, target, move |url: Option<FunctionUrl>| {
        let url = url.ok_or_else(api::not_found)?;
        Ok(Some(change.applied_to(url, now_ms)))
    });
    let url = changed.await?.ok_or_else(api::not_found)?;
    Ok(json_answer(Operation::UpdateFunctionUrlConfig.status(), &response(url, target)))
}

async fn delete(inner: &Inner, target: &Target) -> Answer {
    there(inner, target, api::not_found()).await?;
    change_setting(inner, target, |url: Option<FunctionUrl>| match url {
        Some(_) => Ok(None),
        None => Err(api::not_found()),
    })
    .await?;
    Ok(no_content())
}

async fn list(inner: &Inner, target: Asked, parts: &Parts) -> Answer {
    let (target, page) = together(target, QualifierPage::read(&parts.uri))?;
    let target = &target;
    there(inner, target, api::no_function()).await?;
    // One more than the page tells whether there is another.
    let found = inner.settings.list(&target.key, page.after.as_ref(), page.items + 1).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, page.items);
    let next_marker = found.last().filter(|_| more).map(|(qualifier, _)| qualifier.to_string());
    let shown =
        |(qualifier, url)| FunctionUrlConfigResponse::of(url, &target.key, Some(&qualifier));
    let function_url_configs = found.into_iter().map(shown).collect();
    let answer = ListFunctionUrlConfigsResponse { function_url_configs, next_marker };
    Ok(json_answer(Operation::ListFunctionUrlConfigs.status(), &answer))
}

fn response(url: FunctionUrl, target: &Target) -> FunctionUrlConfigResponse {
    FunctionUrlConfigResponse::of(url, &target.key, target.qualifier.as_ref())
}
