//! Checksums of objects and parts: computed piece by piece, joined, and compared with what was said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::object::ChecksumAlgorithm;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::s3::crc::{CRC32, CRC32C, CRC64_NVME, Kind};

/// Computes one checksum.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Crc(&'static Kind, u64),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Md5(Md5),
}

impl Hasher {
    /// A checksum of no bytes yet.
    #[must_use]
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |kind: &'static Kind| State::Crc(kind, kind.begin());
        Self(match algorithm {
            ChecksumAlgorithm::Crc32 => crc(&CRC32),
            ChecksumAlgorithm::Crc32c => crc(&CRC32C),
            ChecksumAlgorithm::Crc64Nvme => crc(&CRC64_NVME),
            ChecksumAlgorithm::Sha1 => State::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            ChecksumAlgorithm::Sha512 => State::Sha512(Sha512::new()),
            ChecksumAlgorithm::Md5 => State::Md5(Md5::new()),
        })
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(kind, state) => *state = kind.update(*state, bytes),
            State::Sha1(hash) => hash.update(bytes),
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
            State::Md5(hash) => hash.update(bytes),
        }
    }

    /// The checksum, in base64.
    #[must_use]
    pub fn finish(self) -> String {
        match self.0 {
            State::Crc(kind, state) => crc_text(kind, kind.finish(state)),
            State::Sha1(hash) => STANDARD.encode(hash.finalize()),
            State::Sha256(hash) => STANDARD.encode(hash.finalize()),
            State::Sha512(hash) => STANDARD.encode(hash.finalize()),
            State::Md5(hash) => STANDARD.encode(hash.finalize()),
        }
    }
}

fn kind(algorithm: ChecksumAlgorithm) -> Option<&'static Kind> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(&CRC32),
        ChecksumAlgorithm::Crc32c => Some(&CRC32C),
        ChecksumAlgorithm::Crc64Nvme => Some(&CRC64_NVME),
        ChecksumAlgorithm::Sha1
        | ChecksumAlgorithm::Sha256
        | ChecksumAlgorithm::Sha512
        | ChecksumAlgorithm::Md5 => None,
    }
}

fn crc_text(kind: &Kind, value: u64) -> String {
    STANDARD.encode(&value.to_be_bytes()[8 - kind.bytes()..])
}

/// Bytes of a checksum.
#[must_use]
pub fn length_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Md5 => 16,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
        ChecksumAlgorithm::Sha512 => 64,
    }
}

/// Whether a text is a checksum of this kind: base64 of so many bytes.
#[must_use]
pub fn is_well_formed(algorithm: ChecksumAlgorithm, text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == length_bytes(algorithm))
}

/// Whether a checksum over all bytes can be had from those of the parts.
#[must_use]
pub fn can_be_joined(algorithm: ChecksumAlgorithm) -> bool {
    kind(algorithm).is_some()
}

/// The checksum over all bytes of parts, each with its checksum and its size; nothing when the
/// algorithm does not let itself be joined or a checksum is none.
#[must_use]
pub fn joined<'a>(
    algorithm: ChecksumAlgorithm,
    parts: impl IntoIterator<Item = (&'a str, u64)>,
) -> Option<String> {
    let kind = kind(algorithm)?;
    let mut whole = kind.finish(kind.begin());
    for (text, size_bytes) in parts {
        let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == kind.bytes())?;
        let value = bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        whole = kind.join(whole, value, size_bytes);
    }
    Some(crc_text(kind, whole))
}

/// The checksum over the checksums of parts, with their number behind it.
#[must_use]
pub fn composite<'a>(
    algorithm: ChecksumAlgorithm,
    parts: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let (mut hasher, mut count) = (Hasher::new(algorithm), 0_usize);
    for text in parts {
        hasher.update(&STANDARD.decode(text).ok()?);
        count += 1;
    }
    Some(format!("{}-{count}", hasher.finish()))
}

