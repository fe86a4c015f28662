//! The worker's handle: makes environments, prepares code.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::chance::Chance;
use dormouse_model::clock::Clock;
use dormouse_model::environment::{Failure, InitializationType};
use dormouse_model::function::{Code, Configuration, ResolvedVersion};
use dormouse_model::image::Image;
use dormouse_model::limits;
use dormouse_model::names::{Digest, FunctionKey, Version};
use dormouse_model::runtime::Runtime;
use dormouse_sandbox::{Backend, Connection, Network};
use dormouse_store::directories::Directories;
use dormouse_store::logs::Logs;
use dormouse_store::metrics::Metrics;
use dormouse_store::packages::Packages;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::artifacts::{Artifacts, Unavailable};
use crate::bytecode::{self, Bytecode};
use crate::capacity::{self, Capacity};
use crate::environment::{
    self, ColdReason, EnvironmentHandle, Fact, Names, Owner, Purpose, Shared, Spec,
};
use crate::interpreters::{Interpreters, NoInterpreter};
use crate::lives::Lives;
use crate::logs::LogSink;
use crate::metrics::Meter;
use crate::snapshots::{self, SnapshotKey, Snapshots};
use crate::standby::{Kind, Means, Setting, Standby};
use crate::stillness::Stillness;
use crate::watch::Watch;

/// Where bytecode lies that is kept, beside unpacked code.
const BYTECODE: &str = "bytecode";

/// How much CPU a function gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuModel {
    /// In proportion to its memory, as on Lambda.
    Lambda,
    /// As much as there is.
    Full,
}

/// What a worker is made of.
#[derive(Debug)]
pub struct Config {
    /// A directory of its own, for unpacked code.
    pub directory: PathBuf,
    /// Where the bootstraps of the managed runtimes are installed.
    pub bootstraps: PathBuf,
    /// A directory of its own, for snapshots.
    pub snapshots: PathBuf,
    /// The versions of SnapStart that there are; snapshots of others are removed.
    pub versions: Vec<SnapshotKey>,
    /// Makes sandboxes.
    pub backend: Arc<dyn Backend>,
    /// The packages of the store.
    pub packages: Packages,
    /// The packages that some function shows or serves; unpacked code of others is removed.
    pub needed: BTreeSet<Digest>,
    /// The logs of the store.
    pub logs: Logs,
    /// The metrics of the store.
    pub metrics: Metrics,
    /// The directories of this host that functions may have for their code.
    pub directories: Directories,
    /// The interpreters of this host.
    pub interpreters: Interpreters,
    /// What functions can reach.
    pub network: Network,
    /// How much CPU functions get.
    pub cpu: CpuModel,
    /// How many sandboxes stand by.
    pub standby: Setting,
    /// How long an environment may serve.
    pub life: Duration,
    /// Megabytes that all environments together may use; without, what this machine has for them.
    pub capacity_mb: Option<u64>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub chance: Chance,
    /// Takes the connections that functions open to the daemon's own endpoint.
    pub endpoint: mpsc::Sender<Connection>,
}

/// Makes environments on this host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    shared: Arc<Shared>,
    capacity: Capacity,
}

impl Worker {
    /// Starts the worker's tasks in `tasks`.
    ///
    /// # Errors
    /// When one of its directories cannot be made or cleaned.
    pub fn start(config: Config, tasks: &mut JoinSet<()>) -> io::Result<Self> {
        let artifacts =
            Artifacts::start(&config.directory, config.packages, &config.needed, tasks)?;
        let total_mb = config.capacity_mb.unwrap_or_else(capacity::for_functions_mb);
        let capacity = Capacity::watched(total_mb, Arc::new(capacity::available_mb), tasks);
        let means = Means {
            backend: config.backend.clone(),
            interpreters: config.interpreters.clone(),
            bootstraps: config.bootstraps.clone(),
            network: config.network,
            chance: config.chance.clone(),
            shortage: capacity.shortage(),
        };
        let means_of_bytecode = bytecode::Means {
            backend: config.backend.clone(),
            artifacts: artifacts.clone(),
            bootstraps: config.bootstraps.clone(),
            chance: config.chance.clone(),
        };
        let bytecode = config.directory.join(BYTECODE);
        let bytecode = Bytecode::start(&bytecode, means_of_bytecode, &config.needed, tasks)?;
        let snapshots = Snapshots::open(snapshots::Setting {
            directory: &config.snapshots,
            machinery: config.backend.snapshots(),
            versions: &config.versions,
            network: config.network,
            clock: config.clock.clone(),
        })?;
        let shared = Shared {
            snapshots,
            bytecode,
            standby: Standby::start(config.standby, means, config.clock.clone(), tasks),
            backend: config.backend,
            artifacts,
            watch: Watch::new(config.directories.clone()),
            directories: config.directories,
            bootstraps: config.bootstraps,
            logs: LogSink::start(config.logs, config.clock.clone(), tasks),
            lives: Lives::start(tasks),
            stillness: Stillness::start(config.clock.clone(), tasks),
            meter: Meter::start(config.metrics, config.clock.clone(), tasks),
            clock: config.clock,
            chance: config.chance,
            network: config.network,
            cpu: config.cpu,
            life: u64::try_from(config.life.as_micros()).unwrap_or(u64::MAX),
            endpoint: config.endpoint,
            interpreters: config.interpreters,
        };
        Ok(Self { shared: Arc::new(shared), capacity })
    }

