//! The way of log lines to the store: off every caller's path, bounded, fair.
//!
//! An environment gathers its own lines and hands them over as one batch. When the store is slow
//! the hand-over is refused and the environment keeps its lines, up to its own bound, and then drops
//! and counts them: a flood costs only the function that makes it.

use dormouse_model::clock::Clock;
use dormouse_store::logs::{Event, Logs, StreamKey};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

/// Batches that may wait for the store; past it environments keep their lines.
const BATCHES: usize = 64;

#[derive(Debug)]
struct Batch {
    destination: StreamKey,
    events: Vec<Event>,
}

/// The handle: takes batches.
#[derive(Debug, Clone)]
pub struct LogSink {
    batches: mpsc::Sender<Batch>,
}

impl LogSink {
    /// Starts the owner in `tasks`. It ends when every handle is gone and all is stored.
    #[must_use]
    pub fn start(store: Logs, clock: Clock, tasks: &mut JoinSet<()>) -> Self {
        let (batches, inbox) = mpsc::channel(BATCHES);
        tasks.spawn(run(store, clock, inbox));
        Self { batches }
    }

    /// Hands over a batch, or gives it back when there is no room now.
    ///
    /// # Errors
    /// The batch itself.
    pub fn offer(&self, destination: &StreamKey, events: Vec<Event>) -> Result<(), Vec<Event>> {
        let batch = Batch { destination: destination.clone(), events };
        self.batches.try_send(batch).map_err(|refused| refused.into_inner().events)
    }

    /// Hands over a batch and waits for room: for the last lines of an environment.
    pub async fn send(&self, destination: &StreamKey, events: Vec<Event>) {
        let batch = Batch { destination: destination.clone(), events };
        // The sink outlives every environment; at worst the process is ending.
        let _ = self.batches.send(batch).await;
    }
}

async fn run(store: Logs, clock: Clock, mut inbox: mpsc::Receiver<Batch>) {
    let mut gathered = Vec::with_capacity(BATCHES);
    while inbox.recv_many(&mut gathered, BATCHES).await > 0 {
        let now = clock.wall_ms();
        for Batch { destination, events } in gathered.drain(..) {
            if let Err(error) = store.append(&destination, events, now).await {
                warn!(%error, stream = destination.name, "log lines lost");
            }
        }
    }
}
