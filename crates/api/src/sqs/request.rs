//! SQS's requests, checked, whichever protocol they came in.

use std::collections::BTreeMap;

use dormouse_model::names::AccountId;

use crate::error::ApiError;
use crate::error::Exception;
use crate::form::Form;
use crate::sqs::message::Entry;
use crate::sqs::receive::{Receive, visibility};
use crate::sqs::refusal::{invalid, missing, no_such_queue};
use crate::sqs::wire::{Wire, WireEntry};
use crate::sqs::{batch, form, is_fifo_name, is_queue_name};

/// A queue as its URL names it. Its host says nothing: a server has many names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName {
    /// Whose.
    pub account: AccountId,
    /// Its name.
    pub name: String,
}

/// A receipt, and the seconds for which its message is hidden.
pub type Change = (String, u64);

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Where it begins: the `NextToken` of the page before.
    pub token: Option<String>,
    /// How many at most, if that is said; only then there are pages.
    pub items: Option<usize>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are those of SQS's model, by the same names")]
pub enum Request {
    CreateQueue {
        name: String,
        attributes: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    },
    DeleteQueue {
        queue: QueueName,
    },
    GetQueueUrl {
        name: String,
        owner: Option<AccountId>,
    },
    GetQueueAttributes {
        queue: QueueName,
        names: Vec<String>,
    },
    SetQueueAttributes {
        queue: QueueName,
        attributes: BTreeMap<String, String>,
    },
    ListQueues {
        prefix: String,
        paging: Paging,
    },
    ListDeadLetterSourceQueues {
        queue: QueueName,
        paging: Paging,
    },
    SendMessage {
        queue: QueueName,
        entry: Entry,
    },
    SendMessageBatch {
        queue: QueueName,
        entries: Vec<(String, Result<Entry, ApiError>)>,
    },
    ReceiveMessage {
        queue: QueueName,
        receive: Receive,
    },
    DeleteMessage {
        queue: QueueName,
        receipt: String,
    },
    DeleteMessageBatch {
        queue: QueueName,
        entries: Vec<(String, String)>,
    },
    ChangeMessageVisibility {
        queue: QueueName,
        receipt: String,
        seconds: u64,
    },
    ChangeMessageVisibilityBatch {
        queue: QueueName,
        entries: Vec<(String, Result<Change, ApiError>)>,
    },
    PurgeQueue {
        queue: QueueName,
    },
    TagQueue {
        queue: QueueName,
        tags: BTreeMap<String, String>,
    },
    UntagQueue {
        queue: QueueName,
        keys: Vec<String>,
    },
    ListQueueTags {
        queue: QueueName,
    },
    AddPermission {
        queue: QueueName,
        label: String,
        accounts: Vec<String>,
        actions: Vec<String>,
    },
    RemovePermission {
        queue: QueueName,
        label: String,
    },
}

impl Request {
    /// Reads a JSON body. Nothing for an operation we do not have.
    ///
    /// # Errors
    /// When a parameter is missing or not valid.
    pub fn of_json(operation: &str, body: &[u8]) -> Result<Option<Self>, ApiError> {
        if !has(operation) {
            return Ok(None);
        }
        Self::read(operation, Wire::of_json(body)?)
    }

    /// Reads a form; the queue may be named by the request's path.
    ///
    /// # Errors
    /// When a parameter is missing or not valid.
    pub fn of_form(operation: &str, form: &Form, path: &str) -> Result<Option<Self>, ApiError> {
        if !has(operation) {
            return Ok(None);
        }
        let mut wire = Wire::of_value(form::value(form))?;
        if wire.queue_url.is_none() && path.len() > 1 {
            wire.queue_url = Some(path.to_owned());
        }
        Self::read(operation, wire)
    }

    fn read(operation: &str, wire: Wire) -> Result<Option<Self>, ApiError> {
        match operation {
            "CreateQueue" | "GetQueueUrl" | "ListQueues" => Self::of_no_queue(operation, wire),
            _ => {
                let url = wire.queue_url.as_deref().filter(|url| !url.is_empty());
                let queue = queue_of(url.ok_or_else(|| missing("QueueUrl"))?)?;
                if operation.contains("Message") {
                    Self::of_messages(operation, queue, wire)
                } else {
                    Self::of_queue(operation, queue, wire)
                }
            }
        }
    }

