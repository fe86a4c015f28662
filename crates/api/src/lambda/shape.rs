//! Shapes of bodies as tables: what may stand where, of which type and within which bounds.
//!
//! For operations with more members than are well checked one by one. A body is read in two steps:
//! [`read`] refuses what is of another type and leaves out what the shape does not know;
//! [`check`] tells every bound that is broken, in the words of [`Violations`]. Knows no operation.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::{ENUM, LONGEST, SHORTEST, Text, Violations};

/// The members of an object that were read.
pub(crate) type Members = Map<String, Value>;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A text of a kind.
    Text(&'static Text),
    /// A text out of a set.
    OneOf(&'static [&'static str]),
    /// A whole number between two, both included.
    Integer(i64, i64),
    /// A number between two, both included.
    Double(f64, f64),
    /// A text that is not to be repeated; so many characters at most.
    Private(usize),
    /// Yes or no.
    Boolean,
    /// A moment in seconds since 1970.
    Timestamp,
    /// Values of one shape; from so many to so many.
    List(&'static Shape, (usize, usize)),
    /// Values by texts; from so many to so many.
    Map((&'static Shape, &'static Shape), (usize, usize)),
    /// Members by name.
    Object(&'static [Member]),
}

/// A member of an object.
#[derive(Debug)]
pub(crate) struct Member {
    name: &'static str,
    required: bool,
    shape: Shape,
}

/// A member that may be left out.
pub(crate) const fn may(name: &'static str, shape: Shape) -> Member {
    Member { name, required: false, shape }
}

/// A member that must be there.
pub(crate) const fn must(name: &'static str, shape: Shape) -> Member {
    Member { name, required: true, shape }
}

/// As many as anybody likes.
pub(crate) const ANY: (usize, usize) = (0, usize::MAX);

/// Reads a body. What it does not know and what is null is left out.
pub(crate) fn read(body: &[u8], members: &'static [Member]) -> Result<Members, ApiError> {
    fitted_members(members, super::read(body)?, "")
}

/// Every bound that what was read breaks.
pub(crate) fn check(violations: &mut Violations, members: &'static [Member], of: &Members) {
    check_members(violations, members, of, "");
}

/// The same of the members of a query string, whose texts are read first.
pub(crate) fn asked(
    violations: &mut Violations,
    members: &'static [Member],
    query: QueryString<'_>,
) {
    for member in members {
        let path = inner("", member.name);
        let mut values = query.all(member.name).peekable();
        if values.peek().is_none() {
            if member.required {
                violations.null(&path);
            }
            continue;
        }
        if let Shape::List(..) = member.shape {
            let items = values.map(|value| Value::from(value.into_owned())).collect();
            check_value(violations, &member.shape, &Value::Array(items), &path);
        } else if let Some(text) = values.next() {
            match read_text(&member.shape, &text) {
                Ok(value) => check_value(violations, &member.shape, &value, &path),
                Err(kind) => violations.add(text, &path, format_args!("Member must be {kind}")),
            }
        }
    }
}

/// A value as it stands in a query string; the error is what it should be.
fn read_text(shape: &Shape, text: &str) -> Result<Value, &'static str> {
    match shape {
        Shape::Integer(..) => text.parse::<i64>().map(Value::from).map_err(|_| "an integer"),
        Shape::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| "a boolean"),
        Shape::Timestamp => {
            let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
            let fits = seconds.is_some() || text.parse::<jiff::Timestamp>().is_ok();
            fits.then(|| Value::from(text)).ok_or("a timestamp")
        }
        _ => Ok(Value::from(text)),
    }
}

/// What was read, as a type that has the same members.
pub(crate) fn typed<T: DeserializeOwned>(members: Members) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(members)).map_err(|error| unfit(&error.to_string()))
}

fn unfit(reason: &str) -> ApiError {
    let text = format!("Could not parse request body into json: {reason}");
    ApiError::new(Exception::Serialization, text)
}

fn fitted_members(
    members: &'static [Member],
    mut of: Members,
    path: &str,
) -> Result<Members, ApiError> {
    let mut fitting = Members::new();
    for member in members {
        if let Some(value) = of.remove(member.name).filter(|value| !value.is_null()) {
            let path = inner(path, member.name);
            fitting.insert(member.name.to_owned(), fitted(&member.shape, value, &path)?);
        }
    }
    Ok(fitting)
}

