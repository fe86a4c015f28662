//! The keeper over fake sandboxes and simulated time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_model::runtime::Runtime;
use dormouse_runtimes::{Interpreter, Language, Version};
use dormouse_sandbox::fake::{Fake, FakeProcess, Program};
use dormouse_sandbox::{BoxFuture, ProcessId, Service, Stream};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;

const PYTHON: Kind = Kind::Interpreter { runtime: Runtime::Python { minor: 12 }, memory_mb: None };

struct World {
    fake: Arc<Fake>,
    standby: Standby,
    shortage: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl World {
    /// A keeper whose interpreters do this.
    fn new(setting: Setting, program: fn(FakeProcess) -> BoxFuture<'static, i32>) -> Self {
        let program: Program = Arc::new(program);
        let fake = Arc::new(Fake::new(HashMap::from([("/usr/bin/python3.12".into(), program)])));
        let interpreter = Interpreter {
            language: Language::Python,
            version: Version { major: 3, minor: 12, patch: 0 },
            program: PathBuf::from("/usr/bin/python3.12"),
            root: PathBuf::from("/usr"),
        };
        let found = watch::channel(Some(Arc::from([interpreter]))).1;
        let drawn = AtomicU64::new(0);
        let (shortage, told) = watch::channel(());
        let means = Means {
            backend: fake.clone(),
            interpreters: Interpreters::new(found, true),
            bootstraps: PathBuf::from("/bootstraps"),
            network: Network::None,
            chance: Chance::new(move || drawn.fetch_add(1, Ordering::Relaxed).into()),
            shortage: told,
        };
        let began = Instant::now();
        let micros = move || u64::try_from(began.elapsed().as_micros()).unwrap();
        let clock = Clock::new(micros, || 0);
        let mut tasks = JoinSet::new();
        let standby = Standby::start(setting, means, clock, &mut tasks);
        Self { fake, standby, shortage, tasks }
    }

    /// Waits until as many stand by as are to.
    async fn full(&self, number: usize) {
        loop {
            let levels = self.standby.look().await;
            if levels.iter().map(|level| level.standing).sum::<usize>() == number {
                return;
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }

    async fn close(mut self) {
        drop(self.standby);
        while self.tasks.join_next().await.is_some() {}
        assert_eq!(self.fake.live(), 0);
    }
}

/// As a bootstrap does it: dials, and answers when it is told.
fn waits(process: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(async move {
        let mut connection = process.dial(Service::RuntimeApi).await.unwrap();
        let told = process.briefing().await.unwrap();
        connection.write_all(&told).await.unwrap();
        std::future::pending().await
    })
}

/// Says more than it should.
fn talks(process: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(async move {
        let _connection = process.dial(Service::RuntimeApi).await.unwrap();
        process.print(Stream::Err, "warning").await;
        std::future::pending().await
    })
}

/// Takes its sandbox with it after a minute.
fn collapses(process: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(async move {
        let _connection = process.dial(Service::RuntimeApi).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        process.collapse();
        std::future::pending().await
    })
}

/// Ends before it has dialled.
fn fails(_: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(std::future::ready(1))
}

/// Never dials.
fn hangs(_: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(std::future::pending())
}

fn spec() -> dormouse_sandbox::SandboxSpec {
    crate::recipe::ahead("id", PYTHON, (None, &PathBuf::new()), Network::None)
}

#[tokio::test(start_paused = true)]
async fn one_stands_by_is_had_once_and_replaced() {
    let world = World::new(Setting::Auto, waits);
    assert!(world.standby.take(PYTHON).await.is_none());
    world.full(1).await;
    let taken = world.standby.take(PYTHON).await.unwrap();
    assert!(world.standby.take(PYTHON).await.is_none());
    let Equipped { created, connection, .. } = taken.equip(&spec()).await.unwrap();
    created.sandbox.brief(ProcessId(1), "hello".into()).await.unwrap();
    let mut heard = [0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut connection.unwrap(), &mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    world.full(3).await;
    let level = world.standby.look().await.remove(0);
    assert_eq!((level.target, level.hits, level.misses), (3, 1, 2));
    created.sandbox.destroy().await;
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_is_there_before_anybody_calls() {
    let world = World::new(Setting::Fixed(3), waits);
    world.standby.want(PYTHON);
    world.standby.want(Kind::Bare);
    world.full(6).await;
    assert!(world.standby.take(Kind::Bare).await.unwrap().is_as_made());
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_short_none_stands_by_for_a_while() {
    let world = World::new(Setting::Fixed(3), waits);
    world.standby.want(PYTHON);
    world.full(3).await;
    world.shortage.send_replace(());
    world.full(0).await;
    assert!(world.standby.take(PYTHON).await.is_none());
    world.full(3).await;
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn one_in_which_something_has_happened_is_given_to_nobody() {
    let world = World::new(Setting::Fixed(1), talks);
    world.standby.want(PYTHON);
    world.full(1).await;
    let taken = world.standby.take(PYTHON).await;
    assert!(taken.is_none(), "somebody would get the words of nobody");
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_is_given_up_and_leaves_nothing() {
    for program in [fails, hangs] {
        let world = World::new(Setting::Fixed(1), program);
        world.standby.want(PYTHON);
        let longer = Duration::from_millis(limits::STANDBY_START_MS + 1);
        tokio::time::sleep(longer).await;
        assert!(world.standby.take(PYTHON).await.is_none());
        world.close().await;
    }
    let world = World::new(Setting::Fixed(1), waits);
    world.fake.refuse_next("clone");
    world.standby.want(Kind::Bare);
    // The attempt after the failed one.
    world.full(1).await;
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_has_ended_is_given_to_nobody_or_of_no_use() {
    let world = World::new(Setting::Fixed(2), collapses);
    world.standby.want(PYTHON);
    world.full(2).await;
    let taken = world.standby.take(PYTHON).await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(taken.equip(&spec()).await.is_err());
    while let Some(later) = world.standby.take(PYTHON).await {
        assert!(later.is_as_made());
        later.end().await;
    }
    world.close().await;
}
