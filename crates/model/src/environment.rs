//! The life of an execution environment: one pure function from (phase, event, now) to the next
//! phase and the effects to start. What is not listed is denied.
//!
//! ```text
//!                      +--------------------------- lease ------------------------+
//!                      v                                                          |
//! Provisioning -> Init(first) -> Ready{frozen} <-> Busy{running -> answered -> settling}
//!                      |            |    ^           |
//!                      | failed     |    |           | crash, timeout
//!                      v            v    |           v
//!                    Reset <--- runtime died ----> Reset -> Cold -- lease --> Init(suppressed)
//!
//! any -- stop, nothing running --> Draining -> Dead{cause}        any -- sandbox gone --> Dead
//! ```
//!
//! Reset ends every process and keeps the sandbox with its `/tmp`; the next lease then runs Init
//! again under the function's timeout ("suppressed init"). An environment whose processes do not
//! end in time is destroyed, never reused.

use crate::limits;

/// Microseconds of a monotonic clock whose start does not matter.
pub type Micros = u64;

/// A wait that is over at a moment. The owner sends [`Event::Deadline`] then.
fn after(now: Micros, ms: u64) -> Micros {
    now + ms * 1_000
}

/// Where an environment is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The sandbox is being made.
    Provisioning {
        /// When it is given up.
        deadline: Micros,
    },
    /// The runtime has been started and has not asked for work yet.
    Init(Init),
    /// Waiting for a lease, with a runtime parked in `next`.
    Ready {
        /// Whether its processes are stopped.
        frozen: bool,
    },
    /// Waiting for a lease, without processes: the next one begins with a suppressed init.
    Cold,
    /// An invocation runs.
    Busy(Busy),
    /// Every process is being ended.
    Reset(Reset),
    /// The sandbox is being destroyed.
    Draining {
        /// Why.
        cause: Cause,
    },
    /// The end; nothing follows.
    Dead {
        /// Why.
        cause: Cause,
    },
}

/// The Init phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// When the runtime was started.
    pub started: Micros,
    /// When it is given up.
    pub deadline: Micros,
    /// What the runtime said went wrong; its end is awaited.
    pub failure: Option<Failure>,
    /// The invocation this Init is part of; `None` for the first Init.
    pub lease: Option<Lease>,
}

/// A right to run one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// When the invocation began.
    pub started: Micros,
    /// When it times out.
    pub deadline: Micros,
}

/// An invocation under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Its lease.
    pub lease: Lease,
    /// How far it is.
    pub stage: Stage,
}

/// How far an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The runtime has the event and has not answered.
    Running,
    /// The caller has its answer, the runtime has not asked for more work.
    Answered,
    /// The runtime has asked for more work; what it wrote meanwhile is being collected.
    Settling {
        /// When it asked.
        ended: Micros,
        /// When the rest of the output is given up.
        deadline: Micros,
    },
}

/// The end of all processes under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// When it is given up and the sandbox destroyed.
    pub deadline: Micros,
    /// What is to be told when all is over.
    pub ending: Ending,
    /// A lease that arrived meanwhile.
    pub next: Option<Lease>,
}

/// What a reset ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A runtime that was waiting for work.
    Idle,
    /// The first Init.
    Init {
        /// How it went.
        report: InitReport,
    },
    /// An invocation.
    Invocation {
        /// How its suppressed init went wrong, if that is what went wrong.
        init: Option<InitReport>,
        /// How it went.
        report: Report,
    },
}

/// What happens to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The sandbox is made.
    Provisioned,
    /// The sandbox could not be made.
    ProvisionFailed,
    /// The runtime's process could not be started.
    StartFailed,
    /// The runtime asks for work.
    Next,
    /// The runtime says that it cannot initialise.
    InitError {
        /// Its error type, as filtered.
        error_type: String,
    },
    /// The runtime answered the invocation, with a result or an error.
    Answered,
    /// The runtime's process ended.
    Exited {
        /// How.
        exit: Exit,
        /// Whether the kernel ended it because the memory limit was reached.
        out_of_memory: bool,
    },
    /// All output up to now is collected.
    Drained,
    /// No process is left.
    Empty,
    /// Nobody has asked for anything: time to freeze.
    Quiet,
    /// An invocation for this environment, with its time limit.
    Lease {
        /// Milliseconds it may take.
        timeout_ms: u64,
    },
    /// The environment shall end when nothing runs.
    Stop {
        /// Why.
        cause: Cause,
    },
    /// The environment shall end now, whatever runs.
    Kill {
        /// Why.
        cause: Cause,
    },
    /// The moment of [`Environment::deadline`] has come.
    Deadline,
    /// The sandbox is gone.
    Gone,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

