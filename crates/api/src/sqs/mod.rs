//! SQS: operations, shapes, attributes and limits, over JSON 1.0 and the older query protocol.
//!
//! Both protocols are read into the same [`Request`] and written from the same result: the query
//! protocol is a form that is first made the JSON it stands for.

mod answer;
mod attributes;
mod batch;
mod digest;
mod form;
mod message;
mod permission;
mod receive;
mod refusal;
mod request;
mod wire;

pub use answer::{Failed, answer, batch_answer};
pub use attributes::{Redrive, RedrivePermission, Settings, agree, check, created, visible};
pub use digest::{attributes_md5, content_id, md5};
pub use message::{AttributeValue, Entry};
pub use permission::{add_permission, remove_permission};
pub use receive::{Names, Receive};
pub use refusal::{
    batch_too_long, deduplication_missing, deleted_recently, differing_attribute,
    foreign_parameter, message_gone, message_too_long, no_such_queue, not_in_flight,
    purge_in_progress, receipt_expired, receipt_invalid,
};
pub use request::{Change, Paging, QueueName, Request};

/// A queue's ARN.
#[must_use]
pub fn queue_arn(scope: &dormouse_model::names::Scope, name: &str) -> String {
    format!("arn:aws:sqs:{}:{}:{name}", scope.region, scope.account)
}

/// Whether a queue of that name keeps an order.
#[must_use]
pub fn is_fifo_name(name: &str) -> bool {
    name.ends_with(".fifo")
}

/// Whether a text may name a queue.
fn is_queue_name(name: &str) -> bool {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    name.len() <= 80 && crate::validate::is_word(stem)
}
