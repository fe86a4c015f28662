//! Environments that are kept ready: made before anybody calls, replaced when they end, and let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dormouse_model::concurrency::{Allocation, AllocationFailure};
use dormouse_model::environment::Cause;
use dormouse_placement::{FunctionClaim, InvokeError};
use dormouse_worker::lives::Phase;

use crate::world::{PATIENCE, World};
use crate::{LONG, mask, world};

impl World {
    /// Has so many environments kept ready, within a reservation if there is one.
    async fn provision(&self, reserved: Option<u32>, places: u32) {
        let version = self.version(1);
        let provisioned = if places > 0 { vec![(version.clone(), places)] } else { vec![] };
        self.placement.claim(&version.key, FunctionClaim { reserved, provisioned }).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn(Allocation) -> bool) {
        let version = self.version(1);
        let is_so = async {
            while !is_so(self.placement.allocation(&version)) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, is_so).await;
        waited.unwrap_or_else(|_| panic!("{what}: {:?}", self.placement.allocation(&version)));
    }

    async fn until_ready(&self, places: u32) {
        let ready = |it: Allocation| it.ready == places && it.failure.is_none();
        self.until(&format!("{places} are ready"), ready).await;
    }

    /// Why each environment was made, for what, and why it ended.
    pub(crate) async fn told(&self) -> Vec<String> {
        let lives = self.lives().await.into_iter();
        lives
            .map(|life| {
                let ended = life.ended.map_or("alive", |ended| ended.cause);
                let birth = life.birth;
                format!("{} {} {ended}", birth.cold_reason, birth.initialization_type)
            })
            .collect()
    }