/// What the owner is to start, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write the INIT_START line and start the runtime's process.
    StartRuntime,
    /// Let the processes run again.
    Thaw,
    /// Stop the processes from running.
    Freeze,
    /// Write the START line.
    LogStart,
    /// Hand the invocation to the parked `next`.
    Deliver,
    /// Hand the runtime's answer to the caller.
    PassAnswer,
    /// Tell assignment that a lease will be welcome soon.
    TellAnswered,
    /// Answer the caller with an error of the platform's making.
    Fail(Failure),
    /// Give the invocation back unstarted: somebody else must run it.
    HandBack,
    /// Collect the output; its end is [`Event::Drained`].
    DrainOutput,
    /// Write the INIT_REPORT line.
    LogInitReport(InitReport),
    /// Write the END and REPORT lines.
    LogReport(Report),
    /// End every process; its end is [`Event::Empty`].
    KillAll,
    /// Tell assignment that a lease is welcome.
    TellReady,
    /// Destroy the sandbox; its end is [`Event::Gone`].
    Destroy,
    /// Tell assignment that this environment has ended.
    TellDead(Cause),
}

/// Why an environment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nobody needed it for a while.
    Idle,
    /// The function was changed or deleted.
    Update,
    /// The server stops.
    Shutdown,
    /// Room was needed for another.
    Evicted,
    /// The sandbox could not be made.
    ProvisionFailed,
    /// Its processes could not be ended in time.
    UnclearEnd,
    /// The sandbox ended by itself.
    SandboxLost,
}

/// Why an invocation ended without an answer from the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The function's timeout.
    Timeout,
    /// The runtime's process ended.
    Exited {
        /// How.
        exit: Exit,
        /// Whether memory was the reason.
        out_of_memory: bool,
    },
    /// The runtime reported that it cannot initialise.
    InitError {
        /// Its error type.
        error_type: String,
    },
    /// There is nothing to run.
    InvalidEntrypoint,
    /// The platform failed.
    Sandbox,
    /// The server stops and could not wait longer.
    Shutdown,
}

/// How an Init went; printed only when it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    /// How long it took.
    pub duration: Micros,
    /// Whether it was part of an invocation.
    pub suppressed: bool,
    /// What went wrong.
    pub failure: Failure,
}

/// How an invocation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How long it took, a suppressed init included.
    pub duration: Micros,
    /// How long the first Init took, on the first invocation after it.
    pub init_duration: Option<Micros>,
    /// What went wrong, if the platform had to end it.
    pub failure: Option<Failure>,
}

/// An event that has no place in the phase; nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not allowed in {phase:?}")]
pub struct Denied {
    /// Where the environment is.
    pub phase: Phase,
    /// What was refused.
    pub event: Event,
}

/// An environment: its phase and the two facts that outlive a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    phase: Phase,
    /// The first Init's duration, until a report has told it.
    init_duration: Option<Micros>,
    /// Why it shall end once nothing runs.
    stop: Option<Cause>,
}

