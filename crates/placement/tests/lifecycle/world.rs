//! A worker and placement on the fake backend, with a runtime of the test's own that does what the
//! event tells it to.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dormouse_model::chance::Chance;
use dormouse_model::clock::Clock;
use dormouse_model::function::{
    Architecture, Code, Configuration, Deployment, LogFormat, Logging, Package, Program as Runs,
    ResolvedVersion, Tracing,
};
use dormouse_model::invocation::{Answer, Invocation};
use dormouse_model::names::{Digest, FunctionKey, Scope, Version};
use dormouse_model::runtime::Runtime;
use dormouse_placement::{Answered, Filter, InvokeError, Life, Placement};
use dormouse_sandbox::fake::{Fake, FakeProcess, Program};
use dormouse_sandbox::{Connection, Network, Service, Stream};
use dormouse_store::Store;
use dormouse_store::directories::Directories;
use dormouse_store::logs::{EventsFrom, EventsQuery, GroupKey, StreamKey};
use dormouse_store::packages::Packages;
use dormouse_worker::{CpuModel, Interpreters, StandbySetting, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// Everything but HTTP towards clients.
pub(crate) struct World {
    pub(crate) placement: Placement,
    pub(crate) fake: Arc<Fake>,
    /// What a runtime waits for in the middle of a stream.
    pub(crate) gate: Arc<Notify>,
    pub(crate) store: Store,
    digest: Digest,
    tasks: JoinSet<()>,
    chance: Chance,
    directory: tempfile::TempDir,
}

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How the test's runtime behaves before it asks for work.
pub(crate) type Boot = Arc<dyn Fn() -> &'static str + Send + Sync>;

impl World {
    pub(crate) async fn new(boot: Boot, idle: Duration) -> Self {
        Self::of(boot, idle, 1 << 40).await
    }

    /// One on a machine that has so much memory for functions, whose environments take 128 MB.
    pub(crate) async fn of(boot: Boot, idle: Duration, capacity_mb: u64) -> Self {
        Self::made(boot, idle, capacity_mb, false).await
    }

    /// One whose sandboxes can be written to snapshots.
    pub(crate) async fn with_snapshots(boot: Boot, idle: Duration) -> Self {
        Self::made(boot, idle, 1 << 40, true).await
    }

    async fn made(boot: Boot, idle: Duration, capacity_mb: u64, with_snapshots: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let packages = Packages::open(directory.path().join("packages")).unwrap();
        let digest = packages.put(package().into()).await.unwrap();
        let gate = Arc::new(Notify::new());
        let program: Program = {
            let gate = gate.clone();
            Arc::new(move |process| Box::pin(runtime(process, boot(), gate.clone())))
        };
        let programs = HashMap::from([("/var/task/bootstrap".to_owned(), program)]);
        let fake = Arc::new(Fake::new(programs));
        if with_snapshots {
            fake.allow_snapshots();
        }
        let (clock, chance) = (clock(), chance());
        let mut tasks = JoinSet::new();
        let config = dormouse_worker::Config {
            directory: directory.path().join("worker"),
            snapshots: directory.path().join("snapshots"),
            versions: Vec::new(),
            bootstraps: directory.path().join("bootstraps"),
            backend: fake.clone(),
            packages,
            directories: Directories::default(),
            needed: [digest.clone()].into(),
            logs: store.logs(),
            metrics: store.metrics(),
            interpreters: Interpreters::new(watch::channel(None).1, true),
            network: Network::None,
            cpu: CpuModel::Lambda,
            standby: StandbySetting::Fixed(0),
            life: Duration::from_secs(dormouse_model::limits::LIFE_S),
            capacity_mb: Some(capacity_mb),
            clock: clock.clone(),
            chance: chance.clone(),
            endpoint: mpsc::channel(1).0,
        };
        let worker = Worker::start(config, &mut tasks).unwrap();
        let config = dormouse_placement::Config { worker, clock, idle, limit_rates: false };
        let placement = Placement::start(config, &mut tasks);
        Self { placement, fake, gate, store, digest, tasks, chance, directory }
    }

    pub(crate) fn version(&self, generation: u64) -> Arc<ResolvedVersion> {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let configuration = Configuration {
            program: Runs::Zip { runtime: Runtime::ProvidedAl2023, handler: "h".into() },
            role: "arn:aws:iam::123456789012:role/r".into(),
            description: String::new(),
            timeout_s: 1,
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
        let code = Code::Zip(Package { digest: self.digest.clone(), size_bytes: 1 });
        Arc::new(ResolvedVersion {
            key: FunctionKey { scope, name: "f".parse().unwrap() },
            unique_id: "u".into(),
            version: Version::Latest,
            deployment: Deployment { configuration, code, generation },
        })
    }

    /// Another function of the same code.
    pub(crate) fn function(&self, name: &str) -> Arc<ResolvedVersion> {
        let mut version = ResolvedVersion::clone(&self.lasting());
        version.key.name = name.parse().unwrap();
        Arc::new(version)
    }

    /// The function with a timeout that no loaded machine reaches.
    pub(crate) fn lasting(&self) -> Arc<ResolvedVersion> {
        let mut version = ResolvedVersion::clone(&self.version(1));
        version.deployment.configuration.timeout_s = 60;
        Arc::new(version)
    }

    /// Where snapshots lie.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.directory.path().join("snapshots")
    }

    /// A published version of SnapStart.
    pub(crate) fn snap_start(&self) -> Arc<ResolvedVersion> {
        let mut version = ResolvedVersion::clone(&self.lasting());
        version.deployment.configuration.snap_start = true;
        version.version = Version::Number(7);
        Arc::new(version)
    }

    pub(crate) async fn invoke(&self, event: &str) -> Result<Answer, InvokeError> {
        self.invoke_version(&self.version(1), event).await
    }

    pub(crate) async fn invoke_version(
        &self,
        version: &Arc<ResolvedVersion>,
        event: &str,
    ) -> Result<Answer, InvokeError> {
        self.run(version, self.invocation(version, event)).await
    }

    /// Runs an invocation of a version that keeps tenants apart.
    pub(crate) async fn invoke_for(
        &self,
        tenant: &str,
        event: &str,
    ) -> Result<Answer, InvokeError> {
        let mut version = ResolvedVersion::clone(&self.version(1));
        version.deployment.configuration.per_tenant = true;
        let invocation = self.invocation(&version, event);
        let invocation = Invocation { tenant: Some(tenant.to_owned()), ..invocation };
        self.run(&Arc::new(version), invocation).await
    }

    async fn run(
        &self,
        version: &Arc<ResolvedVersion>,
        invocation: Invocation,
    ) -> Result<Answer, InvokeError> {
        tokio::time::timeout(PATIENCE, self.placement.invoke(version, invocation))
            .await
            .expect("every invocation is answered")
    }

    pub(crate) async fn invoke_streamed(&self, event: &str) -> Answered {
        let version = self.version(1);
        let invocation = self.invocation(&version, event);
        let answered = self.placement.invoke_with_response_stream(&version, invocation);
        tokio::time::timeout(PATIENCE, answered)
            .await
            .expect("every invocation is answered")
            .unwrap()
    }

    fn invocation(&self, version: &ResolvedVersion, event: &str) -> Invocation {
        Invocation {
            request: self.chance.request_id(),
            payload: event.to_owned().into(),
            invoked_arn: version.key.arn(),
            client_context: None,
            trace: None,
            tenant: None,
            tail: true,
        }
    }

    /// What happened to the environments, without the moments.
    pub(crate) async fn lives(&self) -> Vec<Life> {
        self.placement.lives().look(Filter::default()).await
    }

    /// Waits until all that has become of the environments is like this.
    pub(crate) async fn until_lives(&self, so: impl Fn(&Life) -> bool) {
        let all = async {
            while !self.lives().await.iter().all(&so) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("it becomes so in time");
    }

    /// How many lines of the function's environments are in the store.
    pub(crate) async fn lines(&self) -> usize {
        let mut lines = 0;
        for name in self.streams().await {
            lines += read(&self.store, name).await.len();
        }
        lines
    }

    async fn streams(&self) -> Vec<String> {
        self.lives().await.into_iter().map(|life| life.birth.log_stream).collect()
    }

    /// All log lines of the function's environments, stream by stream.
    pub(crate) async fn drain_and_read_logs(mut self) -> Vec<Vec<String>> {
        let streams = self.streams().await;
        self.placement.drain(Duration::from_secs(5)).await;
        drop(self.placement);
        while self.tasks.join_next().await.is_some() {}
        assert_eq!(self.fake.live(), 0, "a sandbox was left");
        let mut all = Vec::new();
        for name in streams {
            all.push(read(&self.store, name).await);
        }
        self.store.close().await;
        all
    }
}

/// The lines of a stream, none when it is not there.
async fn read(store: &Store, name: String) -> Vec<String> {
    let scope =
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let group = GroupKey { scope, name: "/aws/lambda/f".into() };
    let query = EventsQuery { between: 0..u64::MAX >> 1, from: EventsFrom::Head, limit: 1_000 };
    let page = store.logs().events(&StreamKey { group, name }, query).await;
    page.map_or(Vec::new(), |page| page.events.into_iter().map(|it| it.message).collect())
}

fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the test's own clock")]
    let start = Instant::now();
    Clock::new(
        move || u64::try_from(start.elapsed().as_micros()).unwrap(),
        || {
            #[expect(clippy::disallowed_methods, reason = "the test's own clock")]
            let now = SystemTime::now();
            u64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
        },
    )
}

fn chance() -> Chance {
    let drawn = AtomicU64::new(1);
    Chance::new(move || u128::from(drawn.fetch_add(1, Ordering::Relaxed)))
}

fn package() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", options).unwrap();
    zip.write_all(b"#!/bin/sh\n").unwrap();
    zip.finish().unwrap().into_inner()
}

