//! `PublishLayerVersion`: the request.

use dormouse_model::layer::LayerKey;
use dormouse_model::limits;
use dormouse_model::names::Scope;
use dormouse_model::runtime::{ACCEPTED, RETIRED};
use serde::Deserialize;

use crate::error::ApiError;
use crate::lambda::code::{Blob, CodeSource, FunctionCode};
use crate::validate::{ENUM, Violations};

pub(super) const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];
const LICENSE_CHARS: usize = 512;
const RUNTIMES: usize = 15;

/// The body of `PublishLayerVersion`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PublishLayerVersionRequest {
    description: Option<String>,
    #[serde(deserialize_with = "crate::json::member")]
    content: Option<Content>,
    compatible_runtimes: Option<Vec<String>>,
    compatible_architectures: Option<Vec<String>>,
    license_info: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Content {
    zip_file: Option<Blob>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    s3_object_version: Option<String>,
    s3_object_storage_mode: Option<String>,
}

/// A layer version to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayerVersion {
    /// Of which layer.
    pub layer: LayerKey,
    /// Free text.
    pub description: String,
    /// The licence.
    pub license: Option<String>,
    /// Runtimes it is for.
    pub compatible_runtimes: Vec<String>,
    /// Instruction sets it is for.
    pub compatible_architectures: Vec<String>,
    /// Where its package comes from.
    pub code: CodeSource,
}

impl PublishLayerVersionRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        crate::lambda::read(body)
    }

    /// Both layers of validation.
    ///
    /// # Errors
    /// First every violation of the framework in one text, then the service's first objection.
    pub fn validate(self, scope: &Scope, name: &str) -> Result<NewLayerVersion, ApiError> {
        let mut violations = Violations::default();
        super::check_name(&mut violations, name);
        if let Some(description) = &self.description {
            violations.length(description, "description", 0, limits::DESCRIPTION_CHARS);
        }
        let code = self.content.map(Content::into_code);
        match &code {
            Some(code) => code.check(&mut violations, "content."),
            None => violations.null("content"),
        }
        let compatible_runtimes = self.compatible_runtimes.unwrap_or_default();
        check_runtimes(&mut violations, &compatible_runtimes);
        let compatible_architectures = self.compatible_architectures.unwrap_or_default();
        check_architectures(&mut violations, &compatible_architectures);
        if let Some(license) = &self.license_info {
            violations.length(license, "licenseInfo", 0, LICENSE_CHARS);
        }
        violations.finish()?;
        let layer = super::resolve(scope, name)?;
        super::owned(scope, &layer, "PublishLayerVersion")?;
        Ok(NewLayerVersion {
            layer,
            description: self.description.unwrap_or_default(),
            license: self.license_info,
            compatible_runtimes,
            compatible_architectures,
            code: code.unwrap_or_default().source()?,
        })
    }
}

impl Content {
    fn into_code(self) -> FunctionCode {
        FunctionCode {
            zip_file: self.zip_file,
            s3_bucket: self.s3_bucket,
            s3_key: self.s3_key,
            s3_object_version: self.s3_object_version,
            s3_object_storage_mode: self.s3_object_storage_mode,
            ..FunctionCode::default()
        }
    }
}

/// Layers may be for any runtime of the model: those that functions no longer get, and those that
/// they do not get yet.
const OTHERS: [&str; 8] = [
    "provided",
    "ruby4.0",
    "nodejs26.x",
    "python3.15",
    "java8.al2023",
    "java11.al2023",
    "java17.al2023",
    "custom",
];

fn runtimes() -> impl Iterator<Item = &'static str> {
    ACCEPTED.into_iter().chain(RETIRED).chain(OTHERS)
}

pub(super) fn is_runtime(name: &str) -> bool {
    runtimes().any(|runtime| runtime == name)
}

/// The framework's rule for a runtime, as it is shown.
pub(super) fn runtime_rule() -> String {
    format!("{ENUM}: [{}]", runtimes().collect::<Vec<_>>().join(", "))
}

fn check_runtimes(violations: &mut Violations, names: &[String]) {
    let shown = format!("[{}]", names.join(", "));
    violations.count(&shown, names.len(), "compatibleRuntimes", (0, RUNTIMES));
    if !names.iter().all(|name| is_runtime(name)) {
        let rule = runtime_rule();
        let rule = format!("Member must satisfy constraint: [{rule}, Member must not be null]");
        violations.add(shown, "compatibleRuntimes", rule);
    }
}

fn check_architectures(violations: &mut Violations, names: &[String]) {
    let shown = format!("[{}]", names.join(", "));
    let most = ARCHITECTURES.len();
    violations.count(&shown, names.len(), "compatibleArchitectures", (0, most));
    if !names.iter().all(|name| ARCHITECTURES.contains(&name.as_str())) {
        let allowed = ARCHITECTURES.join(", ");
        let rule = format!(
            "Member must satisfy constraint: [{ENUM}: [{allowed}], Member must not be null]"
        );
        violations.add(shown, "compatibleArchitectures", rule);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn outcome(name: &str, body: &Value) -> Result<NewLayerVersion, ApiError> {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        PublishLayerVersionRequest::read(body.to_string().as_bytes())?.validate(&scope, name)
    }

    #[test]
    fn every_member_is_taken_over() {
        let new = outcome(
            "tools",
            &json!({
                "Content": {"ZipFile": "UEsFBg=="}, "Description": "d", "LicenseInfo": "MIT",
                "CompatibleRuntimes": ["python3.12", "go1.x"], "CompatibleArchitectures": ["arm64"],
            }),
        )
        .unwrap();
        assert_eq!(new.layer.arn(), "arn:aws:lambda:us-east-1:123456789012:layer:tools");
        assert_eq!(new.code, CodeSource::Zip(b"PK\x05\x06".to_vec()));
        assert_eq!((new.description.as_str(), new.license.as_deref()), ("d", Some("MIT")));
        assert_eq!(new.compatible_runtimes, ["python3.12", "go1.x"]);
        assert_eq!(new.compatible_architectures, ["arm64"]);
    }

    #[test]
    fn the_framework_tells_everything_at_once() {
        let error = outcome(
            "a b",
            &json!({
                "Description": "x".repeat(257), "LicenseInfo": "x".repeat(513),
                "CompatibleRuntimes": ["cobol"], "CompatibleArchitectures": ["mips"],
            }),
        );
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("ValidationException: 6 validation errors detected: "), "{text}");
        for part in [
            "Value null at 'content' failed to satisfy constraint: Member must not be null",
            "Value '[cobol]' at 'compatibleRuntimes' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [nodejs20.x, ",
            "Value '[mips]' at 'compatibleArchitectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
            "at 'licenseInfo' failed to satisfy constraint: Member must have length less than or equal to 512",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn the_layer_of_another_account_is_its_own() {
        let body = json!({"Content": {"ZipFile": "UEsFBg=="}});
        let arn = "arn:aws:lambda:us-east-1:111111111111:layer:tools";
        let error = outcome(arn, &body).unwrap_err();
        assert_eq!(error.exception.facts().code, "AccessDeniedException");
    }

    proptest! {
        #[test]
        fn no_text_in_a_member_panics(text in ".{0,80}") {
            let _ = outcome(&text, &json!({
                "Content": {"S3Bucket": text, "S3Key": text}, "Description": text,
                "CompatibleRuntimes": [text], "CompatibleArchitectures": [text],
            }));
        }
    }
}
