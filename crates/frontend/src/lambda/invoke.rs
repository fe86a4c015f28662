//! `Invoke` and `InvokeWithResponseStream`: the warm path.
//!
//! Nothing here touches the disk: the version comes from the snapshot, the payload is checked to be
//! JSON and handed on as the bytes it came in.

use std::sync::Arc;

use bytes::Bytes;
use dormouse_api::error::{ApiError, Exception, ThrottleReason};
use dormouse_api::lambda::{
    InvocationType, InvokeAnswer, InvokeMode, InvokeRequest, Operation, Target, check_event_size,
    check_payload, check_tenant, event, stream,
};
use dormouse_api::service::Dialect;
use dormouse_model::function::{ResolvedVersion, State};
use dormouse_model::invocation::{Answer as Told, ErrorOf, Invocation, RestoreFault};
use dormouse_model::names::{RequestId, Version};
use dormouse_placement::{Answered, InvokeError};
use http::Response;

use super::ask::{Answer, Ask};
use super::versions::stored;
use super::{events, trace};
use crate::context::Inner;
use crate::outgoing::Outgoing;

/// What callers hear where no environment can be made for want of memory (developer guide, "Troubleshoot container
/// image issues"; it is a `ServiceException`, which SDKs try again).
const NO_ROOM: &str = "We currently do not have sufficient capacity in the region you requested. Our system \
     will be working on provisioning additional capacity. You can avoid getting this error by temporarily \
     reducing your request rate.";
/// What callers hear of a version that is not initialised yet (developer guide, "Troubleshooting `SnapStart`
/// errors").
const NOT_READY: &str = "Lambda is initializing your function. It will be ready to invoke once your \
     function state becomes ACTIVE.";
/// The same page, of hooks that take too long after a restore.
const RESTORE_TIMEOUT: &str = "Lambda couldn't restore the snapshot within the timeout limit.";
/// The service model, of hooks that raise an error.
const RESTORE_ERROR: &str = "The afterRestore() runtime hook encountered an error. For more information, \
     check the Amazon CloudWatch logs.";
/// Seconds after which a throttled caller should try again.
const RETRY_AFTER_S: u32 = 1;

/// How often a version that is replaced under the caller's feet is looked up again.
const ATTEMPTS: usize = 3;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    match ask.operation() {
        Operation::Invoke => invoke(ask).await,
        Operation::InvokeAsync => events::invoke_async(ask).await,
        _ => Err(ask.not_here()),
    }
}

async fn invoke(ask: &Ask<'_>) -> Answer {
    let Ask { inner, request, .. } = *ask;
    let asked = read(ask, InvokeMode::Buffered)?;
    let payload = ask.body.clone();
    if asked.invocation_type == InvocationType::Event {
        check_event_size(&payload)?;
    }
    check_payload(&payload)?;
    let version = resolve(inner, &asked.target).await?;
    check_tenant(version.deployment.configuration.per_tenant, asked.tenant.as_deref())?;
    let trace = trace(inner, &asked, &version);
    let answer = match asked.invocation_type {
        InvocationType::DryRun => InvokeAnswer::Checked,
        InvocationType::Event => {
            let (trace, tenant) = (Some(trace.clone()), asked.tenant);
            events::queue(ask, asked.target, &version, (trace, tenant)).await?;
            InvokeAnswer::Queued
        }
        InvocationType::RequestResponse => {
            let invocation = invocation(&asked, payload, request, &trace);
            let run = |version: Arc<ResolvedVersion>| {
                let invocation = invocation.clone();
                async move { inner.placement.invoke(&version, invocation).await }
            };
            let (answer, executed) = run_on(inner, &asked, version, run).await?;
            let answer = restored(answer)?;
            InvokeAnswer::Done {
                payload: answer.payload,
                function_error: answer.error.is_some(),
                log_tail: answer.log_tail,
                executed,
            }
        }
    };
    Ok(answer.answer(request, Some(&trace)))
}

pub(super) async fn with_response_stream(ask: &Ask<'_>) -> Result<Response<Outgoing>, ApiError> {
    let Ask { inner, request, .. } = *ask;
    let asked = read(ask, InvokeMode::ResponseStream)?;
    let payload = ask.body.clone();
    check_payload(&payload)?;
    let version = resolve(inner, &asked.target).await?;
    check_tenant(version.deployment.configuration.per_tenant, asked.tenant.as_deref())?;
    let trace = trace(inner, &asked, &version);
    if asked.invocation_type == InvocationType::DryRun {
        return Ok(InvokeAnswer::Checked.answer(request, Some(&trace)).map(Outgoing::from));
    }
    let invocation = invocation(&asked, payload, request, &trace);
    let run = |version: Arc<ResolvedVersion>| {
        let invocation = invocation.clone();
        async move { inner.placement.invoke_with_response_stream(&version, invocation).await }
    };
    let (answered, executed) = run_on(inner, &asked, version, run).await?;
    let body = match answered {
        Answered::Whole(answer) => stream::whole(restored(answer)?).into(),
        Answered::Stream(answer) => answer.into(),
    };
    Ok(stream::head(executed, request, &trace).map(|()| body))
}

