//! CloudWatch Logs: groups with their retention and tags, and what is read of streams and events.

mod groups;
mod streams;
pub(crate) mod tail;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::logs::{
    self, DescribeLogStreams, DescribeLogStreamsResponse, FilterLogEvents, FilterLogEventsResponse,
    FilteredLogEvent, GetLogEvents, GetLogEventsResponse, LogStream, Operation, OrderBy,
    OutputLogEvent, Streams,
};
use dormouse_api::service::Dialect;
use dormouse_model::names::{RequestId, Scope};
use dormouse_store::StorageError;
use dormouse_store::logs::{
    EventsFrom, EventsQuery, FilterQuery, GroupKey, ReadLogsError, StreamKey, StreamsFilter,
    StreamsOrder, StreamsQuery,
};
use http::Response;
use tracing::error;

use crate::context::Inner;

type Answer = Result<Response<Bytes>, ApiError>;

/// Answers an operation.
pub(crate) async fn answer(
    inner: &Inner,
    scope: &Scope,
    (dialect, operation): (Dialect, &str),
    body: &[u8],
    id: &RequestId,
) -> Answer {
    let service = Service { inner, scope, dialect, id };
    let Some(operation) = Operation::of_name(operation) else {
        return Err(ApiError::not_implemented(dialect, operation));
    };
    match operation {
        Operation::DescribeLogStreams => {
            service.streams(DescribeLogStreams::read(scope, body)?).await
        }
        Operation::GetLogEvents => service.events(GetLogEvents::read(scope, body)?).await,
        Operation::FilterLogEvents => service.filter(FilterLogEvents::read(scope, body)?).await,
        Operation::CreateLogStream | Operation::DeleteLogStream | Operation::PutLogEvents => {
            service.about_streams(operation, body).await
        }
        about_groups => service.about_groups(about_groups, body).await,
    }
}

struct Service<'a> {
    inner: &'a Inner,
    scope: &'a Scope,
    dialect: Dialect,
    id: &'a RequestId,
}

impl Service<'_> {
    fn group(&self, name: String) -> GroupKey {
        GroupKey { scope: self.scope.clone(), name }
    }

    async fn streams(&self, asked: DescribeLogStreams) -> Answer {
        let after = asked.next_token.map(|token| token.parse()).transpose();
        let query = StreamsQuery {
            prefix: asked.prefix,
            order: match asked.order {
                OrderBy::Name => StreamsOrder::Name,
                OrderBy::LastEventTime => StreamsOrder::LastEvent,
            },
            descending: asked.descending,
            after: after.map_err(|_| logs::invalid_token())?,
            limit: asked.limit,
        };
        let group = self.group(asked.group);
        let page =
            self.inner.logs.streams(&group, query).await.map_err(|error| self.read(error))?;
        let shown = |stream: &dormouse_store::logs::Stream| {
            let times = stream.events.as_ref();
            let times = times.map(|t| (t.first_ms, t.last_ms, t.last_ingestion_ms));
            LogStream::of(self.scope, &group.name, &stream.name, stream.created_ms, times)
        };
        let answer = DescribeLogStreamsResponse {
            log_streams: page.streams.iter().map(shown).collect(),
            next_token: page.next.map(|cursor| cursor.to_string()),
        };
        Ok(logs::answer(&answer, self.id))
    }

    async fn events(&self, asked: GetLogEvents) -> Answer {
        let from = match asked.next_token {
            Some(token) => EventsFrom::Cursor(token.parse().map_err(|_| logs::invalid_token())?),
            None if asked.from_head => EventsFrom::Head,
            None => EventsFrom::Tail,
        };
        let stream = StreamKey { group: self.group(asked.group), name: asked.stream };
        let query = EventsQuery { between: asked.between, from, limit: asked.limit };
        let page =
            self.inner.logs.events(&stream, query).await.map_err(|error| self.read(error))?;
        let events = page.events.into_iter().map(|event| OutputLogEvent {
            timestamp: event.timestamp_ms,
            message: event.message,
            ingestion_time: event.ingestion_ms,
        });
        let answer = GetLogEventsResponse {
            events: events.collect(),
            next_forward_token: page.forward.to_string(),
            next_backward_token: page.backward.to_string(),
        };
        Ok(logs::answer(&answer, self.id))
    }

    async fn filter(&self, asked: FilterLogEvents) -> Answer {
        let after = asked.next_token.map(|token| token.parse()).transpose();
        let query = FilterQuery {
            streams: match asked.streams {
                Streams::All => StreamsFilter::All,
                Streams::Named(names) => StreamsFilter::Named(names),
                Streams::Prefixed(prefix) => StreamsFilter::Prefixed(prefix),
            },
            between: asked.between,
            after: after.map_err(|_| logs::invalid_token())?,
            limit: asked.limit,
        };
        let pattern = asked.pattern;
        let group = self.group(asked.group);
        let wanted = move |message: &str| pattern.matches(message);
        let page = self.inner.logs.filter(&group, query, wanted).await;
        let page = page.map_err(|error| self.read(error))?;
        let events = page.events.into_iter().map(|event| FilteredLogEvent {
            log_stream_name: event.stream,
            timestamp: event.timestamp_ms,
            message: event.message,
            ingestion_time: event.ingestion_ms,
            event_id: format!("{:056}", event.id),
        });
        let answer = FilterLogEventsResponse {
            events: events.collect(),
            searched_log_streams: [],
            next_token: page.next.map(|cursor| cursor.to_string()),
        };
        Ok(logs::answer(&answer, self.id))
    }

    fn read(&self, error: ReadLogsError) -> ApiError {
        match error {
            ReadLogsError::NoGroup => logs::no_group(),
            ReadLogsError::NoStream => logs::no_stream(),
            ReadLogsError::Storage(fault) => self.storage(&fault),
        }
    }

    fn storage(&self, fault: &StorageError) -> ApiError {
        error!(error = %fault, "store");
        ApiError::internal(self.dialect)
    }
}
