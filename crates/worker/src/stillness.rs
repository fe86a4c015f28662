//! When the daemon has nothing else to do: the time to freeze environments.
//!
//! To freeze and to thaw is to wake every process of an environment, twice. Under load the next event
//! is microseconds away and the daemon short of time, so an environment without work is frozen once no
//! environment of the daemon has had any for two turns of its loop, or after [`limits::FREEZE_US`]. A
//! daemon with a single caller is still at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_model::clock::Clock;
use dormouse_model::limits;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// What is there to be read in the first turn has become an environment's work by the end of the next.
const TURNS: u32 = 2;

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Stillness {
    /// A place for one: whoever finds it taken has been asked for.
    asked: mpsc::Sender<()>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stirs: AtomicU64,
    still: Notify,
}

impl Stillness {
    /// Starts the task that watches for it in `tasks`. It ends when every handle is gone.
    pub(crate) fn start(clock: Clock, tasks: &mut JoinSet<()>) -> Self {
        let (asked, inbox) = mpsc::channel(1);
        let shared = Arc::new(Shared::default());
        tasks.spawn(run(inbox, shared.clone(), clock));
        Self { asked, shared }
    }

    /// There is work.
    pub(crate) fn stir(&self) {
        self.shared.stirs.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until there is none. Cancel safe.
    pub(crate) async fn reached(&self) {
        let mut still = std::pin::pin!(self.shared.still.notified());
        still.as_mut().enable();
        // When it is full, whoever asked before is answered together with us.
        let _ = self.asked.try_send(());
        still.await;
    }
}

async fn run(mut asked: mpsc::Receiver<()>, shared: Arc<Shared>, clock: Clock) {
    while asked.recv().await.is_some() {
        let until = clock.now() + limits::FREEZE_US;
        let mut still = 0;
        while still < TURNS && clock.now() < until {
            let before = shared.stirs.load(Ordering::Relaxed);
            // The runtime looks for what has come before it goes on with whoever yields.
            tokio::task::yield_now().await;
            let stirred = shared.stirs.load(Ordering::Relaxed) != before;
            still = if stirred { 0 } else { still + 1 };
        }
        shared.still.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    /// Stirs at every turn; how often until it was still.
    async fn stirs_until_still(step: u64, most: u64) -> u64 {
        let now = Arc::new(AtomicU64::new(0));
        let read = now.clone();
        let clock = Clock::new(move || read.load(Ordering::Relaxed), || 0);
        let mut tasks = JoinSet::new();
        let stillness = Stillness::start(clock, &mut tasks);
        let worker = stillness.clone();
        let stirred = Arc::new(AtomicU64::new(0));
        let count = stirred.clone();
        tasks.spawn(async move {
            while count.fetch_add(1, Ordering::Relaxed) < most {
                worker.stir();
                now.fetch_add(step, Ordering::Relaxed);
                yield_now().await;
            }
        });
        stillness.reached().await;
        let stirs = stirred.load(Ordering::Relaxed);
        drop(stillness);
        while tasks.join_next().await.is_some() {}
        stirs
    }

    #[tokio::test]
    async fn it_is_still_when_nothing_has_stirred_for_a_moment() {
        assert_eq!(stirs_until_still(0, 0).await, 1);
        assert_eq!(stirs_until_still(0, 50).await, 51);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_for_a_daemon_that_is_never_still() {
        let stirs = stirs_until_still(limits::FREEZE_US / 10, 1_000).await;
        assert!((9..15).contains(&stirs), "{stirs}");
    }

    #[tokio::test]
    async fn whoever_asks_again_is_answered_again() {
        let mut tasks = JoinSet::new();
        let stillness = Stillness::start(Clock::new(|| 0, || 0), &mut tasks);
        for _ in 0..3 {
            tokio::join!(stillness.reached(), stillness.reached());
        }
    }
}
