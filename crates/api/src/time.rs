//! Instants as AWS writes them. Never reads a clock.

use jiff::Timestamp;

fn instant(ms: u64) -> Timestamp {
    // A time no calendar can write cannot come from a clock: show the last one there is.
    i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `2026-01-02T03:04:05.678+0000`, as a function's `LastModified`.
pub(crate) fn lambda(ms: u64) -> String {
    instant(ms).strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

/// `2026-01-02T03:04:05+0000`, as provisioned concurrency's `LastModified`.
pub(crate) fn lambda_seconds(ms: u64) -> String {
    instant(ms).strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

/// `2026-01-02T03:04:05Z`, as IAM's dates.
pub(crate) fn iso_seconds(ms: u64) -> String {
    instant(ms).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-01-02T03:04:05.678000000Z`, as a function URL's times.
pub(crate) fn iso_nanos(ms: u64) -> String {
    instant(ms).strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

/// `2026-01-02T03:04:05.678Z`, as in S3's documents.
pub(crate) fn iso_millis(ms: u64) -> String {
    instant(ms).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// `Fri, 02 Jan 2026 03:04:05 GMT`, as in headers.
pub(crate) fn http(ms: u64) -> String {
    instant(ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_look_as_aws_writes_them() {
        assert_eq!(lambda(1_767_323_045_678), "2026-01-02T03:04:05.678+0000");
        assert_eq!(lambda(1_767_323_045_000), "2026-01-02T03:04:05.000+0000");
        assert_eq!(lambda_seconds(1_767_323_045_678), "2026-01-02T03:04:05+0000");
        assert_eq!(iso_seconds(1_767_323_045_678), "2026-01-02T03:04:05Z");
        assert_eq!(iso_nanos(1_767_323_045_678), "2026-01-02T03:04:05.678000000Z");
        assert!(lambda(u64::MAX).starts_with("9999"));
    }
}
