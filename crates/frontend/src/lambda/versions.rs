//! Published versions: made, found, listed, deleted.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::alias::held;
use dormouse_api::lambda::version::{
    ListVersionsByFunctionResponse, ListVersionsRequest, PublishVersionRequest, denied, marker,
};
use dormouse_api::lambda::{
    FunctionConfiguration, ListFunctionsRequest, ListFunctionsResponse, Operation, Shown, Target,
    json_answer, together,
};
use dormouse_model::function::{Change, Function};
use dormouse_model::names::{Qualifier, Scope, Version};
use dormouse_model::version::PublishedVersion;
use dormouse_store::functions::CreateFunctionError;
use dormouse_store::versions::{DeleteVersionError, Listed};
use http::request::Parts;

use super::ask::{Answer, Ask, Asked};
use super::functions::{changed, only_latest, storage, unwrapped};
use super::records::paged;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    match ask.operation() {
        Operation::PublishVersion => publish(ask.inner, ask.writing(), ask.body).await,
        Operation::ListVersionsByFunction => list(ask.inner, ask.existing(), ask.parts).await,
        _ => Err(ask.not_here()),
    }
}

/// What a target names: a function as `$LATEST` or a version shows it.
pub(super) struct Found {
    /// The function, or the version as if it were one, with the function's tags.
    pub(super) function: Function,
    number: Option<u64>,
}

impl Found {
    /// How it is shown to who asked for `target`.
    pub(super) fn shown<'t>(&self, target: &'t Target) -> Shown<'t> {
        Shown { qualifier: target.qualifier.as_ref(), version: self.number }
    }
}

/// The stored function or version of a target.
pub(super) async fn stored(inner: &Inner, target: &Target) -> Result<Found, ApiError> {
    let missing = || ApiError::function_not_found(&target.arn());
    let function = inner.functions.get(&target.key).await.map_err(|fault| storage(&fault))?;
    let function = function.ok_or_else(missing)?;
    let version = match &target.qualifier {
        None => Version::Latest,
        Some(Qualifier::Version(version)) => *version,
        Some(Qualifier::Alias(name)) => {
            let alias = inner.aliases.get(&target.key, name).await;
            alias.map_err(|fault| storage(&fault))?.ok_or_else(missing)?.version
        }
    };
    let Version::Number(number) = version else {
        return Ok(Found { function, number: None });
    };
    let version = inner.versions.get(&target.key, number).await.map_err(|fault| storage(&fault))?;
    let version = version.ok_or_else(missing)?.snapshot.function;
    let function = Function { tags: function.tags, ..version };
    Ok(Found { function, number: Some(number) })
}

/// A version as the operations show it that make one.
fn of(version: &PublishedVersion, qualifier: Option<&Qualifier>) -> FunctionConfiguration {
    let shown = Shown { qualifier, version: Some(version.number) };
    FunctionConfiguration::of(&version.snapshot.function, &shown)
}

fn qualified(version: &PublishedVersion) -> FunctionConfiguration {
    of(version, Some(&Qualifier::Version(Version::Number(version.number))))
}

async fn publish(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let asked = PublishVersionRequest::read(body).and_then(PublishVersionRequest::validate);
    let (target, asked) = together(target, asked)?;
    only_latest(&target)?;
    let revisions = [inner.chance.revision_id(), inner.chance.revision_id()];
    let published = inner.versions.publish(&target.key, move |function, newest| {
        let publication = function.publish(newest, asked.publish.clone(), revisions);
        let publication = publication.map_err(|reason| denied(&reason, &function.key))?;
        asked.check_code(&function.code)?;
        Ok(publication)
    });
    let (_, version) = unwrapped(published.await, &target)?;
    inner.deployments.published(&target.key).await;
    Ok(json_answer(Operation::PublishVersion.status(), &qualified(&version)))
}

/// Creates a function with its first version, which is ready when the function is. AWS shows the
/// version under the function's own ARN.
pub(super) async fn create(
    inner: &Inner,
    function: &Function,
) -> Result<FunctionConfiguration, CreateFunctionError> {
    let snapshot = function.snapshot(None, inner.chance.revision_id());
    let version = inner.versions.create(function.clone(), snapshot).await?;
    Ok(unqualified(&version))
}

/// A version as the answer to `CreateFunction` shows it.
pub(super) fn unqualified(version: &PublishedVersion) -> FunctionConfiguration {
    of(version, None)
}

/// Changes a function and publishes it; the version is ready when the change is.
pub(super) async fn change(
    inner: &Inner,
    target: &Target,
    make: impl FnOnce(&Function) -> Result<Change, ApiError> + Send + 'static,
) -> Result<(Function, FunctionConfiguration), ApiError> {
    only_latest(target)?;
    let revision = inner.chance.revision_id();
    let published = inner.versions.publish(&target.key, move |function, newest| {
        Ok(changed(function, make)?.publish_update(newest, revision))
    });
    let (function, version) = unwrapped(published.await, target)?;
    Ok((function, qualified(&version)))
}

async fn list(inner: &Inner, target: Asked, parts: &Parts) -> Answer {
    let (target, asked) = together(target, ListVersionsRequest::read(&parts.uri))?;
    let unqualified = Target { key: target.key.clone(), qualifier: None };
    stored(inner, &unqualified).await?;
    // One more than the page tells whether there is another.
    let found = inner.versions.list(&target.key, asked.after, asked.items + 1).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, asked.items);
    let next_marker = found.last().filter(|_| more).map(|last| marker(last.number));
    let versions = found.iter().map(listed).collect();
    let answer = ListVersionsByFunctionResponse { versions, next_marker };
    Ok(json_answer(Operation::ListVersionsByFunction.status(), &answer))
}

/// `ListFunctions` with the versions of each.
pub(super) async fn list_all(inner: &Inner, scope: &Scope, asked: &ListFunctionsRequest) -> Answer {
    let found = inner.versions.list_all(scope, asked.after.as_ref(), asked.items + 1).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, asked.items);
    let last = found.last().filter(|_| more);
    let next_marker = last.map(|it| format!("{}:{}", it.function.key.name, marker(it.number)));
    let functions = found.iter().map(listed).collect();
    let answer = ListFunctionsResponse { functions, next_marker };
    Ok(json_answer(Operation::ListFunctions.status(), &answer))
}

fn listed(it: &Listed) -> FunctionConfiguration {
    let qualifier = Qualifier::Version(it.number.map_or(Version::Latest, Version::Number));
    let shown = Shown { qualifier: Some(&qualifier), version: it.number };
    FunctionConfiguration::listed(&it.function, &shown)
}

/// Deletes one version of a function.
pub(super) async fn delete(inner: &Inner, target: &Target, number: u64) -> Result<(), ApiError> {
    inner.versions.delete(&target.key, number).await.map_err(|error| match error {
        DeleteVersionError::Missing => ApiError::function_not_found(&target.arn()),
        DeleteVersionError::Held(names) => held(&names),
        DeleteVersionError::Storage(fault) => storage(&fault),
    })?;
    inner.deployments.unpublished(&target.key, number).await;
    Ok(())
}
