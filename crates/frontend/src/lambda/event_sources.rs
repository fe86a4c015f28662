//! Event source mappings: made, shown, listed, changed, removed. Nothing polls yet: a mapping is what
//! it is to be as soon as it is on disk, and only the answer to a change tells of the way there.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::event_source::{
    self as api, ListEventSourceMappingsRequest, ListEventSourceMappingsResponse, MappingChange,
    NewMapping,
};
use dormouse_api::lambda::{Operation, event_source::shown};
use dormouse_api::lambda::{Target, json_answer};
use dormouse_model::event_source::{EventSourceMapping, State};
use dormouse_model::names::Scope;
use dormouse_store::queue::QueueKey;
use dormouse_store::resources::{Marks, Refused};

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::{paged, there};
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    match ask.operation() {
        Operation::CreateEventSourceMapping => create(ask).await,
        Operation::GetEventSourceMapping => get(ask).await,
        Operation::ListEventSourceMappings => list(ask).await,
        Operation::UpdateEventSourceMapping => update(ask).await,
        Operation::DeleteEventSourceMapping => delete(ask).await,
        _ => Err(ask.not_here()),
    }
}

async fn create(ask: &Ask<'_>) -> Answer {
    let (inner, scope) = (ask.inner, ask.scope);
    let now_ms = inner.clock.wall_ms();
    let new = NewMapping::read(scope, ask.body, now_ms)?;
    there(inner, &new.function, api::no_function()).await?;
    check_queue(inner, scope, &new).await?;
    let id = inner.chance.uuid().parse();
    let mapping = new.named(id.expect("a UUID is a mapping's id"), now_ms);
    let id = mapping.id.clone();
    let mapping =
        change(inner, scope, id.as_str(), move |_| Ok((Some(mapping.clone()), mapping))).await?;
    Ok(json_answer(ask.operation().status(), &shown(&mapping, State::Creating)))
}

/// A queue of this server's own has to be there; whether another source is, nobody here knows.
async fn check_queue(inner: &Inner, scope: &Scope, new: &NewMapping) -> Result<(), ApiError> {
    if !new.is_of_queue() {
        return Ok(());
    }
    let (place, name) = new.queue().ok_or_else(api::no_queue)?;
    if place != *scope {
        return Err(api::no_queue());
    }
    let found = inner.queues.get(&QueueKey { scope: place, name }).await;
    found.map_err(|fault| storage(&fault))?.map(drop).ok_or_else(api::no_queue)
}

async fn get(ask: &Ask<'_>) -> Answer {
    let id = api::labelled(ask.label("UUID"))?.ok_or_else(api::not_found)?;
    let found = ask.inner.resources.get(ask.scope, id.as_str()).await;
    let found: Option<EventSourceMapping> = found.map_err(|fault| storage(&fault))?;
    let mapping = found.ok_or_else(api::not_found)?;
    Ok(json_answer(ask.operation().status(), &shown(&mapping, mapping.settled())))
}

async fn list(ask: &Ask<'_>) -> Answer {
    let asked = ListEventSourceMappingsRequest::read(ask.scope, &ask.parts.uri)?;
    let function = asked.function.as_ref().map(Target::arn);
    let marks = Marks { function, source: asked.source_arn };
    let after = asked.after.as_ref().map(|id| id.as_str());
    // One more than the page tells whether there is another.
    let found = ask.inner.resources.list(ask.scope, &marks, after, asked.items + 1).await;
    let found: Vec<EventSourceMapping> = found.map_err(|fault| storage(&fault))?;
    let (found, more) = paged(found, asked.items);
    let next_marker = found.last().filter(|_| more).map(|last| last.id.to_string());
    let event_source_mappings = found.iter().map(|of| shown(of, of.settled())).collect();
    let answer = ListEventSourceMappingsResponse { event_source_mappings, next_marker };
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn update(ask: &Ask<'_>) -> Answer {
    let (inner, now_ms) = (ask.inner, ask.inner.clock.wall_ms());
    let (id, asked) = MappingChange::read(ask.scope, ask.label("UUID"), ask.body)?;
    let id = id.ok_or_else(api::not_found)?;
    if let Some(function) = &asked.function {
        there(inner, function, api::no_function()).await?;
    }
    let changed = change(inner, ask.scope, id.as_str(), move |found| {
        let before = found.ok_or_else(api::not_found)?;
        let after = asked.applied_to(&before, now_ms)?;
        let state = after.changed_from(&before);
        Ok((Some(after.clone()), (after, state)))
    });
    let (mapping, state) = changed.await?;
    Ok(json_answer(ask.operation().status(), &shown(&mapping, state)))
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let id = api::labelled(ask.label("UUID"))?.ok_or_else(api::not_found)?;
    let removed = change(ask.inner, ask.scope, id.as_str(), |found| {
        Ok((None, found.ok_or_else(api::not_found)?))
    });
    let mapping = removed.await?;
    Ok(json_answer(ask.operation().status(), &shown(&mapping, State::Deleting)))
}

/// Changes a mapping, or its absence.
pub(super) async fn change<T: Send + 'static>(
    inner: &Inner,
    scope: &Scope,
    id: &str,
    change: impl FnOnce(Option<EventSourceMapping>) -> Result<(Option<EventSourceMapping>, T), ApiError>
    + Send
    + 'static,
) -> Result<T, ApiError> {
    match inner.resources.change(scope, id, change).await {
        Ok(changed) => changed.map_err(|refused| match refused {
            Refused::Change(error) => error,
            Refused::Clash { record, other } => api::exists(&record, &other.id),
        }),
        Err(fault) => Err(storage(&fault)),
    }
}
