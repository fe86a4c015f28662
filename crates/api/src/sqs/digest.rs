//! MD5 of bodies and attributes, as clients compute it for themselves and compare.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::sqs::message::AttributeValue;

/// MD5 of a text, in lower-case hex.
#[must_use]
pub fn md5(text: &str) -> String {
    hex(Md5::new().chain_update(text))
}

/// What tells doubles by their body: its SHA-256.
#[must_use]
pub fn content_id(body: &str) -> String {
    Sha256::digest(body).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// MD5 of attributes, by the order of their names; none of none.
#[must_use]
pub fn attributes_md5(attributes: &BTreeMap<String, AttributeValue>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, value) in attributes {
        part(&mut digest, name.as_bytes());
        part(&mut digest, value.data_type.as_bytes());
        // How the value travels: 1 as a text, 2 as bytes.
        if let Some(binary) = value.binary() {
            digest.update([2]);
            part(&mut digest, &binary);
        } else {
            digest.update([1]);
            part(&mut digest, value.string_value.as_deref().unwrap_or_default().as_bytes());
        }
    }
    Some(hex(digest))
}

/// Bytes behind their length.
fn part(digest: &mut Md5, bytes: &[u8]) {
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

fn hex(digest: Md5) -> String {
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_rfc() {
        assert_eq!(md5(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(attributes_md5(&BTreeMap::new()), None);
    }
}