impl Environment {
    /// An environment whose sandbox is being made.
    #[must_use]
    pub fn new(now: Micros) -> Self {
        let phase = Phase::Provisioning {
            deadline: after(now, limits::PROVISION_MS),
        };
        Self {
            phase,
            init_duration: None,
            stop: None,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// When [`Event::Deadline`] is due, if ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Micros> {
        match &self.phase {
            Phase::Provisioning { deadline } => Some(*deadline),
            Phase::Init(init) => Some(init.deadline),
            Phase::Busy(Busy {
                stage: Stage::Settling { deadline, .. },
                ..
            }) => Some(*deadline),
            Phase::Busy(busy) => Some(busy.lease.deadline),
            Phase::Reset(reset) => Some(reset.deadline),
            Phase::Ready { .. } | Phase::Cold | Phase::Draining { .. } | Phase::Dead { .. } => None,
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`Denied`] when the event has no place in this phase; the environment is unchanged.
    pub fn step(&mut self, event: Event, now: Micros) -> Result<Vec<Effect>, Box<Denied>> {
        if let Some(effects) = self.step_anywhere(&event, now) {
            return Ok(effects);
        }
        let effects = match self.phase.clone() {
            Phase::Provisioning { .. } => self.provisioning(&event, now),
            Phase::Init(init) => self.init(init, &event, now),
            Phase::Ready { frozen } => self.ready(frozen, &event, now),
            Phase::Cold => self.cold(&event, now),
            Phase::Busy(busy) => self.busy(busy, &event, now),
            Phase::Reset(reset) => self.reset(reset, &event, now),
            Phase::Draining { .. } | Phase::Dead { .. } => None,
        };
        effects.ok_or_else(|| {
            Box::new(Denied {
                phase: self.phase.clone(),
                event,
            })
        })
    }

    /// Events whose meaning does not depend on how far the phase is.
    fn step_anywhere(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match (&self.phase, event) {
            (Phase::Dead { .. }, Event::Gone) => None,
            (Phase::Draining { .. } | Phase::Dead { .. }, Event::Lease { .. }) => {
                Some(vec![Effect::HandBack])
            }
            (Phase::Draining { .. } | Phase::Dead { .. }, _) if *event != Event::Gone => {
                Some(vec![])
            }
            (Phase::Draining { cause }, Event::Gone) => Some(self.die(*cause, vec![])),
            (_, Event::Gone) => {
                let effects = self.unfinished(&Failure::Sandbox, now);
                Some(self.die(Cause::SandboxLost, effects))
            }
            (_, Event::Kill { cause }) => {
                let failure = if *cause == Cause::Shutdown {
                    Failure::Shutdown
                } else {
                    Failure::Sandbox
                };
                let effects = self.unfinished(&failure, now);
                Some(self.drain(*cause, effects))
            }
            (_, Event::Stop { cause }) => Some(self.stop(*cause, now)),
            _ => None,
        }
    }

    /// What the end of the sandbox means for the invocation in it: its caller is answered and its
    /// report written, or it goes back unstarted.
    fn unfinished(&mut self, failure: &Failure, now: Micros) -> Vec<Effect> {
        match self.phase.clone() {
            Phase::Init(Init {
                lease: Some(lease), ..
            }) => {
                let mut effects = vec![Effect::Fail(failure.clone()), Effect::LogStart];
                effects.push(self.last_report(lease, now, Some(failure.clone())));
                effects
            }
            Phase::Busy(Busy {
                lease,
                stage: Stage::Running,
            }) => vec![
                Effect::Fail(failure.clone()),
                self.last_report(lease, now, Some(failure.clone())),
            ],
            Phase::Busy(Busy {
                lease,
                stage: Stage::Answered,
            }) => {
                vec![self.last_report(lease, now, Some(failure.clone()))]
            }
            Phase::Busy(Busy {
                lease,
                stage: Stage::Settling { ended, .. },
            }) => {
                vec![self.last_report(lease, ended, None)]
            }
            Phase::Reset(reset) => {
                let mut effects = tell(reset.ending);
                effects.extend(reset.next.map(|_| Effect::HandBack));
                effects
            }
            Phase::Provisioning { .. }
            | Phase::Init(_)
            | Phase::Ready { .. }
            | Phase::Cold
            | Phase::Draining { .. }
            | Phase::Dead { .. } => vec![],
        }
    }

    fn last_report(&mut self, lease: Lease, ended: Micros, failure: Option<Failure>) -> Effect {
        Effect::LogReport(Report {
            duration: ended - lease.started,
            init_duration: self.init_duration.take(),
            failure,
        })
    }

    fn stop(&mut self, cause: Cause, now: Micros) -> Vec<Effect> {
        match &self.phase {
            Phase::Busy(_)
            | Phase::Init(Init { lease: Some(_), .. })
            | Phase::Reset(Reset {
                ending: Ending::Invocation { .. },
                ..
            }) => {
                self.stop = Some(cause);
                vec![]
            }
            _ => {
                let effects = self.unfinished(&Failure::Sandbox, now);
                self.drain(cause, effects)
            }
        }
    }

    fn drain(&mut self, cause: Cause, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Draining { cause };
        effects.push(Effect::Destroy);
        effects
    }

    fn die(&mut self, cause: Cause, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Dead { cause };
        effects.push(Effect::TellDead(cause));
        effects
    }

    fn provisioning(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Provisioned => {
                let deadline = after(now, limits::INIT_MS);
                self.phase = Phase::Init(Init {
                    started: now,
                    deadline,
                    failure: None,
                    lease: None,
                });
                Some(vec![Effect::StartRuntime])
            }
            Event::ProvisionFailed => Some(self.die(Cause::ProvisionFailed, vec![])),
            Event::Deadline => Some(self.drain(Cause::ProvisionFailed, vec![])),
            _ => None,
        }
    }

    fn init(&mut self, init: Init, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match (event, &init.failure) {
            (Event::Next, None) => Some(match init.lease {
                None => {
                    self.init_duration = Some(now - init.started);
                    self.phase = Phase::Ready { frozen: false };
                    vec![Effect::TellReady]
                }
                Some(lease) => self.run(lease, vec![]),
            }),
            (Event::InitError { error_type }, None) => {
                // It is about to end by itself; what it still writes is worth a moment.
                let grace = after(now, limits::KILL_MS / 4).min(init.deadline);
                let failure = Some(Failure::InitError {
                    error_type: error_type.clone(),
                });
                self.phase = Phase::Init(Init {
                    deadline: grace,
                    failure,
                    ..init
                });
                Some(vec![])
            }
            (Event::StartFailed, _) => {
                Some(self.init_failed(&init, Failure::InvalidEntrypoint, now))
            }
            (
                Event::Exited {
                    exit,
                    out_of_memory,
                },
                said,
            ) => {
                let exited = Failure::Exited {
                    exit: *exit,
                    out_of_memory: *out_of_memory,
                };
                let failure = said.clone().unwrap_or(exited);
                Some(self.init_failed(&init, failure, now))
            }
            (Event::Deadline, said) => {
                let failure = said.clone().unwrap_or(Failure::Timeout);
                Some(self.init_failed(&init, failure, now))
            }
            _ => None,
        }
    }

    fn init_failed(&mut self, init: &Init, failure: Failure, now: Micros) -> Vec<Effect> {
        let init_report = InitReport {
            duration: now - init.started,
            suppressed: init.lease.is_some(),
            failure: failure.clone(),
        };
        let Some(lease) = init.lease else {
            return self.begin_reset(
                Ending::Init {
                    report: init_report,
                },
                vec![],
                now,
            );
        };
        let report = Report {
            duration: now - lease.started,
            init_duration: None,
            failure: Some(failure.clone()),
        };
        let ending = Ending::Invocation {
            init: Some(init_report),
            report,
        };
        self.begin_reset(ending, vec![Effect::Fail(failure)], now)
    }

    fn ready(&mut self, frozen: bool, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Lease { timeout_ms } => {
                let lease = Lease {
                    started: now,
                    deadline: after(now, *timeout_ms),
                };
                let before = if frozen { vec![Effect::Thaw] } else { vec![] };
                Some(self.run(lease, before))
            }
            Event::Quiet if !frozen => {
                self.phase = Phase::Ready { frozen: true };
                Some(vec![Effect::Freeze])
            }
            Event::Exited { .. } => {
                let before = if frozen { vec![Effect::Thaw] } else { vec![] };
                Some(self.begin_reset(Ending::Idle, before, now))
            }
            Event::Quiet | Event::Next | Event::Drained => Some(vec![]),
            _ => None,
        }
    }

