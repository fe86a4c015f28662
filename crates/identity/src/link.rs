//! Links that prove themselves: a path, the moment it ends, and a MAC over both.
//!
//! `Code.Location` is such a link. Whoever has it may read that one path until it expires; nothing
//! is stored. The key lives as long as the process that made it, or longer if its owner keeps it.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Keeps MACs of links apart from any other use of the same key.
const PURPOSE: &[u8] = b"dormouse link 1\n";
const EXPIRES: &str = "expires=";
const SIGNATURE: &str = "&signature=";

/// Signs and verifies links.
#[derive(Clone)]
pub struct Signer {
    key: [u8; 32],
}

/// Why a link opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was good once.
    #[error("link has expired")]
    Expired,
    /// It was not made with this key for this path.
    #[error("link has a wrong signature")]
    Wrong,
    /// It is no link of this form.
    #[error("link is malformed")]
    Malformed,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer with a key, which must be drawn at random.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The query string that opens a path until a moment in milliseconds since 1970.
    #[must_use]
    pub fn sign(&self, path: &str, expires_at_ms: u64) -> String {
        let mac = self.mac(path, expires_at_ms).finalize().into_bytes();
        format!("{EXPIRES}{expires_at_ms}{SIGNATURE}{}", to_hex(&mac))
    }

    /// Whether a query string opens a path now. The signature is judged before the time, so that
    /// nobody learns of a path by guessing.
    ///
    /// # Errors
    /// When it does not.
    pub fn verify(&self, path: &str, query: &str, now_ms: u64) -> Result<(), LinkError> {
        let (expires_at_ms, signature) = parse(query).ok_or(LinkError::Malformed)?;
        let mac = self.mac(path, expires_at_ms);
        // Compares in constant time.
        mac.verify_slice(&signature).map_err(|_| LinkError::Wrong)?;
        if now_ms >= expires_at_ms {
            return Err(LinkError::Expired);
        }
        Ok(())
    }

    fn mac(&self, path: &str, expires_at_ms: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes any key");
        mac.update(PURPOSE);
        // The number has a fixed width, so that no path can run into it.
        mac.update(&expires_at_ms.to_be_bytes());
        mac.update(path.as_bytes());
        mac
    }
}

/// One form only: a link that was changed in any byte is another link.
fn parse(query: &str) -> Option<(u64, [u8; 32])> {
    let (expires, signature) = query.strip_prefix(EXPIRES)?.split_once(SIGNATURE)?;
    let number: u64 = expires.parse().ok()?;
    if number.to_string() != expires || signature.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(signature.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some((number, bytes))
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "/_dormouse/code/abc";

    fn signer() -> Signer {
        Signer::new([7; 32])
    }

    #[test]
    fn a_link_opens_its_path_until_it_expires() {
        let query = signer().sign(PATH, 1_000);
        assert_eq!(signer().verify(PATH, &query, 999), Ok(()));
        assert_eq!(signer().verify(PATH, &query, 1_000), Err(LinkError::Expired));
        assert_eq!(signer().verify("/_dormouse/code/abd", &query, 0), Err(LinkError::Wrong));
        assert_eq!(Signer::new([8; 32]).verify(PATH, &query, 0), Err(LinkError::Wrong));
    }

    #[test]
    fn a_link_has_one_form_only() {
        let query = signer().sign(PATH, 1_000);
        for other in [
            String::new(),
            "expires=1000".to_owned(),
            query.replace("1000", "01000"),
            query.replace("1000", "+1000"),
            query.to_uppercase(),
            format!("{query}0"),
            format!("{query}&x=y"),
            format!("x=y&{query}"),
        ] {
            assert_eq!(signer().verify(PATH, &other, 0), Err(LinkError::Malformed), "{other}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", signer()), "Signer");
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_refused(
            key in any::<[u8; 32]>(),
            path in "/[a-z0-9/]{1,40}",
            expires in 1_u64..,
            at in any::<proptest::sample::Index>(),
            to in 0x20_u8..0x7f,
        ) {
            let signer = Signer::new(key);
            let query = signer.sign(&path, expires);
            prop_assert_eq!(signer.verify(&path, &query, expires - 1), Ok(()));
            let mut changed = query.clone().into_bytes();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != to);
            changed[at] = to;
            let changed = String::from_utf8(changed).unwrap();
            let refused = signer.verify(&path, &changed, 0);
            prop_assert!(matches!(refused, Err(LinkError::Wrong | LinkError::Malformed)));
        }

        #[test]
        fn one_changed_byte_of_the_path_is_refused(
            path in "/[a-z0-9/]{1,40}",
            at in any::<proptest::sample::Index>(),
            to in 0x20_u8..0x7f,
        ) {
            let query = signer().sign(&path, 10);
            let mut changed = path.clone().into_bytes();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != to);
            changed[at] = to;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(signer().verify(&changed, &query, 0), Err(LinkError::Wrong));
        }

        #[test]
        fn no_query_panics_the_verifier(query in ".{0,120}") {
            let _ = signer().verify(PATH, &query, 0);
            let _ = signer().verify(PATH, &format!("expires=1&signature={query}"), 0);
        }
    }
}
