//! One invocation: what goes in, what comes out, and the words for what went wrong.
//!
//! Source of every text: answers recorded from AWS, or the Runtime Interface Emulator where nothing
//! was recorded (`spec/runtime-apis.md` §9).

use bytes::Bytes;
use serde::Serialize;

use crate::environment::{Exit, ExtensionFault, Failure};
use crate::limits;
use crate::names::RequestId;

/// One request to run a function. The payload is bytes and stays so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its id.
    pub request: RequestId,
    /// The event, valid JSON.
    pub payload: Bytes,
    /// The ARN as the caller wrote it: with its qualifier, or without.
    pub invoked_arn: String,
    /// The client context's JSON, decoded.
    pub client_context: Option<String>,
    /// The X-Ray trace header.
    pub trace: Option<String>,
    /// The tenant, for functions that isolate tenants.
    pub tenant: Option<String>,
    /// Whether the caller wants the end of the log.
    pub tail: bool,
}

/// What the caller gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The function's result or the error's JSON.
    pub payload: Bytes,
    /// Whose error it is, if it is one.
    pub error: Option<ErrorOf>,
    /// The end of the log, if it was wanted.
    pub log_tail: Option<Bytes>,
}

/// Who has to answer for an error. A caller is told the same of both; who may try again is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorOf {
    /// The function: it raised, exited, took too long or too much.
    Function,
    /// The platform: the environment could not be made, got lost, or had to end.
    Platform,
    /// The function, before it had the event: its hooks after a restore. Callers are told so by an exception.
    Restore(RestoreFault),
}

/// What went wrong with the hooks after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreFault {
    /// One of them raised an error.
    Hook,
    /// They took too long.
    Timeout,
}

impl ErrorOf {
    /// Who has to answer for a failure.
    #[must_use]
    pub fn failure(failure: &Failure) -> Self {
        match failure {
            Failure::Sandbox | Failure::Shutdown => Self::Platform,
            Failure::RestoreError { .. } => Self::Restore(RestoreFault::Hook),
            Failure::RestoreTimeout => Self::Restore(RestoreFault::Timeout),
            Failure::Timeout
            | Failure::Exited { .. }
            | Failure::InitError { .. }
            | Failure::InvalidEntrypoint
            | Failure::Extension(_) => Self::Function,
        }
    }
}

/// How a streamed answer ended: what its caller is told behind the last byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// What went wrong after the stream had begun.
    pub error: Option<StreamError>,
    /// The end of the log, if it was wanted.
    pub log_tail: Option<Bytes>,
}

/// Why a streamed answer is not what the function meant to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// The error's type, such as `Sandbox.Timedout`.
    pub code: String,
    /// The error's JSON, or whatever else the function says it is.
    pub details: String,
}

impl From<ErrorPayload> for StreamError {
    fn from(payload: ErrorPayload) -> Self {
        let details = String::from_utf8_lossy(&payload.to_json()).into_owned();
        Self { code: payload.error_type, details }
    }
}

/// `errorType` and `errorMessage` as the caller gets them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorPayload {
    /// Such as `Runtime.ExitError`.
    #[serde(rename = "errorType")]
    pub error_type: String,
    /// In words.
    #[serde(rename = "errorMessage")]
    pub error_message: String,
}

impl ErrorPayload {
    /// The JSON body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("two strings are always JSON")
    }
}

/// The caller's error for a failure of the platform's making.
#[must_use]
pub fn payload(failure: &Failure, request: &RequestId, timeout_s: u32) -> ErrorPayload {
    let message = match failure {
        Failure::Timeout => format!("Task timed out after {timeout_s}.00 seconds"),
        Failure::Exited { exit, .. } => exit_text(*exit),
        Failure::InitError { error_type } => format!("Runtime init failed with {error_type}"),
        Failure::RestoreError { error_type } => format!("Runtime restore failed with {error_type}"),
        Failure::RestoreTimeout => {
            format!("Restore hooks took longer than {} seconds", limits::RESTORE_MS / 1_000)
        }
        Failure::InvalidEntrypoint => {
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned()
        }
        Failure::Extension(fault) => extension_text(fault),
        Failure::Sandbox => "The execution environment ended unexpectedly".to_owned(),
        Failure::Shutdown => "The server is shutting down".to_owned(),
    };
    ErrorPayload {
        error_type: payload_type(failure),
        error_message: format!("RequestId: {request} Error: {message}"),
    }
}