    fn cold(&mut self, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Lease { timeout_ms } => {
                let lease = Lease {
                    started: now,
                    deadline: after(now, *timeout_ms),
                };
                Some(self.suppressed_init(lease, now))
            }
            Event::Quiet | Event::Drained => Some(vec![]),
            _ => None,
        }
    }

    fn suppressed_init(&mut self, lease: Lease, now: Micros) -> Vec<Effect> {
        let deadline = lease.deadline;
        self.phase = Phase::Init(Init {
            started: now,
            deadline,
            failure: None,
            lease: Some(lease),
        });
        vec![Effect::StartRuntime]
    }

    fn run(&mut self, lease: Lease, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Busy(Busy {
            lease,
            stage: Stage::Running,
        });
        effects.extend([Effect::LogStart, Effect::Deliver]);
        effects
    }

    fn busy(&mut self, busy: Busy, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match (busy.stage, event) {
            (Stage::Running, Event::Answered) => {
                self.phase = Phase::Busy(Busy {
                    stage: Stage::Answered,
                    ..busy
                });
                Some(vec![Effect::PassAnswer, Effect::TellAnswered])
            }
            // It lost the event on the way: it gets the same one again.
            (Stage::Running, Event::Next) => Some(vec![Effect::Deliver]),
            (Stage::Answered, Event::Next) => {
                let deadline = after(now, limits::DRAIN_OUTPUT_MS);
                let stage = Stage::Settling {
                    ended: now,
                    deadline,
                };
                self.phase = Phase::Busy(Busy { stage, ..busy });
                Some(vec![Effect::DrainOutput])
            }
            (Stage::Settling { ended, .. }, Event::Drained | Event::Deadline) => {
                Some(self.settled(&busy, ended))
            }
            (
                stage,
                Event::Exited {
                    exit,
                    out_of_memory,
                },
            ) => {
                let failure = Failure::Exited {
                    exit: *exit,
                    out_of_memory: *out_of_memory,
                };
                Some(self.interrupted(&busy, stage, failure, now))
            }
            (Stage::Running | Stage::Answered, Event::Deadline) => {
                Some(self.interrupted(&busy, busy.stage, Failure::Timeout, now))
            }
            (_, Event::Drained | Event::Quiet) | (Stage::Settling { .. }, Event::Next) => {
                Some(vec![])
            }
            _ => None,
        }
    }

    fn settled(&mut self, busy: &Busy, ended: Micros) -> Vec<Effect> {
        let report = Report {
            duration: ended - busy.lease.started,
            init_duration: self.init_duration.take(),
            failure: None,
        };
        let told = vec![Effect::LogReport(report)];
        self.rest(Phase::Ready { frozen: false }, told)
    }

    /// An invocation ended by the platform, before or after the caller had its answer.
    fn interrupted(
        &mut self,
        busy: &Busy,
        stage: Stage,
        failure: Failure,
        now: Micros,
    ) -> Vec<Effect> {
        let before = match stage {
            Stage::Running => vec![Effect::Fail(failure.clone())],
            Stage::Answered | Stage::Settling { .. } => vec![],
        };
        let (ended, failure) = match stage {
            // It had finished: its end afterwards is no fault of the invocation.
            Stage::Settling { ended, .. } => (ended, None),
            // AWS reports the timeout itself, not the moment at which it was noticed.
            Stage::Running | Stage::Answered if failure == Failure::Timeout => {
                (busy.lease.deadline, Some(failure))
            }
            Stage::Running | Stage::Answered => (now, Some(failure)),
        };
        let report = Report {
            duration: ended - busy.lease.started,
            init_duration: self.init_duration.take(),
            failure,
        };
        self.begin_reset(Ending::Invocation { init: None, report }, before, now)
    }

    fn begin_reset(
        &mut self,
        ending: Ending,
        mut effects: Vec<Effect>,
        now: Micros,
    ) -> Vec<Effect> {
        self.init_duration = None;
        let deadline = after(now, limits::KILL_MS);
        self.phase = Phase::Reset(Reset {
            deadline,
            ending,
            next: None,
        });
        effects.push(Effect::KillAll);
        effects
    }

    fn reset(&mut self, reset: Reset, event: &Event, now: Micros) -> Option<Vec<Effect>> {
        match event {
            Event::Empty => {
                let told = tell(reset.ending.clone());
                Some(match (reset.next, &reset.ending) {
                    (Some(lease), _) => {
                        let mut effects = told;
                        effects.extend(self.suppressed_init(lease, now));
                        effects
                    }
                    // Assignment already counts on an idle environment.
                    (None, Ending::Idle) => {
                        self.phase = Phase::Cold;
                        told
                    }
                    (None, _) => self.rest(Phase::Cold, told),
                })
            }
            Event::Deadline => {
                let mut effects = tell(reset.ending.clone());
                if reset.next.is_some() {
                    effects.push(Effect::HandBack);
                }
                Some(self.drain(Cause::UnclearEnd, effects))
            }
            Event::Lease { timeout_ms } if reset.next.is_none() && reset.ending == Ending::Idle => {
                let lease = Lease {
                    started: now,
                    deadline: after(now, *timeout_ms),
                };
                self.phase = Phase::Reset(Reset {
                    next: Some(lease),
                    ..reset
                });
                Some(vec![])
            }
            Event::Exited { .. }
            | Event::Drained
            | Event::Quiet
            | Event::Next
            | Event::Answered
            | Event::StartFailed
            | Event::InitError { .. } => Some(vec![]),
            _ => None,
        }
    }

    /// Nothing runs any more: either a lease is welcome or a stop that waited takes effect.
    fn rest(&mut self, phase: Phase, mut effects: Vec<Effect>) -> Vec<Effect> {
        if let Some(cause) = self.stop {
            return self.drain(cause, effects);
        }
        self.phase = phase;
        effects.push(Effect::TellReady);
        effects
    }
}

fn tell(ending: Ending) -> Vec<Effect> {
    match ending {
        Ending::Idle => vec![],
        Ending::Init { report } => vec![Effect::LogInitReport(report)],
        Ending::Invocation { init, report } => {
            let mut effects = Vec::new();
            if let Some(init) = init {
                effects.extend([Effect::LogInitReport(init), Effect::LogStart]);
            }
            effects.push(Effect::LogReport(report));
            effects
        }
    }
}

#[cfg(test)]
mod tests;
