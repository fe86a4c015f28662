//! `PutFunctionRecursionConfig`, `PutRuntimeManagementConfig` and what shows them.

use dormouse_model::behaviour::{RecursiveLoop, RuntimeUpdate};
use dormouse_model::names::{FunctionKey, Scope};
use serde::{Deserialize, Serialize};

use super::name::{NameShape, Target};
use crate::error::ApiError;
use crate::validate::Violations;

const LOOPS: [&str; 2] = ["Allow", "Terminate"];
const UPDATES: [&str; 3] = ["Auto", "Manual", "FunctionUpdate"];
const RUNTIME_PATTERN: &str = r"((arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}::runtime:.+)|(arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:runtime/[A-Za-z0-9_.-]{1,128}/version/[A-Za-z0-9_.-]{1,128}))";
const RUNTIME_CHARS: (usize, usize) = (26, 2_048);

/// The function of a path label in the shape that has no qualifier at all.
///
/// # Errors
/// When it is no such name.
pub fn unqualified(scope: &Scope, name: &str) -> Result<FunctionKey, ApiError> {
    Ok(Target::resolve(scope, name, None, NameShape::Unqualified)?.key)
}

/// The body of `PutFunctionRecursionConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutFunctionRecursionConfigRequest {
    recursive_loop: Option<String>,
}

impl PutFunctionRecursionConfigRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// What is to become of loops.
    ///
    /// # Errors
    /// When it does not say.
    pub fn validate(&self) -> Result<RecursiveLoop, ApiError> {
        let mut violations = Violations::default();
        match &self.recursive_loop {
            Some(text) => violations.one_of(text, "recursiveLoop", &LOOPS),
            None => violations.null("recursiveLoop"),
        }
        violations.finish()?;
        let found = RecursiveLoop::ALL.into_iter();
        let mut found = found.filter(|it| Some(it.as_str()) == self.recursive_loop.as_deref());
        found.next().ok_or_else(|| ApiError::invalid_parameter("RecursiveLoop is required."))
    }
}

/// What becomes of loops, as both operations show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecursionConfigResponse {
    recursive_loop: &'static str,
}

impl RecursionConfigResponse {
    /// What is configured.
    #[must_use]
    pub fn of(config: RecursiveLoop) -> Self {
        Self { recursive_loop: config.as_str() }
    }
}

/// The body of `PutRuntimeManagementConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutRuntimeManagementConfigRequest {
    update_runtime_on: Option<String>,
    runtime_version_arn: Option<String>,
}

impl PutRuntimeManagementConfigRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// When new runtimes are to be taken up.
    ///
    /// # Errors
    /// Every violation in one text; a runtime version where none belongs, or none where one does.
    pub fn validate(self) -> Result<RuntimeUpdate, ApiError> {
        let mut violations = Violations::default();
        match &self.update_runtime_on {
            Some(text) => violations.one_of(text, "updateRuntimeOn", &UPDATES),
            None => violations.null("updateRuntimeOn"),
        }
        if let Some(arn) = &self.runtime_version_arn {
            let (min, max) = RUNTIME_CHARS;
            violations.length(arn, "runtimeVersionArn", min, max);
            let fits = is_runtime_version(arn);
            violations.pattern(arn, "runtimeVersionArn", fits, RUNTIME_PATTERN);
        }
        violations.finish()?;
        match (self.update_runtime_on.as_deref(), self.runtime_version_arn) {
            (Some("Manual"), Some(version)) => Ok(RuntimeUpdate::Manual { version }),
            (Some("Manual"), None) => Err(ApiError::invalid_parameter(
                "RuntimeVersionArn is required when UpdateRuntimeOn is Manual.",
            )),
            (_, Some(_)) => Err(ApiError::invalid_parameter(
                "RuntimeVersionArn is only supported when UpdateRuntimeOn is Manual.",
            )),
            (Some("FunctionUpdate"), None) => Ok(RuntimeUpdate::FunctionUpdate),
            (_, None) => Ok(RuntimeUpdate::Auto),
        }
    }
}

