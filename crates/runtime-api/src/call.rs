//! The vocabulary between a connection and the owner of the environment: one file lists everything
//! user code can ask for. Plain data; it owns no rule.

use bytes::Bytes;
use dormouse_model::names::RequestId;
use dormouse_model::telemetry::SubscriptionApi;
use http::HeaderValue;
use tokio::sync::oneshot;

use crate::credentials::Credentials;
use crate::extension::{Events, ExtensionEvent, Registration};
use crate::extension_refusal::ExtensionRefusal;
use crate::identifier::Identifier;
use crate::refusal::Refusal;
use crate::stream::ResponseStream;
use crate::subscription::Subscription;

/// Where the owner puts the answer to a call that is only accepted or refused.
pub(crate) type Verdict = oneshot::Sender<Result<(), Refusal>>;
/// The same for an extension's call.
type ExtensionVerdict = oneshot::Sender<Result<(), ExtensionRefusal>>;

/// What a runtime or an extension asked for; sent to the owner over a bounded channel. What is rare and
/// large is boxed: each call is moved some ten times on its way.
///
/// Request ids are as in the path, unchecked: [`crate::RuntimeState`] compares them. The owner puts
/// each call of the runtime through [`crate::RuntimeState::apply`], each of an extension through
/// [`crate::Registry`], and sends on a refusal as it is. An owner that drops a reply slot makes its
/// client see a 500 and the end of its connection.
#[derive(Debug)]
pub enum Call {
    /// `GET invocation/next`: Init is over, or the last invocation is; waits for an event.
    Next {
        /// Closed (`is_closed`) once the connection is gone. See [`crate::ParkedNext`].
        reply: oneshot::Sender<Result<Delivery, Refusal>>,
    },
    /// `POST invocation/{id}/response`, whole.
    Response {
        /// The id in the path.
        request: String,
        /// What the function returned, untouched.
        body: Bytes,
        /// Its `Content-Type`, if it named one.
        content_type: Option<HeaderValue>,
        /// Accepted: 202.
        reply: Verdict,
    },
    /// `POST invocation/{id}/response`, as the function writes it. The owner may pass pieces on at once;
    /// it answers behind the last one, or earlier when it wants no more. How the stream ended it learns
    /// from the stream, and the runtime is told what fits: 202, 400 or 413.
    ResponseStream {
        /// The id in the path.
        request: String,
        /// Its `Content-Type`, if it named one.
        content_type: Option<HeaderValue>,
        /// What the function returns, untouched.
        body: ResponseStream,
        /// Accepted: 202, unless the stream itself ended badly.
        reply: Verdict,
    },
    /// A response or an error of more than `limits::INVOKE_RESPONSE_BYTES`. The owner fails the
    /// invocation with `Function.ResponseSizeTooLarge`; the runtime gets 413.
    TooLarge {
        /// The id in the path.
        request: String,
        /// How large: exact up to [`crate::limits::DISCARD_BYTES`], then what it announced or what
        /// had come.
        size_bytes: u64,
        /// Accepted: 413.
        reply: Verdict,
    },
    /// A response or an error whose body ended early or came too slowly. The owner fails the
    /// invocation with `Runtime.TruncatedResponse`; the runtime gets 400.
    Truncated {
        /// The id in the path.
        request: String,
        /// Accepted: 400 `TruncatedHTTPRequest`.
        reply: Verdict,
    },
    /// A response in a mode that does not exist. The owner fails the invocation with
    /// `Runtime.InvalidResponseModeHeader`; the runtime gets 400.
    InvalidResponseMode {
        /// The id in the path.
        request: String,
        /// Accepted: 400 `InvalidFunctionResponseMode`.
        reply: Verdict,
    },
    /// `POST invocation/{id}/error`: the handler failed.
    Error {
        /// The id in the path.
        request: String,
        /// How it failed.
        report: Box<ErrorReport>,
        /// Accepted: 202.
        reply: Verdict,
    },
    /// `POST init/error`: the runtime cannot start.
    InitError {
        /// Why not.
        report: Box<ErrorReport>,
        /// Accepted: 202.
        reply: Verdict,
    },
    /// `GET restore/next`: Init is over, and a snapshot may be taken. Only with SnapStart.
    RestoreNext {
        /// Accepted: 200 without a body. See [`crate::ParkedRestore`].
        reply: Verdict,
    },
    /// `POST restore/error`: the runtime cannot go on after a restore. Only with SnapStart.
    RestoreError {
        /// What went wrong after the restore.
        report: Box<ErrorReport>,
        /// Accepted: 202.
        reply: Verdict,
    },
    /// `GET credentials`. Only with SnapStart.
    Credentials {
        /// What the client says it may have them by, as it is; empty if it says nothing.
        token: String,
        /// Accepted: 200 with the credentials.
        reply: oneshot::Sender<Result<Credentials, Refusal>>,
    },
    /// `POST extension/register`: an extension is there. See [`crate::Registry::register`].
    Register {
        /// The file's name of an external one, any text of an internal one.
        name: String,
        /// What it wants to hear of.
        events: Events,
        /// Whether it accepts the account's id; otherwise it is not sent even if it is in the answer.
        account_id: bool,
        /// Accepted: 200 with the identifier.
        reply: oneshot::Sender<Result<Registration, ExtensionRefusal>>,
    },
    /// `GET extension/event/next`: it is ready, and waits for an event.
    ExtensionNext {
        /// Who.
        identifier: Identifier,
        /// Closed (`is_closed`) once the connection is gone. See [`crate::ParkedEvent`].
        reply: oneshot::Sender<Result<ExtensionEvent, ExtensionRefusal>>,
    },
    /// `POST extension/init/error`: it cannot start. The environment fails with
    /// `Extension.InitError`.
    ExtensionInitError {
        /// Who.
        identifier: Identifier,
        /// Its own word, fit for a line of log.
        error_type: String,
        /// Any bytes, by custom `{errorMessage, errorType, stackTrace}`.
        body: Bytes,
        /// Accepted: 202.
        reply: ExtensionVerdict,
    },
    /// `POST extension/exit/error`: it cannot go on. The environment fails with
    /// `Extension.ExitError`.
    ExtensionExitError {
        /// Who.
        identifier: Identifier,
        /// Its own word, fit for a line of log.
        error_type: String,
        /// Any bytes, by custom `{errorMessage, errorType, stackTrace}`.
        body: Bytes,
        /// Accepted: 202.
        reply: ExtensionVerdict,
    },
    /// `PUT telemetry` or `PUT logs`. See [`crate::Registry::subscribe`].
    Subscribe {
        /// By which of the two.
        api: SubscriptionApi,
        /// Who.
        identifier: Identifier,
        /// What it wants: valid.
        subscription: Box<Subscription>,
        /// Accepted: 200.
        reply: ExtensionVerdict,
    },
}

