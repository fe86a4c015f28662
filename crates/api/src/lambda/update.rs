//! `UpdateFunctionCode` and `UpdateFunctionConfiguration`: what they change of what is there.

use dormouse_model::function::{Architecture, Configuration};
use dormouse_model::layer::LayerVersionKey;
use dormouse_model::names::{RevisionId, Scope};
use serde::Deserialize;

use super::code::{Blob, CodeSource, FunctionCode};
use super::settings::{
    Settings, architecture, check_architectures, check_publish_to, refuse_publish_to,
};
use crate::error::ApiError;
use crate::validate::Violations;

/// The body of `UpdateFunctionCode`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateFunctionCodeRequest {
    zip_file: Option<Blob>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    s3_object_version: Option<String>,
    s3_object_storage_mode: Option<String>,
    image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    source_kms_key_arn: Option<String>,
    architectures: Option<Vec<String>>,
    publish: Option<bool>,
    publish_to: Option<String>,
    dry_run: Option<bool>,
    revision_id: Option<String>,
}

/// A change of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChange {
    /// Where the new code comes from.
    pub code: CodeSource,
    /// The new architecture; unchanged when absent.
    pub architecture: Option<Architecture>,
    /// Whether a version is published after the change.
    pub publish: bool,
    /// Whether the change is only checked.
    pub dry_run: bool,
    /// The revision the caller believes it changes.
    pub expected: Option<RevisionId>,
}

impl UpdateFunctionCodeRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// Both layers of validation.
    ///
    /// # Errors
    /// First every violation of the framework in one text, then the service's first objection.
    pub fn validate(self) -> Result<CodeChange, ApiError> {
        let code = FunctionCode {
            zip_file: self.zip_file,
            s3_bucket: self.s3_bucket,
            s3_key: self.s3_key,
            s3_object_version: self.s3_object_version,
            s3_object_storage_mode: self.s3_object_storage_mode,
            image_uri: self.image_uri,
            source_kms_key_arn: self.source_kms_key_arn,
        };
        let mut violations = Violations::default();
        code.check(&mut violations, "");
        if let Some(architectures) = &self.architectures {
            check_architectures(&mut violations, architectures);
        }
        check_publish_to(&mut violations, self.publish_to.as_deref());
        violations.finish()?;
        refuse_publish_to(self.publish_to.as_deref())?;
        Ok(CodeChange {
            code: code.source()?,
            architecture: self.architectures.as_deref().and_then(architecture),
            publish: self.publish.unwrap_or(false),
            dry_run: self.dry_run.unwrap_or(false),
            expected: expected(self.revision_id)?,
        })
    }
}

/// The body of `UpdateFunctionConfiguration`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateFunctionConfigurationRequest {
    revision_id: Option<String>,
    #[serde(flatten)]
    settings: Settings,
}

/// A change of configuration that has passed the framework.
#[derive(Debug)]
pub struct ConfigurationChange {
    settings: Settings,
    /// The revision the caller believes it changes.
    pub expected: Option<RevisionId>,
}

impl UpdateFunctionConfigurationRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// The framework's validation, which needs nothing of what is there.
    ///
    /// # Errors
    /// Every violation in one text; a `RevisionId` that cannot be the latest.
    pub fn validate(self) -> Result<ConfigurationChange, ApiError> {
        let mut violations = Violations::default();
        self.settings.check(&mut violations);
        violations.finish()?;
        let expected = expected(self.revision_id)?;
        Ok(ConfigurationChange { settings: self.settings, expected })
    }
}

impl ConfigurationChange {
    /// The configuration after the change, but for the layers: absent members stay as they are.
    ///
    /// # Errors
    /// The service's first objection.
    pub fn applied_to(self, current: Configuration) -> Result<Configuration, ApiError> {
        let mut changed = self.settings.applied_to(current)?;
        // What was emptied is not shown any more; only a creation shows that it was given none.
        changed.variables = changed.variables.filter(|variables| !variables.is_empty());
        Ok(changed)
    }

    /// The layer versions that are to take the place of those that are there.
    ///
    /// # Errors
    /// The service's first objection to what is named.
    pub fn layers(&self, scope: &Scope) -> Result<Option<Vec<LayerVersionKey>>, ApiError> {
        self.settings.layers(scope)
    }
}

