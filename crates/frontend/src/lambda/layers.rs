//! Layers: published, read, listed, deleted, opened to others; and resolved for functions.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::Operation;
use dormouse_api::lambda::layer::answer::{
    LayerItem, LayerVersionItem, LayerVersionResponse, ListLayerVersionsResponse,
    ListLayersResponse,
};
use dormouse_api::lambda::layer::list::{ListLayerVersionsRequest, ListLayersRequest};
use dormouse_api::lambda::layer::permission::{
    self, AddLayerVersionPermissionRequest, AddLayerVersionPermissionResponse,
    GetLayerVersionPolicyResponse,
};
use dormouse_api::lambda::layer::publish::PublishLayerVersionRequest;
use dormouse_api::lambda::layer::{self, does_not_exist, not_found, not_open, owned};
use dormouse_api::lambda::{json_answer, together};
use dormouse_model::layer::{
    AttachedLayer, LayerContent, LayerKey, LayerPolicy, LayerVersion, LayerVersionKey,
    unzipped_bytes,
};
use dormouse_model::limits;
use dormouse_model::names::Scope;
use dormouse_store::ChangeError;
use http::request::Parts;

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::package;
use super::records::{no_content, paged};
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, scope, parts) = (ask.inner, ask.scope, ask.parts);
    let name = ask.label("LayerName");
    let version = || layer::version(scope, name, ask.label("VersionNumber"));
    match ask.operation() {
        Operation::PublishLayerVersion => publish(inner, scope, name, (ask.host(), ask.body)).await,
        Operation::GetLayerVersion => get(inner, scope, &version()?, ask.host()).await,
        Operation::GetLayerVersionByArn => {
            let key = layer::version_by_arn(scope, &parts.uri)?;
            get(inner, scope, &key, ask.host()).await
        }
        Operation::ListLayerVersions => {
            list_versions(inner, scope, layer::layer(scope, name), parts).await
        }
        Operation::ListLayers => list(inner, scope, parts).await,
        Operation::DeleteLayerVersion => delete(inner, scope, &version()?).await,
        Operation::AddLayerVersionPermission => {
            add_permission(inner, scope, version(), (parts, ask.body)).await
        }
        Operation::RemoveLayerVersionPermission => {
            remove_permission(inner, scope, version(), (parts, ask.label("StatementId"))).await
        }
        Operation::GetLayerVersionPolicy => get_policy(inner, scope, &version()?).await,
        _ => Err(ask.not_here()),
    }
}

/// The layers of a function as they are now, in the order in which it names them.
pub(super) async fn attach(
    inner: &Inner,
    scope: &Scope,
    keys: &[LayerVersionKey],
) -> Result<Vec<AttachedLayer>, ApiError> {
    let mut attached = Vec::with_capacity(keys.len());
    for key in keys {
        let found = inner.layers.get(key).await.map_err(|fault| storage(&fault))?;
        let version = found.ok_or_else(|| does_not_exist(&key.arn()))?;
        if !version.is_open_to(&scope.account) {
            return Err(not_open(scope, key));
        }
        attached.push(version.attached());
    }
    Ok(attached)
}

/// Code and layers together, unzipped, within their limit.
pub(super) fn check_size(code_bytes: u64, layers: &[AttachedLayer]) -> Result<(), ApiError> {
    if code_bytes.saturating_add(unzipped_bytes(layers)) <= limits::UNZIPPED_BYTES {
        return Ok(());
    }
    Err(package::unzipped_too_large())
}

async fn publish(inner: &Inner, scope: &Scope, name: &str, (host, body): (&str, &[u8])) -> Answer {
    let new = PublishLayerVersionRequest::read(body)?.validate(scope, name)?;
    let package = package::store(inner, scope, new.code).await?;
    let content = LayerContent {
        description: new.description,
        license: new.license,
        compatible_runtimes: new.compatible_runtimes,
        compatible_architectures: new.compatible_architectures,
        code: package.code,
        unzipped_bytes: package.unzipped_bytes,
        created_ms: inner.clock.wall_ms(),
    };
    let published = inner.layers.publish(new.layer, content).await;
    let version = published.map_err(|fault| storage(&fault))?;
    Ok(json_answer(Operation::PublishLayerVersion.status(), &shown(inner, host, &version)))
}

async fn get(inner: &Inner, scope: &Scope, key: &LayerVersionKey, host: &str) -> Answer {
    let found = inner.layers.get(key).await.map_err(|fault| storage(&fault))?;
    let version = found.ok_or_else(not_found)?;
    if !version.is_open_to(&scope.account) {
        return Err(not_open(scope, key));
    }
    Ok(json_answer(Operation::GetLayerVersion.status(), &shown(inner, host, &version)))
}

