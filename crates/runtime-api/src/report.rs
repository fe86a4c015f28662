//! From headers and body of an error request to an [`ErrorReport`]. Pure.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::call::ErrorReport;
use crate::cause;
use crate::limits;

/// The body carries the cause for X-Ray beside the error.
const CAUSE_IN_BODY: &str = "application/vnd.aws.lambda.error.cause+json";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const XRAY_CAUSE: &str = "lambda-runtime-function-xray-error-cause";
/// What the caller gets for a body of that type which is no JSON of that shape (RIE).
const INVALID_BODY: &[u8] = b"\"Invalid error body\"";

/// What is reported, whichever way it was sent.
pub(crate) fn report(headers: &HeaderMap, body: Bytes) -> ErrorReport {
    let error_type =
        headers.get(ERROR_TYPE).map(|value| filter_error_type(value.as_bytes()).to_owned());
    let cause_in_body = headers.get(CONTENT_TYPE).is_some_and(|value| value == CAUSE_IN_BODY);
    if cause_in_body {
        let (body, xray_cause) = split_cause(&body);
        return ErrorReport { error_type, body, xray_cause };
    }
    ErrorReport {
        error_type,
        body,
        xray_cause: headers.get(XRAY_CAUSE).and_then(|value| cause::crop(value.as_bytes())),
    }
}

/// What may stand in logs and telemetry as an error type: all that has `Runtime.Xx` or `Function.Xx`
/// in it (X upper case, x any letter), as long as it can stand in a line of log.
pub(crate) fn filter_error_type(error_type: &[u8]) -> &str {
    let printable = std::str::from_utf8(error_type)
        .ok()
        .filter(|text| text.len() <= limits::ERROR_TYPE_BYTES && !text.contains(char::is_control));
    match printable {
        Some(text) if has_named_error(text) => text,
        _ if error_type.starts_with(b"Function.") => "Function.Unknown",
        _ => "Runtime.Unknown",
    }
}

fn has_named_error(text: &str) -> bool {
    ["Runtime.", "Function."].iter().any(|prefix| {
        text.match_indices(prefix).any(|(at, _)| {
            matches!(
                text.as_bytes()[at + prefix.len()..],
                [first, second, ..]
                    if first.is_ascii_uppercase() && second.is_ascii_alphabetic()
            )
        })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithCause<'a> {
    #[serde(default)]
    error_message: String,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    stack_trace: Option<Vec<String>>,
    #[serde(default, borrow)]
    error_cause: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithoutCause {
    error_message: String,
    error_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_trace: Option<Vec<String>>,
}

/// The rest of the body for the caller, and the cause.
fn split_cause(body: &[u8]) -> (Bytes, Option<Bytes>) {
    let Ok(parsed) = serde_json::from_slice::<WithCause<'_>>(body) else {
        return (Bytes::from_static(INVALID_BODY), None);
    };
    let cause = parsed.error_cause.and_then(|raw| cause::crop(raw.get().as_bytes()));
    let rest = WithoutCause {
        error_message: parsed.error_message,
        error_type: parsed.error_type,
        stack_trace: parsed.stack_trace.filter(|lines| !lines.is_empty()),
    };
    let rest = serde_json::to_vec(&rest).expect("texts are always valid JSON");
    (rest.into(), cause)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(error_type: &str, expected: &str) {
        assert_eq!(filter_error_type(error_type.as_bytes()), expected, "{error_type:?}");
    }

    #[test]
    fn named_errors_of_runtime_and_function_are_kept() {
        check("Runtime.ExitError", "Runtime.ExitError");
        check("Function.ResponseSizeTooLarge", "Function.ResponseSizeTooLarge");
        check("Runtime.Xy", "Runtime.Xy");
        check("Runtime.Import_Error", "Runtime.Import_Error");
        check("my.Function.Failed!", "my.Function.Failed!");
        check("Function.x Runtime.Bad", "Function.x Runtime.Bad");
    }

    #[test]
    fn all_other_error_types_are_unknown() {
        check("", "Runtime.Unknown");
        check("Unhandled", "Runtime.Unknown");
        check("Handled", "Runtime.Unknown");
        check("Runtime.", "Runtime.Unknown");
        check("Runtime.X", "Runtime.Unknown");
        check("Runtime.X1", "Runtime.Unknown");
        check("Runtime.exit", "Runtime.Unknown");
        check("runtime.Exit", "Runtime.Unknown");
        check("Function.", "Function.Unknown");
        check("Function.x", "Function.Unknown");
        check("Function.Éa", "Function.Unknown");
        check("Runtime.Exit\tStatus: ok", "Runtime.Unknown");
        check("Function.Exit\u{85}", "Function.Unknown");
        check(&format!("Runtime.E{}", "x".repeat(300)), "Runtime.Unknown");
    }

    fn check_body(body: &str, expected_body: &str, expected_cause: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, CAUSE_IN_BODY.parse().unwrap());
        let report = report(&headers, Bytes::copy_from_slice(body.as_bytes()));
        let cause = report.xray_cause.unwrap_or_default();
        assert_eq!(report.body, expected_body.as_bytes(), "{body}");
        assert_eq!(cause, expected_cause.as_bytes(), "{body}");
        assert_eq!(report.error_type, None);
    }

    #[test]
    fn a_cause_in_the_body_is_split_off() {
        check_body(
            r#"{"errorType":"E","errorMessage":"m","stackTrace":["a"],"errorCause":{"message":"c"}}"#,
            r#"{"errorMessage":"m","errorType":"E","stackTrace":["a"]}"#,
            r#"{"exceptions":null,"working_directory":"","paths":null,"message":"c"}"#,
        );
        check_body("{}", r#"{"errorMessage":"","errorType":""}"#, "");
        check_body(
            r#"{"errorMessage":"m","errorCause":{}}"#,
            r#"{"errorMessage":"m","errorType":""}"#,
            "",
        );
        for broken in ["", "nope", "[1]", r#"{"errorType":1}"#, &"[".repeat(100_000)] {
            check_body(broken, "\"Invalid error body\"", "");
        }
    }

    #[test]
    fn a_body_of_any_other_type_is_untouched() {
        let mut headers = HeaderMap::new();
        headers.insert(ERROR_TYPE, "Unhandled".parse().unwrap());
        headers.insert(XRAY_CAUSE, r#"{"paths":["/x"]}"#.parse().unwrap());
        let report = report(&headers, Bytes::from_static(b"\xff{"));
        assert_eq!(report.body, &b"\xff{"[..]);
        assert_eq!(report.error_type.as_deref(), Some("Runtime.Unknown"));
        assert_eq!(
            report.xray_cause.unwrap(),
            r#"{"exceptions":null,"working_directory":"","paths":["/x"]}"#.as_bytes()
        );
    }

    proptest! {
        #[test]
        fn an_error_type_always_names_its_origin(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let kept = filter_error_type(&bytes);
            prop_assert!(kept.contains("Runtime.") || kept.contains("Function."));
            prop_assert!(!kept.contains(char::is_control));
        }
    }
}
