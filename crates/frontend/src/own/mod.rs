//! Our own paths: health, downloads of packages, in `environments` the lives of environments, in
//! `metrics` what a scraper gets.
//!
//! These are not AWS's: they need no signature, and answer plain text, JSON or bytes.

mod environments;
mod metrics;

use std::io::Read;

use bytes::Bytes;
use dormouse_api::route::Own;
use dormouse_identity::LinkError;
use dormouse_model::names::Digest;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tracing::warn;

use crate::context::Inner;

/// Answers one of our own paths.
pub(crate) async fn answer(inner: &Inner, own: &Own, parts: &Parts) -> Response<Bytes> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let mut refused =
            text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match own {
        Own::Health => text(StatusCode::OK, "ok\n"),
        Own::Ready => ready(inner).await,
        Own::Metrics => metrics::answer(inner).await,
        Own::Internal(path) => internal(inner, path, parts).await,
    }
}

/// Ready is who can read the store.
async fn ready(inner: &Inner) -> Response<Bytes> {
    match inner.functions.usage(&inner.home).await {
        Ok(_) => text(StatusCode::OK, "ready\n"),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("store: {error}\n")),
    }
}

async fn internal(inner: &Inner, path: &str, parts: &Parts) -> Response<Bytes> {
    if let Some(digest) = path.strip_prefix("code/") {
        return code(inner, digest, parts).await;
    }
    if let Some(asked) = environments::asked(path) {
        return environments::answer(inner, asked, parts).await;
    }
    text(StatusCode::NOT_FOUND, "no such path\n")
}

/// A package, for whoever holds a link that `GetFunction` signed.
async fn code(inner: &Inner, digest: &str, parts: &Parts) -> Response<Bytes> {
    let query = parts.uri.query().unwrap_or_default();
    match inner.signer.verify(parts.uri.path(), query, inner.clock.wall_ms()) {
        Ok(()) => {}
        Err(LinkError::Expired) => return text(StatusCode::FORBIDDEN, "this link has expired\n"),
        Err(_) => return text(StatusCode::FORBIDDEN, "this link was not signed here\n"),
    }
    let Ok(digest) = digest.parse::<Digest>() else {
        return text(StatusCode::NOT_FOUND, "no such package\n");
    };
    match package(inner, &digest).await {
        Ok(bytes) => typed(StatusCode::OK, "application/zip", bytes.into()),
        Err(reason) => {
            warn!(%digest, reason, "package not read");
            text(StatusCode::NOT_FOUND, "no such package\n")
        }
    }
}

async fn package(inner: &Inner, digest: &Digest) -> Result<Vec<u8>, String> {
    let mut file = inner.packages.file(digest).await.map_err(|error| error.to_string())?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = read.await.map_err(|error| error.to_string())?;
    bytes.map_err(|error| error.to_string())
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
