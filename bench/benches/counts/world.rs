//! A whole warm invoke but for HTTP towards the client: placement's permit and pool, the environment's
//! owner and its machine, thaw and freeze of a fake sandbox, the Runtime API, the log.
//!
//! All tasks share the counted thread. Who writes logs and metrics to the store has threads of its
//! own, which are not counted.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dormouse_bench::{Inbox, header};
use dormouse_model::chance::Chance;
use dormouse_model::clock::Clock;
use dormouse_model::function::{
    Architecture, Code, Configuration, Deployment, LogFormat, Logging, Package, Program as Runs,
    ResolvedVersion, Tracing,
};
use dormouse_model::invocation::Invocation;
use dormouse_model::limits;
use dormouse_model::names::{Digest, FunctionKey, Scope, Version};
use dormouse_model::runtime::Runtime as LambdaRuntime;
use dormouse_placement::Placement;
use dormouse_sandbox::fake::{Fake, FakeProcess, Program};
use dormouse_sandbox::{Network, Service};
use dormouse_store::Store;
use dormouse_store::directories::Directories;
use dormouse_store::packages::Packages;
use dormouse_worker::{CpuModel, Interpreters, StandbySetting, Worker};
use gungraun::library_benchmark;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

const EVENT: &str = r#"{"name":"you"}"#;
/// Never read.
const PACKAGE: &[u8] = b"package";
const BOOTSTRAP: &str = "/var/task/bootstrap";
const IDLE: Duration = Duration::from_secs(600);
const WARM_UP: usize = 50;
/// So many that what happens once in a while, such as a batch of log lines, is in the count as often
/// as it is in real life.
const INVOKES: usize = 100;

/// Everything but HTTP towards clients.
pub struct World {
    runtime: Runtime,
    placement: Placement,
    version: Arc<ResolvedVersion>,
    chance: Chance,
    _store: Store,
    _tasks: JoinSet<()>,
    _directory: tempfile::TempDir,
}

fn world() -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let packages = Packages::open(directory.path().join("packages")).unwrap();
    let digest = runtime.block_on(packages.put(Bytes::from_static(PACKAGE))).unwrap();
    // The code is there as if unpacked by a former run: unpacking needs openat2, which Valgrind does
    // not know before 3.20, and the fake backend looks up its programs by name alone.
    let worker_directory = directory.path().join("worker");
    fs::create_dir_all(worker_directory.join("code").join(digest.as_str())).unwrap();
    let program: Program = Arc::new(|process| Box::pin(echo(process)));
    let backend = Arc::new(Fake::new(HashMap::from([(BOOTSTRAP.to_owned(), program)])));
    let (clock, chance) = (clock(), chance());
    let mut tasks = JoinSet::new();
    let config = dormouse_worker::Config {
        directory: worker_directory,
        snapshots: directory.path().join("snapshots"),
        versions: Vec::new(),
        bootstraps: directory.path().join("bootstraps"),
        backend,
        packages,
        directories: Directories::default(),
        needed: [digest.clone()].into(),
        logs: store.logs(),
        metrics: store.metrics(),
        interpreters: Interpreters::new(watch::channel(None).1, true),
        network: Network::None,
        cpu: CpuModel::Lambda,
        standby: StandbySetting::Fixed(0),
        life: Duration::from_secs(limits::LIFE_S),
        capacity_mb: Some(1 << 40),
        clock: clock.clone(),
        chance: chance.clone(),
        endpoint: mpsc::channel(1).0,
    };
    let placement = runtime.block_on(async {
        let worker = Worker::start(config, &mut tasks).unwrap();
        let config = dormouse_placement::Config { worker, clock, idle: IDLE, limit_rates: false };
        Placement::start(config, &mut tasks)
    });
    let version = version(digest);
    let world = World {
        runtime,
        placement,
        version,
        chance,
        _store: store,
        _tasks: tasks,
        _directory: directory,
    };
    (0..WARM_UP).for_each(|_| world.invoke());
    world
}

impl World {
    fn invoke(&self) {
        let invocation = Invocation {
            request: self.chance.request_id(),
            payload: EVENT.into(),
            invoked_arn: self.version.key.arn(),
            client_context: None,
            trace: None,
            tenant: None,
            tail: false,
        };
        let answer = self.runtime.block_on(self.placement.invoke(&self.version, invocation));
        assert_eq!(answer.unwrap().payload, EVENT);
    }
}

/// Each look at the clock is a microsecond later: a count must not depend on how fast it was made.
fn clock() -> Clock {
    let looks = AtomicU64::new(0);
    Clock::new(move || looks.fetch_add(1, Ordering::Relaxed), || 1_795_000_000_000)
}

fn chance() -> Chance {
    let drawn = AtomicU64::new(1);
    Chance::new(move || u128::from(drawn.fetch_add(1, Ordering::Relaxed)))
}

fn version(digest: Digest) -> Arc<ResolvedVersion> {
    let scope =
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let configuration = Configuration {
        program: Runs::Zip { runtime: LambdaRuntime::ProvidedAl2023, handler: "h".into() },
        role: "arn:aws:iam::123456789012:role/r".into(),
        description: String::new(),
        timeout_s: 30,
        memory_mb: 128,
        ephemeral_mb: 512,
        variables: None,
        architecture: Architecture::X86_64,
        tracing: Tracing::PassThrough,
        logging: Logging { format: LogFormat::Text, group: None },
        layers: vec![],
        snap_start: false,
        dead_letters: None,
        per_tenant: false,
    };
    Arc::new(ResolvedVersion {
        key: FunctionKey { scope, name: "hello".parse().unwrap() },
        unique_id: "u".into(),
        version: Version::Latest,
        deployment: Deployment {
            configuration,
            code: Code::Zip(Package { digest, size_bytes: 1 }),
            generation: 1,
        },
    })
}

/// The function: one connection, the event is the answer.
async fn echo(process: FakeProcess) -> i32 {
    let mut connection = process.dial(Service::RuntimeApi).await.unwrap();
    let next = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut inbox = Inbox::default();
    let mut piece = [0; 1_024];
    loop {
        connection.write_all(next).await.unwrap();
        let mut response = Vec::new();
        while response.is_empty() {
            let count = connection.read(&mut piece).await.unwrap();
            if count == 0 {
                return 0;
            }
            inbox.read_once(&mut &piece[..count]).unwrap();
            // The answer to our own response comes first; only an event has an id.
            while let Some(message) = inbox.message() {
                let (head, rest) = inbox.bytes().split_at(message.body);
                let body = &rest[..message.end - message.body];
                if let Some(id) = header(head, "lambda-runtime-aws-request-id") {
                    response = post(id, body);
                }
                inbox.consume(message);
            }
        }
        connection.write_all(&response).await.unwrap();
    }
}

fn post(id: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[library_benchmark]
#[bench::a_hundred(world())]
fn placement_invokes(world: World) -> World {
    (0..INVOKES).for_each(|_| world.invoke());
    world
}
