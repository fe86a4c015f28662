//! Telemetry of one environment: who has subscribed, what each has not got yet, and what is on its
//! way. Owned by the environment's task; replaced as a whole when the processes are started anew.
//!
//! ```text
//!  publish -> one buffer per subscriber -> an attempt at a time -> a listener inside the sandbox
//!                        ^                      |
//!                        +---- taken, refused --+
//! ```
//!
//! While subscriptions are open every event is kept, so that who comes later gets what was before.

mod buffer;
mod delivery;

use std::sync::Arc;

use dormouse_model::clock::Clock;
use dormouse_model::environment::{ExtensionId, Micros};
use dormouse_model::limits;
use dormouse_model::telemetry::{Event, Record, Types, to_json};
use dormouse_runtime_api::Subscription;
use dormouse_sandbox::{Connection, Sandbox};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

use buffer::{Buffer, Dropped};
use delivery::{Attempt, Refused};

/// All of one start of the processes.
#[derive(Debug)]
pub(super) struct Telemetry {
    clock: Clock,
    /// What has happened so far, as long as somebody may still subscribe.
    replay: Option<Replay>,
    subscribers: Vec<Subscriber>,
    attempts: JoinSet<Made>,
    awake: watch::Sender<bool>,
    /// Nothing waits for more any longer.
    ending: bool,
    /// Until when what is under way keeps the environment awake.
    patience: Micros,
}

#[derive(Debug, Default)]
struct Replay {
    events: Vec<Event>,
    line_bytes: usize,
}

#[derive(Debug)]
struct Subscriber {
    id: ExtensionId,
    /// Told apart from an earlier subscription of the same extension.
    number: usize,
    subscription: Subscription,
    buffer: Buffer,
    connection: Option<Connection>,
}

/// How an attempt for a subscriber ended.
#[derive(Debug)]
pub(super) struct Made {
    number: usize,
    result: Result<Option<Connection>, Refused>,
}

