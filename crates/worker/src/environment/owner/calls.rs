//! What the runtime and extensions ask: each call is put through its request state, then told to
//! the machine.

use bytes::Bytes;
use dormouse_model::environment::Event;
use dormouse_model::invocation::{self, ErrorOf, ErrorPayload};
use dormouse_model::limits;
use dormouse_model::telemetry::{Record, Subscribed, SubscriptionApi};
use dormouse_runtime_api::limits::CREDENTIALS_MS;
use dormouse_runtime_api::{
    Call, Credentials, ErrorReport, Events, ExtensionRefusal, ExtensionRequest, Identifier,
    Progress, Refusal, Registration, Request, Subscription,
};
use tokio::sync::oneshot;

use super::{Final, Owner};
use crate::environment::streaming::Offered;
use crate::variables::credentials_token;

type Registered = oneshot::Sender<Result<Registration, ExtensionRefusal>>;
type Verdict = oneshot::Sender<Result<(), Refusal>>;

impl Owner {
    /// Takes a call.
    pub(super) async fn call(&mut self, call: Call) {
        self.shared.stillness.stir();
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
                self.answered(Request::Response(&request), reply, (body, false)).await;
            }
            Call::Error { request, report, reply } => {
                self.answered(Request::Error(&request), reply, (report.body, true)).await;
            }
            Call::ResponseStream { request, body, reply, .. } => {
                self.response_stream(request, Offered { body, verdict: reply }).await;
            }
            Call::TooLarge { request, reply, .. } => {
                self.spoilt(&request, reply, &too_large()).await;
            }
            Call::Truncated { request, reply } => {
                self.spoilt(&request, reply, &invocation::truncated_response()).await;
            }
            Call::InvalidResponseMode { request, reply } => {
                self.spoilt(&request, reply, &invocation::invalid_response_mode()).await;
            }
            Call::InitError { report, reply } => {
                let failed = |error_type| Event::InitError { error_type };
                self.init_failed((Request::InitError, failed), report, reply).await;
            }
            Call::RestoreNext { reply } => self.restore_next(reply).await,
            Call::RestoreError { report, reply } => {
                let failed = |error_type| Event::RestoreError { error_type };
                self.init_failed((Request::RestoreError, failed), report, reply).await;
            }
            Call::Credentials { token, reply } => {
                let _ = reply.send(self.credentials(&token));
            }
            Call::Register { name, events, reply, .. } => {
                self.register(&name, events, reply).await;
            }
            Call::ExtensionNext { identifier, reply } => {
                match self.extensions.next(identifier, reply) {
                    Ok(id) => self.step(Event::ExtensionNext { id }).await,
                    Err((reply, refusal)) => {
                        let _ = reply.send(Err(refusal));
                    }
                }
            }
            Call::ExtensionInitError { identifier, error_type, reply, .. } => {
                let report = ExtensionRequest::InitError(&error_type);
                let _ = reply.send(self.extensions.report(identifier, report));
            }
            Call::ExtensionExitError { identifier, error_type, reply, .. } => {
                let report = ExtensionRequest::ExitError(&error_type);
                let _ = reply.send(self.extensions.report(identifier, report));
            }
            Call::Subscribe { api, identifier, subscription, reply } => {
                let _ = reply.send(self.subscribe(api, identifier, *subscription));
            }
        }
    }

    /// The runtime answered: the caller is served first, then the runtime hears that all is well.
    async fn answered(
        &mut self,
        request: Request<'_>,
        reply: Verdict,
        (payload, is_error): (Bytes, bool),
    ) {
        let verdict = self.runtime.admit(request);
        if verdict.is_ok() {
            let bytes = payload.len() as u64;
            self.outcome = Some(Final::answer(payload, is_error.then_some(ErrorOf::Function)));
            self.step(Event::Answered { bytes }).await;
            self.runtime.progress(Progress::Sent);
        }
        // A runtime that hung up after its answer loses nothing.
        let _ = reply.send(verdict);
    }

    /// The runtime's one answer cannot be used: the caller gets an error instead.
    async fn spoilt(&mut self, request: &str, reply: Verdict, payload: &ErrorPayload) {
        let payload = payload.to_json().into();
        self.answered(Request::Response(request), reply, (payload, true)).await;
    }

    /// What the function's role may do is had by this environment's own secret, whenever its process
    /// was started.
    fn credentials(&self, token: &str) -> Result<Credentials, Refusal> {
        if !self.spec.version.is_snap_start() {
            return Err(Refusal::NotFound);
        }
        if token != credentials_token(&self.spec.version) {
            return Err(Refusal::UnknownToken);
        }
        Ok(Credentials {
            access_key_id: self.spec.version.key.scope.account.to_string(),
            secret_access_key: self.secret.clone(),
            session_token: self.secret.clone(),
            expiration_ms: self.shared.clock.wall_ms() + CREDENTIALS_MS,
        })
    }

    async fn register(&mut self, name: &str, events: Events, reply: Registered) {
        let identifier = Identifier::from_u128(self.shared.chance.bits());
        match self.extensions.register(name, events, identifier) {
            Ok((id, registration)) => {
                let version = &self.spec.version;
                let _ = reply.send(Ok(Registration {
                    identifier,
                    function_name: version.key.name.to_string(),
                    function_version: version.version.to_string(),
                    handler: version
                        .deployment
                        .configuration
                        .handler()
                        .unwrap_or_default()
                        .to_owned(),
                    account_id: Some(version.key.scope.account.to_string()),
                }));
                self.step(Event::Registered { id, registration }).await;
            }
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
            }
        }
    }

    fn subscribe(
        &mut self,
        api: SubscriptionApi,
        identifier: Identifier,
        subscription: Subscription,
    ) -> Result<(), ExtensionRefusal> {
        let (id, name, again) = self.extensions.subscribe(identifier, api)?;
        let types = subscription.types;
        self.journal.telemetry.subscribe(id, subscription);
        self.journal.tell(Record::Subscribed(Subscribed { api, name, again, types }));
        Ok(())
    }

    /// The runtime is where a snapshot could be taken, or goes on from one.
    async fn restore_next(&mut self, reply: Verdict) {
        match self.runtime.admit(Request::RestoreNext) {
            Ok(()) => {
                self.runtime.park_restore(reply);
                self.step(Event::RestorePoint).await;
            }
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    /// The runtime cannot go on to its first `next`, by `init/error` or `restore/error`.
    async fn init_failed(
        &mut self,
        (request, failed): (Request<'_>, fn(String) -> Event),
        report: Box<ErrorReport>,
        reply: Verdict,
    ) {
        let verdict = self.runtime.admit(request);
        let admitted = verdict.is_ok();
        let _ = reply.send(verdict);
        if admitted {
            self.init_error = Some(report.body);
            let error_type = report.error_type.unwrap_or_else(|| "Runtime.Unknown".into());
            self.step(failed(error_type)).await;
        }
    }
}

fn too_large() -> ErrorPayload {
    invocation::response_too_large(limits::INVOKE_RESPONSE_BYTES as u64)
}
