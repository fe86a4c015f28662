//! A message to be sent: its parts, checked against the limits that no queue changes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Exception};
use crate::sqs::refusal::{invalid, missing};
use crate::sqs::wire::WireEntry;

const ATTRIBUTES: usize = 10;
const NAME_CHARS: usize = 256;

/// What a sender attached under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AttributeValue {
    /// `String`, `Number`, `Binary`, or one of them with a dot and more.
    pub data_type: String,
    /// A text or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// Bytes, in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl AttributeValue {
    /// The bytes of a binary value.
    #[must_use]
    pub fn binary(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.binary_value.as_ref()?).ok()
    }

    fn bytes(&self) -> usize {
        let value = self.string_value.as_ref().map_or(0, String::len);
        self.data_type.len() + value + self.binary().map_or(0, |binary| binary.len())
    }
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub body: String,
    /// Seconds after which it can be received.
    pub delay_s: Option<u64>,
    /// What the sender attached.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// What the sender's tracing attached.
    pub system_attributes: BTreeMap<String, AttributeValue>,
    /// What its doubles are told by.
    pub deduplication: Option<String>,
    /// The group whose order it keeps.
    pub group: Option<String>,
}

impl Entry {
    pub(super) fn read(wire: WireEntry) -> Result<Self, ApiError> {
        let body = wire.message_body.filter(|body| !body.is_empty());
        let body = body.ok_or_else(|| missing("MessageBody"))?;
        check_text(&body)?;
        let entry = Self {
            body,
            delay_s: wire.delay_seconds.map(delay).transpose()?,
            attributes: wire.message_attributes.unwrap_or_default(),
            system_attributes: wire.message_system_attributes.unwrap_or_default(),
            deduplication: token(wire.message_deduplication_id, "MessageDeduplicationId")?,
            group: token(wire.message_group_id, "MessageGroupId")?,
        };
        if entry.attributes.len() > ATTRIBUTES {
            let text = format!(
                "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES}].",
                entry.attributes.len()
            );
            return Err(refuse(text));
        }
        for (name, value) in &entry.attributes {
            check_attribute(name, value)?;
        }
        for (name, value) in &entry.system_attributes {
            check_system_attribute(name, value)?;
        }
        Ok(entry)
    }

    /// What counts against the limits: body and attributes, with their names and types.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        self.body.len() + attributes.map(|(name, value)| name.len() + value.bytes()).sum::<usize>()
    }
}

fn refuse(text: impl Into<String>) -> ApiError {
    ApiError::new(Exception::SqsInvalidParameterValue, text)
}

fn delay(seconds: i64) -> Result<u64, ApiError> {
    let valid = u64::try_from(seconds).ok().filter(|seconds| *seconds <= 900);
    let reason = "DelaySeconds must be >= 0 and <= 900.";
    valid.ok_or_else(|| invalid(seconds, "DelaySeconds", reason))
}

/// What XML 1.0 can say.
fn check_text(text: &str) -> Result<(), ApiError> {
    let valid = |c: char| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(valid) {
        return Ok(());
    }
    let text = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to \
                #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";
    Err(ApiError::new(Exception::SqsInvalidMessageContents, text))
}

/// Letters, digits and punctuation, at most 128.
fn token(text: Option<String>, name: &str) -> Result<Option<String>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Some(text));
    }
    let reason = format!(
        "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
    );
    Err(invalid(text, name, &reason))
}

fn check_attribute(name: &str, value: &AttributeValue) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let dotted = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    let lower = name.to_ascii_lowercase();
    if name.is_empty()
        || name.len() > NAME_CHARS
        || dotted
        || !name.bytes().all(plain)
        || lower.starts_with("aws.")
        || lower.starts_with("amazon.")
    {
        return Err(refuse(format!("The message attribute name '{name}' is invalid.")));
    }
    check_value(name, value)
}

fn check_system_attribute(name: &str, value: &AttributeValue) -> Result<(), ApiError> {
    if name != "AWSTraceHeader" {
        return Err(refuse(format!("Message system attribute name '{name}' is invalid.")));
    }
    check_value(name, value)
}

fn check_value(name: &str, value: &AttributeValue) -> Result<(), ApiError> {
    let kind = value.data_type.split('.').next().unwrap_or_default();
    let filled = match kind {
        "String" => value.string_value.as_ref().is_some_and(|text| !text.is_empty()),
        "Number" => {
            let number = value.string_value.as_deref().unwrap_or_default();
            if number.parse::<f64>().is_err() && !number.is_empty() {
                let text = format!(
                    "Can't cast the value of message (user) attribute '{name}' to a number."
                );
                return Err(refuse(text));
            }
            !number.is_empty()
        }
        "Binary" => value.binary().is_some_and(|bytes| !bytes.is_empty()),
        _ => {
            return Err(refuse(format!(
                "The type of message (user) attribute '{name}' is invalid. You must use only the \
                 following supported type prefixes: Binary, Number, String."
            )));
        }
    };
    if filled {
        return value.string_value.as_deref().map_or(Ok(()), check_text);
    }
    Err(refuse(format!(
        "Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
    )))
}
