//! The owner task of one environment: the only one that touches its sandbox.
//!
//! It turns what happens into events for the machine and does the effects the machine names.
//! Freezing and thawing are waited for, since delivery must come after them and both are a write to
//! a file or a short message; everything slower is started, and its end comes back as an event.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::clock::Clock;
use dormouse_model::environment::{Effect, Environment, Event, Exit, Failure, Phase};
use dormouse_model::function::ResolvedVersion;
use dormouse_model::invocation::{self, Answer};
use dormouse_model::names::RequestId;
use dormouse_model::report::{self, Memory};
use dormouse_runtime_api::{Call, Delivery, Progress, Request};
use dormouse_runtimes::Interpreter;
use dormouse_sandbox::{
    self as sandbox, Backend, Connection, CreateError, Created, Dialled, Network, Sandbox, Service,
    StartError, Usage,
};
use dormouse_store::logs::{GroupKey, StreamKey};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::journal::Journal;
use super::runtime::Runtime;
use super::{Command, Commands, Fact, Job, Spec};
use crate::artifacts::Artifacts;
use crate::lives::{Life, Lives};
use crate::logs::LogSink;
use crate::recipe::{self, Parts};
use crate::worker::CpuModel;

/// How often lines of a running function are handed to the store.
const FLUSH: Duration = Duration::from_millis(50);

/// What all environments of a worker share: handles and facts, nothing that changes.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) artifacts: Artifacts,
    pub(crate) bootstraps: PathBuf,
    pub(crate) logs: LogSink,
    pub(crate) lives: Lives,
    pub(crate) clock: Clock,
    pub(crate) network: Network,
    pub(crate) cpu: CpuModel,
    /// Takes the connections that functions open to the daemon's own endpoint.
    pub(crate) endpoint: mpsc::Sender<Connection>,
}

/// The end of a slow effect.
#[derive(Debug)]
enum Done {
    Created(Result<Created, String>),
    Started(Result<(), StartError>),
    Measured(Usage),
    Nothing,
}

/// An answer on its way to the caller.
#[derive(Debug)]
struct Outcome {
    payload: Bytes,
    function_error: bool,
}

pub(crate) struct Owner {
    shared: Arc<Shared>,
    spec: Spec,
    interpreter: Option<Interpreter>,
    runtime_version: String,
    log_stream: String,
    secret: String,
    machine: Environment,
    sandbox: Option<Arc<dyn Sandbox>>,
    events: Option<mpsc::Receiver<sandbox::Event>>,
    dialled: Option<mpsc::Receiver<Dialled>>,
    runtime: Runtime,
    job: Option<Job>,
    /// What the runtime answered, until the machine says to pass it on.
    outcome: Option<Outcome>,
    /// An answer kept back because its caller wants the log's tail.
    held: Option<Answer>,
    init_error: Option<Bytes>,
    usage: Usage,
    drains: u64,
    journal: Journal,
    effects: JoinSet<Done>,
    /// The sandbox was asked to end before it was made.
    unwanted: bool,
}

