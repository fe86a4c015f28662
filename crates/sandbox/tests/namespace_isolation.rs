//! What user code in a namespace sandbox can see and do: attempts to get out, each refused.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a runner of its own, which clippy does not know for a test"
)]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod common;
#[path = "common/intruder.rs"]
mod intruder;

use std::io::BufRead;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use common::harness::{self, Trial};
use common::{World, children_of, next};
use dormouse_sandbox::namespace::cgroup::Cgroups;
use dormouse_sandbox::namespace::spawner::{self, Spawner};
use dormouse_sandbox::{BoxFuture, CreateError, Links, ProcessSpec, Root, Tree};
use intruder::{INTRUDER, attempt, intruder};

/// The argument that makes this binary a daemon to be killed.
const VICTIM: &str = "--victim";

macro_rules! isolation {
    ($($name:ident),* $(,)?) => {
        fn trials() -> Vec<Trial> {
            let mut all = Vec::new();
            $(
                all.push(Trial::new(stringify!($name), || {
                    in_world(World::namespace, |world| Box::pin(async move {
                        $name(&world).await;
                        world.close().await;
                    }));
                }));
                all.push(Trial::new(concat!("for_snapshots::", stringify!($name)), || {
                    in_world(World::namespace_for_snapshots, |world| Box::pin(async move {
                        $name(&world).await;
                        world.close().await;
                    }));
                }));
            )*
            all
        }
    };
}

isolation!(
    system_calls_that_lead_out_are_refused,
    nothing_but_tmp_can_be_written,
    the_host_s_files_cannot_be_read,
    the_root_holds_only_what_belongs_there,
    only_own_processes_are_visible,
    a_process_has_no_privileges,
    a_process_has_only_its_three_descriptors,
    a_process_with_records_has_one_descriptor_more,
    limits_cannot_be_raised,
    a_setuid_program_gains_nothing,
    the_host_s_loopback_is_out_of_reach,
    a_sandbox_knows_itself_by_name,
    connecting_leaves_nothing_of_the_host_in_the_sandbox_s_network,
    the_users_of_two_sandboxes_differ_on_the_host,
    tmp_is_full_when_it_is_full,
    memory_beyond_the_limit_is_killed_and_counted,
    processes_beyond_the_limit_are_refused,
    a_failed_creation_leaves_nothing,
    content_appears_at_any_place_and_in_one_sandbox_only,
    content_of_several_directories_is_merged_and_the_last_one_wins,
    content_that_strangers_may_move_is_reached_without_links_only,
    an_image_is_the_whole_root_and_its_links_lead_nowhere_outside,
    an_image_of_many_layers_is_merged,
    a_merge_is_as_closed_as_a_single_directory,
    many_sandboxes_come_and_go_at_once,
);

fn main() -> ExitCode {
    if spawner::requested() {
        return spawner::main();
    }
    if std::env::args().nth(1).as_deref() == Some(VICTIM) {
        return victim();
    }
    if let Some(reason) = common::namespace_is_impossible() {
        eprintln!("THE ISOLATION OF THE NAMESPACE BACKEND IS NOT TESTED HERE: it {reason}");
        return harness::main(Vec::new());
    }
    let mut all = trials();
    all.push(Trial::new("a_killed_daemon_leaves_no_process", a_killed_daemon_leaves_no_process));
    harness::main(all)
}

fn in_world(world: fn(Spawner) -> World, test: impl FnOnce(World) -> BoxFuture<'static, ()>) {
    let mounts = mounts();
    intruder::in_world(world, test);
    assert_eq!(self::mounts(), mounts, "a mount is left on the host");
}

/// Mounts of this process's namespace that could be ours; other programs may come and go.
fn mounts() -> usize {
    let all = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    all.lines().filter(|line| line.contains("/var/task") || line.contains(" /sys/root")).count()
}

/// The first process of each sandbox. Who has set one up in its place may not have left yet.
fn sandbox_pids() -> Vec<u32> {
    let below_spawner = children_of(std::process::id()).into_iter().flat_map(children_of);
    below_spawner.filter(|pid| is_first_inside(*pid)).collect()
}

