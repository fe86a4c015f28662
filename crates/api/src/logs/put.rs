//! What clients write themselves: streams, and events in them.

use dormouse_model::limits;
use serde::{Deserialize, Serialize};

use super::request::{check_group, check_stream, finish, invalid, read};
use crate::error::{ApiError, Exception};
use crate::validate::Violations;

const DAY_MS: u64 = 86_400_000;
/// How far ahead of now an event may be (`PutLogEvents`).
const AHEAD_MS: u64 = 2 * 3_600_000;
/// How old an event may be (`PutLogEvents`).
const BEHIND_MS: u64 = 14 * DAY_MS;

/// `CreateLogStream` and `DeleteLogStream`, which name a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedStream {
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
}

/// `PutLogEvents`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutLogEvents {
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
    /// The events, in the order of their times.
    pub events: Vec<InputLogEvent>,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputLogEvent {
    /// When it was, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// What it says.
    pub message: String,
}

/// `PutLogEvents`'s answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutLogEventsResponse {
    /// Nobody needs it any more, and everybody still gets it.
    pub next_sequence_token: String,
    /// What did not come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_log_events_info: Option<RejectedLogEvents>,
}

/// Where in a request the events are that did not come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedLogEvents {
    /// The first that is too far ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_new_log_event_start_index: Option<usize>,
    /// The first that is not too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_old_log_event_end_index: Option<usize>,
    /// The first that is not past the group's retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired_log_event_end_index: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
    log_events: Option<Vec<EventMembers>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EventMembers {
    timestamp: Option<i64>,
    message: Option<String>,
}

impl Members {
    fn named(&self, violations: &mut Violations) -> NamedStream {
        match &self.log_group_name {
            Some(name) => check_group(violations, name, "logGroupName"),
            None => violations.null("logGroupName"),
        }
        match &self.log_stream_name {
            Some(name) => check_stream(violations, name, "logStreamName"),
            None => violations.null("logStreamName"),
        }
        NamedStream {
            group: self.log_group_name.clone().unwrap_or_default(),
            stream: self.log_stream_name.clone().unwrap_or_default(),
        }
    }
}

impl NamedStream {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is none, or breaks a constraint.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let mut violations = Violations::default();
        let named = members.named(&mut violations);
        finish(violations)?;
        Ok(named)
    }
}

impl PutLogEvents {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is none, breaks a constraint, is not in order, spans more than a day or is too large.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut members: Members = read(body)?;
        let mut violations = Violations::default();
        let NamedStream { group, stream } = members.named(&mut violations);
        match &members.log_events {
            Some(events) => check_events(&mut violations, events),
            None => violations.null("logEvents"),
        }
        finish(violations)?;
        let events = members.log_events.take().unwrap_or_default().into_iter().map(|event| {
            let timestamp_ms = event.timestamp.and_then(|time| time.try_into().ok());
            InputLogEvent {
                timestamp_ms: timestamp_ms.unwrap_or_default(),
                message: event.message.unwrap_or_default(),
            }
        });
        let events: Vec<InputLogEvent> = events.collect();
        check_batch(&events)?;
        Ok(Self { group, stream, events })
    }
}

fn check_events(violations: &mut Violations, events: &[EventMembers]) {
    let rule = |bound: &str| format!("Member must have length {bound}");
    if events.is_empty() {
        violations.add_hidden("logEvents", rule("greater than or equal to 1"));
    }
    if events.len() > limits::PUT_LOG_EVENTS {
        let bound = format!("less than or equal to {}", limits::PUT_LOG_EVENTS);
        violations.add_hidden("logEvents", rule(&bound));
    }
    for (event, number) in events.iter().take(limits::PUT_LOG_EVENTS).zip(1..) {
        match event.timestamp {
            Some(time) => {
                let path = format!("logEvents.{number}.member.timestamp");
                violations.range(time, &path, 0, i64::MAX);
            }
            None => violations.null(&format!("logEvents.{number}.member.timestamp")),
        }
        let path = || format!("logEvents.{number}.member.message");
        match event.message.as_deref() {
            Some("") => violations.add_hidden(&path(), rule("greater than or equal to 1")),
            Some(_) => {}
            None => violations.null(&path()),
        }
    }
}

fn check_batch(events: &[InputLogEvent]) -> Result<(), ApiError> {
    if !events.is_sorted_by_key(|event| event.timestamp_ms) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let ends = events.first().zip(events.last());
    let span_ms = ends.map_or(0, |(first, last)| last.timestamp_ms - first.timestamp_ms);
    if span_ms > DAY_MS {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 \
             hours.",
        ));
    }
    let overhead = usize::try_from(limits::LOG_EVENT_OVERHEAD_BYTES).unwrap_or_default();
    let bytes: usize = events.iter().map(|event| event.message.len() + overhead).sum();
    let limit = limits::PUT_LOG_BYTES;
    if bytes > limit {
        return Err(invalid(&format!("Upload too large: {bytes} bytes exceeds limit of {limit}")));
    }
    Ok(())
}

