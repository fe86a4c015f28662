//! A queue's attributes: texts on the wire, checked, with their defaults, and what they mean.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::ApiError;
use crate::sqs::is_fifo_name;
use crate::sqs::refusal::{differing_attribute, invalid_attribute, unknown_attribute};

type Attributes = BTreeMap<String, String>;

/// Numbers: name, least, most, default (developer guide: queue parameters).
const NUMBERS: [(&str, u64, u64, &str); 5] = [
    ("DelaySeconds", 0, 900, "0"),
    ("MaximumMessageSize", 1_024, 1_048_576, "1048576"),
    ("MessageRetentionPeriod", 60, 1_209_600, "345600"),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, "0"),
    ("VisibilityTimeout", 0, 43_200, "30"),
];
/// JSON objects, which an empty text takes away.
const DOCUMENTS: [&str; 3] = ["Policy", "RedrivePolicy", "RedriveAllowPolicy"];
/// Names that can be asked for and not set.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

/// What a queue's attributes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Seconds after which a message can be received.
    pub delay_s: u64,
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Seconds for which a message is kept.
    pub retention_s: u64,
    /// Seconds for which a receiver waits.
    pub wait_s: u64,
    /// Seconds for which a received message is hidden.
    pub visibility_s: u64,
    /// Whether bodies tell doubles.
    pub content_deduplication: bool,
    /// Whether doubles are told group by group.
    pub deduplication_by_group: bool,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The ARN of a queue.
    pub target_arn: String,
    /// How often a message is received before.
    pub max_receives: u32,
}

/// Which queues may have this one for their dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedrivePermission {
    /// Any.
    All,
    /// None.
    None,
    /// Those with these ARNs.
    Queues(Vec<String>),
}

/// Checks attributes that are to be set on a queue of that name.
///
/// # Errors
/// When a name is unknown, or a value not valid.
pub fn check(queue: &str, given: &Attributes) -> Result<(), ApiError> {
    given.iter().try_for_each(|(name, value)| {
        if is_valid(queue, name, value).ok_or_else(|| unknown_attribute(name))? {
            Ok(())
        } else {
            Err(invalid_attribute(name))
        }
    })
}

/// Nothing for a name that is unknown, or only of queues of the other kind.
fn is_valid(queue: &str, name: &str, value: &str) -> Option<bool> {
    if let Some((_, min, max, _)) = NUMBERS.iter().find(|(number, ..)| *number == name) {
        return Some(value.parse().is_ok_and(|value: u64| (*min..=*max).contains(&value)));
    }
    let is_flag = matches!(value, "true" | "false");
    Some(match name {
        "Policy" => value.is_empty() || object(value).is_some(),
        "RedrivePolicy" => value.is_empty() || redrive(value).is_some(),
        "RedriveAllowPolicy" => value.is_empty() || permission(value).is_some(),
        "KmsMasterKeyId" => true,
        "KmsDataKeyReusePeriodSeconds" => {
            value.parse().is_ok_and(|value: u32| (60..=86_400).contains(&value))
        }
        "SqsManagedSseEnabled" => is_flag,
        // A queue has or has not the kind its name says.
        "FifoQueue" if is_fifo_name(queue) => value == "true",
        "ContentBasedDeduplication" if is_fifo_name(queue) => is_flag,
        "DeduplicationScope" if is_fifo_name(queue) => matches!(value, "queue" | "messageGroup"),
        "FifoThroughputLimit" if is_fifo_name(queue) => {
            matches!(value, "perQueue" | "perMessageGroupId")
        }
        _ => return None,
    })
}

/// The attributes of a new queue: what is given, and the defaults. They must have been checked.
#[must_use]
pub fn created(queue: &str, given: &Attributes) -> Attributes {
    let numbers = NUMBERS.iter().map(|(name, _, _, default)| (*name, *default));
    let always = numbers.chain([("SqsManagedSseEnabled", "true")]);
    let fifo: &[_] = if is_fifo_name(queue) {
        &[
            ("FifoQueue", "true"),
            ("ContentBasedDeduplication", "false"),
            ("DeduplicationScope", "queue"),
            ("FifoThroughputLimit", "perQueue"),
        ]
    } else {
        &[]
    };
    let defaults = always.chain(fifo.iter().copied());
    let mut all: Attributes =
        defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    set(&mut all, given);
    all
}

