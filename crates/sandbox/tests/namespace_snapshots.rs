//! Snapshots of namespace sandboxes, with the host's own CRIU: what goes on is what was written, and it is
//! held as it was.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a runner of its own, which clippy does not know for a test"
)]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use common::harness::{self, Trial};
use common::{PATIENCE, World, next};
use dormouse_sandbox::namespace::spawner::{self, Spawner};
use dormouse_sandbox::{Created, Dialled, ProcessId, ProcessSpec, Service, SnapshotError};
use tokio::io::AsyncWriteExt;

macro_rules! snapshots {
    ($($name:ident),* $(,)?) => {
        fn trials() -> Vec<Trial> {
            vec![$(Trial::new(stringify!($name), || {
                let spawner = Spawner::launch().expect("the spawner starts");
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let world = World::namespace_for_snapshots(spawner);
                    if let Err(reason) = world.backend.snapshots() {
                        println!("SNAPSHOTS ARE NOT TESTED HERE: {reason}");
                    } else {
                        $name(&world).await;
                    }
                    world.close().await;
                });
            })),*]
        }
    };
}

snapshots!(
    a_process_goes_on_where_it_was_in_several_sandboxes,
    what_holds_a_process_holds_it_afterwards,
    what_others_have_left_behind_is_not_written,
    what_cannot_be_written_says_so_and_leaves_nothing,
    a_sandbox_that_is_destroyed_meanwhile_leaves_nothing,
);

fn main() -> ExitCode {
    if spawner::requested() {
        return spawner::main();
    }
    if let Some(reason) = common::namespace_is_impossible() {
        eprintln!("SNAPSHOTS ARE NOT TESTED HERE: it {reason}");
        return harness::main(Vec::new());
    }
    harness::main(trials())
}

/// A process that runs this script.
fn bash(id: u32, script: &str) -> ProcessSpec {
    ProcessSpec {
        id: ProcessId(id),
        programs: vec!["/bin/bash".to_owned()],
        args: vec!["-c".to_owned(), script.to_owned()],
        variables: vec![("GREETING".to_owned(), "hello".to_owned())],
        cwd: "/tmp".to_owned(),
        records: true,
        briefed: false,
    }
}

/// Waits for a connection to the Runtime API, as a runtime at its restore point does.
const WAIT: &str = "exec 9<>/dev/tcp/127.0.0.1/9001; echo waits; read -u 9 answer; exec 9>&-;";

/// A sandbox in which a script has come to where it waits.
async fn waiting(world: &World, script: &str) -> (Created, Dialled) {
    let mut created = world.create().await;
    created.sandbox.start(bash(1, script)).await.unwrap();
    let dialled = dialled(&mut created).await;
    assert_eq!(next(&mut created).await, "1 out waits\n");
    (created, dialled)
}

async fn dialled(created: &mut Created) -> Dialled {
    let dialled = tokio::time::timeout(PATIENCE, created.connections.recv()).await;
    let dialled = dialled.unwrap().unwrap();
    assert_eq!(dialled.service, Service::RuntimeApi);
    dialled
}

/// The snapshot of a script that waits. Its sandbox is gone.
async fn written(world: &World, script: &str) -> tempfile::TempDir {
    let (mut created, dialled) = waiting(world, script).await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    created.sandbox.checkpoint(ProcessId(1), directory.path().to_owned()).await.unwrap();
    assert_eq!(next(&mut created).await, "1 killed 9");
    drop(dialled);
    created.sandbox.destroy().await;
    directory
}

async fn restored(world: &World, directory: &tempfile::TempDir, id: u32) -> Created {
    let created = world.create().await;
    created.sandbox.restore(ProcessId(id), directory.path().to_owned()).await.unwrap();
    created
}

async fn a_process_goes_on_where_it_was_in_several_sandboxes(world: &World) {
    let script = format!(
        "echo kept > /tmp/file; exec 7>>/tmp/file; number=$((6 * 7)); mkdir /tmp/d; cd /tmp/d; {WAIT} \
         echo \"$number $GREETING $PWD [$answer] $$\"; echo more >&7; file=$(</tmp/file); echo \"${{file//$'\\n'/,}}\" >&2; \
         echo framed >&62; exec 8<>/dev/tcp/127.0.0.1/9001; read -u 8 word; echo $word; exit 3"
    );
    let directory = written(world, &script).await;
    let mut all = Vec::new();
    for id in 4..7 {
        all.push((id, restored(world, &directory, id).await));
    }
    for (id, mut created) in all {
        let number = next(&mut created).await;
        let number = number.strip_prefix(&format!("{id} out 42 hello /tmp/d [] ")).unwrap();
        // The same in each: low, since it was among the first.
        assert!(number.trim().parse::<u32>().unwrap() < 10, "{number}");
        assert_eq!(next(&mut created).await, format!("{id} err kept,more\n"));
        assert_eq!(next(&mut created).await, format!("{id} records framed\n"));
        let mut connection = dialled(&mut created).await.connection;
        connection.write_all(b"word\n").await.unwrap();
        assert_eq!(next(&mut created).await, format!("{id} out word\n"));
        assert_eq!(next(&mut created).await, format!("{id} exited 3"));
        drop(connection);
        created.sandbox.destroy().await;
    }
}

