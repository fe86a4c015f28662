//! What holds of every batch: how many entries, and how they are told apart.

use std::collections::HashSet;

use dormouse_model::limits;

use crate::error::{ApiError, Exception};
use crate::sqs::refusal::missing;
use crate::sqs::wire::WireEntry;

/// Checks a batch as a whole; each entry with its id.
pub(super) fn check(
    entries: Option<Vec<WireEntry>>,
    operation: &str,
) -> Result<Vec<(String, WireEntry)>, ApiError> {
    let entries = entries.unwrap_or_default();
    if entries.is_empty() {
        let text = format!("There should be at least one {operation}RequestEntry in the request.");
        return Err(ApiError::new(Exception::SqsEmptyBatchRequest, text));
    }
    if entries.len() > limits::QUEUE_BATCH {
        let (most, count) = (limits::QUEUE_BATCH, entries.len());
        let text =
            format!("Maximum number of entries per request are {most}. You have sent {count}.");
        return Err(ApiError::new(Exception::SqsTooManyEntriesInBatchRequest, text));
    }
    let mut seen = HashSet::new();
    let mut named = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let id = entry.id.take().ok_or_else(|| missing("Id"))?;
        if id.len() > 80 || !crate::validate::is_word(&id) {
            let text = "A batch entry id can only contain alphanumeric characters, hyphens and \
                        underscores. It can be at most 80 letters long.";
            return Err(ApiError::new(Exception::SqsInvalidBatchEntryId, text));
        }
        if !seen.insert(id.clone()) {
            let text = format!("Id {id} repeated.");
            return Err(ApiError::new(Exception::SqsBatchEntryIdsNotDistinct, text));
        }
        named.push((id, entry));
    }
    Ok(named)
}
