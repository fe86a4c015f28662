//! Tags of functions and of what else can have some: added, removed, listed.

use std::collections::BTreeMap;

use dormouse_api::error::ApiError;
use dormouse_api::lambda::tag::{self, ListTagsResponse, TagResourceRequest, Taggable};
use dormouse_api::lambda::{Operation, Target, json_answer};
use dormouse_model::capacity::CapacityProvider;
use dormouse_model::code_signing::CodeSigningConfig;
use dormouse_model::event_source::EventSourceMapping;
use dormouse_model::function::Function;
use dormouse_model::names::Scope;
use dormouse_store::ChangeError;
use dormouse_store::resources::Resource;
use http::request::Parts;

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::no_content;
use super::versions::stored;
use super::{capacity, code_signing, event_sources};
use crate::context::Inner;

type Tags = BTreeMap<String, String>;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, scope, resource) = (ask.inner, ask.scope, ask.label("Resource"));
    match ask.operation() {
        Operation::TagResource => tag(inner, scope, resource, ask.body).await,
        Operation::UntagResource => untag(inner, scope, resource, ask.parts).await,
        Operation::ListTags => list(inner, scope, resource).await,
        _ => Err(ask.not_here()),
    }
}

async fn tag(inner: &Inner, scope: &Scope, resource: &str, body: &[u8]) -> Answer {
    let (resource, more) = TagResourceRequest::read(body)?.validate(scope, resource)?;
    change(inner, scope, resource, move |tags| tag::added(tags, more)).await?;
    Ok(no_content())
}

async fn untag(inner: &Inner, scope: &Scope, resource: &str, parts: &Parts) -> Answer {
    let (resource, keys) = tag::untagged(scope, resource, &parts.uri)?;
    change(inner, scope, resource, move |mut tags| {
        tags.retain(|key, _| !keys.contains(key));
        Ok(tags)
    })
    .await?;
    Ok(no_content())
}

async fn list(inner: &Inner, scope: &Scope, resource: &str) -> Answer {
    let tags = match tag::listed(scope, resource)? {
        Taggable::Function(target) => stored(inner, &target).await?.function.tags,
        Taggable::EventSourceMapping(id) => {
            there::<EventSourceMapping>(inner, scope, id.as_str()).await?.tags
        }
        Taggable::CodeSigningConfig(id) => {
            there::<CodeSigningConfig>(inner, scope, id.as_str()).await?.tags
        }
        Taggable::CapacityProvider(name) => {
            there::<CapacityProvider>(inner, scope, name.as_str()).await?.tags
        }
    };
    Ok(json_answer(Operation::ListTags.status(), &ListTagsResponse { tags }))
}

/// What is to be there and is no function.
async fn there<R: Resource>(inner: &Inner, scope: &Scope, id: &str) -> Result<R, ApiError> {
    let found = inner.resources.get(scope, id).await.map_err(|fault| storage(&fault))?;
    found.ok_or_else(tag::not_found)
}

async fn change(
    inner: &Inner,
    scope: &Scope,
    resource: Taggable,
    make: impl FnOnce(Tags) -> Result<Tags, ApiError> + Send + 'static,
) -> Result<(), ApiError> {
    match resource {
        Taggable::Function(target) => change_function(inner, &target, make).await,
        Taggable::EventSourceMapping(id) => {
            event_sources::change(inner, scope, id.as_str(), move |found| {
                let mapping = found.ok_or_else(tag::not_found)?;
                let tags = make(mapping.tags.clone())?;
                Ok((Some(EventSourceMapping { tags, ..mapping }), ()))
            })
            .await
        }
        Taggable::CodeSigningConfig(id) => {
            code_signing::change(inner, scope, &id, move |found| {
                let config = found.ok_or_else(tag::not_found)?;
                let tags = make(config.tags.clone())?;
                Ok((Some(CodeSigningConfig { tags, ..config }), ()))
            })
            .await
        }
        Taggable::CapacityProvider(name) => {
            capacity::change(inner, scope, &name, move |found| {
                let provider = found.ok_or_else(tag::not_found)?;
                let tags = make(provider.tags.clone())?;
                Ok((Some(CapacityProvider { tags, ..provider }), ()))
            })
            .await
        }
    }
}

/// Tags are no part of what a revision tells: it stays, and with it whatever update is under way.
async fn change_function(
    inner: &Inner,
    target: &Target,
    make: impl FnOnce(Tags) -> Result<Tags, ApiError> + Send + 'static,
) -> Result<(), ApiError> {
    let changed = inner.functions.change(&target.key, move |function| {
        Ok(Function { tags: make(function.tags.clone())?, ..function.clone() })
    });
    match changed.await {
        Ok(result) => result.map(drop),
        Err(ChangeError::Missing) => Err(ApiError::function_not_found(&target.arn())),
        Err(ChangeError::Storage(fault)) => Err(storage(&fault)),
    }
}
