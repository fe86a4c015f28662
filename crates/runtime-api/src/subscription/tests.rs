//! What a subscription may be, what it becomes, and how each mistake is told.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn text(api: SubscriptionApi, body: &[u8]) -> String {
    let subscription = match parse(api, body) {
        Ok(subscription) => subscription,
        Err(refusal) => return format!("{}: {}", refusal.error_type(), refusal.message()),
    };
    let Buffering { max_bytes, max_items, timeout_ms } = subscription.buffering;
    let destination = match subscription.destination {
        Destination::Http { host, port, path, method } => format!("{method} {host} {port} {path}"),
        Destination::Tcp { port } => format!("TCP {port}"),
    };
    format!(
        "{} {} {max_bytes} {max_items} {timeout_ms} {destination}",
        subscription.schema_version.as_str(),
        subscription.types.names().join(",")
    )
}

fn check(api: SubscriptionApi, body: &Value, expected: &str) {
    assert_eq!(text(api, body.to_string().as_bytes()), expected, "{body}");
}

fn telemetry(body: &Value, expected: &str) {
    check(SubscriptionApi::Telemetry, body, expected);
}

fn logs(body: &Value, expected: &str) {
    check(SubscriptionApi::Logs, body, expected);
}

/// A subscription with these fields of the destination.
fn to(destination: &Value) -> Value {
    json!({"schemaVersion": "2022-07-01", "types": ["function"], "destination": destination})
}

