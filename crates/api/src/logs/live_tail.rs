//! `StartLiveTail`: what is asked, the head of its answer and the events behind it.

use bytes::{Bytes, BytesMut};
use dormouse_model::names::{RequestId, Scope};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};

use super::filter::FilterPattern;
use super::request::{check_stream, finish, invalid, read};
use super::{group_arn_name, no_group};
use crate::error::{ApiError, Exception};
use crate::event_stream;
use crate::validate::Violations;

/// Groups of one session (API model).
const GROUPS: usize = 10;
/// Names or prefixes of streams (API model).
const STREAMS: usize = 100;
/// The type of every event's payload.
const JSON: &str = "application/json";

/// `StartLiveTail`
#[derive(Debug, Clone, PartialEq)]
pub struct StartLiveTail {
    /// The names of the groups.
    pub groups: Vec<String>,
    /// Of which streams.
    pub streams: LiveStreams,
    /// What messages must look like.
    pub pattern: FilterPattern,
    told: Members,
}

/// Of which streams of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveStreams {
    /// All.
    All,
    /// These.
    Named(Vec<String>),
    /// Those whose names begin with one of these.
    Prefixed(Vec<String>),
}

/// What is asked, as it is told again at the session's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    #[serde(skip_serializing_if = "Option::is_none")]
    log_group_identifiers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_stream_names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_stream_name_prefixes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_event_filter_pattern: Option<String>,
}

impl StartLiveTail {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text; members that exclude each other; another region's group.
    pub fn read(scope: &Scope, body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let mut violations = Violations::default();
        let groups = members.log_group_identifiers.clone().unwrap_or_default();
        match &members.log_group_identifiers {
            None => violations.null("logGroupIdentifiers"),
            Some(groups) => count(&mut violations, groups, "logGroupIdentifiers", GROUPS),
        }
        let (names, prefixes) = (&members.log_stream_names, &members.log_stream_name_prefixes);
        for (streams, path) in [(names, "logStreamNames"), (prefixes, "logStreamNamePrefixes")] {
            let Some(streams) = streams else { continue };
            count(&mut violations, streams, path, STREAMS);
            streams.iter().for_each(|name| check_stream(&mut violations, name, path));
        }
        finish(violations)?;
        if names.is_some() && prefixes.is_some() {
            let text =
                "logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.";
            return Err(invalid(text));
        }
        if groups.len() > 1 && (names.is_some() || prefixes.is_some()) {
            let text = "Log stream filters are allowed with a single log group only.";
            return Err(invalid(text));
        }
        let streams = match (names, prefixes) {
            (Some(names), _) => LiveStreams::Named(names.clone()),
            (None, Some(prefixes)) => LiveStreams::Prefixed(prefixes.clone()),
            (None, None) => LiveStreams::All,
        };
        let pattern = members.log_event_filter_pattern.as_deref().unwrap_or_default();
        let pattern = FilterPattern::parse(pattern)?;
        let groups = groups.iter().map(|arn| group_name(scope, arn)).collect::<Result<_, _>>()?;
        Ok(Self { groups, streams, pattern, told: members })
    }

    /// The ARN by which the caller named a group.
    #[must_use]
    pub fn identifier<'a>(&'a self, group: &'a str) -> &'a str {
        let identifiers = self.told.log_group_identifiers.as_deref().unwrap_or_default();
        let found = self.groups.iter().zip(identifiers).find(|(name, _)| *name == group);
        found.map_or(group, |(_, identifier)| identifier)
    }
}

fn count(violations: &mut Violations, items: &[String], path: &str, most: usize) {
    violations.count(format_args!("[{}]", items.join(", ")), items.len(), path, (1, most));
}

/// Groups are named by their ARNs here, without `:*`.
fn group_name(scope: &Scope, arn: &str) -> Result<String, ApiError> {
    if !arn.starts_with("arn:") || arn.ends_with('*') {
        return Err(invalid(
            "Log group identifiers must be ARNs that do not end with an asterisk.",
        ));
    }
    group_arn_name(scope, arn).map(str::to_owned).ok_or_else(no_group)
}

