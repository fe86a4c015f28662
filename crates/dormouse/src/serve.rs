//! `dormouse serve`: wiring, signals, drain.
//!
//! Order matters twice. At start: the spawner comes first, while this process has one thread and no
//! secret; then the store; then what a killed predecessor left is removed; then we listen. At stop:
//! no new requests, running invocations finish up to a limit, environments end, the store closes.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use dormouse_frontend::{Frontend, Images, Listeners, Server};
use dormouse_identity::Signer;
use dormouse_model::chance::Chance;
use dormouse_model::clock::Clock;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::version::PublishedVersion;
use dormouse_placement::Placement;
use dormouse_runtimes::{Interpreter, Language, install_bootstraps, precompile};
use dormouse_sandbox::namespace::cgroup::Cgroups;
use dormouse_sandbox::namespace::doctor::{Guarantee, examine, refusal};
use dormouse_sandbox::namespace::network::NetworkHost;
use dormouse_sandbox::namespace::spawner::Spawner;
use dormouse_sandbox::namespace::{self, Criu, Namespace};
use dormouse_sandbox::{Backend, Network};
use dormouse_store::Store;
use dormouse_store::directories::Directories;
use dormouse_store::objects::Objects;
use dormouse_store::packages::Packages;
use dormouse_worker::snapshots::SnapshotKey;
use dormouse_worker::{Connection, Interpreters, Worker};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat, Surroundings, Typed};
use crate::{network, runtimes, socket};

/// Connections from inside sandboxes that may wait to be served; past it they are closed.
const DIALLED_QUEUE: usize = 64;

/// How long clients may take to read their last answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Random numbers that the kernel is asked for at once.
const DRAWN: usize = 64;

/// Packages younger than this are spared by the clean-up at start.
const YOUNG: Duration = Duration::from_secs(3_600);

/// Starts, serves, stops.
pub(crate) fn main(typed: Typed) -> anyhow::Result<ExitCode> {
    let config = Config::load(typed, &surroundings())?;
    log(&config)?;
    let mut given_up = config.allow_weaker.clone();
    if config.network == Network::None {
        given_up.push(Guarantee::OutboundNetwork);
    }
    refusal(&examine(), &given_up).map_err(|refusal| anyhow!("{refusal}"))?;
    // From the main thread: the kernel ends the spawner with the thread that started it.
    let spawner = Spawner::launch().context("spawner of sandboxes")?;
    // One thread: an invocation is handed over five times, and each hand-over to another core would
    // cost more than the work itself. What blocks or computes has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("asynchronous runtime")?;
    runtime.block_on(serve(config, spawner))?;
    Ok(ExitCode::SUCCESS)
}

fn surroundings() -> Surroundings {
    Surroundings {
        is_root: rustix::process::geteuid().is_root(),
        home_dir: std::env::var_os("HOME").map(Into::into),
        variables: std::env::vars_os().map(|(name, _)| name).collect(),
    }
}

fn log(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log).context("--log")?;
    let terminal = std::io::stderr().is_terminal();
    let format =
        config.log_format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(terminal).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

async fn serve(config: Config, spawner: Spawner) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    // First what may be refused: nothing has been made yet that would have to be cleared away.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {}", config.listen))?;
    let socket = config.socket.as_deref().map(socket::bind).transpose()?;
    let (socket, _named) = socket.unzip();
    let listeners = Listeners { port: listener, socket };
    let store = Store::open(&config.data_dir).context("data directory")?;
    let isolation = Isolation::start(&config, &instance(&config.data_dir), spawner)?;
    let served = serve_isolated(&config, &store, &isolation, (listeners, &mut signals)).await;
    isolation.stop().await;
    store.close().await;
    info!("stopped");
    served
}

async fn serve_isolated(
    config: &Config,
    store: &Store,
    isolation: &Isolation,
    (listeners, signals): (Listeners, &mut Signals),
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    let (endpoint, dialled) = mpsc::channel(DIALLED_QUEUE);
    let clock = clock();
    let chance = chance();
    let objects = store.objects(chance.bits()).context("objects")?;
    let parts =
        Parts { config, store, isolation, objects: objects.clone(), clock: clock.clone(), chance };
    let (frontend, placement) = assemble(parts, endpoint, &mut tasks).await?;
    announce(listeners.port.local_addr()?);
    let (stop, stopping) = watch::channel(false);
    tasks.spawn(store.logs().keep_retention(clock.clone(), stopping.clone()));
    tasks.spawn(store.metrics().keep_retention(clock, stopping.clone()));
    tasks.spawn(objects.remove_orphans(stopping.clone()));
    let server = Server { frontend, listeners, dialled };
    let serving = tasks.spawn(server.run(stopping));
    signals.first().await;
    info!("stopping: running invocations may finish");
    let _ = stop.send(true);
    tokio::select! {
        () = placement.drain(config.drain) => {}
        () = signals.first() => {
            warn!("second signal: stopping at once");
            placement.drain(Duration::ZERO).await;
        }
    }
    drop(placement);
    // Every answer is given; clients have a moment to take theirs.
    let farewell = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        serving.abort();
        while tasks.join_next().await.is_some() {}
    }
    Ok(())
}

