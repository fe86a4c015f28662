//! Namespace sandboxes that were made ahead and equipped later: like all others, and the spawner that
//! went into them is at home again.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a runner of its own, which clippy does not know for a test"
)]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod common;
#[path = "common/intruder.rs"]
mod intruder;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use common::harness::{self, Trial};
use common::{World, children_of};
use dormouse_sandbox::namespace::spawner;
use dormouse_sandbox::{Created, EquipError, Equipment, Links, SandboxSpec, Tree};
use intruder::{attempt, in_world};

macro_rules! ahead {
    ($($name:ident),* $(,)?) => {
        fn trials() -> Vec<Trial> {
            vec![$(Trial::new(stringify!($name), || {
                in_world(World::namespace, |world| Box::pin(async move {
                    $name(&world).await;
                    world.close().await;
                }));
            })),*]
        }
    };
}

ahead!(
    a_sandbox_made_ahead_cannot_be_told_from_another,
    a_sandbox_made_ahead_has_the_limits_it_got_later,
    equipment_that_is_not_there_harms_nobody,
    pid_1_keeps_nothing_of_the_host_open,
);

fn main() -> ExitCode {
    if spawner::requested() {
        return spawner::main();
    }
    if let Some(reason) = common::namespace_is_impossible() {
        eprintln!("SANDBOXES MADE AHEAD ARE NOT TESTED HERE: it {reason}");
        return harness::main(Vec::new());
    }
    harness::main(trials())
}

/// The sandbox of this spec, made without content and equipped with it afterwards.
async fn made_ahead(world: &World, spec: SandboxSpec, tmp_bytes: Option<u64>) -> Created {
    let trees = spec.trees.clone();
    let ahead = SandboxSpec { trees: Vec::new(), ..spec };
    let sandbox = world.backend.create(ahead).await.unwrap();
    let equipment = Equipment { memory_bytes: None, tmp_bytes, trees };
    sandbox.sandbox.equip(equipment).await.unwrap();
    sandbox
}

