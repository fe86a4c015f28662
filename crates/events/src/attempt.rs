//! One try of one event: looked at, resolved, run. What follows from it is not decided here.

use std::sync::Arc;

use dormouse_model::event_invoke::EventInvokeConfig;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::invocation::{ErrorOf, Invocation};
use dormouse_model::limits;
use dormouse_model::names::Version;
use dormouse_model::retry::{Outcome, Rules};
use dormouse_placement::InvokeError;
use dormouse_store::StorageError;
use dormouse_store::events::QueuedEvent;
use tracing::warn;

use crate::{Config, told};

/// How often a version that is replaced under the event's feet is looked up again.
const LOOKS: usize = 3;

/// A try that is over.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What was tried.
    pub(crate) event: QueuedEvent,
    /// How it went.
    pub(crate) ending: Ending,
    /// The version that was to run it, if there was one.
    pub(crate) version: Option<Version>,
    /// How the event is retried.
    pub(crate) rules: Rules,
}

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It counts as this.
    Counted(Outcome),
    /// There was no place for it: so there is none for any event of the function now.
    Throttled,
    /// Its function was deleted.
    Gone,
    /// The server is stopping: the next one tries it.
    Stopping,
}

/// Tries an event.
pub(crate) async fn run(config: Arc<Config>, event: QueuedEvent) -> Attempt {
    let (ending, version) = attempt(&config, &event).await;
    let rules = match ending {
        Ending::Counted(Outcome::Failed | Outcome::Deferred) | Ending::Throttled => {
            rules(&config, &event).await
        }
        _ => Rules::of(None, config.retry_ms),
    };
    Attempt { event, ending, version, rules }
}

async fn attempt(config: &Config, event: &QueuedEvent) -> (Ending, Option<Version>) {
    let mut tried = None;
    for _ in 0..LOOKS {
        let (key, qualifier) = (&event.function.key, event.qualifier.as_ref());
        // Each try rolls anew, and runs what the qualifier stands for by then.
        let version = config.resolve.get(key, qualifier);
        let Some(version) = version.filter(|found| found.unique_id == event.function.unique_id)
        else {
            return (without_version(config, event).await, tried);
        };
        tried = Some(version.version);
        if is_too_old(config, event).await {
            return (Ending::Counted(Outcome::TooOld), tried);
        }
        let ending = match run_on(config, &version, event).await {
            Err(InvokeError::Superseded) => continue,
            Err(
                InvokeError::Throttled
                | InvokeError::ReservedUsedUp
                | InvokeError::TooFast
                | InvokeError::ReservedTooFast
                | InvokeError::NoRoom,
            ) => Ending::Throttled,
            Err(InvokeError::SwitchedOff) => Ending::Counted(Outcome::SwitchedOff),
            Err(InvokeError::Stopping) => Ending::Stopping,
            Ok(outcome) => Ending::Counted(outcome),
        };
        return (ending, tried);
    }
    (Ending::Counted(Outcome::Deferred), tried)
}

/// Whether it is too old. Its configuration is only read when it could be, so that a young event that
/// is run at once costs no look at the disk.
async fn is_too_old(config: &Config, event: &QueuedEvent) -> bool {
    let (accepted_ms, now_ms) = (event.tries.accepted_ms, config.clock.wall_ms());
    let youngest_ms = u64::from(*limits::EVENT_AGE_S.start()) * 1_000;
    now_ms.saturating_sub(accepted_ms) >= youngest_ms
        && rules(config, event).await.is_too_old(accepted_ms, now_ms)
}

async fn rules(config: &Config, event: &QueuedEvent) -> Rules {
    let found: Result<Option<EventInvokeConfig>, StorageError> =
        config.settings.get(&event.function.key, event.qualifier.as_ref()).await;
    match found {
        Ok(found) => Rules::of(found.as_ref(), config.retry_ms),
        Err(error) => {
            warn!(%error, request_id = %event.request, "event is retried as if nothing was configured");
            Rules::of(None, config.retry_ms)
        }
    }
}

async fn run_on(
    config: &Config,
    version: &Arc<ResolvedVersion>,
    event: &QueuedEvent,
) -> Result<Outcome, InvokeError> {
    let invoked_arn = match &event.qualifier {
        Some(qualifier) => event.function.key.qualified_arn(qualifier),
        None => event.function.key.arn(),
    };
    let invocation = Invocation {
        request: event.request.clone(),
        payload: event.payload.clone(),
        invoked_arn,
        client_context: None,
        trace: event.trace.clone(),
        tenant: event.tenant.clone(),
        tail: false,
    };
    let age_ms = config.clock.wall_ms().saturating_sub(event.tries.accepted_ms);
    let answer = config.placement.invoke_queued(version, invocation).await?;
    told::ran(&config.placement.meter(), event, version.version, age_ms);
    Ok(match answer.error {
        None => Outcome::Succeeded,
        Some(ErrorOf::Function | ErrorOf::Restore(_)) => Outcome::Failed,
        Some(ErrorOf::Platform) => Outcome::Deferred,
    })
}

/// What does not serve may do so later, unless the function it belongs to was deleted.
async fn without_version(config: &Config, event: &QueuedEvent) -> Ending {
    match config.functions.get(&event.function.key).await {
        Ok(Some(function)) if function.unique_id == event.function.unique_id => {
            Ending::Counted(Outcome::Deferred)
        }
        Ok(_) => Ending::Gone,
        Err(error) => {
            warn!(%error, request_id = %event.request, "event's function is not found out");
            Ending::Counted(Outcome::Deferred)
        }
    }
}