/// An error as the runtime reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReport {
    /// The error type header, filtered: `Runtime.…` or `Function.…` and nothing else. `None` if
    /// there was no such header, which telemetry shows as `Runtime.Unknown` too.
    pub error_type: Option<String>,
    /// What the caller gets: any bytes, by custom `{errorMessage, errorType, stackTrace}`.
    pub body: Bytes,
    /// The cause for X-Ray: valid JSON of at most [`crate::limits::XRAY_CAUSE_BYTES`].
    pub xray_cause: Option<Bytes>,
}

/// One event for the runtime. Empty texts are the same as absent ones: the header is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which invocation.
    pub request_id: RequestId,
    /// Milliseconds since the epoch when the function times out.
    pub deadline_ms: u64,
    /// As invoked: with the qualifier if the caller used one.
    pub invoked_function_arn: String,
    /// `Root=…;Parent=…;Sampled=…`.
    pub trace_id: Option<String>,
    /// JSON, decoded from the caller's base64.
    pub client_context: Option<String>,
    /// `{"cognitoIdentityId": …, "cognitoIdentityPoolId": …}`.
    pub cognito_identity: Option<String>,
    /// The tenant, for functions isolated by tenant.
    pub tenant_id: Option<String>,
    /// The event, untouched.
    pub payload: Bytes,
}
