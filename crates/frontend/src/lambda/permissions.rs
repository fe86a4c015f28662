//! Policies of functions: statements added, removed, shown.

use dormouse_api::lambda::permission::{
    self, AddPermissionRequest, AddPermissionResponse, GetPolicyResponse,
};
use dormouse_api::lambda::{Operation, Target, json_answer, together};
use dormouse_model::permission::FunctionPolicy;
use dormouse_model::policy::Statement as _;
use http::request::Parts;

use super::ask::{Answer, Ask, Asked};
use super::functions::storage;
use super::records::{change_setting, no_content, there};
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, target) = (ask.inner, ask.existing());
    match ask.operation() {
        Operation::AddPermission => add(inner, target, ask.body).await,
        Operation::RemovePermission => {
            remove(inner, target, (ask.parts, ask.label("StatementId"))).await
        }
        Operation::GetPolicy => get(inner, &target?).await,
        _ => Err(ask.not_here()),
    }
}

async fn add(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let new = AddPermissionRequest::read(body).and_then(AddPermissionRequest::validate);
    let (target, new) = together(target, new)?;
    let target = &target;
    permission::check_target(target)?;
    stored(inner, target).await?;
    let answer = AddPermissionResponse::of(&new.statement, target);
    let (revision, of) = (inner.chance.revision_id(), target.clone());
    change_setting(inner, target, move |policy: Option<FunctionPolicy>| {
        let (policy, id) = (policy.unwrap_or_default(), new.statement.id().to_owned());
        let policy = policy.with(new.statement, new.expected.as_ref(), revision);
        let policy = policy.map_err(|denied| permission::denied(denied, &id))?;
        permission::check_length(&policy, &of)?;
        Ok(Some(policy))
    })
    .await?;
    Ok(json_answer(Operation::AddPermission.status(), &answer))
}

async fn remove(inner: &Inner, target: Asked, (parts, id): (&Parts, &str)) -> Answer {
    let (target, expected) = together(target, permission::removed(id, &parts.uri))?;
    let target = &target;
    there(inner, target, permission::no_function(target)).await?;
    let (revision, id) = (inner.chance.revision_id(), id.to_owned());
    let latest = permission::is_latest(target);
    change_setting(inner, target, move |policy: Option<FunctionPolicy>| {
        let policy = policy.filter(|_| !latest).unwrap_or_default();
        let policy = policy.without(&id, expected.as_ref(), revision);
        let policy = policy.map_err(|denied| permission::denied(denied, &id))?;
        Ok(Some(policy).filter(|policy| !policy.statements.is_empty()))
    })
    .await?;
    Ok(no_content())
}

async fn get(inner: &Inner, target: &Target) -> Answer {
    there(inner, target, permission::not_found()).await?;
    let found = inner.settings.get(&target.key, target.qualifier.as_ref()).await;
    let found: Option<FunctionPolicy> = found.map_err(|fault| storage(&fault))?;
    let policy = found.filter(|_| !permission::is_latest(target));
    let policy = policy.ok_or_else(permission::not_found)?;
    Ok(json_answer(Operation::GetPolicy.status(), &GetPolicyResponse::of(&policy, target)))
}
