//! `Invoke`: what its headers ask for, whether its payload is JSON, and the headers of its answer.
//! `InvokeWithResponseStream` asks in the same way and is answered in `stream`.
//!
//! The payload is bytes. It is scanned once for validity and never made into a tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dormouse_model::limits;
use dormouse_model::names::{RequestId, Scope, Version};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use serde::de::IgnoredAny;

use super::name::{NameShape, Target};
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::{Text, Violations, is_word};

const TENANT: Text = Text {
    min: 1,
    max: 256,
    pattern: r"[a-zA-Z0-9\._:\/=+\-@ ]+",
    fits: |id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(&b)),
};
const DURABLE_EXECUTION: Text = Text { min: 1, max: 64, pattern: "[a-zA-Z0-9-_]+", fits: is_word };
/// Characters of a trace header we pass on (ours). A longer one is left out.
const TRACE_CHARS: usize = 1_024;

/// `InvocationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationType {
    /// The caller waits for the result.
    RequestResponse,
    /// The event is queued.
    Event,
    /// Nothing is run; the request is checked.
    DryRun,
}

/// How the caller wants the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvokeMode {
    /// `Invoke`: all of it at once.
    Buffered,
    /// `InvokeWithResponseStream`: as the function writes it.
    ResponseStream,
}

impl InvokeMode {
    /// The values of `InvocationType` that it allows, in the order of the API model.
    fn invocation_types(self) -> &'static [&'static str] {
        match self {
            Self::Buffered => &["Event", "RequestResponse", "DryRun"],
            Self::ResponseStream => &["RequestResponse", "DryRun"],
        }
    }
}

/// What an `Invoke` asks for, but for its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvokeRequest {
    /// The function and the qualifier.
    pub target: Target,
    /// Whether the caller waits.
    pub invocation_type: InvocationType,
    /// Whether the caller wants the end of the log.
    pub tail: bool,
    /// The client context's JSON, decoded.
    pub client_context: Option<String>,
    /// The X-Ray trace header.
    pub trace: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
}

impl InvokeRequest {
    /// Reads path, query and headers.
    ///
    /// # Errors
    /// Every violation of name, qualifier and headers in one text, then the service's objections.
    pub fn read(
        scope: &Scope,
        name: &str,
        parts: &Parts,
        mode: InvokeMode,
    ) -> Result<Self, ApiError> {
        let qualifier = QueryString::of(&parts.uri).get("Qualifier");
        let header = |name: &str| text(&parts.headers, name);
        let invocation_type = header("x-amz-invocation-type");
        let log_type = header("x-amz-log-type");
        let tenant = header("x-amz-tenant-id");
        let mut violations = Violations::default();
        if let Some(value) = invocation_type {
            violations.one_of(value, "invocationType", mode.invocation_types());
        }
        if let Some(value) = log_type {
            violations.one_of(value, "logType", &["None", "Tail"]);
        }
        if let Some(value) = tenant {
            violations.text(value, "tenantId", &TENANT);
        }
        if let Some(value) = header("x-amz-durable-execution-name")
            && mode == InvokeMode::Buffered
        {
            violations.text(value, "durableExecutionName", &DURABLE_EXECUTION);
        }
        let named = (name, qualifier.as_deref());
        let target = Target::resolve_with(scope, named, NameShape::Existing, violations)?;
        let trace = header("x-amzn-trace-id").filter(|trace| trace.len() <= TRACE_CHARS);
        Ok(Self {
            target,
            invocation_type: match invocation_type {
                Some("Event") => InvocationType::Event,
                Some("DryRun") => InvocationType::DryRun,
                _ => InvocationType::RequestResponse,
            },
            tail: log_type == Some("Tail"),
            client_context: header("x-amz-client-context").map(client_context).transpose()?,
            trace: trace.map(str::to_owned),
            tenant: tenant.map(str::to_owned),
        })
    }
}

