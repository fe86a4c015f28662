//! Patterns for JSON: `{ $.a.b = "x" && ($.c[0] >= 5 || $.d NOT EXISTS) }`.
//!
//! A message that is no JSON matches none of them.

use std::borrow::Cow;

use serde_json::Value;

use super::compare::{Comparison, Found};
use super::condition::Condition;
use super::cursor::{Cursor, invalid};
use crate::error::ApiError;

/// What is asked about the values a selector finds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    selector: Vec<Step>,
    check: Check,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    Element(usize),
    /// `[*]`
    Elements,
}

#[derive(Debug, Clone, PartialEq)]
enum Check {
    Compare(Comparison),
    /// `IS NULL`, `IS TRUE`, `IS FALSE`
    Is(Value),
    Exists,
    NotExists,
}

/// Reads what follows the first brace.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Condition<Test>, ApiError> {
    let condition = Condition::parse(cursor, test)?;
    cursor.expect("}")?;
    Ok(condition)
}

/// Whether a message is let through.
pub(super) fn matches(condition: &Condition<Test>, message: &str) -> bool {
    // A parse is dear, and a message that cannot be an object or an array needs none.
    if !message.trim_start().starts_with(['{', '[']) {
        return false;
    }
    let Ok(value) = serde_json::from_str::<Value>(message) else {
        return false;
    };
    condition.holds(&|test: &Test| test.holds(&value))
}

fn test(cursor: &mut Cursor<'_>) -> Result<Test, ApiError> {
    let selector = selector(cursor)?;
    let check = match Comparison::parse(cursor, ends_bare)? {
        Some(comparison) => Check::Compare(comparison),
        None => keyword(cursor)?,
    };
    Ok(Test { selector, check })
}

fn keyword(cursor: &mut Cursor<'_>) -> Result<Check, ApiError> {
    if cursor.keyword("EXISTS") {
        return Ok(Check::Exists);
    }
    if cursor.keyword("NOT") && cursor.keyword("EXISTS") {
        return Ok(Check::NotExists);
    }
    if cursor.keyword("IS") {
        for (word, value) in
            [("NULL", Value::Null), ("TRUE", Value::Bool(true)), ("FALSE", Value::Bool(false))]
        {
            if cursor.keyword(word) {
                return Ok(Check::Is(value));
            }
        }
    }
    Err(cursor.unexpected())
}

/// Whether a bare text ends before this.
fn ends_bare(c: char) -> bool {
    c.is_whitespace() || ")}&|".contains(c)
}

fn selector(cursor: &mut Cursor<'_>) -> Result<Vec<Step>, ApiError> {
    if !cursor.take_exactly("$") {
        return Err(cursor.unexpected());
    }
    let mut steps = Vec::new();
    loop {
        if cursor.take_exactly("[") {
            steps.push(bracket(cursor)?);
        } else if cursor.take_exactly(".") {
            steps.extend(member(cursor)?);
        } else {
            break;
        }
    }
    cursor.skip_space();
    if steps.is_empty() { Err(cursor.unexpected()) } else { Ok(steps) }
}

/// After a dot; nothing before a bracket, since `$.[0]` is `$[0]`.
fn member(cursor: &mut Cursor<'_>) -> Result<Option<Step>, ApiError> {
    if cursor.is_at("[") {
        return Ok(None);
    }
    if let Some(name) = cursor.quoted()? {
        return Ok(Some(Step::Member(name)));
    }
    let name = cursor.until_exactly(|c| c.is_whitespace() || ".[]=!<>(){}&|\"".contains(c));
    if name.is_empty() {
        return Err(cursor.unexpected());
    }
    Ok(Some(Step::Member(name.to_owned())))
}

fn bracket(cursor: &mut Cursor<'_>) -> Result<Step, ApiError> {
    if let Some(name) = cursor.quoted()? {
        cursor.expect_exactly("]")?;
        return Ok(Step::Member(name));
    }
    if cursor.take_exactly("'") {
        let name = cursor.until_exactly(|c| c == '\'').to_owned();
        cursor.expect_exactly("']")?;
        return Ok(Step::Member(name));
    }
    let index = cursor.until_exactly(|c| c == ']');
    cursor.expect_exactly("]")?;
    match index.trim() {
        "*" => Ok(Step::Elements),
        index => {
            let digits = index.bytes().all(|b| b.is_ascii_digit());
            let number = index.parse().ok().filter(|_| digits);
            number.map(Step::Element).ok_or_else(|| {
                invalid(&format!("Invalid filter pattern: '{index}' is not an index."))
            })
        }
    }
}

impl Test {
    /// A selector that finds nothing fails every check but `NOT EXISTS`, `!=` included.
    fn holds(&self, value: &Value) -> bool {
        let found = found(&self.selector, value);
        match &self.check {
            Check::Exists => !found.is_empty(),
            Check::NotExists => found.is_empty(),
            Check::Is(wanted) => found.contains(&wanted),
            Check::Compare(comparison) => found.iter().any(|value| compare(comparison, value)),
        }
    }
}

fn found<'v>(selector: &[Step], value: &'v Value) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in selector {
        found = match step {
            Step::Member(name) => found.into_iter().filter_map(|value| value.get(name)).collect(),
            Step::Element(index) => {
                found.into_iter().filter_map(|value| value.get(index)).collect()
            }
            Step::Elements => found.into_iter().filter_map(Value::as_array).flatten().collect(),
        };
    }
    found
}

