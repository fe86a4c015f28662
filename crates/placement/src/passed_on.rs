//! What is asked of placement and passed on to the worker as it is.

use dormouse_model::function::{Code, Configuration};
use dormouse_model::image::Image;
use dormouse_model::names::{Digest, FunctionKey, Version};
use dormouse_model::runtime::Runtime;
use dormouse_worker::capacity::Use as MemoryUse;
use dormouse_worker::lives::Lives;
use dormouse_worker::metrics::Meter;
use dormouse_worker::{NoInterpreter, Standby};

use crate::router::Placement;

impl Placement {
    /// A function is there that may be called soon.
    pub async fn expect(&self, code: &Code, configuration: &Configuration) {
        self.worker.expect(code, configuration).await;
    }

    /// The sandboxes that stand by.
    #[must_use]
    pub fn standby(&self) -> Standby {
        self.worker.standby()
    }

    /// Unpacks code ahead of its first use.
    ///
    /// # Errors
    /// In words, why it cannot be used.
    pub async fn prepare(&self, code: &Digest) -> Result<(), String> {
        self.worker.prepare(code).await.map_err(|unavailable| unavailable.to_string())
    }

    /// Unpacks an image ahead of its first use.
    ///
    /// # Errors
    /// In words, why it cannot be used.
    pub async fn prepare_image(&self, image: &Image) -> Result<(), String> {
        self.worker.prepare_image(image).await.map_err(|unavailable| unavailable.to_string())
    }

    /// Whether this host can run a runtime.
    ///
    /// # Errors
    /// What is missing and how to install it.
    pub async fn can_run(&self, runtime: Runtime) -> Result<(), NoInterpreter> {
        self.worker.can_run(runtime).await
    }

    /// A version was deleted, or a function with all of its versions: so are their snapshots.
    pub fn forget_snapshots(&self, function: &FunctionKey, version: Option<Version>) {
        self.worker.forget_snapshots(function, version);
    }

    /// What is told of invocations, for others who know something of them.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.worker.meter()
    }

    /// How much of the machine's memory functions may use, and what of it they count for.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        self.worker.capacity().look()
    }

    /// What happened to the environments.
    #[must_use]
    pub fn lives(&self) -> Lives {
        self.worker.lives()
    }
}
