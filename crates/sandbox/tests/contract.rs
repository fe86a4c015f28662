//! What every backend holds. A new backend is added to `worlds` and nowhere else.
//!
//! Each test gets a fresh backend and leaves nothing: no sandbox, no process, no control group.
//! How sandboxes are connected to is in `common/connecting.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a runner of its own, which clippy does not know for a test"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use common::connecting::{
    a_frozen_sandbox_stays_frozen_when_connected_to, a_listener_can_be_connected_to,
    a_sandbox_that_ends_ends_attempts_to_connect, connections_that_nobody_accepts_hold_nothing_up,
    the_services_ports_lead_nowhere, where_nobody_listens_a_connection_is_refused,
    with_its_process_a_listener_is_gone,
};
use common::harness::{self, Trial};
use common::{PATIENCE, PROBE, World, answer, is_quiet, next, probe};
use dormouse_sandbox::namespace::spawner::{self, Spawner};
use dormouse_sandbox::{
    BRIEFING_BYTES_MAX, BriefError, ConnectError, CreateError, Dialled, EquipError, Equipment,
    Event, Gone, ProcessId, ProcessSpec, SandboxSpec, Service, Signal, SnapshotError, StartError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        fn trials() -> Vec<Trial> {
            let mut all = Vec::new();
            $(
                all.push(Trial::new(concat!("fake::", stringify!($name)), || {
                    in_runtime(World::fake, |world| Box::pin(async move {
                        $name(&world).await;
                        world.close().await;
                    }));
                }));
                if common::namespace_is_impossible().is_none() {
                    all.push(Trial::new(concat!("namespace::", stringify!($name)), || {
                        let spawner = Spawner::launch().expect("the spawner starts");
                        in_runtime(|| World::namespace(spawner), |world| Box::pin(async move {
                            $name(&world).await;
                            world.close().await;
                        }));
                    }));
                    let name = concat!("namespace_for_snapshots::", stringify!($name));
                    all.push(Trial::new(name, || {
                        let spawner = Spawner::launch().expect("the spawner starts");
                        let world = || World::namespace_for_snapshots(spawner);
                        in_runtime(world, |world| Box::pin(async move {
                            $name(&world).await;
                            world.close().await;
                        }));
                    }));
                }
            )*
            all
        }
    };
}

contract!(
    output_comes_before_the_exit_of_its_process,
    both_streams_are_told_apart,
    records_are_a_stream_of_their_own,
    a_drain_comes_after_records_too,
    without_records_there_is_no_place_for_them,
    codes_and_signals_are_reported,
    the_first_program_that_can_run_is_run,
    a_process_gets_its_environment_and_directory,
    killing_all_ends_children_too_and_keeps_tmp,
    killing_all_of_nothing_says_empty,
    a_frozen_process_does_nothing_until_thawed,
    killing_all_and_starting_work_on_a_frozen_sandbox,
    a_frozen_sandbox_dies_when_destroyed,
    a_drain_comes_after_everything_written_before,
    what_is_drained_has_been_delivered,
    both_services_can_be_dialled,
    a_flood_holds_up_only_its_sandbox,
    a_request_to_end_reaches_a_process,
    after_the_end_calls_say_gone_and_gone_comes_once,
    a_dropped_handle_ends_the_sandbox,
    sandboxes_do_not_share_tmp,
    a_sandbox_can_be_used_again_after_killing_all,
    content_of_several_directories_is_there_as_one,
    a_process_started_ahead_waits_for_its_briefing,
    a_briefing_is_had_once_and_by_whom_waits_for_one,
    a_sandbox_made_ahead_gets_its_content_later,
    a_process_goes_on_from_a_snapshot_in_another_sandbox,
    after_shutdown_there_are_no_new_sandboxes,
    a_listener_can_be_connected_to,
    where_nobody_listens_a_connection_is_refused,
    the_services_ports_lead_nowhere,
    with_its_process_a_listener_is_gone,
    a_frozen_sandbox_stays_frozen_when_connected_to,
    connections_that_nobody_accepts_hold_nothing_up,
    a_sandbox_that_ends_ends_attempts_to_connect,
);