fn compare(comparison: &Comparison, value: &Value) -> bool {
    let (text, number): (Cow<'_, str>, _) = match value {
        Value::String(text) => (text.into(), None),
        Value::Number(number) => (number.to_string().into(), number.as_f64()),
        Value::Bool(true) => ("true".into(), None),
        Value::Bool(false) => ("false".into(), None),
        Value::Null | Value::Array(_) | Value::Object(_) => return false,
    };
    comparison.holds(&Found { text: &text, number })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::FilterPattern;

    const EVENT: &str = r#"{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111",
        "arrayKey":["value","another"],"objectList":[{"name":"a","on":true},{"name":"b"}],
        "SomeObject":null,"cluster.name":"c","user agent":"curl","n":5,"f":2.5,"ok":false,
        "text":"7","deep":{"er":{"est":"x"}},"latency":1.5e3}"#;

    fn check(pattern: &str, expected: bool) {
        let pattern = FilterPattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(EVENT), expected, "{pattern:?}");
    }

    #[test]
    fn texts_are_compared_with_stars() {
        check(r#"{ $.eventType = "UpdateTrail" }"#, true);
        check(r#"{ $.eventType = UpdateTrail }"#, true);
        check(r#"{ $.eventType = "updatetrail" }"#, false);
        check(r#"{ $.eventType = "*" }"#, true);
        check(r#"{ $.eventType = "Up*Tr*l" }"#, true);
        check("{ $.sourceIPAddress != 123.123.* }", true);
        check("{ $.sourceIPAddress != 111.111.* }", false);
        check("{$.sourceIPAddress=111.*}", true);
        check(r#"{ $.missing != "x" }"#, false);
        check(r#"{ $.arrayKey = "value" }"#, false);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        check("{ $.n = 5 }", true);
        check("{ $.n = 5.0 }", true);
        check("{ $.n > 4 && $.n < 6 }", true);
        check("{ $.n >= 5 && $.n <= 5 }", true);
        check("{ $.n != 5 }", false);
        check("{ $.f = 25e-1 }", true);
        check("{ $.latency > 1e3 }", true);
        check("{ $.n = 5* }", true);
        check("{ $.text > 5 }", false);
        check("{ $.text = 7 }", true);
        check("{ $.eventType > 1 }", false);
    }

    #[test]
    fn selectors_reach_into_objects_and_arrays() {
        check(r#"{ $.arrayKey[0] = "value" }"#, true);
        check(r#"{ $.arrayKey[1] = "value" }"#, false);
        check(r#"{ $.arrayKey[*] = "another" }"#, true);
        check(r#"{ $.objectList[1].name = "b" }"#, true);
        check(r#"{ $.objectList[*].name = "b" }"#, true);
        check(r#"{ $.deep.er.est = "x" }"#, true);
        check(r#"{ $."user agent" = "curl" }"#, true);
        check(r#"{ $['cluster.name'] = "c" }"#, true);
        check(r#"{ $.["cluster.name"] = "c" }"#, true);
        check("{ $.n.deeper = 5 }", false);
    }

    #[test]
    fn words_ask_whether_there_is_something_and_what() {
        check("{ $.SomeObject IS NULL }", true);
        check("{ $.missing IS NULL }", false);
        check("{ $.SomeObject EXISTS }", true);
        check("{ $.missing NOT EXISTS }", true);
        check("{ $.n NOT EXISTS }", false);
        check("{ $.ok IS FALSE }", true);
        check("{ $.ok is true }", false);
        check("{ $.objectList[*].on IS TRUE }", true);
    }

    #[test]
    fn conditions_are_joined() {
        check(r#"{ ($.n = 1 || $.n = 5) && $.eventType = "Update*" }"#, true);
        check("{ $.n = 5 || $.missing EXISTS && $.n = 1 }", true);
        check("{ ($.n = 5 || $.missing EXISTS) && $.n = 1 }", false);
    }

    #[test]
    fn what_is_no_json_matches_nothing() {
        let pattern = FilterPattern::parse("{ $.a NOT EXISTS }").unwrap();
        assert!(pattern.matches("{\"b\": 1}\n"));
        assert!(pattern.matches(" []"));
        for message in ["", "text", "{", "5", "START {\"b\": 1}"] {
            assert!(!pattern.matches(message), "{message}");
        }
    }

    proptest! {
        #[test]
        fn comparisons_do_what_they_say(
            a in -9i32..9, b in -9i32..9, c in "[xy]{0,2}", d in "[xy]{0,2}",
        ) {
            let message = format!(r#"{{"a": {a}, "c": {{"d": ["{c}"]}}}}"#);
            for (operator, expected) in [
                ("=", a == b), ("!=", a != b), ("<", a < b), ("<=", a <= b), (">", a > b),
                (">=", a >= b),
            ] {
                let matches = |pattern: &str| FilterPattern::parse(pattern).unwrap().matches(&message);
                let number = format!("$.a {operator} {b}");
                let text = format!(r#"$.c.d[0] = "{d}""#);
                prop_assert_eq!(matches(&format!("{{ {number} }}")), expected);
                prop_assert_eq!(matches(&format!("{{ {text} }}")), c == d);
                prop_assert_eq!(matches(&format!("{{{number}&&{text}}}")), expected && c == d);
                prop_assert_eq!(matches(&format!("{{ ({number}) || ({text}) }}")), expected || c == d);
            }
        }
    }
}
