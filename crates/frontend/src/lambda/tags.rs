//! Tags of functions: added, removed, listed.

use std::collections::BTreeMap;

use dormouse_api::error::ApiError;
use dormouse_api::lambda::tag::{self, ListTagsResponse, TagResourceRequest};
use dormouse_api::lambda::{Operation, Target, json_answer};
use dormouse_model::function::Function;
use dormouse_model::names::Scope;
use dormouse_store::ChangeError;
use http::request::Parts;

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::no_content;
use super::versions::stored;
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
    let (target, more) = TagResourceRequest::read(body)?.validate(scope, resource)?;
    change(inner, &target, move |tags| tag::added(tags, more)).await?;
    Ok(no_content())
}

async fn untag(inner: &Inner, scope: &Scope, resource: &str, parts: &Parts) -> Answer {
    let (target, keys) = tag::untagged(scope, resource, &parts.uri)?;
    change(inner, &target, move |mut tags| {
        tags.retain(|key, _| !keys.contains(key));
        Ok(tags)
    })
    .await?;
    Ok(no_content())
}

async fn list(inner: &Inner, scope: &Scope, resource: &str) -> Answer {
    let target = tag::listed(scope, resource)?;
    let tags = stored(inner, &target).await?.function.tags;
    Ok(json_answer(Operation::ListTags.status(), &ListTagsResponse { tags }))
}

/// Tags are no part of what a revision tells: it stays, and with it whatever update is under way.
async fn change(
    inner: &Inner,
    target: &Target,
    make: impl FnOnce(Tags) -> Result<Tags, ApiError> + Send + 'static,
) -> Result<Function, ApiError> {
    let changed = inner.functions.change(&target.key, move |function| {
        Ok(Function { tags: make(function.tags.clone())?, ..function.clone() })
    });
    match changed.await {
        Ok(result) => result,
        Err(ChangeError::Missing) => Err(ApiError::function_not_found(&target.arn())),
        Err(ChangeError::Storage(fault)) => Err(storage(&fault)),
    }
}