    fn of_no_queue(operation: &str, wire: Wire) -> Result<Option<Self>, ApiError> {
        if operation == "ListQueues" {
            let paging = paging(wire.max_results, wire.next_token)?;
            let prefix = wire.queue_name_prefix.unwrap_or_default();
            return Ok(Some(Self::ListQueues { prefix, paging }));
        }
        let name = wire.queue_name.ok_or_else(|| missing("QueueName"))?;
        if !is_queue_name(&name) {
            let text = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 \
                        in length";
            return Err(ApiError::new(Exception::SqsInvalidParameterValue, text));
        }
        if operation == "GetQueueUrl" {
            let owner = wire.queue_owner.map(|owner| owner.parse());
            let owner = owner.transpose().map_err(|_| no_such_queue())?;
            return Ok(Some(Self::GetQueueUrl { name, owner }));
        }
        let attributes = wire.attributes.unwrap_or_default();
        check_kind(&name, &attributes)?;
        let tags = wire.tags.unwrap_or_default();
        Ok(Some(Self::CreateQueue { name, attributes, tags }))
    }

    fn of_queue(operation: &str, queue: QueueName, wire: Wire) -> Result<Option<Self>, ApiError> {
        let label = || wire.label.clone().ok_or_else(|| missing("Label"));
        Ok(Some(match operation {
            "DeleteQueue" => Self::DeleteQueue { queue },
            "GetQueueAttributes" => {
                Self::GetQueueAttributes { queue, names: wire.attribute_names.unwrap_or_default() }
            }
            "SetQueueAttributes" => {
                let attributes = wire.attributes.ok_or_else(|| missing("Attributes"))?;
                Self::SetQueueAttributes { queue, attributes }
            }
            "ListDeadLetterSourceQueues" => {
                let paging = paging(wire.max_results, wire.next_token)?;
                Self::ListDeadLetterSourceQueues { queue, paging }
            }
            "PurgeQueue" => Self::PurgeQueue { queue },
            "TagQueue" => Self::TagQueue { queue, tags: wire.tags.ok_or_else(|| missing("Tags"))? },
            "UntagQueue" => {
                Self::UntagQueue { queue, keys: wire.tag_keys.ok_or_else(|| missing("TagKeys"))? }
            }
            "ListQueueTags" => Self::ListQueueTags { queue },
            "AddPermission" => {
                let label = label()?;
                let accounts = wire.accounts.ok_or_else(|| missing("PrincipalId"))?;
                let actions = wire.actions.ok_or_else(|| missing("ActionName"))?;
                Self::AddPermission { queue, label, accounts, actions }
            }
            "RemovePermission" => Self::RemovePermission { queue, label: label()? },
            _ => return Ok(None),
        }))
    }

    fn of_messages(
        operation: &str,
        queue: QueueName,
        mut wire: Wire,
    ) -> Result<Option<Self>, ApiError> {
        let mut entries = || batch::check(wire.entries.take(), operation);
        Ok(Some(match operation {
            "SendMessage" => Self::SendMessage { queue, entry: Entry::read(wire.entry)? },
            "SendMessageBatch" => {
                let entries = entries()?.into_iter().map(|(id, entry)| (id, Entry::read(entry)));
                Self::SendMessageBatch { queue, entries: entries.collect() }
            }
            "ReceiveMessage" => Self::ReceiveMessage { queue, receive: Receive::read(&mut wire)? },
            "DeleteMessage" => Self::DeleteMessage { queue, receipt: receipt(wire.entry)? },
            "DeleteMessageBatch" => {
                let entries = entries()?.into_iter().map(|(id, entry)| Ok((id, receipt(entry)?)));
                Self::DeleteMessageBatch { queue, entries: entries.collect::<Result<_, _>>()? }
            }
            "ChangeMessageVisibility" => {
                let (receipt, seconds) = change(wire.entry)?;
                Self::ChangeMessageVisibility { queue, receipt, seconds }
            }
            "ChangeMessageVisibilityBatch" => {
                let entries = entries()?.into_iter().map(|(id, entry)| (id, change(entry)));
                Self::ChangeMessageVisibilityBatch { queue, entries: entries.collect() }
            }
            _ => return Ok(None),
        }))
    }
}