/// Whether a caller names a tenant just when the function keeps tenants apart: who believes himself
/// apart and is not must hear of it.
///
/// # Errors
/// When not; the words are not recorded.
pub fn check_tenant(per_tenant: bool, tenant: Option<&str>) -> Result<(), ApiError> {
    let text = match (per_tenant, tenant) {
        (true, Some(_)) | (false, None) => return Ok(()),
        (true, None) => {
            "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in \
             your request and try again."
        }
        (false, Some(_)) => {
            "The invoked function is not enabled with tenancy configuration. Remove the tenant ID \
             from your request and try again."
        }
    };
    Err(ApiError::invalid_parameter(text))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // A header that is no text becomes one that no rule accepts.
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

fn client_context(encoded: &str) -> Result<String, ApiError> {
    let refuse = |text: String| ApiError::new(Exception::InvalidRequestContent, text);
    if encoded.len() > limits::CLIENT_CONTEXT_CHARS {
        let max = limits::CLIENT_CONTEXT_CHARS;
        return Err(refuse(format!("Client context must be no more than {max} bytes.")));
    }
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let is_json = |text: &String| serde_json::from_str::<IgnoredAny>(text).is_ok();
    decoded.filter(is_json).ok_or_else(|| {
        refuse("Client context must be a valid Base64-encoded JSON object.".to_owned())
    })
}

/// Whether a payload may be handed to a function. An empty one may: it stands for `{}`.
///
/// # Errors
/// `InvalidRequestContentException` with the place of the fault.
pub fn check_payload(payload: &[u8]) -> Result<(), ApiError> {
    if payload.is_empty() {
        return Ok(());
    }
    // The scan skips over texts without looking at their encoding.
    if let Err(error) = std::str::from_utf8(payload) {
        let byte = payload[error.valid_up_to()];
        let (line, column) = place(payload, error.valid_up_to());
        return Err(unparsable(&format!("Invalid UTF-8 start byte 0x{byte:x}"), line, column));
    }
    match serde_json::from_slice::<IgnoredAny>(payload) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => {
            let what = describe(payload, &error);
            Err(unparsable(&what, error.line(), error.column().max(1)))
        }
    }
}

/// Whether a payload may be queued for its function.
///
/// # Errors
/// `RequestTooLargeException` when it is larger than an event may be.
pub fn check_event_size(payload: &[u8]) -> Result<(), ApiError> {
    let (bytes, limit) = (payload.len(), limits::EVENT_BYTES);
    if bytes <= limit {
        return Ok(());
    }
    let text = format!(
        "{bytes} byte payload is too large for the Event invocation type (limit {limit} bytes)"
    );
    Err(ApiError::new(Exception::RequestTooLarge, text))
}

/// The payload to hand on: `{}` for an empty one.
#[must_use]
pub fn event(payload: Bytes) -> Bytes {
    if payload.is_empty() { Bytes::from_static(b"{}") } else { payload }
}

fn place(payload: &[u8], offset: usize) -> (usize, usize) {
    let before = &payload[..offset];
    let newline = before.iter().rposition(|b| *b == b'\n');
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    (line, offset - newline.map_or(0, |at| at + 1) + 1)
}

/// In the manner of Jackson, which is what AWS parses with.
fn describe(payload: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "Unexpected end-of-input".to_owned();
    }
    let line = payload.split(|b| *b == b'\n').nth(error.line().saturating_sub(1));
    let byte = line.and_then(|line| line.get(error.column().saturating_sub(1)));
    match byte {
        Some(byte) if byte.is_ascii_graphic() => {
            format!("Unexpected character ('{}' (code {byte}))", char::from(*byte))
        }
        Some(byte) => format!("Unexpected character (code {byte})"),
        None => "Unexpected character".to_owned(),
    }
}

fn unparsable(what: &str, line: usize, column: usize) -> ApiError {
    let text = format!(
        "Could not parse request body into json: Could not parse payload into json: {what}\n \
         at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); \
         line: {line}, column: {column}]"
    );
    ApiError::new(Exception::InvalidRequestContent, text)
}

