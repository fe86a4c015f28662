//! The runtime's side of an environment: its request state, its parked `next`, its connections.
//!
//! Replaced as a whole when the runtime is started anew, so that nothing an earlier process sent can
//! be taken for the new one's.

use dormouse_runtime_api::limits::CONNECTIONS;
use dormouse_runtime_api::{
    Call, Delivery, ParkedNext, Progress, Refusal, Request, RuntimeState, serve,
};
use dormouse_sandbox::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

/// Calls that may wait for the owner; further connections wait, each has at most one call out. A
/// call may hold a whole response, so this bounds what user code can make the host keep.
const CALLS: usize = 4;

/// One runtime process's conversation.
#[derive(Debug)]
pub(super) struct Runtime {
    state: RuntimeState,
    parked: ParkedNext,
    calls: mpsc::Receiver<Call>,
    sender: mpsc::Sender<Call>,
    connections: JoinSet<()>,
}

impl Runtime {
    /// A runtime that has not said anything.
    pub(super) fn new() -> Self {
        let (sender, calls) = mpsc::channel(CALLS);
        Self {
            state: RuntimeState::default(),
            parked: ParkedNext::default(),
            calls,
            sender,
            connections: JoinSet::new(),
        }
    }

    /// Serves a connection that the runtime opened.
    pub(super) fn connect(&mut self, connection: Connection) {
        while self.connections.try_join_next().is_some() {}
        if self.connections.len() >= CONNECTIONS {
            debug!("too many runtime connections; this one is closed");
            return;
        }
        let calls = self.sender.clone();
        self.connections.spawn(async move {
            if let Err(error) = serve(connection, calls).await {
                debug!(%error, "runtime connection ended");
            }
        });
    }

    /// The next call.
    pub(super) async fn call(&mut self) -> Call {
        self.calls.recv().await.expect("a sender is kept beside the receiver")
    }

    /// Whether a request is allowed now; if so the state moves on.
    pub(super) fn admit(&mut self, request: Request<'_>) -> Result<(), Refusal> {
        self.state = self.state.apply(request)?;
        Ok(())
    }

    /// Something the owner did.
    pub(super) fn progress(&mut self, progress: Progress) {
        match self.state.progress(progress) {
            Ok(state) => self.state = state,
            Err(refusal) => debug!(%refusal, "runtime state out of step"),
        }
    }

    /// Parks a call of `next`.
    pub(super) fn park(&mut self, reply: tokio::sync::oneshot::Sender<Result<Delivery, Refusal>>) {
        self.parked.park(reply);
    }

    /// Answers a parked `next`. When none is alive the event waits for the next one.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let request = delivery.request_id.clone();
        self.progress(Progress::Delivered(request));
        if self.parked.deliver(delivery).is_err() {
            debug!("no parked next is alive; the runtime will ask again or end");
        }
    }
}
