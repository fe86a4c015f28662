//! What SQS says when it refuses: every text in one place.

use crate::error::{ApiError, Exception};

/// There is no such queue.
#[must_use]
pub fn no_such_queue() -> ApiError {
    ApiError::new(Exception::SqsQueueDoesNotExist, "The specified queue does not exist.")
}

/// One of that name was removed less than a minute ago.
#[must_use]
pub fn deleted_recently() -> ApiError {
    let text = "You must wait 60 seconds after deleting a queue before you can create another \
                with the same name.";
    ApiError::new(Exception::SqsQueueDeletedRecently, text)
}

/// There is one of that name which is not as asked.
#[must_use]
pub fn differing_attribute(name: &str) -> ApiError {
    let text = format!(
        "A queue already exists with the same name and a different value for attribute {name}"
    );
    ApiError::new(Exception::SqsQueueNameExists, text)
}

/// It was emptied less than a minute ago.
#[must_use]
pub fn purge_in_progress(name: &str) -> ApiError {
    let text = format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
    ApiError::new(Exception::SqsPurgeQueueInProgress, text)
}

/// It was not made here, or for another queue.
#[must_use]
pub fn receipt_invalid(handle: &str) -> ApiError {
    let shown: String = handle.chars().take(256).collect();
    let text = format!("The input receipt handle \"{shown}\" is not a valid receipt handle.");
    ApiError::new(Exception::SqsReceiptHandleIsInvalid, text)
}

/// The message of a queue with an order was due again before it was removed.
#[must_use]
pub fn receipt_expired(handle: &str) -> ApiError {
    invalid(handle, "ReceiptHandle", "The receipt handle has expired.")
}

/// The message can be received already.
#[must_use]
pub fn not_in_flight() -> ApiError {
    let text = "The specified message isn't in flight.";
    ApiError::new(Exception::SqsMessageNotInflight, text)
}

/// The message is not there any more.
#[must_use]
pub fn message_gone(handle: &str) -> ApiError {
    let reason = "Message does not exist or is not available for visibility timeout change.";
    invalid(handle, "ReceiptHandle", reason)
}

/// A message is larger than its queue takes.
#[must_use]
pub fn message_too_long(limit_bytes: usize) -> ApiError {
    let text = format!(
        "One or more parameters are invalid. Reason: Message must be shorter than {limit_bytes} \
         bytes."
    );
    ApiError::new(Exception::SqsInvalidParameterValue, text)
}

/// Messages are larger than a batch may be.
#[must_use]
pub fn batch_too_long(limit_bytes: usize, bytes: usize) -> ApiError {
    let text = format!(
        "Batch requests cannot be longer than {limit_bytes} bytes. You have sent {bytes} bytes."
    );
    ApiError::new(Exception::SqsBatchRequestTooLong, text)
}

/// A queue with an order must know doubles.
#[must_use]
pub fn deduplication_missing() -> ApiError {
    let text = "The queue should either have ContentBasedDeduplication enabled or \
                MessageDeduplicationId provided explicitly";
    ApiError::new(Exception::SqsInvalidParameterValue, text)
}

/// A parameter that queues of the other kind have.
#[must_use]
pub fn foreign_parameter(value: &str, name: &str) -> ApiError {
    invalid(value, name, "The request include parameter that is not valid for this queue type.")
}

pub(super) fn invalid(value: impl std::fmt::Display, name: &str, reason: &str) -> ApiError {
    let value: String = value.to_string().chars().take(256).collect();
    let text = format!("Value {value} for parameter {name} is invalid. Reason: {reason}");
    ApiError::new(Exception::SqsInvalidParameterValue, text)
}

pub(super) fn missing(name: &str) -> ApiError {
    let text = format!("The request must contain the parameter {name}.");
    ApiError::new(Exception::SqsMissingParameter, text)
}

pub(super) fn invalid_attribute(name: &str) -> ApiError {
    let text = format!("Invalid value for the parameter {name}.");
    ApiError::new(Exception::SqsInvalidAttributeValue, text)
}

pub(super) fn unknown_attribute(name: &str) -> ApiError {
    let shown: String = name.chars().take(256).collect();
    ApiError::new(Exception::SqsInvalidAttributeName, format!("Unknown Attribute {shown}."))
}