async fn what_holds_a_process_holds_it_afterwards(world: &World) {
    let look = "look() { while read -r line; do case $line in Uid*|Gid*|Cap*|NoNew*|Seccomp*|NSpid*|NSsid*|\
                SigIgn*|SigBlk*|PPid*|Groups*) echo \"$line\";; esac; done < /proc/self/status; \
                echo \"$(</proc/self/limits)\"; echo \"$(</proc/self/oom_score_adj)\"; \
                echo \"$(</proc/self/cgroup)\"; for d in /proc/self/fd/*; do echo \"${d##*/}\"; done; \
                unshare -U true 2>&1; }";
    let script = format!(
        "{look}; before=$(look); {WAIT} after=$(look); echo \"$before\"; echo ====; \
                          echo \"$after\"; read -u 0"
    );
    let directory = written(world, &script).await;
    let mut created = restored(world, &directory, 1).await;
    let mut told = String::new();
    while !told.contains("exited") {
        told.push_str(&next(&mut created).await.replace("1 out ", ""));
    }
    let (before, after) = told.split_once("====\n").unwrap();
    // The numbers of the processes that look are given in order.
    let lines = |text: &str| -> Vec<String> {
        let fixed =
            text.lines().filter(|line| !line.starts_with("NSpid") && !line.contains("exited"));
        fixed.map(str::to_owned).collect()
    };
    for (after, before) in lines(after).iter().zip(lines(before)) {
        assert_eq!(*after, before);
    }
    assert_eq!(lines(after).len(), lines(before).len(), "{before}\n{after}");
    assert!(before.contains("Uid:\t993\t993\t993\t993"), "{before}");
    assert!(before.contains("Seccomp:\t2"), "{before}");
    created.sandbox.destroy().await;
}

async fn what_others_have_left_behind_is_not_written(world: &World) {
    let (created, dialled) = waiting(world, &format!("(sleep 600 &) ; {WAIT}")).await;
    let directory = tempfile::tempdir().unwrap();
    let refused = created.sandbox.checkpoint(ProcessId(1), directory.path().to_owned()).await;
    assert!(matches!(refused, Err(SnapshotError::Unfit(_))), "{refused:?}");
    let nobody = created.sandbox.checkpoint(ProcessId(2), directory.path().to_owned()).await;
    assert!(matches!(nobody, Err(SnapshotError::Unfit(_))), "{nobody:?}");
    drop(dialled);
    created.sandbox.destroy().await;
    let gone = created.sandbox.checkpoint(ProcessId(1), directory.path().to_owned()).await;
    assert!(matches!(gone, Err(SnapshotError::Gone(_))), "{gone:?}");
}

async fn what_cannot_be_written_says_so_and_leaves_nothing(world: &World) {
    let (created, dialled) = waiting(world, &format!("mkfifo /tmp/pipe; {WAIT}")).await;
    let directory = tempfile::tempdir().unwrap();
    let refused = created.sandbox.checkpoint(ProcessId(1), directory.path().to_owned()).await;
    let Err(SnapshotError::Step { step: "files", source }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(source.to_string(), "/tmp holds a file of a kind that cannot be written");
    drop(dialled);
    created.sandbox.destroy().await;
    let empty = world.create().await;
    let nothing = tempfile::tempdir().unwrap();
    let refused = empty.sandbox.restore(ProcessId(1), nothing.path().to_owned()).await;
    assert!(matches!(refused, Err(SnapshotError::Step { .. })), "{refused:?}");
    empty.sandbox.destroy().await;
    let damaged = written(world, WAIT).await;
    let pages = std::fs::read_dir(damaged.path()).unwrap().flatten();
    for image in pages.filter(|entry| entry.file_name().to_string_lossy().starts_with("mm-")) {
        std::fs::write(image.path(), "nonsense").unwrap();
    }
    let created = world.create().await;
    let refused = created.sandbox.restore(ProcessId(1), damaged.path().to_owned()).await;
    let Err(SnapshotError::Step { step: "criu", source }) = refused else {
        panic!("{refused:?}");
    };
    assert!(source.to_string().contains("Error"), "{source}");
    created.sandbox.destroy().await;
}

async fn a_sandbox_that_is_destroyed_meanwhile_leaves_nothing(world: &World) {
    let directory = written(world, WAIT).await;
    let path = || -> PathBuf { directory.path().to_owned() };
    for wait_us in [0, 500, 2_000, 5_000, 9_000, 20_000] {
        let created = world.create().await;
        let restoring = created.sandbox.restore(ProcessId(1), path());
        // However far it has come.
        let _ = tokio::time::timeout(Duration::from_micros(wait_us), restoring).await;
        created.sandbox.destroy().await;
        let left = world.leftovers();
        assert!(left.is_empty(), "{wait_us}: {left:?}");
        drop(created);
    }
    // And the next one is as ever.
    let mut created = restored(world, &directory, 1).await;
    assert_eq!(next(&mut created).await, "1 exited 0");
    created.sandbox.destroy().await;
}