fn fitted(shape: &'static Shape, value: Value, path: &str) -> Result<Value, ApiError> {
    let fits = match (shape, value) {
        (Shape::Text(_) | Shape::OneOf(_) | Shape::Private(_), text @ Value::String(_)) => {
            Some(text)
        }
        (Shape::Integer(..), Value::Number(number)) => number.as_i64().map(Value::from),
        (Shape::Boolean, boolean @ Value::Bool(_)) => Some(boolean),
        (Shape::Timestamp | Shape::Double(..), number @ Value::Number(_)) => Some(number),
        (Shape::List(of, _), Value::Array(items)) => {
            let items = items.into_iter().map(|item| fitted(of, item, path));
            Some(Value::Array(items.collect::<Result<_, _>>()?))
        }
        (Shape::Map((_, of), _), Value::Object(items)) => {
            let items = items.into_iter().map(|(key, item)| Ok((key, fitted(of, item, path)?)));
            Some(Value::Object(items.collect::<Result<_, ApiError>>()?))
        }
        (Shape::Object(members), Value::Object(of)) => {
            Some(Value::Object(fitted_members(members, of, path)?))
        }
        _ => None,
    };
    fits.ok_or_else(|| unfit(&format!("unexpected type of {path}")))
}

fn check_members(violations: &mut Violations, members: &'static [Member], of: &Members, at: &str) {
    for member in members {
        let path = inner(at, member.name);
        match of.get(member.name) {
            Some(value) => check_value(violations, &member.shape, value, &path),
            None if member.required => violations.null(&path),
            None => {}
        }
    }
}

fn check_value(violations: &mut Violations, shape: &'static Shape, value: &Value, path: &str) {
    match (shape, value) {
        (Shape::Text(rule), Value::String(text)) => violations.text(text, path, rule),
        (Shape::OneOf(allowed), Value::String(text)) => violations.one_of(text, path, allowed),
        (Shape::Integer(min, max), Value::Number(number)) => {
            violations.range(number.as_i64().unwrap_or(i64::MAX), path, *min, *max);
        }
        (Shape::Double(min, max), Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(f64::INFINITY);
            if number > *max {
                let rule = format!("Member must have value less than or equal to {max}");
                violations.add(number, path, rule);
            } else if number < *min {
                let rule = format!("Member must have value greater than or equal to {min}");
                violations.add(number, path, rule);
            }
        }
        (Shape::Private(max), Value::String(text)) if text.chars().count() > *max => {
            violations.add_hidden(path, format_args!("{LONGEST} {max}"));
        }
        (Shape::List(of, count), Value::Array(items)) => {
            check_list(violations, (of, *count), items, path);
        }
        (Shape::Map(of, count), Value::Object(items)) => {
            check_map(violations, (*of, *count), items, path);
        }
        (Shape::Object(members), Value::Object(of)) => check_members(violations, members, of, path),
        _ => {}
    }
}

fn check_list(
    violations: &mut Violations,
    (of, count): (&'static Shape, (usize, usize)),
    items: &[Value],
    path: &str,
) {
    let shown = || format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "));
    violations.count(shown(), items.len(), path, count);
    if let Shape::Object(members) = of {
        for (index, item) in items.iter().enumerate() {
            if let Value::Object(item) = item {
                check_members(violations, members, item, &format!("{path}.{}.member", index + 1));
            }
        }
    } else if !items.iter().all(|item| is_met(of, item)) {
        let rule = format!("Member must satisfy constraint: {}", listed(of));
        violations.add(shown(), path, rule);
    }
}

fn check_map(
    violations: &mut Violations,
    ((keys, values), count): ((&'static Shape, &'static Shape), (usize, usize)),
    items: &Members,
    path: &str,
) {
    let shown = || format!("[{}]", items.keys().cloned().collect::<Vec<_>>().join(", "));
    violations.count(shown(), items.len(), path, count);
    if let Some(key) = items.keys().find(|key| !is_met(keys, &Value::String((*key).clone()))) {
        let rule = format!("Map keys must satisfy constraint: {}", listed(keys));
        violations.add(format!("[{key}]"), path, rule);
    }
    if !items.values().all(|value| is_met(values, value)) {
        let rule = format!("Map value must satisfy constraint: {}", listed(values));
        violations.add_hidden(path, rule);
    }
}

/// Whether a value within a list or a map is what it should be.
fn is_met(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Text(rule), Value::String(text)) => rule.is_met(text),
        (Shape::OneOf(allowed), Value::String(text)) => allowed.contains(&text.as_str()),
        (Shape::List(of, (min, max)), Value::Array(items)) => {
            (*min..=*max).contains(&items.len()) && items.iter().all(|item| is_met(of, item))
        }
        _ => true,
    }
}