/// What an `Invoke` is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvokeAnswer {
    /// The function ran: its result, or its error.
    Done {
        /// Bytes of the result or of the error's JSON.
        payload: Bytes,
        /// Whether it is an error.
        function_error: bool,
        /// The end of the log, if it was wanted.
        log_tail: Option<Bytes>,
        /// The version that ran.
        executed: Version,
    },
    /// The event is queued.
    Queued,
    /// The request would have been run.
    Checked,
}

impl InvokeAnswer {
    /// The HTTP answer.
    #[must_use]
    pub fn answer(self, request_id: &RequestId, trace: Option<&str>) -> Response<Bytes> {
        let mut response = match self {
            Self::Queued => empty(StatusCode::ACCEPTED),
            Self::Checked => empty(StatusCode::NO_CONTENT),
            Self::Done { payload, function_error, log_tail, executed } => {
                let mut response = Response::new(payload);
                let headers = response.headers_mut();
                insert(headers, "x-amz-executed-version", &executed.to_string());
                if function_error {
                    insert(headers, "x-amz-function-error", "Unhandled");
                }
                if let Some(tail) = log_tail {
                    insert(headers, "x-amz-log-result", &STANDARD.encode(tail));
                }
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
        };
        identify(response.headers_mut(), request_id, trace);
        response
    }
}

/// The headers that every answer to an invocation has.
pub(super) fn identify(headers: &mut HeaderMap, request_id: &RequestId, trace: Option<&str>) {
    insert(headers, "x-amzn-requestid", request_id.as_str());
    insert(headers, "x-amzn-remapped-content-length", "0");
    if let Some(trace) = trace {
        insert(headers, "x-amzn-trace-id", trace);
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A value that a header cannot carry is left out: it came from outside.
pub(super) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn read(uri: &str, headers: &[(&str, &str)]) -> Result<InvokeRequest, ApiError> {
        read_as(InvokeMode::Buffered, uri, headers)
    }

    fn read_as(
        mode: InvokeMode,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<InvokeRequest, ApiError> {
        let scope = crate::lambda::configuration::tests::pending().key.scope;
        let mut builder = Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        InvokeRequest::read(&scope, "f", &builder.body(()).unwrap().into_parts().0, mode)
    }

    #[test]
    fn headers_say_how_to_run() {
        let plain = read("/x", &[]).unwrap();
        assert_eq!(plain.invocation_type, InvocationType::RequestResponse);
        assert!(!plain.tail && plain.client_context.is_none());
        let context = STANDARD.encode(r#"{"custom":{"a":1}}"#);
        let full = read(
            "/x?Qualifier=7",
            &[
                ("X-Amz-Invocation-Type", "DryRun"),
                ("X-Amz-Log-Type", "Tail"),
                ("X-Amz-Client-Context", &context),
                ("X-Amzn-Trace-Id", "Root=1-a-b"),
                ("X-Amz-Tenant-Id", "t 1"),
            ],
        )
        .unwrap();
        assert_eq!(full.invocation_type, InvocationType::DryRun);
        assert_eq!(full.client_context.as_deref(), Some(r#"{"custom":{"a":1}}"#));
        assert_eq!(full.target.arn(), "arn:aws:lambda:us-east-1:123456789012:function:f:7");
        assert!(full.tail && full.trace.is_some() && full.tenant.is_some());
    }

    #[test]
    fn wrong_headers_are_all_told() {
        let error = read(
            "/x",
            &[
                ("X-Amz-Invocation-Type", "Later"),
                ("X-Amz-Log-Type", "Head"),
                ("X-Amz-Tenant-Id", "a!"),
            ],
        );
        insta::assert_snapshot!(error.unwrap_err().to_string().replace("; ", ";\n"), @r"
        ValidationException: 3 validation errors detected: Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun];
        Value 'Head' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail];
        Value 'a!' at 'tenantId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9\._:\/=+\-@ ]+
        ");
        for context in ["*", "bm8=", &"A".repeat(3_584)] {
            let error = read("/x", &[("X-Amz-Client-Context", context)]).unwrap_err();
            assert_eq!(error.exception, Exception::InvalidRequestContent);
        }
    }

    #[test]
    fn an_event_cannot_be_answered_by_a_stream() {
        let read =
            |value| read_as(InvokeMode::ResponseStream, "/x", &[("X-Amz-Invocation-Type", value)]);
        assert_eq!(read("DryRun").unwrap().invocation_type, InvocationType::DryRun);
        let error = read("Event").unwrap_err().to_string();
        assert!(error.ends_with("enum value set: [RequestResponse, DryRun]"), "{error}");
    }

    fn refusal(payload: &[u8]) -> String {
        check_payload(payload).unwrap_err().message
    }

    #[test]
    fn a_payload_must_be_json_and_may_be_empty() {
        for payload in ["", "{}", "null", " [1, \"a\"]\n", "\"x\"", "1e9"] {
            assert_eq!(check_payload(payload.as_bytes()), Ok(()), "{payload}");
        }
        assert_eq!(&event(Bytes::new())[..], b"{}");
        assert!(check_payload("[".repeat(100_000).as_bytes()).is_err());
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(check_payload(deep.as_bytes()), Ok(()));
        insta::assert_snapshot!(refusal(b"{a:1}"), @"
        Could not parse request body into json: Could not parse payload into json: Unexpected character ('a' (code 97))
         at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 2]
        ");
        insta::assert_snapshot!(refusal(b"{\"a\":\n"), @"
        Could not parse request body into json: Could not parse payload into json: Unexpected end-of-input
         at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 1]
        ");
        insta::assert_snapshot!(refusal(b"{}\n x"), @"
        Could not parse request body into json: Could not parse payload into json: Unexpected character ('x' (code 120))
         at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 2]
        ");
        insta::assert_snapshot!(refusal(b"\n\"\xff\""), @"
        Could not parse request body into json: Could not parse payload into json: Invalid UTF-8 start byte 0xff
         at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 2]
        ");
    }

    fn shown(answer: InvokeAnswer) -> String {
        let id = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let answer = answer.answer(&id, Some("Root=1"));
        let mut lines = vec![answer.status().to_string()];
        for (name, value) in answer.headers() {
            lines.push(format!("{name}: {}", value.to_str().unwrap()));
        }
        lines.push(String::from_utf8_lossy(answer.body()).into_owned());
        lines.join("\n")
    }

    #[test]
    fn answers_carry_their_headers() {
        insta::assert_snapshot!(shown(InvokeAnswer::Done {
            payload: Bytes::from_static(b"{\"errorType\":\"E\"}"),
            function_error: true,
            log_tail: Some(Bytes::from_static(b"END\n")),
            executed: Version::Latest,
        }), @r#"
        200 OK
        x-amz-executed-version: $LATEST
        x-amz-function-error: Unhandled
        x-amz-log-result: RU5ECg==
        content-type: application/json
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        x-amzn-remapped-content-length: 0
        x-amzn-trace-id: Root=1
        {"errorType":"E"}
        "#);
        insta::assert_snapshot!(shown(InvokeAnswer::Queued), @"
        202 Accepted
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        x-amzn-remapped-content-length: 0
        x-amzn-trace-id: Root=1
        ");
        assert!(shown(InvokeAnswer::Checked).starts_with("204"));
    }

    proptest! {
        #[test]
        fn no_payload_panics_the_scan(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check_payload(&payload);
        }

        #[test]
        fn nearly_json_does_not_panic_it_either(payload in "[\\[\\]{}\":,a1 \n]{0,30}") {
            let _ = check_payload(payload.as_bytes());
        }
    }
}
