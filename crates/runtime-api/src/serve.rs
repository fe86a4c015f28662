//! One connection from inside an environment: HTTP in, calls out, answers back. The Runtime API's
//! routes are here, the extensions' in `extension_serve`.
//!
//! Owns the connection and nothing else: it ends with the peer, or with the owner. Whoever spawns it
//! may drop it at any moment; a call that is out then finds its reply slot closed.

use std::convert::Infallible;

use bytes::Bytes;
use dormouse_model::limits::{HEADER_BYTES, INVOKE_RESPONSE_BYTES};
use http::header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::answer::{Answer, JSON, accepted, json};
use crate::call::{Call, Delivery, ErrorReport};
use crate::credentials;
use crate::exchange::{Place, ask, put, reserve};
use crate::extension_serve;
use crate::receive::{Broken, receive};
use crate::refusal::Refusal;
use crate::report::report;
use crate::route::{Route, route};
use crate::stream::{self, ResponseStream};

static REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
static DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
static FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
static TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
static CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");
static COGNITO_IDENTITY: HeaderName = HeaderName::from_static("lambda-runtime-cognito-identity");
static TENANT_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-tenant-id");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
const STREAMING: &[u8] = b"streaming";

/// Why a connection ended before its peer had closed it in good order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What the peer sent is not HTTP, or it went away in the middle.
    #[error("connection broke off")]
    Connection(#[source] hyper::Error),
}

/// Serves one connection until its peer closes it.
///
/// Idle connections are kept: a runtime may hold one for hours while it is frozen. The caller bounds
/// how many there are ([`crate::limits::CONNECTIONS`]), and drops this future when the environment
/// ends. The channel's length bounds what the host holds for user code: a body is only read by who
/// has a place in it, so at most that many of `INVOKE_RESPONSE_BYTES` are in memory at once.
///
/// # Errors
/// When the peer breaks HTTP or goes away in the middle of a request. Nothing is left to be done.
pub async fn serve<C>(connection: C, calls: mpsc::Sender<Call>) -> Result<(), ServeError>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Incoming>| {
        let calls = calls.clone();
        async move { Ok::<_, Infallible>(answer(request, &calls).await) }
    });
    // No timer for the headers: hyper's also runs while a connection is idle, and would close it
    // under a runtime whose handler takes its time.
    http1::Builder::new()
        // Clients exist that look for `Lambda-Runtime-Aws-Request-Id` to the letter.
        .title_case_headers(true)
        .auto_date_header(false)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(connection), service)
        .await
        .map_err(ServeError::Connection)
}

async fn answer(request: http::Request<Incoming>, calls: &mpsc::Sender<Call>) -> Answer {
    let (parts, body) = request.into_parts();
    let result = match route(&parts.method, parts.uri.path()) {
        Ok(route) => dispatch(route, &parts, body, calls).await,
        Err(refusal) => Err(refusal),
    };
    result.unwrap_or_else(|refusal| {
        tracing::debug!(path = parts.uri.path(), %refusal, "runtime request refused");
        refused(&refusal)
    })
}

