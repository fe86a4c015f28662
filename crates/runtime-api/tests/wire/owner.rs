//! The smallest owner that keeps the rules: what a worker does, without a process behind it.

use std::collections::VecDeque;

use dormouse_runtime_api::{
    Call, Delivery, ErrorReport, ParkedNext, Progress, Refusal, Request, RuntimeState,
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

#[derive(Default)]
pub(crate) struct Owner {
    state: RuntimeState,
    parked: ParkedNext,
    events: VecDeque<Delivery>,
    running: Option<Delivery>,
    seen: Vec<String>,
}

impl Owner {
    pub(crate) fn with(events: impl IntoIterator<Item = Delivery>) -> Self {
        Self { events: events.into_iter().collect(), ..Self::default() }
    }

    /// Serves calls until all connections are gone; says what it was asked for.
    pub(crate) async fn run(mut self, mut calls: mpsc::Receiver<Call>) -> Vec<String> {
        while let Some(call) = calls.recv().await {
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
            Call::RestoreNext { reply } => {
                self.answer(Request::RestoreNext, String::new(), reply);
            }
            Call::RestoreError { report, reply } => {
                self.answer(Request::RestoreError, text(&report), reply);
            }
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

fn text(report: &ErrorReport) -> String {
    format!(
        "{} {:?} {:?}",
        String::from_utf8_lossy(&report.body),
        report.error_type,
        report.xray_cause
    )
}
