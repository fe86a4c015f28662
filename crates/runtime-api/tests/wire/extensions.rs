//! Each answer to an extension, to the byte, and what hostile extensions get.

use dormouse_model::telemetry::SubscriptionApi;
use dormouse_runtime_api::{ExtensionEvent, ExtensionRefusal, Registry, ShutdownReason, limits};

use crate::answers::{ACCEPTED, error, truncated};
use crate::owner::{Owner, id, identifier};
use crate::talk::{Then, talk};

const EXTENSION: &str = "/2020-01-01/extension";
const JSON: &str = "Content-Type: application/json\r\n";
const ID_1: &str = "Lambda-Extension-Identifier: 00000000-0000-0000-0000-000000000001\r\n";

fn request(head: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("{head} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

fn register(name: &str, headers: &str, body: &str) -> String {
    let headers = format!("Lambda-Extension-Name: {name}\r\n{headers}");
    request(&format!("POST {EXTENSION}/register"), &headers, body)
}

fn next(headers: &str) -> String {
    format!("GET {EXTENSION}/event/next HTTP/1.1\r\n{headers}\r\n")
}

fn subscribe(path: &str, headers: &str, body: &str) -> String {
    request(&format!("PUT {path}"), headers, body)
}

fn registered(n: usize, more: &str) -> String {
    let body = format!(
        "{{\"functionName\":\"f\",\"functionVersion\":\"$LATEST\",\"handler\":\"h.\\\"x\"{more}}}\n"
    );
    format!(
        "HTTP/1.1 200 OK\r\n{JSON}Lambda-Extension-Identifier: 00000000-0000-0000-0000-{n:012}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ok(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{JSON}{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn forbidden(error_type: &str, message: &str) -> String {
    error("403 Forbidden", "", error_type, message)
}

fn check(owner: Owner, input: &[String], expected: &[String], calls: &[&str]) {
    let talk = talk(input.concat().as_bytes(), Then::Wait, owner);
    assert_eq!(talk.output, expected.concat());
    assert_eq!(talk.calls, calls);
}

fn invoke(trace_id: Option<&str>) -> ExtensionEvent {
    ExtensionEvent::Invoke {
        deadline_ms: 1_700_000_000_000,
        request_id: id(1).parse().unwrap(),
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f:live".into(),
        trace_id: trace_id.map(str::to_owned),
        event_identifier: identifier(0xabc),
    }
}

#[test]
fn an_extension_registers_and_takes_its_events() {
    let events = [
        invoke(Some("Root=1-2-3;Sampled=1")),
        invoke(Some("")),
        ExtensionEvent::Shutdown { deadline_ms: 5, reason: ShutdownReason::Spindown },
    ];
    let event_id = "Lambda-Extension-Event-Identifier: 00000000-0000-0000-0000-000000000abc\r\n";
    let invoked = |tracing: &str| {
        let head = "{\"eventType\":\"INVOKE\",\"deadlineMs\":1700000000000,\"requestId\":";
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live";
        let body = format!("{head}\"{}\",\"invokedFunctionArn\":\"{arn}\"{tracing}}}", id(1));
        ok(event_id, &body)
    };
    check(
        Owner::with_extensions(&["a.sh"], events),
        &[
            register("a.sh", "", "{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}"),
            next(ID_1),
            next(&ID_1.to_uppercase()),
            next(ID_1),
        ],
        &[
            registered(1, ""),
            invoked(
                ",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":\"Root=1-2-3;Sampled=1\"}",
            ),
            invoked(""),
            ok("", "{\"eventType\":\"SHUTDOWN\",\"deadlineMs\":5,\"shutdownReason\":\"spindown\"}"),
        ],
        &[
            "register a.sh INVOKE+SHUTDOWN false",
            "extension next",
            "extension next",
            "extension next",
        ],
    );
}

#[test]
fn each_reason_of_a_shutdown_has_its_word() {
    for (reason, word) in [
        (ShutdownReason::Spindown, "spindown"),
        (ShutdownReason::Timeout, "timeout"),
        (ShutdownReason::Failure, "failure"),
    ] {
        let event = ExtensionEvent::Shutdown { deadline_ms: 5, reason };
        let owner = Owner::with_extensions(&["a"], [event]);
        let talk = talk((register("a", "", "{}") + &next(ID_1)).as_bytes(), Then::Wait, owner);
        assert!(talk.output.ends_with(&format!("\"shutdownReason\":\"{word}\"}}")));
    }
}

#[test]
fn the_account_is_told_to_who_asks() {
    let account = ",\"accountId\":\"000000000000\"";
    check(
        Owner::with_extensions(&["a"], []),
        &[
            register("a", "Lambda-Extension-Accept-Feature: x, accountId\r\n", "{}"),
            register("b", "Lambda-Extension-Accept-Feature: accountid\r\n", "{}"),
        ],
        &[registered(1, account), registered(2, "")],
        &["register a  true", "register b  false"],
    );
}

#[test]
fn a_registration_that_is_none_does_not_reach_the_owner() {
    let bare = |headers: &str| request(&format!("POST {EXTENSION}/register"), headers, "{}");
    let name = "Extension.InvalidExtensionName";
    let event = forbidden("Extension.InvalidEventType", "invoke: ErrorInvalidEventType");
    check(
        Owner::default(),
        &[
            bare(""),
            register("", "", "{}"),
            register("a\tb", "", "{}"),
            register("a", "", "{"),
            register("a", "", "{\"configurationKeys\":[\"A\"],\"events\":[]}"),
            register("a", "", "{\"events\":[\"invoke\"]}"),
        ],
        &[
            forbidden(name, "Empty extension name"),
            forbidden(name, "Empty extension name"),
            forbidden(name, "Invalid extension name"),
            forbidden("InvalidRequestFormat", "Invalid request format at line 1 column 1"),
            forbidden(
                "InvalidRequestFormat",
                "configurationKeys are deprecated; use environment variables instead",
            ),
            event,
        ],
        &[],
    );
}

#[test]
fn the_owners_refusals_of_a_registration_are_passed_on() {
    let mut registry = Registry::new(["a".to_owned()]).unwrap();
    registry.register("a", dormouse_runtime_api::Events::default(), identifier(99)).unwrap();
    registry.close_registration();
    check(
        Owner::with_registry(registry),
        &[
            register("a", "", "{}"),
            register("b", "", "{\"events\":[\"SHUTDOWN\"]}"),
            register("b", "", "{}"),
        ],
        &[
            forbidden(
                "Extension.InvalidExtensionState",
                "State transition from Registered to Registered failed for extension a. \
                 Error: State transition is not allowed",
            ),
            forbidden(
                "Extension.InvalidEventType",
                "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
            ),
            forbidden("Extension.RegistrationClosed", "Extension registration closed already"),
        ],
        &["register a  false", "register b SHUTDOWN false", "register b  false"],
    );
    let full = Registry::new((0..10).map(|n| n.to_string())).unwrap();
    check(
        Owner::with_registry(full),
        &[register("x", "", "{}")],
        &[forbidden("Extension.TooManyExtensions", "Extension limit (10) reached")],
        &["register x  false"],
    );
}

#[test]
fn an_identifier_must_be_there_and_known() {
    let requests = |headers: &str| {
        let error_type = format!("{headers}Lambda-Extension-Function-Error-Type: X\r\n");
        [
            next(headers),
            request(&format!("POST {EXTENSION}/init/error"), &error_type, ""),
            request(&format!("POST {EXTENSION}/exit/error"), &error_type, ""),
            subscribe("/2020-08-15/logs", headers, SUBSCRIPTION),
            subscribe("/2022-07-01/telemetry", headers, SUBSCRIPTION),
        ]
    };
    let missing = forbidden(
        "Extension.MissingExtensionIdentifier",
        "Missing Lambda-Extension-Identifier header",
    );
    let invalid =
        forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier");
    check(Owner::default(), &requests(""), &[missing.repeat(5)], &[]);
    check(
        Owner::default(),
        &requests("Lambda-Extension-Identifier:\r\n"),
        &[missing.repeat(5)],
        &[],
    );
    check(
        Owner::default(),
        &requests("Lambda-Extension-Identifier: 1\r\n"),
        &[invalid.repeat(5)],
        &[],
    );
    let unknown = |message: &str| forbidden("Extension.UnknownExtensionIdentifier", message);
    let extension = unknown("Unknown extension 00000000-0000-0000-0000-000000000001");
    let header = unknown("Unknown Lambda-Extension-Identifier");
    check(
        Owner::default(),
        &requests(ID_1),
        &[
            extension.clone(),
            header.repeat(2),
            validation("", "schemaVersion is not supported"),
            extension,
        ],
        &[
            "extension next",
            "extension init error X ",
            "extension exit error X ",
            "subscribe Telemetry 2022-07-01 platform+function TCP 8080",
        ],
    );
}

const SUBSCRIPTION: &str = "{\"schemaVersion\":\"2022-07-01\",\"types\":[\"platform\",\"function\"],\
    \"destination\":{\"protocol\":\"TCP\",\"port\":8080}}";

/// Of the Logs API unless another prefix is given.
fn validation(prefix: &str, message: &str) -> String {
    let prefix = if prefix.is_empty() { "Logs." } else { "" };
    error("400 Bad Request", "", &format!("{prefix}ValidationError"), message)
}

#[test]
fn errors_are_taken_with_their_type_and_body() {
    let report = |path: &str, headers: &str, body: &str| {
        request(&format!("POST {EXTENSION}/{path}/error"), &format!("{ID_1}{headers}"), body)
    };
    let error_type = "Lambda-Extension-Function-Error-Type: Extension.My\tOwn\r\n";
    let missing =
        forbidden("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found");
    let state = |from: &str, to: &str| {
        let message = format!(
            "State transition from {from} to {to} failed for extension \
             00000000-0000-0000-0000-000000000001. Error: State transition is not allowed"
        );
        forbidden("Extension.InvalidExtensionState", &message)
    };
    check(
        Owner::with_extensions(&["a"], []),
        &[
            register("a", "", "{}"),
            report("init", "", "x"),
            report("init", error_type, "{\"a\":1}"),
            report("init", error_type, ""),
            report("exit", "", ""),
            report("exit", error_type, ""),
            next(ID_1),
        ],
        &[
            registered(1, ""),
            missing.clone(),
            ACCEPTED.repeat(2),
            missing,
            state("InitError", "Exited"),
            state("InitError", "Ready"),
        ],
        &[
            "register a  false",
            "extension init error Extension.My Own {\"a\":1}",
            "extension init error Extension.My Own ",
            "extension exit error Extension.My Own ",
            "extension next",
        ],
    );
    let long = format!("Lambda-Extension-Function-Error-Type: {}\r\n", "x".repeat(1_000));
    check(
        Owner::with_extensions(&["a"], []),
        &[register("a", "", "{}"), report("exit", &long, "")],
        &[registered(1, ""), ACCEPTED.into()],
        &[
            "register a  false",
            &format!("extension exit error {} ", "x".repeat(limits::ERROR_TYPE_BYTES)),
        ],
    );
}

#[test]
fn a_subscription_is_validated_and_passed_on() {
    let http = "{\"types\":[\"extension\"],\"destination\":\
        {\"protocol\":\"HTTP\",\"URI\":\"http://sandbox.localdomain:80/x\"}}";
    let none = "{\"destination\":{\"protocol\":\"HTTP\",\"URI\":\"http://sandbox.localdomain\"},\
        \"schemaVersion\":\"2022-07-01\"}";
    let problem = "URI port is not provided; types should not be empty";
    check(
        Owner::with_extensions(&["a"], []),
        &[
            register("a", "", "{}"),
            subscribe("/2022-07-01/telemetry", ID_1, SUBSCRIPTION),
            subscribe("/2022-07-01/telemetry", ID_1, none),
            subscribe("/2020-08-15/logs", ID_1, http),
            subscribe("/2020-08-15/logs", ID_1, ""),
        ],
        &[
            registered(1, ""),
            ok("", "\"OK\""),
            validation("Telemetry", problem),
            validation("", "already subscribed by the Telemetry API"),
            validation("", "invalid JSON at line 1 column 0"),
        ],
        &[
            "register a  false",
            "subscribe Telemetry 2022-07-01 platform+function TCP 8080",
            "subscribe Logs 2020-08-15 extension POST sandbox.localdomain 80 /x",
        ],
    );
}

#[test]
fn every_refusal_the_owner_may_choose_has_its_shape() {
    let text = |refusal: &ExtensionRefusal| {
        let (status, kind) = (refusal.status().as_u16(), refusal.error_type());
        format!("{status} {kind} {}", refusal.message())
    };
    let (telemetry, logs) = (SubscriptionApi::Telemetry, SubscriptionApi::Logs);
    for (refusal, expected) in [
        (
            ExtensionRefusal::NotSupported(telemetry),
            "202 Telemetry.NotSupported Telemetry API is not supported",
        ),
        (ExtensionRefusal::NotSupported(logs), "202 Logs.NotSupported Logs API is not supported"),
        (
            ExtensionRefusal::SubscriptionClosed(telemetry),
            "403 Telemetry.SubscriptionClosed Telemetry API subscription is closed",
        ),
        (
            ExtensionRefusal::SubscriptionClosed(logs),
            "403 Logs.SubscriptionClosed Logs API subscription is closed",
        ),
        (
            ExtensionRefusal::NameTaken,
            "403 Extension.InvalidExtensionState Extension with this name already registered",
        ),
    ] {
        assert_eq!(text(&refusal), expected);
    }
}

#[test]
fn without_extensions_their_routes_do_not_exist() {
    let not_found = error("404 Not Found", "", "NotFound", "Not found");
    let error_type = format!("{ID_1}Lambda-Extension-Function-Error-Type: X\r\n");
    let input = [
        register("a", "", "{}"),
        next(ID_1),
        request(&format!("POST {EXTENSION}/init/error"), &error_type, ""),
        request(&format!("POST {EXTENSION}/exit/error"), &error_type, ""),
        subscribe("/2022-07-01/telemetry", ID_1, SUBSCRIPTION),
    ];
    let talk = talk(input.concat().as_bytes(), Then::Wait, Owner::without_extensions());
    assert_eq!(talk.output, not_found.repeat(5));
}

#[test]
fn a_body_that_is_too_large_or_breaks_off_does_not_reach_the_owner() {
    let too_large = error(
        "413 Payload Too Large",
        "",
        "RequestEntityTooLarge",
        "Exceeded maximum allowed payload size (262144 bytes).",
    );
    let large = "x".repeat(limits::EXTENSION_BODY_BYTES + 1);
    let error_type = format!("{ID_1}Lambda-Extension-Function-Error-Type: X\r\n");
    let requests = |body: &str| {
        [
            register("a", "", body),
            request(&format!("POST {EXTENSION}/init/error"), &error_type, body),
            request(&format!("POST {EXTENSION}/exit/error"), &error_type, body),
            subscribe("/2022-07-01/telemetry", ID_1, body),
        ]
    };
    check(Owner::default(), &requests(&large), &[too_large.repeat(4)], &[]);
    for whole in requests("{}") {
        let short = &whole[..whole.len() - 1];
        for then in [Then::HalfClose, Then::Wait] {
            let talk = talk(short.as_bytes(), then, Owner::default());
            assert_eq!(talk.output, truncated());
            assert!(talk.calls.is_empty());
        }
    }
}

#[test]
fn a_second_next_is_refused_while_the_first_one_waits() {
    crate::talk::block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (sender, calls) = tokio::sync::mpsc::channel(8);
        let client = async move {
            let mut served = tokio::task::JoinSet::new();
            let mut connect = || {
                let (client, server) = tokio::io::duplex(4_096);
                served.spawn(dormouse_runtime_api::serve(server, sender.clone()));
                client
            };
            let mut first = connect();
            first.write_all(register("a", "", "{}").as_bytes()).await.unwrap();
            let mut answer = vec![0; registered(1, "").len()];
            first.read_exact(&mut answer).await.unwrap();
            first.write_all(next(ID_1).as_bytes()).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;

            let mut second = connect();
            second.write_all(next(ID_1).as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            second.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 403");
            drop((first, second));
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;

            // It lost its connection: now it may call again, and waits.
            let mut third = connect();
            third.write_all(next(ID_1).as_bytes()).await.unwrap();
            let patience = std::time::Duration::from_secs(1);
            let silence = tokio::time::timeout(patience, third.read_exact(&mut answer)).await;
            assert!(silence.is_err());
        };
        let owner = Owner::with_extensions(&["a"], []);
        tokio::join!(client, owner.run(calls));
    });
}
