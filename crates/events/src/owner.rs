//! The owner of all events: what is tried now, what came of it, what to ask the store for next.
//!
//! ```text
//!  bell ---> +-------+ --- Turn: ended, put off, wanted ---> store, one at a time
//!            | owner | <-- events that are due -------------
//!            |       | --- a task for each ----------------> attempt -> placement
//!  time ---> +-------+ <-- how it went ---------------------
//! ```
//!
//! While a turn is under way, what ends waits for the next one: so the more there is to do, the more
//! of it shares a commit.

use std::sync::Arc;
use std::time::Duration;

use dormouse_model::limits;
use dormouse_model::names::Version;
use dormouse_model::retry::{self, Condition, Outcome, Tries, Verdict};
use dormouse_store::StorageError;
use dormouse_store::events::{Again, EventId, Found, FunctionId, Look, QueuedEvent, Turn, Wanted};
use tokio::task::JoinSet;
use tracing::warn;

use crate::attempt::{self, Attempt, Ending};
use crate::bell::Ear;
use crate::lanes::Lanes;
use crate::{Config, told};

pub(crate) struct Owner {
    config: Arc<Config>,
    lanes: Lanes,
    attempts: JoinSet<Attempt>,
    turns: JoinSet<Turned>,
    settled: Vec<Settled>,
    /// The store could not be used: it is left alone until then.
    rest_until: Option<u64>,
    /// How often in a row that was so.
    rests: u32,
}

/// What became of an event, to be written.
#[derive(Debug)]
struct Settled {
    function: FunctionId,
    id: EventId,
    what: Fate,
}

#[derive(Debug)]
enum Fate {
    Ended,
    PutOff(u64, Tries),
    /// Its function is gone, and so are all of its events.
    Gone,
}

/// A turn that is over.
struct Turned {
    settled: Vec<Settled>,
    wanted: Vec<Wanted>,
    found: Result<Vec<Found>, StorageError>,
}

impl Owner {
    pub(crate) fn new(config: Config, functions: Vec<FunctionId>) -> Self {
        Self {
            config: Arc::new(config),
            lanes: Lanes::of(functions),
            attempts: JoinSet::new(),
            turns: JoinSet::new(),
            settled: Vec::new(),
            rest_until: None,
            rests: 0,
        }
    }

    /// Runs until nobody can ring the bell any more and what is under way has ended.
    pub(crate) async fn run(mut self, mut ear: Ear) {
        let mut open = true;
        self.start_turn();
        while open || self.is_at_work() {
            let nap = self.until_next();
            tokio::select! {
                news = ear.hear(), if open => match news {
                    Some(news) => {
                        news.came.into_iter().for_each(|function| self.lanes.came(function));
                        news.loosened.iter().for_each(|key| self.lanes.loosened(key));
                    }
                    None => {
                        open = false;
                        self.lanes.stop();
                    }
                },
                Some(turned) = self.turns.join_next() => {
                    self.turned(turned.expect("a turn neither panics nor is ended"));
                }
                Some(attempt) = self.attempts.join_next() => {
                    self.attempted(attempt.expect("a try neither panics nor is ended"));
                }
                () = tokio::time::sleep(nap.unwrap_or_default()), if nap.is_some() => {}
            }
            self.start_turn();
        }
    }

    fn is_at_work(&self) -> bool {
        !(self.attempts.is_empty() && self.turns.is_empty() && self.settled.is_empty())
    }

    /// Milliseconds of a clock that never goes back.
    fn now(&self) -> u64 {
        self.config.clock.now() / 1_000
    }

    /// When a time of day comes, by the clock that never goes back.
    fn moment(&self, at_ms: u64) -> u64 {
        self.now().saturating_add(at_ms.saturating_sub(self.config.clock.wall_ms()))
    }

    /// How long until there is something to do, if nothing happens.
    fn until_next(&self) -> Option<Duration> {
        let now = self.now();
        // A turn under way may change what there is to do; afterwards it is looked at anew.
        if !self.turns.is_empty() {
            return None;
        }
        let next = self.rest_until.or_else(|| self.lanes.next(now))?;
        Some(Duration::from_millis(next.saturating_sub(now)))
    }