fn shown(inner: &Inner, host: &str, version: &LayerVersion) -> LayerVersionResponse {
    let location = package::location(inner, host, &version.content.code.digest);
    LayerVersionResponse::of(version, location)
}

async fn list(inner: &Inner, scope: &Scope, parts: &Parts) -> Answer {
    let asked = ListLayersRequest::read(&parts.uri)?;
    let filter = asked.filter;
    let matches = Box::new(move |content: &LayerContent| filter.matches(content));
    // One more than the page tells whether there is another.
    let found = inner.layers.latest(scope, asked.marker.as_ref(), matches, asked.items + 1).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, asked.items);
    let next_marker = found.last().filter(|_| more).map(|last| last.key.layer.name.to_string());
    let layers = found.iter().map(LayerItem::of).collect();
    let answer = ListLayersResponse { layers, next_marker };
    Ok(json_answer(Operation::ListLayers.status(), &answer))
}

async fn list_versions(
    inner: &Inner,
    scope: &Scope,
    layer: Result<LayerKey, ApiError>,
    parts: &Parts,
) -> Answer {
    let (layer, asked) = together(layer, ListLayerVersionsRequest::read(&parts.uri))?;
    owned(scope, &layer, "ListLayerVersions")?;
    let filter = asked.filter;
    let matches = Box::new(move |content: &LayerContent| filter.matches(content));
    let found = inner.layers.versions(&layer, asked.marker, matches, asked.items + 1).await;
    let (found, more) = paged(found.map_err(|fault| storage(&fault))?, asked.items);
    let next_marker = found.last().filter(|_| more).map(|last| last.key.number.to_string());
    let layer_versions = found.iter().map(LayerVersionItem::of).collect();
    let answer = ListLayerVersionsResponse { layer_versions, next_marker };
    Ok(json_answer(Operation::ListLayerVersions.status(), &answer))
}

async fn delete(inner: &Inner, scope: &Scope, key: &LayerVersionKey) -> Answer {
    owned(scope, &key.layer, "DeleteLayerVersion")?;
    inner.layers.delete(key).await.map_err(|fault| storage(&fault))?;
    Ok(no_content())
}

async fn add_permission(
    inner: &Inner,
    scope: &Scope,
    key: Result<LayerVersionKey, ApiError>,
    (parts, body): (&Parts, &[u8]),
) -> Answer {
    let asked = AddLayerVersionPermissionRequest::read(body).and_then(|asked| asked.validate());
    let (key, statement) = together(key, asked)?;
    let key = &key;
    let expected = permission::expected(&parts.uri)?;
    owned(scope, &key.layer, "AddLayerVersionPermission")?;
    let (revision, id) = (inner.chance.revision_id(), statement.id.clone());
    let version = change_policy(inner, key, move |version| {
        let changed = version.policy.with(statement, expected.as_ref(), revision);
        let policy = changed.map_err(|denied| permission::denied(denied, &id))?;
        permission::check_length(&LayerVersion { policy: policy.clone(), ..version.clone() })?;
        Ok(policy)
    })
    .await?;
    let answer = AddLayerVersionPermissionResponse::of(&version);
    Ok(json_answer(Operation::AddLayerVersionPermission.status(), &answer))
}

async fn remove_permission(
    inner: &Inner,
    scope: &Scope,
    key: Result<LayerVersionKey, ApiError>,
    (parts, id): (&Parts, &str),
) -> Answer {
    let (key, ()) = together(key, permission::statement_id(id))?;
    let key = &key;
    let expected = permission::expected(&parts.uri)?;
    owned(scope, &key.layer, "RemoveLayerVersionPermission")?;
    let (revision, id) = (inner.chance.revision_id(), id.to_owned());
    change_policy(inner, key, move |version| {
        let changed = version.policy.without(&id, expected.as_ref(), revision);
        changed.map_err(|denied| permission::denied(denied, &id))
    })
    .await?;
    Ok(no_content())
}

async fn get_policy(inner: &Inner, scope: &Scope, key: &LayerVersionKey) -> Answer {
    owned(scope, &key.layer, "GetLayerVersionPolicy")?;
    let found = inner.layers.get(key).await.map_err(|fault| storage(&fault))?;
    let version = found.ok_or_else(|| permission::missing(key))?;
    let answer = GetLayerVersionPolicyResponse::of(&version)?;
    Ok(json_answer(Operation::GetLayerVersionPolicy.status(), &answer))
}

async fn change_policy(
    inner: &Inner,
    key: &LayerVersionKey,
    change: impl FnOnce(&LayerVersion) -> Result<LayerPolicy, ApiError> + Send + 'static,
) -> Result<LayerVersion, ApiError> {
    match inner.layers.change_policy(key, change).await {
        Ok(result) => result,
        Err(ChangeError::Missing) => Err(permission::missing(key)),
        Err(ChangeError::Storage(fault)) => Err(storage(&fault)),
    }
}