struct Parts<'a> {
    config: &'a Config,
    store: &'a Store,
    isolation: &'a Isolation,
    objects: Objects,
    clock: Clock,
    chance: Chance,
}

async fn assemble(
    parts: Parts<'_>,
    endpoint: mpsc::Sender<Connection>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<(Frontend, Placement)> {
    let Parts { config, store, isolation, objects, clock, chance } = parts;
    let packages = Packages::open(config.data_dir.join("packages")).context("packages")?;
    let directories = Directories::allow(&config.hot_reload).context("--hot-reload")?;
    let bootstraps = config.data_dir.join("bootstraps");
    install_bootstraps(&bootstraps).context("bootstraps of the managed runtimes")?;
    let needed = store.functions().digests().await?;
    let published = store.layers().digests().await?;
    clean(&packages, &needed.union(&published).cloned().collect()).await;
    let worker = Worker::start(
        dormouse_worker::Config {
            directory: config.data_dir.join("worker"),
            snapshots: config.data_dir.join("snapshots"),
            versions: snap_start(store).await?,
            bootstraps: bootstraps.clone(),
            backend: isolation.backend.clone(),
            packages: packages.clone(),
            directories: directories.clone(),
            needed,
            logs: store.logs(),
            metrics: store.metrics(),
            interpreters: Interpreters::new(search(bootstraps, tasks), config.nearest_runtime),
            network: isolation.reach(),
            cpu: config.cpu,
            standby: config.standby,
            life: config.life,
            capacity_mb: config.capacity_mb,
            clock: clock.clone(),
            chance: chance.clone(),
            endpoint,
        },
        tasks,
    )
    .context("worker directory")?;
    let placement = Placement::start(placing(config, worker, clock.clone()), tasks);
    let frontend = Frontend::start(
        dormouse_frontend::Config {
            home: config.home.clone(),
            functions: store.functions(),
            concurrency: store.concurrency(),
            layers: store.layers(),
            versions: store.versions(),
            settings: store.settings(),
            code_signing: store.code_signing(),
            resources: store.resources(),
            aliases: store.aliases(),
            iam: iam_records(store),
            logs: store.logs(),
            metrics: store.metrics(),
            queues: store.queues(),
            images: images(config, &objects, &packages)?,
            objects,
            other_s3: config.other_s3.clone(),
            queued: store.events(),
            event_retry_ms: config.event_retry_ms,
            packages,
            directories,
            placement: placement.clone(),
            signer: Signer::new(key(&chance)),
            clock,
            chance,
        },
        tasks,
    )
    .await?;
    Ok((frontend, placement))
}

/// The versions of which there may be snapshots.
async fn snap_start(store: &Store) -> anyhow::Result<Vec<SnapshotKey>> {
    let versions = store.versions().all(None).await?;
    let serving = versions.iter().filter_map(PublishedVersion::resolved);
    Ok(serving.filter(ResolvedVersion::is_snap_start).map(|it| SnapshotKey::of(&it)).collect())
}

fn placing(config: &Config, worker: Worker, clock: Clock) -> dormouse_placement::Config {
    let Config { idle, limit_rates, .. } = *config;
    dormouse_placement::Config { worker, clock, idle, limit_rates }
}

fn images(config: &Config, objects: &Objects, packages: &Packages) -> anyhow::Result<Images> {
    Ok(Images {
        directories: Directories::allow(&config.image_dir).context("--image-dir")?,
        objects: objects.clone(),
        registries: config.registries.clone(),
        packages: packages.clone(),
    })
}

fn iam_records(store: &Store) -> dormouse_frontend::IamRecords {
    dormouse_frontend::IamRecords {
        roles: store.roles(),
        users: store.users(),
        groups: store.groups(),
        policies: store.policies(),
        instance_profiles: store.instance_profiles(),
        access_keys: store.access_keys(),
    }
}

/// Looks for interpreters beside everything else.
fn search(
    bootstraps: PathBuf,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Option<Arc<[Interpreter]>>> {
    let (sender, found) = watch::channel(None);
    tasks.spawn_blocking(move || {
        let interpreters: Arc<[Interpreter]> = runtimes::found().into();
        for python in interpreters.iter().filter(|it| it.language == Language::Python) {
            // Each environment would otherwise compile the bootstrap anew.
            if let Err(error) = precompile(&bootstraps, python) {
                warn!(%error, version = %python.version, "bootstrap is not compiled ahead");
            }
        }
        info!(count = interpreters.len(), "interpreters found");
        // When the server is already stopping, nobody needs them.
        let _ = sender.send(Some(interpreters));
    });
    found
}

/// The backend, and what keeps its network.
struct Isolation {
    backend: Arc<dyn Backend>,
    network: Option<NetworkHost>,
}

impl Isolation {
    /// Removes what a killed predecessor left, then starts anew.
    fn start(config: &Config, instance: &str, spawner: Spawner) -> anyhow::Result<Self> {
        let cgroups = Cgroups::detect(instance).context("control groups")?;
        let reaped = cgroups.reap().context("control groups of a former process")?;
        info!(?reaped, "what a former process left is removed");
        let network = match config.network {
            Network::Outbound => network::start(instance, &config.allow_weaker)?,
            Network::None => None,
        };
        let backend = Namespace::new(namespace::Config {
            instance: instance.to_owned(),
            spawner,
            cgroups,
            network: network.as_ref().map(NetworkHost::attach_fn),
            criu: config.criu.clone(),
        })
        .context("namespace sandbox")?;
        if let (Criu::Program(_), Err(reason)) = (&config.criu, backend.snapshots()) {
            bail!("--criu: {reason}");
        }
        Ok(Self { backend: Arc::new(backend), network })
    }

    /// What sandboxes can reach.
    fn reach(&self) -> Network {
        if self.network.is_some() { Network::Outbound } else { Network::None }
    }

    async fn stop(self) {
        self.backend.shutdown().await;
        if let Some(network) = self.network
            && let Err(error) = network.stop()
        {
            warn!(%error, "network rules stay until the next start");
        }
    }
}

/// Removes packages that belong to nothing. What cannot be removed now is removed another time.
async fn clean(
    packages: &Packages,
    needed: &std::collections::BTreeSet<dormouse_model::names::Digest>,
) {
    #[expect(clippy::disallowed_methods, reason = "file times are compared with the wall clock")]
    let Some(old) = SystemTime::now().checked_sub(YOUNG) else {
        return;
    };
    let referenced = needed.iter().cloned().collect();
    match packages.remove_unreferenced(referenced, old).await {
        Ok(removed) => info!(removed, "packages that belong to nothing are removed"),
        Err(error) => warn!(%error, "packages that belong to nothing stay"),
    }
}

/// Names this server on its host, so that two with different data never touch each other's.
fn instance(data_dir: &Path) -> String {
    let path = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let hash =
        path.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
    format!("{hash:08x}")
}

#[expect(clippy::print_stdout, reason = "the line that tells who started us that we are ready")]
fn announce(address: SocketAddr) {
    println!("dormouse is ready on http://{address}");
}

#[expect(clippy::disallowed_methods, reason = "the one place where clocks are read")]
fn clock() -> Clock {
    let start = Instant::now();
    Clock::new(
        move || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        },
    )
}

/// The one place where randomness is drawn. An invocation takes three numbers: the kernel is asked for
/// some at a time.
fn chance() -> Chance {
    // A lock because any thread may draw. Held for a few instructions.
    let stock: Mutex<Vec<u128>> = Mutex::default();
    Chance::new(move || {
        let mut stock = stock.lock().unwrap_or_else(PoisonError::into_inner);
        stock.pop().unwrap_or_else(|| {
            let mut drawn = [[0; 16]; DRAWN];
            getrandom::fill(drawn.as_flattened_mut())
                .expect("the kernel always has random bytes once it has booted");
            let [first, rest @ ..] = drawn.map(u128::from_ne_bytes);
            stock.extend(rest);
            first
        })
    })
}

/// A key that lives as long as the process: links of a former one are refused.
fn key(chance: &Chance) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&chance.bits().to_ne_bytes());
    key[16..].copy_from_slice(&chance.bits().to_ne_bytes());
    key
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
        })
    }

    /// Waits for the next of them.
    async fn first(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
