//! What happened to each environment, kept to be looked at: bounded, in memory, never authoritative.
//!
//! Environments tell transitions without waiting; when this task is behind, transitions are lost
//! here and nowhere else. Adding up and copying is done here, where no invocation waits for it.

mod life;
mod trace;

use std::collections::{HashMap, VecDeque};

use dormouse_model::environment::{Cause, Micros};
use dormouse_model::limits;
use dormouse_model::names::EnvironmentId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

pub(crate) use life::error_word;
pub use life::{Birth, Detail, Ended, Life, Moment, Phase, Ran};
pub use trace::{Trace, trace};

#[derive(Debug)]
enum Request {
    Begin(EnvironmentId, Box<Life>),
    Moment(EnvironmentId, Moment),
    Housed(EnvironmentId, String),
    End(EnvironmentId, Micros, Cause),
    Look(Filter, oneshot::Sender<Vec<Life>>),
}

/// Which lives are asked for, and how much of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this environment.
    pub id: Option<String>,
    /// Only of the function with this name.
    pub function: Option<String>,
    /// Only those that live, or only those that have ended.
    pub live: Option<bool>,
    /// With what happened in each.
    pub events: bool,
    /// The moment of the look, on the monotonic clock.
    pub now: Micros,
}

impl Filter {
    fn admits(&self, life: &Life) -> bool {
        let is = |wanted: &Option<String>, it: &str| wanted.as_deref().is_none_or(|w| w == it);
        is(&self.id, &life.birth.id)
            && is(&self.function, &life.birth.function_name)
            && self.live.is_none_or(|live| live == life.ended.is_none())
    }
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Lives {
    requests: mpsc::Sender<Request>,
}

impl Lives {
    /// Starts the owner in `tasks`.
    #[must_use]
    pub fn start(tasks: &mut JoinSet<()>) -> Self {
        let (requests, inbox) = mpsc::channel(limits::OWNER_QUEUE * 4);
        tasks.spawn(run(inbox));
        Self { requests }
    }

    /// A new environment.
    pub(crate) fn begin(&self, id: &EnvironmentId, birth: Birth) {
        let life = Box::new(Life::new(birth));
        let _ = self.requests.try_send(Request::Begin(id.clone(), life));
    }

    /// Something happened.
    pub(crate) fn tell(&self, id: &EnvironmentId, moment: Moment) {
        let _ = self.requests.try_send(Request::Moment(id.clone(), moment));
    }

    /// It has this sandbox.
    pub(crate) fn housed(&self, id: &EnvironmentId, sandbox_id: String) {
        let _ = self.requests.try_send(Request::Housed(id.clone(), sandbox_id));
    }

    /// It has ended.
    pub(crate) fn end(&self, id: &EnvironmentId, at_micros: Micros, cause: Cause) {
        let _ = self.requests.try_send(Request::End(id.clone(), at_micros, cause));
    }

    /// The lives asked for, oldest first, of those under way and the last `limits::ENDED_LIVES` ended
    /// ones.
    pub async fn look(&self, filter: Filter) -> Vec<Life> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Look(filter, reply)).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Known {
    lives: HashMap<EnvironmentId, Life>,
    /// Those that have ended, oldest end first.
    ended: VecDeque<EnvironmentId>,
}

async fn run(mut inbox: mpsc::Receiver<Request>) {
    let mut known = Known::default();
    while let Some(request) = inbox.recv().await {
        known.take(request);
    }
}

impl Known {
    fn take(&mut self, request: Request) {
        match request {
            Request::Begin(id, life) => {
                self.lives.insert(id, *life);
            }
            Request::Moment(id, moment) => {
                if let Some(life) = self.lives.get_mut(&id) {
                    life.take(moment);
                }
            }
            Request::Housed(id, sandbox_id) => {
                if let Some(life) = self.lives.get_mut(&id) {
                    life.sandbox_id = Some(sandbox_id);
                }
            }
            Request::End(id, at, cause) => self.end(id, at, cause),
            Request::Look(filter, reply) => {
                let admitted = self.lives.values().filter(|life| filter.admits(life));
                let mut all: Vec<Life> =
                    admitted.map(|life| life.seen(filter.now, filter.events)).collect();
                all.sort_by(|a, b| (a.birth.born, &a.birth.id).cmp(&(b.birth.born, &b.birth.id)));
                // Whoever asked may have gone.
                let _ = reply.send(all);
            }
        }
    }

    fn end(&mut self, id: EnvironmentId, at: Micros, cause: Cause) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.end(at, cause);
            self.ended.push_back(id);
        }
        if self.ended.len() > limits::ENDED_LIVES
            && let Some(oldest) = self.ended.pop_front()
        {
            self.lives.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> EnvironmentId {
        format!("{number:032x}").parse().unwrap()
    }

    fn known(count: usize) -> Known {
        let mut known = Known::default();
        for number in 0..count {
            let mut life = life::tests::life("");
            life.birth.id = id(number).to_string();
            life.birth.born = number as u64;
            life.birth.function_name = if number % 2 == 0 { "even" } else { "odd" }.into();
            known.take(Request::Begin(id(number), Box::new(life)));
        }
        known
    }

    #[track_caller]
    fn check(known: &mut Known, filter: Filter, expected: &[usize]) {
        let (reply, mut answer) = oneshot::channel();
        known.take(Request::Look(filter.clone(), reply));
        let found: Vec<String> =
            answer.try_recv().unwrap().into_iter().map(|life| life.birth.id).collect();
        let expected: Vec<String> = expected.iter().map(|it| id(*it).to_string()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }

    #[test]
    fn a_filter_finds_by_function_by_being_alive_and_by_id() {
        let mut known = known(4);
        known.take(Request::End(id(1), 5, Cause::Idle));
        let all = Filter::default();
        check(&mut known, all.clone(), &[0, 1, 2, 3]);
        check(&mut known, Filter { function: Some("odd".into()), ..all.clone() }, &[1, 3]);
        check(&mut known, Filter { live: Some(true), ..all.clone() }, &[0, 2, 3]);
        check(&mut known, Filter { live: Some(false), ..all.clone() }, &[1]);
        check(&mut known, Filter { id: Some(id(2).to_string()), ..all.clone() }, &[2]);
        check(&mut known, Filter { function: Some("none".into()), ..all }, &[]);
    }

    #[test]
    fn only_the_last_ended_lives_are_kept() {
        let mut known = known(limits::ENDED_LIVES + 3);
        for number in 0..limits::ENDED_LIVES + 2 {
            known.take(Request::End(id(number), 5, Cause::Idle));
        }
        assert_eq!(known.lives.len(), limits::ENDED_LIVES + 1);
        check(&mut known, Filter { id: Some(id(1).to_string()), ..Filter::default() }, &[]);
        check(&mut known, Filter { id: Some(id(2).to_string()), ..Filter::default() }, &[2]);
    }
}
