//! The owner task of one environment: the only one that touches its sandbox.
//!
//! It turns what happens into events for the machine and does the effects the machine names.
//! Freezing and thawing are waited for, since delivery must come after them and both are a write to
//! a file or a short message; everything slower is started, and its end comes back as an event.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use dormouse_model::chance::Chance;
use dormouse_model::clock::Clock;
use dormouse_model::environment::{
    Environment, Event, Exit, ExtensionFault, ExtensionId, Micros, Phase, Terms,
};
use dormouse_model::names::RequestId;
use dormouse_runtime_api::RuntimeState;
use dormouse_runtimes::Interpreter;
use dormouse_sandbox::{
    self as sandbox, Backend, Connection, Dialled, Network, Sandbox, Service, SnapshotError,
    StartError,
};
use dormouse_store::directories::Directories;
use dormouse_store::logs::{GroupKey, StreamKey};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

mod calls;
mod effects;
mod make;
mod metered;
mod outcome;
mod processes;
mod snapshot;
mod streams;
mod telling;

use self::make::{Housed, Made, create};
use self::metered::Metered;
use self::outcome::Final;
use super::alarm::Alarm;
use super::extensions::{Extensions, of_process};
use super::journal::Journal;
use super::memory::Memory;
use super::runtime::Runtime;
use super::streaming::{Forwarded, Offered, Streaming};
use super::{Command, Commands, Fact, Job, Spec};
use crate::artifacts::Artifacts;
use crate::bytecode::Bytecode;
use crate::interpreters::Interpreters;
use crate::lives::{Birth, Lives};
use crate::logs::LogSink;
use crate::metrics::Meter;
use crate::recipe::{self};
use crate::snapshots::{Snapshot, Snapshots};
use crate::standby::Standby;
use crate::stillness::Stillness;
use crate::watch::Watch;
use crate::worker::CpuModel;

/// What all environments of a worker share: handles and facts, nothing that changes.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) artifacts: Artifacts,
    pub(crate) watch: Watch,
    pub(crate) directories: Directories,
    pub(crate) bootstraps: PathBuf,
    pub(crate) logs: LogSink,
    pub(crate) lives: Lives,
    pub(crate) stillness: Stillness,
    pub(crate) meter: Meter,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) network: Network,
    pub(crate) cpu: CpuModel,
    /// How long an environment may serve.
    pub(crate) life: Micros,
    /// Takes the connections that functions open to the daemon's own endpoint.
    pub(crate) endpoint: mpsc::Sender<Connection>,
    pub(crate) interpreters: Interpreters,
    pub(crate) standby: Standby,
    pub(crate) snapshots: Snapshots,
    pub(crate) bytecode: Bytecode,
}

/// The end of a slow effect.
#[derive(Debug)]
enum Done {
    Created(Result<Made, String>),
    Started(Result<(), StartError>),
    ExtensionStarted(ExtensionId, Result<(), StartError>),
    ExtensionRefused(ExtensionId, ExtensionFault),
    Checkpointed,
    Restored(Result<(), SnapshotError>),
    Nothing,
}

pub(crate) struct Owner {
    shared: Arc<Shared>,
    spec: Spec,
    interpreter: Option<Interpreter>,
    log_stream: String,
    secret: String,
    machine: Environment,
    sandbox: Option<Arc<dyn Sandbox>>,
    /// What it goes on from, until it does.
    snapshot: Option<Snapshot>,
    /// What the runtime's process has opened already, if it waits for its briefing.
    waiting: Option<Connection>,
    events: Option<mpsc::Receiver<sandbox::Event>>,
    dialled: Option<mpsc::Receiver<Dialled>>,
    runtime: Runtime,
    /// The names of the external extensions.
    external: Vec<String>,
    extensions: Extensions,
    job: Option<Box<Job>>,
    /// What metrics hear of it.
    metered: Metered,
    /// What the runtime answered, until the machine says to pass it on.
    outcome: Option<Final>,
    /// The response that the runtime begins, until the machine says to pass it on.
    offered: Option<Offered>,
    /// The response that is being passed on.
    streaming: Option<Streaming>,
    /// What is kept back because the caller wants the log's tail.
    held: Option<Final>,
    init_error: Option<Bytes>,
    memory: Memory,
    drains: u64,
    /// Nothing was left to wait for when output was to be drained.
    drained: bool,
    alarm: Alarm,
    journal: Journal,
    effects: JoinSet<Done>,
    /// The sandbox was asked to end before it was made.
    unwanted: bool,
}

