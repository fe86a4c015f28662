//! Headers of requests and answers: read as text, dates as HTTP writes them.

use http::HeaderMap;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::error::ApiError;
use crate::s3::refusal::invalid_argument;

/// A header as text; nothing when it is not there or not UTF-8.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

/// A header that is a number.
///
/// # Errors
/// When it is none.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(value) = text(headers, name) else {
        return Ok(None);
    };
    let number = value.trim().parse().ok();
    number.map(Some).ok_or_else(|| invalid_argument(format!("Invalid {name}"), name, value))
}

/// `Sat, 28 Nov 2026 00:11:28 GMT`.
#[must_use]
pub fn http_date(ms: u64) -> String {
    crate::time::http(ms)
}

/// The seconds since 1970 of an HTTP date; nothing when it is none, which is then without effect.
pub(crate) fn seconds(date: &str) -> Option<i64> {
    let date = date.trim();
    if let Ok(zoned) = rfc2822::parse(date) {
        return Some(zoned.timestamp().as_second());
    }
    date.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// The seconds since 1970 of `20261128T001128Z`.
#[must_use]
pub fn amz_seconds(date: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        let ms = 1_767_323_045_000;
        assert_eq!(http_date(ms), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(seconds(&http_date(ms)), Some(1_767_323_045));
        assert_eq!(seconds("2026-01-02T03:04:05Z"), Some(1_767_323_045));
        assert_eq!(amz_seconds("20260102T030405Z"), Some(1_767_323_045));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(amz_seconds("yesterday"), None);
    }
}
