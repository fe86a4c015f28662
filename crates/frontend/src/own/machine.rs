//! `machine`: what this machine has for environments, and what stands by, as JSON.

use bytes::Bytes;
use dormouse_placement::{MemoryUse, StandbyLevel};
use http::{Response, StatusCode};
use serde::Serialize;

use super::typed;
use crate::context::Inner;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    /// Megabytes that all environments together may use.
    capacity_mb: u64,
    /// Megabytes that they count for.
    used_mb: u64,
    /// Versions of functions that wait for some.
    waiting: usize,
    standby: Vec<Standing>,
}

/// The sandboxes of one kind that stand by.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    kind: String,
    standing: usize,
    target: usize,
    hits: u64,
    misses: u64,
}

/// Answers it.
pub(super) async fn answer(inner: &Inner) -> Response<Bytes> {
    let standby = inner.placement.standby().look().await;
    let machine = of(inner.placement.memory(), standby);
    match serde_json::to_vec(&machine) {
        Ok(text) => typed(StatusCode::OK, "application/json", text.into()),
        Err(_) => {
            typed(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", Bytes::new())
        }
    }
}

fn of(memory: MemoryUse, standby: Vec<StandbyLevel>) -> Machine {
    let MemoryUse { total_mb, used_mb, waiting } = memory;
    let standing = |StandbyLevel { kind, standing, target, hits, misses }| Standing {
        kind: kind.to_string(),
        standing,
        target,
        hits,
        misses,
    };
    let standby = standby.into_iter().map(standing).collect();
    Machine { capacity_mb: total_mb, used_mb, waiting, standby }
}