fn layer(name: &str) -> tempfile::TempDir {
    let layer = tempfile::tempdir().unwrap();
    std::fs::set_permissions(layer.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(layer.path().join(name), name).unwrap();
    layer
}

fn with_layers(world: &World, layers: &[&tempfile::TempDir]) -> SandboxSpec {
    let hosts: Vec<PathBuf> = layers.iter().map(|layer| layer.path().to_owned()).collect();
    let mut spec = world.spec();
    spec.trees.push(Tree { hosts, at: "/opt".to_owned(), links: Links::Followed });
    spec
}

/// The lines of `/proc/self/mountinfo` without the numbers by which no two sandboxes are alike: those of
/// mounts, devices and users, and of the descriptors that were merged.
fn mounts(text: &str) -> Vec<String> {
    let number =
        |option: &&str| ["uid=", "gid=", "lowerdir="].iter().any(|name| option.starts_with(name));
    let fields = |line: &str| -> String {
        let fields = line.split(' ').skip(3).map(|field| {
            let options: Vec<_> = field.split(',').filter(|option| !number(option)).collect();
            options.join(",")
        });
        fields.collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = text.lines().map(fields).collect();
    lines.sort();
    lines
}

async fn a_sandbox_made_ahead_cannot_be_told_from_another(world: &World) {
    let (one, two) = (layer("one"), layer("two"));
    let spec = || with_layers(world, &[&one, &two]);
    let mut ahead = made_ahead(world, spec(), None).await;
    let mut other = world.backend.create(spec()).await.unwrap();
    let mut looks: Vec<Vec<&str>> =
        ["/", "/dev", "/etc", "/opt", "/proc", "/tmp", "/usr", "/var", "/var/task"]
            .map(|directory| vec!["list", directory])
            .into();
    let files = ["cgroup", "limits", "oom_score_adj", "environ", "cmdline", "setgroups"];
    let files = files.map(|file| format!("/proc/self/{file}"));
    looks.extend(files.iter().map(|file| vec!["text", &**file]));
    looks.push(vec!["descriptors"]);
    looks.push(vec!["processes"]);
    let words =
        ["Uid", "Gid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Seccomp_filters", "SigIgn"];
    looks.extend(words.map(|word| vec!["status", word]));
    for look in looks {
        let (seen, expected) = (attempt(&mut ahead, &look).await, attempt(&mut other, &look).await);
        // Numbers of processes are given in order, so they are alike too.
        assert_eq!(seen, expected, "{look:?}");
    }
    let look = ["text", "/proc/self/mountinfo"];
    let seen = mounts(&attempt(&mut ahead, &look).await);
    assert_eq!(seen, mounts(&attempt(&mut other, &look).await));
    assert!(seen.iter().any(|line| line.contains(" /opt ro,nosuid,nodev,")), "{seen:#?}");
    ahead.sandbox.destroy().await;
    other.sandbox.destroy().await;
}

async fn a_sandbox_made_ahead_has_the_limits_it_got_later(world: &World) {
    for (megabytes, fits) in [(2, false), (4, true), (8, true)] {
        let mut sandbox = made_ahead(world, world.spec(), Some(megabytes << 20)).await;
        let filled = attempt(&mut sandbox, &["fill", "3"]).await;
        assert_eq!(filled == "ALLOWED", fits, "{megabytes} MB: {filled}");
        sandbox.sandbox.destroy().await;
    }
    let mut sandbox = world.create().await;
    let equipment = Equipment { memory_bytes: Some(64 << 20), tmp_bytes: None, trees: vec![] };
    sandbox.sandbox.equip(equipment).await.unwrap();
    sandbox.sandbox.start(common::probe(2, &["sleep"])).await.unwrap();
    assert_eq!(attempt(&mut sandbox, &["allocate", "2"]).await, "2 MiB");
    assert_eq!(attempt(&mut sandbox, &["allocate", "100"]).await, "");
    assert!(sandbox.sandbox.oom_kills().await.unwrap() >= 1);
    assert!(sandbox.sandbox.memory_peak().await.unwrap() <= 64 << 20);
    sandbox.sandbox.destroy().await;
}

async fn equipment_that_is_not_there_harms_nobody(world: &World) {
    let home = |what: &str| {
        let spawner = children_of(std::process::id())[0];
        std::fs::read_link(format!("/proc/{spawner}/{what}")).unwrap()
    };
    let before = [home("ns/mnt"), home("root"), home("cwd")];
    let missing = PathBuf::from("/nothing/there");
    let trees = |hosts: Vec<PathBuf>, at: &str| {
        vec![Tree { hosts, at: at.to_owned(), links: Links::Followed }]
    };
    for trees in [
        trees(vec![missing], "/var/task"),
        trees(vec![PathBuf::from("/usr")], "/no/such/place"),
        trees(vec![PathBuf::from("/usr")], "/proc/self/root/var/task"),
        trees(vec![], "/var/task"),
    ] {
        let sandbox = world.create().await;
        let equipment = Equipment { memory_bytes: None, tmp_bytes: None, trees };
        let refused = sandbox.sandbox.equip(equipment.clone()).await;
        assert!(matches!(refused, Err(EquipError::Step { .. })), "{equipment:?}: {refused:?}");
        sandbox.sandbox.destroy().await;
    }
    assert_eq!([home("ns/mnt"), home("root"), home("cwd")], before);
    let mut later = made_ahead(world, world.spec(), None).await;
    assert_eq!(common::answer(&mut later, 1, &["print", "fine"]).await, "fine");
    later.sandbox.destroy().await;
}

async fn pid_1_keeps_nothing_of_the_host_open(world: &World) {
    let sandbox = made_ahead(world, world.spec(), None).await;
    let spawner = children_of(std::process::id())[0];
    let pid_1 = children_of(spawner)[0];
    for entry in std::fs::read_dir(format!("/proc/{pid_1}/fd")).unwrap().flatten() {
        let open = std::fs::read_link(entry.path()).unwrap();
        let open = open.to_string_lossy();
        let harmless =
            open == "/dev/null" || open.starts_with("socket:") || open.contains("[signalfd]");
        assert!(harmless, "{open}");
    }
    sandbox.sandbox.destroy().await;
}
