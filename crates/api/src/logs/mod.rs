//! CloudWatch Logs: operations, shapes, names and filter patterns, in JSON 1.1.

mod answer;
mod filter;
mod request;

pub use answer::{
    DescribeLogGroupsResponse, DescribeLogStreamsResponse, FilterLogEventsResponse,
    FilteredLogEvent, GetLogEventsResponse, LogGroup, LogStream, OutputLogEvent, answer, done,
};
pub use filter::FilterPattern;
pub use request::{
    CreateLogGroup, DeleteLogGroup, DescribeLogGroups, DescribeLogStreams, FilterLogEvents,
    GetLogEvents, OrderBy, Streams,
};

use crate::error::{ApiError, Exception};

/// An operation we answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `CreateLogGroup`
    CreateLogGroup,
    /// `DeleteLogGroup`
    DeleteLogGroup,
    /// `DescribeLogGroups`
    DescribeLogGroups,
    /// `DescribeLogStreams`
    DescribeLogStreams,
    /// `GetLogEvents`
    GetLogEvents,
    /// `FilterLogEvents`
    FilterLogEvents,
}

impl Operation {
    /// The operation of a name, if it is one of ours.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "CreateLogGroup" => Some(Self::CreateLogGroup),
            "DeleteLogGroup" => Some(Self::DeleteLogGroup),
            "DescribeLogGroups" => Some(Self::DescribeLogGroups),
            "DescribeLogStreams" => Some(Self::DescribeLogStreams),
            "GetLogEvents" => Some(Self::GetLogEvents),
            "FilterLogEvents" => Some(Self::FilterLogEvents),
            _ => None,
        }
    }
}

/// Whether a text may name a log group: `[\.\-_/#A-Za-z0-9]+`, at most 512.
#[must_use]
pub fn is_group_name(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/#".contains(&b))
}

/// There is no such group.
#[must_use]
pub fn no_group() -> ApiError {
    let text = "The specified log group does not exist.";
    ApiError::new(Exception::LogsResourceNotFound, text)
}

/// There is no such stream.
#[must_use]
pub fn no_stream() -> ApiError {
    let text = "The specified log stream does not exist.";
    ApiError::new(Exception::LogsResourceNotFound, text)
}

/// There is such a group already.
#[must_use]
pub fn group_exists() -> ApiError {
    let text = "The specified log group already exists";
    ApiError::new(Exception::LogsResourceAlreadyExists, text)
}

/// The token was not made here, or not for this query.
#[must_use]
pub fn invalid_token() -> ApiError {
    let text = "The specified nextToken is invalid.";
    ApiError::new(Exception::LogsInvalidParameter, text)
}