fn is_first_inside(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().last() == Some("1"))
}

async fn system_calls_that_lead_out_are_refused(world: &World) {
    let mut sandbox = world.create().await;
    for call in [
        "mount",
        "umount",
        "pivot_root",
        "chroot",
        "fsopen",
        "open_tree",
        "unshare_user",
        "unshare_mount",
        "clone_user",
        "setns",
        "ptrace_attach",
        "ptrace_me",
        "read_memory",
        "bpf",
        "perf",
        "keyctl",
        "io_uring",
        "userfaultfd",
        "mknod",
        "setuid",
        "setgroups",
        "sethostname",
        "kill_init",
        "raw",
        "reboot",
        "settime",
    ] {
        assert_eq!(attempt(&mut sandbox, &["call", call]).await, "refused 1", "{call}");
    }
    assert_eq!(attempt(&mut sandbox, &["call", "clone3"]).await, "refused 38");
    for call in ["vsock", "packet"] {
        assert_eq!(attempt(&mut sandbox, &["call", call]).await, "refused 97", "{call}");
    }
    sandbox.sandbox.destroy().await;
}

async fn nothing_but_tmp_can_be_written(world: &World) {
    let mut sandbox = world.create().await;
    for path in [
        "/x",
        "/var/task/x",
        "/var/x",
        "/opt/x",
        "/usr/x",
        "/usr/local/x",
        "/etc/x",
        "/dev/x",
        "/usr/bin/x",
    ] {
        assert_eq!(attempt(&mut sandbox, &["write", path]).await, "refused 30", "{path}");
    }
    for path in ["/etc/passwd", INTRUDER, "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches"] {
        let said = attempt(&mut sandbox, &["overwrite", path]).await;
        assert!(
            ["refused 30", "refused 13", "refused 26"].contains(&said.as_str()),
            "{path}: {said}"
        );
    }
    for path in ["/tmp/x", "/dev/null", "/dev/zero"] {
        assert_eq!(attempt(&mut sandbox, &["write", path]).await, "ALLOWED", "{path}");
    }
    sandbox.sandbox.destroy().await;
}

async fn the_host_s_files_cannot_be_read(world: &World) {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let mut sandbox = world.create().await;
    let host_path = secret.path().to_string_lossy().into_owned();
    for path in [
        host_path.as_str(),
        "/etc/shadow",
        "/etc/machine-id",
        "/proc/1/environ",
        "/proc/1/maps",
        "/proc/keys/x",
    ] {
        let said = attempt(&mut sandbox, &["read", path]).await;
        assert!(
            ["refused 2", "refused 13", "refused 20"].contains(&said.as_str()),
            "{path}: {said}"
        );
    }
    for path in ["/proc/kcore", "/proc/kallsyms", "/proc/timer_list", "/proc/sysrq-trigger"] {
        let said = attempt(&mut sandbox, &["read", path]).await;
        assert!(["0 bytes", "refused 2", "refused 13"].contains(&said.as_str()), "{path}: {said}");
    }
    let said = attempt(&mut sandbox, &["read", "/proc/cpuinfo"]).await;
    assert!(said.ends_with(" bytes") && said != "0 bytes", "{said}");
    sandbox.sandbox.destroy().await;
}

async fn the_root_holds_only_what_belongs_there(world: &World) {
    let mut sandbox = world.create().await;
    let root = attempt(&mut sandbox, &["list", "/"]).await;
    for name in ["sys", "root", "home", "run", "boot", "mnt", "srv"] {
        assert!(!root.split(' ').any(|found| found == name), "/{name} in {root}");
    }
    for name in ["dev", "etc", "opt", "proc", "tmp", "usr", "var"] {
        assert!(root.split(' ').any(|found| found == name), "no /{name} in {root}");
    }
    assert_eq!(
        attempt(&mut sandbox, &["list", "/dev"]).await,
        "fd full null random stderr stdin stdout urandom zero"
    );
    assert_eq!(attempt(&mut sandbox, &["list", "/usr/local"]).await, "");
    assert_eq!(attempt(&mut sandbox, &["text", "/proc/sys/kernel/hostname"]).await, "sandbox\n");
    assert!(
        attempt(&mut sandbox, &["text", "/etc/passwd"]).await.contains("sbx_user1051:x:993:990")
    );
    let mounts = attempt(&mut sandbox, &["text", "/proc/self/mountinfo"]).await;
    assert!(!mounts.contains(" - cgroup") && !mounts.contains(" - sysfs"), "{mounts}");
    sandbox.sandbox.destroy().await;
}

