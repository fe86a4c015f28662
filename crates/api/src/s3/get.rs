//! What of an object is wanted, and on which conditions.

use http::HeaderMap;

use crate::error::ApiError;
use crate::query::QueryString;
use crate::s3::header::{seconds, text};
use crate::s3::refusal::{invalid_range, precondition_failed};

/// What conditions are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The entity tag, without quotes.
    pub etag: &'a str,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// What conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They hold.
    Holds,
    /// The caller has what there is: 304.
    NotModified,
}

/// Conditions on what is read or copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    matches: Option<String>,
    none_matches: Option<String>,
    modified_since_s: Option<i64>,
    unmodified_since_s: Option<i64>,
}

impl Conditions {
    /// The conditions of a request, whose headers begin with `prefix`.
    #[must_use]
    pub fn of(headers: &HeaderMap, prefix: &str) -> Self {
        let text = |name: &str| text(headers, &format!("{prefix}{name}")).map(str::to_owned);
        let time = |name: &str| text(name).and_then(|date| seconds(&date));
        Self {
            matches: text("if-match"),
            none_matches: text("if-none-match"),
            modified_since_s: time("if-modified-since"),
            unmodified_since_s: time("if-unmodified-since"),
        }
    }

    /// Judges them, in the order of HTTP: an entity tag that decides makes the date beside it silent.
    ///
    /// # Errors
    /// 412 when one demands what is not so.
    pub fn judge(&self, found: Found<'_>) -> Result<Verdict, ApiError> {
        let modified_s = i64::try_from(found.modified_ms / 1_000).unwrap_or(i64::MAX);
        match (&self.matches, self.unmodified_since_s) {
            (Some(wanted), _) if !names(wanted, found.etag) => {
                return Err(precondition_failed("If-Match"));
            }
            (None, Some(since)) if modified_s > since => {
                return Err(precondition_failed("If-Unmodified-Since"));
            }
            _ => {}
        }
        match (&self.none_matches, self.modified_since_s) {
            (Some(known), _) if names(known, found.etag) => Ok(Verdict::NotModified),
            (None, Some(since)) if modified_s <= since => Ok(Verdict::NotModified),
            _ => Ok(Verdict::Holds),
        }
    }

    /// Judges them for who cannot be told 304.
    ///
    /// # Errors
    /// 412 when one does not hold.
    pub fn demand(&self, found: Found<'_>) -> Result<(), ApiError> {
        match self.judge(found)? {
            Verdict::Holds => Ok(()),
            Verdict::NotModified => Err(precondition_failed("If-None-Match")),
        }
    }
}

/// Conditions on what is replaced or deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteConditions {
    matches: Option<String>,
    none_matches: Option<String>,
}

