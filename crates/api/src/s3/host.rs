//! Which bucket a host names: `bucket.s3.localhost`, `bucket.localhost`, `bucket.127.0.0.1`.
//!
//! A host that is only an address or a name of ours names none; then the path does.

use crate::service::Service;

/// What a host says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    /// A bucket, and that it is S3's.
    Bucket(&'a str),
    /// A bucket, if it is S3 that is asked.
    Perhaps(&'a str),
    /// S3, but no bucket.
    S3,
    /// Neither.
    Silent,
}

/// Addresses under which we are known; what stands before one may be a bucket.
const BASES: [&str; 3] = ["localhost", "127.0.0.1", "localhost.localstack.cloud"];
/// What stands in names of other services that are told by their host.
const OTHERS: [&str; 2] = ["lambda-url", "execute-api"];

impl<'a> Host<'a> {
    /// Reads the header `Host`.
    pub(crate) fn of(host: &'a str) -> Self {
        let name = without_port(host);
        let Some(before) = BASES.iter().find_map(|base| before(name, base)).or_else(|| aws(name))
        else {
            return Self::Silent;
        };
        // `bucket.s3`, `s3`, `bucket.s3.us-east-1`, `bucket.s3-us-east-1`, `bucket`.
        if let Some(bucket) = before_s3(before) {
            return if bucket.is_empty() { Self::S3 } else { Self::Bucket(bucket) };
        }
        let is_other = before.is_empty() || before.split('.').any(|label| OTHERS.contains(&label));
        if is_other { Self::Silent } else { Self::Perhaps(before) }
    }
}

impl Host<'_> {
    /// Whether this alone makes a request one for S3: names of other services do not.
    pub(crate) fn says_s3(self) -> bool {
        match self {
            Self::Bucket(_) | Self::S3 => true,
            Self::Perhaps(name) => {
                !name.split('.').any(|label| Service::of_signing_name(label).is_some())
            }
            Self::Silent => false,
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What stands before a base; nothing before the base alone.
fn before<'a>(name: &'a str, base: &str) -> Option<&'a str> {
    let rest = name.len().checked_sub(base.len())?;
    if !name.is_char_boundary(rest) || !name[rest..].eq_ignore_ascii_case(base) {
        return None;
    }
    match name[..rest].strip_suffix('.') {
        Some(before) => Some(before),
        None => name[..rest].is_empty().then_some(""),
    }
}

/// AWS's own names, for who sends them here through a proxy or a changed resolver.
fn aws(name: &str) -> Option<&str> {
    before(name, "amazonaws.com").filter(|before| before_s3(before).is_some())
}

/// What stands before the label of S3, with or without a region.
fn before_s3(name: &str) -> Option<&str> {
    let labels: Vec<&str> = name.split('.').collect();
    let is_s3 = |label: &str| label == "s3" || label.starts_with("s3-");
    let from_end = match labels.as_slice() {
        [.., last] if is_s3(last) => 1,
        [.., before, _region] if is_s3(before) => 2,
        _ => return None,
    };
    let bucket: usize = labels[..labels.len() - from_end].iter().map(|label| label.len() + 1).sum();
    Some(&name[..bucket.saturating_sub(1)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_names_a_bucket_or_none() {
        let (bucket, perhaps) = (Host::Bucket, Host::Perhaps);
        for (host, expected) in [
            ("localhost", Host::Silent),
            ("localhost:9000", Host::Silent),
            ("127.0.0.1:9000", Host::Silent),
            ("[::1]:9000", Host::Silent),
            ("dormouse.example:9000", Host::Silent),
            ("s3.localhost:9000", Host::S3),
            ("s3.eu-west-1.localhost", Host::S3),
            ("b.s3.localhost:9000", bucket("b")),
            ("my.b.s3.eu-west-1.localhost", bucket("my.b")),
            ("b.s3-eu-west-1.amazonaws.com", bucket("b")),
            ("s3.amazonaws.com", Host::S3),
            ("lambda.us-east-1.amazonaws.com", Host::Silent),
            ("b.localhost:9000", perhaps("b")),
            ("my.b.localhost", perhaps("my.b")),
            ("b.127.0.0.1:9000", perhaps("b")),
            ("b.s3.127.0.0.1:9000", bucket("b")),
            ("b.s3.localhost.localstack.cloud:4566", bucket("b")),
            ("x.lambda-url.us-east-1.localhost:9000", Host::Silent),
            ("x.execute-api.localhost", Host::Silent),
            ("notlocalhost", Host::Silent),
            ("lambda.localhost", perhaps("lambda")),
            ("", Host::Silent),
            (":80", Host::Silent),
        ] {
            assert_eq!(Host::of(host), expected, "{host}");
        }
        assert!(!Host::of("lambda.localhost").says_s3());
        assert!(!Host::of("sqs.us-east-1.localhost").says_s3());
        assert!(Host::of("b.localhost").says_s3());
        assert!(!Host::of("localhost").says_s3());
    }

    proptest! {
        #[test]
        fn no_host_panics(host in "([a-z.:0-9é-]|s3|localhost|127\\.0\\.0\\.1){0,30}") {
            let _ = Host::of(&host);
        }
    }
}
