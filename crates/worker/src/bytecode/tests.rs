//! The keeper over fake sandboxes, in which a program of the test is the compiler.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_model::function::{Deployment, Program as Started};
use dormouse_model::layer::AttachedLayer;
use dormouse_model::runtime::Runtime;
use dormouse_runtimes::{Language, Version};
use dormouse_sandbox::fake::{Fake, FakeProcess, Program};
use dormouse_sandbox::{BoxFuture, Stream};
use dormouse_store::packages::Packages;
use tokio::task::JoinSet;

use super::*;
use crate::environment::tests::resolved;

/// A host with a store, whose compilers are programs of the test.
struct World {
    directory: tempfile::TempDir,
    fake: Arc<Fake>,
}

/// A server's life on it.
struct Life {
    bytecode: Bytecode,
    tasks: JoinSet<()>,
}

impl World {
    fn new(compiler: fn(FakeProcess) -> BoxFuture<'static, i32>) -> Self {
        let program: Program = Arc::new(compiler);
        let programs = HashMap::from([("/usr/bin/python3.12".to_owned(), program)]);
        let world =
            Self { directory: tempfile::tempdir().unwrap(), fake: Arc::new(Fake::new(programs)) };
        world.unpack('a', limits::BYTECODE_PYTHON_BYTES_MIN);
        world
    }

    /// A package is there whose source has so many bytes.
    fn unpack(&self, letter: char, source_bytes: u64) {
        let inside = self.directory.path().join("worker/code").join(digest(letter).as_str());
        fs::create_dir_all(inside.join("inner")).unwrap();
        let text = "#".repeat(usize::try_from(source_bytes).unwrap() - 1);
        fs::write(inside.join("one.py"), "#").unwrap();
        fs::write(inside.join("inner/two.py"), text).unwrap();
        fs::write(inside.join("large.txt"), "#".repeat(100_000)).unwrap();
    }

    /// A server begins, for which packages with these letters are needed.
    fn start(&self, needed: &str) -> Life {
        let mut tasks = JoinSet::new();
        let needed = needed.chars().map(digest).collect();
        let packages = Packages::open(self.directory.path().join("packages")).unwrap();
        let worker = self.directory.path().join("worker");
        let artifacts = Artifacts::start(&worker, packages, &needed, &mut tasks).unwrap();
        let drawn = AtomicU64::new(0);
        let means = Means {
            backend: self.fake.clone(),
            artifacts,
            bootstraps: PathBuf::from("/bootstraps"),
            chance: Chance::new(move || drawn.fetch_add(1, Ordering::Relaxed).into()),
        };
        let bytecode = Bytecode::start(&self.shelf(), means, &needed, &mut tasks).unwrap();
        Life { bytecode, tasks }
    }

    fn shelf(&self) -> PathBuf {
        self.directory.path().join("worker/bytecode")
    }

    fn kept(&self) -> usize {
        fs::read_dir(self.shelf()).unwrap().count()
    }
}

impl Life {
    /// The archives of a function whose code is `a`.
    fn find(&self) -> Vec<PathBuf> {
        let deployment = resolved().deployment;
        self.bytecode.find(&deployment.code, &deployment.configuration, Some(&python()))
    }

    /// The archives, once nothing is being made any more.
    async fn settled(&self) -> Vec<PathBuf> {
        self.find();
        while lock(&self.bytecode.entries).values().any(|entry| *entry == Entry::Ordered) {
            tokio::task::yield_now().await;
        }
        self.find()
    }

    async fn end(mut self, world: &World) {
        drop(self.bytecode);
        while self.tasks.join_next().await.is_some() {}
        assert_eq!(world.fake.live(), 0);
    }
}

fn digest(letter: char) -> Digest {
    letter.to_string().repeat(64).parse().unwrap()
}

fn layer(letter: char) -> AttachedLayer {
    AttachedLayer {
        arn: format!("arn:aws:lambda:us-east-1:123456789012:layer:{letter}:1"),
        digest: digest(letter),
        size_bytes: 1,
        unzipped_bytes: 1,
    }
}

fn python() -> Interpreter {
    Interpreter {
        language: Language::Python,
        version: Version { major: 3, minor: 12, patch: 0 },
        program: PathBuf::from("/usr/bin/python3.12"),
        root: PathBuf::from("/usr"),
    }
}

/// Writes down where it was to look, in two pieces.
fn compiles(process: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(async move {
        process.print(Stream::Err, "noise").await;
        process.print(Stream::Out, "bytecode of ").await;
        process.print(Stream::Out, process.args.last().unwrap().clone()).await;
        0
    })
}

fn fails(process: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(async move {
        process.print(Stream::Out, "half of it").await;
        1
    })
}

fn hangs(_process: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(std::future::pending())
}

#[tokio::test]
async fn what_is_ordered_once_is_found_from_then_on_by_later_servers_too() {
    let world = World::new(compiles);
    let life = world.start("a");
    assert!(life.find().is_empty());
    let [archive] = life.settled().await.try_into().unwrap();
    assert_eq!(fs::read(archive.join("code")).unwrap(), b"bytecode of /var/task");
    assert_eq!(fs::read_dir(&archive).unwrap().count(), 1);
    life.end(&world).await;
    let later = world.start("a");
    assert_eq!(later.find(), [archive]);
    later.end(&world).await;
    // Nobody needs the package any more.
    world.start("").end(&world).await;
    assert_eq!(world.kept(), 0);
}

