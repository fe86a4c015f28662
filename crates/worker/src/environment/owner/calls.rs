//! What the runtime asks: each call is put through its request state, then told to the machine.

use dormouse_model::environment::Event;
use dormouse_model::invocation::{self, ErrorPayload};
use dormouse_runtime_api::Progress;
use dormouse_runtime_api::{Call, ErrorReport, ExtensionRefusal, Refusal, Request};
use tokio::sync::oneshot;

use super::{Outcome, Owner};

type Verdict = oneshot::Sender<Result<(), Refusal>>;

impl Owner {
    /// Takes a call.
    pub(super) async fn call(&mut self, call: Call) {
        match call {
            Call::Next { reply } => match self.runtime.admit(Request::Next) {
                Ok(()) => {
                    self.runtime.park(reply);
                    self.step(Event::Next).await;
                }
                Err(refusal) => {
                    let _ = reply.send(Err(refusal));
                }
            },
            Call::Response { request, body, reply, .. } => {
                let outcome = Outcome { payload: body, function_error: false };
                self.answered(Request::Response(&request), reply, outcome).await;
            }
            Call::Error { request, report, reply } => {
                let outcome = Outcome { payload: report.body, function_error: true };
                self.answered(Request::Error(&request), reply, outcome).await;
            }
            Call::ResponseStream { request, body, reply, .. } => {
                self.runtime.collect(request, body, reply);
            }
            Call::TooLarge { request, reply, .. } => {
                self.spoilt(&request, reply, &invocation::response_too_large()).await;
            }
            Call::Truncated { request, reply } => {
                self.spoilt(&request, reply, &invocation::truncated_response()).await;
            }
            Call::InvalidResponseMode { request, reply } => {
                self.spoilt(&request, reply, &invocation::invalid_response_mode()).await;
            }
            Call::InitError { report, reply } => self.init_error(report, reply).await,
            Call::RestoreNext { reply } => {
                let _ = reply.send(self.runtime.admit(Request::RestoreNext));
            }
            Call::RestoreError { reply, .. } => {
                let _ = reply.send(self.runtime.admit(Request::RestoreError));
            }
            Call::Register { reply, .. } => {
                let _ = reply.send(Err(ExtensionRefusal::Off));
            }
            Call::ExtensionNext { reply, .. } => {
                let _ = reply.send(Err(ExtensionRefusal::Off));
            }
            Call::ExtensionInitError { reply, .. }
            | Call::ExtensionExitError { reply, .. }
            | Call::Subscribe { reply, .. } => {
                let _ = reply.send(Err(ExtensionRefusal::Off));
            }
        }
    }

    /// The runtime answered: the caller is served first, then the runtime hears that all is well.
    async fn answered(&mut self, request: Request<'_>, reply: Verdict, outcome: Outcome) {
        let verdict = self.runtime.admit(request);
        if verdict.is_ok() {
            self.outcome = Some(outcome);
            self.step(Event::Answered).await;
            self.runtime.progress(Progress::Sent);
        }
        // A runtime that hung up after its answer loses nothing.
        let _ = reply.send(verdict);
    }

    /// The runtime's one answer cannot be used: the caller gets an error instead.
    async fn spoilt(&mut self, request: &str, reply: Verdict, payload: &ErrorPayload) {
        let outcome = Outcome { payload: payload.to_json().into(), function_error: true };
        self.answered(Request::Response(request), reply, outcome).await;
    }

    async fn init_error(&mut self, report: ErrorReport, reply: Verdict) {
        let verdict = self.runtime.admit(Request::InitError);
        let admitted = verdict.is_ok();
        let _ = reply.send(verdict);
        if admitted {
            self.init_error = Some(report.body);
            let error_type = report.error_type.unwrap_or_else(|| "Runtime.Unknown".into());
            self.step(Event::InitError { error_type }).await;
        }
    }
}
