//! What the sandbox tests share: worlds in which the same probe runs, and a look at what is left.

pub(crate) mod connecting;
pub(crate) mod harness;
pub(crate) mod script;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_sandbox::fake::{Fake, Program};
use dormouse_sandbox::namespace::cgroup::Cgroups;
use dormouse_sandbox::namespace::spawner::Spawner;
use dormouse_sandbox::namespace::{Config, Criu, Namespace};
use dormouse_sandbox::{
    Backend, Created, Event, Exit, Links, Network, ProcessId, ProcessSpec, Root, SandboxSpec,
    Stream, Tree,
};

/// Where the probe lies inside.
pub(crate) const PROBE: &str = "/var/task/probe";

/// How long a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test watches for something that must not happen.
pub(crate) const WATCH: Duration = Duration::from_millis(60);

/// A backend and what is needed to run the probe in it.
pub(crate) struct World {
    /// The backend.
    pub(crate) backend: Arc<dyn Backend>,
    /// A tree with the probe, if content comes from the host.
    pub(crate) content: Option<tempfile::TempDir>,
    /// The name of the namespace backend's instance.
    pub(crate) instance: String,
    /// Whether its sandboxes are made for snapshots.
    snapshots: bool,
    fake: Option<Arc<Fake>>,
}

/// Why the namespace backend cannot be tested here.
pub(crate) fn namespace_is_impossible() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some(()).map_or(Some("needs root"), |()| None)
}

impl World {
    /// The world without a kernel.
    pub(crate) fn fake() -> Self {
        let program: Program = Arc::new(script::probe);
        let fake = Arc::new(Fake::new(HashMap::from([(PROBE.to_owned(), program)])));
        fake.allow_snapshots();
        Self {
            backend: fake.clone(),
            content: None,
            instance: String::new(),
            snapshots: false,
            fake: Some(fake),
        }
    }

    /// The world of namespaces; the spawner was started on the main thread.
    pub(crate) fn namespace(spawner: Spawner) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let instance = format!("test-{}-{number}", std::process::id());
        let cgroups = Cgroups::detect(&instance).unwrap();
        let criu = Criu::Search;
        let config = Config { instance: instance.clone(), spawner, cgroups, network: None, criu };
        let backend = Arc::new(Namespace::new(config).unwrap());
        Self { backend, content: Some(content()), instance, snapshots: false, fake: None }
    }

    /// The same, with sandboxes that are made for snapshots.
    pub(crate) fn namespace_for_snapshots(spawner: Spawner) -> Self {
        let mut world = Self::namespace(spawner);
        world.snapshots = true;
        world
    }

    /// The usual sandbox.
    pub(crate) fn spec(&self) -> SandboxSpec {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        SandboxSpec {
            root: Root::Host,
            id: format!("{:016x}{number:016x}", std::process::id()),
            memory_bytes: 128 << 20,
            cpu_millis: None,
            pids_max: 64,
            tmp_bytes: 4 << 20,
            trees: self.trees(),
            network: Network::None,
            snapshots: self.snapshots,
        }
    }

    fn trees(&self) -> Vec<Tree> {
        let tree = |content: &tempfile::TempDir| Tree {
            hosts: vec![content.path().to_owned()],
            at: "/var/task".to_owned(),
            links: Links::Followed,
        };
        self.content.iter().map(tree).collect()
    }

    /// Makes the usual sandbox.
    pub(crate) async fn create(&self) -> Created {
        self.backend.create(self.spec()).await.unwrap()
    }

    /// Everything that should not be there once all sandboxes are destroyed.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        if let Some(fake) = &self.fake {
            return (0..fake.live()).map(|_| "a fake sandbox".to_owned()).collect();
        }
        let mut found = Vec::new();
        find_groups(Path::new("/sys/fs/cgroup"), &self.instance, &mut found);
        found.extend(processes_below_spawner());
        found
    }

    /// Ends the backend and looks once more.
    pub(crate) async fn close(self) {
        let leftovers = self.leftovers();
        self.backend.shutdown().await;
        assert!(leftovers.is_empty(), "left over: {leftovers:?}");
        let groups = Path::new("/sys/fs/cgroup");
        let mut found = Vec::new();
        if !self.instance.is_empty() {
            find_groups(groups, &self.instance, &mut found);
            find_group_parents(groups, &self.instance, &mut found);
            found
                .extend(children_of(std::process::id()).iter().map(|pid| format!("process {pid}")));
        }
        assert!(found.is_empty(), "left over after shutdown: {found:?}");
    }
}

