//! Which request a runtime may make when. Pure; the owner of the environment keeps the value.
//!
//! ```text
//!                  next                delivered              response            sent
//!        Started -------> Ready ------------------> Running ----------> Invocation- ----> ResponseSent
//!           |             ^  ^ |next                |  ^ |next          Response             |
//!           |             |  +-+                    |  +-+  error       Invocation-          |
//!           |             |                         |   +-------------> ErrorResponse -----> |
//!           |             +-------------------------|----------------------- next -----------+
//!           | init/error                            | timed out
//!           v                                       v
//!        InitError                               TimedOut       (both terminal: a reset starts anew)
//! ```
//!
//! Where a snapshot may be taken, Started leads to Ready by another way too:
//!
//! ```text
//!                  restore/next                 released                next
//!        Started ---------------> RestoreReady ----------> Restoring ----------> Ready
//!                                 ^  |restore/next         ^  |  |restore/next
//!                                 +--+                     +--|--+
//!                                                             | restore/error
//!                                                             v
//!                                                         RestoreError   (terminal)
//! ```
//!
//! `next` while Running is for a runtime that lost its connection: it gets the same event again. So is
//! `restore/next` while RestoreReady and Restoring: a restored process finds its connection closed. A
//! runtime that calls `next` at once takes no interest in being restored. What is not drawn is
//! refused (RIE).

use dormouse_model::names::RequestId;

use crate::refusal::{Mismatch, Refusal};

/// Where the runtime of one environment is, from the start of its process to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeState {
    /// Its process runs; it has asked for nothing.
    Started {
        /// Whether it may ask to be restored here (SnapStart).
        restorable: bool,
    },
    /// Where a snapshot may be taken: waiting in `restore/next`. A restored process begins here.
    RestoreReady,
    /// Released; it does what it has to do after a restore.
    Restoring,
    /// It could not go on after a restore. Its process is about to end.
    RestoreError,
    /// Waiting for an event in `next`.
    Ready {
        /// The invocation answered last, so that a second answer is not taken for one out of turn.
        last: Option<RequestId>,
    },
    /// Has an event.
    Running {
        /// Of this invocation.
        request: RequestId,
    },
    /// Its response is on the way to the caller.
    InvocationResponse {
        /// Of this invocation.
        request: RequestId,
    },
    /// Its error is on the way to the caller.
    InvocationErrorResponse {
        /// Of this invocation.
        request: RequestId,
    },
    /// The caller has been served; the runtime may go on.
    ResponseSent {
        /// Of this invocation.
        request: RequestId,
    },
    /// It could not initialise. Its process is about to end.
    InitError,
    /// Its invocation took too long. Its process is about to be killed.
    TimedOut {
        /// This one: a response is told "too late", not "unknown".
        request: RequestId,
    },
}

/// What a runtime asks for, as far as its state is concerned. A response or error that is too large,
/// truncated or malformed is a `Response` or `Error` all the same: it uses up the one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// `next`.
    Next,
    /// A response to the invocation of this id, as in the path.
    Response(&'a str),
    /// An error of the invocation of this id, as in the path.
    Error(&'a str),
    /// `init/error`.
    InitError,
    /// `restore/next`.
    RestoreNext,
    /// `restore/error`.
    RestoreError,
}

/// What the owner did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Answered `next` with the event of this invocation.
    Delivered(RequestId),
    /// Handed the response or error to the caller, whole.
    Sent,
    /// Gave the running invocation up at its deadline.
    TimedOut,
    /// Let the runtime go on from its restore point.
    Released,
}

impl Default for RuntimeState {
    /// A runtime that is not to be restored.
    fn default() -> Self {
        Self::Started { restorable: false }
    }
}

