//! The shapes that answers of all APIs share. Owns no status and no text but the common ones.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

const ACCEPTED: &[u8] = b"{\"status\":\"OK\"}\n";

/// 202 and its body.
pub(crate) fn accepted() -> Answer {
    json(StatusCode::ACCEPTED, Bytes::from_static(ACCEPTED))
}

/// A body that is JSON.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}
