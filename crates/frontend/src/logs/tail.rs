//! `StartLiveTail`: a session that tells every second what came.
//!
//! It is pulled by its connection: nothing is read before the last update has left. It ends with its
//! client, with the server, or when it has lasted as long as one may; it holds nothing but itself.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::logs::{
    FilterPattern, LiveEvent, LiveStreams, StartLiveTail, class_not_followed, live_tail_head,
    no_group, session_broken, session_start, session_timeout, session_update, too_many_sessions,
};
use dormouse_api::service::Dialect;
use dormouse_model::limits;
use dormouse_model::names::{RequestId, Scope};
use dormouse_store::logs::{GroupKey, Tail, TailError, TailStreams};
use http::Response;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::context::Inner;
use crate::outgoing::Outgoing;

/// Between two updates (API reference).
const UPDATE: Duration = Duration::from_secs(1);

/// Answers the operation.
pub(crate) async fn start(
    inner: &Inner,
    scope: &Scope,
    (dialect, body): (Dialect, &[u8]),
    id: &RequestId,
) -> Result<Response<Outgoing>, ApiError> {
    let asked = StartLiveTail::read(scope, body)?;
    let group = |name: &String| GroupKey { scope: scope.clone(), name: name.clone() };
    let groups = asked.groups.iter().map(group).collect();
    let streams = match &asked.streams {
        LiveStreams::All => TailStreams::All,
        LiveStreams::Named(names) => TailStreams::Named(names.clone()),
        LiveStreams::Prefixed(prefixes) => TailStreams::Prefixed(prefixes.clone()),
    };
    let tail = inner.logs.tail(groups, streams).await.map_err(|why| match why {
        TailError::NoGroup => no_group(),
        TailError::WrongClass { class } => class_not_followed(&class),
        TailError::TooMany => too_many_sessions(),
        TailError::Storage(fault) => {
            error!(error = %fault, "store");
            ApiError::internal(dialect)
        }
    })?;
    let first = session_start(&asked, id, &inner.chance.uuid());
    let session = Session::new(tail, asked, inner.stopping.clone());
    let live = LiveTail { first: Some(first), update: Some(Box::pin(session.next())) };
    Ok(live_tail_head(id).map(|()| live.into()))
}

/// The events of a session, as a body pulls them.
pub(crate) struct LiveTail {
    first: Option<Bytes>,
    /// The next update, and who makes the one behind it.
    update: Option<Update>,
}

type Update = Pin<Box<dyn Future<Output = (Bytes, Option<Box<Session>>)> + Send>>;

impl LiveTail {
    /// The next event; none behind the last one.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Some(update) = &mut self.update else {
            return Poll::Ready(None);
        };
        let (event, session) = ready!(update.as_mut().poll(context));
        self.update = session.map(|session| -> Update { Box::pin(session.next()) });
        Poll::Ready(Some(event))
    }

    /// Whether the last event has been given.
    pub(crate) fn is_over(&self) -> bool {
        self.first.is_none() && self.update.is_none()
    }
}

impl std::fmt::Debug for LiveTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveTail")
    }
}

struct Session {
    tail: Tail,
    asked: Arc<StartLiveTail>,
    wanted: Arc<Wanted>,
    due: Instant,
    until: Instant,
    stopping: CancellationToken,
}

type Wanted = Box<dyn Fn(&str) -> bool + Send + Sync>;

impl Session {
    fn new(tail: Tail, asked: StartLiveTail, stopping: CancellationToken) -> Box<Self> {
        let now = Instant::now();
        let pattern: FilterPattern = asked.pattern.clone();
        let wanted: Wanted = Box::new(move |message| pattern.matches(message));
        Box::new(Self {
            tail,
            asked: Arc::new(asked),
            wanted: Arc::new(wanted),
            due: now + UPDATE,
            until: now + Duration::from_secs(limits::LIVE_TAIL_S),
            stopping,
        })
    }

    /// Waits for the next update's time and makes it.
    async fn next(mut self: Box<Self>) -> (Bytes, Option<Box<Self>>) {
        if self.due > self.until {
            return (session_timeout(), None);
        }
        tokio::select! {
            () = self.stopping.cancelled() => return (session_broken(), None),
            () = sleep_until(self.due) => {}
        }
        // A client that was slow gets no updates for the time it has missed.
        self.due = Instant::now() + UPDATE;
        let page = match self.tail.page(&self.wanted).await {
            Ok(page) => page,
            Err(fault) => {
                error!(error = %fault, "store");
                return (session_broken(), None);
            }
        };
        let asked = self.asked.clone();
        let events = page.events.iter().map(|followed| LiveEvent {
            log_stream_name: &followed.event.stream,
            log_group_identifier: asked.identifier(&followed.group),
            message: &followed.event.message,
            timestamp: followed.event.timestamp_ms,
            ingestion_time: followed.event.ingestion_ms,
        });
        let events: Vec<LiveEvent<'_>> = events.collect();
        (session_update(&events, page.sampled), Some(self))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_store::Store;
    use dormouse_store::logs::{Event, GroupSettings, StreamKey};

    use super::*;

    /// A session on a group of its own, and what ends it with the server.
    async fn session(store: &Store) -> (Box<Session>, GroupKey, CancellationToken) {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let body =
            br#"{"logGroupIdentifiers":["arn:aws:logs:us-east-1:123456789012:log-group:a"]}"#;
        let asked = StartLiveTail::read(&scope, body).unwrap();
        let group = GroupKey { scope, name: "a".into() };
        store.logs().create_group(&group, GroupSettings::default(), 1).await.unwrap();
        let tail = store.logs().tail(vec![group.clone()], TailStreams::All).await.unwrap();
        let stopping = CancellationToken::new();
        (Session::new(tail, asked, stopping.clone()), group, stopping)
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_a_second_for_three_hours_and_then_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (session, group, _stopping) = session(&store).await;
        let began = Instant::now();
        let (mut next, mut updates) = (Some(session), 0);
        let mut last = Bytes::new();
        while let Some(session) = next {
            if updates == 5 {
                let stream = StreamKey { group: group.clone(), name: "s".into() };
                let event = Event { timestamp_ms: 1, message: "it came".into() };
                store.logs().append(&stream, vec![event], 2).await.unwrap();
            }
            (last, next) = session.next().await;
            let told = last.windows(7).any(|text| text == b"it came");
            assert_eq!(told, updates == 5, "update {updates}");
            updates += 1;
        }
        assert_eq!(last, session_timeout());
        assert_eq!(updates, limits::LIVE_TAIL_S + 1);
        assert_eq!(began.elapsed().as_secs(), limits::LIVE_TAIL_S);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_once_when_the_server_stops() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (session, _, stopping) = session(&store).await;
        stopping.cancel();
        let began = Instant::now();
        let (last, next) = session.next().await;
        assert_eq!((last, began.elapsed()), (session_broken(), Duration::ZERO));
        assert!(next.is_none());
    }
}