fn read(ask: &Ask<'_>, mode: InvokeMode) -> Result<InvokeRequest, ApiError> {
    InvokeRequest::read(ask.scope, ask.label("FunctionName"), ask.parts, mode)
}

fn invocation(
    asked: &InvokeRequest,
    payload: Bytes,
    request: &RequestId,
    trace: &str,
) -> Invocation {
    Invocation {
        request: request.clone(),
        payload: event(payload),
        invoked_arn: asked.target.arn(),
        client_context: asked.client_context.clone(),
        trace: Some(trace.to_owned()),
        tenant: asked.tenant.clone(),
        tail: asked.tail,
    }
}

/// The answer, unless it did not run because of what went wrong after a restore.
fn restored(answer: Told) -> Result<Told, ApiError> {
    match answer.error {
        Some(ErrorOf::Restore(RestoreFault::Hook)) => {
            Err(ApiError::new(Exception::SnapStart, RESTORE_ERROR))
        }
        Some(ErrorOf::Restore(RestoreFault::Timeout)) => {
            Err(ApiError::new(Exception::SnapStartTimeout, RESTORE_TIMEOUT))
        }
        Some(ErrorOf::Function | ErrorOf::Platform) | None => Ok(answer),
    }
}

/// Runs it on a version, and on the next one if that was replaced meanwhile; which one it was.
async fn run_on<T, F: Future<Output = Result<T, InvokeError>>>(
    inner: &Inner,
    asked: &InvokeRequest,
    mut version: Arc<ResolvedVersion>,
    run: impl Fn(Arc<ResolvedVersion>) -> F,
) -> Result<(T, Version), ApiError> {
    for _ in 0..ATTEMPTS {
        match run(version.clone()).await {
            Ok(answer) => return Ok((answer, version.version)),
            Err(InvokeError::Superseded) => version = resolve(inner, &asked.target).await?,
            Err(InvokeError::Throttled) => {
                let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
                return Err(ApiError::throttled(reason, RETRY_AFTER_S));
            }
            Err(InvokeError::ReservedUsedUp | InvokeError::SwitchedOff) => {
                let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
                return Err(ApiError::throttled(reason, RETRY_AFTER_S));
            }
            Err(InvokeError::TooFast) => {
                let reason = ThrottleReason::FunctionInvocationRateLimitExceeded;
                return Err(ApiError::throttled(reason, RETRY_AFTER_S));
            }
            Err(InvokeError::ReservedTooFast) => {
                let reason = ThrottleReason::ReservedFunctionInvocationRateLimitExceeded;
                return Err(ApiError::throttled(reason, RETRY_AFTER_S));
            }
            Err(InvokeError::NoRoom) => return Err(ApiError::new(Exception::Service, NO_ROOM)),
            Err(InvokeError::Stopping) => break,
        }
    }
    Err(ApiError::internal(Dialect::LAMBDA))
}

/// The version to run: from the snapshot, or the exact reason why there is none.
pub(super) async fn resolve(
    inner: &Inner,
    target: &Target,
) -> Result<Arc<ResolvedVersion>, ApiError> {
    let served = || inner.deployments.get(&target.key, target.qualifier.as_ref());
    if let Some(version) = served() {
        return Ok(version);
    }
    let found = stored(inner, target).await?.function;
    let initialising = || ApiError::new(Exception::SnapStartNotReady, NOT_READY);
    match found.state {
        State::Pending => Err(ApiError::function_in_state("Pending")),
        State::Initialising => Err(initialising()),
        State::Failed { .. } => Err(ApiError::function_in_state("Failed")),
        // It became ready between the two looks, or an alias of two versions has rolled for the other one.
        State::Active { .. } => served().ok_or_else(|| match found.configuration.snap_start {
            true => initialising(),
            false => ApiError::function_in_state("Pending"),
        }),
    }
}

/// The X-Ray header that the function and the caller are told.
fn trace(inner: &Inner, asked: &InvokeRequest, version: &ResolvedVersion) -> String {
    let seconds = inner.clock.wall_ms() / 1_000;
    let tracing = version.deployment.configuration.tracing;
    trace::complete(asked.trace.as_deref(), tracing, seconds, || inner.chance.bits())
}