/// The runtime: `boot` says how it starts, each event what it does.
async fn runtime(process: FakeProcess, boot: &'static str, gate: Arc<Notify>) -> i32 {
    if process.restored {
        process.print(Stream::Out, "restored\n").await;
    }
    match boot {
        "exit" => return 7,
        "hang" => std::future::pending().await,
        "init error" => {
            let body = r#"{"errorType":"Init","errorMessage":"no"}"#;
            post(&process, "/2018-06-01/runtime/init/error", body).await;
            return 1;
        }
        "restore" => restore_next(&process).await,
        "restore error" => {
            restore_next(&process).await;
            let body = r#"{"errorType":"Hook","errorMessage":"no"}"#;
            post(&process, "/2018-06-01/runtime/restore/error", body).await;
            return 1;
        }
        "restore exit" => {
            restore_next(&process).await;
            return 3;
        }
        _ => {}
    }
    loop {
        let (id, event) = next(&process).await;
        process.print(Stream::Out, format!("got {event}\n")).await;
        if let Some(then) = event.strip_prefix("\"stream") {
            if stream(&process, &id, then.trim_matches(['"', ' ']), &gate).await {
                return 3;
            }
            continue;
        }
        match event.as_str() {
            "\"exit\"" => return 0,
            "\"exit 3\"" => return 3,
            "\"hang\"" => std::future::pending().await,
            "\"error\"" => {
                let path = format!("/2018-06-01/runtime/invocation/{id}/error");
                post(&process, &path, r#"{"errorType":"E","errorMessage":"m"}"#).await;
            }
            "\"wrong id\"" => {
                let path = "/2018-06-01/runtime/invocation/nonsense/response";
                post(&process, path, "1").await;
                respond(&process, &id, "\"after a wrong id\"").await;
            }
            "\"twice\"" => {
                respond(&process, &id, "\"first\"").await;
                respond(&process, &id, "\"second\"").await;
            }
            "\"answer and exit\"" => {
                respond(&process, &id, "\"bye\"").await;
                return 0;
            }
            "\"sleep\"" => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                respond(&process, &id, "\"slept\"").await;
            }
            "\"partial line\"" => {
                process.print(Stream::Err, "no newline").await;
                respond(&process, &id, "null").await;
            }
            _ => respond(&process, &id, &event).await,
        }
    }
}

