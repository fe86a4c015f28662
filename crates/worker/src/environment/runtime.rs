//! The runtime's side of an environment: its request state, its parked `next`, its connections.
//!
//! Replaced as a whole when the runtime is started anew, so that nothing an earlier process sent can
//! be taken for the new one's.

use dormouse_model::limits::INVOKE_RESPONSE_BYTES;
use dormouse_runtime_api::limits::CONNECTIONS;
use dormouse_runtime_api::{
    Call, Collected, Delivery, ParkedNext, ParkedRestore, Progress, Refusal, Request,
    ResponseStream, RuntimeState, serve,
};
use dormouse_sandbox::Connection;
use tokio::sync::{mpsc, oneshot};
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
    parked_restore: ParkedRestore,
    calls: mpsc::Receiver<Call>,
    sender: mpsc::Sender<Call>,
    connections: JoinSet<()>,
}

impl Runtime {
    /// A process that has not said anything: one that was started, or a restored one, whose first
    /// word is `restore/next` again.
    pub(super) fn new(state: RuntimeState) -> Self {
        let (sender, calls) = mpsc::channel(CALLS);
        Self {
            state,
            parked: ParkedNext::default(),
            parked_restore: ParkedRestore::default(),
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

    /// Reads a streamed response beside the owner and hands it on as a buffered one. It takes its
    /// place among the calls before it reads, as a buffered one does: that bounds how many there are.
    pub(super) fn collect(
        &mut self,
        request: String,
        body: ResponseStream,
        reply: oneshot::Sender<Result<(), Refusal>>,
    ) {
        let calls = self.sender.clone();
        self.connections.spawn(async move {
            let Ok(place) = calls.reserve_owned().await else {
                return;
            };
            match body.collect(INVOKE_RESPONSE_BYTES).await {
                Collected::Whole(body, _) => {
                    place.send(Call::Response { request, body, content_type: None, reply });
                }
                Collected::Truncated => {
                    place.send(Call::Truncated { request, reply });
                }
                Collected::TooLarge(size_bytes) => {
                    // To the runtime it is a stream, which may be larger: it is told otherwise here.
                    let (verdict, accepted) = oneshot::channel();
                    place.send(Call::TooLarge { request, size_bytes, reply: verdict });
                    let limit_bytes = INVOKE_RESPONSE_BYTES as u64;
                    let too_large = Refusal::RequestEntityTooLarge { limit_bytes };
                    if let Ok(verdict) = accepted.await {
                        let _ = reply.send(verdict.and(Err(too_large)));
                    }
                }
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
    pub(super) fn park(&mut self, reply: oneshot::Sender<Result<Delivery, Refusal>>) {
        self.parked.park(reply);
    }

    /// Parks a call of `restore/next`. A runtime that was released and asks again missed the answer:
    /// it gets it at once.
    pub(super) fn park_restore(&mut self, reply: oneshot::Sender<Result<(), Refusal>>) {
        match self.state {
            RuntimeState::Restoring => drop(reply.send(Ok(()))),
            _ => self.parked_restore.park(reply),
        }
    }

    /// Lets the runtime go on from its restore point.
    pub(super) fn release(&mut self) {
        self.progress(Progress::Released);
        self.parked_restore.release();
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
