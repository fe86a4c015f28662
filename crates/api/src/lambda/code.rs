//! Where a package comes from: the members `CreateFunction` and `UpdateFunctionCode` share.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::function::Program;
use dormouse_model::limits;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::pattern::ARN_OR_EMPTY;
use super::settings::no_key;
use crate::error::ApiError;
use crate::validate::Violations;

/// The source of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeSource {
    /// In the request.
    Zip(Vec<u8>),
    /// In a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The object's version, if not the latest.
        version: Option<String>,
    },
    /// A directory of the server's machine.
    Directory {
        /// Its path.
        path: String,
    },
    /// A container image.
    Image {
        /// Its name.
        uri: String,
    },
}

/// The bucket that stands for the server's machine: its keys are paths of directories. Tools have it
/// from `LocalStack`.
const HOT_RELOAD: &str = "hot-reload";

/// `FunctionCode`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct FunctionCode {
    pub(crate) zip_file: Option<Blob>,
    pub(crate) s3_bucket: Option<String>,
    pub(crate) s3_key: Option<String>,
    pub(crate) s3_object_version: Option<String>,
    pub(crate) s3_object_storage_mode: Option<String>,
    pub(crate) image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    pub(crate) source_kms_key_arn: Option<String>,
}

impl FunctionCode {
    /// The framework's checks.
    pub(crate) fn check(&self, violations: &mut Violations, path: &str) {
        if let Some(bucket) = &self.s3_bucket {
            let path = format!("{path}s3Bucket");
            violations.length(bucket, &path, 3, 63);
            let fits = !bucket.ends_with('.')
                && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
            violations.pattern(bucket, &path, fits, r"[0-9A-Za-z\.\-_]*(?<!\.)");
        }
        if let Some(key) = &self.s3_key {
            violations.length(key, &format!("{path}s3Key"), 1, 1024);
        }
        if let Some(version) = &self.s3_object_version {
            violations.length(version, &format!("{path}s3ObjectVersion"), 1, 1024);
        }
        if let Some(mode) = &self.s3_object_storage_mode {
            let path = format!("{path}s3ObjectStorageMode");
            violations.one_of(mode, &path, &["COPY", "REFERENCE"]);
        }
        let key = self.source_kms_key_arn.as_ref();
        violations.optional(key, &format!("{path}sourceKMSKeyArn"), &ARN_OR_EMPTY);
    }

    /// The service's checks, but for whether the package type is right.
    pub(crate) fn source(self) -> Result<CodeSource, ApiError> {
        let refuse = |text: &str| Err(ApiError::invalid_parameter(text));
        if let Some(uri) = self.image_uri {
            if self.zip_file.is_some() || self.s3_bucket.is_some() || self.s3_key.is_some() {
                return refuse(
                    "Please do not provide other FunctionCode parameters when providing an ImageUri.",
                );
            }
            return Ok(CodeSource::Image { uri });
        }
        if let Some(arn) = self.source_kms_key_arn.filter(|arn| !arn.is_empty()) {
            return Err(no_key(&arn));
        }
        if self.s3_object_storage_mode.as_deref() == Some("REFERENCE") {
            return refuse("S3ObjectStorageMode is not supported by this version of Dormouse.");
        }
        match (self.zip_file, self.s3_bucket, self.s3_key) {
            (Some(Blob(zip)), None, None) if self.s3_object_version.is_none() => {
                if zip.len() > limits::ZIPPED_BYTES {
                    return Err(ApiError::zip_too_large(limits::ZIPPED_BYTES));
                }
                Ok(CodeSource::Zip(zip))
            }
            (Some(_), _, _) => refuse(
                "Please do not provide other FunctionCode parameters when providing a ZipFile.",
            ),
            (None, Some(bucket), Some(path)) if bucket == HOT_RELOAD => {
                match self.s3_object_version {
                    Some(_) => refuse("A directory has no versions: leave S3ObjectVersion out."),
                    None => Ok(CodeSource::Directory { path }),
                }
            }
            (None, Some(bucket), Some(key)) => {
                Ok(CodeSource::S3 { bucket, key, version: self.s3_object_version })
            }
            (None, None, None) => refuse("Please provide a source for function code."),
            (None, _, _) => refuse("Please provide both S3Bucket and S3Key."),
        }
    }
}

impl CodeSource {
    /// Whether it is of the package type that a function has. `verb` is what the operation does.
    ///
    /// # Errors
    /// When it is of the other.
    pub fn check(&self, program: &Program, verb: &str) -> Result<(), ApiError> {
        let text = match (program, self) {
            (Program::Zip { .. }, Self::Image { .. }) => {
                format!(
                    "Please don't provide ImageUri when {verb} a function with packageType Zip."
                )
            }
            (Program::Image { .. }, Self::Zip(_) | Self::S3 { .. } | Self::Directory { .. }) => {
                format!("Please provide ImageUri when {verb} a function with packageType Image.")
            }
            (Program::Zip { .. }, _) | (Program::Image { .. }, Self::Image { .. }) => return Ok(()),
        };
        Err(ApiError::invalid_parameter(text))
    }
}

/// Bytes that are base64 on the wire. Decoded straight from the body: packages are large.
#[derive(PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64)
    }
}

struct Base64;

impl Visitor<'_> for Base64 {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        STANDARD.decode(text).map(Blob).map_err(|_| E::custom("a blob is not valid base64"))
    }
}
