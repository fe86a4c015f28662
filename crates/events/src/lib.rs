//! What happens later: events that were queued, run until they have ended.
//!
//! A crate of its own because it will be another binary where frontends and workers are on different
//! machines; and because what waits here must never be in the way of who waits for an answer.
//!
//! | Task | Owns | Gets | Gives |
//! |---|---|---|---|
//! | owner | which events are tried now, which functions have some and when they are looked at next | a ring of the bell when an event was accepted | jobs to placement; one turn at a time to the store |
//! | a try (one each, at most `limits::EVENTS_RUNNING`) | one event | the answer to its invocation | what came of it |
//!
//! An event is on disk from before its caller is answered until what came of it is written; what is
//! not written is tried again by the next process. Payloads of events that wait are on disk only.
//! Whether and when an event is tried again is `model::retry`'s to say; where an event ends is
//! `owner.rs`, in one place.

mod attempt;
mod bell;
mod lanes;
mod owner;
mod told;

use std::fmt;
use std::sync::Arc;

use dormouse_model::clock::Clock;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::names::{FunctionKey, Qualifier, Version};
use dormouse_placement::{Meter, Placement};
use dormouse_store::StorageError;
use dormouse_store::events::QueuedEvents;
use dormouse_store::functions::Functions;
use dormouse_store::settings::Settings;
use tokio::task::JoinSet;

use crate::bell::Bell;

pub use dormouse_store::events::{FunctionId, NewEvent};

type ResolveFn =
    dyn Fn(&FunctionKey, Option<&Qualifier>) -> Option<Arc<ResolvedVersion>> + Send + Sync;

/// Says what a qualifier of a function runs now, without waiting; nothing if it does not serve now.
#[derive(Clone)]
pub struct Resolve(Arc<ResolveFn>);

impl Resolve {
    /// What answers by calling a function.
    pub fn new(
        resolve: impl Fn(&FunctionKey, Option<&Qualifier>) -> Option<Arc<ResolvedVersion>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(resolve))
    }

    fn get(
        &self,
        key: &FunctionKey,
        qualifier: Option<&Qualifier>,
    ) -> Option<Arc<ResolvedVersion>> {
        (self.0)(key, qualifier)
    }
}

impl fmt::Debug for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolve")
    }
}

/// What events are run with.
#[derive(Debug)]
pub struct Config {
    /// Where they are kept.
    pub queued: QueuedEvents,
    /// Which functions there are.
    pub functions: Functions,
    /// How events of each are retried.
    pub settings: Settings,
    /// What serves.
    pub resolve: Resolve,
    /// Runs them.
    pub placement: Placement,
    /// Time.
    pub clock: Clock,
    /// Milliseconds before the first retry of an event whose function failed.
    pub retry_ms: u64,
}

/// Queues events. Cheap to clone; when the last one is dropped, no event is begun any more, and the
/// owner ends with those under way.
#[derive(Debug, Clone)]
pub struct Events {
    queued: QueuedEvents,
    bell: Bell,
    meter: Meter,
}

impl Events {
    /// Starts the owner in `tasks`, with what a former process left.
    ///
    /// # Errors
    /// When it cannot be read what is there.
    pub async fn start(config: Config, tasks: &mut JoinSet<()>) -> Result<Self, StorageError> {
        let functions = config.queued.functions().await?;
        let (queued, meter) = (config.queued.clone(), config.placement.meter());
        let (bell, ear) = bell::hung();
        tasks.spawn(owner::Owner::new(config, functions).run(ear));
        Ok(Self { queued, bell, meter })
    }

    /// Queues an event. Once this returns it is on disk and will be run, as things are by this version.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn accept(&self, event: NewEvent, version: Version) -> Result<(), StorageError> {
        let (bell, function) = (self.bell.clone(), event.function.clone());
        let received = told::Received::of(&event, version);
        self.queued.accept(event, move || bell.came(function)).await?;
        received.tell(&self.meter);
        Ok(())
    }

    /// A deleted function's events go with it.
    ///
    /// # Errors
    /// When it cannot be written; then they go when their time comes.
    pub async fn forget(&self, function: &FunctionId) -> Result<(), StorageError> {
        self.queued.forget(function).await
    }

    /// More of a function's events may run at once than before: those that found no place are tried
    /// now.
    pub fn loosened(&self, key: &FunctionKey) {
        self.bell.loosened(key.clone());
    }
}