async fn respond(process: &FakeProcess, id: &str, body: &str) {
    post(process, &format!("/2018-06-01/runtime/invocation/{id}/response"), body).await;
}

async fn next(process: &FakeProcess) -> (String, String) {
    let request = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = talk(process, request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let id = head.lines().find_map(|line| line.strip_prefix("Lambda-Runtime-Aws-Request-Id: "));
    (id.unwrap().to_owned(), body.to_owned())
}

async fn restore_next(process: &FakeProcess) {
    let request = "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = talk(process, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn post(process: &FakeProcess, path: &str, body: &str) {
    let length = body.len();
    talk(
        process,
        &format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
    .await;
}

/// Streams `one` and, when the gate is open, what `then` says; whether the process is to end.
async fn stream(process: &FakeProcess, id: &str, then: &str, gate: &Notify) -> bool {
    let mut connection = process.dial(Service::RuntimeApi).await.unwrap();
    let head = format!(
        "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\n\
         Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.write_all(format!("{head}3\r\none\r\n").as_bytes()).await.unwrap();
    gate.notified().await;
    let rest = match then {
        "exit" => return true,
        "collapse" => {
            process.collapse();
            std::future::pending().await
        }
        "hang" => std::future::pending().await,
        "break off" => {
            connection.shutdown().await.unwrap();
            ""
        }
        "fail" => {
            "0\r\nLambda-Runtime-Function-Error-Type: Mine\r\n\
             Lambda-Runtime-Function-Error-Body: e30=\r\n\r\n"
        }
        _ => "3\r\ntwo\r\n0\r\n\r\n",
    };
    connection.write_all(rest.as_bytes()).await.unwrap();
    answer(&mut connection).await;
    false
}

/// One request on a connection of its own.
async fn talk(process: &FakeProcess, request: &str) -> String {
    let mut connection = process.dial(Service::RuntimeApi).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    answer(&mut connection).await
}

async fn answer(connection: &mut Connection) -> String {
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = connection.read(&mut piece).await.unwrap();
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)
            });
            if body.len() >= length.unwrap().parse().unwrap() {
                return text;
            }
        }
        assert_ne!(read, 0, "the runtime API hung up");
    }
}