/// The rule of a shape as it stands within the rule of a list or a map.
fn listed(shape: &Shape) -> String {
    const NOT_NULL: &str = "Member must not be null";
    match shape {
        Shape::Text(rule) => rule.listed(),
        Shape::OneOf(allowed) => format!("[{ENUM}: [{}], {NOT_NULL}]", allowed.join(", ")),
        Shape::List(of, (min, max)) => {
            let of = listed(of);
            let rule = format!("{LONGEST} {max}, {SHORTEST} {min}");
            format!("[{rule}, Member must satisfy constraint: {of}, {NOT_NULL}]")
        }
        _ => format!("[{NOT_NULL}]"),
    }
}

/// A value as a refusal repeats it.
fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The path of a member: as the framework writes it, beginning with a small letter.
fn inner(path: &str, name: &str) -> String {
    let mut inner = String::with_capacity(path.len() + name.len() + 1);
    if !path.is_empty() {
        let _ = write!(inner, "{path}.");
    }
    let mut letters = name.chars();
    inner.extend(letters.next().map(|first| first.to_ascii_lowercase()));
    inner.push_str(letters.as_str());
    inner
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const WORD: Text = Text {
        min: 1,
        max: 3,
        pattern: "[a-z]+",
        fits: |t| t.bytes().all(|b| b.is_ascii_lowercase()),
    };
    const SHAPE: &[Member] = &[
        must("Name", Shape::Text(&WORD)),
        may("Mode", Shape::OneOf(&["On", "Off"])),
        may("Size", Shape::Integer(1, 9)),
        may("Flag", Shape::Boolean),
        may("When", Shape::Timestamp),
        may("Words", Shape::List(&Shape::Text(&WORD), (1, 2))),
        may("Things", Shape::List(&Shape::Object(&[must("URL", Shape::Text(&WORD))]), ANY)),
        may(
            "Map",
            Shape::Map((&Shape::OneOf(&["K"]), &Shape::List(&Shape::Text(&WORD), (1, 1))), (1, 1)),
        ),
    ];

    /// Any JSON, near and far from what a shape wants.
    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[A-Z][a-z]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn told(body: &Value) -> String {
        let read = read(body.to_string().as_bytes(), SHAPE);
        let checked = read.and_then(|members| {
            let mut violations = Violations::default();
            check(&mut violations, SHAPE, &members);
            violations.finish()?;
            Ok(Value::Object(members).to_string())
        });
        checked.unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn what_fits_is_read_without_what_is_unknown_or_null() {
        let body = json!({
            "Name": "abc", "Mode": null, "Size": 9, "Other": 1, "Things": [{"URL": "a", "X": 1}],
            "Map": {"K": ["a"]},
        });
        let read = r#"{"Map":{"K":["a"]},"Name":"abc","Size":9,"Things":[{"URL":"a"}]}"#;
        assert_eq!(told(&body), read);
    }

    #[test]
    fn everything_that_is_broken_is_told_at_once() {
        let body = json!({
            "Mode": "x", "Size": 10, "Words": ["A", "b", "c"],
            "Things": [{"URL": "a"}, {}], "Map": {"k": [], "K": []},
        });
        insta::assert_snapshot!(told(&body).replace("; ", ";\n"), @r"
        ValidationException: 9 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null;
        Value 'x' at 'mode' failed to satisfy constraint: Member must satisfy enum value set: [On, Off];
        Value '10' at 'size' failed to satisfy constraint: Member must have value less than or equal to 9;
        Value '[A, b, c]' at 'words' failed to satisfy constraint: Member must have length less than or equal to 2;
        Value '[A, b, c]' at 'words' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 3, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [a-z]+, Member must not be null];
        Value null at 'things.2.member.uRL' failed to satisfy constraint: Member must not be null;
        Value '[K, k]' at 'map' failed to satisfy constraint: Member must have length less than or equal to 1;
        Value '[k]' at 'map' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy enum value set: [K], Member must not be null];
        Value at 'map' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 1, Member must have length greater than or equal to 1, Member must satisfy constraint: [Member must have length less than or equal to 3, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [a-z]+, Member must not be null], Member must not be null]
        ");
    }

    #[test]
    fn what_is_of_another_type_is_no_body_at_all() {
        for (name, value) in [
            ("Name", json!(1)),
            ("Mode", json!([])),
            ("Size", json!(1.5)),
            ("Flag", json!("true")),
            ("When", json!("now")),
            ("Words", json!("a")),
            ("Words", json!([1])),
            ("Words", json!([null])),
            ("Things", json!(["a"])),
            ("Map", json!([])),
            ("Map", json!({"K": "a"})),
        ] {
            let text = told(&json!({"Name": "a", name: value.clone()}));
            assert!(text.starts_with("SerializationException"), "{name} {value}: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics_a_shape(body in any_json()) {
            let _ = told(&body);
            let _ = told(&json!({"Name": body, "Words": body, "Things": [body], "Map": {"K": body}}));
        }
    }
}
