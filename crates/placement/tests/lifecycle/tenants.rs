//! Functions that keep tenants apart: each tenant has environments of its own.

use std::sync::Arc;
use std::time::Duration;

use dormouse_placement::InvokeError;

use crate::world;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_environments_of_its_own() {
    let world = world().await;
    for tenant in ["a", "b", "a", "b", "a"] {
        assert_eq!(&world.invoke_for(tenant, "1").await.unwrap().payload[..], b"1");
    }
    assert_eq!(world.lives().await.len(), 2);
    // A function that does not keep them apart has one for all.
    world.invoke("1").await.unwrap();
    world.invoke("1").await.unwrap();
    assert_eq!(world.lives().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_ends_with_its_last_environment_loses_no_caller() {
    let world = World::new(Arc::new(|| "well"), Duration::ZERO).await;
    for round in 0..40 {
        let tenant = if round % 2 == 0 { "a" } else { "b" };
        let answer = loop {
            match world.invoke_for(tenant, "1").await {
                // It ended between the look and the call; the caller looks again.
                Err(InvokeError::Superseded) => {}
                answer => break answer.unwrap(),
            }
        };
        assert_eq!(&answer.payload[..], b"1");
    }
    assert!(world.lives().await.len() > 2, "none ended between two calls: nothing was shown");
}
