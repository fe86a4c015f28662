//! The X-Ray header of an invocation: the caller's, completed, or a new one. Pure.
//!
//! Nothing collects segments yet; what a function is told is what it would be told on AWS.

use dormouse_model::function::Tracing;

/// The header to hand on. What the caller decided stays; without its decision a function that traces
/// actively is sampled. `bits` are drawn only for what is missing.
pub(super) fn complete(
    asked: Option<&str>,
    tracing: Tracing,
    seconds: u64,
    mut bits: impl FnMut() -> u128,
) -> String {
    let given = asked.filter(|header| field(header, "Root").is_some()).unwrap_or_default();
    let mut header = given.trim_end_matches(';').to_owned();
    if given.is_empty() {
        let root = bits() & ((1 << 96) - 1);
        header = format!("Root=1-{seconds:08x}-{root:024x}");
    }
    if field(given, "Parent").is_none() {
        let parent = bits() & u128::from(u64::MAX);
        header = format!("{header};Parent={parent:016x}");
    }
    if field(given, "Sampled").is_none() {
        let sampled = u8::from(tracing == Tracing::Active);
        header = format!("{header};Sampled={sampled}");
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
