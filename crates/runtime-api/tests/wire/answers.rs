//! Each answer of the API, to the byte.

use dormouse_model::limits::INVOKE_RESPONSE_BYTES;
use dormouse_runtime_api::{Delivery, limits};

use crate::owner::{Owner, event, id};
use crate::talk::{Then, talk};

pub(crate) const NEXT: &str = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const EVENT_1: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-000000000001\r\n\
    Lambda-Runtime-Deadline-Ms: 1700000000000\r\n\
    Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n\
    Content-Length: 7\r\n\r\n{\"n\":1}";
pub(crate) const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n\
    Content-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";

/// A POST with a body of known length and any more headers, each ended by a line end.
fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn response(n: usize, headers: &str, body: &str) -> String {
    post(&format!("invocation/{}/response", id(n)), headers, body)
}

pub(crate) fn error(status: &str, headers: &str, error_type: &str, message: &str) -> String {
    let body = format!("{{\"errorMessage\":\"{message}\",\"errorType\":\"{error_type}\"}}\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn forbidden(from: &str, to: &str) -> String {
    let message = format!(
        "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
    );
    error("403 Forbidden", "", "InvalidStateTransition", &message)
}

pub(crate) fn invalid_id() -> String {
    error("400 Bad Request", "", "InvalidRequestID", "Invalid request ID")
}

pub(crate) fn truncated() -> String {
    let message = "HTTP request detected as truncated";
    // hyper puts no header of its own before ours.
    error("400 Bad Request", "Connection: close\r\n", "TruncatedHTTPRequest", message)
}

/// The requests on one connection with two events at hand, what comes back, what the owner was asked.
fn check(input: &[String], expected: &[String], calls: &[&str]) {
    check_then(Then::Wait, &input.concat(), &expected.concat(), calls);
}

fn check_then(then: Then, input: &str, expected: &str, calls: &[&str]) {
    let talk = talk(input.as_bytes(), then, Owner::with([event(1), event(2)]));
    assert_eq!(talk.output, expected);
    let calls: Vec<String> = calls.iter().map(|call| call.replace("ID1", &id(1))).collect();
    assert_eq!(talk.calls, calls);
}

#[test]
fn an_event_and_its_response_pass_untouched() {
    check(
        &[NEXT.into(), response(1, "Content-Type: text/x\r\n", "not json"), NEXT.into()],
        &[
            EVENT_1.into(),
            ACCEPTED.into(),
            EVENT_1.replace("000001\r\n", "000002\r\n").replace(":1}", ":2}"),
        ],
        &["next", "Response(\"ID1\") not json Some(\"text/x\")", "next"],
    );
}

#[test]
fn every_header_of_an_event_is_there_and_empty_ones_are_not() {
    let full = Delivery {
        trace_id: Some("Root=1-2-3;Sampled=1".into()),
        client_context: Some("{\n\t\"é\":\u{7f}1}".into()),
        cognito_identity: Some("{\"cognitoIdentityId\":\"a\"}".into()),
        tenant_id: Some(String::new()),
        ..event(1)
    };
    let talk = talk(NEXT.as_bytes(), Then::Wait, Owner::with([full]));
    let headers = "Lambda-Runtime-Trace-Id: Root=1-2-3;Sampled=1\r\n\
        Lambda-Runtime-Client-Context: {  \"é\": 1}\r\n\
        Lambda-Runtime-Cognito-Identity: {\"cognitoIdentityId\":\"a\"}\r\nContent-Length";
    assert_eq!(talk.output, EVENT_1.replace("Content-Length", headers));
}

#[test]
fn a_lost_event_is_given_again_and_answered_once() {
    check(
        &[NEXT.into(), NEXT.into(), response(1, "", "a"), response(1, "", "b")],
        &[EVENT_1.into(), EVENT_1.into(), ACCEPTED.into(), invalid_id()],
        &["next", "next", "Response(\"ID1\") a None", "Response(\"ID1\") b None"],
    );
}

#[test]
fn an_answer_out_of_turn_or_to_another_invocation_is_refused() {
    let path = "invocation/none/response";
    check(
        &[response(1, "", "a"), NEXT.into(), post(path, "", "b"), post(path, "", "")],
        &[forbidden("Started", "InvocationResponse"), EVENT_1.into(), invalid_id(), invalid_id()],
        &[
            "Response(\"ID1\") a None",
            "next",
            "Response(\"none\") b None",
            "Response(\"none\")  None",
        ],
    );
}

#[test]
fn an_error_is_taken_with_its_type_and_cause() {
    let headers = "Lambda-Runtime-Function-Error-Type: Unhandled\r\n\
        Lambda-Runtime-Function-XRay-Error-Cause: {\"message\":\"m\"}\r\n";
    check(
        &[NEXT.into(), post(&format!("invocation/{}/error", id(1)), headers, "{}")],
        &[EVENT_1.into(), ACCEPTED.into()],
        &[
            "next",
            "Error(\"ID1\") {} Some(\"Runtime.Unknown\") Some(b\"{\\\"exceptions\\\":null,\
             \\\"working_directory\\\":\\\"\\\",\\\"paths\\\":null,\\\"message\\\":\\\"m\\\"}\")",
        ],
    );
}

#[test]
fn an_init_error_is_taken_once_and_only_during_init() {
    let headers = "lambda-runtime-function-error-type: Function.Bad\r\n";
    let input = post("init/error", headers, "x");
    check(
        &[input.clone(), input, NEXT.into()],
        &[ACCEPTED.into(), forbidden("InitError", "InitError"), forbidden("InitError", "Ready")],
        &[
            "InitError x Some(\"Function.Bad\") None",
            "InitError x Some(\"Function.Bad\") None",
            "next",
        ],
    );
}

#[test]
fn ping_answers_and_unknown_routes_have_the_apis_own_shape() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n\r\n");
    let pong = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong".to_owned();
    let not_found = error("404 Not Found", "", "NotFound", "Not found");
    check(
        &[
            get("/2018-06-01/ping"),
            get("http://127.0.0.1:9001/2018-06-01/ping?x"),
            get("/"),
            get("/2020-01-01/extension/event"),
            post("invocation/next", "", ""),
        ],
        &[
            pong.clone(),
            pong,
            not_found.clone(),
            not_found,
            error(
                "405 Method Not Allowed",
                "Allow: GET\r\n",
                "MethodNotAllowed",
                "Only GET is allowed",
            ),
        ],
        &[],
    );
}

#[test]
fn restore_is_refused_without_snap_start() {
    check(
        &[NEXT.replace("invocation", "restore"), post("restore/error", "", "x")],
        &[forbidden("Started", "Ready"), forbidden("Started", "RestoreError")],
        &["RestoreNext", "RestoreError x None None"],
    );
}

#[test]
fn credentials_are_for_whoever_has_the_token() {
    let get = |header: &str| format!("GET /2021-04-23/credentials HTTP/1.1\r\n{header}\r\n");
    let body = "{\"AccessKeyId\":\"000000000000\",\"SecretAccessKey\":\"s/\\\"\",\"Token\":\"t\",\
        \"Expiration\":\"2023-11-14T22:13:20.000Z\"}";
    let known = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let unknown = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Length: 46\r\n\r\ncannot get credentials for the provided token\n";
    check(
        &[
            get("Authorization: the token\r\n"),
            get("Authorization: another\r\n"),
            get("Authorization: \u{ff}\r\n"),
            get(""),
        ],
        &[known, unknown.into(), unknown.into(), unknown.into()],
        &["credentials the token", "credentials another", "credentials ", "credentials "],
    );
}

#[test]
fn a_mode_that_does_not_exist_is_refused() {
    check(
        &[NEXT.into(), response(1, "Lambda-Runtime-Function-Response-Mode: buffered\r\n", "abc")],
        &[
            EVENT_1.into(),
            error(
                "400 Bad Request",
                "",
                "InvalidFunctionResponseMode",
                "Invalid function response mode",
            ),
        ],
        &["next", "Response(\"ID1\") mode"],
    );
}

#[test]
fn the_largest_response_is_taken_and_one_byte_more_is_not() {
    let whole = "x".repeat(INVOKE_RESPONSE_BYTES);
    let more = "x".repeat(INVOKE_RESPONSE_BYTES + 1);
    let too_large = error(
        "413 Payload Too Large",
        "",
        "RequestEntityTooLarge",
        "Exceeded maximum allowed payload size (6291556 bytes).",
    );
    let calls = ["next", "Response(\"ID1\") too large 6291557", "next"];
    let next = EVENT_1.replace("000001\r\n", "000002\r\n").replace(":1}", ":2}");
    check(
        &[NEXT.into(), response(1, "", &whole)],
        &[EVENT_1.into(), ACCEPTED.into()],
        &["next", "Response(\"ID1\") 6291556 bytes None"],
    );
    check(
        &[NEXT.into(), response(1, "", &more), NEXT.into()],
        &[EVENT_1.into(), too_large.clone(), next.clone()],
        &calls,
    );
    let chunked = format!(
        "POST /2018-06-01/runtime/invocation/{}/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\
         \r\n{:x}\r\n{whole}\r\n1\r\nx\r\n0\r\n\r\n",
        id(1),
        whole.len()
    );
    check(&[NEXT.into(), chunked, NEXT.into()], &[EVENT_1.into(), too_large, next], &calls);
}

#[test]
fn a_body_that_breaks_off_is_told_to_the_owner_and_the_runtime() {
    let calls = ["next", "Response(\"ID1\") truncated"];
    let short = response(1, "", "abcdef");
    let short = format!("{NEXT}{}", &short[..short.len() - 1]);
    let expected = format!("{EVENT_1}{}", truncated());
    check_then(Then::HalfClose, &short, &expected, &calls);
    let chunked = format!(
        "{NEXT}POST /2018-06-01/runtime/invocation/{}/response HTTP/1.1\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        id(1)
    );
    check_then(Then::HalfClose, &chunked, &expected, &calls);
    // A body that stops coming is the same, once its time is up.
    check_then(Then::Wait, &short, &expected, &calls);
    check_then(Then::Wait, &chunked, &expected, &calls);
}

#[test]
fn a_client_may_wait_to_be_told_to_go_on() {
    let input = response(1, "Expect: 100-continue\r\n", "abc");
    check(
        &[NEXT.into(), input],
        &[EVENT_1.into(), "HTTP/1.1 100 Continue\r\n\r\n".into(), ACCEPTED.into()],
        &["next", "Response(\"ID1\") abc None"],
    );
}

#[test]
fn a_handler_may_take_longer_than_any_deadline_of_ours() {
    // Time is paused: the client waits in silence between its two requests.
    crate::talk::block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut client, server) = tokio::io::duplex(65_536);
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        let talk = async move {
            client.write_all(NEXT.as_bytes()).await.unwrap();
            let mut seen = vec![0; EVENT_1.len()];
            client.read_exact(&mut seen).await.unwrap();
            let long = std::time::Duration::from_millis(limits::BODY_MS * 100);
            tokio::time::advance(long).await;
            client.write_all(response(1, "", "x").as_bytes()).await.unwrap();
            let mut seen = vec![0; ACCEPTED.len()];
            client.read_exact(&mut seen).await.unwrap();
            assert_eq!(seen, ACCEPTED.as_bytes());
        };
        let owner = Owner::with([event(1)]);
        let ((), served, _) =
            tokio::join!(talk, dormouse_runtime_api::serve(server, sender), owner.run(receiver));
        served.unwrap();
    });
}