fn payload_type(failure: &Failure) -> String {
    match failure {
        Failure::Timeout => "Sandbox.Timedout".to_owned(),
        // The caller is told of an exit; only the report names memory as the reason.
        Failure::Exited { .. } => "Runtime.ExitError".to_owned(),
        Failure::InitError { error_type } | Failure::RestoreError { error_type } => {
            error_type.clone()
        }
        Failure::RestoreTimeout => "Runtime.RestoreHookUserTimeout".to_owned(),
        Failure::InvalidEntrypoint => "Runtime.InvalidEntrypoint".to_owned(),
        Failure::Extension(fault) => extension_type(fault).to_owned(),
        Failure::Sandbox | Failure::Shutdown => "Sandbox.Failure".to_owned(),
    }
}

/// The error type that the REPORT and INIT_REPORT lines name; a timeout has none.
#[must_use]
pub fn reported_type(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Timeout | Failure::RestoreTimeout => None,
        Failure::Exited { out_of_memory: true, .. } => Some("Runtime.OutOfMemory".to_owned()),
        Failure::Exited { .. }
        | Failure::InitError { .. }
        | Failure::RestoreError { .. }
        | Failure::InvalidEntrypoint
        | Failure::Extension(_)
        | Failure::Sandbox
        | Failure::Shutdown => Some(payload_type(failure)),
    }
}

/// The caller's error for a response that is too large.
#[must_use]
pub fn response_too_large(limit_bytes: u64) -> ErrorPayload {
    ErrorPayload {
        error_type: "Function.ResponseSizeTooLarge".to_owned(),
        error_message: format!(
            "Response payload size exceeded maximum allowed payload size ({limit_bytes} bytes)."
        ),
    }
}

/// The caller's error for a response whose body ended early (RIE).
#[must_use]
pub fn truncated_response() -> ErrorPayload {
    ErrorPayload {
        error_type: "Runtime.TruncatedResponse".to_owned(),
        error_message: "Response body was truncated".to_owned(),
    }
}

/// The caller's error for a response in a mode that does not exist (RIE).
#[must_use]
pub fn invalid_response_mode() -> ErrorPayload {
    ErrorPayload {
        error_type: "Runtime.InvalidResponseModeHeader".to_owned(),
        error_message: "Invalid response mode header".to_owned(),
    }
}

/// The error type of an extension's failure (RIE).
fn extension_type(fault: &ExtensionFault) -> &'static str {
    match fault {
        ExtensionFault::Launch { .. } => "Extension.LaunchError",
        ExtensionFault::Crash { .. } => "Extension.Crash",
        ExtensionFault::InitError { .. } => "Extension.InitError",
        ExtensionFault::ExitError { .. } => "Extension.ExitError",
    }
}

fn extension_text(fault: &ExtensionFault) -> String {
    match fault {
        ExtensionFault::Launch { reason } => reason.clone(),
        // Recorded for all of them: what an extension reported is told by the type alone.
        ExtensionFault::Crash { exit }
        | ExtensionFault::InitError { exit }
        | ExtensionFault::ExitError { exit } => match exit {
            Exit::Code(code) => format!("exit code {code}"),
            Exit::Signal(signal) => format!("signal: {}", signal_text(*signal)),
        },
    }
}

fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "Runtime exited without providing a reason".to_owned(),
        Exit::Code(code) => format!("Runtime exited with error: exit status {code}"),
        Exit::Signal(signal) => {
            format!("Runtime exited with error: signal: {}", signal_text(signal))
        }
    }
}

/// The words that Go's standard library has for a signal, since AWS's supervisor is written in it.
fn signal_text(signal: i32) -> String {
    let known = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: Failure, expected: &str) {
        let request = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".parse().unwrap();
        let body = String::from_utf8(payload(&failure, &request, 3).to_json()).unwrap();
        assert_eq!(body, expected);
    }

    #[test]
    fn failures_have_the_recorded_bodies() {
        check(
            Failure::Timeout,
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Error: Task timed out after 3.00 seconds"}"#,
        );
        check(
            Failure::Exited { exit: Exit::Code(0), out_of_memory: false },
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Error: Runtime exited without providing a reason"}"#,
        );
        check(
            Failure::Exited { exit: Exit::Code(127), out_of_memory: false },
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Error: Runtime exited with error: exit status 127"}"#,
        );
        check(
            Failure::Exited { exit: Exit::Signal(9), out_of_memory: true },
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Error: Runtime exited with error: signal: killed"}"#,
        );
    }

    #[test]
    fn the_report_names_memory_and_the_caller_does_not_learn_it() {
        let oom = Failure::Exited { exit: Exit::Signal(9), out_of_memory: true };
        assert_eq!(reported_type(&oom).as_deref(), Some("Runtime.OutOfMemory"));
        assert_eq!(reported_type(&Failure::Timeout), None);
    }
}