impl Owner {
    pub(crate) fn new(shared: Arc<Shared>, spec: Spec, names: Names) -> Self {
        let scope = spec.version.key.scope.clone();
        let group = GroupKey { scope, name: spec.version.log_group() };
        let destination = StreamKey { group, name: names.log_stream.clone() };
        let journal = Journal::new(
            spec.id.clone(),
            (destination, &spec.version.deployment.configuration.logging.format),
            shared.logs.clone(),
            shared.lives.clone(),
            shared.clock.clone(),
        );
        let configuration = &spec.version.deployment.configuration;
        let terms = Terms {
            initialization: spec.initialization,
            errand: spec.purpose.errand(),
            timeout_ms: u64::from(configuration.timeout_s) * 1_000,
            life: shared.life,
        };
        Self {
            machine: Environment::new(shared.clock.now(), terms),
            interpreter: None,
            log_stream: names.log_stream,
            secret: names.secret,
            sandbox: None,
            snapshot: None,
            waiting: None,
            events: None,
            dialled: None,
            runtime: Runtime::new(RuntimeState::default()),
            external: Vec::new(),
            extensions: Extensions::default(),
            job: None,
            metered: Metered::default(),
            outcome: None,
            offered: None,
            streaming: None,
            held: None,
            init_error: None,
            memory: Memory::new(configuration.memory_mb),
            drains: 0,
            drained: false,
            alarm: Alarm::default(),
            journal,
            effects: JoinSet::new(),
            unwanted: false,
            shared,
            spec,
        }
    }

    /// Runs until the environment is dead.
    pub(crate) async fn run(mut self, mut commands: Commands) {
        self.begin();
        while !matches!(self.machine.phase(), Phase::Dead { .. }) {
            self.turn(&mut commands).await;
        }
        // A lease may have been sent while it died.
        commands.inbox.close();
        while let Some(command) = commands.inbox.recv().await {
            if let Command::Lease(job) = command {
                self.hand_back(job).await;
            }
        }
        let Phase::Dead { cause } = *self.machine.phase() else {
            return;
        };
        info!(environment = %self.spec.id, ?cause, "environment ended");
        let (id, facts) = (self.spec.id.clone(), self.spec.facts.clone());
        self.journal.close(cause).await;
        // Whoever started it may itself have ended.
        let _ = facts.send(Fact::Dead(id, cause)).await;
    }

    fn begin(&mut self) {
        let version = &self.spec.version;
        let runtime = version.deployment.configuration.runtime();
        self.shared.lives.begin(
            &self.spec.id,
            Birth {
                id: self.spec.id.to_string(),
                function_name: version.key.name.to_string(),
                function_arn: version.key.arn(),
                version: version.version.to_string(),
                runtime: runtime.map_or_else(|| "image".to_owned(), |runtime| runtime.to_string()),
                memory_size_mb: version.deployment.configuration.memory_mb,
                log_group: version.log_group(),
                log_stream: self.log_stream.clone(),
                cold_reason: self.spec.reason.as_str(),
                initialization_type: self.spec.initialization.as_str(),
                created_ms: self.shared.clock.wall_ms(),
                born: self.journal.born(),
            },
        );
        self.journal.moment("created", None);
        self.effects.spawn(create(
            self.shared.clone(),
            self.spec.version.clone(),
            self.spec.id.to_string(),
            self.source(),
        ));
    }