/// Attributes set on those there are; an empty text takes one away.
fn set(all: &mut Attributes, given: &Attributes) {
    for (name, value) in given {
        if value.is_empty() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
}

/// Whether a queue that is there is as one that is asked for: only what is given is compared.
///
/// # Errors
/// With the first attribute that differs.
pub fn agree(there: &Attributes, given: &Attributes) -> Result<(), ApiError> {
    let same = |name: &String, value: &String| match there.get(name) {
        None => value.is_empty(),
        Some(found) if DOCUMENTS.contains(&name.as_str()) => object(found) == object(value),
        Some(found) => found == value,
    };
    match given.iter().find(|(name, value)| !same(name, value)) {
        None => Ok(()),
        Some((name, _)) => Err(differing_attribute(name)),
    }
}

/// Those of all attributes that are asked for.
///
/// # Errors
/// When a name is unknown.
pub fn visible(all: Attributes, names: &[String]) -> Result<Attributes, ApiError> {
    let known = |name: &String| {
        let plain =
            ["All", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"];
        let fifo =
            ["FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"];
        let name = name.as_str();
        NUMBERS.iter().any(|(number, ..)| *number == name)
            || [&plain[..], &fifo, &DOCUMENTS, &READ_ONLY].iter().any(|names| names.contains(&name))
    };
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(unknown_attribute(unknown));
    }
    let wanted = |name: &String| names.iter().any(|asked| asked == "All" || asked == name);
    Ok(all.into_iter().filter(|(name, _)| wanted(name)).collect())
}

impl Settings {
    /// What checked attributes mean.
    #[must_use]
    pub fn of(attributes: &Attributes) -> Self {
        let text = |name: &str| attributes.get(name).map(String::as_str);
        let number = |name: &str| {
            let default = NUMBERS.iter().find(|(number, ..)| *number == name);
            let value = text(name).or(default.map(|(.., default)| *default));
            value.and_then(|value| value.parse::<u64>().ok()).unwrap_or_default()
        };
        Self {
            delay_s: number("DelaySeconds"),
            message_bytes: usize::try_from(number("MaximumMessageSize")).unwrap_or(usize::MAX),
            retention_s: number("MessageRetentionPeriod"),
            wait_s: number("ReceiveMessageWaitTimeSeconds"),
            visibility_s: number("VisibilityTimeout"),
            content_deduplication: text("ContentBasedDeduplication") == Some("true"),
            deduplication_by_group: text("DeduplicationScope") == Some("messageGroup"),
            redrive: text("RedrivePolicy").and_then(redrive),
        }
    }

    /// Changes attributes that were checked.
    #[must_use]
    pub fn changed(attributes: &Attributes, given: &Attributes) -> Attributes {
        let mut all = attributes.clone();
        set(&mut all, given);
        all
    }
}

impl RedrivePermission {
    /// What a queue's attributes say of it.
    #[must_use]
    pub fn of(attributes: &Attributes) -> Self {
        attributes.get("RedriveAllowPolicy").and_then(|it| permission(it)).unwrap_or(Self::All)
    }

    /// Whether a queue may have this one for its dead letters.
    #[must_use]
    pub fn allows(&self, source_arn: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Queues(arns) => arns.iter().any(|arn| arn == source_arn),
        }
    }
}

fn object(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(Value::is_object)
}

fn redrive(text: &str) -> Option<Redrive> {
    let policy = object(text)?;
    let max = &policy["maxReceiveCount"];
    // Terraform writes a number, CloudFormation may write a text.
    let max = max.as_u64().or_else(|| max.as_str()?.parse().ok())?;
    let max_receives = u32::try_from(max).ok().filter(|max| (1..=1_000).contains(max))?;
    Some(Redrive { target_arn: policy["deadLetterTargetArn"].as_str()?.to_owned(), max_receives })
}

fn permission(text: &str) -> Option<RedrivePermission> {
    let policy = object(text)?;
    match policy["redrivePermission"].as_str()? {
        "allowAll" => Some(RedrivePermission::All),
        "denyAll" => Some(RedrivePermission::None),
        "byQueue" => {
            let arns = policy["sourceQueueArns"].as_array().filter(|arns| arns.len() <= 10)?;
            let arns = arns.iter().map(|arn| Some(arn.as_str()?.to_owned()));
            Some(RedrivePermission::Queues(arns.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn checked(queue: &str, name: &str, value: &str, expected: &str) {
        let result = check(queue, &attributes(&[(name, value)]));
        let got = result.err().map_or("valid", |error| error.exception.facts().code);
        assert_eq!(got, expected, "{queue} {name}={value}");
    }

    #[test]
    fn attributes_are_checked_by_name_and_by_the_kind_of_queue() {
        checked("q", "DelaySeconds", "900", "valid");
        checked("q", "DelaySeconds", "901", "InvalidAttributeValue");
        checked("q", "DelaySeconds", "x", "InvalidAttributeValue");
        checked("q", "FifoQueue", "true", "InvalidAttributeName");
        checked("q.fifo", "FifoQueue", "true", "valid");
        checked("q.fifo", "FifoQueue", "false", "InvalidAttributeValue");
        checked("q", "QueueArn", "x", "InvalidAttributeName");
        checked("q", "RedrivePolicy", "", "valid");
        checked("q", "RedrivePolicy", "{}", "InvalidAttributeValue");
        let policy = r#"{"deadLetterTargetArn":"arn","maxReceiveCount":"3"}"#;
        checked("q", "RedrivePolicy", policy, "valid");
    }

    #[test]
    fn a_queue_is_the_same_if_what_is_given_is() {
        let there = created("q", &attributes(&[("DelaySeconds", "5"), ("Policy", r#"{"a":1}"#)]));
        assert!(agree(&there, &attributes(&[("Policy", r#"{ "a" : 1 }"#)])).is_ok());
        assert!(agree(&there, &attributes(&[("DelaySeconds", "6")])).is_err());
        assert_eq!(Settings::of(&there).delay_s, 5);
        assert_eq!(Settings::of(&there).retention_s, 345_600);
    }
}