/// So many sessions are under way as there may be.
#[must_use]
pub fn too_many_sessions() -> ApiError {
    let text = "The maximum number of concurrent Live Tail sessions has been reached.";
    ApiError::new(Exception::LogsLimitExceeded, text)
}

/// The group's class cannot be followed.
#[must_use]
pub fn class_not_followed(class: &str) -> ApiError {
    let text = format!("Live Tail is not supported for log groups of the class {class}.");
    ApiError::new(Exception::LogsInvalidOperation, text)
}

/// The head of the answer.
///
/// # Panics
/// Never: an id is a header value.
#[must_use]
pub fn live_tail_head(request_id: &RequestId) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
    let id = HeaderValue::from_str(request_id.as_str()).expect("a UUID is a header value");
    headers.insert("x-amzn-requestid", id);
    response
}

/// The beginning of every session.
///
/// # Panics
/// Never: texts are always JSON.
#[must_use]
pub fn session_start(asked: &StartLiveTail, request_id: &RequestId, session_id: &str) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct SessionStart<'a> {
        request_id: &'a str,
        session_id: &'a str,
        #[serde(flatten)]
        told: &'a Members,
    }
    let start = SessionStart { request_id: request_id.as_str(), session_id, told: &asked.told };
    let start = serde_json::to_vec(&start).expect("texts are always JSON");
    let mut events =
        BytesMut::from(event_stream::event("initial-response", JSON, Bytes::from_static(b"{}")));
    events.extend_from_slice(&event_stream::event("sessionStart", JSON, start.into()));
    events.freeze()
}

/// An event of the log, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveEvent<'a> {
    /// Its stream.
    pub log_stream_name: &'a str,
    /// Its group, as the caller named it.
    pub log_group_identifier: &'a str,
    /// What it says.
    pub message: &'a str,
    /// When it was, in milliseconds since 1970.
    pub timestamp: u64,
    /// When it came in.
    pub ingestion_time: u64,
}

/// What came in the last second; also when nothing did.
///
/// # Panics
/// Never: texts and numbers are always JSON.
#[must_use]
pub fn session_update(events: &[LiveEvent<'_>], sampled: bool) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct SessionUpdate<'a> {
        session_metadata: Metadata,
        session_results: &'a [LiveEvent<'a>],
    }
    #[derive(Serialize)]
    struct Metadata {
        sampled: bool,
    }
    let update = SessionUpdate { session_metadata: Metadata { sampled }, session_results: events };
    let update = serde_json::to_vec(&update).expect("texts and numbers are always JSON");
    event_stream::event("sessionUpdate", JSON, update.into())
}

