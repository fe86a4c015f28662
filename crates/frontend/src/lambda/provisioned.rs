//! Provisioned concurrency: stored first, then begun, then answered. How far it has come is told by
//! who makes the environments, whenever somebody asks.

use dormouse_api::error::{ApiError, Exception};
use dormouse_api::lambda::page::QualifierPage;
use dormouse_api::lambda::provisioned::{
    self as api, ListProvisionedConcurrencyConfigsResponse, ProvisionedConcurrencyConfig,
    PutProvisionedConcurrencyConfigRequest,
};
use dormouse_api::lambda::{Operation, Target, json_answer, together};
use dormouse_model::concurrency::{Allocation, ProvisionDenied, Provisioned};
use dormouse_model::function::State;
use dormouse_model::names::{FunctionKey, Qualifier};
use dormouse_store::provisioned::{ProvisionError, ProvisionedRecord};
use http::request::Parts;

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::records::{no_content, paged, refuse_tenants};
use super::versions::{Found, stored};
use crate::context::Inner;

/// What most of these operations are about.
type Named = Result<(FunctionKey, Qualifier), ApiError>;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, name) = (ask.inner, ask.label("FunctionName"));
    let named = || api::target(ask.scope, name, &ask.parts.uri);
    match ask.operation() {
        Operation::PutProvisionedConcurrencyConfig => put(inner, named(), ask.body).await,
        Operation::GetProvisionedConcurrencyConfig => get(inner, named()).await,
        Operation::ListProvisionedConcurrencyConfigs => {
            list(inner, api::whole(ask.scope, name), ask.parts).await
        }
        Operation::DeleteProvisionedConcurrencyConfig => delete(inner, named()).await,
        _ => Err(ask.not_here()),
    }
}

async fn put(inner: &Inner, named: Named, body: &[u8]) -> Answer {
    let places =
        PutProvisionedConcurrencyConfigRequest::read(body).and_then(|asked| asked.validate());
    let ((key, qualifier), places) = together(named, places)?;
    if api::check_published(&qualifier).is_err() {
        return Err(api::denied(ProvisionDenied::Unpublished));
    }
    let found = there(inner, &key, &qualifier).await?;
    refuse_tenants(&found, "Provisioned concurrency")?;
    if found.function.configuration.snap_start {
        return Err(api::not_with_snap_start());
    }
    match found.function.state {
        State::Active { .. } => {}
        State::Pending | State::Initialising => {
            return Err(ApiError::function_in_state("Pending"));
        }
        State::Failed { .. } => return Err(ApiError::function_in_state("Failed")),
    }
    let modified_ms = inner.clock.wall_ms();
    let record = ProvisionedRecord { qualifier: qualifier.clone(), places, modified_ms };
    inner.concurrency.provision(&key, record).await.map_err(|error| match error {
        ProvisionError::Missing => api::missing(&key, &qualifier),
        ProvisionError::Denied(reason) => api::denied(reason),
        ProvisionError::Storage(fault) => storage(&fault),
    })?;
    inner.deployments.claimed(&key).await;
    inner.events.loosened(&key);
    let answer = ProvisionedConcurrencyConfig::begun(places, modified_ms);
    Ok(json_answer(Operation::PutProvisionedConcurrencyConfig.status(), &answer))
}

async fn get(inner: &Inner, named: Named) -> Answer {
    let (key, qualifier) = named?;
    api::check_published(&qualifier)?;
    there(inner, &key, &qualifier).await?;
    let found = inner.concurrency.provisioned(&key, &qualifier).await;
    let record = found.map_err(|fault| storage(&fault))?.ok_or_else(api::not_found)?;
    let answer = shown(inner, &key, &record);
    Ok(json_answer(Operation::GetProvisionedConcurrencyConfig.status(), &answer))
}

async fn list(inner: &Inner, key: Result<FunctionKey, ApiError>, parts: &Parts) -> Answer {
    let (key, page) = together(key, QualifierPage::read(&parts.uri))?;
    stored(inner, &Target { key: key.clone(), qualifier: None }).await?;
    let found = inner.concurrency.claim(&key).await.map_err(|fault| storage(&fault))?.provisioned;
    let after = page.after.map_or_else(String::new, |after| after.to_string());
    let found: Vec<ProvisionedRecord> =
        found.into_iter().filter(|record| record.qualifier.to_string() > after).collect();
    let (found, more) = paged(found, page.items);
    let next_marker = found.last().filter(|_| more).map(|last| last.qualifier.to_string());
    let shown =
        |record: &ProvisionedRecord| shown(inner, &key, record).listed(&key, &record.qualifier);
    let answer = ListProvisionedConcurrencyConfigsResponse {
        provisioned_concurrency_configs: found.iter().map(shown).collect(),
        next_marker,
    };
    Ok(json_answer(Operation::ListProvisionedConcurrencyConfigs.status(), &answer))
}

/// That nothing was provisioned is no error, as at AWS.
async fn delete(inner: &Inner, named: Named) -> Answer {
    let (key, qualifier) = named?;
    api::check_published(&qualifier)?;
    there(inner, &key, &qualifier).await?;
    let removed = inner.concurrency.unprovision(&key, &qualifier).await;
    removed.map_err(|fault| storage(&fault))?;
    inner.deployments.claimed(&key).await;
    inner.events.loosened(&key);
    Ok(no_content())
}

/// What is not there is told in words of its own.
async fn there(inner: &Inner, key: &FunctionKey, qualifier: &Qualifier) -> Result<Found, ApiError> {
    let target = Target { key: key.clone(), qualifier: Some(qualifier.clone()) };
    match stored(inner, &target).await {
        Err(error) if error.exception == Exception::ResourceNotFound => {
            Err(api::missing(key, qualifier))
        }
        other => other,
    }
}

fn shown(
    inner: &Inner,
    key: &FunctionKey,
    record: &ProvisionedRecord,
) -> ProvisionedConcurrencyConfig {
    let shares = inner.deployments.shares(key, &record.qualifier, record.places);
    let versions: Vec<(u32, Allocation)> = shares
        .into_iter()
        .map(|(version, share)| {
            let allocation = version.map(|version| inner.placement.allocation(&version));
            (share, allocation.unwrap_or_default())
        })
        .collect();
    let provisioned = Provisioned::of(record.places, &versions);
    ProvisionedConcurrencyConfig::of(record.places, provisioned, record.modified_ms)
}
