//! From what SQS calls a queue's attributes to the rules that the store keeps.

use std::collections::BTreeMap;

use dormouse_api::sqs::{Settings, is_fifo_name};
use dormouse_store::queue::{DeadLetter, Order, Rules};

/// The rules of a queue with these attributes, which were checked.
pub(super) fn rules(name: &str, attributes: &BTreeMap<String, String>) -> Rules {
    let settings = Settings::of(attributes);
    let order = match (is_fifo_name(name), settings.deduplication_by_group) {
        (false, _) => Order::Standard,
        (true, false) => Order::Fifo,
        (true, true) => Order::FifoByGroup,
    };
    Rules {
        delay_ms: settings.delay_s * 1_000,
        visibility_ms: settings.visibility_s * 1_000,
        retention_ms: settings.retention_s * 1_000,
        order,
        dead_letter: settings.redrive.and_then(|redrive| {
            let queue = redrive.target_arn.rsplit(':').next()?.to_owned();
            Some(DeadLetter { queue, max_receives: redrive.max_receives })
        }),
    }
}
