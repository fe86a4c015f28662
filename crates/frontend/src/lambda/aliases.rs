//! Aliases: made, read, changed, listed, deleted.

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::alias::{
    AliasConfiguration, AliasRequest, ListAliasesRequest, ListAliasesResponse, cannot_find, denied,
    exists, name, not_found,
};
use dormouse_api::lambda::provisioned::not_with_snap_start;
use dormouse_api::lambda::{Operation, Target, json_answer, together};
use dormouse_model::alias::AliasChange;
use dormouse_model::names::{AliasName, FunctionKey, Qualifier, Version};
use http::request::Parts;
use http::{Response, StatusCode};

use super::ask::{Answer, Ask, Asked};
use super::functions::{only_latest, storage, unwrapped};
use super::records::paged;
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, name) = (ask.inner, ask.label("Name"));
    match ask.operation() {
        Operation::CreateAlias => create(inner, ask.writing(), ask.body).await,
        Operation::GetAlias => get(inner, ask.writing(), name).await,
        Operation::UpdateAlias => update(inner, ask.writing(), (name, ask.body)).await,
        Operation::DeleteAlias => delete(inner, ask.writing(), name).await,
        Operation::ListAliases => list(inner, ask.writing(), ask.parts).await,
        _ => Err(ask.not_here()),
    }
}

async fn create(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let asked = AliasRequest::read(body).and_then(AliasRequest::new_alias);
    let (target, asked) = together(target, asked)?;
    only_latest(&target)?;
    let (alias_name, key) = (asked.name.clone(), target.key.clone());
    let alias = asked.of(key.clone(), inner.chance.revision_id());
    let made = inner.aliases.put(&target.key, &alias_name, move |current, numbers| match current {
        Some(current) => Err(exists(current)),
        None => alias.checked(numbers).map_err(|reason| denied(reason, &key)),
    });
    let alias = unwrapped(made.await, &target)?;
    inner.deployments.published(&target.key).await;
    Ok(json_answer(Operation::CreateAlias.status(), &AliasConfiguration::of(&alias)))
}

async fn get(inner: &Inner, target: Asked, label: &str) -> Answer {
    let (target, name) = together(target, name(label))?;
    let found = inner.aliases.get(&target.key, &name).await.map_err(|fault| storage(&fault))?;
    let alias = found.ok_or_else(|| cannot_find(&target.key, &name))?;
    Ok(json_answer(Operation::GetAlias.status(), &AliasConfiguration::of(&alias)))
}

async fn update(inner: &Inner, target: Asked, (label, body): (&str, &[u8])) -> Answer {
    let change = AliasRequest::read(body).and_then(AliasRequest::change);
    let (target, (name, change)) = together(target, together(name(label), change))?;
    only_latest(&target)?;
    refuse_provisioned(inner, (&target.key, &name), &change).await?;
    let (key, revision) = (target.key.clone(), inner.chance.revision_id());
    let missing = not_found(&target.key, &name);
    let changed = inner.aliases.put(&target.key, &name, move |current, numbers| {
        let changed = current.ok_or(missing)?.changed(change, numbers, revision);
        changed.map_err(|reason| denied(reason, &key))
    });
    let alias = unwrapped(changed.await, &target)?;
    inner.deployments.published(&target.key).await;
    Ok(json_answer(Operation::UpdateAlias.status(), &AliasConfiguration::of(&alias)))
}

/// What an alias keeps ready it cannot keep ready of a version that goes on from a snapshot. Whether the versions
/// are there is looked at later.
async fn refuse_provisioned(
    inner: &Inner,
    (key, name): (&FunctionKey, &AliasName),
    change: &AliasChange,
) -> Result<(), ApiError> {
    let alias = Qualifier::Alias(name.clone());
    if inner.concurrency.provisioned(key, &alias).await.map_err(|fault| storage(&fault))?.is_none()
    {
        return Ok(());
    }
    let other = change.additional.flatten().map(|it| Version::Number(it.number));
    for version in change.version.into_iter().chain(other) {
        let Version::Number(number) = version else { continue };
        let found = inner.versions.get(key, number).await.map_err(|fault| storage(&fault))?;
        if found.is_some_and(|found| found.snapshot.function.configuration.snap_start) {
            return Err(not_with_snap_start());
        }
    }
    Ok(())
}

/// One that is not there is no error, as at AWS.
async fn delete(inner: &Inner, target: Asked, label: &str) -> Answer {
    let (target, name) = together(target, name(label))?;
    inner.aliases.delete(&target.key, &name).await.map_err(|fault| storage(&fault))?;
    inner.deployments.published(&target.key).await;
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

async fn list(inner: &Inner, target: Asked, parts: &Parts) -> Answer {
    let (target, asked) = together(target, ListAliasesRequest::read(&parts.uri))?;
    let unqualified = Target { key: target.key.clone(), qualifier: None };
    stored(inner, &unqualified).await?;
    // One more than the page tells whether there is another.
    let limit = asked.items + 1;
    let found = inner.aliases.list(&target.key, asked.runs, asked.after.as_ref(), limit).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, asked.items);
    let next_marker = found.last().filter(|_| more).map(|last| last.name.to_string());
    let aliases = found.iter().map(AliasConfiguration::of).collect();
    let answer = ListAliasesResponse { aliases, next_marker };
    Ok(json_answer(Operation::ListAliases.status(), &answer))
}
