//! One environment's life: what is known of it from the start, and what its moments add up to.
//!
//! Pure. The words of moments are told by `environment/journal.rs`; a word that is not known here is
//! kept and shown, and changes nothing else.

use std::collections::VecDeque;

use dormouse_model::environment::{Cause, Failure, Micros};
use dormouse_model::limits;
use dormouse_model::names::RequestId;
use serde::Serialize;

/// One environment's life, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// What was known when it was asked for.
    #[serde(flatten)]
    pub birth: Birth,
    /// Its sandbox, by the name of whose control group processes of the host can be told; none before it
    /// has one. A sandbox that stood by is older than its environment and has a name of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
    /// Where it is.
    pub phase: Phase,
    /// Since when, in microseconds since it was asked for.
    pub phase_since_micros: Micros,
    /// How old it was when it was looked at, or when it ended, in microseconds.
    pub age_micros: Micros,
    /// Invocations begun in it.
    pub invocations: u64,
    /// Invocations that ended without an answer of the function, or with an error of it.
    pub errors: u64,
    /// The most memory in use at once, as the last report told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// The invocation that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_invocation: Option<Ran>,
    /// The invocation that was reported last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_invocation: Option<Ran>,
    /// When and why it ended; null while it lives.
    pub ended: Option<Ended>,
    /// Moments that are not kept any more, between the first `limits::LIFE_FIRST_EVENTS` and the rest.
    pub events_dropped: u64,
    /// What happened, oldest first; at most `limits::LIFE_EVENTS`. Left out of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<VecDeque<Moment>>,
}

/// What is known of an environment when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Birth {
    /// The environment.
    pub id: String,
    /// The function's name.
    pub function_name: String,
    /// The function's ARN.
    pub function_arn: String,
    /// The version that runs in it.
    pub version: String,
    /// The function's runtime.
    pub runtime: String,
    /// The memory it may use, in megabytes.
    pub memory_size_mb: u32,
    /// The log group.
    pub log_group: String,
    /// The log stream.
    pub log_stream: String,
    /// Why it had to be made.
    pub cold_reason: &'static str,
    /// What it is made for: `on-demand`, `provisioned-concurrency` or `snap-start`.
    pub initialization_type: &'static str,
    /// When it was asked for, in milliseconds since 1970.
    pub created_ms: u64,
    /// The same on the monotonic clock.
    #[serde(skip)]
    pub born: Micros,
}

/// Where an environment is, as told by its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Its sandbox is being made.
    Provisioning,
    /// Its processes have been started or restored and have not all asked for work yet.
    Init,
    /// It waits for work.
    Ready,
    /// An invocation runs.
    Running,
    /// It waits for work, its processes stopped.
    Frozen,
    /// Its processes are told to end.
    ShuttingDown,
    /// Its processes are being ended.
    Resetting,
    /// It waits for work without processes.
    Cold,
    /// Its sandbox is being destroyed.
    Ending,
    /// The end.
    Ended,
}

/// An invocation in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ran {
    /// Which.
    pub request_id: RequestId,
    /// How long it took, as its REPORT line says, in microseconds; once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_micros: Option<Micros>,
    /// What went wrong, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

/// The end of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// When, in microseconds since it was asked for.
    pub at_micros: Micros,
    /// How long ago that was when it was looked at, in microseconds.
    pub ago_micros: Micros,
    /// Why: a word such as `idle`.
    pub cause: &'static str,
}

/// One thing that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Microseconds since the environment was asked for.
    pub at_micros: Micros,
    /// What: a word such as `frozen`.
    pub what: &'static str,
    /// The invocation, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// More about it.
    #[serde(flatten)]
    pub detail: Detail,
}

/// What some moments know besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// What went wrong: a word such as `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// How long the invocation took, as its REPORT line says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_micros: Option<Micros>,
    /// The most memory in use at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
}

