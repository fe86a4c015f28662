//! The answers of CloudWatch Logs.

use std::collections::BTreeMap;

use bytes::Bytes;
use dormouse_model::names::{RequestId, Scope};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

/// `LogGroup`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogGroup {
    log_group_name: String,
    creation_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_in_days: Option<u32>,
    metric_filter_count: u32,
    arn: String,
    stored_bytes: u64,
    log_group_class: String,
    log_group_arn: String,
}

impl LogGroup {
    /// A group of an account and region.
    #[must_use]
    pub fn of(scope: &Scope, name: &str, facts: GroupFacts) -> Self {
        let log_group_arn = scope.arn("logs", format_args!("log-group:{name}"));
        Self {
            log_group_name: name.to_owned(),
            creation_time: facts.created_ms,
            retention_in_days: facts.retention_days,
            metric_filter_count: 0,
            arn: format!("{log_group_arn}:*"),
            stored_bytes: facts.stored_bytes,
            log_group_class: facts.class,
            log_group_arn,
        }
    }
}

/// What a group is, beside its name and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Days its events are kept.
    pub retention_days: Option<u32>,
    /// Bytes of its events.
    pub stored_bytes: u64,
    /// Its class.
    pub class: String,
}

/// `ListTagsForResource`'s answer, and `ListTagsLogGroup`'s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListTagsResponse {
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// `DescribeLogGroups`' answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeLogGroupsResponse {
    /// The page.
    pub log_groups: Vec<LogGroup>,
    /// Where the next one begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// `LogStream`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogStream {
    log_stream_name: String,
    creation_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ingestion_time: Option<u64>,
    arn: String,
    /// AWS has answered zero since 2019.
    stored_bytes: u64,
}

impl LogStream {
    /// A stream of a group. `times` are those of its first and last event and when that came in.
    #[must_use]
    pub fn of(
        scope: &Scope,
        group: &str,
        name: &str,
        created_ms: u64,
        times: Option<(u64, u64, u64)>,
    ) -> Self {
        let arn = scope.arn("logs", format_args!("log-group:{group}:log-stream:{name}"));
        Self {
            log_stream_name: name.to_owned(),
            creation_time: created_ms,
            first_event_timestamp: times.map(|(first, _, _)| first),
            last_event_timestamp: times.map(|(_, last, _)| last),
            last_ingestion_time: times.map(|(_, _, ingestion)| ingestion),
            arn,
            stored_bytes: 0,
        }
    }
}

/// `DescribeLogStreams`' answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeLogStreamsResponse {
    /// The page.
    pub log_streams: Vec<LogStream>,
    /// Where the next one begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// `OutputLogEvent`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputLogEvent {
    /// When it was, in milliseconds since 1970.
    pub timestamp: u64,
    /// What it says.
    pub message: String,
    /// When it came in, in milliseconds since 1970.
    pub ingestion_time: u64,
}

/// `GetLogEvents`' answer. Both tokens are always there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetLogEventsResponse {
    /// The page, the oldest first.
    pub events: Vec<OutputLogEvent>,
    /// Goes on to what was later.
    pub next_forward_token: String,
    /// Goes on to what was earlier.
    pub next_backward_token: String,
}

/// `FilteredLogEvent`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilteredLogEvent {
    /// Its stream.
    pub log_stream_name: String,
    /// When it was, in milliseconds since 1970.
    pub timestamp: u64,
    /// What it says.
    pub message: String,
    /// When it came in, in milliseconds since 1970.
    pub ingestion_time: u64,
    /// Unique: `aws logs tail` forgets what it has printed by this.
    pub event_id: String,
}

/// `FilterLogEvents`' answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterLogEventsResponse {
    /// The page, the oldest first.
    pub events: Vec<FilteredLogEvent>,
    /// Always empty, as at AWS since 2019.
    pub searched_log_streams: [(); 0],
    /// Where the next one begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// The HTTP answer with a body.
///
/// # Panics
/// Never for the shapes of this module: they hold nothing that JSON cannot say.
#[must_use]
pub fn answer(shape: &impl Serialize, request_id: &RequestId) -> Response<Bytes> {
    let body = serde_json::to_vec(shape).expect("shapes hold nothing that JSON cannot say");
    with_headers(Bytes::from(body), request_id)
}

/// The HTTP answer of an operation that answers nothing.
#[must_use]
pub fn done(request_id: &RequestId) -> Response<Bytes> {
    with_headers(Bytes::new(), request_id)
}

fn with_headers(body: Bytes, request_id: &RequestId) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    let id = HeaderValue::from_str(request_id.as_str()).expect("a UUID is a header value");
    headers.insert("x-amzn-requestid", id);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(shape: &impl Serialize) -> String {
        serde_json::to_string(shape).unwrap()
    }

    #[test]
    fn answers_have_the_members_of_the_model() {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let facts = GroupFacts {
            created_ms: 1,
            retention_days: None,
            stored_bytes: 26,
            class: "STANDARD".into(),
        };
        let group = LogGroup::of(&scope, "/aws/lambda/f", facts);
        insta::assert_snapshot!(
            json(&DescribeLogGroupsResponse { log_groups: vec![group], next_token: None }), @r#"{"logGroups":[{"logGroupName":"/aws/lambda/f","creationTime":1,"metricFilterCount":0,"arn":"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f:*","storedBytes":26,"logGroupClass":"STANDARD","logGroupArn":"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f"}]}"#);
        let stream = LogStream::of(&scope, "g", "s", 1, Some((2, 3, 4)));
        let next_token = Some("t".to_owned());
        insta::assert_snapshot!(
            json(&DescribeLogStreamsResponse { log_streams: vec![stream], next_token }), @r#"{"logStreams":[{"logStreamName":"s","creationTime":1,"firstEventTimestamp":2,"lastEventTimestamp":3,"lastIngestionTime":4,"arn":"arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream:s","storedBytes":0}],"nextToken":"t"}"#);
        let event = FilteredLogEvent {
            log_stream_name: "s".into(),
            timestamp: 1,
            message: "m\n".into(),
            ingestion_time: 2,
            event_id: "7".into(),
        };
        let page = FilterLogEventsResponse {
            events: vec![event],
            searched_log_streams: [],
            next_token: None,
        };
        insta::assert_snapshot!(json(&page), @r#"{"events":[{"logStreamName":"s","timestamp":1,"message":"m\n","ingestionTime":2,"eventId":"7"}],"searchedLogStreams":[]}"#);
    }
}