    fn start_turn(&mut self) {
        let now = self.now();
        if !self.turns.is_empty() || self.rest_until.is_some_and(|until| until > now) {
            return;
        }
        self.rest_until = None;
        let wanted = self.lanes.wanted(now);
        let settled = std::mem::take(&mut self.settled);
        if wanted.is_empty() && settled.is_empty() {
            return;
        }
        let mut turn = Turn {
            now_ms: self.config.clock.wall_ms(),
            longest_ms: limits::EVENT_BACK_OFF_MS.end().max(&(2 * self.config.retry_ms)).to_owned(),
            wanted: wanted.clone(),
            ..Turn::default()
        };
        for Settled { function, id, what } in &settled {
            match what {
                Fate::Ended => turn.ended.push(*id),
                Fate::PutOff(at_ms, tries) => {
                    turn.again.push(Again { id: *id, at_ms: *at_ms, tries: *tries });
                }
                Fate::Gone => turn.gone.push(function.clone()),
            }
        }
        let queued = self.config.queued.clone();
        self.turns.spawn(async move { Turned { found: queued.turn(turn).await, settled, wanted } });
    }

    fn turned(&mut self, turned: Turned) {
        let found = match turned.found {
            Ok(found) => found,
            Err(error) => return self.not_turned(&error, turned.settled, &turned.wanted),
        };
        self.rests = 0;
        for Settled { function, id, what } in turned.settled {
            let look = match what {
                Fate::Ended | Fate::Gone => Look::Never,
                Fate::PutOff(at_ms, _) => Look::At(self.moment(at_ms)),
            };
            self.lanes.let_go(&function, id, look);
        }
        for (wanted, mut found) in turned.wanted.iter().zip(found) {
            if let Look::At(at_ms) = found.look {
                found.look = Look::At(self.moment(at_ms));
            }
            self.lanes.found(&wanted.function, &found);
            for event in found.events {
                self.attempts.spawn(attempt::run(self.config.clone(), event));
            }
        }
    }

    /// Nothing was written and nothing is here: all of it is asked for again.
    fn not_turned(&mut self, error: &StorageError, settled: Vec<Settled>, wanted: &[Wanted]) {
        if matches!(error, StorageError::Closed) {
            // The server has stopped. What is not written is tried again by the next one.
            self.lanes.stop();
            return;
        }
        warn!(%error, waiting = settled.len(), "events are neither written nor read");
        self.settled.extend(settled);
        wanted.iter().for_each(|wanted| self.lanes.not_found(&wanted.function));
        self.rest_until = Some(self.now() + retry::back_off_ms(self.rests));
        self.rests = self.rests.saturating_add(1);
    }

    fn attempted(&mut self, attempt: Attempt) {
        let event = &attempt.event;
        match attempt.ending {
            Ending::Counted(outcome) => self.counted(attempt, outcome),
            Ending::Throttled => self.throttled(attempt),
            Ending::Gone => {
                self.lanes.passed(event);
                told::gone(event);
                self.settle(attempt.event, Fate::Gone);
            }
            Ending::Stopping => {
                self.lanes.stop();
                self.lanes.passed(event);
                self.lanes.let_go(&event.function, event.id, Look::Now);
            }
        }
    }

    fn counted(&mut self, attempt: Attempt, outcome: Outcome) {
        let Attempt { event, version, rules, .. } = attempt;
        match outcome {
            Outcome::Succeeded | Outcome::Failed | Outcome::TooOld => self.lanes.ran(&event),
            Outcome::Deferred | Outcome::SwitchedOff => self.lanes.passed(&event),
        }
        match retry::decide(event.tries, outcome, &rules, self.config.clock.wall_ms()) {
            Verdict::Ended(condition) => self.end(event, version, condition),
            Verdict::Again { at_ms, tries } => self.settle(event, Fate::PutOff(at_ms, tries)),
        }
    }

    /// The function waits as one: nothing is written for each of its events.
    fn throttled(&mut self, attempt: Attempt) {
        let Attempt { event, version, rules, .. } = attempt;
        let tries = Tries { deferrals: self.lanes.rests(&event.function), ..event.tries };
        match retry::decide(tries, Outcome::Deferred, &rules, self.config.clock.wall_ms()) {
            Verdict::Again { at_ms, .. } => {
                let until = self.moment(at_ms);
                self.lanes.throttled(&event, self.now(), until);
                self.lanes.let_go(&event.function, event.id, Look::Now);
            }
            Verdict::Ended(condition) => {
                self.lanes.passed(&event);
                self.end(event, version, condition);
            }
        }
    }

    /// Where every event ends, for whatever reason. What is to be sent to a destination or a
    /// dead-letter queue has to be on disk with the removal that is set down here.
    fn end(&mut self, event: QueuedEvent, version: Option<Version>, condition: Condition) {
        told::ended(&self.config.placement.meter(), &event, version, condition);
        self.settle(event, Fate::Ended);
    }

    fn settle(&mut self, event: QueuedEvent, what: Fate) {
        self.settled.push(Settled { function: event.function, id: event.id, what });
    }
}
