//! Packages from an S3 beside this one: what an operator names with `--s3-endpoint`, asked for buckets
//! that this server does not have. Plain HTTP, path style, signed when there is a key to sign with.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::str::FromStr;

use dormouse_api::error::ApiError;
use dormouse_identity::{SigningKey, UnsignedGet};
use dormouse_model::limits;
use http::{Request, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::warn;

use super::package::{not_had, unzipped_too_large};
use crate::outbound::{self, Answer};

/// A refusal's document that is read to its end (ours); codes come first.
const REFUSAL_BYTES: u64 = 64 * 1024;
/// What stays as it is in a path or a query that is signed.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &PLAIN.remove(b'/');

/// Where it is and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherS3 {
    address: String,
    /// Without it, requests are not signed.
    key: Option<SigningKey>,
}

/// Reads `http://HOST[:PORT]`.
impl FromStr for OtherS3 {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "an endpoint is http://HOST[:PORT]";
        let host = text.strip_prefix("http://").ok_or(wrong)?;
        let host = host.strip_suffix('/').unwrap_or(host);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(wrong);
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { address, key: None })
    }
}

impl OtherS3 {
    /// The same, asked with a key.
    #[must_use]
    pub fn signed_by(self, key: Option<SigningKey>) -> Self {
        Self { key, ..self }
    }

    /// Copies an object into a file that has no name.
    pub(super) async fn fetch(
        &self,
        region: &str,
        (bucket, key, version): (&str, &str, Option<&str>),
        now_ms: u64,
    ) -> Result<File, ApiError> {
        let path = format!("/{bucket}/{}", utf8_percent_encode(key, PATH));
        let version = version.map(|it| format!("versionId={}", utf8_percent_encode(it, PLAIN)));
        let query = version.unwrap_or_default();
        let answer = outbound::get(&self.address, self.request(region, (&path, &query), now_ms));
        let (head, answer) = answer.await.map_err(|error| self.unreachable(&error))?;
        if head.status != StatusCode::OK {
            return Err(self.refused(head.status, answer).await);
        }
        let copied = answer.read_by(|pieces| {
            let mut file = tempfile::tempfile()?;
            let most = limits::UNZIPPED_BYTES + 1;
            let copied = io::copy(&mut pieces.take(most), &mut file)?;
            file.rewind()?;
            Ok((file, copied == most))
        });
        match copied.await.map_err(io::Error::other).flatten() {
            Ok((file, false)) => Ok(file),
            Ok((_, true)) => Err(unzipped_too_large()),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    fn request(
        &self,
        region: &str,
        (path, query): (&str, &str),
        now_ms: u64,
    ) -> http::request::Builder {
        let host = self.address.as_str();
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut request = Request::get(target).header(header::HOST, host);
        let now = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let date = now.unwrap_or(Timestamp::MAX).strftime("%Y%m%dT%H%M%SZ").to_string();
        if let Some(key) = &self.key {
            let headers = key.sign(&UnsignedGet { region, host, path, query, date: &date });
            for (name, value) in headers {
                request = request.header(name, value);
            }
        }
        request
    }

    /// What it says itself, in Lambda's words around it.
    async fn refused(&self, status: StatusCode, answer: Answer) -> ApiError {
        let read = answer.read_by(|pieces| {
            let mut document = String::new();
            pieces.take(REFUSAL_BYTES).read_to_string(&mut document).map(|_| document)
        });
        let document = read.await.ok().and_then(Result::ok).unwrap_or_default();
        let said = |tag: &str| {
            let (_, rest) = document.split_once(&format!("<{tag}>"))?;
            rest.split_once(&format!("</{tag}>")).map(|(text, _)| text.to_owned())
        };
        let code = said("Code").unwrap_or_else(|| status.as_u16().to_string());
        let text = said("Message");
        not_had(&code, &text.unwrap_or_else(|| format!("{} said no more", self.address)))
    }

    fn unreachable(&self, error: &io::Error) -> ApiError {
        warn!(address = %self.address, %error, "--s3-endpoint is not reached");
        not_had("ServiceUnavailable", "The configured S3 endpoint cannot be reached.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_plain_http_without_a_path() {
        let read = |text: &str| text.parse::<OtherS3>().map(|it| it.address);
        assert_eq!(read("http://127.0.0.1:9000/"), Ok("127.0.0.1:9000".to_owned()));
        assert_eq!(read("http://minio"), Ok("minio:80".to_owned()));
        for wrong in ["", "minio:9000", "https://minio", "http://", "http://a/b", "http://a b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
