//! What happened to each environment, kept to be looked at: bounded, in memory, never authoritative.
//!
//! Environments tell transitions without waiting; when this task is behind, transitions are lost
//! here and nowhere else.

use std::collections::{HashMap, VecDeque};

use dormouse_model::environment::Micros;
use dormouse_model::limits;
use dormouse_model::names::EnvironmentId;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// One environment's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// The environment.
    pub id: String,
    /// The function's ARN.
    pub function_arn: String,
    /// The version that runs in it.
    pub version: String,
    /// The log group.
    pub log_group: String,
    /// The log stream.
    pub log_stream: String,
    /// Why it had to be made.
    pub cold_reason: &'static str,
    /// When it was asked for, in milliseconds since 1970.
    pub created_ms: u64,
    /// What happened, oldest first; at most `limits::LIFE_EVENTS`.
    pub events: VecDeque<Moment>,
    /// Whether it has ended.
    pub ended: bool,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Microseconds since the environment was asked for.
    pub at_micros: Micros,
    /// What: a word such as `frozen`.
    pub what: &'static str,
    /// The invocation, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

#[derive(Debug)]
enum Request {
    Begin(EnvironmentId, Box<Life>),
    Moment(EnvironmentId, Moment),
    End(EnvironmentId),
    All(oneshot::Sender<Vec<Life>>),
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
    pub(crate) fn begin(&self, id: &EnvironmentId, life: Life) {
        let _ = self.requests.try_send(Request::Begin(id.clone(), Box::new(life)));
    }

    /// Something happened.
    pub(crate) fn tell(&self, id: &EnvironmentId, moment: Moment) {
        let _ = self.requests.try_send(Request::Moment(id.clone(), moment));
    }

    /// It has ended.
    pub(crate) fn end(&self, id: &EnvironmentId) {
        let _ = self.requests.try_send(Request::End(id.clone()));
    }

    /// All lives known, oldest first: those under way and the last `limits::ENDED_LIVES` ended ones.
    pub async fn all(&self) -> Vec<Life> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::All(reply)).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }
}

async fn run(mut inbox: mpsc::Receiver<Request>) {
    let mut lives: HashMap<EnvironmentId, Life> = HashMap::new();
    let mut ended: VecDeque<EnvironmentId> = VecDeque::new();
    while let Some(request) = inbox.recv().await {
        match request {
            Request::Begin(id, life) => {
                lives.insert(id, *life);
            }
            Request::Moment(id, moment) => {
                if let Some(life) = lives.get_mut(&id) {
                    if life.events.len() == limits::LIFE_EVENTS {
                        life.events.pop_front();
                    }
                    life.events.push_back(moment);
                }
            }
            Request::End(id) => {
                if let Some(life) = lives.get_mut(&id) {
                    life.ended = true;
                    ended.push_back(id);
                }
                if ended.len() > limits::ENDED_LIVES
                    && let Some(oldest) = ended.pop_front()
                {
                    lives.remove(&oldest);
                }
            }
            Request::All(reply) => {
                let mut all: Vec<Life> = lives.values().cloned().collect();
                all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
                let _ = reply.send(all);
            }
        }
    }
}
