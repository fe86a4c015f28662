//! The routes of the Extensions, Telemetry and Logs API: requests in, calls out, answers back.

use bytes::Bytes;
use dormouse_model::telemetry::SubscriptionApi;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::answer::{Answer, accepted, json};
use crate::call::Call;
use crate::exchange::{ask, put, reserve};
use crate::extension::ExtensionEvent;
use crate::extension_refusal::ExtensionRefusal;
use crate::identifier::Identifier;
use crate::limits::{ERROR_TYPE_BYTES, EXTENSION_BODY_BYTES};
use crate::receive::receive;
use crate::register;
use crate::route::ExtensionRoute;
use crate::subscription;

static IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");
static EVENT_IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-event-identifier");
const ERROR_TYPE: &str = "lambda-extension-function-error-type";
const SUBSCRIBED: &[u8] = b"\"OK\"";

/// The answer to a request of an extension.
pub(crate) async fn answer(
    route: ExtensionRoute,
    parts: &Parts,
    body: Incoming,
    calls: &mpsc::Sender<Call>,
) -> Answer {
    let result = dispatch(route, &parts.headers, body, calls).await;
    result.unwrap_or_else(|refusal| {
        tracing::debug!(path = parts.uri.path(), %refusal, "extension request refused");
        refused(&refusal)
    })
}

/// Asks the owner, after all that can be refused without it.
async fn dispatch(
    route: ExtensionRoute,
    headers: &HeaderMap,
    body: Incoming,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, ExtensionRefusal> {
    match route {
        ExtensionRoute::Register => register(headers, body, calls).await,
        ExtensionRoute::Next => {
            let identifier = identifier(headers)?;
            // Unread bytes of a body would hide the end of the connection while it is parked.
            drop(body);
            let next = |reply| Call::ExtensionNext { identifier, reply };
            Ok(event(&ask(calls, next).await?))
        }
        ExtensionRoute::InitError => {
            let (identifier, error_type) = (identifier(headers)?, error_type(headers)?);
            let place = reserve(calls).await?;
            let body = receive(body, EXTENSION_BODY_BYTES).await?;
            let call = |reply| Call::ExtensionInitError { identifier, error_type, body, reply };
            put(place, call).await.map(|()| accepted())
        }
        ExtensionRoute::ExitError => {
            let (identifier, error_type) = (identifier(headers)?, error_type(headers)?);
            let place = reserve(calls).await?;
            let body = receive(body, EXTENSION_BODY_BYTES).await?;
            let call = |reply| Call::ExtensionExitError { identifier, error_type, body, reply };
            put(place, call).await.map(|()| accepted())
        }
        ExtensionRoute::Subscribe(api) => subscribe(api, headers, body, calls).await,
    }
}

async fn register(
    headers: &HeaderMap,
    body: Incoming,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, ExtensionRefusal> {
    let name = register::name(headers)?;
    let account_id = register::accepts_account_id(headers);
    let place = reserve(calls).await?;
    let events = register::events(&receive(body, EXTENSION_BODY_BYTES).await?)?;
    let call = |reply| Call::Register { name, events, account_id, reply };
    let registration = put(place, call).await?;
    let mut answer = json(StatusCode::OK, registration.body(account_id));
    insert_identifier(&mut answer, &IDENTIFIER, registration.identifier);
    Ok(answer)
}

async fn subscribe(
    api: SubscriptionApi,
    headers: &HeaderMap,
    body: Incoming,
    calls: &mpsc::Sender<Call>,
) -> Result<Answer, ExtensionRefusal> {
    let identifier = identifier(headers)?;
    let place = reserve(calls).await?;
    let body = receive(body, EXTENSION_BODY_BYTES).await?;
    let subscription = Box::new(subscription::parse(api, &body)?);
    let call = |reply| Call::Subscribe { api, identifier, subscription, reply };
    put(place, call).await?;
    Ok(json(StatusCode::OK, Bytes::from_static(SUBSCRIBED)))
}

fn identifier(headers: &HeaderMap) -> Result<Identifier, ExtensionRefusal> {
    let value = headers.get(&IDENTIFIER).filter(|value| !value.is_empty());
    let value = value.ok_or(ExtensionRefusal::MissingIdentifier)?;
    let text = value.to_str().map_err(|_| ExtensionRefusal::InvalidIdentifier)?;
    text.parse().map_err(|_| ExtensionRefusal::InvalidIdentifier)
}

/// Any text that can stand in a line of log; it is the extension's own word, unlike a runtime's.
fn error_type(headers: &HeaderMap) -> Result<String, ExtensionRefusal> {
    let value = headers.get(ERROR_TYPE).filter(|value| !value.is_empty());
    let value = value.ok_or(ExtensionRefusal::MissingErrorType)?;
    let mut text = String::from_utf8_lossy(value.as_bytes()).replace(char::is_control, " ");
    text.truncate(text.floor_char_boundary(ERROR_TYPE_BYTES));
    Ok(text)
}

fn event(event: &ExtensionEvent) -> Answer {
    let mut answer = json(StatusCode::OK, event.body());
    if let ExtensionEvent::Invoke { event_identifier, .. } = event {
        insert_identifier(&mut answer, &EVENT_IDENTIFIER, *event_identifier);
    }
    answer
}

fn insert_identifier(answer: &mut Answer, name: &'static HeaderName, identifier: Identifier) {
    let value = HeaderValue::try_from(identifier.to_string());
    let value = value.expect("hexadecimal digits and hyphens are a valid header");
    answer.headers_mut().insert(name, value);
}

fn refused(refusal: &ExtensionRefusal) -> Answer {
    let mut answer = json(refusal.status(), refusal.body());
    let unreadable = matches!(
        refusal,
        ExtensionRefusal::TruncatedHttpRequest | ExtensionRefusal::InternalServerError
    );
    if unreadable {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
