//! Requests as they are on the wire: every member of every operation, none of them checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::error::{ApiError, Exception};
use crate::json;
use crate::sqs::message::AttributeValue;

/// All members there are. An operation looks at its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Wire {
    pub(super) queue_url: Option<String>,
    pub(super) queue_name: Option<String>,
    pub(super) queue_name_prefix: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub(super) queue_owner: Option<String>,
    pub(super) attributes: Option<BTreeMap<String, String>>,
    #[serde(alias = "tags")]
    pub(super) tags: Option<BTreeMap<String, String>>,
    pub(super) tag_keys: Option<Vec<String>>,
    pub(super) attribute_names: Option<Vec<String>>,
    pub(super) message_system_attribute_names: Option<Vec<String>>,
    pub(super) message_attribute_names: Option<Vec<String>>,
    pub(super) entries: Option<Vec<WireEntry>>,
    #[serde(deserialize_with = "number")]
    pub(super) max_results: Option<i64>,
    #[serde(deserialize_with = "number")]
    pub(super) max_number_of_messages: Option<i64>,
    #[serde(deserialize_with = "number")]
    pub(super) wait_time_seconds: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) label: Option<String>,
    #[serde(rename = "AWSAccountIds")]
    pub(super) accounts: Option<Vec<String>>,
    pub(super) actions: Option<Vec<String>>,
    #[serde(flatten)]
    pub(super) entry: WireEntry,
}

/// An entry of a batch, or the one thing a request is about.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireEntry {
    pub(super) id: Option<String>,
    pub(super) message_body: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(super) delay_seconds: Option<i64>,
    pub(super) message_attributes: Option<BTreeMap<String, AttributeValue>>,
    pub(super) message_system_attributes: Option<BTreeMap<String, AttributeValue>>,
    pub(super) message_deduplication_id: Option<String>,
    pub(super) message_group_id: Option<String>,
    pub(super) receipt_handle: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(super) visibility_timeout: Option<i64>,
}

impl Wire {
    /// Reads a JSON body.
    pub(super) fn of_json(body: &[u8]) -> Result<Self, ApiError> {
        json::object(body).map_err(|why| ApiError::new(Exception::Serialization, why))
    }

    /// Reads a form that was made JSON.
    pub(super) fn of_value(value: serde_json::Value) -> Result<Self, ApiError> {
        serde_json::from_value(value)
            .map_err(|why| ApiError::new(Exception::Serialization, why.to_string()))
    }
}

/// A number, or the text of one as forms have it.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Option::<Either>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) => text.parse().map(Some).map_err(de::Error::custom),
    }
}
