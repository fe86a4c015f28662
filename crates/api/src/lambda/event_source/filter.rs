//! Patterns of event filters, as EventBridge has them: whether a text is one. What matches one is
//! not decided here.

use serde_json::{Map, Value};

/// Whether a text is a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Object(fields)) if is_object(&fields))
}

/// Fields with what each may be; at least one.
fn is_object(fields: &Map<String, Value>) -> bool {
    let is_field = |(name, value): (&String, &Value)| match value {
        Value::Array(choices) if name == "$or" => {
            choices.len() > 1
                && choices.iter().all(|choice| choice.as_object().is_some_and(is_object))
        }
        Value::Array(choices) => !choices.is_empty() && choices.iter().all(is_choice),
        Value::Object(inner) => is_object(inner),
        _ => false,
    };
    !fields.is_empty() && fields.iter().all(is_field)
}

/// A value to be met exactly, or a comparison.
fn is_choice(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(_) => false,
        Value::Object(comparison) => {
            let mut parts = comparison.iter();
            matches!((parts.next(), parts.next()), (Some((name, of)), None) if is_comparison(name, of))
        }
    }
}

fn is_comparison(name: &str, of: &Value) -> bool {
    match name {
        "exists" => of.is_boolean(),
        "equals-ignore-case" => of.is_string(),
        "wildcard" => of.as_str().is_some_and(is_wildcard),
        "cidr" => of.as_str().is_some_and(is_network),
        "prefix" | "suffix" => of.is_string() || is_without_case(of),
        "numeric" => of.as_array().is_some_and(|range| is_range(range)),
        "anything-but" => match of {
            Value::Object(comparison) => {
                let mut parts = comparison.iter();
                matches!((parts.next(), parts.next()), (Some((name, of)), None) if is_exclusion(name, of))
            }
            other => is_one_or_more(other, |value| value.is_string() || value.is_number()),
        },
        _ => false,
    }
}

/// What `anything-but` may hold besides values.
fn is_exclusion(name: &str, of: &Value) -> bool {
    match name {
        "prefix" | "suffix" => is_one_or_more(of, Value::is_string) || is_without_case(of),
        "equals-ignore-case" => is_one_or_more(of, Value::is_string),
        "wildcard" => is_one_or_more(of, |value| value.as_str().is_some_and(is_wildcard)),
        _ => false,
    }
}

fn is_without_case(of: &Value) -> bool {
    of.as_object().is_some_and(|of| {
        of.len() == 1 && of.get("equals-ignore-case").is_some_and(Value::is_string)
    })
}

fn is_one_or_more(of: &Value, fits: impl Fn(&Value) -> bool) -> bool {
    match of {
        Value::Array(values) => !values.is_empty() && values.iter().all(fits),
        value => fits(value),
    }
}

/// `["=", 1]`, or one bound or two that leave something between them.
fn is_range(range: &[Value]) -> bool {
    match range {
        [sign, number] => {
            matches!(sign.as_str(), Some("=" | "<" | "<=" | ">" | ">=")) && number.is_number()
        }
        [lower, from, upper, to] => {
            matches!(lower.as_str(), Some(">" | ">="))
                && matches!(upper.as_str(), Some("<" | "<="))
                && matches!((from.as_f64(), to.as_f64()), (Some(from), Some(to)) if from < to)
        }
        _ => false,
    }
}

/// Stars stand for anything, but two of them in a row for nothing more.
fn is_wildcard(text: &str) -> bool {
    !text.replace("\\\\", "").replace("\\*", "").contains("**")
}

/// An address and how many of its bits count.
fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_are_told_from_what_is_none() {
        for pattern in [
            r#"{"a": ["b"]}"#,
            r#"{"a": {"b": [1, null, true, ""]}}"#,
            r#"{"a": [{"prefix": "x"}, {"suffix": {"equals-ignore-case": "X"}}]}"#,
            r#"{"a": [{"anything-but": ["x", 1]}], "b": [{"anything-but": {"prefix": ["x"]}}]}"#,
            r#"{"a": [{"numeric": [">", 0, "<=", 5]}], "b": [{"numeric": ["=", 1.5]}]}"#,
            r#"{"a": [{"exists": false}], "b": [{"cidr": "10.0.0.0/24"}, {"cidr": "::/0"}]}"#,
            r#"{"$or": [{"a": [1]}, {"b": [2]}], "c": [{"wildcard": "a*b"}]}"#,
        ] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for other in [
            "",
            "simple string",
            "null",
            "[]",
            "{}",
            r#"{"a": "b"}"#,
            r#"{"a": []}"#,
            r#"{"a": {}}"#,
            r#"{"a": [[1]]}"#,
            r#"{"a": [{}]}"#,
            r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#,
            r#"{"a": [{"prefix": 1}]}"#,
            r#"{"a": [{"near": "x"}]}"#,
            r#"{"a": [{"numeric": [">", 5, "<", 5]}]}"#,
            r#"{"a": [{"numeric": ["!", 5]}]}"#,
            r#"{"a": [{"anything-but": []}]}"#,
            r#"{"a": [{"exists": "yes"}]}"#,
            r#"{"a": [{"cidr": "10.0.0.0/33"}]}"#,
            r#"{"a": [{"wildcard": "a**"}]}"#,
            r#"{"$or": [{"a": [1]}]}"#,
        ] {
            assert!(!is_pattern(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", near in r#"(\{|\}|\[|\]|"|:|,|prefix|numeric|\$or|[0-9]|a){0,24}"#) {
            let _ = is_pattern(&text);
            let _ = is_pattern(&near);
        }
    }
}
