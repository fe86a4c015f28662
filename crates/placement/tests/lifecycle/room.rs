//! Limits on how many run at once, and a machine that holds fewer environments than are wanted.

use std::sync::Arc;
use std::time::Duration;

use dormouse_model::invocation::ErrorOf;
use dormouse_placement::{FunctionClaim, InvokeError};
use tokio::task::JoinSet;

use crate::world::{PATIENCE, World};
use crate::{LONG, world};

/// A machine that holds two environments that run.
async fn cramped() -> Arc<World> {
    Arc::new(World::of(Arc::new(|| "well"), LONG, 256).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_that_nobody_claims_is_taken_the_next_caller_is_refused() {
    let world = Arc::new(world().await);
    let other = world.function("other").key.clone();
    let claim = FunctionClaim { reserved: Some(900), ..FunctionClaim::default() };
    world.placement.claim(&other, claim).await;
    let lasting = world.lasting();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (world, lasting) = (world.clone(), lasting.clone());
        callers.spawn(async move { world.invoke_version(&lasting, "\"hang\"").await });
    }
    let all = async {
        while world.fake.live() < 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("each has its environment");
    assert_eq!(world.invoke("1").await, Err(InvokeError::Throttled));
    world.placement.drain(Duration::ZERO).await;
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap().unwrap().error, Some(ErrorOf::Platform));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_functions_than_fit_are_all_served_and_the_longest_idle_makes_room() {
    let world = cramped().await;
    for round in 0..3 {
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
            let event = format!("\"{name}{round}\"");
            let answer = world.invoke_version(&world.function(name), &event).await.unwrap();
            assert_eq!(answer.payload, event);
        }
    }
    let ended: Vec<_> = world.lives().await.into_iter().filter_map(|life| life.ended).collect();
    assert!(!ended.is_empty() && ended.iter().all(|it| it.cause == "evicted"), "{ended:?}");
    let used = world.placement.memory();
    assert!(used.used_mb <= used.total_mb && used.waiting == 0, "{used:?}");
    Arc::into_inner(world).expect("nobody calls any more").drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_several_functions_at_once_share_what_there_is() {
    let world = cramped().await;
    let mut callers = JoinSet::new();
    for caller in 0..120 {
        let world = world.clone();
        callers.spawn(async move {
            let function = world.function(["a", "b", "c", "d"][caller % 4]);
            (caller, world.invoke_version(&function, &caller.to_string()).await)
        });
    }
    while let Some(answered) = callers.join_next().await {
        let (caller, answer) = answered.unwrap();
        assert_eq!(answer.unwrap().payload, caller.to_string());
    }
    Arc::into_inner(world).expect("nobody calls any more").drain_and_read_logs().await;
}
