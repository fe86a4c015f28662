//! The X-Ray header of an invocation: the caller's, completed, or a new one. Pure.
//!
//! Nothing collects segments yet; what a function is told is what it would be told on AWS.

use std::fmt::Write as _;

use dormouse_model::function::Tracing;

/// What a new header has.
const NEW_BYTES: usize = 74;

/// The header to hand on. What the caller decided stays; without its decision a function that traces
/// actively is sampled. `bits` are drawn only for what is missing.
pub(super) fn complete(
    asked: Option<&str>,
    tracing: Tracing,
    seconds: u64,
    mut bits: impl FnMut() -> u128,
) -> String {
    let given = asked.filter(|header| field(header, "Root").is_some()).unwrap_or_default();
    let mut header = String::with_capacity(given.len().max(NEW_BYTES));
    header.push_str(given.trim_end_matches(';'));
    // Writing to a String cannot fail.
    if given.is_empty() {
        let root = bits() & ((1 << 96) - 1);
        let _ = write!(header, "Root=1-{seconds:08x}-{root:024x}");
    }
    if field(given, "Parent").is_none() {
        let parent = bits() & u128::from(u64::MAX);
        let _ = write!(header, ";Parent={parent:016x}");
    }
    if field(given, "Sampled").is_none() {
        header.push_str(if tracing == Tracing::Active { ";Sampled=1" } else { ";Sampled=0" });
    }
    header
}

fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let fields = header.split(';').filter_map(|field| field.trim().split_once('='));
    fields.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: Option<&str>, tracing: Tracing, expected: &str) {
        assert_eq!(complete(asked, tracing, 0x5bef_4de7, || 0xabc), expected);
    }

    #[test]
    fn a_new_trace_is_sampled_when_the_function_traces() {
        let root = "Root=1-5bef4de7-000000000000000000000abc;Parent=0000000000000abc";
        check(None, Tracing::PassThrough, &format!("{root};Sampled=0"));
        check(None, Tracing::Active, &format!("{root};Sampled=1"));
        check(Some("no header"), Tracing::Active, &format!("{root};Sampled=1"));
    }

    #[test]
    fn what_the_caller_said_stays_and_the_rest_is_added() {
        let whole = "Root=1-a-b;Parent=c;Sampled=0;Lineage=1:2:3";
        check(Some(whole), Tracing::Active, whole);
        let added = "Root=1-a-b;Parent=0000000000000abc;Sampled=0";
        check(Some("Root=1-a-b"), Tracing::PassThrough, added);
        check(
            Some("Root=1-a-b;Sampled=1;"),
            Tracing::PassThrough,
            "Root=1-a-b;Sampled=1;Parent=0000000000000abc",
        );
    }
}
