//! `dormouse top`: a live view of the environments of a running server.
//!
//! What is known and how events change it is in `state`, how it looks in `view` and `plain`; both are
//! pure. Here are the effects: one loop asks the server, takes keys and signals, and draws.

mod client;
mod columns;
mod lives;
mod machine;
mod plain;
mod rate;
mod state;
mod terminal;
mod view;
mod words;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use client::{AskError, Endpoint};
use lives::Environment;
use machine::Machine;
use state::{Event, State, Wish};
use terminal::{Screen, Told};

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(500);

/// What was typed after `dormouse top`.
#[derive(Debug, Args)]
pub(crate) struct Typed {
    /// The server to look at.
    #[arg(
        long,
        env = "AWS_ENDPOINT_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9000"
    )]
    endpoint: String,
    /// Prints one look and ends; so it does, too, when standard output is no terminal.
    #[arg(long)]
    once: bool,
    /// How one look is printed; implies --once. As json it is what the server says of every
    /// environment, ended ones included.
    #[arg(long, value_enum, value_name = "FORMAT")]
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Shows the live view until it is left, or takes one look; what is to be printed at the end.
pub(crate) fn main(typed: &Typed) -> anyhow::Result<String> {
    let endpoint = Endpoint::parse(&typed.endpoint)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("asynchronous runtime")?;
    if typed.once || typed.output.is_some() || !std::io::stdout().is_terminal() {
        let output = typed.output.unwrap_or(Output::Text);
        return runtime.block_on(once(&endpoint, output));
    }
    runtime.block_on(live(endpoint))?;
    Ok(String::new())
}

async fn once(endpoint: &Endpoint, output: Output) -> anyhow::Result<String> {
    let body = endpoint.environments().await?;
    if output == Output::Json {
        let value: serde_json::Value = read(endpoint, &body)?;
        return Ok(format!("{value:#}\n"));
    }
    let mut state = State::new(endpoint.to_string());
    let _ = state.update(Event::Environments(Duration::ZERO, read(endpoint, &body)?));
    let _ = state.update(Event::Machine(machine(endpoint).await));
    Ok(plain::text(&state))
}

fn read<T: DeserializeOwned>(endpoint: &Endpoint, body: &Bytes) -> Result<T, AskError> {
    serde_json::from_slice(body).map_err(|_| endpoint.stranger())
}

/// Nothing where a server of before does not tell.
async fn machine(endpoint: &Endpoint) -> Option<Machine> {
    endpoint.machine().await.ok().and_then(|body| read(endpoint, &body).ok())
}

async fn live(endpoint: Endpoint) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut screen = Screen::take().context("terminal")?;
    let (keys, reader) = terminal::keys();
    let mut tasks = JoinSet::new();
    tasks.spawn_blocking(reader);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = State::new(endpoint.to_string());
    let view =
        View { endpoint, state, keys, ticks, asked: JoinSet::new(), is_due: false, began: None };
    let ended = view.run(&mut screen, &mut signals).await;
    // First the terminal: whatever is said at the end shall be seen.
    drop(screen);
    while tasks.join_next().await.is_some() {}
    ended
}

/// Owns the state for as long as it is looked at.
struct View {
    endpoint: Endpoint,
    state: State,
    keys: mpsc::Receiver<Told>,
    ticks: Interval,
    /// At most one round of questions is under way.
    asked: JoinSet<Vec<Event>>,
    /// Whether a key wants an answer, even in a pause.
    is_due: bool,
    began: Option<Instant>,
}

impl View {
    async fn run(mut self, screen: &mut Screen, signals: &mut Signals) -> anyhow::Result<()> {
        loop {
            screen.terminal().draw(|frame| view::render(frame, &self.state)).context("terminal")?;
            let events = tokio::select! {
                biased;
                () = signals.first() => return Ok(()),
                told = self.keys.recv() => match told {
                    Some(Told::Key(key)) => vec![Event::Key(key)],
                    Some(Told::Changed) => vec![],
                    None => return Err(anyhow!("the terminal is gone")),
                },
                Some(answers) = self.asked.join_next() => answers.context("asking the server")?,
                tick = self.ticks.tick(), if self.may_ask() => {
                    self.ask(tick);
                    continue;
                }
            };
            for event in events {
                match self.state.update(event) {
                    Wish::None => {}
                    Wish::Ask => {
                        self.is_due = true;
                        self.ticks.reset_immediately();
                    }
                    Wish::Quit => return Ok(()),
                }
            }
        }
    }

    fn may_ask(&self) -> bool {
        self.asked.is_empty() && (self.is_due || !self.state.paused)
    }

    /// In a pause only what a key wanted is asked: the table stands still.
    fn ask(&mut self, now: Instant) {
        self.is_due = false;
        let at = now.duration_since(*self.began.get_or_insert(now));
        let look = (!self.state.paused).then_some(at);
        let wanted = self.state.wanted().map(str::to_owned);
        self.asked.spawn(round(self.endpoint.clone(), look, wanted));
    }
}

/// One round of questions: all environments, the machine, and the environment that is looked at.
async fn round(endpoint: Endpoint, look: Option<Duration>, wanted: Option<String>) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(at) = look {
        let all = endpoint.environments().await;
        match all.and_then(|body| read::<Vec<Environment>>(&endpoint, &body)) {
            Ok(environments) => events.push(Event::Environments(at, environments)),
            Err(error) => return vec![Event::Lost(error.to_string())],
        }
        events.push(Event::Machine(machine(&endpoint).await));
    }
    if let Some(id) = wanted {
        let one = endpoint.environment(&id).await;
        match one.and_then(|body| read::<Environment>(&endpoint, &body)) {
            Ok(environment) => events.push(Event::Environment(Box::new(environment))),
            Err(AskError::Gone) => events.push(Event::Gone),
            Err(error) => events.push(Event::Lost(error.to_string())),
        }
    }
    events
}

/// The signals that end the view with its terminal restored.
struct Signals {
    all: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ];
        let all = kinds.into_iter().map(signal).collect::<Result<_, _>>().context("signals")?;
        Ok(Self { all })
    }

    async fn first(&mut self) {
        std::future::poll_fn(|context| {
            let come = self.all.iter_mut().any(|it| it.poll_recv(context).is_ready());
            if come { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests;
