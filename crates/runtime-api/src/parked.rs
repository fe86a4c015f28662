//! The calls that wait: of `next` for an event, a runtime's and an extension's, and of `restore/next`
//! for the release. Owned by the environment's owner; knows no state.

use tokio::sync::oneshot;

use crate::call::Delivery;
use crate::extension::ExtensionEvent;
use crate::extension_refusal::ExtensionRefusal;
use crate::limits;
use crate::refusal::Refusal;
use crate::state::RuntimeState;

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;
type ExtensionReply = oneshot::Sender<Result<ExtensionEvent, ExtensionRefusal>>;

/// The parked calls of `next`, bounded. The newest is answered first: an older one may belong to a
/// connection that died without our having noticed yet.
///
/// # Was an event really delivered?
///
/// A connection that dies drops the receiver of its reply, so sending to it fails and
/// [`ParkedNext::deliver`] tries the next one, then gives the event back: it was not seen by anyone,
/// and the next `next` gets it. Three windows remain in which sending succeeds though the runtime
/// never reads the event: the connection task has taken the reply but not yet written it; the bytes
/// are in the socket's buffer when the process dies; and a client that sent more bytes behind its
/// `next` and then died, since the end of a connection is only seen behind all that was read. The
/// process's end closes them if it died. If it only lost the connection, it calls `next` again while
/// `Running`, and [`RuntimeState::apply`] allows that: answer it with the same event. So an event is
/// delivered at least once to a runtime that goes on asking; the owner keeps it until the response.
#[derive(Debug, Default)]
pub struct ParkedNext {
    waiting: Vec<Reply<Delivery>>,
}

impl ParkedNext {
    /// Parks a call. Past [`limits::PARKED_NEXT`] live ones it is refused at once.
    pub fn park(&mut self, reply: Reply<Delivery>) {
        park(&mut self.waiting, reply, RuntimeState::Ready { last: None }.name());
    }

    /// Answers the newest live call with the event.
    ///
    /// # Errors
    /// Gives the event back if no parked call is alive.
    #[expect(clippy::result_large_err, reason = "the caller gets back what it moved in")]
    pub fn deliver(&mut self, delivery: Delivery) -> Result<(), Delivery> {
        let mut undelivered = delivery;
        while let Some(reply) = self.waiting.pop() {
            match reply.send(Ok(undelivered)) {
                Ok(()) => return Ok(()),
                Err(returned) => {
                    undelivered = returned.expect("what comes back is the event that was sent");
                }
            }
        }
        Err(undelivered)
    }

    /// Whether a live call waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.iter().any(|reply| !reply.is_closed())
    }
}

/// Parks a call among the live ones, if there is room; if not it is refused, as one that changes
/// nothing in this state.
fn park<T>(waiting: &mut Vec<Reply<T>>, reply: Reply<T>, state: &'static str) {
    waiting.retain(|parked| !parked.is_closed());
    if waiting.len() < limits::PARKED_NEXT {
        waiting.push(reply);
        return;
    }
    // A receiver that is gone needs no refusal.
    let _ = reply.send(Err(Refusal::InvalidStateTransition { from: state, to: state }));
}

/// The parked calls of `restore/next`, bounded. More than one only while connections die: all are
/// answered alike, and whoever misses the answer asks again.
#[derive(Debug, Default)]
pub struct ParkedRestore {
    waiting: Vec<Reply<()>>,
}

impl ParkedRestore {
    /// Parks a call. Past [`limits::PARKED_NEXT`] live ones it is refused at once.
    pub fn park(&mut self, reply: Reply<()>) {
        park(&mut self.waiting, reply, RuntimeState::RestoreReady.name());
    }

    /// Lets all of them go on.
    pub fn release(&mut self) {
        for reply in self.waiting.drain(..) {
            // One whose connection is gone asks again.
            let _ = reply.send(Ok(()));
        }
    }
}

/// The parked call of `next` of one extension. There is one at most:
/// [`crate::ExtensionRequest::Next`] says whether it still waits, and a second one is refused while it
/// does.
///
/// An extension that lost its connection with an event in it calls `next` again, which says that it is
/// done: AWS cannot tell either. So an event is delivered at most once.
#[derive(Debug, Default)]
pub struct ParkedEvent {
    waiting: Option<ExtensionReply>,
}

impl ParkedEvent {
    /// Parks a call, in the place of one whose connection is gone.
    pub fn park(&mut self, reply: ExtensionReply) {
        self.waiting = Some(reply);
    }

    /// Answers the parked call with the event.
    ///
    /// # Errors
    /// Gives the event back if no live call is parked: the next `next` is to get it.
    pub fn deliver(&mut self, event: ExtensionEvent) -> Result<(), ExtensionEvent> {
        let Some(reply) = self.waiting.take() else {
            return Err(event);
        };
        reply
            .send(Ok(event))
            .map_err(|returned| returned.expect("what comes back is the event that was sent"))
    }

    /// Whether a live call waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}