    pub(crate) async fn until_told(&self, expected: &[&str]) {
        let so = async {
            while self.told().await != expected {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, so).await.is_err() {
            assert_eq!(self.told().await, expected);
        }
    }
}

const KEPT: &str = "provisioned provisioned-concurrency alive";

/// Behaves as the first words say, one a start, and well after them; and how many have started.
pub(crate) async fn booting(first: &'static [&'static str]) -> (World, Arc<AtomicUsize>) {
    let starts: Arc<AtomicUsize> = Arc::default();
    let counted = starts.clone();
    let boot = move || *first.get(counted.fetch_add(1, Ordering::Relaxed)).unwrap_or(&"well");
    (World::new(Arc::new(boot), LONG).await, starts)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_provisioned_is_initialised_before_anybody_calls() {
    let world = world().await;
    world.provision(None, 2).await;
    world.until_ready(2).await;
    for _ in 0..3 {
        assert_eq!(&world.invoke("1").await.unwrap().payload[..], b"1");
    }
    assert_eq!(world.told().await, [KEPT, KEPT]);
    let logs = world.drain_and_read_logs().await;
    let reported = "INIT_REPORT Init Duration: _ ms\tPhase: init\tStatus: success\n";
    for log in &logs {
        assert_eq!(mask(log).matches(reported).count(), 1, "{log:?}");
    }
    let served = logs.iter().find(|log| log.iter().any(|line| line.starts_with("START")));
    let masked = mask(served.unwrap());
    let (before, after) = masked.split_once("\nSTART").unwrap();
    assert!(before.ends_with(reported.trim_end()), "{masked}");
    assert_eq!(
        after.matches("Init Duration: _ ms").count(),
        1,
        "the first REPORT has it\n{masked}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_are_provisioned_for_get_environments_of_their_own() {
    let world = world().await;
    world.provision(None, 1).await;
    world.until_ready(1).await;
    let (a, b) = tokio::join!(world.invoke("\"sleep\""), world.invoke("\"sleep\""));
    assert_eq!(
        (&a.unwrap().payload[..], &b.unwrap().payload[..]),
        (&b"\"slept\""[..], &b"\"slept\""[..])
    );
    assert_eq!(world.told().await, [KEPT, "scale-out on-demand alive"]);
    // What is provisioned goes first, if it is free: answers come before an environment is.
    world.until_lives(|life| life.phase == Phase::Frozen).await;
    world.invoke("1").await.unwrap();
    let lives = world.lives().await;
    assert_eq!(lives.iter().map(|life| life.invocations).collect::<Vec<_>>(), [2, 1]);
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_every_reserved_place_taken_is_refused() {
    let world = world().await;
    world.provision(Some(1), 1).await;
    world.until_ready(1).await;
    let (a, b) = tokio::join!(world.invoke("\"sleep\""), world.invoke("\"sleep\""));
    let refused = [a, b].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused, [InvokeError::ReservedUsedUp]);
    assert_eq!(world.told().await, [KEPT]);
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_crashed_is_replaced_before_the_next_caller_comes() {
    let world = world().await;
    world.provision(None, 1).await;
    world.until_ready(1).await;
    assert!(world.invoke("\"exit 3\"").await.unwrap().error.is_some());
    world.until_told(&["provisioned provisioned-concurrency crashed", KEPT]).await;
    world.until_ready(1).await;
    assert_eq!(&world.invoke("1").await.unwrap().payload[..], b"1");
    let lives = world.lives().await;
    assert_eq!(lives[1].invocations, 1);
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_fails_is_told_and_tried_again() {
    let (world, _) = booting(&["init error"]).await;
    world.provision(None, 1).await;
    let failed = |it: Allocation| it.failure == Some(AllocationFailure::Init);
    world.until("it has failed", failed).await;
    world.until_ready(1).await;
    assert_eq!(world.told().await, ["provisioned provisioned-concurrency init-failed", KEPT]);
    let logs = world.drain_and_read_logs().await;
    assert!(mask(&logs[0]).contains("Phase: init\tStatus: error\tError Type: Runtime.Unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_cannot_be_made_is_told_and_costs_no_caller_his_answer() {
    let world = world().await;
    world.fake.refuse_next("clone");
    world.provision(None, 1).await;
    let failed = |it: Allocation| it.failure == Some(AllocationFailure::Sandbox);
    world.until("it has failed", failed).await;
    assert_eq!(&world.invoke("1").await.unwrap().payload[..], b"1");
    world.until_ready(1).await;
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_an_init_that_takes_its_time() {
    let (world, starts) = booting(&["hang"]).await;
    world.provision(None, 1).await;
    // It is the first to start, and so the one that hangs.
    let begun = async {
        while starts.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("it is being made");
    assert_eq!(&world.invoke("1").await.unwrap().payload[..], b"1");
    assert_eq!(world.told().await, [KEPT, "scale-out on-demand alive"]);
    assert_eq!(world.placement.allocation(&world.version(1)).ready, 0);
    // It ends at once when it is not wanted any more, however long it might still take.
    world.provision(None, 0).await;
    let released = "provisioned provisioned-concurrency released";
    world.until_told(&[released, "scale-out on-demand alive"]).await;
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_wanted_any_more_ends_when_it_has_nothing_to_do() {
    let world = world().await;
    world.provision(None, 2).await;
    world.until_ready(2).await;
    let (answer, ()) = tokio::join!(world.invoke("\"sleep\""), async {
        let busy = async {
            while world.lives().await.iter().all(|life| life.invocations == 0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, busy).await.expect("it runs");
        world.provision(None, 0).await;
        assert_eq!(world.placement.allocation(&world.version(1)), Allocation::default());
    });
    assert_eq!(&answer.unwrap().payload[..], b"\"slept\"");
    let released = "provisioned provisioned-concurrency released";
    world.until_told(&[released, released]).await;
    assert_eq!(&world.invoke("1").await.unwrap().payload[..], b"1");
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_retired_keeps_nothing_ready() {
    let world = world().await;
    world.provision(None, 3).await;
    world.until_ready(3).await;
    world.placement.retire(&world.version(1).key, None, Cause::Update).await;
    let gone = "provisioned provisioned-concurrency update";
    world.until_told(&[gone, gone, gone]).await;
    assert_eq!(world.fake.live(), 0);
    world.drain_and_read_logs().await;
}
