//! The requests that read streams and events, checked. Violations are `InvalidParameterException` here.

use std::ops::Range;

use dormouse_model::limits;
use dormouse_model::names::Scope;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::filter::FilterPattern;
use super::{group_arn_name, is_group_name, no_group};
use crate::error::{ApiError, Exception};
use crate::validate::Violations;

const GROUP_PATTERN: &str = r"[\.\-_/#A-Za-z0-9]+";
const NAME_CHARS: usize = 512;
const EVENTS: usize = 10_000;
const STREAM_NAMES: usize = 100;

/// `DescribeLogStreams`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeLogStreams {
    /// The group.
    pub group: String,
    /// How names begin.
    pub prefix: String,
    /// What orders them.
    pub order: OrderBy,
    /// Whether the last comes first.
    pub descending: bool,
    /// How many at most.
    pub limit: usize,
    /// Where the page begins.
    pub next_token: Option<String>,
}

/// What orders streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderBy {
    /// `LogStreamName`
    Name,
    /// `LastEventTime`
    LastEventTime,
}

/// `GetLogEvents`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetLogEvents {
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
    /// Milliseconds since 1970, the end excluded.
    pub between: Range<u64>,
    /// How many at most.
    pub limit: usize,
    /// Whether the first page begins at the oldest event.
    pub from_head: bool,
    /// Where the page begins.
    pub next_token: Option<String>,
}

/// `FilterLogEvents`
#[derive(Debug, Clone, PartialEq)]
pub struct FilterLogEvents {
    /// The group.
    pub group: String,
    /// Of which streams.
    pub streams: Streams,
    /// Milliseconds since 1970, the end excluded.
    pub between: Range<u64>,
    /// What messages must look like.
    pub pattern: FilterPattern,
    /// How many at most.
    pub limit: usize,
    /// Where the page begins.
    pub next_token: Option<String>,
}

/// Of which streams of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streams {
    /// All.
    All,
    /// These.
    Named(Vec<String>),
    /// Those whose names begin so.
    Prefixed(String),
}

/// Every member any of the operations reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    start_from_head: Option<bool>,
    limit: Option<i64>,
    next_token: Option<String>,
}

impl DescribeLogStreams {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text; members that exclude each other; another region's group.
    pub fn read(scope: &Scope, body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let mut violations = Violations::default();
        if let Some(order) = &members.order_by {
            violations.one_of(order, "orderBy", &["LogStreamName", "LastEventTime"]);
        }
        let prefix = members.log_stream_name_prefix.clone().unwrap_or_default();
        if !prefix.is_empty() {
            check_stream(&mut violations, &prefix, "logStreamNamePrefix");
        }
        let limit = limit(&mut violations, members.limit, limits::PAGE_ITEMS);
        let group = members.group(scope, violations)?;
        let by_time = members.order_by.as_deref() == Some("LastEventTime");
        if by_time && !prefix.is_empty() {
            let text = "Cannot order by LastEventTime with a logStreamNamePrefix.";
            return Err(invalid(text));
        }
        Ok(Self {
            group,
            prefix,
            order: if by_time { OrderBy::LastEventTime } else { OrderBy::Name },
            descending: members.descending.unwrap_or(false),
            limit,
            next_token: members.next_token,
        })
    }
}

impl GetLogEvents {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text; another region's group.
    pub fn read(scope: &Scope, body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let mut violations = Violations::default();
        match &members.log_stream_name {
            Some(stream) => check_stream(&mut violations, stream, "logStreamName"),
            None => violations.null("logStreamName"),
        }
        let between = between(&mut violations, members.start_time, members.end_time);
        let limit = limit(&mut violations, members.limit, EVENTS);
        let group = members.group(scope, violations)?;
        Ok(Self {
            group,
            stream: members.log_stream_name.unwrap_or_default(),
            between,
            limit,
            from_head: members.start_from_head.unwrap_or(false),
            next_token: members.next_token,
        })
    }
}

