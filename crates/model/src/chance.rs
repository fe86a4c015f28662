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
        let hex = format!("{:032x}", self.bits());
        // Version 4, variant 1 (RFC 9562 §5.4).
        let variant = ['8', '9', 'a', 'b'][usize::from(hex.as_bytes()[16]) % 4];
        let (a, b, c) = (&hex[..8], &hex[8..12], &hex[13..16]);
        format!("{a}-{b}-4{c}-{variant}{}-{}", &hex[17..20], &hex[20..])
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
        assert_eq!(uuid, "ffffffff-ffff-4fff-afff-ffffffffffff");
        assert_eq!(Chance::new(|| 0).uuid().len(), 36);
    }
}