#[test]
fn a_full_subscription_is_taken_as_it_is() {
    telemetry(
        &json!({
            "schemaVersion": "2022-12-13",
            "types": ["platform", "function", "extension", "platform"],
            "buffering": {"maxItems": 1000, "maxBytes": 1_048_576, "timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/a/b?c=d"},
        }),
        "2022-12-13 platform,function,extension 1048576 1000 25 \
         POST sandbox.localdomain 8080 /a/b?c=d",
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    telemetry(
        &to(&json!({"protocol": "TCP", "port": 4243})),
        "2022-07-01 function 262144 10000 1000 TCP 4243",
    );
    logs(
        &json!({"types": ["function"], "buffering": {"maxItems": 2000},
            "destination": {"protocol": "HTTP", "URI": "HTTP://Sandbox:80", "encoding": "JSON"}}),
        "2020-08-15 function 262144 2000 1000 POST sandbox 80 /",
    );
}

#[test]
fn each_api_has_its_schema_versions() {
    let with = |version: Value| {
        json!({"schemaVersion": version, "types": ["platform"],
            "destination": {"protocol": "TCP", "port": 1}})
    };
    for version in ["2022-07-01", "2022-12-13", "2025-01-29"] {
        telemetry(&with(version.into()), &format!("{version} platform 262144 10000 1000 TCP 1"));
        logs(&with(version.into()), "Logs.ValidationError: schemaVersion is not supported");
    }
    for version in ["2020-08-15", "2021-03-18"] {
        logs(&with(version.into()), &format!("{version} platform 262144 10000 1000 TCP 1"));
        telemetry(&with(version.into()), "ValidationError: schemaVersion is not supported");
    }
    telemetry(&with(json!(2022)), "ValidationError: schemaVersion is not supported");
    telemetry(&with(Value::Null), "ValidationError: schemaVersion is not provided");
}

#[test]
fn everything_wrong_is_said_at_once() {
    telemetry(
        &json!({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"},
            "schemaVersion": "2022-07-01", "types": []}),
        "ValidationError: URI port is not provided; types should not be empty",
    );
    logs(
        &json!({"buffering": {"maxItems": 999, "maxBytes": 1_048_577, "timeoutMs": "1"}}),
        "Logs.ValidationError: destination is not provided; types should not be empty; \
         maxBytes should be between 262144 and 1048576; \
         maxItems should be between 1000 and 10000; timeoutMs should be between 25 and 30000",
    );
    telemetry(
        &json!({"schemaVersion": 1, "types": "platform", "buffering": [], "destination": "x"}),
        "ValidationError: destination should be an object; types should be a list of strings; \
         schemaVersion is not supported; buffering should be an object",
    );
}

#[test]
fn numbers_are_whole_and_in_range() {
    let with = |timeout: Value| {
        let mut body = to(&json!({"protocol": "TCP", "port": 1}));
        body["buffering"] = json!({ "timeoutMs": timeout });
        body
    };
    telemetry(&with(json!(30_000)), "2022-07-01 function 262144 10000 30000 TCP 1");
    for timeout in
        [json!(24), json!(30_001), json!(-25), json!(25.5), json!(1e300), json!(u64::MAX)]
    {
        telemetry(&with(timeout), "ValidationError: timeoutMs should be between 25 and 30000");
    }
}

#[test]
fn unknown_types_are_refused() {
    for types in [json!(["platform", "x"]), json!([1]), json!(["Platform"])] {
        telemetry(
            &json!({"schemaVersion": "2022-07-01", "types": types,
                "destination": {"protocol": "TCP", "port": 1}}),
            "ValidationError: types should be platform, function or extension",
        );
    }
}

#[test]
fn nothing_is_delivered_but_to_the_environment_itself() {
    for host in ["sandbox.localdomain", "sandbox", "127.0.0.1", "localhost"] {
        telemetry(
            &to(&json!({"protocol": "HTTP", "URI": format!("http://{host}:1234/x")})),
            &format!("2022-07-01 function 262144 10000 1000 POST {host} 1234 /x"),
        );
    }
    for uri in [
        "http://example.com:80",
        "http://169.254.169.254:80/latest",
        "http://sandbox.localdomain.example.com:80",
        "http://sandbox.localdomain@example.com:80",
        "http://example.com@sandbox:80",
        "http://[::1]:80",
        "http://127.1:80",
        "http://localhost.:80",
    ] {
        telemetry(
            &to(&json!({"protocol": "HTTP", "URI": uri})),
            "ValidationError: URI host should be sandbox.localdomain",
        );
    }
}

#[test]
fn a_uri_that_is_none_is_refused() {
    let check = |uri: Value, problem: &str| {
        telemetry(
            &to(&json!({"protocol": "HTTP", "URI": uri})),
            &format!("ValidationError: {problem}"),
        );
    };
    check(Value::Null, "URI is not provided");
    check("".into(), "URI is not valid");
    check("http://sandbox:80/\r\nHost: x".into(), "URI is not valid");
    check("http://sandbox:99999/".into(), "port should be between 1 and 65535");
    check("http://sandbox:0/".into(), "port should be between 1 and 65535");
    check("https://sandbox:80/".into(), "URI should begin with http://");
    check("/path".into(), "URI should begin with http://");
    check("sandbox:80".into(), "URI should begin with http://");
}

#[test]
fn the_platforms_own_ports_are_refused() {
    for port in [9000, 9001] {
        let expected = format!("ValidationError: port {port} is reserved");
        telemetry(&to(&json!({"protocol": "TCP", "port": port})), &expected);
        let uri = format!("http://sandbox.localdomain:{port}/2018-06-01/runtime/init/error");
        telemetry(&to(&json!({"protocol": "HTTP", "URI": uri})), &expected);
    }
    for port in [json!(0), json!(65_536), json!("80"), json!(1.5), json!(-1)] {
        telemetry(
            &to(&json!({"protocol": "TCP", "port": port})),
            "ValidationError: port should be between 1 and 65535",
        );
    }
    telemetry(&to(&json!({"protocol": "TCP"})), "ValidationError: port is not provided");
    telemetry(&to(&json!({"protocol": "UDP"})), "ValidationError: protocol should be HTTP or TCP");
}

#[test]
fn only_the_logs_api_has_methods() {
    let with = |method: &str| {
        json!({"types": ["function"], "schemaVersion": null, "destination":
            {"protocol": "HTTP", "URI": "http://sandbox:80", "method": method}})
    };
    logs(&with("PUT"), "2020-08-15 function 262144 10000 1000 PUT sandbox 80 /");
    logs(&with("POST"), "2020-08-15 function 262144 10000 1000 POST sandbox 80 /");
    logs(&with("GET"), "Logs.ValidationError: method should be PUT or POST");
    let mut body = with("PUT");
    body["schemaVersion"] = "2022-07-01".into();
    telemetry(&body, "2022-07-01 function 262144 10000 1000 POST sandbox 80 /");
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in ["", "null", "[]", "{", "\"x\"", &"[".repeat(100_000)] {
        let got = text(SubscriptionApi::Logs, body.as_bytes());
        assert!(got.starts_with("Logs.ValidationError: invalid JSON at line 1"), "{got}");
    }
}

proptest! {
    #[test]
    fn no_destination_leaves_the_environment(uri in "http://[a-z0-9@:./?#\\[\\]-]{0,30}|\\PC{0,30}") {
        let body = to(&json!({"protocol": "HTTP", "URI": uri}));
        let parsed = parse(SubscriptionApi::Telemetry, body.to_string().as_bytes());
        if let Ok(Subscription { destination: Destination::Http { host, port, path, .. }, .. }) = parsed {
            prop_assert!(HOSTS.contains(&host.as_str()));
            prop_assert!(port != 0 && !limits::PLATFORM_PORTS.contains(&port));
            prop_assert!(path.starts_with('/') && !path.contains(char::is_control));
        }
    }
}
