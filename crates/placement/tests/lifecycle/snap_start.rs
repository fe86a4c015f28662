//! SnapStart: a version is initialised once by an environment that serves nobody, and each environment that does
//! is restored before its first invocation.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dormouse_model::environment::Failure;
use dormouse_model::invocation::{ErrorOf, RestoreFault};
use dormouse_placement::NotDonated;
use tokio::task::JoinSet;

use crate::provisioned::booting;
use crate::world::{PATIENCE, World};
use crate::{LONG, mask};

async fn donated(world: &World) -> Result<Option<Failure>, NotDonated> {
    let donated = world.placement.donate(world.snap_start());
    tokio::time::timeout(PATIENCE, donated).await.expect("every donor comes to an end")
}

/// Waits until the environments have ended so, in the order of these words: two that are made at once have no
/// other. Why each was made depends on whether the one before it was gone by then.
async fn until_ended(world: &World, expected: &[&str]) {
    let ends = async || {
        let lives = world.lives().await.into_iter();
        let mut ends: Vec<_> =
            lives.map(|life| life.ended.map_or("alive", |ended| ended.cause)).collect();
        ends.sort_unstable();
        ends
    };
    let so = async {
        while ends().await != expected {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(PATIENCE, so).await.is_err() {
        assert_eq!(ends().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_donor_initialises_serves_nobody_and_ends() {
    let (world, _) = booting(&["restore", "init error", "restore"]).await;
    assert_eq!(donated(&world).await, Ok(None));
    let failed = donated(&world).await;
    assert!(matches!(failed, Ok(Some(Failure::InitError { .. }))), "{failed:?}");
    let answer = world.invoke_version(&world.snap_start(), "1").await.unwrap();
    assert_eq!(&answer.payload[..], b"1");
    let told = [
        "snapshot snap-start donated",
        "snapshot snap-start init-failed",
        "first snap-start alive",
    ];
    world.until_told(&told).await;
    let logs = world.drain_and_read_logs().await;
    let masked: Vec<String> = logs.iter().map(|log| mask(log)).collect();
    assert!(
        masked[0].contains("INIT_REPORT Init Duration: _ ms\tPhase: snap-start\tStatus: success\n")
    );
    assert!(!masked[0].contains("RESTORE_"), "{}", masked[0]);
    assert!(masked[1].contains("Phase: snap-start\tStatus: error"), "{}", masked[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_told_and_reported_once() {
    let (world, _) = booting(&["restore"]).await;
    for event in ["1", "2"] {
        world.invoke_version(&world.snap_start(), event).await.unwrap();
    }
    let logs = world.drain_and_read_logs().await;
    let masked = mask(&logs[0]);
    let (before, after) = masked.split_once("\nSTART").unwrap();
    let order =
        ["INIT_START ", "INIT_REPORT ", "RESTORE_START ", "RESTORE_REPORT Restore Duration: "];
    let mut rest = before;
    for line in order {
        let at =
            rest.find(line).unwrap_or_else(|| panic!("{line} is missing or too early:\n{masked}"));
        rest = &rest[at..];
    }
    assert_eq!(after.matches("\tRestore Duration: ").count(), 1, "{after}");
    assert_eq!(after.matches("\tBilled Restore Duration: ").count(), 1, "{after}");
    assert!(!after.contains("Init Duration"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_is_told_to_its_caller_and_the_next_one_has_another_environment() {
    let (world, _) = booting(&["restore error", "restore exit", "restore"]).await;
    let version = world.snap_start();
    let answer = world.invoke_version(&version, "1").await.unwrap();
    assert_eq!(answer.error, Some(ErrorOf::Restore(RestoreFault::Hook)));
    assert_eq!(&answer.payload[..], br#"{"errorType":"Hook","errorMessage":"no"}"#);
    let answer = world.invoke_version(&version, "2").await.unwrap();
    assert_eq!(answer.error, Some(ErrorOf::Function));
    let text = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(text.contains("Runtime.ExitError"), "{text}");
    assert_eq!(&world.invoke_version(&version, "3").await.unwrap().payload[..], b"3");
    until_ended(&world, &["alive", "init-failed", "init-failed"]).await;
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_crashes_is_not_initialised_again() {
    let (world, starts) = booting(&["restore"; 2]).await;
    let version = world.snap_start();
    crash(&world).await;
    world.invoke_version(&version, "1").await.unwrap();
    until_ended(&world, &["alive", "crashed"]).await;
    assert_eq!(starts.load(Ordering::Relaxed), 2);
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_donor_ends_with_the_server_and_with_who_waits_for_it() {
    let (world, _) = booting(&["hang", "hang"]).await;
    {
        let mut donating = Box::pin(world.placement.donate(world.snap_start()));
        let begun = async {
            while world.lives().await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            donated = &mut donating => panic!("it initialised: {donated:?}"),
            () = begun => {}
        }
    }
    world.until_told(&["snapshot snap-start update"]).await;
    let placement = world.placement.clone();
    let version = world.snap_start();
    let mut donating = JoinSet::new();
    donating.spawn(async move { placement.donate(version).await });
    let begun = async {
        while world.lives().await.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.unwrap();
    world.placement.drain(Duration::from_secs(60)).await;
    let donated = tokio::time::timeout(PATIENCE, donating.join_next()).await.unwrap();
    let donated = donated.unwrap().unwrap();
    assert_eq!(donated, Err(NotDonated::Unwanted));
    assert_eq!(donated, world.placement.donate(world.snap_start()).await);
    world.drain_and_read_logs().await;
}

/// A world with snapshots; each start behaves as the words say, and well after them.
async fn snapping(first: &'static [&'static str]) -> World {
    let starts = AtomicUsize::new(0);
    let boot = move || *first.get(starts.fetch_add(1, Ordering::Relaxed)).unwrap_or(&"restore");
    World::with_snapshots(Arc::new(boot), LONG).await
}

/// The snapshots that there are, and those that are being made.
fn snapshots(world: &World) -> Vec<PathBuf> {
    let found = std::fs::read_dir(world.snapshots()).unwrap();
    found.map(|entry| entry.unwrap().path()).collect()
}

/// The environment that serves next ends, and the one after it is another.
async fn crash(world: &World) {
    let answer = world.invoke_version(&world.snap_start(), "\"exit 3\"").await.unwrap();
    assert_eq!(answer.error, Some(ErrorOf::Function));
}

/// Whether environments initialised or went on from a snapshot; in the order of these words.
fn beginnings(logs: &[Vec<String>]) -> Vec<&'static str> {
    let word = |log: &Vec<String>| match log.iter().any(|line| line.starts_with("INIT_START")) {
        true => "init",
        false if log.contains(&"restored\n".to_owned()) => "restored",
        false => "neither",
    };
    let mut words: Vec<_> = logs.iter().map(word).collect();
    words.sort_unstable();
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_go_on_from_the_snapshot_of_their_version() {
    let world = snapping(&[]).await;
    let version = world.snap_start();
    assert_eq!(donated(&world).await, Ok(None));
    assert_eq!(snapshots(&world).len(), 1);
    crash(&world).await;
    world.invoke_version(&version, "1").await.unwrap();
    world.placement.forget_snapshots(&version.key, None);
    assert_eq!(snapshots(&world).len(), 0, "it goes with its version");
    let logs = world.drain_and_read_logs().await;
    assert_eq!(beginnings(&logs), ["init", "restored", "restored"]);
    let restored = logs.iter().find(|log| log.contains(&"restored\n".to_owned()));
    let masked = mask(restored.unwrap());
    let order = ["RESTORE_START ", "restored\n", "RESTORE_REPORT ", "START ", "REPORT "];
    let mut rest = masked.as_str();
    for line in order {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line} is missing:\n{masked}"));
        rest = &rest[at + line.len()..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_snapshot_one_is_made_beside_the_caller() {
    let world = snapping(&[]).await;
    let version = world.snap_start();
    world.invoke_version(&version, "1").await.unwrap();
    until_ended(&world, &["alive", "donated"]).await;
    assert_eq!(snapshots(&world).len(), 1);
    crash(&world).await;
    world.invoke_version(&version, "1").await.unwrap();
    let logs = world.drain_and_read_logs().await;
    // The fake initialises so fast that the snapshot may be there before the first one looks for it.
    let beginnings = beginnings(&logs);
    assert!(matches!(beginnings[..], ["init", "init" | "restored", "restored"]), "{beginnings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_cannot_be_used_is_made_anew_and_its_caller_is_served() {
    let world = snapping(&[]).await;
    assert_eq!(donated(&world).await, Ok(None));
    let [old] = &snapshots(&world)[..] else { panic!("one was made") };
    crash(&world).await;
    std::fs::remove_dir_all(old.join("content")).unwrap();
    let version = world.snap_start();
    assert_eq!(&world.invoke_version(&version, "1").await.unwrap().payload[..], b"1");
    until_ended(&world, &["alive", "crashed", "donated", "donated", "snapshot-unusable"]).await;
    let [new] = &snapshots(&world)[..] else { panic!("one was made anew") };
    assert_ne!(new, old);
    let logs = world.drain_and_read_logs().await;
    let report =
        "RESTORE_REPORT Restore Duration: _ ms\tStatus: error\tError Type: Sandbox.Failure\n";
    assert!(logs.iter().any(|log| mask(log).contains(report)), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_knows_no_restore_there_is_no_snapshot() {
    let world = snapping(&["well", "well", "well"]).await;
    assert_eq!(donated(&world).await, Ok(None));
    assert!(snapshots(&world).is_empty());
    for event in ["1", "2"] {
        world.invoke_version(&world.snap_start(), event).await.unwrap();
    }
    // It is not tried again and again.
    until_ended(&world, &["alive", "donated"]).await;
    world.drain_and_read_logs().await;
}
