//! Our own paths: health, downloads of packages, and the lives of environments.
//!
//! These are not AWS's: they need no signature, and answer plain text, JSON or bytes.

use std::io::Read;

use bytes::Bytes;
use dormouse_api::route::Own;
use dormouse_identity::LinkError;
use dormouse_model::names::Digest;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Serialize;
use tracing::warn;

use crate::context::Inner;

/// Answers one of our own paths.
pub(crate) async fn answer(inner: &Inner, own: &Own, parts: &Parts) -> Response<Bytes> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed here\n");
    }
    match own {
        Own::Health => text(StatusCode::OK, "ok\n"),
        Own::Ready => ready(inner).await,
        Own::Metrics => text(StatusCode::NOT_FOUND, "metrics are not available yet\n"),
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
    if path == "environments" {
        return json(&inner.placement.lives().all().await);
    }
    if let Some(id) = path.strip_prefix("environments/") {
        let lives = inner.placement.lives().all().await;
        return match lives.iter().find(|life| life.id == id) {
            Some(life) => json(life),
            None => text(StatusCode::NOT_FOUND, "no such environment\n"),
        };
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

fn json(shape: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(shape).expect("lives hold nothing that JSON cannot say");
    typed(StatusCode::OK, "application/json", body.into())
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