impl FilterLogEvents {
    /// Reads the body.
    ///
    /// # Errors
    /// Every violation in one text; members that exclude each other; another region's group; a
    /// pattern we do not have.
    pub fn read(scope: &Scope, body: &[u8]) -> Result<Self, ApiError> {
        let members: Members = read(body)?;
        let mut violations = Violations::default();
        for stream in members.log_stream_names.iter().flatten() {
            check_stream(&mut violations, stream, "logStreamNames");
        }
        if let Some(names) = &members.log_stream_names {
            let shown = format!("[{}]", names.join(", "));
            violations.count(shown, names.len(), "logStreamNames", (1, STREAM_NAMES));
        }
        // The end is included here and excluded in GetLogEvents.
        let end = members.end_time.map(|end| end.saturating_add(1));
        let between = between(&mut violations, members.start_time, end);
        let limit = limit(&mut violations, members.limit, EVENTS);
        let group = members.group(scope, violations)?;
        let pattern = members.filter_pattern.as_deref().unwrap_or_default();
        Ok(Self {
            group,
            pattern: FilterPattern::parse(pattern)?,
            streams: streams(members.log_stream_names, members.log_stream_name_prefix)?,
            between,
            limit,
            next_token: members.next_token,
        })
    }
}

impl Members {
    /// The group, by its name or by its identifier, which may be an ARN.
    fn group(&self, scope: &Scope, mut violations: Violations) -> Result<String, ApiError> {
        if let Some(name) = &self.log_group_name {
            check_group(&mut violations, name, "logGroupName");
        }
        finish(violations)?;
        match (&self.log_group_name, &self.log_group_identifier) {
            (Some(_), Some(_)) => Err(invalid(
                "LogGroup name and LogGroup identifier are mutually exclusive parameters.",
            )),
            (None, None) => {
                Err(invalid("Either logGroupName or logGroupIdentifier must be specified."))
            }
            (Some(name), None) => Ok(name.clone()),
            (None, Some(identifier)) => identified(scope, identifier),
        }
    }
}

/// The group of an identifier. One of another account or region is not here.
fn identified(scope: &Scope, identifier: &str) -> Result<String, ApiError> {
    let name = match identifier.strip_prefix("arn:") {
        None => identifier,
        Some(_) => group_arn_name(scope, identifier).ok_or_else(no_group)?,
    };
    let mut violations = Violations::default();
    check_group(&mut violations, name, "logGroupIdentifier");
    finish(violations)?;
    Ok(name.to_owned())
}

fn streams(names: Option<Vec<String>>, prefix: Option<String>) -> Result<Streams, ApiError> {
    match (names, prefix.filter(|prefix| !prefix.is_empty())) {
        (Some(_), Some(_)) => Err(invalid(
            "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.",
        )),
        (Some(names), None) => Ok(Streams::Named(names)),
        (None, Some(prefix)) => Ok(Streams::Prefixed(prefix)),
        (None, None) => Ok(Streams::All),
    }
}

fn between(violations: &mut Violations, start: Option<i64>, end: Option<i64>) -> Range<u64> {
    for (time, path) in [(start, "startTime"), (end, "endTime")] {
        if let Some(time) = time {
            violations.range(time, path, 0, i64::MAX);
        }
    }
    let time = |time: i64| u64::try_from(time).unwrap_or_default();
    start.map_or(0, time)..end.map_or(u64::MAX, time)
}

pub(super) fn limit(violations: &mut Violations, asked: Option<i64>, max: usize) -> usize {
    let Some(asked) = asked else { return max };
    violations.range(asked, "limit", 1, i64::try_from(max).unwrap_or(i64::MAX));
    usize::try_from(asked).map_or(max, |asked| asked.min(max))
}

pub(super) fn check_group(violations: &mut Violations, name: &str, path: &str) {
    violations.length(name, path, 1, NAME_CHARS);
    violations.pattern(name, path, name.len() > NAME_CHARS || is_group_name(name), GROUP_PATTERN);
}

