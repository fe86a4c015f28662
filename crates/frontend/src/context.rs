//! What every answer is made from: handles, time, chance, and who we are.

use std::sync::Arc;

use dormouse_events::{Events, Resolve};
use dormouse_identity::Signer;
use dormouse_model::chance::Chance;
use dormouse_model::clock::Clock;
use dormouse_model::names::Scope;
use dormouse_placement::Placement;
use dormouse_store::aliases::Aliases;
use dormouse_store::code_signing::CodeSigning;
use dormouse_store::concurrency::Concurrency;
use dormouse_store::directories::Directories;
use dormouse_store::events::QueuedEvents;
use dormouse_store::functions::Functions;
use dormouse_store::layers::Layers;
use dormouse_store::logs::Logs;
use dormouse_store::metrics::Metrics;
use dormouse_store::objects::Objects;
use dormouse_store::packages::Packages;
use dormouse_store::queue::Queues;
use dormouse_store::resources::Resources;
use dormouse_store::settings::Settings;
use dormouse_store::versions::Versions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::iam::{self, KeyUses};
use crate::lambda::deployments::{Deployments, Records};
use crate::lambda::image::Images;
use crate::lambda::other_s3::OtherS3;

/// What a frontend is made of.
#[derive(Debug)]
pub struct Config {
    /// The account and region of callers who name none.
    pub home: Scope,
    /// Records of functions.
    pub functions: Functions,
    /// What functions reserve of their account's concurrency.
    pub concurrency: Concurrency,
    /// Layer versions.
    pub layers: Layers,
    /// Published versions.
    pub versions: Versions,
    /// What is kept beside functions.
    pub settings: Settings,
    /// Which code signing configurations functions have.
    pub code_signing: CodeSigning,
    /// Event source mappings and other records of an account in a region.
    pub resources: Resources,
    /// Aliases of functions.
    pub aliases: Aliases,
    /// Records of IAM.
    pub iam: iam::Records,
    /// Log groups, streams and events.
    pub logs: Logs,
    /// Metrics.
    pub metrics: Metrics,
    /// Queues.
    pub queues: Queues,
    /// Buckets and objects.
    pub objects: Objects,
    /// The S3 that is asked for packages in buckets that this one does not have.
    pub other_s3: Option<OtherS3>,
    /// Events that wait to be run.
    pub queued: QueuedEvents,
    /// Milliseconds before the first retry of an event whose function failed.
    pub event_retry_ms: u64,
    /// Packages.
    pub packages: Packages,
    /// Directories that may be functions' code.
    pub directories: Directories,
    /// Container images.
    pub images: Images,
    /// Runs invocations.
    pub placement: Placement,
    /// Signs download links.
    pub signer: Signer,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub chance: Chance,
}

/// Answers requests. Cheap to clone: a connection has its own.
#[derive(Debug, Clone)]
pub struct Frontend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) deployments: Deployments,
    pub(crate) key_uses: KeyUses,
    /// Queues events.
    pub(crate) events: Events,
    /// Ends what waits for something to come.
    pub(crate) stopping: CancellationToken,
}

impl Frontend {
    /// Loads what serves and goes on with what a former process left unsettled, in `tasks`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(
        config: Config,
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, dormouse_store::StorageError> {
        let deployments = Deployments::start(
            Records {
                functions: config.functions.clone(),
                versions: config.versions.clone(),
                aliases: config.aliases.clone(),
                concurrency: config.concurrency.clone(),
                images: config.images.clone(),
            },
            config.placement.clone(),
            config.chance.clone(),
            tasks,
        )
        .await?;
        let key_uses = KeyUses::start(config.iam.access_keys.clone(), tasks);
        let events = Events::start(later(&config, deployments.resolve()), tasks).await?;
        let stopping = CancellationToken::new();
        Ok(Self { inner: Arc::new(Inner { config, deployments, key_uses, events, stopping }) })
    }

    /// Requests that wait for something to come are answered that nothing did.
    pub(crate) fn stop_waiting(&self) {
        self.inner.stopping.cancel();
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

/// What queued events are run with.
fn later(config: &Config, resolve: Resolve) -> dormouse_events::Config {
    dormouse_events::Config {
        queued: config.queued.clone(),
        functions: config.functions.clone(),
        settings: config.settings.clone(),
        resolve,
        placement: config.placement.clone(),
        clock: config.clock.clone(),
        retry_ms: config.event_retry_ms,
    }
}

impl std::ops::Deref for Inner {
    type Target = Config;
    fn deref(&self) -> &Config {
        &self.config
    }
}
