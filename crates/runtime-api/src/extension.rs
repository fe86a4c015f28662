//! What an extension asks for and is given. Plain data, and the JSON of what it is given; it owns no
//! rule.

use bytes::Bytes;
use dormouse_model::names::RequestId;
use serde::Serialize;

use crate::identifier::Identifier;

/// What an extension wants to hear of. Nothing is allowed: it is then left alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// `INVOKE`: each invocation, which then ends only with the extension's `next`.
    pub invoke: bool,
    /// `SHUTDOWN`: the end of the environment. Without it the extension is killed there.
    pub shutdown: bool,
}

impl Events {
    /// AWS's names, in the order of the platform's log lines.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let names = [(self.invoke, "INVOKE"), (self.shutdown, "SHUTDOWN")];
        names.into_iter().filter_map(|(wanted, name)| wanted.then_some(name)).collect()
    }
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What the extension names itself by from now on.
    pub identifier: Identifier,
    /// The function it runs beside.
    pub function_name: String,
    /// `$LATEST` or a number.
    pub function_version: String,
    /// As configured; empty where there is none.
    pub handler: String,
    /// Told only to an extension that accepts the feature.
    pub account_id: Option<String>,
}

/// One event for an extension. An empty trace id is the same as an absent one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionEvent {
    /// An invocation began.
    Invoke {
        /// Milliseconds since the epoch when the function times out.
        deadline_ms: u64,
        /// Which invocation.
        request_id: RequestId,
        /// As invoked: with the qualifier if the caller used one.
        invoked_function_arn: String,
        /// `Root=…;Parent=…;Sampled=…`, as the runtime got it.
        trace_id: Option<String>,
        /// Fresh for each event and extension.
        event_identifier: Identifier,
    },
    /// The environment is about to end.
    Shutdown {
        /// Milliseconds since the epoch when what still runs is killed.
        deadline_ms: u64,
        /// Why.
        reason: ShutdownReason,
    },
}

/// Why an environment ends, as extensions are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShutdownReason {
    /// It is no longer needed.
    Spindown,
    /// An invocation took too long.
    Timeout,
    /// The runtime or an extension failed.
    Failure,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistrationBody<'a> {
    function_name: &'a str,
    function_version: &'a str,
    handler: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "eventType", rename_all = "UPPERCASE", rename_all_fields = "camelCase")]
enum EventBody<'a> {
    Invoke {
        deadline_ms: u64,
        request_id: &'a str,
        invoked_function_arn: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tracing: Option<Tracing<'a>>,
    },
    Shutdown {
        deadline_ms: u64,
        shutdown_reason: ShutdownReason,
    },
}

#[derive(Serialize)]
struct Tracing<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    value: &'a str,
}

impl Registration {
    /// The whole body. The account is told only if it was asked for.
    pub(crate) fn body(&self, with_account_id: bool) -> Bytes {
        let body = RegistrationBody {
            function_name: &self.function_name,
            function_version: &self.function_version,
            handler: &self.handler,
            account_id: self.account_id.as_deref().filter(|_| with_account_id),
        };
        let mut json = serde_json::to_vec(&body).expect("texts are always valid JSON");
        json.push(b'\n');
        json.into()
    }
}

impl ExtensionEvent {
    /// The whole body.
    pub(crate) fn body(&self) -> Bytes {
        let body = match self {
            Self::Invoke { deadline_ms, request_id, invoked_function_arn, trace_id, .. } => {
                let trace_id = trace_id.as_deref().filter(|trace_id| !trace_id.is_empty());
                EventBody::Invoke {
                    deadline_ms: *deadline_ms,
                    request_id: request_id.as_str(),
                    invoked_function_arn,
                    tracing: trace_id.map(|value| Tracing { kind: "X-Amzn-Trace-Id", value }),
                }
            }
            Self::Shutdown { deadline_ms, reason } => {
                EventBody::Shutdown { deadline_ms: *deadline_ms, shutdown_reason: *reason }
            }
        };
        serde_json::to_vec(&body).expect("texts and numbers are always valid JSON").into()
    }
}