async fn only_own_processes_are_visible(world: &World) {
    let (mut one, mut two) = (world.create().await, world.create().await);
    two.sandbox.start(intruder(5, &["fork"])).await.unwrap();
    assert_eq!(attempt(&mut one, &["processes"]).await, "");
    one.sandbox.destroy().await;
    two.sandbox.kill_all().await.unwrap();
    while next(&mut two).await != "empty" {}
    two.sandbox.destroy().await;
}

async fn a_process_has_no_privileges(world: &World) {
    let mut sandbox = world.create().await;
    for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(attempt(&mut sandbox, &["status", key]).await, "0000000000000000", "{key}");
    }
    for (key, value) in [
        ("Uid", "993 993 993 993"),
        ("Gid", "990 990 990 990"),
        ("Groups", ""),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("SigIgn", "0000000000001000"), // the Rust runtime of the intruder ignores SIGPIPE itself
        ("SigBlk", "0000000000000000"),
        ("Umask", "0022"),
    ] {
        assert_eq!(attempt(&mut sandbox, &["status", key]).await, value, "{key}");
    }
    assert_eq!(attempt(&mut sandbox, &["text", "/proc/self/oom_score_adj"]).await, "1000\n");
    let limits = attempt(&mut sandbox, &["text", "/proc/self/limits"]).await;
    let limit = |name: &str| -> String {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(limit("Max open files"), "1024 1024");
    assert_eq!(limit("Max core file size"), "0 0");
    assert_eq!(limit("Max stack size"), "8388608 8388608");
    sandbox.sandbox.destroy().await;
}

async fn a_process_has_only_its_three_descriptors(world: &World) {
    let mut sandbox = world.create().await;
    assert_eq!(attempt(&mut sandbox, &["descriptors"]).await, "0 1 2");
    sandbox.sandbox.destroy().await;
}

async fn a_process_with_records_has_one_descriptor_more(world: &World) {
    let mut sandbox = world.create().await;
    let with_records = ProcessSpec { records: true, ..intruder(2, &["descriptors"]) };
    assert_eq!(common::run(&mut sandbox, with_records).await, "0 1 2 62");
    assert_eq!(attempt(&mut sandbox, &["descriptors"]).await, "0 1 2");
    sandbox.sandbox.destroy().await;
}

async fn limits_cannot_be_raised(world: &World) {
    let mut sandbox = world.create().await;
    assert_eq!(attempt(&mut sandbox, &["limit"]).await, "refused 1");
    sandbox.sandbox.destroy().await;
}

async fn a_setuid_program_gains_nothing(world: &World) {
    let path = world.content.as_ref().unwrap().path().join("setuid");
    std::fs::copy(env!("CARGO_BIN_EXE_dormouse-sandbox-intruder"), &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o6755)).unwrap();
    let mut sandbox = world.create().await;
    assert_eq!(attempt(&mut sandbox, &["run", "/var/task/setuid"]).await, "993 993 993 993");
    sandbox.sandbox.destroy().await;
}

async fn the_host_s_loopback_is_out_of_reach(world: &World) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut sandbox = world.create().await;
    assert_eq!(attempt(&mut sandbox, &["connect", &address]).await, "refused 111");
    let outside = attempt(&mut sandbox, &["connect", "192.0.2.1:80"]).await;
    assert_eq!(outside, "refused 101", "without a network there is no way out");
    assert_eq!(attempt(&mut sandbox, &["connect", "127.0.0.1:9001"]).await, "ALLOWED");
    sandbox.sandbox.destroy().await;
}

