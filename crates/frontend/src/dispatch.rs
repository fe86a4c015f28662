//! One request: routed, its body read under the limit of what it asks, answered by its service.

use bytes::Bytes;
use dormouse_api::error::{ApiError, Exception, Fault};
use dormouse_api::lambda::Call;
use dormouse_api::monitoring::Body;
use dormouse_api::route::{Asked, Route, Unroutable, query_action, route};
use dormouse_api::service::{Dialect, Protocol, Service};
use dormouse_model::limits;
use dormouse_model::names::{RequestId, Scope};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tracing::{debug, info, warn};

use crate::body::{self, BodyError};
use crate::caller::Caller;
use crate::context::{Frontend, Inner};
use crate::outgoing::Outgoing;
use crate::{iam, lambda, logs, monitoring, own, s3, sqs, sts};

impl Frontend {
    /// Answers a request; every request gets an answer.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Outgoing> {
        let inner = self.inner();
        let id = inner.chance.request_id();
        let (parts, body) = request.into_parts();
        // The connection bounds what it buffers only between reads; this is the exact limit.
        if header_bytes(&parts) > limits::HEADER_BYTES {
            let mut response = Response::new(Outgoing::from(Bytes::new()));
            *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return response;
        }
        match route(&parts) {
            Ok(Route::Own(asked)) => own::answer(inner, &asked, &parts).await,
            Ok(Route::Service { dialect, asked }) => {
                let began = inner.clock.now();
                let response = self.service((dialect, &asked), &parts, body, &id).await;
                let micros = inner.clock.now() - began;
                let status = response.status().as_u16();
                debug!(request_id = %id, ?dialect, ?asked, status, micros, "answered");
                response
            }
            Err(unroutable)
                if is_plain(&unroutable) && s3::is_for_a_bucket(inner, &parts).await =>
            {
                match dormouse_api::s3::call(&parts) {
                    Ok(call) => s3::answer(inner, &call, (&parts, body), &id).await,
                    Err(error) => s3::refusal(&error, &parts, &id),
                }
            }
            Err(unroutable) => {
                info!(request_id = %id, path = parts.uri.path(), "request names no operation");
                if unroutable.dialect.service == Some(Service::S3) {
                    return s3::refusal(&unroutable.error, &parts, &id);
                }
                unroutable.answer(&id).map(Outgoing::from)
            }
        }
    }

    async fn service(
        &self,
        (dialect, asked): (Dialect, &Asked),
        parts: &Parts,
        mut body: Incoming,
        id: &RequestId,
    ) -> Response<Outgoing> {
        let inner = self.inner();
        if let Asked::S3(call) = asked {
            return s3::answer(inner, call, (parts, body), id).await;
        }
        let caller = match Caller::of(parts, &inner.home, inner.clock.wall_ms()) {
            Ok(caller) => caller,
            Err(error) => return refuse(dialect, &error, id).map(Outgoing::from),
        };
        inner.key_uses.tell(&caller, inner.clock.wall_ms());
        if let Asked::Lambda(call) = asked {
            return match lambda_call(inner, &caller.scope, call, (parts, body), id).await {
                Ok(response) => with_request_id(response, id),
                Err(error) => refuse(dialect, &error, id).map(Outgoing::from),
            };
        }
        let response = match body::read(&mut body, body_limit(dialect)).await {
            Ok(body) if is_live_tail(dialect, asked) => {
                let started = logs::tail::start(inner, &caller.scope, (dialect, &body), id).await;
                return started
                    .unwrap_or_else(|error| refuse(dialect, &error, id).map(Outgoing::from));
            }
            Ok(body) => neighbour(inner, &caller, (dialect, asked), (parts, &body), id).await,
            Err(error) => refuse(dialect, &body_refusal(&error), id),
        };
        response.map(Outgoing::from)
    }
}

/// Whether the answer has no end that could be waited for.
fn is_live_tail(dialect: Dialect, asked: &Asked) -> bool {
    dialect.service == Some(Service::Logs)
        && matches!(asked, Asked::Named(operation) if operation == "StartLiveTail")
}

