//! The credentials of a function that may be restored: it asks for them, since those of the process
//! that was snapshotted are old. On the wire as the SDKs' container provider expects them.

use bytes::Bytes;
use dormouse_model::telemetry::timestamp;
use serde::Serialize;

use crate::answer::{Answer, json};

/// Credentials of the function's role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who signs.
    pub access_key_id: String,
    /// With what.
    pub secret_access_key: String,
    /// Of which session.
    pub session_token: String,
    /// Milliseconds since the epoch when they are to be asked for again.
    pub expiration_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

/// 200 and the credentials.
pub(crate) fn shown(credentials: &Credentials) -> Answer {
    let shown = Shown {
        access_key_id: &credentials.access_key_id,
        secret_access_key: &credentials.secret_access_key,
        token: &credentials.session_token,
        expiration: timestamp(credentials.expiration_ms),
    };
    let text = serde_json::to_vec(&shown).expect("texts are always valid JSON");
    json(http::StatusCode::OK, Bytes::from(text))
}
