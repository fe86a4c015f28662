//! The smallest owner that keeps the rules: what a worker does, without a process behind it.

use std::collections::VecDeque;
use std::time::Duration;

use dormouse_runtime_api::{
    Call, Collected, Credentials, Delivery, Destination, ErrorReport, ExtensionEvent,
    ExtensionProgress, ExtensionRefusal, ExtensionRequest, Identifier, ParkedEvent, ParkedNext,
    ParkedRestore, Progress, Refusal, Registration, Registry, Request, RuntimeState, Subscription,
};
use tokio::sync::{mpsc, oneshot};

/// The request id of event number `n`.
pub(crate) fn id(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Event number `n`.
pub(crate) fn event(n: usize) -> Delivery {
    Delivery {
        request_id: id(n).parse().unwrap(),
        deadline_ms: 1_700_000_000_000,
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".into(),
        trace_id: None,
        client_context: None,
        cognito_identity: None,
        tenant_id: None,
        payload: format!("{{\"n\":{n}}}").into(),
    }
}

/// Extension or event number `n`.
pub(crate) fn identifier(n: u128) -> Identifier {
    Identifier::from_u128(n)
}

/// How long an environment is kept that nobody asks anything. Time is paused: it costs nothing.
const LIFE: Duration = Duration::from_secs(86_400);

#[derive(Default)]
pub(crate) struct Owner {
    state: RuntimeState,
    parked: ParkedNext,
    parked_restore: ParkedRestore,
    events: VecDeque<Delivery>,
    running: Option<Delivery>,
    seen: Vec<String>,
    registry: Registry,
    extensions_are_off: bool,
    registrations: u128,
    parked_event: ParkedEvent,
    extension_events: VecDeque<ExtensionEvent>,
}

impl Owner {
    pub(crate) fn with(events: impl IntoIterator<Item = Delivery>) -> Self {
        Self { events: events.into_iter().collect(), ..Self::default() }
    }

    /// The same with a runtime in this state.
    pub(crate) fn in_state(
        state: RuntimeState,
        events: impl IntoIterator<Item = Delivery>,
    ) -> Self {
        Self { state, ..Self::with(events) }
    }

    /// An owner whose environment has these external extensions, and these events for whoever calls
    /// `next`.
    pub(crate) fn with_extensions(
        external: &[&str],
        events: impl IntoIterator<Item = ExtensionEvent>,
    ) -> Self {
        Self {
            registry: Registry::new(external.iter().map(ToString::to_string)).unwrap(),
            extension_events: events.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn with_registry(registry: Registry) -> Self {
        Self { registry, ..Self::default() }
    }

    pub(crate) fn without_extensions() -> Self {
        Self { extensions_are_off: true, ..Self::default() }
    }

    /// Serves calls until all connections are gone; says what it was asked for. Bytes behind a parked call
    /// hide the end of its connection: such a one ends with its environment, here after a day of silence.
    pub(crate) async fn run(mut self, mut calls: mpsc::Receiver<Call>) -> Vec<String> {
        while let Ok(Some(call)) = tokio::time::timeout(LIFE, calls.recv()).await {
            if let Call::ResponseStream { request, content_type, body, reply } = call {
                let collected = body.collect(1_000_000_000).await;
                let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
                let detail = format!("{} {content_type:?}", stream_text(collected));
                self.answer(Request::Response(&request), detail, reply);
                continue;
            }
            self.take(call);
        }
        self.seen
    }

    pub(crate) fn take(&mut self, call: Call) {
        match call {
            Call::Next { reply } => self.next(reply),
            Call::Response { request, body, content_type, reply } => {
                let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
                let body = if body.len() < 100 {
                    String::from_utf8_lossy(&body).into_owned()
                } else {
                    format!("{} bytes", body.len())
                };
                self.answer(Request::Response(&request), format!("{body} {content_type:?}"), reply);
            }
            Call::TooLarge { request, size_bytes, reply } => {
                self.answer(Request::Response(&request), format!("too large {size_bytes}"), reply)
            }
            Call::Truncated { request, reply } => {
                self.answer(Request::Response(&request), "truncated".into(), reply);
            }
            Call::InvalidResponseMode { request, reply } => {
                self.answer(Request::Response(&request), "mode".into(), reply);
            }
            Call::Error { request, report, reply } => {
                self.answer(Request::Error(&request), text(&report), reply)
            }
            Call::InitError { report, reply } => {
                self.answer(Request::InitError, text(&report), reply);
            }
            Call::RestoreNext { reply } => self.restore_next(reply),
            Call::RestoreError { report, reply } => {
                self.answer(Request::RestoreError, text(&report), reply);
            }
            Call::Credentials { token, reply } => {
                let known = token == "the token";
                self.seen.push(format!("credentials {token}"));
                let _ = reply.send(known.then(credentials).ok_or(Refusal::UnknownToken));
            }
            Call::ResponseStream { .. } => panic!("streams are taken by run"),
            extensions => self.take_extension(extensions),
        }
    }

    fn restore_next(&mut self, reply: oneshot::Sender<Result<(), Refusal>>) {
        self.seen.push("RestoreNext".into());
        match self.state.apply(Request::RestoreNext) {
            Err(refusal) => drop(reply.send(Err(refusal))),
            Ok(RuntimeState::Restoring) => drop(reply.send(Ok(()))),
            Ok(state) => {
                self.state = state;
                self.parked_restore.park(reply);
            }
        }
    }

    /// Lets the runtime go on from its restore point.
    pub(crate) fn release(&mut self) {
        self.state = self.state.progress(Progress::Released).unwrap();
        self.parked_restore.release();
    }

    fn take_extension(&mut self, call: Call) {
        match call {
            Call::Register { name, events, account_id, reply } => {
                let wanted = events.names().join("+");
                self.seen.push(format!("register {name} {wanted} {account_id}"));
                self.registrations += 1;
                let identifier = identifier(self.registrations);
                let registered = self.registry.register(&name, events, identifier);
                let registration = registered.map(|_| Registration {
                    identifier,
                    function_name: "f".into(),
                    function_version: "$LATEST".into(),
                    handler: "h.\"x".into(),
                    account_id: Some("000000000000".into()),
                });
                let _ = reply.send(self.on(registration));
            }
            Call::ExtensionNext { identifier, reply } => {
                self.seen.push("extension next".into());
                let parked = self.parked_event.is_waiting();
                match self.apply(identifier, ExtensionRequest::Next { parked }) {
                    Err(refusal) => drop(reply.send(Err(refusal))),
                    Ok(name) => {
                        self.parked_event.park(reply);
                        self.deliver_event(&name);
                    }
                }
            }
            Call::ExtensionInitError { identifier, error_type, body, reply } => {
                let body = String::from_utf8_lossy(&body);
                self.seen.push(format!("extension init error {error_type} {body}"));
                let request = ExtensionRequest::InitError(&error_type);
                let _ = reply.send(self.apply(identifier, request).map(drop));
            }
            Call::ExtensionExitError { identifier, error_type, body, reply } => {
                let body = String::from_utf8_lossy(&body);
                self.seen.push(format!("extension exit error {error_type} {body}"));
                let request = ExtensionRequest::ExitError(&error_type);
                let _ = reply.send(self.apply(identifier, request).map(drop));
            }
            Call::Subscribe { api, identifier, subscription, reply } => {
                self.seen.push(format!("subscribe {api:?} {}", subscription_text(&subscription)));
                let subscribed = self.registry.subscribe(identifier, api).map(drop);
                let _ = reply.send(self.on(subscribed));
            }
            other => panic!("no call of an extension: {other:?}"),
        }
    }

    /// What there is to say, unless there are no extensions here.
    fn on<T>(&self, result: Result<T, ExtensionRefusal>) -> Result<T, ExtensionRefusal> {
        if self.extensions_are_off { Err(ExtensionRefusal::Off) } else { result }
    }

    /// The name of the extension whose request is accepted.
    fn apply(
        &mut self,
        identifier: Identifier,
        request: ExtensionRequest<'_>,
    ) -> Result<String, ExtensionRefusal> {
        let name = self.registry.apply(identifier, request).map(|extension| extension.name.clone());
        self.on(name)
    }

    fn deliver_event(&mut self, name: &str) {
        let Some(event) = self.extension_events.pop_front() else {
            return;
        };
        match self.parked_event.deliver(event) {
            Ok(()) => drop(self.registry.progress(name, ExtensionProgress::Delivered)),
            Err(event) => self.extension_events.push_front(event),
        }
    }

    fn next(&mut self, reply: oneshot::Sender<Result<Delivery, Refusal>>) {
        self.seen.push("next".into());
        match (self.state.apply(Request::Next), &self.running) {
            (Err(refusal), _) => drop(reply.send(Err(refusal))),
            (Ok(RuntimeState::Running { .. }), Some(event)) => {
                drop(reply.send(Ok(event.clone())));
            }
            (Ok(state), _) => {
                self.state = state;
                self.parked.park(reply);
                self.deliver();
            }
        }
    }

    /// Gives the next event to a parked call, if there are both.
    pub(crate) fn deliver(&mut self) {
        let Some(event) = self.events.pop_front() else {
            return;
        };
        match self.parked.deliver(event.clone()) {
            Ok(()) => {
                let delivered = Progress::Delivered(event.request_id.clone());
                self.state = self.state.progress(delivered).unwrap();
                self.running = Some(event);
            }
            Err(event) => self.events.push_front(event),
        }
    }

    fn answer(
        &mut self,
        request: Request<'_>,
        detail: String,
        reply: oneshot::Sender<Result<(), Refusal>>,
    ) {
        self.seen.push(format!("{request:?} {detail}"));
        let verdict = self.state.apply(request).map(|state| {
            self.state = state.progress(Progress::Sent).unwrap_or(state);
        });
        let _ = reply.send(verdict);
    }
}

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "000000000000".into(),
        secret_access_key: "s/\"".into(),
        session_token: "t".into(),
        expiration_ms: 1_700_000_000_000,
    }
}

fn stream_text(collected: Collected) -> String {
    match collected {
        Collected::Whole(body, error) => {
            let body = String::from_utf8_lossy(&body);
            let body = if body.len() < 100 { body.into() } else { format!("{} bytes", body.len()) };
            let error = error.map(|error| {
                format!(" {} {}", error.error_type, String::from_utf8_lossy(&error.body))
            });
            format!("stream {body}{}", error.unwrap_or_default())
        }
        Collected::Truncated => "stream truncated".into(),
        Collected::TooLarge(least) => format!("stream too large {least}"),
    }
}

fn subscription_text(subscription: &Subscription) -> String {
    let destination = match &subscription.destination {
        Destination::Http { host, port, path, method } => format!("{method} {host} {port} {path}"),
        Destination::Tcp { port } => format!("TCP {port}"),
    };
    let (version, types) = (subscription.schema_version.as_str(), subscription.types.names());
    format!("{version} {} {destination}", types.join("+"))
}

fn text(report: &ErrorReport) -> String {
    format!(
        "{} {:?} {:?}",
        String::from_utf8_lossy(&report.body),
        report.error_type,
        report.xray_cause
    )
}