impl Life {
    /// A life that begins.
    #[must_use]
    pub fn new(birth: Birth) -> Self {
        Self {
            birth,
            sandbox_id: None,
            phase: Phase::Provisioning,
            phase_since_micros: 0,
            age_micros: 0,
            invocations: 0,
            errors: 0,
            memory_peak_bytes: None,
            current_invocation: None,
            last_invocation: None,
            ended: None,
            events_dropped: 0,
            events: Some(VecDeque::new()),
        }
    }

    /// Takes what happened next.
    pub(super) fn take(&mut self, moment: Moment) {
        self.enter(phase_after(self.phase, moment.what), moment.at_micros);
        self.count(&moment);
        let events = self.events.get_or_insert_default();
        if events.len() == limits::LIFE_EVENTS {
            // The cold start is what a life is looked at for: it stays, and its followers go.
            events.remove(limits::LIFE_FIRST_EVENTS);
            self.events_dropped += 1;
        }
        events.push_back(moment);
    }

    /// It is over.
    pub(super) fn end(&mut self, at_micros: Micros, cause: Cause) {
        self.enter(Phase::Ended, at_micros);
        self.age_micros = at_micros;
        self.ended = Some(Ended { at_micros, ago_micros: 0, cause: cause_word(cause) });
    }

    /// A copy for somebody who looks at it at this moment of the monotonic clock.
    pub(super) fn seen(&self, now: Micros, with_events: bool) -> Self {
        let age = now.saturating_sub(self.birth.born).max(self.phase_since_micros);
        Self {
            birth: self.birth.clone(),
            sandbox_id: self.sandbox_id.clone(),
            age_micros: if self.ended.is_some() { self.age_micros } else { age },
            current_invocation: self.current_invocation.clone(),
            last_invocation: self.last_invocation.clone(),
            ended: self
                .ended
                .map(|ended| Ended { ago_micros: age.saturating_sub(ended.at_micros), ..ended }),
            events: if with_events { self.events.clone() } else { None },
            ..*self
        }
    }

    fn enter(&mut self, phase: Phase, at: Micros) {
        if phase != self.phase {
            self.phase = phase;
            self.phase_since_micros = at;
        }
    }

    fn count(&mut self, moment: &Moment) {
        let Some(request) = &moment.request_id else { return };
        let is = |ran: &Option<Ran>| ran.as_ref().is_some_and(|ran| ran.request_id == *request);
        if is(&self.last_invocation) {
            return;
        }
        // An invocation is delivered again when the runtime lost it on the way, and one whose init
        // failed is never delivered.
        if !is(&self.current_invocation) {
            self.invocations += 1;
            let (request_id, duration_micros, error) = (request.clone(), None, None);
            self.current_invocation = Some(Ran { request_id, duration_micros, error });
        }
        let Some(ran) = &mut self.current_invocation else { return };
        if ran.error.is_none() && moment.detail.error.is_some() {
            ran.error = moment.detail.error;
            self.errors += 1;
        }
        self.memory_peak_bytes = moment.detail.memory_peak_bytes.or(self.memory_peak_bytes);
        if moment.detail.duration_micros.is_some() {
            ran.duration_micros = moment.detail.duration_micros;
            self.last_invocation = self.current_invocation.take();
        }
    }
}

/// Where an environment is after a moment.
fn phase_after(phase: Phase, what: &str) -> Phase {
    match (phase, what) {
        (_, "created" | "provisioned") => Phase::Provisioning,
        (_, "init" | "restoring") => Phase::Init,
        // A lease is welcome after a reset, too, when there is nothing to run it yet.
        (Phase::Resetting | Phase::Cold, "ready" | "emptied") => Phase::Cold,
        (_, "ready" | "thawed") => Phase::Ready,
        (_, "frozen") => Phase::Frozen,
        (_, "invoke") => Phase::Running,
        (_, "terminating" | "shutting down") => Phase::ShuttingDown,
        (_, "reset") => Phase::Resetting,
        (_, "shutdown") => Phase::Ending,
        (phase, _) => phase,
    }
}