/// The session has lasted as long as one may.
#[must_use]
pub fn session_timeout() -> Bytes {
    let body = Bytes::from_static(br#"{"message":"The Live Tail session has timed out."}"#);
    event_stream::exception("SessionTimeoutException", JSON, body)
}

/// The session cannot go on.
#[must_use]
pub fn session_broken() -> Bytes {
    let body =
        Bytes::from_static(br#"{"message":"The Live Tail session was ended by the server."}"#);
    event_stream::exception("SessionStreamingException", JSON, body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ARN: &str = "arn:aws:logs:us-east-1:123456789012:log-group:a";

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    #[track_caller]
    fn refused(body: &str, expected: &str) {
        let error = StartLiveTail::read(&scope(), body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{body}");
    }

    #[test]
    fn groups_are_named_by_their_arns() {
        let body =
            format!(r#"{{"logGroupIdentifiers":["{ARN}"],"logEventFilterPattern":"ERROR"}}"#);
        let asked = StartLiveTail::read(&scope(), body.as_bytes()).unwrap();
        assert_eq!((asked.groups.clone(), asked.identifier("a")), (vec!["a".to_owned()], ARN));
        assert!(asked.pattern.matches("an ERROR") && !asked.pattern.matches("fine"));
        let texts = "InvalidParameterException: Log group identifiers must be ARNs that do not end with an \
                     asterisk.";
        refused(r#"{"logGroupIdentifiers":["a"]}"#, texts);
        refused(&format!(r#"{{"logGroupIdentifiers":["{ARN}:*"]}}"#), texts);
        let abroad = ARN.replace("us-east-1", "eu-west-1");
        refused(
            &format!(r#"{{"logGroupIdentifiers":["{abroad}"]}}"#),
            "ResourceNotFoundException: The specified log group does not exist.",
        );
    }

    #[test]
    fn wrong_sessions_are_refused() {
        refused(
            "{}",
            "InvalidParameterException: 1 validation error detected: Value null at \
             'logGroupIdentifiers' failed to satisfy constraint: Member must not be null",
        );
        refused(
            r#"{"logGroupIdentifiers":[],"logStreamNames":["a:b"]}"#,
            "InvalidParameterException: 2 validation errors detected: Value '[]' at \
             'logGroupIdentifiers' failed to satisfy constraint: Member must have length greater than \
             or equal to 1; Value 'a:b' at 'logStreamNames' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [^:*]*",
        );
        let one = format!(r#""logGroupIdentifiers":["{ARN}"]"#);
        refused(
            &format!(r#"{{{one},"logStreamNames":["a"],"logStreamNamePrefixes":["b"]}}"#),
            "InvalidParameterException: logStreamNames and logStreamNamePrefixes are mutually exclusive \
             parameters.",
        );
        refused(
            &format!(r#"{{"logGroupIdentifiers":["{ARN}","{ARN}b"],"logStreamNames":["a"]}}"#),
            "InvalidParameterException: Log stream filters are allowed with a single log group only.",
        );
    }

    #[test]
    fn a_session_begins_goes_on_and_ends_in_frames() {
        let body = format!(r#"{{"logGroupIdentifiers":["{ARN}"],"logStreamNames":["s"]}}"#);
        let asked = StartLiveTail::read(&scope(), body.as_bytes()).unwrap();
        let id = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let event = LiveEvent {
            log_stream_name: "s",
            log_group_identifier: ARN,
            message: "m\n",
            timestamp: 1,
            ingestion_time: 2,
        };
        let frames = [
            session_start(&asked, &id, "session"),
            session_update(&[event], true),
            session_timeout(),
            session_broken(),
        ];
        let shown: Vec<String> = event_stream::tests::read(frames.concat().into())
            .into_iter()
            .map(|(headers, payload)| format!("{headers} {}", String::from_utf8_lossy(&payload)))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        initial-response application/json event {}
        sessionStart application/json event {"requestId":"11111111-2222-4333-8444-555555555555","sessionId":"session","logGroupIdentifiers":["arn:aws:logs:us-east-1:123456789012:log-group:a"],"logStreamNames":["s"]}
        sessionUpdate application/json event {"sessionMetadata":{"sampled":true},"sessionResults":[{"logStreamName":"s","logGroupIdentifier":"arn:aws:logs:us-east-1:123456789012:log-group:a","message":"m\n","timestamp":1,"ingestionTime":2}]}
        SessionTimeoutException application/json exception {"message":"The Live Tail session has timed out."}
        SessionStreamingException application/json exception {"message":"The Live Tail session was ended by the server."}
        "#);
    }

    proptest! {
        #[test]
        fn no_body_panics(text in ".{0,60}") {
            let text = serde_json::to_string(&text).unwrap();
            let body = format!(
                r#"{{"logGroupIdentifiers":[{text}],"logStreamNames":[{text}],
                "logEventFilterPattern":{text}}}"#
            );
            let _ = StartLiveTail::read(&scope(), body.as_bytes());
        }
    }
}