/// When new runtimes are taken up, as both operations show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuntimeManagementConfigResponse {
    update_runtime_on: &'static str,
    function_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_version_arn: Option<String>,
}

impl RuntimeManagementConfigResponse {
    /// What is configured.
    #[must_use]
    pub fn of(config: RuntimeUpdate, target: &Target) -> Self {
        let (update_runtime_on, runtime_version_arn) = match config {
            RuntimeUpdate::Auto => ("Auto", None),
            RuntimeUpdate::FunctionUpdate => ("FunctionUpdate", None),
            RuntimeUpdate::Manual { version } => ("Manual", Some(version)),
        };
        Self { update_runtime_on, function_arn: target.arn(), runtime_version_arn }
    }
}

fn is_runtime_version(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "lambda", region, account, rest] = parts.as_slice() else {
        return false;
    };
    let word = |text: &str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    };
    let rest_fits = if account.is_empty() {
        rest.strip_prefix("runtime:").is_some_and(|id| !id.is_empty())
    } else {
        let named = rest.strip_prefix("runtime/").and_then(|rest| rest.split_once("/version/"));
        account.parse::<dormouse_model::names::AccountId>().is_ok()
            && named.is_some_and(|(name, version)| word(name) && word(version))
    };
    // An operator may call his region as he likes.
    partition.starts_with("aws")
        && region.parse::<dormouse_model::names::Region>().is_ok()
        && rest_fits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const RUNTIME: &str = "arn:aws:lambda:us-east-1::runtime:0123456789abcdef";

    fn update(body: &Value) -> Result<RuntimeUpdate, ApiError> {
        PutRuntimeManagementConfigRequest::read(body.to_string().as_bytes())?.validate()
    }

    #[test]
    fn a_manual_update_names_its_runtime_and_no_other_does() {
        let manual = json!({"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": RUNTIME});
        let version = RUNTIME.to_owned();
        assert_eq!(update(&manual).unwrap(), RuntimeUpdate::Manual { version });
        assert_eq!(update(&json!({"UpdateRuntimeOn": "Auto"})).unwrap(), RuntimeUpdate::Auto);
        for wrong in [
            json!({"UpdateRuntimeOn": "Manual"}),
            json!({"UpdateRuntimeOn": "Auto", "RuntimeVersionArn": RUNTIME}),
        ] {
            let text = update(&wrong).unwrap_err().to_string();
            assert!(text.starts_with("InvalidParameterValueException"), "{text}");
        }
        let wrong = json!({"UpdateRuntimeOn": "Never", "RuntimeVersionArn": "x".repeat(30)});
        let text = update(&wrong).unwrap_err().to_string();
        assert!(text.starts_with("ValidationException: 2 validation errors detected: Value 'Never' at 'updateRuntimeOn' failed to satisfy constraint: Member must satisfy enum value set: [Auto, Manual, FunctionUpdate]; "), "{text}");
    }

    #[test]
    fn loops_are_allowed_or_ended() {
        let read = |body: &[u8]| PutFunctionRecursionConfigRequest::read(body)?.validate();
        assert_eq!(read(br#"{"RecursiveLoop":"Allow"}"#).unwrap(), RecursiveLoop::Allow);
        let text = read(br#"{"RecursiveLoop":"x"}"#).unwrap_err().to_string();
        assert_eq!(
            text,
            "ValidationException: 1 validation error detected: Value 'x' at 'recursiveLoop' failed to satisfy constraint: Member must satisfy enum value set: [Allow, Terminate]"
        );
        assert!(read(b"{}").unwrap_err().to_string().contains("Value null at 'recursiveLoop'"));
    }

    proptest! {
        #[test]
        fn no_arn_panics(text in ".{0,80}", near in "(arn:|aws:|lambda:|us-east-1:|:|123456789012:|runtime:|runtime/|x|/version/){0,9}") {
            for text in [text, near] {
                let _ = update(&json!({"UpdateRuntimeOn": text, "RuntimeVersionArn": text}));
            }
        }
    }
}
