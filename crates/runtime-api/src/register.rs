//! From the headers and body of a registration to what is wanted. Pure; knows no other extension.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::extension::Events;
use crate::extension_refusal::ExtensionRefusal;
use crate::limits;

const NAME: &str = "lambda-extension-name";
const FEATURES: &str = "lambda-extension-accept-feature";
/// Characters of an unknown event type that are repeated to the extension.
const EVENT_CHARS: usize = 64;

/// The extension's name, fit to stand in a line of log.
pub(crate) fn name(headers: &HeaderMap) -> Result<String, ExtensionRefusal> {
    let name = headers.get(NAME).map_or(&b""[..], |value| value.as_bytes());
    if name.is_empty() {
        return Err(ExtensionRefusal::EmptyName);
    }
    std::str::from_utf8(name)
        .ok()
        .filter(|name| name.len() <= limits::EXTENSION_NAME_BYTES)
        .filter(|name| !name.contains(char::is_control))
        .map(str::to_owned)
        .ok_or(ExtensionRefusal::InvalidName)
}

/// Whether the extension wants to be told the account. Features nobody knows are left alone.
pub(crate) fn accepts_account_id(headers: &HeaderMap) -> bool {
    let features = headers.get(FEATURES).and_then(|value| value.to_str().ok()).unwrap_or_default();
    features.split(',').any(|feature| feature.trim() == "accountId")
}

/// The events it wants to hear of.
pub(crate) fn events(body: &[u8]) -> Result<Events, ExtensionRefusal> {
    let body: Option<Map<String, Value>> = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        invalid_format(format!("Invalid request format at line {line} column {column}"))
    })?;
    let body = body.unwrap_or_default();
    let names = texts(&body, "events")?;
    if !texts(&body, "configurationKeys")?.is_empty() {
        let message = "configurationKeys are deprecated; use environment variables instead";
        return Err(invalid_format(message.into()));
    }
    let mut events = Events::default();
    for name in names {
        match name {
            "INVOKE" => events.invoke = true,
            "SHUTDOWN" => events.shutdown = true,
            unknown => {
                let event = unknown.chars().take(EVENT_CHARS).collect();
                return Err(ExtensionRefusal::InvalidEventType { event });
            }
        }
    }
    Ok(events)
}

/// A list of texts; an absent one is empty.
fn texts<'a>(body: &'a Map<String, Value>, field: &str) -> Result<Vec<&'a str>, ExtensionRefusal> {
    let texts = match body.get(field) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    texts.ok_or_else(|| invalid_format(format!("{field} should be a list of strings")))
}

fn invalid_format(message: String) -> ExtensionRefusal {
    ExtensionRefusal::InvalidRequestFormat { message }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, expected: &str) {
        let got = match events(body.as_bytes()) {
            Ok(events) => events.names().join(" "),
            Err(refusal) => format!("{} {}", refusal.error_type(), refusal.message()),
        };
        assert_eq!(got, expected, "{body}");
    }

    #[test]
    fn an_extension_may_want_any_or_no_events() {
        check(r#"{"events":["INVOKE","SHUTDOWN"]}"#, "INVOKE SHUTDOWN");
        check(r#"{"events":["SHUTDOWN","SHUTDOWN"],"x":1}"#, "SHUTDOWN");
        check(r#"{"events":["INVOKE"],"configurationKeys":[]}"#, "INVOKE");
        for body in [r#"{"events":[]}"#, r#"{"events":null}"#, "{}", "null"] {
            check(body, "");
        }
    }

    #[test]
    fn a_body_of_another_shape_is_refused() {
        check("", "InvalidRequestFormat Invalid request format at line 1 column 0");
        check("{", "InvalidRequestFormat Invalid request format at line 1 column 1");
        check(r#"[["INVOKE"]]"#, "InvalidRequestFormat Invalid request format at line 1 column 0");
        check(r#"{"events":"INVOKE"}"#, "InvalidRequestFormat events should be a list of strings");
        check(r#"{"events":[1]}"#, "InvalidRequestFormat events should be a list of strings");
        check(
            r#"{"events":["INVOKE"],"configurationKeys":["A"]}"#,
            "InvalidRequestFormat configurationKeys are deprecated; \
             use environment variables instead",
        );
    }

    #[test]
    fn an_unknown_event_is_refused_and_repeated_in_part() {
        check(
            r#"{"events":["invoke"]}"#,
            "Extension.InvalidEventType invoke: ErrorInvalidEventType",
        );
        let long = "é".repeat(EVENT_CHARS + 1);
        check(
            &format!(r#"{{"events":["INVOKE","{long}"]}}"#),
            &format!(
                "Extension.InvalidEventType {}: ErrorInvalidEventType",
                "é".repeat(EVENT_CHARS)
            ),
        );
    }

    #[test]
    fn a_name_must_be_able_to_stand_in_a_log() {
        let named = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(NAME, http::HeaderValue::from_bytes(bytes).unwrap());
            name(&headers)
        };
        assert_eq!(named(b"a b.sh"), Ok("a b.sh".into()));
        assert_eq!(named("é".as_bytes()), Ok("é".into()));
        assert_eq!(named(b""), Err(ExtensionRefusal::EmptyName));
        assert_eq!(name(&HeaderMap::new()), Err(ExtensionRefusal::EmptyName));
        assert_eq!(named(b"a\tb"), Err(ExtensionRefusal::InvalidName));
        assert_eq!(named(b"\xff"), Err(ExtensionRefusal::InvalidName));
        assert_eq!(named(&[b'x'; 256]), Err(ExtensionRefusal::InvalidName));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = events(&body);
        }
    }
}