async fn dispatch(
    route: Route<'_>,
    parts: &Parts,
    body: Incoming,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, Refusal> {
    let headers = &parts.headers;
    match route {
        Route::Next => {
            // Unread bytes of a body would hide the end of the connection while it is parked.
            drop(body);
            Ok(delivered(ask(calls, |reply| Call::Next { reply }).await?))
        }
        Route::Response(request) => respond(request.to_owned(), headers, body, calls).await,
        Route::Error(request) => fail(request.to_owned(), headers, body, calls).await,
        Route::InitError => {
            let place = reserve(calls).await?;
            let report = receive_report(headers, body).await?;
            put(place, |reply| Call::InitError { report, reply }).await?;
            Ok(accepted())
        }
        Route::RestoreNext => {
            ask(calls, |reply| Call::RestoreNext { reply }).await?;
            Ok(Response::new(Full::default()))
        }
        Route::RestoreError => {
            let place = reserve(calls).await?;
            let report = receive_report(headers, body).await?;
            put(place, |reply| Call::RestoreError { report, reply }).await?;
            Ok(accepted())
        }
        Route::Extension(route) => Ok(extension_serve::answer(route, parts, body, calls).await),
        Route::Credentials => {
            drop(body);
            let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let token = token.unwrap_or_default().to_owned();
            Ok(credentials::shown(&ask(calls, |reply| Call::Credentials { token, reply }).await?))
        }
        Route::Ping => Ok(Response::new(Full::new(Bytes::from_static(b"pong")))),
    }
}

async fn respond(
    request: String,
    headers: &HeaderMap,
    body: Incoming,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, Refusal> {
    let place = reserve(calls).await?;
    let content_type = headers.get(CONTENT_TYPE).cloned();
    let mode = headers.get(RESPONSE_MODE).map(HeaderValue::as_bytes);
    if mode.is_some_and(|mode| mode.eq_ignore_ascii_case(STREAMING)) {
        let (pieces, stream) = ResponseStream::channel();
        let (reply, verdict) = oneshot::channel();
        place.send(Call::ResponseStream { request, content_type, body: stream, reply });
        stream::pass_on(body, pieces, verdict).await?;
        return Ok(accepted());
    }
    let received = receive(body, INVOKE_RESPONSE_BYTES).await;
    if mode.is_some() {
        put(place, |reply| Call::InvalidResponseMode { request, reply }).await?;
        return Err(Refusal::InvalidFunctionResponseMode);
    }
    let body = match received {
        Ok(body) => body,
        Err(broken) => return Err(refuse_body(request, broken, place).await),
    };
    put(place, |reply| Call::Response { request, body, content_type, reply }).await?;
    Ok(accepted())
}

async fn fail(
    request: String,
    headers: &HeaderMap,
    body: Incoming,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, Refusal> {
    let place = reserve(calls).await?;
    let body = match receive(body, INVOKE_RESPONSE_BYTES).await {
        Ok(body) => body,
        Err(broken) => return Err(refuse_body(request, broken, place).await),
    };
    let report = Box::new(report(headers, body));
    put(place, |reply| Call::Error { request, report, reply }).await?;
    Ok(accepted())
}
/// Tells the owner that an answer to an invocation is not whole; what the runtime is told.
async fn refuse_body(request: String, broken: Broken, place: Place<'_>) -> Refusal {
    let refused = match broken {
        Broken::TooLarge { size_bytes } => {
            put(place, |reply| Call::TooLarge { request, size_bytes, reply }).await
        }
        Broken::Truncated => put(place, |reply| Call::Truncated { request, reply }).await,
    };
    refused.err().unwrap_or(broken.into())
}

/// A report outside an invocation. One that is not whole is refused without the owner: the runtime
/// ends after it, and its end is what counts.
async fn receive_report(headers: &HeaderMap, body: Incoming) -> Result<Box<ErrorReport>, Refusal> {
    Ok(Box::new(report(headers, receive(body, INVOKE_RESPONSE_BYTES).await?)))
}

fn delivered(delivery: Delivery) -> Answer {
    let mut answer = Response::new(Full::new(delivery.payload));
    let headers = answer.headers_mut();
    headers.reserve(8);
    headers.insert(CONTENT_TYPE, JSON);
    insert_text(headers, &REQUEST_ID, Some(delivery.request_id.into()));
    headers.insert(&DEADLINE_MS, HeaderValue::from(delivery.deadline_ms));
    insert_text(headers, &FUNCTION_ARN, Some(delivery.invoked_function_arn));
    insert_text(headers, &TRACE_ID, delivery.trace_id);
    insert_text(headers, &CLIENT_CONTEXT, delivery.client_context);
    insert_text(headers, &COGNITO_IDENTITY, delivery.cognito_identity);
    insert_text(headers, &TENANT_ID, delivery.tenant_id);
    answer
}

/// Sets a header without copying its text. Empty texts are left out. Callers write JSON over several
/// lines, which no header can hold: control characters become spaces.
fn insert_text(headers: &mut HeaderMap, name: &'static HeaderName, text: Option<String>) {
    let Some(mut text) = text.filter(|text| !text.is_empty()) else {
        return;
    };
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        text = text.replace(|char: char| char.is_ascii_control(), " ");
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
        headers.insert(name, value);
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let mut answer = json(refusal.status(), refusal.body());
    match refusal {
        Refusal::MethodNotAllowed { allowed } => {
            let allowed = HeaderValue::from_static(allowed);
            answer.headers_mut().insert(ALLOW, allowed);
        }
        // What is left of the request, if anything, is not worth reading; nobody is there to ask.
        Refusal::TruncatedHttpRequest | Refusal::InternalServerError => {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        Refusal::UnknownToken => {
            answer.headers_mut().insert(CONTENT_TYPE, TEXT);
        }
        Refusal::InvalidRequestId(_)
        | Refusal::InvalidStateTransition { .. }
        | Refusal::InvalidFunctionResponseMode
        | Refusal::RequestEntityTooLarge { .. }
        | Refusal::NotFound => {}
    }
    answer
}