/// Whether nothing at all says what a request is for.
fn is_plain(unroutable: &Unroutable) -> bool {
    unroutable.dialect == Dialect { service: None, protocol: Protocol::RestJson }
        && unroutable.error.exception == Exception::UnknownPath
}

async fn lambda_call(
    inner: &Inner,
    scope: &Scope,
    call: &Call,
    (parts, mut body): (&Parts, Incoming),
    id: &RequestId,
) -> Result<Response<Outgoing>, ApiError> {
    let body = body::read(&mut body, lambda::body_limit(call.operation)).await;
    let body = body.map_err(|error| lambda::body_refusal(call.operation, &error))?;
    let ask = lambda::Ask { inner, scope, call, parts, body: &body, request: id };
    lambda::answer(&ask).await
}

/// The services beside Lambda.
async fn neighbour(
    inner: &Inner,
    caller: &Caller,
    (dialect, asked): (Dialect, &Asked),
    (parts, body): (&Parts, &Bytes),
    id: &RequestId,
) -> Response<Bytes> {
    let (dialect, operation, form) = match asked {
        Asked::Named(operation) => (dialect, operation.clone(), None),
        Asked::InBody => match query_action(dialect, body) {
            Ok((dialect, operation, form)) => (dialect, operation, Some(form)),
            Err(unroutable) => return unroutable.answer(id),
        },
        Asked::ByPath | Asked::Lambda(_) | Asked::S3(_) => {
            return refuse(dialect, &ApiError::unknown_operation(dialect), id);
        }
    };
    let answered = match (dialect.service, form) {
        (Some(Service::Logs), _) => {
            logs::answer(inner, &caller.scope, (dialect, &operation), body, id).await
        }
        (Some(Service::Iam), Some(form)) => {
            iam::answer(inner, caller, (dialect, &operation), &form, id).await
        }
        (Some(Service::Sts), Some(form)) => {
            sts::answer(inner, caller, (dialect, &operation), &form, id).await
        }
        (Some(Service::Sqs), form) => {
            let request = (parts, body.as_ref(), form.as_ref());
            sqs::answer(inner, &caller.scope, (dialect, &operation), request, id).await
        }
        (Some(Service::Monitoring), form) => {
            let body = Body { dialect, parts, bytes: body, form: form.as_ref() };
            monitoring::answer(inner, &caller.scope, (&operation, body), id).await
        }
        _ => Err(ApiError::not_implemented(dialect, &operation)),
    };
    match answered {
        Ok(response) => with_request_id(response, id),
        Err(error) => refuse(dialect, &error, id),
    }
}

/// A form that names no service before it is read may be for the one that takes most.
fn body_limit(dialect: Dialect) -> usize {
    match dialect.service {
        Some(Service::Sqs) | None => limits::QUEUE_REQUEST_BYTES,
        Some(Service::Logs) => limits::LOG_REQUEST_BYTES,
        Some(_) => limits::CONTROL_REQUEST_BYTES,
    }
}

fn refuse(dialect: Dialect, error: &ApiError, id: &RequestId) -> Response<Bytes> {
    if error.fault() == Fault::Platform {
        warn!(request_id = %id, %error, "platform fault");
    }
    error.answer(dialect, id)
}

fn body_refusal(error: &BodyError) -> ApiError {
    match error {
        BodyError::TooLarge { limit_bytes } => {
            ApiError::request_too_large(*limit_bytes, "requested")
        }
        BodyError::Incomplete => ApiError::incomplete_body(),
    }
}

fn header_bytes(parts: &Parts) -> usize {
    let line = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    line + parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum::<usize>()
}

fn with_request_id<B>(mut response: Response<B>, id: &RequestId) -> Response<B> {
    if let Ok(value) = id.as_str().parse() {
        response.headers_mut().entry("x-amzn-requestid").or_insert(value);
    }
    response
}
