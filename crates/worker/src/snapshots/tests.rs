//! Snapshots over a directory of their own, with files in the place of images.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_model::names::Version;

use super::*;
use crate::environment::tests::resolved;

struct World {
    directory: tempfile::TempDir,
    now: Arc<AtomicU64>,
    version: ResolvedVersion,
}

impl World {
    fn new() -> Self {
        let mut version = resolved();
        version.version = Version::Number(7);
        version.deployment.configuration.snap_start = true;
        Self { directory: tempfile::tempdir().unwrap(), now: Arc::default(), version }
    }

    /// A process that begins, where there are these versions.
    fn start(&self, machinery: &str, versions: &[SnapshotKey]) -> Snapshots {
        let now = self.now.clone();
        Snapshots::open(Setting {
            directory: &self.directory.path().join("s"),
            machinery: if machinery.is_empty() { Err("none".into()) } else { Ok(machinery.into()) },
            versions,
            network: Network::None,
            clock: Clock::new(move || now.load(Ordering::Relaxed), || 0),
        })
        .unwrap()
    }

    fn key(&self) -> SnapshotKey {
        SnapshotKey::of(&self.version)
    }

    fn make(&self, snapshots: &Snapshots, environment: u128) {
        let turn = snapshots.claim(&self.version).expect("one is wanted");
        let unfinished = turn.begin(&id(environment), 0).unwrap();
        fs::write(unfinished.content().join("memory"), "m").unwrap();
        turn.keep((unfinished, 0), None).unwrap();
    }

    /// How many directories there are.
    fn count(&self) -> usize {
        fs::read_dir(self.directory.path().join("s")).unwrap().count()
    }
}

fn id(n: u128) -> EnvironmentId {
    format!("{n:032x}").parse().unwrap()
}

#[test]
fn one_at_a_time_makes_it_and_any_number_use_it() {
    let world = World::new();
    let snapshots = world.start("criu", &[]);
    assert!(snapshots.wants(&world.version) && snapshots.find(&world.version, None).is_none());
    let turn = snapshots.claim(&world.version).unwrap();
    assert!(!snapshots.wants(&world.version) && snapshots.claim(&world.version).is_none());
    let unfinished = turn.begin(&id(1), 0).unwrap();
    assert_eq!(fs::read_dir(unfinished.content()).unwrap().count(), 0);
    turn.keep((unfinished, 0), None).unwrap();
    let (one, other) = (snapshots.find(&world.version, None), snapshots.find(&world.version, None));
    assert!(one.unwrap().is(&other.unwrap()) && !snapshots.wants(&world.version));
}

#[test]
fn a_vain_attempt_leaves_nothing_and_the_next_comes_later() {
    let world = World::new();
    let snapshots = world.start("criu", &[]);
    let turn = snapshots.claim(&world.version).unwrap();
    drop(turn.begin(&id(1), 0).unwrap());
    drop(turn);
    assert_eq!((world.count(), snapshots.wants(&world.version)), (0, false));
    world.now.store(limits::SNAPSHOT_RETRY_MS * 1_000, Ordering::Relaxed);
    world.make(&snapshots, 2);
    assert_eq!(world.count(), 1);
}

#[test]
fn one_that_cannot_be_used_goes_with_its_last_user_and_another_is_wanted() {
    let world = World::new();
    let snapshots = world.start("criu", &[]);
    world.make(&snapshots, 1);
    let used = snapshots.find(&world.version, None).unwrap();
    used.has_proved();
    snapshots.spoil(&world.version, &used);
    assert_eq!((world.count(), snapshots.wants(&world.version)), (1, true));
    world.make(&snapshots, 2);
    // Who finds out later that the old one is of no use says nothing of the new one.
    snapshots.spoil(&world.version, &used);
    drop(used);
    assert_eq!(world.count(), 1);
    assert!(snapshots.find(&world.version, None).is_some());
}

