//! Our own paths: health, downloads of packages, in `environments` the lives of environments, in `machine` what
//! there is for them, in `metrics` what a scraper gets.
//!
//! These are not AWS's: they need no signature, and answer plain text, JSON or bytes.

mod environments;
mod machine;
mod metrics;

use bytes::Bytes;
use dormouse_api::route::Own;
use dormouse_identity::LinkError;
use dormouse_model::names::Digest;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tracing::warn;

use crate::context::Inner;
use crate::outgoing::Outgoing;
use crate::s3::Sending;

/// Answers one of our own paths.
pub(crate) async fn answer(inner: &Inner, own: &Own, parts: &Parts) -> Response<Outgoing> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let mut refused =
            text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused.map(Outgoing::from);
    }
    let response = match own {
        Own::Health => text(StatusCode::OK, "ok\n"),
        Own::Ready => ready(inner).await,
        Own::Metrics => metrics::answer(inner).await,
        Own::Internal(path) => match path.strip_prefix("code/") {
            Some(digest) => return code(inner, digest, parts).await,
            None => internal(inner, path, parts).await,
        },
    };
    response.map(Outgoing::from)
}

/// Ready is who can read the store.
async fn ready(inner: &Inner) -> Response<Bytes> {
    match inner.functions.usage(&inner.home).await {
        Ok(_) => text(StatusCode::OK, "ready\n"),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("store: {error}\n")),
    }
}

async fn internal(inner: &Inner, path: &str, parts: &Parts) -> Response<Bytes> {
    if let Some(asked) = environments::asked(path) {
        return environments::answer(inner, asked, parts).await;
    }
    match path {
        "machine" => machine::answer(inner).await,
        _ => text(StatusCode::NOT_FOUND, "no such path\n"),
    }
}

/// A package, for whoever holds a link that `GetFunction` signed. It goes out in pieces: it may be
/// large.
async fn code(inner: &Inner, digest: &str, parts: &Parts) -> Response<Outgoing> {
    match package(inner, digest, parts).await {
        Ok(sending) => {
            let mut response = typed(StatusCode::OK, "application/zip", Bytes::new());
            let length = HeaderValue::from(sending.left_bytes());
            response.headers_mut().insert(CONTENT_LENGTH, length);
            response.map(|_| Outgoing::from(sending))
        }
        Err((status, reason)) => text(status, reason).map(Outgoing::from),
    }
}

async fn package(
    inner: &Inner,
    digest: &str,
    parts: &Parts,
) -> Result<Sending, (StatusCode, &'static str)> {
    let query = parts.uri.query().unwrap_or_default();
    match inner.signer.verify(parts.uri.path(), query, inner.clock.wall_ms()) {
        Ok(()) => {}
        Err(LinkError::Expired) => return Err((StatusCode::FORBIDDEN, "this link has expired\n")),
        Err(_) => return Err((StatusCode::FORBIDDEN, "this link was not signed here\n")),
    }
    let missing = (StatusCode::NOT_FOUND, "no such package\n");
    let digest = digest.parse::<Digest>().map_err(|_| missing)?;
    let file = inner.packages.file(&digest).await.map_err(|error| {
        warn!(%digest, %error, "package not read");
        missing
    })?;
    Sending::whole(file).map_err(|error| {
        warn!(%digest, %error, "package not read");
        missing
    })
}

fn text(status: StatusCode, text: &str) -> Response<Bytes> {
    typed(status, "text/plain; charset=utf-8", Bytes::copy_from_slice(text.as_bytes()))
}

fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