const OPERATIONS: [&str; 20] = [
    "CreateQueue",
    "DeleteQueue",
    "GetQueueUrl",
    "GetQueueAttributes",
    "SetQueueAttributes",
    "ListQueues",
    "ListDeadLetterSourceQueues",
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "PurgeQueue",
    "TagQueue",
    "UntagQueue",
    "ListQueueTags",
    "AddPermission",
    "RemovePermission",
];

/// Before a body is looked at: one we know nothing of is not judged.
fn has(operation: &str) -> bool {
    OPERATIONS.contains(&operation)
}

/// The name and the attribute of a queue with an order go together.
fn check_kind(name: &str, attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let asked = attributes.get("FifoQueue").is_some_and(|value| value == "true");
    let text = match (is_fifo_name(name), asked) {
        (true, false) => {
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        }
        (false, true) => {
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
             underscores, must end with .fifo suffix and be 1 to 80 in length"
        }
        (true, true) | (false, false) => return Ok(()),
    };
    Err(ApiError::new(Exception::SqsInvalidParameterValue, text))
}

/// The last two parts of a URL's path.
fn queue_of(url: &str) -> Result<QueueName, ApiError> {
    let mut parts = url.trim_end_matches('/').rsplit('/');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let account = account.parse().ok().filter(|_| is_queue_name(name));
    let account = account.ok_or_else(|| {
        let shown: String = url.chars().take(256).collect();
        let text = format!("The address {shown} is not valid for this endpoint.");
        ApiError::new(Exception::SqsInvalidAddress, text)
    })?;
    Ok(QueueName { account, name: name.to_owned() })
}

fn receipt(entry: WireEntry) -> Result<String, ApiError> {
    entry.receipt_handle.filter(|it| !it.is_empty()).ok_or_else(|| missing("ReceiptHandle"))
}

fn change(mut entry: WireEntry) -> Result<Change, ApiError> {
    let seconds = entry.visibility_timeout.take().ok_or_else(|| missing("VisibilityTimeout"))?;
    Ok((receipt(entry)?, visibility(seconds)?))
}

fn paging(items: Option<i64>, token: Option<String>) -> Result<Paging, ApiError> {
    let read = |items| {
        let valid = usize::try_from(items).ok().filter(|items| (1..=1_000).contains(items));
        let reason = "Must be between 1 and 1000, if provided.";
        valid.ok_or_else(|| invalid(items, "MaxResults", reason))
    };
    Ok(Paging { token, items: items.map(read).transpose()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_queue_is_what_the_end_of_its_url_says() {
        let found = queue_of("http://any.host:1/000000000000/a.fifo").unwrap();
        assert_eq!((found.account.as_str(), found.name.as_str()), ("000000000000", "a.fifo"));
        for url in ["", "q", "http://x/1/q", "http://x/000000000000/", "/000000000000/a b"] {
            assert!(queue_of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn both_protocols_are_read_alike() {
        let json = br#"{"QueueUrl":"http://h/000000000000/q","MaxNumberOfMessages":3,"WaitTimeSeconds":20}"#;
        let form = Form::parse(b"MaxNumberOfMessages=3&WaitTimeSeconds=20").unwrap();
        let form = Request::of_form("ReceiveMessage", &form, "/000000000000/q");
        assert_eq!(Request::of_json("ReceiveMessage", json), form);
        assert!(form.unwrap().is_some());
    }

    proptest! {
        #[test]
        fn no_body_panics(operation in 0..OPERATIONS.len(), body in ".{0,200}") {
            let _ = Request::of_json(OPERATIONS[operation], body.as_bytes());
        }
    }
}