    /// Waits for one thing to happen and takes it.
    async fn turn(&mut self, commands: &mut Commands) {
        if std::mem::take(&mut self.drained) {
            return self.drained_at_once().await;
        }
        let due = self.due();
        let restless = matches!(self.machine.phase(), Phase::Ready { frozen: false })
            && !self.journal.telemetry.is_busy();
        let clock = &self.shared.clock;
        tokio::select! {
            biased;
            // Before anything else: one that was complete is not spoilt by what came after it.
            Some(forwarded) = ended(&mut self.streaming) => self.forwarded(forwarded).await,
            Some(event) = next(&mut self.events) => self.sandbox_event(event).await,
            call = self.runtime.call() => self.call(call).await,
            Some(command) = commands.inbox.recv() => self.command(command).await,
            Some(done) = self.effects.join_next() => self.done(done.unwrap_or(Done::Nothing)).await,
            Some(dialled) = next(&mut self.dialled) => self.dialled(dialled),
            made = self.journal.telemetry.attempted() => self.journal.telemetry.made(made),
            () = self.alarm.reaches(due.unwrap_or(0), clock), if due.is_some() => self.ring().await,
            // Whoever waits for an environment comes before it is frozen.
            () = self.shared.stillness.reached(), if restless => self.step(Event::Quiet).await,
        }
    }

    /// When there is something to do that nobody asks for.
    fn due(&self) -> Option<Micros> {
        let journal = &self.journal;
        let moments = [self.machine.deadline(), journal.due(), journal.telemetry.due()];
        moments.into_iter().flatten().min()
    }

    async fn ring(&mut self) {
        let now = self.shared.clock.now();
        let has_come = |moment: Option<Micros>| moment.is_some_and(|moment| moment <= now);
        if has_come(self.journal.telemetry.due()) {
            self.journal.telemetry.deliver(self.sandbox.as_ref());
        }
        if has_come(self.journal.due()) {
            self.journal.flush();
        }
        if has_come(self.machine.deadline()) {
            self.step(Event::Deadline).await;
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Lease(job) if self.job.is_some() => self.hand_back(job).await,
            Command::Lease(job) => {
                self.shared.stillness.stir();
                let timeout_ms = u64::from(self.timeout_s()) * 1_000;
                self.metered.begin(&self.shared.meter, &self.spec.version, &job);
                self.job = Some(job);
                self.step(Event::Lease { timeout_ms }).await;
            }
            Command::Stop(cause) => self.step(Event::Stop { cause }).await,
            Command::Kill(cause) => self.step(Event::Kill { cause }).await,
        }
    }

    fn dialled(&mut self, dialled: Dialled) {
        match dialled.service {
            Service::RuntimeApi => self.runtime.connect(dialled.connection),
            Service::Endpoint => {
                if self.shared.endpoint.try_send(dialled.connection).is_err() {
                    debug!("endpoint is busy; the connection is closed");
                }
            }
        }
    }

    async fn sandbox_event(&mut self, event: sandbox::Event) {
        match event {
            sandbox::Event::Output { process, stream, bytes } => {
                self.journal.output(process, stream, &bytes);
            }
            sandbox::Event::Exited { process, exit } if process == recipe::RUNTIME => {
                let out_of_memory = self.died_of_memory(exit).await;
                self.journal.finish_lines();
                self.step(Event::Exited { exit: model_exit(exit), out_of_memory }).await;
            }
            sandbox::Event::Exited { process, exit } => {
                if let Some(id) = of_process(process) {
                    let fault = self.extensions.exited(id, model_exit(exit));
                    self.step(Event::ExtensionEnded { id, fault }).await;
                }
            }
            sandbox::Event::Empty => {
                self.journal.moment("emptied", None);
                self.step(Event::Empty).await;
            }
            sandbox::Event::Drained { token } if token == self.drains => self.settled().await,
            sandbox::Event::Drained { .. } => {}
            sandbox::Event::Gone => {
                self.events = None;
                self.dialled = None;
                self.step(Event::Gone).await;
            }
        }
    }

    /// What was written is told already; it is only to be taken.
    async fn drained_at_once(&mut self) {
        while let Some(event) = self.events.as_mut().and_then(|events| events.try_recv().ok()) {
            self.sandbox_event(event).await;
        }
        self.settled().await;
    }

