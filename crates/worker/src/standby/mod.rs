//! Sandboxes that stand by: made before anybody needs them, with the interpreter of a managed runtime
//! waiting in them for its function, and never used twice.
//!
//! ```text
//!  want, take       +--------+  make    +---------+
//!  ---------------> | keeper | -------> | backend |
//!  <--------------- |        | <------- |         |
//!      Standing     +--------+  Created +---------+
//! ```
//!
//! One task keeps them; how many of which kind is decided in `demand`. Who takes one gives it its
//! function's content and limits (`Standing::equip`) and owns it from there on. Making, which takes 10 to
//! 50 ms, goes on beside the task; so does ending.

mod demand;
mod kind;
mod making;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dormouse_model::chance::Chance;
use dormouse_model::clock::Clock;
use dormouse_model::limits;
use dormouse_sandbox::{Backend, Network};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{debug, info};

pub use self::demand::Setting;
use self::demand::{Demand, Step};
pub use self::kind::Kind;
pub(crate) use self::making::{Equipped, Standing};
use crate::interpreters::Interpreters;

/// What sandboxes are made with.
#[derive(Debug)]
pub(crate) struct Means {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) interpreters: Interpreters,
    pub(crate) bootstraps: PathBuf,
    pub(crate) network: Network,
    pub(crate) chance: Chance,
    /// Tells when memory is short.
    pub(crate) shortage: watch::Receiver<()>,
}

/// How many of one kind there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Which kind.
    pub kind: Kind,
    /// How many stand by.
    pub standing: usize,
    /// How many are to stand by.
    pub target: usize,
    /// How often somebody came and there was one.
    pub hits: u64,
    /// How often somebody came and there was none.
    pub misses: u64,
}

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Standby {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Want(Kind),
    Take(Kind, oneshot::Sender<Option<Standing>>),
    Look(oneshot::Sender<Vec<Level>>),
}

impl Standby {
    /// Starts the keeper in `tasks`. It ends, and what stands by with it, when the last handle is dropped.
    pub(crate) fn start(
        setting: Setting,
        means: Means,
        clock: Clock,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE);
        let keeper = Keeper {
            shortage: Some(means.shortage.clone()),
            demand: Demand::new(setting),
            means: Arc::new(means),
            clock,
            standing: HashMap::new(),
            making: JoinSet::new(),
            ending: JoinSet::new(),
            asked: HashMap::new(),
        };
        tasks.spawn(keeper.run(inbox));
        Self { requests }
    }

    /// A function of this kind is there, and may be called soon.
    pub(crate) fn want(&self, kind: Kind) {
        // Who is that busy has heard of it, and if not, the first call will say so again.
        let _ = self.requests.try_send(Request::Want(kind));
    }

    /// A sandbox of this kind, if there is one.
    pub(crate) async fn take(&self, kind: Kind) -> Option<Standing> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Take(kind, reply)).await.ok()?;
        answer.await.ok()?
    }

    /// How many of each kind there are.
    pub async fn look(&self) -> Vec<Level> {
        let (reply, answer) = oneshot::channel();
        // A server that stops keeps none.
        let _ = self.requests.send(Request::Look(reply)).await;
        answer.await.unwrap_or_default()
    }
}

