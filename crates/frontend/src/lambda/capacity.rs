//! Capacity providers: kept, shown, listed, changed, removed. Nothing is launched, and no function
//! can be given one, so that how functions scale on them cannot be configured.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::capacity::{
    self as api, CapacityProviderResponse, ListCapacityProvidersRequest,
    ListCapacityProvidersResponse, shown,
};
use dormouse_api::lambda::{Operation, json_answer};
use dormouse_model::capacity::{CapacityProvider, State};
use dormouse_model::names::{CapacityProviderName, Scope};
use dormouse_store::resources::{Marks, Refused};

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::paged;
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    match ask.operation() {
        Operation::CreateCapacityProvider => create(ask).await,
        Operation::GetCapacityProvider => get(ask).await,
        Operation::UpdateCapacityProvider => update(ask).await,
        Operation::DeleteCapacityProvider => delete(ask).await,
        Operation::ListCapacityProviders => list(ask).await,
        Operation::ListFunctionVersionsByCapacityProvider => versions(ask).await,
        Operation::GetFunctionScalingConfig => scaling(ask).await,
        Operation::PutFunctionScalingConfig => put_scaling(ask).await,
        _ => Err(ask.not_here()),
    }
}

fn one(ask: &Ask<'_>, provider: &CapacityProvider, state: State) -> Answer {
    let answer = CapacityProviderResponse { capacity_provider: shown(provider, state) };
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn create(ask: &Ask<'_>) -> Answer {
    let new = api::new(ask.scope, ask.body, ask.inner.clock.wall_ms())?;
    let name = new.name.clone();
    let created = change(ask.inner, ask.scope, &name, move |found| match found {
        Some(found) => Err(api::exists(&found.name)),
        None => Ok((Some(new.clone()), new)),
    });
    one(ask, &created.await?, State::Pending)
}

async fn there(ask: &Ask<'_>, name: &CapacityProviderName) -> Result<CapacityProvider, ApiError> {
    let found = ask.inner.resources.get(ask.scope, name.as_str()).await;
    found.map_err(|fault| storage(&fault))?.ok_or_else(|| api::not_found(name.as_str()))
}

async fn get(ask: &Ask<'_>) -> Answer {
    let name = api::labelled(ask.scope, ask.label("CapacityProviderName"))?;
    one(ask, &there(ask, &name).await?, State::Active)
}

async fn update(ask: &Ask<'_>) -> Answer {
    let now_ms = ask.inner.clock.wall_ms();
    let (name, asked) = api::change(ask.scope, ask.label("CapacityProviderName"), ask.body)?;
    let missing = api::not_found(name.as_str());
    let changed = change(ask.inner, ask.scope, &name, move |found| {
        let provider = asked.applied_to(found.ok_or(missing)?, now_ms);
        Ok((Some(provider.clone()), provider))
    });
    one(ask, &changed.await?, State::Active)
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let name = api::labelled(ask.scope, ask.label("CapacityProviderName"))?;
    let missing = api::not_found(name.as_str());
    let deleted =
        change(ask.inner, ask.scope, &name, |found| Ok((None, found.ok_or(missing)?))).await?;
    one(ask, &deleted, State::Deleting)
}

async fn list(ask: &Ask<'_>) -> Answer {
    let asked = ListCapacityProvidersRequest::read(&ask.parts.uri)?;
    // What is kept is active: it is pending or about to be gone only in the answer that says so.
    let any = asked.state.is_none_or(|state| state == State::Active.as_str());
    let after = asked.after.as_ref().map(CapacityProviderName::as_str);
    // One more than the page tells whether there is another.
    let limit = if any { asked.items + 1 } else { 0 };
    let found = ask.inner.resources.list(ask.scope, &Marks::default(), after, limit).await;
    let found: Vec<CapacityProvider> = found.map_err(|fault| storage(&fault))?;
    let (found, more) = paged(found, asked.items);
    let next_marker = found.last().filter(|_| more).map(|last| last.name.to_string());
    let capacity_providers = found.iter().map(|of| shown(of, State::Active)).collect();
    let answer = ListCapacityProvidersResponse { capacity_providers, next_marker };
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn versions(ask: &Ask<'_>) -> Answer {
    let name = api::versions(ask.scope, ask.label("CapacityProviderName"), &ask.parts.uri)?;
    let answer = api::no_versions(&there(ask, &name).await?);
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn scaling(ask: &Ask<'_>) -> Answer {
    let target = api::scaled(ask.scope, ask.label("FunctionName"), &ask.parts.uri)?;
    stored(ask.inner, &target).await?;
    Ok(json_answer(ask.operation().status(), &api::no_scaling(&target)))
}

async fn put_scaling(ask: &Ask<'_>) -> Answer {
    let (name, uri) = (ask.label("FunctionName"), &ask.parts.uri);
    let target = api::put_scaling(ask.scope, name, uri, ask.body)?;
    stored(ask.inner, &target).await?;
    Err(api::not_managed(&target))
}

/// Changes a provider, or its absence.
pub(super) async fn change<T: Send + 'static>(
    inner: &Inner,
    scope: &Scope,
    name: &CapacityProviderName,
    change: impl FnOnce(Option<CapacityProvider>) -> Result<(Option<CapacityProvider>, T), ApiError>
    + Send
    + 'static,
) -> Result<T, ApiError> {
    match inner.resources.change(scope, name.as_str(), change).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Refused::Change(error))) => Err(error),
        Ok(Err(Refused::Clash { other, .. })) => Err(api::exists(&other.name)),
        Err(fault) => Err(storage(&fault)),
    }
}