    /// All that an invocation wrote has been taken.
    async fn settled(&mut self) {
        self.journal.cut_lines();
        if let Some(sandbox) = &self.sandbox
            && self.memory.peaks(sandbox.memory_peak().await.unwrap_or(0))
        {
            self.memory.killed(sandbox.oom_kills().await.unwrap_or(0));
        }
        self.step(Event::Drained).await;
    }

    /// Whether the kernel ended the runtime for memory: its own counter has grown.
    async fn died_of_memory(&mut self, exit: sandbox::Exit) -> bool {
        let Some(sandbox) = &self.sandbox else { return false };
        self.memory.peaks(sandbox.memory_peak().await.unwrap_or(0));
        let killed = self.memory.killed(sandbox.oom_kills().await.unwrap_or(0));
        killed && matches!(exit, sandbox::Exit::Signal(9))
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Created(Ok(Made { sandbox, interpreter, external, snapshot })) => {
                let Housed { id, created, waiting } = sandbox;
                self.shared.lives.housed(&self.spec.id, id);
                self.interpreter = interpreter;
                self.waiting = waiting;
                self.external = external;
                self.snapshot = snapshot;
                self.sandbox = Some(created.sandbox);
                self.events = Some(created.events);
                self.dialled = Some(created.connections);
                if self.unwanted {
                    self.destroy();
                } else {
                    self.journal.moment("provisioned", None);
                    let external = (0..).take(self.external.len()).map(ExtensionId).collect();
                    let snapshot = self.snapshot.is_some();
                    self.step(Event::Provisioned { external, snapshot }).await;
                }
            }
            Done::Created(Err(reason)) => {
                warn!(environment = %self.spec.id, reason, "environment could not be made");
                self.journal
                    .remark(format!("[dormouse] environment could not be made: {reason}\n"));
                let event = if self.unwanted { Event::Gone } else { Event::ProvisionFailed };
                self.step(event).await;
            }
            Done::Started(Ok(())) | Done::Started(Err(StartError::Gone(_))) | Done::Nothing => {}
            Done::Started(Err(error)) => {
                debug!(environment = %self.spec.id, %error, "runtime was not started");
                self.step(Event::StartFailed).await;
            }
            Done::ExtensionStarted(_, Ok(()) | Err(StartError::Gone(_))) => {}
            Done::ExtensionStarted(id, Err(error)) => {
                debug!(environment = %self.spec.id, %error, "extension was not started");
                let fault = self.extensions.not_launched(id, &error);
                self.step(Event::ExtensionEnded { id, fault }).await;
            }
            Done::Checkpointed => self.step(Event::Checkpointed).await,
            Done::Restored(Ok(())) => {}
            Done::Restored(Err(error)) => self.not_restored(&error).await,
            Done::ExtensionRefused(id, fault) => {
                self.step(Event::ExtensionEnded { id, fault }).await;
            }
        }
    }

    /// Feeds the machine and starts what it names.
    async fn step(&mut self, event: Event) {
        let leased = matches!(event, Event::Lease { .. });
        match self.machine.step(event, self.shared.clock.now()) {
            Ok(effects) => {
                for effect in effects {
                    self.start(effect).await;
                }
            }
            Err(denied) => {
                debug!(environment = %self.spec.id, %denied, "event denied");
                if leased {
                    self.give_back().await;
                }
            }
        }
    }

    fn request(&self) -> Option<RequestId> {
        self.job.as_ref().map(|job| job.invocation.request.clone())
    }

    fn timeout_s(&self) -> u32 {
        self.spec.version.deployment.configuration.timeout_s
    }
}

/// The names and texts that were made for an environment when it was asked for.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) log_stream: String,
    pub(crate) secret: String,
}

fn model_exit(exit: sandbox::Exit) -> Exit {
    match exit {
        sandbox::Exit::Code(code) => Exit::Code(code),
        sandbox::Exit::Signal(signal) => Exit::Signal(signal),
    }
}

async fn next<T>(receiver: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => None,
    }
}

async fn ended(streaming: &mut Option<Streaming>) -> Option<Forwarded> {
    match streaming {
        Some(streaming) => Some(streaming.ended().await),
        None => None,
    }
}