pub(super) fn check_stream(violations: &mut Violations, name: &str, path: &str) {
    violations.length(name, path, 1, NAME_CHARS);
    violations.pattern(name, path, !name.contains([':', '*']), "[^:*]*");
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    crate::json::object(body).map_err(|reason| ApiError::new(Exception::Serialization, reason))
}

pub(super) fn finish(violations: Violations) -> Result<(), ApiError> {
    violations.finish_as(Exception::LogsInvalidParameter)
}

pub(super) fn invalid(text: &str) -> ApiError {
    ApiError::new(Exception::LogsInvalidParameter, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    #[test]
    fn a_group_is_named_or_identified() {
        let group = |body: &str| {
            GetLogEvents::read(&scope(), body.as_bytes())
                .map_or_else(|error| error.to_string(), |request| request.group)
        };
        let with = |member: &str| group(&format!(r#"{{"logStreamName":"s",{member}}}"#));
        assert_eq!(with(r#""logGroupName":"/aws/lambda/f""#), "/aws/lambda/f");
        assert_eq!(with(r#""logGroupIdentifier":"/aws/lambda/f""#), "/aws/lambda/f");
        let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f";
        assert_eq!(with(&format!(r#""logGroupIdentifier":"{arn}""#)), "/aws/lambda/f");
        assert_eq!(with(&format!(r#""logGroupIdentifier":"{arn}:*""#)), "/aws/lambda/f");
        let arn = arn.replace("us-east-1", "eu-west-1");
        assert_eq!(
            with(&format!(r#""logGroupIdentifier":"{arn}""#)),
            "ResourceNotFoundException: The specified log group does not exist."
        );
        assert!(with(r#""logGroupName":"a","logGroupIdentifier":"a""#).contains("exclusive"));
        assert!(group("{}").contains("Value null at 'logStreamName'"));
    }

    #[test]
    fn what_tail_sends_is_understood() {
        let body = br#"{"logGroupIdentifier":"/aws/lambda/f","startTime":1,"endTime":5,
            "interleaved":true,"filterPattern":"ERROR","logStreamNamePrefix":"2026"}"#;
        let request = FilterLogEvents::read(&scope(), body).unwrap();
        assert_eq!(request.between, 1..6);
        assert_eq!(request.streams, Streams::Prefixed("2026".into()));
        assert_eq!(request.limit, 10_000);
        assert!(request.pattern.matches("ERROR"));
    }

    #[test]
    fn violations_are_told_in_one_invalid_parameter() {
        let body = br#"{"logGroupName":"a b","limit":0,"orderBy":"Size"}"#;
        let error = DescribeLogStreams::read(&scope(), body).unwrap_err();
        insta::assert_snapshot!(error.to_string().replace("; ", ";\n"), @r"
        InvalidParameterException: 3 validation errors detected: Value 'Size' at 'orderBy' failed to satisfy constraint: Member must satisfy enum value set: [LogStreamName, LastEventTime];
        Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1;
        Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+
        ");
        let body = br#"{"logGroupName":"a","orderBy":"LastEventTime","logStreamNamePrefix":"x"}"#;
        let error = DescribeLogStreams::read(&scope(), body).unwrap_err();
        assert_eq!(error.message, "Cannot order by LastEventTime with a logStreamNamePrefix.");
    }

    proptest! {
        #[test]
        fn no_body_panics(text in ".{0,60}", number in any::<i64>()) {
            let text = serde_json::to_string(&text).unwrap();
            let body = format!(
                r#"{{"logGroupIdentifier":{text},"logStreamName":{text},"filterPattern":{text},
                "startTime":{number},"endTime":{number},"limit":{number}}}"#
            );
            let _ = FilterLogEvents::read(&scope(), body.as_bytes());
            let _ = GetLogEvents::read(&scope(), body.as_bytes());
            let _ = DescribeLogStreams::read(&scope(), body.as_bytes());
        }
    }
}