/// Which of some events, in the order of their times, come in: those of the range. The others are
/// too old, past their group's retention, or too far ahead of now.
#[must_use]
pub fn accepted(
    events: &[InputLogEvent],
    now_ms: u64,
    retention_days: Option<u32>,
) -> (std::ops::Range<usize>, Option<RejectedLogEvents>) {
    let before = |ms: u64| events.partition_point(|event| event.timestamp_ms < ms);
    let too_old = before(now_ms.saturating_sub(BEHIND_MS));
    let kept_ms = retention_days.map(|days| u64::from(days) * DAY_MS);
    let expired = kept_ms.map_or(0, |kept_ms| before(now_ms.saturating_sub(kept_ms)));
    let too_new = before(now_ms.saturating_add(AHEAD_MS).saturating_add(1));
    let some = |index: usize| (index > 0).then_some(index);
    let rejected = RejectedLogEvents {
        too_new_log_event_start_index: (too_new < events.len()).then_some(too_new),
        too_old_log_event_end_index: some(too_old),
        expired_log_event_end_index: some(expired),
    };
    let from = too_old.max(expired);
    let rejected = (rejected != RejectedLogEvents::default()).then_some(rejected);
    (from..too_new.max(from), rejected)
}

/// There is such a stream already.
#[must_use]
pub fn stream_exists() -> ApiError {
    let text = "The specified log stream already exists";
    ApiError::new(Exception::LogsResourceAlreadyExists, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn put(events: &serde_json::Value) -> Result<PutLogEvents, String> {
        let body = json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events});
        PutLogEvents::read(body.to_string().as_bytes()).map_err(|error| error.message)
    }

    #[test]
    fn events_are_read_in_their_order() {
        let events = json!([{"timestamp": 1, "message": "a"}, {"timestamp": 1, "message": "b"}]);
        let read = put(&events).unwrap();
        assert_eq!((read.group.as_str(), read.stream.as_str()), ("g", "s"));
        assert_eq!(read.events[1], InputLogEvent { timestamp_ms: 1, message: "b".into() });
    }

    #[test]
    fn what_is_wrong_is_told() {
        let text = |events| put(&events).unwrap_err().replace("; ", ";\n");
        insta::assert_snapshot!(text(json!([{"timestamp": -1, "message": ""}, {}])), @r"
        4 validation errors detected: Value '-1' at 'logEvents.1.member.timestamp' failed to satisfy constraint: Member must have value greater than or equal to 0;
        Value at 'logEvents.1.member.message' failed to satisfy constraint: Member must have length greater than or equal to 1;
        Value null at 'logEvents.2.member.timestamp' failed to satisfy constraint: Member must not be null;
        Value null at 'logEvents.2.member.message' failed to satisfy constraint: Member must not be null
        ");
        insta::assert_snapshot!(text(json!([])), @"1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1");
        let at = |timestamp| json!({"timestamp": timestamp, "message": "m"});
        insta::assert_snapshot!(text(json!([at(2), at(1)])), @"Log events in a single PutLogEvents request must be in chronological order.");
        insta::assert_snapshot!(text(json!([at(0), at(DAY_MS + 1)])), @"The batch of log events in a single PutLogEvents request cannot span more than 24 hours.");
        let large = json!({"timestamp": 1, "message": "x".repeat(limits::PUT_LOG_BYTES - 25)});
        insta::assert_snapshot!(text(json!([large])), @"Upload too large: 1048577 bytes exceeds limit of 1048576");
        assert!(put(&json!(vec![at(1); limits::PUT_LOG_EVENTS])).is_ok());
        assert!(put(&json!(vec![at(1); limits::PUT_LOG_EVENTS + 1])).is_err());
    }

    #[test]
    fn events_that_are_too_old_or_too_new_stay_out() {
        let now_ms = 100 * DAY_MS;
        let outcome = |times: &[u64], retention| {
            let event = |&timestamp_ms| InputLogEvent { timestamp_ms, message: "m".into() };
            let events: Vec<InputLogEvent> = times.iter().map(event).collect();
            let (range, rejected) = accepted(&events, now_ms, retention);
            format!("{range:?} {}", serde_json::to_string(&rejected).unwrap())
        };
        let old = now_ms - BEHIND_MS;
        assert_eq!(outcome(&[old, now_ms, now_ms + AHEAD_MS], None), "0..3 null");
        assert_eq!(outcome(&[old - 1, old, now_ms], None), r#"1..3 {"tooOldLogEventEndIndex":1}"#);
        assert_eq!(
            outcome(&[now_ms, now_ms + AHEAD_MS + 1], None),
            r#"0..1 {"tooNewLogEventStartIndex":1}"#
        );
        let days = |n: u64| now_ms - n * DAY_MS;
        assert_eq!(
            outcome(&[old - 1, days(3), days(2), now_ms], Some(2)),
            r#"2..4 {"tooOldLogEventEndIndex":1,"expiredLogEventEndIndex":2}"#
        );
        assert_eq!(outcome(&[old - 1], None), r#"1..1 {"tooOldLogEventEndIndex":1}"#);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_comes_in_is_in_the_request(
            mut times in proptest::collection::vec(any::<u64>(), 0..20),
            now_ms: u64,
            days in proptest::option::of(any::<u32>()),
        ) {
            times.sort_unstable();
            let event = |&timestamp_ms| InputLogEvent { timestamp_ms, message: String::new() };
            let events: Vec<InputLogEvent> = times.iter().map(event).collect();
            let (range, rejected) = accepted(&events, now_ms, days);
            prop_assert!(range.start <= range.end && range.end <= events.len());
            prop_assert_eq!(rejected.is_none(), range == (0..events.len()));
        }
    }
}
