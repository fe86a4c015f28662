//! Buckets and keys of S3: what may be one, and what parts of an upload may be.
//!
//! Each is parsed once at the edge and cannot be wrong afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::names::InvalidName;

/// What no bucket's name begins with (bucket naming rules of S3's user guide).
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
/// What no bucket's name ends with (the same).
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// The name of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketName(String);

impl BucketName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BucketName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        if is_bucket_name(value) {
            return Ok(Self(value.to_owned()));
        }
        Err(InvalidName { kind: "bucket name", value: value.to_owned() })
    }
}

impl TryFrom<String> for BucketName {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<BucketName> for String {
    fn from(name: BucketName) -> Self {
        name.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_bucket_name(text: &str) -> bool {
    let is_end =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    let fits = limits::BUCKET_NAME_CHARS.contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
        && is_end(bytes.first())
        && is_end(bytes.last());
    fits && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
        && !RESERVED_PREFIXES.iter().any(|reserved| text.starts_with(reserved))
        && !RESERVED_SUFFIXES.iter().any(|reserved| text.ends_with(reserved))
}

/// The key of an object: any text of 1 to 1 024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        if (1..=limits::OBJECT_KEY_BYTES).contains(&value.len()) {
            return Ok(Self(value.to_owned()));
        }
        Err(InvalidName { kind: "object key", value: value.to_owned() })
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a bucket keeps former versions of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// It never did.
    Unversioned,
    /// Each write is a version of its own.
    Enabled,
    /// It did: what is written now has the version `null`, what was written then stays.
    Suspended,
}

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    /// `CRC32`
    Crc32,
    /// `CRC32C`
    Crc32c,
    /// `CRC64NVME`
    Crc64Nvme,
    /// `SHA1`
    Sha1,
    /// `SHA256`
    Sha256,
    /// `SHA512`
    Sha512,
    /// `MD5`
    Md5,
}

/// What a checksum of an object in parts is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// Over all bytes.
    FullObject,
    /// Over the checksums of the parts.
    Composite,
}

/// A checksum of an object or a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it is computed.
    pub algorithm: ChecksumAlgorithm,
    /// Over what.
    pub kind: ChecksumKind,
    /// The value in base64; a composite one has `-N` behind it.
    pub value: String,
}

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 7] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Md5,
    ];

    /// AWS's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Md5 => "MD5",
        }
    }

    /// The algorithm of a name, however it is cased.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }
}

impl ChecksumKind {
    /// AWS's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// The version of what is written while a bucket does not keep versions.
pub const NULL_VERSION: &str = "null";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_buckets_are_judged_as_aws_judges_them() {
        let good = ["abc", "a-b", "a.b.c", "1ab", "my.bucket-2", &"a".repeat(63), "a.-b", "1.2.3"];
        for name in good {
            assert!(name.parse::<BucketName>().is_ok(), "{name}");
        }
        let bad = [
            "",
            "ab",
            &"a".repeat(64),
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-x",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
            "abc--table-s3",
            "a/b",
            "a b",
            "äbc",
        ];
        for name in bad {
            assert!(name.parse::<BucketName>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_key_is_any_text_of_at_most_1024_bytes() {
        assert!("a".repeat(1_024).parse::<ObjectKey>().is_ok());
        assert!("\0 ü//..".parse::<ObjectKey>().is_ok());
        assert!("ü".repeat(513).parse::<ObjectKey>().is_err());
        assert!("".parse::<ObjectKey>().is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_the_text_it_came_from(text in "[a-z0-9.-]{1,70}") {
            if let Ok(name) = text.parse::<BucketName>() {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!(name.as_str().len() >= 3 && name.as_str().len() <= 63);
            }
        }
    }
}