async fn a_sandbox_knows_itself_by_name(world: &World) {
    let mut sandbox = world.create().await;
    for name in ["sandbox.localdomain", "sandbox"] {
        assert_eq!(attempt(&mut sandbox, &["resolve", name]).await, "127.0.0.1", "{name}");
    }
    sandbox.sandbox.destroy().await;
}

async fn connecting_leaves_nothing_of_the_host_in_the_sandbox_s_network(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(common::probe(1, &["hold", "4243", "sleep"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out listening");
    // What the runtime opens once for itself, such as its threads' wake-ups, is open after this.
    drop(sandbox.sandbox.connect(4243).await.unwrap());
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for port in [4243, 4244] {
        drop(sandbox.sandbox.connect(port).await);
    }
    assert_eq!(open(), before);
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread that has ended meanwhile is in no network.
        if let Ok(network) = std::fs::read_link(task.path().join("ns/net")) {
            assert_eq!(network, ours);
        }
    }
    sandbox.sandbox.destroy().await;
}

async fn the_users_of_two_sandboxes_differ_on_the_host(world: &World) {
    let (one, two) = (world.create().await, world.create().await);
    let pids = sandbox_pids();
    assert_eq!(pids.len(), 2);
    let mut users: Vec<u32> = pids.iter().map(|pid| host_user(*pid)).collect();
    for sandbox in [&one, &two] {
        sandbox.sandbox.start(common::probe(1, &["sleep"])).await.unwrap();
    }
    users.extend(pids.iter().flat_map(|pid| children_of(*pid)).map(host_user));
    assert_eq!(users.len(), 4);
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), 4, "two processes have one user: {users:?}");
    assert!(users.iter().all(|user| (0x7000_0000..0x7fff_ffff).contains(user)), "{users:?}");
    one.sandbox.destroy().await;
    two.sandbox.destroy().await;
}

