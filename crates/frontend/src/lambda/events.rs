//! Invocations that nobody waits for: `Invoke` of type `Event`, and `InvokeAsync`.
//!
//! Who asked is answered once the event is on disk; what becomes of it is `crates/events`' business.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::{
    NameShape, Operation, Target, check_payload, check_tenant, event, json_answer,
};
use dormouse_events::{FunctionId, NewEvent};
use dormouse_model::function::{Function, ResolvedVersion, Tracing};
use serde_json::json;
use tracing::warn;

use super::ask::{Answer, Ask};
use super::functions::storage;
use super::invoke::resolve;
use super::trace;
use crate::context::Inner;

/// `InvokeAsync`, the older way to say the same: without qualifier, headers and tracing.
pub(super) async fn invoke_async(ask: &Ask<'_>) -> Answer {
    let inner = ask.inner;
    let target = Target::resolve(ask.scope, ask.label("FunctionName"), None, NameShape::Existing)?;
    check_payload(ask.body)?;
    let version = resolve(inner, &target).await?;
    check_tenant(version.deployment.configuration.per_tenant, None)?;
    let seconds = inner.clock.wall_ms() / 1_000;
    let trace = trace::complete(None, Tracing::PassThrough, seconds, || inner.chance.bits());
    queue(ask, target, &version, (Some(trace), None)).await?;
    let status = Operation::InvokeAsync.status();
    Ok(json_answer(status, &json!({ "Status": status })))
}

/// Queues the body for a function that is there.
pub(super) async fn queue(
    ask: &Ask<'_>,
    target: Target,
    version: &ResolvedVersion,
    (trace, tenant): (Option<String>, Option<String>),
) -> Result<(), ApiError> {
    let accepted = NewEvent {
        function: FunctionId { key: target.key, unique_id: version.unique_id.clone() },
        qualifier: target.qualifier,
        request: ask.request.clone(),
        payload: event(ask.body.clone()),
        trace,
        tenant,
        accepted_ms: ask.inner.clock.wall_ms(),
    };
    ask.inner.events.accept(accepted, version.version).await.map_err(|fault| storage(&fault))
}

/// A deleted function's events go with it.
pub(super) async fn forget(inner: &Inner, deleted: Function) {
    let function = FunctionId { key: deleted.key, unique_id: deleted.unique_id };
    if let Err(error) = inner.events.forget(&function).await {
        warn!(%error, function = %function.key.name, "events go when their time comes");
    }
}