    /// Whether this host can run a runtime.
    ///
    /// # Errors
    /// What is missing and how to install it.
    pub async fn can_run(&self, runtime: Runtime) -> Result<(), NoInterpreter> {
        self.shared.interpreters.of(runtime).await.map(|_| ())
    }

    /// A function is there that may be called soon: a sandbox that will do for it is made ahead, and what can be
    /// compiled of it is.
    pub async fn expect(&self, code: &Code, configuration: &Configuration) {
        let interpreter = match configuration.runtime() {
            Some(runtime) => self.shared.interpreters.of(runtime).await.ok().flatten(),
            None => None,
        };
        if let Some(kind) = Kind::of(code, configuration, interpreter.as_ref()) {
            self.shared.standby.want(kind);
        }
        // What is not there yet is ordered by looking for it.
        self.shared.bytecode.find(code, configuration, interpreter.as_ref());
    }

    /// The sandboxes that stand by.
    #[must_use]
    pub fn standby(&self) -> Standby {
        self.shared.standby.clone()
    }

    /// Unpacks code ahead of its first use.
    ///
    /// # Errors
    /// When it cannot be unpacked.
    pub async fn prepare(&self, code: &Digest) -> Result<(), Unavailable> {
        self.shared.artifacts.code(code).await.map(|_| ())
    }

    /// Unpacks the layers of an image ahead of their first use.
    ///
    /// # Errors
    /// When one cannot be unpacked, or all together are too large.
    pub async fn prepare_image(&self, image: &Image) -> Result<(), Unavailable> {
        let bytes = self.shared.artifacts.image_bytes(image).await?;
        if bytes > limits::IMAGE_BYTES {
            let reason = format!("it is larger than {} bytes", limits::IMAGE_BYTES);
            return Err(Unavailable { digest: image.digest.clone(), reason });
        }
        Ok(())
    }

    /// The edition of a directory that is code: environments of an earlier one are out of date.
    pub async fn edition(&self, directory: &str) -> u64 {
        self.shared.watch.edition(directory).await
    }

    /// An environment for a version: its handle, and its owner task for the caller to spawn. Facts
    /// come over `facts`; [`Fact::Dead`] is the last.
    pub fn environment(
        &self,
        version: Arc<ResolvedVersion>,
        reason: ColdReason,
        initialization: InitializationType,
        facts: mpsc::Sender<Fact>,
    ) -> (EnvironmentHandle, impl Future<Output = ()> + Send + 'static) {
        let id = self.shared.chance.environment_id();
        let purpose = Purpose::Serve;
        self.owned(Spec { id, version, reason, initialization, purpose, facts })
    }

    /// An environment that initialises once, for a snapshot of the version, and then ends: its handle, how
    /// its Init went, and its owner task for the caller to spawn. When nothing comes, it was not found out.
    pub fn donor(
        &self,
        version: Arc<ResolvedVersion>,
    ) -> (
        EnvironmentHandle,
        oneshot::Receiver<Option<Failure>>,
        impl Future<Output = ()> + Send + 'static,
    ) {
        let (told, initialised) = oneshot::channel();
        let turn = self.shared.snapshots.claim(&version);
        let (handle, task) = self.owned(Spec {
            id: self.shared.chance.environment_id(),
            version,
            reason: ColdReason::Snapshot,
            initialization: InitializationType::SnapStart,
            purpose: Purpose::Donate { told: Some(told), turn },
            // Nobody leases it, and its end is the end of its task.
            facts: mpsc::channel(1).0,
        });
        (handle, initialised, task)
    }

    /// Whether a snapshot of a version is to be made: there is none, nobody makes one, and this machine can.
    #[must_use]
    pub fn wants_snapshot(&self, version: &ResolvedVersion) -> bool {
        version.is_snap_start() && self.shared.snapshots.wants(version)
    }

    /// A version was deleted, or a function with all of its versions: so are their snapshots.
    pub fn forget_snapshots(&self, function: &FunctionKey, version: Option<Version>) {
        self.shared.snapshots.forget(function, version);
    }

    fn owned(&self, spec: Spec) -> (EnvironmentHandle, impl Future<Output = ()> + Send + use<>) {
        let names = Names {
            log_stream: log_stream(self.shared.clock.wall_ms(), &spec.version, spec.id.as_str()),
            secret: format!("{:032x}", self.shared.chance.bits()),
        };
        let (handle, commands) = environment::handle(spec.id.clone());
        let owner = Owner::new(self.shared.clone(), spec, names);
        (handle, owner.run(commands))
    }

    /// The memory of this host.
    #[must_use]
    pub fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// What is told of invocations, for others who know something of them.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.shared.meter.clone()
    }

    /// What happened to the environments of this host.
    #[must_use]
    pub fn lives(&self) -> Lives {
        self.shared.lives.clone()
    }
}

/// `YYYY/MM/DD/[version]id`, by the UTC date of the environment's creation.
fn log_stream(wall_ms: u64, version: &ResolvedVersion, id: &str) -> String {
    let date = moment(wall_ms).strftime("%Y/%m/%d").to_string();
    format!("{date}/[{}]{id}", version.version)
}

fn moment(wall_ms: u64) -> jiff::Timestamp {
    i64::try_from(wall_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::resolved;

    #[test]
    fn a_log_stream_names_date_version_and_environment() {
        let id = "0".repeat(32);
        let stream = log_stream(1_573_754_766_068, &resolved(), &id);
        assert_eq!(stream, format!("2019/11/14/[$LATEST]{id}"));
    }
}
