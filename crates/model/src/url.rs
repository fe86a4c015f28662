//! The URL of a function or of one of its aliases: how it is named and how it treats callers.

use serde::{Deserialize, Serialize};

use crate::names::Region;

/// A function URL as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUrl {
    /// The first label of its host: 32 letters and digits that name no other URL.
    pub id: String,
    /// Who may call it.
    pub auth: UrlAuth,
    /// How it answers.
    pub mode: UrlMode,
    /// What browsers are told about callers from other sites.
    pub cors: Option<Cors>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: u64,
}

impl FunctionUrl {
    /// The URL in AWS's form.
    #[must_use]
    pub fn text(&self, region: &Region) -> String {
        format!("https://{}.lambda-url.{region}.on.aws/", self.id)
    }
}

/// Who may call a function URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UrlAuth {
    /// Whom the function's policy lets.
    None,
    /// Who also signs his requests.
    AwsIam,
}

/// How a function URL answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UrlMode {
    /// Once the whole answer is there.
    #[default]
    Buffered,
    /// As the answer comes.
    ResponseStream,
}

/// What browsers are told, in the members' own names: the same in requests, answers and records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cors {
    /// Whether cookies may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Headers that may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_headers: Option<Vec<String>>,
    /// Methods that may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_methods: Option<Vec<String>>,
    /// Sites that may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_origins: Option<Vec<String>>,
    /// Headers that may be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose_headers: Option<Vec<String>>,
    /// Seconds for which all this may be remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
}
