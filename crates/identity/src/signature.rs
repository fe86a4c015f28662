//! Requests of our own, signed with AWS's signature version 4.
//!
//! Only what is asked for without a body is signed here. The date is handed in.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::link::to_hex;

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The access key id.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct UnsignedGet<'a> {
    /// The region of who is asked.
    pub region: &'a str,
    /// The `Host` header.
    pub host: &'a str,
    /// The path as it is sent, encoded.
    pub path: &'a str,
    /// The query as it is sent: encoded, its members in the order of their names.
    pub query: &'a str,
    /// `YYYYMMDDThhmmssZ`
    pub date: &'a str,
}

impl SigningKey {
    /// The headers that sign a GET of S3, beside `Host`.
    #[must_use]
    pub fn sign(&self, get: &UnsignedGet<'_>) -> [(&'static str, String); 3] {
        let UnsignedGet { region, host, path, query, date } = get;
        let nothing = to_hex(&Sha256::digest(b""));
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "GET\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{nothing}\nx-amz-date:{date}\n\n\
             {signed}\n{nothing}"
        );
        let day = date.get(..8).unwrap_or(date);
        let scope = format!("{day}/{region}/s3/aws4_request");
        let hash = to_hex(&Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
        let first = format!("AWS4{}", self.secret).into_bytes();
        let parts = [day, *region, "s3", "aws4_request", &text];
        let signature = parts.iter().fold(first, |key, part| mac(&key, part));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={}",
            self.key_id,
            to_hex(&signature)
        );
        [
            ("authorization", authorization),
            ("x-amz-content-sha256", nothing),
            ("x-amz-date", (*date).to_owned()),
        ]
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_as_by_botocore() {
        let key = SigningKey {
            key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let headers = key.sign(&UnsignedGet {
            region: "us-east-1",
            host: "127.0.0.1:9000",
            path: "/bucket/a%20b/c.zip",
            query: "versionId=v1",
            date: "20130524T000000Z",
        });
        // Made by S3SigV4Auth of botocore 1.44.5 for the same request.
        let signature = "a607e059ee448322e233859d20aaac3c374c2cd026183b6299a68c9d2f56c6fa";
        assert_eq!(
            headers[0].1,
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
            )
        );
        assert!(!format!("{key:?}").contains("wJalr"), "a secret is shown");
    }
}