impl Drop for World {
    /// A failed test must not leave its groups to the next one.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.instance.is_empty() {
            let cgroups = Cgroups::detect(&self.instance).unwrap();
            let _ = cgroups.reap();
            let _ = cgroups.close();
        }
    }
}

/// A directory with the probe in it that anybody may read.
fn content() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mode = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    mode(directory.path());
    let probe = directory.path().join("probe");
    std::fs::copy(env!("CARGO_BIN_EXE_dormouse-sandbox-probe"), &probe).unwrap();
    mode(&probe);
    std::fs::write(directory.path().join("not-executable"), "").unwrap();
    directory
}

/// Sandboxes' groups of this instance.
fn find_groups(root: &Path, instance: &str, found: &mut Vec<String>) {
    for home in homes(root, instance) {
        let groups = std::fs::read_dir(&home).into_iter().flatten().flatten();
        let groups = groups.filter(|entry| entry.path().is_dir());
        found.extend(groups.map(|entry| entry.path().display().to_string()));
    }
}

fn find_group_parents(root: &Path, instance: &str, found: &mut Vec<String>) {
    found.extend(homes(root, instance).iter().map(|home| home.display().to_string()));
}

fn homes(root: &Path, instance: &str) -> Vec<PathBuf> {
    let name = format!("dormouse-{instance}");
    let mut homes = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_name() == *name {
                homes.push(entry.path());
            } else if depth < 4 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    homes
}

fn processes_below_spawner() -> Vec<String> {
    let spawners = children_of(std::process::id());
    let below = spawners.iter().flat_map(|spawner| children_of(*spawner));
    below.map(|pid| format!("process {pid}")).collect()
}

/// The children of all threads of a process.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

/// A probe that does this.
pub(crate) fn probe(id: u32, actions: &[&str]) -> ProcessSpec {
    ProcessSpec {
        id: ProcessId(id),
        programs: vec![PROBE.to_owned()],
        args: actions.iter().map(|&action| action.to_owned()).collect(),
        variables: vec![("GREETING".to_owned(), "hello there".to_owned())],
        cwd: "/tmp".to_owned(),
        records: false,
        briefed: false,
    }
}

/// The next event, as text.
pub(crate) async fn next(created: &mut Created) -> String {
    match tokio::time::timeout(PATIENCE, created.events.recv()).await {
        Ok(event) => text(event),
        Err(_) => "nothing in time".to_owned(),
    }
}

/// Whether nothing happens for a while.
pub(crate) async fn is_quiet(created: &mut Created) -> bool {
    tokio::time::timeout(WATCH, created.events.recv()).await.is_err()
}

fn text(event: Option<Event>) -> String {
    match event {
        None => "end".to_owned(),
        Some(Event::Output { process, stream, bytes }) => {
            let stream = match stream {
                Stream::Out => "out",
                Stream::Err => "err",
                Stream::Records => "records",
            };
            format!("{} {stream} {}", process.0, String::from_utf8_lossy(&bytes))
        }
        Some(Event::Exited { process, exit: Exit::Code(code) }) => {
            format!("{} exited {code}", process.0)
        }
        Some(Event::Exited { process, exit: Exit::Signal(signal) }) => {
            format!("{} killed {signal}", process.0)
        }
        Some(Event::Empty) => "empty".to_owned(),
        Some(Event::Drained { token }) => format!("drained {token}"),
        Some(Event::Gone) => "gone".to_owned(),
    }
}

/// Runs a probe to its end and gives what it printed.
pub(crate) async fn answer(created: &mut Created, id: u32, actions: &[&str]) -> String {
    run(created, probe(id, actions)).await
}

/// Runs a process to its end and gives what it printed on both streams.
pub(crate) async fn run(created: &mut Created, process: ProcessSpec) -> String {
    let id = process.id;
    created.sandbox.start(process).await.unwrap();
    let mut printed = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, created.events.recv()).await {
            Ok(Some(Event::Output { process, bytes, .. })) if process == id => {
                printed.extend_from_slice(&bytes);
            }
            Ok(Some(Event::Exited { process, .. })) if process == id => {
                return String::from_utf8_lossy(&printed).into_owned();
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => panic!("process {} does not end", id.0),
        }
    }
}
