//! CloudWatch Logs: operations, shapes, names and filter patterns, in JSON 1.1.

mod answer;
mod filter;
mod groups;
mod live_tail;
mod put;
mod request;

pub use answer::{
    DescribeLogGroupsResponse, DescribeLogStreamsResponse, FilterLogEventsResponse,
    FilteredLogEvent, GetLogEventsResponse, GroupFacts, ListTagsResponse, LogGroup, LogStream,
    OutputLogEvent, answer, done,
};
pub use filter::FilterPattern;
pub use groups::{CreateLogGroup, DescribeLogGroups, NamedGroup, PutRetentionPolicy, Tag, Untag};
pub use live_tail::{
    LiveEvent, LiveStreams, StartLiveTail, class_not_followed, live_tail_head, session_broken,
    session_start, session_timeout, session_update, too_many_sessions,
};
pub use put::{
    InputLogEvent, NamedStream, PutLogEvents, PutLogEventsResponse, RejectedLogEvents, accepted,
    stream_exists,
};
pub use request::{DescribeLogStreams, FilterLogEvents, GetLogEvents, OrderBy, Streams};

use dormouse_model::names::Scope;

use crate::error::{ApiError, Exception};

macro_rules! operations {
    ($($name:ident)*) => {
        /// An operation we answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $(#[doc = concat!("`", stringify!($name), "`")] $name,)*
        }

        impl Operation {
            /// The operation of a name, if it is one of ours.
            #[must_use]
            pub fn of_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

operations! {
    CreateLogGroup
    DeleteLogGroup
    DescribeLogGroups
    PutRetentionPolicy
    DeleteRetentionPolicy
    TagResource
    UntagResource
    ListTagsForResource
    TagLogGroup
    UntagLogGroup
    ListTagsLogGroup
    CreateLogStream
    DeleteLogStream
    PutLogEvents
    DescribeLogStreams
    GetLogEvents
    FilterLogEvents
}

/// Whether a text may name a log group: `[\.\-_/#A-Za-z0-9]+`, at most 512.
#[must_use]
pub fn is_group_name(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/#".contains(&b))
}

/// The name in a group's ARN, with or without `:*`. Nothing for another account's or region's.
fn group_arn_name<'a>(scope: &Scope, arn: &'a str) -> Option<&'a str> {
    let name = arn.strip_prefix(scope.arn("logs", "log-group:").as_str())?;
    Some(name.strip_suffix(":*").unwrap_or(name)).filter(|name| is_group_name(name))
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
