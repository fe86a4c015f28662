//! When access keys were last used: told by every request, written down beside them.
//!
//! A request never waits for it. Uses of one key within a minute are one, as IAM too tells them
//! only roughly.

use std::collections::HashMap;

use dormouse_identity::account_of;
use dormouse_model::limits;
use dormouse_store::iam::{AccessKeys, KeyUse};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::error;

use crate::caller::Caller;

/// Between two notes of one key (ours).
const EVERY_MS: u64 = 60_000;

/// The handle.
#[derive(Debug, Clone)]
pub(crate) struct KeyUses {
    told: mpsc::Sender<(String, KeyUse)>,
}

impl KeyUses {
    /// Starts what writes uses down, in `tasks`; it ends with its last handle.
    pub(crate) fn start(keys: AccessKeys, tasks: &mut JoinSet<()>) -> Self {
        let (told, inbox) = mpsc::channel(limits::KEY_USES_WAITING);
        tasks.spawn(write_down(keys, inbox));
        Self { told }
    }

    /// A request was made with the caller's key.
    pub(crate) fn tell(&self, caller: &Caller, now_ms: u64) {
        let Some((key, service)) = caller.key.as_ref() else { return };
        // Keys of users that were made here; nobody waits for a look-up to be sure of it.
        if !key.starts_with("AKIA") || account_of(key).is_none() {
            return;
        }
        let region = caller.scope.region.to_string();
        let it = KeyUse { at_ms: now_ms, service: service.clone(), region };
        // When the writer cannot follow, this use is not told; a later one is.
        let _ = self.told.try_send((key.clone(), it));
    }
}

async fn write_down(keys: AccessKeys, mut inbox: mpsc::Receiver<(String, KeyUse)>) {
    let mut written: HashMap<String, KeyUse> = HashMap::new();
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, limits::KEY_USES_WAITING).await > 0 {
        let fresh: HashMap<String, KeyUse> =
            batch.drain(..).filter(|(key, it)| is_new(written.get(key), it)).collect();
        if fresh.is_empty() {
            continue;
        }
        // What is forgotten here is at worst written once more.
        if written.len() > limits::KEY_USES_WAITING {
            written.clear();
        }
        written.extend(fresh.iter().map(|(key, it)| (key.clone(), it.clone())));
        if let Err(fault) = keys.used(fresh.into_iter().collect()).await {
            error!(error = %fault, "uses of access keys are not written down");
        }
    }
}

fn is_new(last: Option<&KeyUse>, it: &KeyUse) -> bool {
    last.is_none_or(|last| {
        it.at_ms >= last.at_ms.saturating_add(EVERY_MS)
            || (&it.service, &it.region) != (&last.service, &last.region)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_noted_once_a_minute_for_each_service_and_region() {
        let use_at = |at_ms, service: &str| KeyUse {
            at_ms,
            service: service.into(),
            region: "us-east-1".into(),
        };
        let last = use_at(1_000, "iam");
        assert!(is_new(None, &last));
        assert!(!is_new(Some(&last), &use_at(60_999, "iam")));
        assert!(is_new(Some(&last), &use_at(61_000, "iam")));
        assert!(is_new(Some(&last), &use_at(1_001, "sqs")));
    }
}