impl Owner {
    pub(crate) fn new(
        shared: Arc<Shared>,
        spec: Spec,
        interpreter: Option<Interpreter>,
        names: Names,
    ) -> Self {
        let scope = spec.version.key.scope.clone();
        let group = GroupKey {
            scope,
            name: spec.version.log_group(),
        };
        let destination = StreamKey {
            group,
            name: names.log_stream.clone(),
        };
        let journal = Journal::new(
            spec.id.clone(),
            destination,
            shared.logs.clone(),
            shared.lives.clone(),
            shared.clock.clone(),
        );
        Self {
            machine: Environment::new(shared.clock.now()),
            interpreter,
            runtime_version: names.runtime_version,
            log_stream: names.log_stream,
            secret: names.secret,
            sandbox: None,
            events: None,
            dialled: None,
            runtime: Runtime::new(),
            job: None,
            outcome: None,
            held: None,
            init_error: None,
            usage: Usage::default(),
            drains: 0,
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
        self.journal.close().await;
        // Whoever started it may itself have ended.
        let _ = facts.send(Fact::Dead(id, cause)).await;
    }

    fn begin(&mut self) {
        let version = &self.spec.version;
        self.shared.lives.begin(
            &self.spec.id,
            Life {
                id: self.spec.id.to_string(),
                function_arn: version.key.arn(),
                version: version.version.to_string(),
                log_group: version.log_group(),
                log_stream: self.log_stream.clone(),
                cold_reason: self.spec.reason.as_str(),
                created_ms: self.shared.clock.wall_ms(),
                events: std::collections::VecDeque::new(),
                ended: false,
            },
        );
        self.journal.moment("created", None);
        self.effects.spawn(create(
            self.shared.clone(),
            self.spec.version.clone(),
            self.spec.id.to_string(),
            self.interpreter.clone(),
        ));
    }

    /// Waits for one thing to happen and takes it.
    async fn turn(&mut self, commands: &mut Commands) {
        let deadline = self.machine.deadline();
        let restless = matches!(self.machine.phase(), Phase::Ready { frozen: false });
        let unflushed = self.journal.has_waiting();
        let clock = self.shared.clock.clone();
        tokio::select! {
            biased;
            Some(event) = next(&mut self.events) => self.sandbox_event(event).await,
            call = self.runtime.call() => self.call(call).await,
            Some(command) = commands.inbox.recv() => self.command(command).await,
            Some(done) = self.effects.join_next() => self.done(done.unwrap_or(Done::Nothing)).await,
            Some(dialled) = next(&mut self.dialled) => self.dialled(dialled),
            () = until(deadline, &clock), if deadline.is_some() => self.step(Event::Deadline).await,
            // Whoever waits for an environment gets one turn before it is frozen.
            () = tokio::task::yield_now(), if restless => self.step(Event::Quiet).await,
            () = tokio::time::sleep(FLUSH), if unflushed => self.journal.flush(),
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Lease(job) if self.job.is_some() => self.hand_back(job).await,
            Command::Lease(job) => {
                let timeout_ms = u64::from(self.timeout_s()) * 1_000;
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
            sandbox::Event::Output {
                process,
                stream,
                bytes,
            } => {
                self.journal.output(process, stream, &bytes);
            }
            sandbox::Event::Exited { process, exit } if process == recipe::RUNTIME => {
                let out_of_memory = self.died_of_memory(exit).await;
                self.journal.finish_lines();
                self.step(Event::Exited {
                    exit: model_exit(exit),
                    out_of_memory,
                })
                .await;
            }
            sandbox::Event::Exited { .. } => {}
            sandbox::Event::Empty => self.step(Event::Empty).await,
            sandbox::Event::Drained { token } if token == self.drains => {
                self.journal.cut_lines();
                let sandbox = self.sandbox.clone();
                self.effects
                    .spawn(async move { Done::Measured(measure(sandbox.as_deref()).await) });
            }
            sandbox::Event::Drained { .. } => {}
            sandbox::Event::Gone => {
                self.events = None;
                self.dialled = None;
                self.step(Event::Gone).await;
            }
        }
    }

    /// Whether the kernel ended the runtime for memory: its own counter has grown.
    async fn died_of_memory(&mut self, exit: sandbox::Exit) -> bool {
        let before = self.usage.oom_kills;
        self.usage = measure(self.sandbox.as_deref()).await;
        matches!(exit, sandbox::Exit::Signal(9)) && self.usage.oom_kills > before
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Created(Ok(created)) => {
                self.sandbox = Some(created.sandbox);
                self.events = Some(created.events);
                self.dialled = Some(created.connections);
                if self.unwanted {
                    self.destroy();
                } else {
                    self.journal.moment("provisioned", None);
                    self.step(Event::Provisioned).await;
                }
            }
            Done::Created(Err(reason)) => {
                warn!(environment = %self.spec.id, reason, "environment could not be made");
                self.journal.platform(format!(
                    "[dormouse] environment could not be made: {reason}\n"
                ));
                let event = if self.unwanted {
                    Event::Gone
                } else {
                    Event::ProvisionFailed
                };
                self.step(event).await;
            }
            Done::Started(Ok(())) | Done::Started(Err(StartError::Gone(_))) | Done::Nothing => {}
            Done::Started(Err(error)) => {
                debug!(environment = %self.spec.id, %error, "runtime was not started");
                self.step(Event::StartFailed).await;
            }
            Done::Measured(usage) => {
                self.usage = usage;
                self.step(Event::Drained).await;
            }
        }
    }

    async fn call(&mut self, call: Call) {
        match call {
            Call::Next { reply } => match self.runtime.admit(Request::Next) {
                Ok(()) => {
                    self.runtime.park(reply);
                    self.step(Event::Next).await;
                }
                Err(refusal) => {
                    let _ = reply.send(Err(refusal));
                }
            },
            Call::Response {
                request,
                body,
                reply,
                ..
            } => {
                self.answered(
                    Request::Response(&request),
                    reply,
                    Outcome {
                        payload: body,
                        function_error: false,
                    },
                )
                .await;
            }
            Call::Error {
                request,
                report,
                reply,
            } => {
                let outcome = Outcome {
                    payload: report.body,
                    function_error: true,
                };
                self.answered(Request::Error(&request), reply, outcome)
                    .await;
            }
            Call::TooLarge { request, reply, .. } => {
                let outcome = Outcome::error(&invocation::response_too_large());
                self.answered(Request::Response(&request), reply, outcome)
                    .await;
            }
            Call::Truncated { request, reply } => {
                let outcome = Outcome::error(&invocation::truncated_response());
                self.answered(Request::Response(&request), reply, outcome)
                    .await;
            }
            Call::InvalidResponseMode { request, reply } => {
                let outcome = Outcome::error(&invocation::invalid_response_mode());
                self.answered(Request::Response(&request), reply, outcome)
                    .await;
            }
            Call::InitError { report, reply } => {
                let verdict = self.runtime.admit(Request::InitError);
                let admitted = verdict.is_ok();
                let _ = reply.send(verdict);
                if admitted {
                    self.init_error = Some(report.body);
                    let error_type = report
                        .error_type
                        .unwrap_or_else(|| "Runtime.Unknown".into());
                    self.step(Event::InitError { error_type }).await;
                }
            }
            Call::RestoreNext { reply } => {
                let _ = reply.send(self.runtime.admit(Request::RestoreNext));
            }
            Call::RestoreError { reply, .. } => {
                let _ = reply.send(self.runtime.admit(Request::RestoreError));
            }
        }
    }

    /// The runtime answered: the caller is served first, then the runtime hears that all is well.
    async fn answered(
        &mut self,
        request: Request<'_>,
        reply: tokio::sync::oneshot::Sender<Result<(), dormouse_runtime_api::Refusal>>,
        outcome: Outcome,
    ) {
        let verdict = self.runtime.admit(request);
        if verdict.is_ok() {
            self.outcome = Some(outcome);
            self.step(Event::Answered).await;
            self.runtime.progress(Progress::Sent);
        }
        // A runtime that hung up after its answer loses nothing.
        let _ = reply.send(verdict);
    }

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

    async fn start(&mut self, effect: Effect) {
        match effect {
            Effect::StartRuntime => self.start_runtime().await,
            Effect::Thaw => {
                self.journal.moment("thawed", None);
                if let Some(sandbox) = &self.sandbox {
                    let _ = sandbox.thaw().await;
                }
            }
            Effect::Freeze => {
                if let Some(sandbox) = &self.sandbox {
                    let _ = sandbox.freeze().await;
                }
                self.journal.moment("frozen", None);
            }
            Effect::LogStart => {
                if let Some(job) = &self.job {
                    let line = report::start(&job.invocation.request, self.spec.version.version);
                    self.journal.begin_tail();
                    self.journal.platform(line);
                }
            }
            Effect::Deliver => self.deliver(),
            Effect::PassAnswer => self.pass_answer(),
            Effect::Fail(failure) => self.fail(&failure),
            Effect::HandBack => self.give_back().await,
            Effect::DrainOutput => self.drain_output(),
            Effect::LogInitReport(init) => {
                self.journal.moment("init failed", None);
                self.journal.platform(report::init_report(&init));
            }
            Effect::LogReport(report) => self.log_report(&report),
            Effect::KillAll => self.kill_all(),
            Effect::TellReady => self.tell_ready().await,
            Effect::Destroy => self.destroy(),
            // Told at the very end of `run`, when all lines are handed over.
            Effect::TellDead(_) => {}
        }
    }

    async fn start_runtime(&mut self) {
        let configuration = &self.spec.version.deployment.configuration;
        self.journal.moment("init", None);
        self.journal.platform(report::init_start(
            &self.runtime_version,
            &configuration
                .runtime
                .version_arn(&self.spec.version.key.scope.region),
        ));
        self.runtime = Runtime::new();
        self.init_error = None;
        let process = recipe::runtime(
            &self.spec.version,
            self.interpreter.as_ref(),
            &self.log_stream,
            &self.secret,
        );
        if let Some(sandbox) = self.sandbox.clone() {
            // Init may use the whole machine; a reset comes back here with the share still set.
            let _ = sandbox.set_cpu(None).await;
            self.effects
                .spawn(async move { Done::Started(sandbox.start(process).await) });
        }
    }

    fn deliver(&mut self) {
        let Some(job) = &self.job else { return };
        let invocation = &job.invocation;
        self.journal.moment("invoke", Some(&invocation.request));
        let left_ms = match self.machine.phase() {
            Phase::Busy(busy) => {
                busy.lease.deadline.saturating_sub(self.shared.clock.now()) / 1_000
            }
            _ => 0,
        };
        self.runtime.deliver(Delivery {
            request_id: invocation.request.clone(),
            deadline_ms: self.shared.clock.wall_ms() + left_ms,
            invoked_function_arn: invocation.invoked_arn.clone(),
            trace_id: invocation.trace.clone(),
            client_context: invocation.client_context.clone(),
            cognito_identity: None,
            tenant_id: invocation.tenant.clone(),
            payload: invocation.payload.clone(),
        });
    }

    fn pass_answer(&mut self) {
        let request = self.request();
        self.journal.moment("answered", request.as_ref());
        if let Some(outcome) = self.outcome.take() {
            self.answer(outcome);
        }
    }

    fn fail(&mut self, failure: &Failure) {
        let Some(request) = self.request() else {
            return;
        };
        self.journal.moment("failed", Some(&request));
        if *failure == Failure::Timeout {
            self.runtime.progress(Progress::TimedOut);
        }
        let payload = match (failure, self.init_error.take()) {
            (Failure::InitError { .. }, Some(body)) => body,
            _ => invocation::payload(failure, &request, self.timeout_s())
                .to_json()
                .into(),
        };
        self.answer(Outcome {
            payload,
            function_error: true,
        });
    }

    fn answer(&mut self, outcome: Outcome) {
        let answer = Answer {
            payload: outcome.payload,
            function_error: outcome.function_error,
            log_tail: None,
        };
        if self.job.as_ref().is_some_and(|job| job.invocation.tail) {
            self.held = Some(answer);
            return;
        }
        self.reply(answer);
    }

    /// Hands the answer over; the job itself stays until its report is written.
    fn reply(&mut self, answer: Answer) {
        if let Some(job) = &mut self.job {
            let (spent, _) = tokio::sync::oneshot::channel();
            // The caller may have gone; the function ran all the same.
            let _ = std::mem::replace(&mut job.reply, spent).send(answer);
        }
    }

    fn log_report(&mut self, report: &dormouse_model::environment::Report) {
        let Some(request) = self.request() else {
            return;
        };
        if let Some(failure) = &report.failure {
            let now = crate::worker::timestamp(self.shared.clock.wall_ms());
            let line = report::failure_line(failure, &request, &now, self.timeout_s());
            self.journal.platform(line);
        }
        let memory = Memory {
            size_mb: self.spec.version.deployment.configuration.memory_mb,
            peak_bytes: self.usage.memory_peak_bytes,
        };
        self.journal.platform(report::end(&request));
        self.journal
            .platform(report::report(&request, report, memory));
        self.journal.moment("reported", Some(&request));
        if let Some(mut answer) = self.held.take() {
            answer.log_tail = Some(self.journal.take_tail().into());
            self.reply(answer);
        }
        self.job = None;
        self.outcome = None;
    }

    fn drain_output(&mut self) {
        self.drains += 1;
        let token = self.drains;
        if let Some(sandbox) = self.sandbox.clone() {
            self.effects.spawn(async move {
                let _ = sandbox.drain_output(token).await;
                Done::Nothing
            });
        }
    }

    fn kill_all(&mut self) {
        self.journal.moment("reset", None);
        if let Some(sandbox) = self.sandbox.clone() {
            self.effects.spawn(async move {
                let _ = sandbox.kill_all().await;
                Done::Nothing
            });
        }
    }

    async fn tell_ready(&mut self) {
        self.journal.moment("ready", None);
        let memory_mb = self.spec.version.deployment.configuration.memory_mb;
        if let Some(sandbox) = &self.sandbox {
            let _ = sandbox
                .set_cpu(recipe::cpu_millis(self.shared.cpu, memory_mb))
                .await;
        }
        let _ = self
            .spec
            .facts
            .send(Fact::Ready(self.spec.id.clone()))
            .await;
    }

    fn destroy(&mut self) {
        self.journal.moment("shutdown", None);
        let Some(sandbox) = self.sandbox.clone() else {
            self.unwanted = true;
            return;
        };
        self.effects.spawn(async move {
            sandbox.destroy().await;
            Done::Nothing
        });
    }

    async fn give_back(&mut self) {
        if let Some(job) = self.job.take() {
            self.hand_back(job).await;
        }
    }

    async fn hand_back(&self, job: Job) {
        let _ = self
            .spec
            .facts
            .send(Fact::HandBack(self.spec.id.clone(), job))
            .await;
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
    pub(crate) runtime_version: String,
    pub(crate) secret: String,
}

impl Outcome {
    fn error(payload: &invocation::ErrorPayload) -> Self {
        Self {
            payload: payload.to_json().into(),
            function_error: true,
        }
    }
}

async fn create(
    shared: Arc<Shared>,
    version: Arc<ResolvedVersion>,
    id: String,
    interpreter: Option<Interpreter>,
) -> Done {
    let code = match shared.artifacts.code(&version.deployment.code.digest).await {
        Ok(code) => code,
        Err(unavailable) => return Done::Created(Err(unavailable.to_string())),
    };
    let parts = Parts {
        code,
        bootstraps: shared.bootstraps.clone(),
        interpreter,
    };
    let spec = recipe::sandbox(&id, &version, &parts, shared.network);
    Done::Created(
        shared
            .backend
            .create(spec)
            .await
            .map_err(|error| in_words(&error)),
    )
}

fn in_words(error: &CreateError) -> String {
    match error {
        CreateError::Step { step, source } => format!("sandbox step {step}: {source}"),
        CreateError::ShutDown => error.to_string(),
    }
}

async fn measure(sandbox: Option<&dyn Sandbox>) -> Usage {
    match sandbox {
        Some(sandbox) => sandbox.usage().await.unwrap_or_default(),
        None => Usage::default(),
    }
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

async fn until(deadline: Option<u64>, clock: &Clock) {
    let left = deadline.unwrap_or(0).saturating_sub(clock.now());
    tokio::time::sleep(Duration::from_micros(left)).await;
}