/// The entity tag of an object in parts: the MD5 of the MD5s of the parts, and their number.
#[must_use]
pub fn etag_of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let (mut hash, mut count) = (Md5::new(), 0_usize);
    for etag in parts {
        let nibbles: Vec<u8> = etag.chars().filter_map(|c| c.to_digit(16)).map(low).collect();
        hash.update(
            nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[pair.len() - 1]).collect::<Vec<u8>>(),
        );
        count += 1;
    }
    format!("{}-{count}", hex(&hash.finalize()))
}

fn low(digit: u32) -> u8 {
    u8::try_from(digit).unwrap_or_default()
}

/// Bytes as hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is computed over the bytes of an upload.
#[derive(Debug, Clone)]
pub struct Digests {
    md5: Md5,
    sha256: Option<Sha256>,
    checksum: Hasher,
    algorithm: ChecksumAlgorithm,
    size_bytes: u64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// The MD5.
    pub md5: [u8; 16],
    /// The SHA-256 in hex, if it was asked for.
    pub sha256: Option<String>,
    /// How the checksum was computed.
    pub algorithm: ChecksumAlgorithm,
    /// The checksum, in base64.
    pub checksum: String,
    /// How many bytes there were.
    pub size_bytes: u64,
}

impl Digests {
    /// Over no bytes yet.
    #[must_use]
    pub fn new(algorithm: ChecksumAlgorithm, with_sha256: bool) -> Self {
        Self {
            md5: Md5::new(),
            sha256: with_sha256.then(Sha256::new),
            checksum: Hasher::new(algorithm),
            algorithm,
            size_bytes: 0,
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        self.checksum.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }

    /// The end.
    #[must_use]
    pub fn finish(self) -> Digested {
        Digested {
            md5: self.md5.finalize().into(),
            sha256: self.sha256.map(|hash| hex(&hash.finalize())),
            algorithm: self.algorithm,
            checksum: self.checksum.finish(),
            size_bytes: self.size_bytes,
        }
    }
}

impl Digested {
    /// The entity tag.
    #[must_use]
    pub fn etag(&self) -> String {
        hex(&self.md5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: ChecksumAlgorithm, text: &str) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(text.as_bytes());
        hasher.finish()
    }

    #[test]
    fn checksums_are_those_that_aws_documents() {
        // botocore's tests of its own checksums have these for "hello world".
        assert_eq!(of(ChecksumAlgorithm::Crc32, "hello world"), "DUoRhQ==");
        assert_eq!(of(ChecksumAlgorithm::Crc32c, "hello world"), "yZRlqg==");
        assert_eq!(of(ChecksumAlgorithm::Crc64Nvme, "hello world"), "jSnVw/bqjr4=");
        assert_eq!(of(ChecksumAlgorithm::Sha1, "hello world"), "Kq5sNclPz7QV2+lfQIuc6R7oRu0=");
        let sha256 = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
        assert_eq!(of(ChecksumAlgorithm::Sha256, "hello world"), sha256);
        assert_eq!(of(ChecksumAlgorithm::Md5, "hello world"), "XrY7u+Ae7tCTyyK7j1rNww==");
        for algorithm in ChecksumAlgorithm::ALL {
            assert!(is_well_formed(algorithm, &of(algorithm, "")), "{algorithm:?}");
            assert!(!is_well_formed(algorithm, "AAA="), "{algorithm:?}");
        }
    }

    #[test]
    fn parts_come_together() {
        let parts = ["hello ", "world"];
        for algorithm in
            [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme]
        {
            let sums: Vec<(String, u64)> =
                parts.iter().map(|part| (of(algorithm, part), part.len() as u64)).collect();
            let whole = joined(algorithm, sums.iter().map(|(sum, size)| (sum.as_str(), *size)));
            assert_eq!(whole, Some(of(algorithm, "hello world")));
        }
        assert_eq!(joined(ChecksumAlgorithm::Sha1, []), None);
        let composite = composite(ChecksumAlgorithm::Crc32, ["DUoRhQ==", "DUoRhQ=="]).unwrap();
        assert!(composite.ends_with("==-2"), "{composite}");
    }

    #[test]
    fn an_etag_of_parts_is_the_md5_of_their_md5s() {
        // By hand: printf '' | md5sum, its bytes again through md5sum.
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(etag_of_parts([empty]), "59adb24ef3cdbe0297f05b395827453f-1");
    }
}