impl Telemetry {
    /// Nobody has subscribed, anybody may.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            replay: Some(Replay::default()),
            subscribers: Vec::new(),
            attempts: JoinSet::new(),
            awake: watch::Sender::new(true),
            ending: false,
            patience: 0,
        }
    }

    /// Something happened.
    pub(super) fn publish(&mut self, event: &Event) {
        if let Some(replay) = &mut self.replay {
            replay.keep(event);
        }
        for subscriber in &mut self.subscribers {
            subscriber.offer(event, event.now);
        }
        if self.ending {
            self.hurry();
        }
    }

    /// A subscription that was granted. It takes the place of the same extension's last one.
    pub(super) fn subscribe(&mut self, id: ExtensionId, subscription: Subscription) {
        let number = self.subscribers.iter().map(|it| it.number + 1).max().unwrap_or(0);
        self.subscribers.retain(|subscriber| subscriber.id != id);
        let buffer = Buffer::new(&subscription.buffering);
        let mut subscriber = Subscriber { id, number, subscription, buffer, connection: None };
        let now = self.clock.now();
        for event in self.replay.iter().flat_map(|replay| &replay.events) {
            subscriber.offer(event, now);
        }
        self.subscribers.push(subscriber);
    }

    /// Nobody may subscribe any more.
    pub(super) fn close(&mut self) {
        self.replay = None;
    }

    /// What waits goes out now; the environment may stay awake for it a little.
    pub(super) fn flush(&mut self) {
        self.hurry();
        self.patience = self.clock.now() + limits::TELEMETRY_FLUSH_MS * 1_000;
    }

    /// The processes are about to end: from now on everything goes out at once.
    pub(super) fn end(&mut self) {
        self.ending = true;
        self.flush();
    }

    fn hurry(&mut self) {
        for subscriber in &mut self.subscribers {
            subscriber.buffer.hurry();
        }
    }

    /// Whether the environment is frozen; then nothing is offered.
    pub(super) fn set_awake(&self, awake: bool) {
        if !self.subscribers.is_empty() {
            self.awake.send_replace(awake);
        }
    }

    /// Whether something is on its way that the environment had better stay awake for.
    pub(super) fn is_busy(&self) -> bool {
        !self.subscribers.is_empty() && self.is_awaited(self.clock.now())
    }

    fn is_awaited(&self, now: Micros) -> bool {
        let is_due = |it: &Subscriber| it.buffer.due().is_some_and(|due| due <= now);
        now < self.patience
            && self.subscribers.iter().any(|it| it.buffer.is_under_way() || is_due(it))
    }

    /// When [`Telemetry::deliver`] is to be called next.
    pub(super) fn due(&self) -> Option<Micros> {
        // Most environments have none, and every turn of theirs asks.
        if self.subscribers.is_empty() {
            return None;
        }
        let due = self.subscribers.iter().filter_map(|it| it.buffer.due()).min();
        let due = due.filter(|_| *self.awake.borrow());
        let patience = self.is_awaited(self.clock.now()).then_some(self.patience);
        due.into_iter().chain(patience).min()
    }

    /// Offers what is due.
    pub(super) fn deliver(&mut self, sandbox: Option<&Arc<dyn Sandbox>>) {
        let Some(sandbox) = sandbox else { return };
        let now = self.clock.now();
        let clock = &self.clock;
        for subscriber in &mut self.subscribers {
            if subscriber.buffer.due().is_some_and(|due| due <= now) {
                let attempt = subscriber.attempt(sandbox.clone(), clock, self.awake.subscribe());
                let number = subscriber.number;
                self.attempts.spawn(async move { Made { number, result: attempt.make().await } });
            }
        }
    }

    /// Waits for the end of an attempt; without any, for ever. Cancel safe.
    pub(super) async fn attempted(&mut self) -> Made {
        loop {
            match self.attempts.join_next().await {
                Some(Ok(made)) => return made,
                Some(Err(error)) => debug!(%error, "telemetry attempt was lost"),
                None => std::future::pending().await,
            }
        }
    }

    /// An attempt has ended.
    pub(super) fn made(&mut self, Made { number, result }: Made) {
        let now = self.clock.now();
        let Some(subscriber) = self.subscribers.iter_mut().find(|it| it.number == number) else {
            return;
        };
        match result {
            Ok(connection) => {
                subscriber.connection = connection;
                subscriber.buffer.taken();
            }
            Err(refused) => {
                debug!(%refused, "telemetry was not taken");
                subscriber.buffer.refused(now);
            }
        }
        if self.ending {
            self.hurry();
        }
    }
}

impl Replay {
    fn keep(&mut self, event: &Event) {
        let line_bytes = self.line_bytes + event.record.line_bytes();
        if self.events.len() < limits::LOG_QUEUE_EVENTS
            && line_bytes <= limits::TELEMETRY_REPLAY_BYTES
        {
            self.line_bytes = line_bytes;
            self.events.push(event.clone());
        }
    }
}

impl Subscriber {
    /// Keeps an event if it is wanted and known to the schema.
    fn offer(&mut self, event: &Event, now: Micros) {
        if !is_wanted(self.subscription.types, &event.record) {
            return;
        }
        // A flood of lines is not rendered only to be thrown away.
        let line_bytes = event.record.line_bytes();
        if line_bytes > 0 && self.buffer.is_full(line_bytes) {
            self.buffer.drop_one(line_bytes);
        } else if let Some(json) = to_json(event, self.subscription.schema_version) {
            self.buffer.push(json, now);
        }
    }

    fn attempt(
        &mut self,
        sandbox: Arc<dyn Sandbox>,
        clock: &Clock,
        awake: watch::Receiver<bool>,
    ) -> Attempt {
        let Subscription { types, schema_version, destination, .. } = &self.subscription;
        let tell = |Dropped { records, bytes }| {
            let record = Record::LogsDropped { records, bytes };
            let event = Event { wall_ms: clock.wall_ms(), now: clock.now(), record };
            types.platform.then(|| to_json(&event, *schema_version)).flatten()
        };
        Attempt {
            sandbox,
            destination: destination.clone(),
            items: self.buffer.take(tell),
            connection: self.connection.take(),
            awake,
        }
    }
}

fn is_wanted(types: Types, record: &Record) -> bool {
    match record {
        Record::Function(_) => types.function,
        Record::ExtensionLine(_) => types.extension,
        _ => types.platform,
    }
}