#[tokio::test]
async fn another_interpreter_is_another_archive() {
    let world = World::new(compiles);
    let life = world.start("a");
    life.settled().await;
    let deployment = resolved().deployment;
    let newer = Interpreter { version: Version { patch: 1, ..python().version }, ..python() };
    let of = |interpreter: Option<Interpreter>| {
        let Deployment { code, configuration, .. } = &deployment;
        life.bytecode.find(code, configuration, interpreter.as_ref()).len()
    };
    let node = Interpreter { language: Language::Node, ..python() };
    assert_eq!((of(Some(python())), of(Some(newer)), of(Some(node)), of(None)), (1, 0, 0, 0));
    life.settled().await;
    assert_eq!(lock(&life.bytecode.entries).len(), 2);
    life.end(&world).await;
}

#[tokio::test]
async fn what_is_not_worth_it_or_goes_wrong_is_not_tried_again_and_leaves_nothing() {
    let little = World::new(compiles);
    little.unpack('a', limits::BYTECODE_PYTHON_BYTES_MIN - 1);
    for world in [little, World::new(fails)] {
        let life = world.start("a");
        assert!(life.settled().await.is_empty());
        let entries: Vec<Entry> = lock(&life.bytecode.entries).values().cloned().collect();
        assert_eq!(entries, [Entry::Vain]);
        assert_eq!(world.kept(), 0);
        life.end(&world).await;
    }
}

#[tokio::test]
async fn what_node_writes_is_a_tar_or_nothing() {
    let world = World::new(compiles);
    let source = "#".repeat(usize::try_from(limits::BYTECODE_NODE_BYTES_MIN).unwrap());
    let package = world.directory.path().join("worker/code").join(digest('a').as_str());
    fs::write(package.join("app.mjs"), source).unwrap();
    let life = world.start("a");
    let mut deployment = resolved().deployment;
    deployment.configuration.program =
        Started::Zip { runtime: Runtime::Node { major: 22 }, handler: "app.handler".into() };
    let node = Interpreter {
        language: Language::Node,
        version: Version { major: 22, minor: 10, patch: 0 },
        ..python()
    };
    let find = || life.bytecode.find(&deployment.code, &deployment.configuration, Some(&node));
    assert!(find().is_empty());
    // "bytecode of /var/task" is no tar.
    while lock(&life.bytecode.entries).values().any(|entry| *entry == Entry::Ordered) {
        tokio::task::yield_now().await;
    }
    assert!(find().is_empty());
    assert_eq!(lock(&life.bytecode.entries).values().next(), Some(&Entry::Vain));
    assert_eq!(world.kept(), 0);
    life.end(&world).await;
}

#[tokio::test]
async fn what_the_machine_has_no_place_for_now_is_ordered_again() {
    let world = World::new(compiles);
    world.fake.refuse_next("mounts");
    let life = world.start("a");
    assert!(life.settled().await.is_empty());
    assert_eq!((lock(&life.bytecode.entries).len(), world.kept()), (1, 0));
    assert_eq!(life.settled().await.len(), 1);
    life.end(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_compiler_that_does_not_come_to_an_end_is_ended() {
    let world = World::new(hangs);
    let life = world.start("a");
    life.find();
    while world.fake.live() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_millis(limits::BYTECODE_MS)).await;
    assert!(life.settled().await.is_empty());
    assert_eq!(world.kept(), 0);
    life.end(&world).await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_it() {
    let world = World::new(hangs);
    let life = world.start("a");
    life.find();
    while world.fake.live() == 0 {
        tokio::task::yield_now().await;
    }
    life.end(&world).await;
    assert_eq!(world.kept(), 0);
}

#[test]
fn layers_are_compiled_as_they_lie_over_each_other_and_directories_not_at_all() {
    let shown = |code: &Code, layers: &str| -> Vec<String> {
        let mut configuration = resolved().deployment.configuration;
        configuration.layers = layers.chars().map(layer).collect();
        let parts = part::orders(code, &configuration, &python()).into_iter().map(|it| it.part);
        let name = |part: Part| {
            assert_eq!(Part::from_label(&part.label()).as_ref(), Some(&part));
            part.to_string()
        };
        parts.map(name).collect()
    };
    let of = |letter| digest(letter).to_string();
    let zip = resolved().deployment.code;
    let code = format!("/var/task of {}", of('a'));
    assert_eq!(shown(&zip, "").len(), 1);
    let both = format!("/opt of {}, {}", of('c'), of('b'));
    assert_eq!(shown(&zip, "cb"), [code, both]);
    let directory = Code::Directory { directory: "/src".into() };
    assert_eq!(shown(&directory, "b"), [format!("/opt of {}", of('b'))]);
}

#[test]
fn a_label_that_is_none_of_ours_is_of_nothing() {
    for label in ["", "/opt", "/opt\nit", "/opt\nit\nno-digest", "/etc\nit\n"] {
        assert_eq!(Part::from_label(label), None, "{label}");
    }
}