/// A failure in one word.
pub(crate) fn error_word(failure: &Failure) -> &'static str {
    match failure {
        Failure::Timeout => "timeout",
        Failure::Exited { out_of_memory: true, .. } => "out-of-memory",
        Failure::Exited { .. } => "exited",
        Failure::InitError { .. } => "init-error",
        Failure::RestoreError { .. } => "restore-error",
        Failure::RestoreTimeout => "restore-timeout",
        Failure::InvalidEntrypoint => "invalid-entrypoint",
        Failure::Extension(_) => "extension",
        Failure::Sandbox => "sandbox",
        Failure::Shutdown => "server-shutdown",
    }
}

fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Idle => "idle",
        Cause::Recycled => "recycled",
        Cause::Update => "update",
        Cause::Shutdown => "server-shutdown",
        Cause::Evicted => "evicted",
        Cause::ProvisionFailed => "provision-failed",
        Cause::InitFailed => "init-failed",
        Cause::Crashed => "crashed",
        Cause::Donated => "donated",
        Cause::SnapshotUnusable => "snapshot-unusable",
        Cause::Released => "released",
        Cause::UnclearEnd => "unclear-end",
        Cause::SandboxLost => "sandbox-lost",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A life from text: `at what [request [error]]` in microseconds, separated by `;`. A word of the
    /// moment may have underscores for spaces. `at ended` ends it.
    pub(crate) fn life(script: &str) -> Life {
        let mut life = Life::new(birth());
        for line in script.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let at_micros: Micros = words.next().unwrap().parse().unwrap();
            let what: &'static str = words.next().unwrap().replace('_', " ").leak();
            let request_id = words.next().map(|number| request(number.parse().unwrap()));
            let error = words.next().map(|error| &*error.to_owned().leak());
            let duration_micros = (what == "reported").then_some(7);
            let memory_peak_bytes = (what == "reported").then_some(1_000);
            match what {
                "ended" => life.end(at_micros, Cause::Idle),
                _ => life.take(Moment {
                    at_micros,
                    what,
                    request_id,
                    detail: Detail { error, duration_micros, memory_peak_bytes },
                }),
            }
        }
        life
    }

    pub(crate) fn request(number: u32) -> RequestId {
        format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
    }

    fn birth() -> Birth {
        Birth {
            id: "0123456789abcdef0123456789abcdef".into(),
            function_name: "hello".into(),
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:hello".into(),
            version: "$LATEST".into(),
            runtime: "python3.12".into(),
            memory_size_mb: 128,
            log_group: "/aws/lambda/hello".into(),
            log_stream: "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef".into(),
            cold_reason: "first",
            initialization_type: "on-demand",
            created_ms: 1_000,
            born: 50,
        }
    }

    const COLD: &str = "0 created; 10 provisioned; 11 init; 50 ready";
    const ONE: &str = "60 invoke 1; 70 answered 1; 71 reported 1; 72 ready; 73 frozen";

    #[track_caller]
    fn check(script: &str, expected: &str) {
        let life = life(script);
        let shown = format!(
            "{:?} since {} invocations {} errors {}",
            life.phase, life.phase_since_micros, life.invocations, life.errors
        );
        assert_eq!(shown, expected, "{script}");
    }

    #[test]
    fn the_phase_is_what_the_moments_add_up_to() {
        check("", "Provisioning since 0 invocations 0 errors 0");
        check("0 created; 10 provisioned", "Provisioning since 0 invocations 0 errors 0");
        check("0 created; 10 provisioned; 11 init", "Init since 11 invocations 0 errors 0");
        check(COLD, "Ready since 50 invocations 0 errors 0");
        check(&format!("{COLD}; 60 invoke 1"), "Running since 60 invocations 1 errors 0");
        check(
            &format!("{COLD}; 60 invoke 1; 70 answered 1"),
            "Running since 60 invocations 1 errors 0",
        );
        check(&format!("{COLD};{ONE}"), "Frozen since 73 invocations 1 errors 0");
        check(&format!("{COLD};{ONE}; 80 thawed"), "Ready since 80 invocations 1 errors 0");
        check(&format!("{COLD};{ONE}; 90 shutdown"), "Ending since 90 invocations 1 errors 0");
        check(
            &format!("{COLD};{ONE}; 90 shutdown; 95 ended"),
            "Ended since 95 invocations 1 errors 0",
        );
        check(&format!("{COLD}; 60 something_new"), "Ready since 50 invocations 0 errors 0");
    }

    #[test]
    fn after_a_reset_it_is_cold_until_it_is_initialised_again() {
        let reset = "60 invoke 1; 70 failed 1 timeout; 71 reset; 75 emptied; 76 reported 1 timeout";
        check(&format!("{COLD};{reset}"), "Cold since 75 invocations 1 errors 1");
        check(&format!("{COLD};{reset}; 77 ready"), "Cold since 75 invocations 1 errors 1");
        check(
            &format!("{COLD};{reset}; 77 ready; 90 init"),
            "Init since 90 invocations 1 errors 1",
        );
        check(&format!("{COLD}; 60 reset; 70 ready"), "Cold since 70 invocations 0 errors 0");
        check(
            &format!("{COLD}; 60 terminating; 61 shutting_down"),
            "ShuttingDown since 60 invocations 0 errors 0",
        );
    }

    #[test]
    fn an_invocation_counts_once_however_often_it_is_delivered() {
        check(
            &format!("{COLD}; 60 invoke 1; 61 invoke 1"),
            "Running since 60 invocations 1 errors 0",
        );
        check(
            &format!("{COLD}; 60 reset; 61 emptied; 62 init; 63 failed 2 init-error"),
            "Init since 62 invocations 1 errors 1",
        );
    }

    #[test]
    fn the_last_report_is_remembered() {
        let life = life(&format!("{COLD};{ONE}; 80 thawed; 81 invoke 2"));
        assert_eq!(life.current_invocation.unwrap().request_id, request(2));
        let last = life.last_invocation.unwrap();
        assert_eq!(last.request_id, request(1));
        assert_eq!((last.duration_micros, last.error), (Some(7), None));
        assert_eq!(life.memory_peak_bytes, Some(1_000));
    }

    #[test]
    fn the_cold_start_stays_when_what_followed_is_dropped() {
        let mut life = life(COLD);
        for at in 100..100 + 2 * limits::LIFE_EVENTS as u64 {
            life.take(Moment { at_micros: at, what: "frozen", ..Moment::default() });
        }
        let events = life.events.as_ref().unwrap();
        assert_eq!(events.len(), limits::LIFE_EVENTS);
        assert_eq!(life.events_dropped, limits::LIFE_EVENTS as u64 + 4);
        let first: Vec<&str> = events.iter().take(4).map(|moment| moment.what).collect();
        assert_eq!(first, ["created", "provisioned", "init", "ready"]);
        assert_eq!(events.back().unwrap().at_micros, 99 + 2 * limits::LIFE_EVENTS as u64);
    }

    #[test]
    fn its_age_grows_until_it_ends() {
        let living = life(COLD);
        assert_eq!(living.seen(1_050, false).age_micros, 1_000);
        // A look cannot be earlier than what is already known.
        assert_eq!(living.seen(60, false).age_micros, 50);
        assert_eq!(
            life(&format!("{COLD}; 90 shutdown; 95 ended")).seen(1_050, true).age_micros,
            95
        );
    }

    #[test]
    fn it_is_shown_as_one_flat_object() {
        let life = life(&format!("{COLD};{ONE}; 95 ended"));
        let shown = serde_json::to_value(life.seen(150, false)).unwrap();
        for (field, expected) in [
            ("functionName", serde_json::json!("hello")),
            ("coldReason", "first".into()),
            ("phase", "ended".into()),
            ("invocations", 1.into()),
            ("ended", serde_json::json!({ "atMicros": 95, "agoMicros": 5, "cause": "idle" })),
        ] {
            assert_eq!(shown[field], expected, "{field}");
        }
        assert!(shown.get("events").is_none() && shown.get("born").is_none(), "{shown}");
        let moment = serde_json::to_value(&life.events.unwrap()[6]).unwrap();
        let expected = serde_json::json!({
            "atMicros": 71, "what": "reported", "requestId": request(1),
            "durationMicros": 7, "memoryPeakBytes": 1_000,
        });
        assert_eq!(moment, expected);
    }
}