#[test]
fn after_one_that_never_was_of_use_another_comes_later() {
    let world = World::new();
    let snapshots = world.start("criu", &[]);
    world.make(&snapshots, 1);
    let useless = snapshots.find(&world.version, None).unwrap();
    snapshots.spoil(&world.version, &useless);
    drop(useless);
    assert_eq!((world.count(), snapshots.wants(&world.version)), (0, false));
    world.now.store(limits::SNAPSHOT_RETRY_MS * 1_000, Ordering::Relaxed);
    assert!(snapshots.wants(&world.version));
}

#[test]
fn it_outlives_the_process_for_the_same_machinery_and_version_only() {
    let world = World::new();
    let key = world.key();
    world.make(&world.start("criu 1", &[]), 1);
    let stays = || {
        let snapshots = world.start("criu 1", std::slice::from_ref(&key));
        snapshots.find(&world.version, None).map(|found| found.images().join("memory").exists())
    };
    assert_eq!(stays(), Some(true));
    // One that was killed while it wrote.
    let snapshots = world.start("criu 1", std::slice::from_ref(&key));
    snapshots.forget(&world.version.key, None);
    let turn = snapshots.claim(&world.version).unwrap();
    std::mem::forget(turn.begin(&id(2), 0).unwrap());
    drop((turn, snapshots));
    assert_eq!((world.count(), stays(), world.count()), (1, None, 0));
    for (machinery, versions) in
        [("criu 1", vec![]), ("criu 12", vec![key.clone()]), ("", vec![key.clone()])]
    {
        world.make(&world.start("criu 1", std::slice::from_ref(&key)), 3);
        assert_eq!(world.count(), 1);
        let snapshots = world.start(machinery, &versions);
        assert!(snapshots.find(&world.version, None).is_none(), "{machinery}");
        assert_eq!(world.count(), 0, "{machinery}");
        assert_eq!(snapshots.wants(&world.version), !machinery.is_empty());
    }
}

#[test]
fn a_deleted_version_has_none_and_gets_none() {
    let world = World::new();
    let snapshots = world.start("criu", &[]);
    world.make(&snapshots, 1);
    snapshots.forget(&world.version.key, Some(Version::Number(6)));
    assert_eq!(world.count(), 1);
    snapshots.forget(&world.version.key, Some(Version::Number(7)));
    assert_eq!(world.count(), 0);
    // It is deleted while somebody makes one.
    let turn = snapshots.claim(&world.version).unwrap();
    let unfinished = turn.begin(&id(2), 0).unwrap();
    snapshots.forget(&world.version.key, None);
    turn.keep((unfinished, 0), None).unwrap();
    assert_eq!(world.count(), 0);
    assert!(snapshots.find(&world.version, None).is_none());
}

#[test]
fn those_used_longest_ago_make_room() {
    let world = World::new();
    let snapshots = world.start("criu", &[]);
    let version = |number: u64| {
        let mut version = world.version.clone();
        version.version = Version::Number(number);
        version
    };
    let make = |number: u64, bytes: u64| {
        world.now.fetch_add(1, Ordering::Relaxed);
        let turn = snapshots.claim(&version(number)).unwrap();
        let unfinished = turn.begin(&id(number.into()), 0).unwrap();
        turn.keep((unfinished, bytes), None).unwrap();
    };
    let there =
        || -> Vec<u64> { (1..=5).filter(|number| !snapshots.wants(&version(*number))).collect() };
    let half = limits::SNAPSHOTS_BYTES_MAX / 2;
    make(1, half);
    make(2, half);
    assert_eq!(there(), [1, 2]);
    // It is used again, so the other one goes; what went is wanted again.
    world.now.fetch_add(1, Ordering::Relaxed);
    let used = snapshots.find(&version(1), None).unwrap();
    make(3, 1);
    assert_eq!((there(), world.count()), (vec![1, 3], 2));
    // The newest stays, however large it is, and what is in use goes with its last user.
    make(4, half * 3);
    assert_eq!((there(), world.count()), (vec![4], 2));
    drop(used);
    assert_eq!(world.count(), 1);
}
