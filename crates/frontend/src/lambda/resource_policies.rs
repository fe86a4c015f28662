//! Policies of functions as whole documents: the record that `permissions` changes statement by
//! statement.

use dormouse_api::lambda::permission::not_found;
use dormouse_api::lambda::resource_policy::{self as api, ResourcePolicyResponse};
use dormouse_api::lambda::{Operation, json_answer};
use dormouse_model::permission::FunctionPolicy;

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::{change_setting, no_content, there};
use super::versions::stored;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    match ask.operation() {
        Operation::PutResourcePolicy => put(ask).await,
        Operation::GetResourcePolicy => get(ask).await,
        Operation::DeleteResourcePolicy => delete(ask).await,
        _ => Err(ask.not_here()),
    }
}

async fn put(ask: &Ask<'_>) -> Answer {
    let new = api::put(ask.scope, ask.label("ResourceArn"), ask.body)?;
    stored(ask.inner, &new.target).await?;
    let (revision, target) = (ask.inner.chance.revision_id(), new.target);
    let (policy, expected) = (new.policy, new.expected);
    let changed = change_setting(ask.inner, &target, move |before: Option<FunctionPolicy>| {
        let before = before.unwrap_or_default();
        let policy = policy.replacing(&before, expected.as_ref(), revision);
        policy.map(Some).map_err(api::denied)
    });
    let policy = changed.await?.ok_or_else(not_found)?;
    let answer = ResourcePolicyResponse::of(&policy, &target);
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn get(ask: &Ask<'_>) -> Answer {
    let target = api::get(ask.scope, ask.label("ResourceArn"))?;
    there(ask.inner, &target, not_found()).await?;
    let found = ask.inner.settings.get(&target.key, target.qualifier.as_ref()).await;
    let found: Option<FunctionPolicy> = found.map_err(|fault| storage(&fault))?;
    let policy = found.ok_or_else(not_found)?;
    let answer = ResourcePolicyResponse::of(&policy, &target);
    Ok(json_answer(ask.operation().status(), &answer))
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let (target, expected) = api::delete(ask.scope, ask.label("ResourceArn"), &ask.parts.uri)?;
    there(ask.inner, &target, not_found()).await?;
    change_setting(ask.inner, &target, move |before: Option<FunctionPolicy>| {
        let before = before.unwrap_or_default();
        before.removed(expected.as_ref()).map(|()| None).map_err(api::denied)
    })
    .await?;
    Ok(no_content())
}