fn main() -> ExitCode {
    if spawner::requested() {
        return spawner::main();
    }
    if let Some(reason) = common::namespace_is_impossible() {
        eprintln!("THE NAMESPACE BACKEND IS NOT TESTED HERE: it {reason}");
    }
    harness::main(trials())
}

fn in_runtime(
    world: impl FnOnce() -> World,
    test: impl FnOnce(World) -> dormouse_sandbox::BoxFuture<'static, ()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(world()).await });
}

async fn output_comes_before_the_exit_of_its_process(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["print", "last words", "exit", "0"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out last words");
    assert_eq!(next(&mut sandbox).await, "1 exited 0");
    sandbox.sandbox.destroy().await;
}

async fn both_streams_are_told_apart(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["eprint", "wrong", "exit", "0"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 err wrong");
    assert_eq!(next(&mut sandbox).await, "1 exited 0");
    sandbox.sandbox.destroy().await;
}

async fn a_process_started_ahead_waits_for_its_briefing(world: &World) {
    let mut sandbox = world.create().await;
    let waiting = probe(1, &["print", "waits", "briefing", "exit", "0"]);
    sandbox.sandbox.start(ProcessSpec { briefed: true, records: true, ..waiting }).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out waits");
    assert!(is_quiet(&mut sandbox).await);
    sandbox.sandbox.brief(ProcessId(1), Bytes::from_static(b"a word")).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out a word");
    assert_eq!(next(&mut sandbox).await, "1 exited 0");
    sandbox.sandbox.destroy().await;
}

async fn a_briefing_is_had_once_and_by_whom_waits_for_one(world: &World) {
    let mut sandbox = world.create().await;
    let word = || Bytes::from_static(b"a word");
    let brief = |id| sandbox.sandbox.brief(ProcessId(id), word());
    assert!(matches!(brief(1).await, Err(BriefError::Refused(_))));
    sandbox.sandbox.start(probe(1, &["briefing", "sleep"])).await.unwrap();
    assert!(matches!(brief(1).await, Err(BriefError::Refused(_))));
    let waits = |id| ProcessSpec { briefed: true, ..probe(id, &["sleep"]) };
    sandbox.sandbox.start(waits(2)).await.unwrap();
    brief(2).await.unwrap();
    assert!(matches!(brief(2).await, Err(BriefError::Refused(_))));
    sandbox.sandbox.start(waits(3)).await.unwrap();
    let long = Bytes::from(vec![b'x'; BRIEFING_BYTES_MAX + 1]);
    let refused = sandbox.sandbox.brief(ProcessId(3), long).await;
    assert!(matches!(refused, Err(BriefError::Refused(_))));
    assert_eq!(next(&mut sandbox).await, "1 out no place for a briefing");
    sandbox.sandbox.start(ProcessSpec { briefed: true, ..probe(4, &["briefing"]) }).await.unwrap();
    let longest = Bytes::from(vec![b'x'; BRIEFING_BYTES_MAX]);
    sandbox.sandbox.brief(ProcessId(4), longest).await.unwrap();
    let mut heard = 0;
    while heard < BRIEFING_BYTES_MAX {
        let text = next(&mut sandbox).await;
        heard += text.strip_prefix("4 out ").unwrap().len();
    }
    assert_eq!((heard, &*next(&mut sandbox).await), (BRIEFING_BYTES_MAX, "4 exited 0"));
    sandbox.sandbox.destroy().await;
    let gone = sandbox.sandbox.brief(ProcessId(3), word()).await;
    assert!(matches!(gone, Err(BriefError::Gone(Gone))));
}

async fn a_process_goes_on_from_a_snapshot_in_another_sandbox(world: &World) {
    if let Err(reason) = world.backend.snapshots() {
        return println!("NOT TESTED HERE: {reason}");
    }
    let spec = || SandboxSpec { snapshots: true, ..world.spec() };
    let mut first = world.backend.create(spec()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = || directory.path().to_owned();
    let nobody = first.sandbox.checkpoint(ProcessId(1), path()).await;
    assert!(matches!(nobody, Err(SnapshotError::Unfit(_))), "{nobody:?}");
    first.sandbox.start(probe(1, &["print", "up", "sleep"])).await.unwrap();
    assert_eq!(next(&mut first).await, "1 out up");
    first.sandbox.checkpoint(ProcessId(1), path()).await.unwrap();
    assert_eq!(next(&mut first).await, "1 killed 9");
    first.sandbox.destroy().await;
    let gone = first.sandbox.checkpoint(ProcessId(1), path()).await;
    assert!(matches!(gone, Err(SnapshotError::Gone(Gone))), "{gone:?}");
    for id in [5, 6] {
        let mut other = world.backend.create(spec()).await.unwrap();
        other.sandbox.restore(ProcessId(id), path()).await.unwrap();
        other.sandbox.freeze().await.unwrap();
        other.sandbox.signal(ProcessId(id), Signal::Kill).await.unwrap();
        other.sandbox.thaw().await.unwrap();
        while next(&mut other).await != format!("{id} killed 9") {}
        other.sandbox.destroy().await;
    }
    let other = world.backend.create(spec()).await.unwrap();
    let nothing = tempfile::tempdir().unwrap();
    let refused = other.sandbox.restore(ProcessId(1), nothing.path().to_owned()).await;
    assert!(matches!(refused, Err(SnapshotError::Step { .. })), "{refused:?}");
    other.sandbox.destroy().await;
}

async fn a_sandbox_made_ahead_gets_its_content_later(world: &World) {
    let spec = world.spec();
    let trees = spec.trees.clone();
    let ahead = SandboxSpec { trees: Vec::new(), ..spec };
    let mut sandbox = world.backend.create(ahead).await.unwrap();
    let (memory_bytes, tmp_bytes) = (Some(64 << 20), Some(2 << 20));
    let equipment = Equipment { memory_bytes, tmp_bytes, trees };
    sandbox.sandbox.equip(equipment.clone()).await.unwrap();
    assert_eq!(answer(&mut sandbox, 1, &["write", "f", "kept", "read", "f"]).await, "kept");
    sandbox.sandbox.destroy().await;
    let gone = sandbox.sandbox.equip(equipment).await;
    assert!(matches!(gone, Err(EquipError::Gone(Gone))));
}

/// A probe that has a place for records.
fn recorder(id: u32, actions: &[&str]) -> ProcessSpec {
    ProcessSpec { records: true, ..probe(id, actions) }
}

async fn records_are_a_stream_of_their_own(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(recorder(1, &["record", "two\nlines", "exit", "0"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 records two\nlines");
    assert_eq!(next(&mut sandbox).await, "1 exited 0");
    let words = ["print", "a", "eprint", "b", "record", "c", "exit", "0"];
    sandbox.sandbox.start(recorder(2, &words)).await.unwrap();
    let mut said = [next(&mut sandbox).await, next(&mut sandbox).await, next(&mut sandbox).await];
    said.sort();
    assert_eq!(said, ["2 err b", "2 out a", "2 records c"]);
    assert_eq!(next(&mut sandbox).await, "2 exited 0");
    sandbox.sandbox.destroy().await;
}

async fn a_drain_comes_after_records_too(world: &World) {
    let mut sandbox = world.create().await;
    let actions = ["record", "a", "hold", "4243", "sleep"];
    sandbox.sandbox.start(recorder(1, &actions)).await.unwrap();
    // Once it listens it has written, and nobody has read anything yet.
    let listens = async { while sandbox.sandbox.connect(4243).await.is_err() {} };
    tokio::time::timeout(PATIENCE, listens).await.unwrap();
    sandbox.sandbox.drain_output(5).await.unwrap();
    let mut before = Vec::new();
    loop {
        match next(&mut sandbox).await {
            event if event == "drained 5" => break,
            event => before.push(event),
        }
    }
    assert!(before.contains(&"1 records a".to_owned()), "{before:?}");
    sandbox.sandbox.destroy().await;
}

async fn without_records_there_is_no_place_for_them(world: &World) {
    let mut sandbox = world.create().await;
    assert_eq!(answer(&mut sandbox, 1, &["record", "this"]).await, "no place for this");
    sandbox.sandbox.destroy().await;
}

async fn codes_and_signals_are_reported(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["exit", "3"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 exited 3");
    sandbox.sandbox.start(probe(2, &["print", "on", "sleep"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "2 out on");
    sandbox.sandbox.signal(ProcessId(2), Signal::Kill).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "2 killed 9");
    sandbox.sandbox.destroy().await;
}

async fn the_first_program_that_can_run_is_run(world: &World) {
    let mut sandbox = world.create().await;
    let mut process = probe(1, &["print", "found"]);
    process.programs =
        vec!["/var/task/missing".into(), "/var/task/not-executable".into(), PROBE.into()];
    sandbox.sandbox.start(process.clone()).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out found");
    assert_eq!(next(&mut sandbox).await, "1 exited 0");
    process.programs.pop();
    let tried = process.programs.clone();
    match sandbox.sandbox.start(process).await {
        Err(StartError::NoProgram { programs }) => assert_eq!(programs, tried),
        other => panic!("{other:?}"),
    }
    assert_eq!(answer(&mut sandbox, 2, &["print", "still well"]).await, "still well");
    sandbox.sandbox.destroy().await;
}

async fn a_process_gets_its_environment_and_directory(world: &World) {
    let mut sandbox = world.create().await;
    assert_eq!(answer(&mut sandbox, 1, &["env", "GREETING"]).await, "hello there");
    assert_eq!(answer(&mut sandbox, 2, &["env", "HOME"]).await, "unset");
    assert_eq!(answer(&mut sandbox, 3, &["cwd"]).await, "/tmp");
    sandbox.sandbox.destroy().await;
}

async fn killing_all_ends_children_too_and_keeps_tmp(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["child-counts", "f", "sleep"])).await.unwrap();
    sandbox
        .sandbox
        .start(probe(2, &["write", "kept", "value", "print", "on", "sleep"]))
        .await
        .unwrap();
    assert_eq!(next(&mut sandbox).await, "2 out on");
    sandbox.sandbox.kill_all().await.unwrap();
    let mut ends = [next(&mut sandbox).await, next(&mut sandbox).await];
    ends.sort();
    assert_eq!(ends, ["1 killed 9", "2 killed 9"]);
    assert_eq!(next(&mut sandbox).await, "empty");
    let first = answer(&mut sandbox, 3, &["read", "f"]).await;
    assert!(is_quiet(&mut sandbox).await);
    assert_eq!(answer(&mut sandbox, 4, &["read", "f"]).await, first, "the child still counts");
    assert_eq!(answer(&mut sandbox, 5, &["read", "kept"]).await, "value");
    sandbox.sandbox.destroy().await;
}

async fn killing_all_of_nothing_says_empty(world: &World) {
    let mut sandbox = world.create().await;
    for _ in 0..2 {
        sandbox.sandbox.kill_all().await.unwrap();
        assert_eq!(next(&mut sandbox).await, "empty");
    }
    sandbox.sandbox.destroy().await;
}

async fn a_frozen_process_does_nothing_until_thawed(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["flood"])).await.unwrap();
    assert!(next(&mut sandbox).await.starts_with("1 out 0123"));
    sandbox.sandbox.freeze().await.unwrap();
    sandbox.sandbox.freeze().await.unwrap();
    sandbox.sandbox.drain_output(1).await.unwrap();
    while next(&mut sandbox).await != "drained 1" {}
    // The kernel stops a running process some milliseconds after it was told to.
    while !is_quiet(&mut sandbox).await {}
    assert!(is_quiet(&mut sandbox).await);
    sandbox.sandbox.thaw().await.unwrap();
    sandbox.sandbox.thaw().await.unwrap();
    assert!(next(&mut sandbox).await.starts_with("1 out "));
    sandbox.sandbox.destroy().await;
}

async fn killing_all_and_starting_work_on_a_frozen_sandbox(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["print", "on", "sleep"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out on");
    sandbox.sandbox.freeze().await.unwrap();
    sandbox.sandbox.kill_all().await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 killed 9");
    assert_eq!(next(&mut sandbox).await, "empty");
    sandbox.sandbox.freeze().await.unwrap();
    assert_eq!(answer(&mut sandbox, 2, &["print", "new"]).await, "new");
    sandbox.sandbox.destroy().await;
}

async fn a_frozen_sandbox_dies_when_destroyed(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["print", "on", "spin"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out on");
    sandbox.sandbox.freeze().await.unwrap();
    let destroyed = tokio::time::timeout(Duration::from_secs(5), sandbox.sandbox.destroy()).await;
    assert!(destroyed.is_ok());
    assert!(world.leftovers().is_empty());
}

async fn a_drain_comes_after_everything_written_before(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["print", "a", "write", "done", "1", "sleep"])).await.unwrap();
    let mut asked = 2;
    while answer_keeping(&mut sandbox, asked).await != "1" {
        asked += 1;
    }
    sandbox.sandbox.drain_output(9).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "drained 9");
    sandbox.sandbox.destroy().await;
}

async fn what_is_drained_has_been_delivered(world: &World) {
    let mut sandbox = world.create().await;
    for round in 0..8_u16 {
        let port = (4243 + round).to_string();
        let process = probe(u32::from(round) + 1, &["print", &port, "hold", &port, "sleep"]);
        sandbox.sandbox.start(process).await.unwrap();
        // Once it listens it has written.
        let listens = async { while sandbox.sandbox.connect(4243 + round).await.is_err() {} };
        tokio::time::timeout(PATIENCE, listens).await.unwrap();
        let drained = async {
            while !sandbox.sandbox.is_drained() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, drained).await.unwrap();
        let mut told = Vec::new();
        while let Ok(Event::Output { bytes, .. }) = sandbox.events.try_recv() {
            told.extend_from_slice(&bytes);
        }
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(told.contains(&port), "{told}");
    }
    sandbox.sandbox.destroy().await;
    assert!(!sandbox.sandbox.is_drained(), "nothing can be told of one that is gone");
}

/// Asks whether the file `done` is there; `answer` drops the events of others meanwhile.
async fn answer_keeping(sandbox: &mut dormouse_sandbox::Created, id: u32) -> String {
    answer(sandbox, id, &["read", "done"]).await
}

async fn both_services_can_be_dialled(world: &World) {
    let mut sandbox = world.create().await;
    for (id, port, service) in [(1, "9001", Service::RuntimeApi), (2, "9000", Service::Endpoint)] {
        sandbox.sandbox.start(probe(id, &["dial", port, "ping"])).await.unwrap();
        let Dialled { service: dialled, mut connection } =
            sandbox.connections.recv().await.unwrap();
        assert_eq!(dialled, service);
        let mut heard = String::new();
        connection.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "ping");
        connection.write_all(b"pong").await.unwrap();
        connection.shutdown().await.unwrap();
        drop(connection);
        assert_eq!(next(&mut sandbox).await, format!("{id} out pong"));
        assert_eq!(next(&mut sandbox).await, format!("{id} exited 0"));
    }
    sandbox.sandbox.destroy().await;
}

async fn a_flood_holds_up_only_its_sandbox(world: &World) {
    let (mut flooded, mut other) = (world.create().await, world.create().await);
    flooded.sandbox.start(probe(1, &["flood"])).await.unwrap();
    // Nobody reads the flood, yet calls on its sandbox are answered ...
    flooded.sandbox.start(probe(2, &["exit", "0"])).await.unwrap();
    assert_eq!(answer(&mut other, 1, &["print", "hello"]).await, "hello");
    // ... exits arrive once it is read ...
    while next(&mut flooded).await != "2 exited 0" {}
    // ... and its end does not wait for a reader.
    flooded.sandbox.destroy().await;
    other.sandbox.destroy().await;
}

async fn a_request_to_end_reaches_a_process(world: &World) {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, &["print", "on", "sleep"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out on");
    sandbox.sandbox.signal(ProcessId(1), Signal::Term).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 killed 15");
    sandbox.sandbox.signal(ProcessId(1), Signal::Term).await.unwrap();
    sandbox.sandbox.signal(ProcessId(77), Signal::Kill).await.unwrap();
    assert_eq!(answer(&mut sandbox, 2, &["print", "well"]).await, "well");
    sandbox.sandbox.destroy().await;
}

async fn after_the_end_calls_say_gone_and_gone_comes_once(world: &World) {
    let mut created = world.create().await;
    let sandbox = created.sandbox.clone();
    sandbox.start(probe(1, &["flood"])).await.unwrap();
    tokio::join!(sandbox.destroy(), sandbox.destroy());
    sandbox.destroy().await;
    assert!(world.leftovers().is_empty());
    assert_eq!(sandbox.kill_all().await, Err(Gone));
    assert_eq!(sandbox.freeze().await, Err(Gone));
    assert_eq!(sandbox.thaw().await, Err(Gone));
    assert_eq!(sandbox.drain_output(1).await, Err(Gone));
    assert_eq!(sandbox.signal(ProcessId(1), Signal::Kill).await, Err(Gone));
    assert_eq!(sandbox.memory_peak().await, Err(Gone));
    assert_eq!(sandbox.oom_kills().await, Err(Gone));
    assert!(matches!(sandbox.start(probe(2, &[])).await, Err(StartError::Gone(Gone))));
    assert!(matches!(sandbox.connect(4243).await, Err(ConnectError::Gone(Gone))));
    loop {
        match next(&mut created).await.as_str() {
            "gone" => break,
            other => assert!(other.starts_with("1 "), "{other}"),
        }
    }
    assert_eq!(next(&mut created).await, "end");
}

async fn a_dropped_handle_ends_the_sandbox(world: &World) {
    let mut created = world.create().await;
    created.sandbox.start(probe(1, &["sleep"])).await.unwrap();
    let dormouse_sandbox::Created { sandbox, events, connections } = created;
    drop(sandbox);
    let mut events = events;
    while let Some(event) = events.recv().await {
        assert!(matches!(event, dormouse_sandbox::Event::Gone), "{event:?}");
    }
    drop(connections);
    created = world.create().await;
    created.sandbox.destroy().await;
}

async fn sandboxes_do_not_share_tmp(world: &World) {
    let (mut one, mut two) = (world.create().await, world.create().await);
    answer(&mut one, 1, &["write", "secret", "mine"]).await;
    assert_eq!(answer(&mut two, 1, &["read", "secret"]).await, "nothing");
    assert_eq!(answer(&mut one, 2, &["read", "secret"]).await, "mine");
    one.sandbox.destroy().await;
    two.sandbox.destroy().await;
}

async fn a_sandbox_can_be_used_again_after_killing_all(world: &World) {
    let mut sandbox = world.create().await;
    for _ in 0..3 {
        sandbox.sandbox.start(probe(1, &["print", "on", "sleep"])).await.unwrap();
        assert_eq!(next(&mut sandbox).await, "1 out on");
        sandbox.sandbox.kill_all().await.unwrap();
        assert_eq!(next(&mut sandbox).await, "1 killed 9");
        assert_eq!(next(&mut sandbox).await, "empty");
    }
    sandbox.sandbox.destroy().await;
}

async fn content_of_several_directories_is_there_as_one(world: &World) {
    let other = tempfile::tempdir().unwrap();
    std::fs::set_permissions(other.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = world.spec();
    for tree in &mut spec.trees {
        tree.hosts.insert(0, other.path().to_owned());
    }
    let mut sandbox = world.backend.create(spec).await.unwrap();
    assert_eq!(answer(&mut sandbox, 1, &["print", "found"]).await, "found");
    sandbox.sandbox.destroy().await;
}

async fn after_shutdown_there_are_no_new_sandboxes(world: &World) {
    let sandbox = world.create().await;
    sandbox.sandbox.destroy().await;
    world.backend.shutdown().await;
    assert!(matches!(world.backend.create(world.spec()).await, Err(CreateError::ShutDown)));
}
