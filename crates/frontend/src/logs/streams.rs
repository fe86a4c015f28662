//! Streams that clients make, fill and delete themselves.

use dormouse_api::error::ApiError;
use dormouse_api::logs::{self, NamedStream, Operation, PutLogEvents, PutLogEventsResponse};
use dormouse_store::logs::{CreateStreamError, Event, StreamKey};

use super::{Answer, Service};

impl Service<'_> {
    pub(super) async fn about_streams(&self, operation: Operation, body: &[u8]) -> Answer {
        match operation {
            Operation::CreateLogStream => {
                let stream = self.stream(NamedStream::read(body)?);
                let now_ms = self.inner.clock.wall_ms();
                match self.inner.logs.create_stream(&stream, now_ms).await {
                    Ok(()) => Ok(logs::done(self.id)),
                    Err(CreateStreamError::NoGroup) => Err(logs::no_group()),
                    Err(CreateStreamError::Exists) => Err(logs::stream_exists()),
                    Err(CreateStreamError::Storage(fault)) => Err(self.storage(&fault)),
                }
            }
            Operation::DeleteLogStream => {
                let stream = self.stream(NamedStream::read(body)?);
                let deleted = self.inner.logs.delete_stream(&stream).await;
                deleted.map_err(|error| self.read(error)).map(|()| logs::done(self.id))
            }
            Operation::PutLogEvents => self.put(PutLogEvents::read(body)?).await,
            _ => Err(ApiError::internal(self.dialect)),
        }
    }

    fn stream(&self, named: NamedStream) -> StreamKey {
        StreamKey { group: self.group(named.group), name: named.stream }
    }

    async fn put(&self, asked: PutLogEvents) -> Answer {
        let stream = StreamKey { group: self.group(asked.group), name: asked.stream };
        let now_ms = self.inner.clock.wall_ms();
        let mut events = asked.events;
        let put = self.inner.logs.put(&stream, now_ms, move |retention_days| {
            let (range, rejected) = logs::accepted(&events, now_ms, retention_days);
            let stored = events
                .drain(range)
                .map(|event| Event { timestamp_ms: event.timestamp_ms, message: event.message });
            (stored.collect(), rejected)
        });
        let rejected = put.await.map_err(|error| self.read(error))?;
        let answer = PutLogEventsResponse {
            next_sequence_token: format!("{:056}", self.inner.chance.bits()),
            rejected_log_events_info: rejected,
        };
        Ok(logs::answer(&answer, self.id))
    }
}