impl RuntimeState {
    /// The name AWS gives the state in its error messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "Started",
            Self::RestoreReady => "RestoreReady",
            Self::Restoring => "Restoring",
            Self::RestoreError => "RestoreError",
            Self::Ready { .. } => "Ready",
            // To the runtime, an invocation it has not answered runs.
            Self::Running { .. } | Self::TimedOut { .. } => "Running",
            Self::InvocationResponse { .. } => "InvocationResponse",
            Self::InvocationErrorResponse { .. } => "InvocationErrorResponse",
            Self::ResponseSent { .. } => "ResponseSent",
            Self::InitError => "InitError",
        }
    }

    /// The state after a request. After `next` the owner looks at it: `Ready` parks the call,
    /// `Running` answers it at once with the event of that invocation again. After `restore/next`,
    /// `RestoreReady` parks the call and `Restoring` answers it at once.
    ///
    /// # Errors
    /// The refusal to send. The state stays as it was.
    pub fn apply(&self, request: Request<'_>) -> Result<Self, Refusal> {
        match (self, request) {
            (Self::Started { .. } | Self::Restoring, Request::Next) => {
                Ok(Self::Ready { last: None })
            }
            (Self::Ready { .. } | Self::Running { .. }, Request::Next) => Ok(self.clone()),
            (Self::ResponseSent { request }, Request::Next) => {
                Ok(Self::Ready { last: Some(request.clone()) })
            }
            (Self::Started { .. }, Request::InitError) => Ok(Self::InitError),
            (Self::Started { restorable: true } | Self::RestoreReady, Request::RestoreNext) => {
                Ok(Self::RestoreReady)
            }
            (Self::Restoring, Request::RestoreNext) => Ok(Self::Restoring),
            (Self::Restoring, Request::RestoreError) => Ok(Self::RestoreError),
            (Self::Running { request }, Request::Response(id)) if request.as_str() == id => {
                Ok(Self::InvocationResponse { request: request.clone() })
            }
            (Self::Running { request }, Request::Error(id)) if request.as_str() == id => {
                Ok(Self::InvocationErrorResponse { request: request.clone() })
            }
            (_, Request::Response(id) | Request::Error(id)) => {
                Err(self.refuse_answer(id).unwrap_or(self.refuse(request)))
            }
            (_, Request::Next | Request::InitError) => Err(self.refuse(request)),
            (_, Request::RestoreNext | Request::RestoreError) => Err(self.refuse(request)),
        }
    }

    /// The state after something the owner did.
    ///
    /// # Errors
    /// It could not have done that: a mistake of the owner's, not of the runtime's. The state stays
    /// as it was.
    pub fn progress(&self, progress: Progress) -> Result<Self, Refusal> {
        match (self, progress) {
            (Self::Ready { .. }, Progress::Delivered(request)) => Ok(Self::Running { request }),
            (Self::Running { request: running }, Progress::Delivered(request))
                if *running == request =>
            {
                Ok(Self::Running { request })
            }
            (
                Self::InvocationResponse { request } | Self::InvocationErrorResponse { request },
                Progress::Sent,
            ) => Ok(Self::ResponseSent { request: request.clone() }),
            (
                Self::Running { request }
                | Self::InvocationResponse { request }
                | Self::InvocationErrorResponse { request },
                Progress::TimedOut,
            ) => Ok(Self::TimedOut { request: request.clone() }),
            (Self::RestoreReady, Progress::Released) => Ok(Self::Restoring),
            (_, Progress::Released) => Err(self.no_transition("Restoring")),
            (_, Progress::Delivered(_)) => Err(self.no_transition("Running")),
            (_, Progress::Sent) => Err(self.no_transition("ResponseSent")),
            (_, Progress::TimedOut) => Err(self.no_transition("TimedOut")),
        }
    }

    /// Why an answer to `id` is not taken where the id, not the state, is what is wrong.
    fn refuse_answer(&self, id: &str) -> Option<Refusal> {
        let mismatch = match self {
            Self::Started { .. }
            | Self::InitError
            | Self::RestoreReady
            | Self::Restoring
            | Self::RestoreError => None,
            Self::Ready { last } => {
                last.as_ref().is_some_and(|last| last.as_str() == id).then_some(Mismatch::Answered)
            }
            Self::Running { .. } => Some(Mismatch::Unknown),
            Self::InvocationResponse { request }
            | Self::InvocationErrorResponse { request }
            | Self::ResponseSent { request } => {
                Some(if request.as_str() == id { Mismatch::Answered } else { Mismatch::Unknown })
            }
            Self::TimedOut { request } => {
                Some(if request.as_str() == id { Mismatch::TimedOut } else { Mismatch::Unknown })
            }
        };
        mismatch.map(Refusal::InvalidRequestId)
    }

    fn refuse(&self, request: Request<'_>) -> Refusal {
        self.no_transition(match request {
            Request::Next => "Ready",
            Request::Response(_) => "InvocationResponse",
            Request::Error(_) => "InvocationErrorResponse",
            Request::InitError => "InitError",
            // Not RestoreReady: the state it would lead to in the end (RIE).
            Request::RestoreNext => "Ready",
            Request::RestoreError => "RestoreError",
        })
    }

    fn no_transition(&self, to: &'static str) -> Refusal {
        Refusal::InvalidStateTransition { from: self.name(), to }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(letter: &str) -> String {
        format!("{}-0000-4000-8000-000000000000", letter.repeat(8))
    }

    /// One word a step: `next`, `response:a`, `error:a`, `init_error`, `restore_next`,
    /// `restore_error` are the runtime's; `deliver:a`, `sent`, `timed_out`, `release` the owner's.
    fn step(state: &RuntimeState, word: &str) -> Result<RuntimeState, Refusal> {
        let (verb, letter) = word.split_once(':').unwrap_or((word, ""));
        let id = id(letter);
        match verb {
            "next" => state.apply(Request::Next),
            "response" => state.apply(Request::Response(&id)),
            "error" => state.apply(Request::Error(&id)),
            "init_error" => state.apply(Request::InitError),
            "restore_next" => state.apply(Request::RestoreNext),
            "restore_error" => state.apply(Request::RestoreError),
            "deliver" => state.progress(Progress::Delivered(id.parse().unwrap())),
            "sent" => state.progress(Progress::Sent),
            "timed_out" => state.progress(Progress::TimedOut),
            "release" => state.progress(Progress::Released),
            other => panic!("no step {other}"),
        }
    }

    /// Runs the steps from Started; the states' names, or why a step was refused.
    fn check(steps: &str, expected: &str) {
        check_from(RuntimeState::default(), steps, expected);
    }

    /// The same where a snapshot may be taken.
    fn check_restorable(steps: &str, expected: &str) {
        check_from(RuntimeState::Started { restorable: true }, steps, expected);
    }

    fn check_from(mut state: RuntimeState, steps: &str, expected: &str) {
        let mut seen = Vec::new();
        for word in steps.split_whitespace() {
            match step(&state, word) {
                Ok(next) => {
                    state = next;
                    seen.push(state.name().to_owned());
                }
                Err(Refusal::InvalidRequestId(why)) => seen.push(format!("400({why})")),
                Err(Refusal::InvalidStateTransition { from, to }) => {
                    seen.push(format!("403({from}>{to})"));
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(seen.join(" | "), expected, "{steps}");
    }

    #[test]
    fn two_invocations_run_one_after_the_other() {
        check(
            "next deliver:a response:a sent next deliver:b error:b sent next",
            "Ready | Running | InvocationResponse | ResponseSent | Ready | Running | \
             InvocationErrorResponse | ResponseSent | Ready",
        );
    }

    #[test]
    fn next_again_is_allowed_while_waiting_and_while_running() {
        check("next next", "Ready | Ready");
        check(
            "next deliver:a next deliver:a response:a",
            "Ready | Running | Running | Running | InvocationResponse",
        );
    }

    #[test]
    fn next_before_the_response_is_with_the_caller_is_refused() {
        check(
            "next deliver:a response:a next",
            "Ready | Running | InvocationResponse | 403(InvocationResponse>Ready)",
        );
        check(
            "next deliver:a error:a next",
            "Ready | Running | InvocationErrorResponse | 403(InvocationErrorResponse>Ready)",
        );
    }

    #[test]
    fn an_answer_out_of_turn_is_forbidden() {
        check("response:a", "403(Started>InvocationResponse)");
        check("error:a", "403(Started>InvocationErrorResponse)");
        check("next response:a", "Ready | 403(Ready>InvocationResponse)");
        check("next error:a", "Ready | 403(Ready>InvocationErrorResponse)");
        check("init_error response:a", "InitError | 403(InitError>InvocationResponse)");
    }

    #[test]
    fn an_answer_to_the_wrong_invocation_is_an_invalid_request_id() {
        check("next deliver:a response:b", "Ready | Running | 400(unknown)");
        check("next deliver:a error:b", "Ready | Running | 400(unknown)");
    }

    #[test]
    fn a_second_answer_is_told_apart_from_an_unknown_one() {
        check(
            "next deliver:a response:a response:a sent response:a error:a response:b next response:a \
             response:b",
            "Ready | Running | InvocationResponse | 400(already answered) | ResponseSent | \
             400(already answered) | 400(already answered) | 400(unknown) | Ready | \
             400(already answered) | 403(Ready>InvocationResponse)",
        );
    }

    #[test]
    fn a_late_response_is_told_apart_from_an_unknown_one() {
        check(
            "next deliver:a timed_out response:a error:a response:b next",
            "Ready | Running | Running | 400(too late, it timed out) | \
             400(too late, it timed out) | 400(unknown) | 403(Running>Ready)",
        );
    }

    #[test]
    fn an_init_error_is_only_taken_during_init() {
        check(
            "init_error init_error next",
            "InitError | 403(InitError>InitError) | 403(InitError>Ready)",
        );
        check("next init_error", "Ready | 403(Ready>InitError)");
        check("next deliver:a init_error", "Ready | Running | 403(Running>InitError)");
    }

    #[test]
    fn restore_is_refused_without_snap_start() {
        check(
            "restore_next restore_error next restore_next release",
            "403(Started>Ready) | 403(Started>RestoreError) | Ready | 403(Ready>Ready) | \
             403(Ready>Restoring)",
        );
    }

    #[test]
    fn a_restorable_runtime_waits_at_its_restore_point_until_it_is_released() {
        check_restorable(
            "restore_next release next deliver:a response:a sent next",
            "RestoreReady | Restoring | Ready | Running | InvocationResponse | ResponseSent | Ready",
        );
        check_restorable(
            "restore_next next init_error restore_error response:a deliver:a",
            "RestoreReady | 403(RestoreReady>Ready) | 403(RestoreReady>InitError) | \
             403(RestoreReady>RestoreError) | 403(RestoreReady>InvocationResponse) | \
             403(RestoreReady>Running)",
        );
    }

    #[test]
    fn restore_next_may_be_asked_again_until_next() {
        check_restorable(
            "restore_next restore_next release restore_next next restore_next",
            "RestoreReady | RestoreReady | Restoring | Restoring | Ready | 403(Ready>Ready)",
        );
        let restored = "restore_next release restore_next next";
        check_from(
            RuntimeState::RestoreReady,
            restored,
            "RestoreReady | Restoring | Restoring | Ready",
        );
    }

    #[test]
    fn a_restorable_runtime_may_go_on_without_a_restore_point() {
        check_restorable("next restore_next", "Ready | 403(Ready>Ready)");
        check_restorable("init_error restore_next", "InitError | 403(InitError>Ready)");
    }

    #[test]
    fn a_restore_error_is_terminal_and_only_taken_while_restoring() {
        check_restorable(
            "restore_error restore_next release restore_error restore_error restore_next next release",
            "403(Started>RestoreError) | RestoreReady | Restoring | RestoreError | \
             403(RestoreError>RestoreError) | 403(RestoreError>Ready) | 403(RestoreError>Ready) | \
             403(RestoreError>Restoring)",
        );
    }

    #[test]
    fn the_owner_cannot_skip_a_step() {
        check(
            "deliver:a sent timed_out",
            "403(Started>Running) | 403(Started>ResponseSent) | 403(Started>TimedOut)",
        );
        check("next deliver:a deliver:b", "Ready | Running | 403(Running>Running)");
        check(
            "next deliver:a response:a sent timed_out deliver:b",
            "Ready | Running | InvocationResponse | ResponseSent | 403(ResponseSent>TimedOut) | \
             403(ResponseSent>Running)",
        );
    }

    proptest! {
        /// Whatever a runtime does, each delivery is answered at most once, and only while it runs.
        #[test]
        fn no_invocation_is_answered_twice(
            restorable in any::<bool>(),
            words in proptest::collection::vec(
                proptest::sample::select(vec![
                    "next", "response:a", "response:b", "error:a", "error:b", "init_error",
                    "deliver:a", "deliver:b", "sent", "timed_out", "restore_next", "restore_error",
                    "release",
                ]),
                0..200,
            ),
        ) {
            let mut state = RuntimeState::Started { restorable };
            let mut open: Option<String> = None;
            for word in words {
                let Ok(next) = step(&state, word) else { continue };
                if let Some(letter) = word.strip_prefix("deliver:") {
                    prop_assert!(open.is_none() || open.as_deref() == Some(letter));
                    open = Some(letter.to_owned());
                }
                let answer = word.strip_prefix("response:").or(word.strip_prefix("error:"));
                if answer.is_some() {
                    let running = open.take();
                    prop_assert_eq!(running.as_deref(), answer);
                }
                if word == "timed_out" {
                    open = None;
                }
                state = next;
            }
        }
    }
}
