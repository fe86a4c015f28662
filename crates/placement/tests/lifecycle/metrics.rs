//! What invocations come to in metrics, whatever ends them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dormouse_model::metrics::{Metric, Outcome, Period, Start, Summary};
use dormouse_placement::{FunctionClaim, InvokeError};
use dormouse_store::metrics::ValuesQuery;

use crate::world::World;
use crate::{LONG, world};

/// All values of a metric of the function `f`, which are settled first.
async fn of_function(world: &World, name: &str) -> Option<Summary> {
    world.placement.meter().settle().await;
    let dimensions = BTreeMap::from([("FunctionName".to_owned(), "f".to_owned())]);
    let scope = world.version(1).key.scope.clone();
    let query = ValuesQuery {
        metric: Metric { scope, namespace: "AWS/Lambda".into(), name: name.into(), dimensions },
        between_s: 0..1 << 40,
        period: Period::of_s(60 << 34).unwrap(),
        unit: None,
    };
    let values = world.store.metrics().values(vec![query]).await.unwrap().remove(0);
    values.into_values().flatten().map(|bucket| bucket.summary).next()
}

async fn sum(world: &World, name: &str) -> f64 {
    of_function(world, name).await.map_or(0.0, |summary| summary.sum)
}

/// Outcomes and how often each was.
async fn outcomes(world: &World) -> BTreeMap<(Outcome, Start), u64> {
    let seen = world.placement.meter().look().await;
    assert_eq!(seen.lost, 0);
    seen.totals.into_iter().flat_map(|(_, totals)| totals.invocations).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_invocation_is_counted_once_with_how_it_ended() {
    let world = world().await;
    let events =
        ["\"a\"", "\"b\"", "\"error\"", "\"exit\"", "\"hang\"", "\"answer and exit\"", "\"c\""];
    for event in events {
        let _ = world.invoke(event).await.unwrap();
    }
    let outcomes = outcomes(&world).await;
    // One that is being reset is not waited for: a second environment may have begun cold, too.
    let of = |wanted: Outcome| -> u64 {
        outcomes.iter().filter(|((outcome, _), _)| *outcome == wanted).map(|(_, count)| count).sum()
    };
    assert!((1..=3).contains(&outcomes[&(Outcome::Success, Start::Cold)]), "{outcomes:?}");
    assert_eq!((of(Outcome::FunctionError), of(Outcome::Timeout)), (1, 1));
    assert_eq!(outcomes.values().sum::<u64>(), 7);
    let errors = outcomes.iter().filter(|((outcome, _), _)| outcome.is_error());
    let errors: u64 = errors.map(|(_, count)| count).sum();
    assert_eq!(sum(&world, "Invocations").await, 7.0);
    assert_eq!(sum(&world, "Errors").await, errors as f64);
    assert!((3..=4).contains(&errors), "{outcomes:?}");
    assert_eq!(sum(&world, "Throttles").await, 0.0);
    let duration = of_function(&world, "Duration").await.unwrap();
    assert_eq!(duration.samples, 7.0);
    assert!((1_000.0..5_000.0).contains(&duration.maximum), "{duration:?}");
    let at_once = of_function(&world, "ConcurrentExecutions").await.unwrap();
    assert_eq!((at_once.minimum, at_once.maximum), (1.0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_throttled_and_not_invoked() {
    let world = world().await;
    let claim = FunctionClaim { reserved: Some(0), ..FunctionClaim::default() };
    world.placement.claim(&world.version(1).key, claim).await;
    for _ in 0..3 {
        assert_eq!(world.invoke("1").await, Err(InvokeError::SwitchedOff));
    }
    assert_eq!(sum(&world, "Throttles").await, 3.0);
    assert_eq!(of_function(&world, "Invocations").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_at_once_is_counted() {
    let world = world().await;
    let (a, b, c) = tokio::join!(
        world.invoke("\"sleep\""),
        world.invoke("\"sleep\""),
        world.invoke("\"sleep\"")
    );
    assert!([a, b, c].iter().all(Result::is_ok));
    let at_once = of_function(&world, "ConcurrentExecutions").await.unwrap();
    assert_eq!(at_once.maximum, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_fails_is_counted_with_its_invocation() {
    let started = Arc::new(AtomicUsize::new(0));
    let boot = move || match started.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => "init error",
        _ => "well",
    };
    let world = World::new(Arc::new(boot), LONG).await;
    assert!(world.invoke("\"a\"").await.unwrap().error.is_some());
    assert!(world.invoke("\"b\"").await.unwrap().error.is_none());
    let outcomes = outcomes(&world).await;
    assert_eq!(outcomes.values().sum::<u64>(), 2, "{outcomes:?}");
    let failed = |(outcome, _): &(Outcome, Start)| *outcome == Outcome::InitError;
    assert_eq!(outcomes.keys().filter(|key| failed(key)).count(), 1, "{outcomes:?}");
    let duration = of_function(&world, "Duration").await.unwrap();
    assert!(duration.maximum < Duration::from_secs(10).as_secs_f64() * 1e3);
}