/// Waits until memory is short; `false` when nobody will tell.
async fn short(shortage: &mut Option<watch::Receiver<()>>) -> bool {
    match shortage {
        Some(shortage) => shortage.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

struct Keeper {
    /// None when nobody tells any more.
    shortage: Option<watch::Receiver<()>>,
    demand: Demand,
    means: Arc<Means>,
    clock: Clock,
    standing: HashMap<Kind, Vec<Standing>>,
    making: JoinSet<(Kind, Result<Standing, String>)>,
    ending: JoinSet<()>,
    asked: HashMap<Kind, Asked>,
}

/// How those fared who came for one.
#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    hits: u64,
    misses: u64,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            let until = self.act();
            let wait = until.map(|until| until.saturating_sub(self.clock.now()));
            tokio::select! {
                biased;
                request = inbox.recv() => match request {
                    Some(request) => self.request(request),
                    None => break,
                },
                told = short(&mut self.shortage) => self.give_up(told),
                Some(made) = self.making.join_next() => self.made(made),
                Some(_) = self.ending.join_next() => {}
                () = tokio::time::sleep(Duration::from_micros(wait.unwrap_or(0))), if wait.is_some() => {}
            }
        }
        for standing in std::mem::take(&mut self.standing).into_values().flatten() {
            self.ending.spawn(standing.end());
        }
        while let Some(made) = self.making.join_next().await {
            if let Ok((_, Ok(standing))) = made {
                self.ending.spawn(standing.end());
            }
        }
        while self.ending.join_next().await.is_some() {}
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Want(kind) => self.demand.want(kind, self.clock.now()),
            Request::Take(kind, reply) => {
                let taken = self.take(kind);
                self.demand.call(kind, self.clock.now());
                let asked = self.asked.entry(kind).or_default();
                match &taken {
                    Some(_) => asked.hits += 1,
                    None => asked.misses += 1,
                }
                if let Err(Some(unwanted)) = reply.send(taken) {
                    self.ending.spawn(unwanted.end());
                }
            }
            Request::Look(reply) => {
                let _ = reply.send(self.levels());
            }
        }
    }

    /// Memory is short, and nobody uses these. For a while no others are made.
    fn give_up(&mut self, told: bool) {
        if !told {
            self.shortage = None;
            return;
        }
        for (kind, all) in std::mem::take(&mut self.standing) {
            info!(%kind, number = all.len(), "sandboxes that stood by end: memory is short");
            self.demand.failed(kind, self.clock.now());
            for standing in all {
                self.ending.spawn(standing.end());
            }
        }
    }

    /// The one made last, whose memory is the warmest.
    fn take(&mut self, kind: Kind) -> Option<Standing> {
        let all = self.standing.get_mut(&kind)?;
        while let Some(standing) = all.pop() {
            if standing.is_as_made() {
                return Some(standing);
            }
            debug!(%kind, "a sandbox that stood by has ended");
            self.ending.spawn(standing.end());
        }
        None
    }

    fn made(&mut self, made: Result<(Kind, Result<Standing, String>), tokio::task::JoinError>) {
        match made {
            Ok((kind, Ok(standing))) => {
                self.demand.made(kind);
                self.standing.entry(kind).or_default().push(standing);
            }
            Ok((kind, Err(reason))) => {
                info!(%kind, reason, "no sandbox stands by");
                self.demand.failed(kind, self.clock.now());
            }
            Err(error) => debug!(%error, "a sandbox was perhaps not made"),
        }
    }

    /// Begins what is to be done and tells until when there is nothing more.
    fn act(&mut self) -> Option<u64> {
        loop {
            let there = self.standing.iter().map(|(kind, all)| (*kind, all.len())).collect();
            match self.demand.next(self.clock.now(), &there, !self.making.is_empty()) {
                Step::Make(kind) => {
                    let means = Arc::clone(&self.means);
                    self.making.spawn(async move { (kind, making::make(&means, kind).await) });
                }
                Step::Discard(kind) => {
                    // The oldest: it has been idle for longest.
                    let all = self.standing.get_mut(&kind)?;
                    self.ending.spawn(all.remove(0).end());
                    if all.is_empty() {
                        self.standing.remove(&kind);
                    }
                }
                Step::Wait(until) => return until,
            }
        }
    }

    fn levels(&self) -> Vec<Level> {
        let now = self.clock.now();
        let mut kinds: Vec<Kind> = self.demand.kinds().collect();
        kinds.extend(self.asked.keys().filter(|kind| self.demand.target(**kind, now) == 0));
        let level = |kind: Kind| {
            let asked = self.asked.get(&kind).copied().unwrap_or_default();
            Level {
                kind,
                standing: self.standing.get(&kind).map_or(0, Vec::len),
                target: self.demand.target(kind, now),
                hits: asked.hits,
                misses: asked.misses,
            }
        };
        let mut levels: Vec<Level> = kinds.into_iter().map(level).collect();
        levels.sort_by_key(|level| level.kind.to_string());
        levels.dedup();
        levels
    }
}
