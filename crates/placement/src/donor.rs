//! An environment that is made for a snapshot of its version: it gets room like any other, initialises once
//! and ends. Nobody leases it, so it has no place in the version's book.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::clock::Clock;
use dormouse_model::environment::{Cause, Failure};
use dormouse_model::function::ResolvedVersion;
use dormouse_model::limits;
use dormouse_worker::Worker;
use dormouse_worker::capacity::{Asked, Member, Place};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// Why it is not known whether a version initialises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDonated {
    /// The server stops, or nobody wants to know any more.
    #[error("it is not wanted any more")]
    Unwanted,
    /// There has been no room for the environment.
    #[error("there was no room for the environment")]
    NoRoom,
    /// The environment could not be made, or was lost.
    #[error("the environment could not be made or was lost")]
    Sandbox,
}

/// How the Init went: `None` if well.
pub(crate) type Donated = Result<Option<Failure>, NotDonated>;

/// What is made.
#[derive(Debug)]
pub(crate) struct Donor {
    pub(crate) worker: Worker,
    pub(crate) version: Arc<ResolvedVersion>,
    pub(crate) clock: Clock,
    /// Closed when the server stops.
    pub(crate) stop: watch::Receiver<()>,
}

impl Donor {
    /// Runs until the environment is gone; it ends early when nobody waits for the reply any more.
    pub(crate) async fn run(mut self, mut reply: oneshot::Sender<Donated>) {
        let donated = self.donate(&mut reply).await;
        // Who asked may have gone.
        let _ = reply.send(donated);
    }

    async fn donate(&mut self, reply: &mut oneshot::Sender<Donated>) -> Donated {
        let memory_mb = self.version.deployment.configuration.memory_mb;
        let mut member = self.worker.capacity().join(self.version.key.clone(), memory_mb);
        let place = tokio::select! {
            () = reply.closed() => return Err(NotDonated::Unwanted),
            _ = self.stop.changed() => return Err(NotDonated::Unwanted),
            place = room(&mut member, &self.clock) => place.ok_or(NotDonated::NoRoom)?,
        };
        place.is_busy();
        let (environment, mut initialised, life) = self.worker.donor(self.version.clone());
        let mut life = pin!(life);
        let unwanted = tokio::select! {
            () = &mut life => None,
            () = reply.closed() => Some(Cause::Update),
            _ = self.stop.changed() => Some(Cause::Shutdown),
        };
        if let Some(cause) = unwanted {
            environment.kill(cause);
            life.await;
            return Err(NotDonated::Unwanted);
        }
        // It says nothing when it ended before it could know.
        initialised.try_recv().map_err(|_| NotDonated::Sandbox)
    }
}

/// Room for it, if there is some in time.
async fn room(member: &mut Member, clock: &Clock) -> Option<Place> {
    let granted = async {
        loop {
            match member.ask(clock.now()) {
                Asked::Granted(place) => return Some(place),
                Asked::Never => return None,
                Asked::Wait => member.rings().await,
            }
        }
    };
    let place = timeout(Duration::from_millis(limits::ROOM_WAIT_MS), granted).await;
    place.ok().flatten()
}