fn host_user(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

async fn tmp_is_full_when_it_is_full(world: &World) {
    let mut sandbox = world.create().await;
    assert_eq!(attempt(&mut sandbox, &["fill", "3"]).await, "ALLOWED");
    assert_eq!(attempt(&mut sandbox, &["fill", "5"]).await, "refused 28");
    sandbox.sandbox.destroy().await;
}

async fn memory_beyond_the_limit_is_killed_and_counted(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(intruder(1, &["allocate", "400"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 killed 9");
    assert!(sandbox.sandbox.oom_kills().await.unwrap() >= 1);
    let peak = sandbox.sandbox.memory_peak().await.unwrap();
    assert!(peak > 100 << 20 && peak <= 128 << 20, "{peak}");
    assert_eq!(attempt(&mut sandbox, &["allocate", "2"]).await, "2 MiB", "the guest survives");
    sandbox.sandbox.destroy().await;
}

async fn processes_beyond_the_limit_are_refused(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(intruder(1, &["fork"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out 63, refused 11");
    assert_eq!(next(&mut sandbox).await, "1 exited 0");
    // Its children are orphans now; they go like everybody else.
    sandbox.sandbox.kill_all().await.unwrap();
    assert_eq!(next(&mut sandbox).await, "empty");
    assert_eq!(attempt(&mut sandbox, &["processes"]).await, "");
    sandbox.sandbox.destroy().await;
}

async fn a_failed_creation_leaves_nothing(world: &World) {
    for (host, at) in
        [("/nowhere/at/all", "/var/task"), ("/usr", "/var/../task"), ("/usr", "/proc/x")]
    {
        let mut spec = world.spec();
        spec.trees = vec![tree(&[host.into()], at)];
        match world.backend.create(spec).await {
            Err(CreateError::Step { step, .. }) => {
                assert!(["content", "root tree"].contains(&step), "{step}");
            }
            other => panic!("{other:?}"),
        }
        assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
    }
    world.create().await.sandbox.destroy().await;
}

async fn content_appears_at_any_place_and_in_one_sandbox_only(world: &World) {
    let content = tempfile::tempdir().unwrap();
    std::fs::set_permissions(content.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(content.path().join("here"), "yes").unwrap();
    let places = ["/opt", "/root/.pyenv/versions/3.11.7", "/usr/local/lib/nodes", "/var/lang"];
    let mut spec = world.spec();
    spec.trees.extend(places.map(|at| tree(&[content.path().to_owned()], at)));
    let mut with = world.backend.create(spec).await.unwrap();
    let mut without = world.create().await;
    for place in places {
        let path = format!("{place}/here");
        assert_eq!(attempt(&mut with, &["text", &path]).await, "yes", "{place}");
        assert_eq!(attempt(&mut without, &["text", &path]).await, "refused 2", "{place}");
        assert_eq!(attempt(&mut with, &["overwrite", &path]).await, "refused 13", "{place}");
    }
    assert_eq!(attempt(&mut with, &["write", "/usr/local/x"]).await, "refused 30");
    assert_eq!(attempt(&mut with, &["write", "/root/x"]).await, "refused 30");
    with.sandbox.destroy().await;
    without.sandbox.destroy().await;
}

async fn an_image_is_the_whole_root_and_its_links_lead_nowhere_outside(world: &World) {
    let below = layer(&[("kept", "1"), ("gone", "1"), ("both", "1"), ("shut/old", "1")]);
    let above = layer(&[("both", "2"), ("shut/new", "2")]);
    // The host's programs, for the intruder: an image would have its own.
    for name in ["usr", "var/task"] {
        std::fs::create_dir_all(below.path().join(name)).unwrap();
    }
    for name in ["lib", "lib64", "bin"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), below.path().join(name)).unwrap();
    }
    // Where the sandbox's own things belong, a stranger has put links.
    for name in ["proc", "dev", "tmp"] {
        std::os::unix::fs::symlink("/usr", below.path().join(name)).unwrap();
    }
    let gone = above.path().join("gone");
    let whiteout = Command::new("mknod").arg(&gone).args(["c", "0", "0"]).status();
    assert!(whiteout.unwrap().success());
    let shut = std::fs::File::open(above.path().join("shut")).unwrap();
    let opaque = "trusted.overlay.opaque";
    rustix::fs::fsetxattr(&shut, opaque, b"y", rustix::fs::XattrFlags::empty()).unwrap();
    let mut spec = world.spec();
    spec.root = Root::Layers(vec![below.path().to_owned(), above.path().to_owned()]);
    spec.trees.push(tree(&["/usr".into()], "/usr"));
    let mut sandbox = world.backend.create(spec).await.unwrap();
    for (path, text) in [
        ("/kept", "1"),
        ("/both", "2"),
        ("/gone", "refused 2"),
        ("/shut/old", "refused 2"),
        ("/shut/new", "2"),
        ("/etc/hostname", "sandbox\n"),
        ("/etc/passwd", "refused 2"),
        ("/proc/1/comm", "refused 2"),
    ] {
        assert_eq!(attempt(&mut sandbox, &["text", path]).await, text, "{path}");
    }
    let names = attempt(&mut sandbox, &["list", "/"]).await;
    assert_eq!(names, "bin both dev etc kept lib lib64 proc shut tmp usr var");
    assert_eq!(attempt(&mut sandbox, &["write", "/new"]).await, "refused 30");
    assert_eq!(attempt(&mut sandbox, &["overwrite", "/kept"]).await, "refused 30");
    assert_eq!(attempt(&mut sandbox, &["write", "/usr/new"]).await, "refused 30");
    assert_eq!(attempt(&mut sandbox, &["write", "/tmp/new"]).await, "ALLOWED");
    sandbox.sandbox.destroy().await;
    let mut none = world.spec();
    none.root = Root::Layers(vec![]);
    assert!(world.backend.create(none).await.is_err(), "never the host's root in its place");
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
}

async fn content_that_strangers_may_move_is_reached_without_links_only(world: &World) {
    let root = layer(&[("real/here", "yes")]);
    std::os::unix::fs::symlink(root.path().join("real"), root.path().join("link")).unwrap();
    std::os::unix::fs::symlink("real", root.path().join("sibling")).unwrap();
    let place = |name: &str| {
        let mut spec = world.spec();
        let host = root.path().canonicalize().unwrap().join(name);
        spec.trees.push(Tree { links: Links::Refused, ..tree(&[host], "/opt") });
        spec
    };
    let mut sandbox = world.backend.create(place("real")).await.unwrap();
    assert_eq!(attempt(&mut sandbox, &["text", "/opt/here"]).await, "yes");
    assert_eq!(attempt(&mut sandbox, &["overwrite", "/opt/here"]).await, "refused 13");
    // What changes outside is seen inside.
    std::fs::write(root.path().join("real/here"), "changed").unwrap();
    assert_eq!(attempt(&mut sandbox, &["text", "/opt/here"]).await, "changed");
    sandbox.sandbox.destroy().await;
    for name in ["link", "sibling", "link/../real", "none"] {
        let refused = world.backend.create(place(name)).await;
        assert!(matches!(refused, Err(CreateError::Step { step: "content", .. })), "{refused:?}");
    }
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
}

async fn an_image_of_many_layers_is_merged(world: &World) {
    let layers: Vec<_> = (0..64)
        .map(|number: u32| {
            layer(&[(format!("n{number}").as_str(), "x"), ("last", &number.to_string())])
        })
        .collect();
    for name in ["usr", "var/task"] {
        std::fs::create_dir_all(layers[0].path().join(name)).unwrap();
    }
    for name in ["lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), layers[0].path().join(name)).unwrap();
    }
    let mut spec = world.spec();
    spec.root = Root::Layers(layers.iter().map(|layer| layer.path().to_owned()).collect());
    spec.trees.push(tree(&["/usr".into()], "/usr"));
    let mut sandbox = world.backend.create(spec).await.unwrap();
    assert_eq!(attempt(&mut sandbox, &["text", "/n0"]).await, "x");
    assert_eq!(attempt(&mut sandbox, &["text", "/last"]).await, "63");
    sandbox.sandbox.destroy().await;
}

/// A directory with these files, as an unpacked layer is.
fn layer(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mode = || std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), mode()).unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    directory
}

fn opt(layers: &[&tempfile::TempDir]) -> Tree {
    let hosts: Vec<PathBuf> = layers.iter().map(|layer| layer.path().to_owned()).collect();
    tree(&hosts, "/opt")
}

/// Content of the daemon's own.
fn tree(hosts: &[PathBuf], at: &str) -> Tree {
    Tree { hosts: hosts.to_vec(), at: at.to_owned(), links: Links::Followed }
}

async fn content_of_several_directories_is_merged_and_the_last_one_wins(world: &World) {
    let first = layer(&[("lib/a", "1"), ("lib/both", "1"), ("kind", "file")]);
    let second = layer(&[("lib/b", "2"), ("lib/both", "2"), ("kind/inner", "2")]);
    let third = layer(&[("lib/both", "3"), ("lib/c:,\\ d", "3")]);
    let seen = |layers: Vec<&tempfile::TempDir>| {
        let mut spec = world.spec();
        spec.trees.push(opt(&layers));
        async move {
            let mut sandbox = world.backend.create(spec).await.unwrap();
            let names = attempt(&mut sandbox, &["list", "/opt/lib"]).await;
            let both = attempt(&mut sandbox, &["text", "/opt/lib/both"]).await;
            let kind = attempt(&mut sandbox, &["list", "/opt/kind"]).await;
            sandbox.sandbox.destroy().await;
            format!("{names} | {both} | {kind}")
        }
    };
    assert_eq!(seen(vec![&first, &second, &third]).await, "a b both c:,\\ d | 3 | inner");
    assert_eq!(seen(vec![&third, &second, &first]).await, "a b both c:,\\ d | 1 | refused 20");
    // Two layers may have the same bytes, and then they are the same directory.
    assert_eq!(seen(vec![&first, &second, &first]).await, "a b both | 1 | refused 20");
    assert_eq!(seen(vec![&second, &second]).await, "b both | 2 | inner");
    assert_eq!(std::fs::read_dir(second.path()).unwrap().count(), 2);
}

async fn a_merge_is_as_closed_as_a_single_directory(world: &World) {
    let (one, two) = (layer(&[("lib/a", "1")]), layer(&[("lib/b", "2")]));
    let program = two.path().join("bin/program");
    std::fs::create_dir(two.path().join("bin")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_dormouse-sandbox-intruder"), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6755)).unwrap();
    // What anybody could write if nothing else forbade it.
    let open = || std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(one.path().join("lib"), open()).unwrap();
    std::fs::set_permissions(one.path().join("lib/a"), open()).unwrap();
    let mut spec = world.spec();
    spec.trees.push(opt(&[&one, &two]));
    let mut sandbox = world.backend.create(spec).await.unwrap();
    for (action, expected) in [
        (["run", "/opt/bin/program"], "993 993 993 993"),
        (["overwrite", "/opt/lib/a"], "refused 30"),
        (["write", "/opt/lib/new"], "refused 30"),
    ] {
        assert_eq!(attempt(&mut sandbox, &action).await, expected, "{action:?}");
    }
    let mounts = attempt(&mut sandbox, &["text", "/proc/self/mountinfo"]).await;
    let line = mounts.lines().find(|line| line.contains(" /opt ")).unwrap();
    assert!(line.contains(" ro,nosuid,nodev"), "{line}");
    for host in [one.path(), two.path()] {
        assert!(!line.contains(&*host.to_string_lossy()), "{line}");
    }
    sandbox.sandbox.destroy().await;
}

async fn many_sandboxes_come_and_go_at_once(world: &World) {
    for _ in 0..3 {
        let mut making = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (backend, spec) = (world.backend.clone(), world.spec());
            making.spawn(async move {
                let mut sandbox = backend.create(spec).await.unwrap();
                assert_eq!(common::answer(&mut sandbox, 1, &["print", "hi"]).await, "hi");
                sandbox.sandbox.destroy().await;
            });
        }
        while let Some(made) = making.join_next().await {
            made.unwrap();
        }
        assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
    }
}

/// A daemon with a frozen and a running sandbox, which waits to be killed.
fn victim() -> ExitCode {
    let spawner = Spawner::launch().expect("the spawner starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::namespace(spawner);
        let (one, two) = (world.create().await, world.create().await);
        for sandbox in [&one, &two] {
            sandbox.sandbox.start(common::probe(1, &["child-counts", "f", "sleep"])).await.unwrap();
        }
        one.sandbox.freeze().await.unwrap();
        println!("{} {}", world.instance, world.content.as_ref().unwrap().path().display());
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

fn a_killed_daemon_leaves_no_process() {
    let exe = std::env::current_exe().unwrap();
    let mut daemon =
        Command::new(exe).arg(VICTIM).stdout(Stdio::piped()).spawn().expect("the victim starts");
    let mut told = String::new();
    std::io::BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut told).unwrap();
    let (instance, content) = told.trim().split_once(' ').unwrap();
    let mut family = descendants(daemon.id());
    assert!(family.len() >= 5, "spawner, two guests, two probes: {family:?}");
    let watched: Vec<_> = family.drain(..).filter_map(watch).collect();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    for pidfd in watched {
        let mut end = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut end, Some(&patience)), Ok(1), "a process lives on");
    }
    std::fs::remove_dir_all(content).unwrap();
    // Control groups are no processes: the next daemon of this name clears them away.
    let cgroups = Cgroups::detect(instance).unwrap();
    let reaped = cgroups.reap().unwrap();
    assert_eq!((reaped.groups, reaped.processes), (2, 0));
    cgroups.close().unwrap();
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = children_of(pid);
    let below: Vec<u32> = children.iter().flat_map(|child| descendants(*child)).collect();
    children.into_iter().chain(below).collect()
}

fn watch(pid: u32) -> Option<std::os::fd::OwnedFd> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}
