//! The one door for randomness: a function handed in by whoever owns the process.

use std::fmt;
use std::sync::Arc;

use crate::names::{CodeSigningConfigId, EnvironmentId, RequestId, RevisionId};

/// Where randomness comes from.
#[derive(Clone)]
pub struct Chance(Arc<dyn Fn() -> u128 + Send + Sync>);

impl Chance {
    /// Chance that draws 128 bits at a time from the given function.
    pub fn new(draw: impl Fn() -> u128 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// 128 random bits.
    #[must_use]
    pub fn bits(&self) -> u128 {
        (self.0)()
    }

    /// A random (version 4) UUID in its usual form.
    #[must_use]
    pub fn uuid(&self) -> String {
        // Version 4, variant 1 (RFC 9562 §5.4).
        let bits = self.bits() & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let mut text = String::with_capacity(36);
        for (place, byte) in bits.to_be_bytes().into_iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0xf));
        }
        text
    }

    /// A new request id.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        self.uuid().parse().expect("a UUID is a request id")
    }

    /// A new revision.
    #[must_use]
    pub fn revision_id(&self) -> RevisionId {
        self.uuid().parse().expect("a UUID is a revision id")
    }

    /// A new id of a code signing configuration.
    #[must_use]
    pub fn code_signing_config_id(&self) -> CodeSigningConfigId {
        let id = format!("csc-{}", &format!("{:032x}", self.bits())[..17]);
        id.parse().expect("17 hex digits make an id")
    }

    /// A new environment id.
    #[must_use]
    pub fn environment_id(&self) -> EnvironmentId {
        format!("{:032x}", self.bits()).parse().expect("32 hex digits are an environment id")
    }
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let uuid = Chance::new(|| u128::MAX).uuid();
        assert_eq!(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let uuid = Chance::new(|| 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef).uuid();
        assert_eq!(uuid, "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(Chance::new(|| 0).uuid().len(), 36);
    }
}