/// A text that is no UUID cannot be the latest revision of anything.
pub(super) fn expected(revision: Option<String>) -> Result<Option<RevisionId>, ApiError> {
    revision
        .filter(|revision| !revision.is_empty())
        .map(|revision| revision.parse().map_err(|_| ApiError::stale_revision()))
        .transpose()
}

#[cfg(test)]
mod tests {
    use dormouse_model::function::{LogFormat, Program};
    use dormouse_model::image::ImageConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::lambda::configuration::tests::pending;

    fn change(body: &Value) -> Result<ConfigurationChange, ApiError> {
        UpdateFunctionConfigurationRequest::read(body.to_string().as_bytes())?.validate()
    }

    fn applied(body: &Value, to: &Configuration) -> Configuration {
        change(body).unwrap().applied_to(to.clone()).unwrap()
    }

    #[test]
    fn an_empty_change_changes_nothing() {
        let before = pending().configuration;
        assert_eq!(applied(&json!({}), &before), before);
        assert_eq!(
            UpdateFunctionConfigurationRequest::read(b"").unwrap().validate().unwrap().expected,
            None
        );
    }

    #[test]
    fn only_what_is_given_changes() {
        let before = pending().configuration;
        let set = json!({"Timeout": 10, "Environment": {"Variables": {"AB": "c"}}});
        let after = applied(&set, &before);
        assert_eq!(after.timeout_s, 10);
        assert_eq!(after.variables.as_ref().unwrap()["AB"], "c");
        assert_eq!(applied(&json!({"Environment": {}}), &after), after);
        let emptied = applied(&json!({"Environment": {"Variables": {}}}), &after);
        assert_eq!(Configuration { timeout_s: 3, ..emptied }, before);
    }

    #[test]
    fn levels_come_and_go_with_json() {
        let text = pending().configuration;
        let json_config = json!({"LoggingConfig": {"LogFormat": "JSON", "SystemLogLevel": "WARN"}});
        let after = applied(&json_config, &text);
        let wanted = LogFormat::Json { application: "INFO".into(), system: "WARN".into() };
        assert_eq!(after.logging.format, wanted);
        let kept = applied(&json!({"LoggingConfig": {"LogGroup": "/g"}}), &after);
        assert_eq!(kept.logging.format, wanted);
        assert_eq!(kept.logging.group.as_deref(), Some("/g"));
        let back = applied(&json!({"LoggingConfig": {"LogFormat": "Text"}}), &kept);
        assert_eq!(back.logging.format, LogFormat::Text);
        assert_eq!(back.logging.group, None);
        let level = json!({"LoggingConfig": {"ApplicationLogLevel": "DEBUG"}});
        let error = change(&level).unwrap().applied_to(text).unwrap_err();
        assert_eq!(error.exception.facts().code, "InvalidParameterValueException");
    }

    #[test]
    fn a_revision_that_is_none_is_stale() {
        let error = change(&json!({"RevisionId": "old"})).unwrap_err();
        assert_eq!(error, ApiError::stale_revision());
    }

    #[test]
    fn code_changes_are_read_and_checked() {
        let read = |body: Value| {
            UpdateFunctionCodeRequest::read(body.to_string().as_bytes()).unwrap().validate()
        };
        let change = read(json!({"ZipFile": "UEsFBg==", "DryRun": true})).unwrap();
        assert!(change.dry_run && !change.publish);
        let change = read(json!({"S3Bucket": "bkt", "S3Key": "k", "Architectures": ["arm64"]}));
        let change = change.unwrap();
        assert_eq!(change.architecture, Some(Architecture::Arm64));
        let key = CodeSource::S3 { bucket: "bkt".into(), key: "k".into(), version: None };
        assert_eq!(change.code, key);
        let image = read(json!({"ImageUri": "i"})).unwrap().code;
        assert_eq!(image, CodeSource::Image { uri: "i".into() });
        let zip = pending().configuration.program;
        assert_eq!(
            image.check(&zip, "updating").unwrap_err().message,
            "Please don't provide ImageUri when updating a function with packageType Zip."
        );
        let program = Program::Image { image_config: ImageConfig::default() };
        assert_eq!(image.check(&program, "updating"), Ok(()));
        assert_eq!(
            key.check(&program, "updating").unwrap_err().message,
            "Please provide ImageUri when updating a function with packageType Image."
        );
        assert!(
            read(json!({"S3Bucket": "b.", "S3Key": ""})).unwrap_err().message.starts_with("3 ")
        );
    }
}