impl WriteConditions {
    /// The conditions of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| text(headers, name).map(str::to_owned);
        Self { matches: text("if-match"), none_matches: text("if-none-match") }
    }

    /// Judges them by the entity tag of what is there.
    ///
    /// # Errors
    /// 412 when one does not hold; 404 when what is to match is not there.
    pub fn demand(&self, key: &str, etag: Option<&str>) -> Result<(), ApiError> {
        if let Some(wanted) = &self.matches {
            let etag = etag.ok_or_else(|| crate::s3::refusal::no_such_key(key))?;
            if !names(wanted, etag) {
                return Err(precondition_failed("If-Match"));
            }
        }
        match (&self.none_matches, etag) {
            (Some(known), Some(etag)) if names(known, etag) => {
                Err(precondition_failed("If-None-Match"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a list of entity tags names one.
fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|wanted| {
        let wanted = wanted.strip_prefix("W/").unwrap_or(wanted);
        wanted == "*" || wanted.trim_matches('"') == etag
    })
}

/// Bytes of an object, from the first to the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub start: u64,
    /// The one behind the last.
    pub end: u64,
}

impl Span {
    /// How many they are.
    #[must_use]
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether they are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The header `Content-Range`.
    #[must_use]
    pub fn content_range(self, size_bytes: u64) -> String {
        format!("bytes {}-{}/{size_bytes}", self.start, self.end.saturating_sub(1))
    }
}

/// The bytes that the header `Range` asks for; nothing when it asks for all, is malformed or asks for
/// several spans: then the whole object is the answer.
///
/// # Errors
/// 416 when the object has none of them.
pub fn range(header: Option<&str>, size_bytes: u64) -> Result<Option<Span>, ApiError> {
    let Some((header, asked)) =
        header.and_then(|header| Some((header, header.trim().strip_prefix("bytes=")?)))
    else {
        return Ok(None);
    };
    let Some((first, last)) = asked.split_once('-') else {
        return Ok(None);
    };
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // What is too large for a number is behind every end.
            Some(Some(text.parse::<u64>().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let span = match (number(first), number(last)) {
        (Some(Some(first)), Some(Some(last))) if first <= last => {
            Span { start: first, end: last.saturating_add(1).min(size_bytes) }
        }
        (Some(Some(first)), Some(None)) => Span { start: first, end: size_bytes },
        (Some(None), Some(Some(last))) => {
            Span { start: size_bytes.saturating_sub(last), end: size_bytes }
        }
        _ => return Ok(None),
    };
    if span.start >= span.end {
        return Err(invalid_range(header, size_bytes));
    }
    Ok(Some(span))
}

/// Headers of the answer that the query string sets, each with its value.
pub fn overrides(query: QueryString<'_>) -> impl Iterator<Item = (&'static str, String)> {
    const NAMES: [(&str, &str); 6] = [
        ("response-cache-control", "cache-control"),
        ("response-content-disposition", "content-disposition"),
        ("response-content-encoding", "content-encoding"),
        ("response-content-language", "content-language"),
        ("response-content-type", "content-type"),
        ("response-expires", "expires"),
    ];
    NAMES.into_iter().filter_map(move |(asked, name)| Some((name, query.get(asked)?.into_owned())))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn ranged(header: &str, size: u64) -> String {
        match range(Some(header), size) {
            Ok(Some(span)) => span.content_range(size),
            Ok(None) => "all".to_owned(),
            Err(error) => error.exception.facts().query_code.to_owned(),
        }
    }

    #[test]
    fn a_range_is_some_of_the_bytes_or_all_or_none() {
        assert_eq!(ranged("bytes=0-4", 10), "bytes 0-4/10");
        assert_eq!(ranged("bytes=5-", 10), "bytes 5-9/10");
        assert_eq!(ranged("bytes=-3", 10), "bytes 7-9/10");
        assert_eq!(ranged("bytes=-30", 10), "bytes 0-9/10");
        assert_eq!(ranged("bytes=5-99999999999999999999999", 10), "bytes 5-9/10");
        assert_eq!(ranged("bytes=10-", 10), "InvalidRange");
        assert_eq!(ranged("bytes=0-0", 0), "InvalidRange");
        assert_eq!(ranged("bytes=-0", 10), "InvalidRange");
        for all in ["bytes=4-2", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=1"] {
            assert_eq!(ranged(all, 10), "all", "{all}");
        }
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_http() {
        let old = "Fri, 02 Jan 2026 03:04:04 GMT";
        let same = "Fri, 02 Jan 2026 03:04:05 GMT";
        let check = |headers: &[(&str, &str)], expected: &str| {
            let mut request = Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let headers = request.body(()).unwrap().into_parts().0.headers;
            let found = Found { etag: "ab", modified_ms: 1_767_323_045_678 };
            let shown = match Conditions::of(&headers, "").judge(found) {
                Ok(Verdict::Holds) => "200",
                Ok(Verdict::NotModified) => "304",
                Err(_) => "412",
            };
            assert_eq!(shown, expected, "{headers:?}");
        };
        check(&[], "200");
        check(&[("if-match", "\"ab\"")], "200");
        check(&[("if-match", "\"x\", \"ab\"")], "200");
        check(&[("if-match", "*")], "200");
        check(&[("if-match", "\"x\"")], "412");
        check(&[("if-none-match", "\"ab\"")], "304");
        check(&[("if-none-match", "\"x\"")], "200");
        check(&[("if-modified-since", same)], "304");
        check(&[("if-modified-since", old)], "200");
        check(&[("if-unmodified-since", old)], "412");
        check(&[("if-unmodified-since", same)], "200");
        check(&[("if-match", "ab"), ("if-unmodified-since", old)], "200");
        check(&[("if-none-match", "x"), ("if-modified-since", same)], "200");
        check(&[("if-modified-since", "nonsense")], "200");
    }

    #[test]
    fn a_write_may_demand_what_is_there_or_that_nothing_is() {
        let check = |name: &str, value: &str, there: Option<&str>, expected: &str| {
            let request = Request::builder().header(name, value).body(()).unwrap();
            let conditions = WriteConditions::of(&request.into_parts().0.headers);
            let shown = match conditions.demand("k", there) {
                Ok(()) => "ok",
                Err(error) => error.exception.facts().query_code,
            };
            assert_eq!(shown, expected, "{name} {value} {there:?}");
        };
        check("if-none-match", "*", None, "ok");
        check("if-none-match", "*", Some("ab"), "PreconditionFailed");
        check("if-match", "\"ab\"", Some("ab"), "ok");
        check("if-match", "\"ab\"", Some("cd"), "PreconditionFailed");
        check("if-match", "\"ab\"", None, "NoSuchKey");
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_the_object(header in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0_u64..500) {
            if let Ok(Some(span)) = range(Some(&header), size) {
                prop_assert!(span.start < span.end && span.end <= size);
            }
        }
    }
}
