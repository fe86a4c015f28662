//! The members `CreateFunction` and `UpdateFunctionConfiguration` share, and what they make of a
//! configuration. An absent member leaves what was there.

mod environment;
mod features;
mod instances;
pub(crate) mod layers;
mod logging;

use dormouse_model::function::{Architecture, Configuration, Program, Tracing};
use dormouse_model::layer::LayerVersionKey;
use dormouse_model::limits;
use dormouse_model::names::Scope;
use dormouse_model::runtime::{ACCEPTED, Runtime, UnusableRuntime};
use serde::Deserialize;

use crate::error::ApiError;
use crate::lambda::pattern::{is_account, is_partition};
use crate::validate::{ENUM, Text, Violations};

use environment::Environment;
use features::{DeadLetterConfig, VpcConfig};
pub(crate) use features::{no_key, refuse_publish_to};
use instances::{
    AcceleratorConfig, CapacityProviderConfig, DurableConfig, FileSystemConfig, ImageConfig,
    RuntimeConfig,
};
use logging::LoggingConfig;

const ROLE: Text = Text {
    min: 0,
    max: 10_000,
    pattern: r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    fits: is_role,
};
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];

/// The shared members.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Settings {
    pub(crate) runtime: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) handler: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) timeout: Option<i64>,
    pub(crate) memory_size: Option<i64>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) environment: Option<Environment>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) tracing_config: Option<TracingConfig>,
    pub(crate) layers: Option<Vec<String>>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) ephemeral_storage: Option<EphemeralStorage>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) snap_start: Option<SnapStart>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) logging_config: Option<LoggingConfig>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) vpc_config: Option<VpcConfig>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) dead_letter_config: Option<DeadLetterConfig>,
    #[serde(rename = "KMSKeyArn")]
    pub(crate) kms_key_arn: Option<String>,
    #[serde(deserialize_with = "crate::json::members")]
    pub(crate) file_system_configs: Option<Vec<FileSystemConfig>>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) image_config: Option<ImageConfig>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) capacity_provider_config: Option<CapacityProviderConfig>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) durable_config: Option<DurableConfig>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) runtime_config: Option<RuntimeConfig>,
    #[serde(deserialize_with = "crate::json::member")]
    pub(crate) accelerator_config: Option<AcceleratorConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct TracingConfig {
    mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EphemeralStorage {
    size: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SnapStart {
    apply_on: Option<String>,
}

impl Settings {
    /// The framework's checks.
    pub(crate) fn check(&self, violations: &mut Violations) {
        self.check_texts(violations);
        self.check_numbers(violations);
        if let Some(mode) = self.tracing_config.as_ref().and_then(|t| t.mode.as_deref()) {
            violations.one_of(mode, "tracingConfig.mode", &["Active", "PassThrough"]);
        }
        if let Some(apply_on) = self.snap_start.as_ref().and_then(|s| s.apply_on.as_deref()) {
            violations.one_of(apply_on, "snapStart.applyOn", &["PublishedVersions", "None"]);
        }
        if let Some(environment) = &self.environment {
            environment.check(violations);
        }
        if let Some(logging) = &self.logging_config {
            logging.check(violations);
        }
        if let Some(names) = &self.layers {
            layers::check(violations, names);
        }
        self.check_features(violations);
    }

    fn check_texts(&self, violations: &mut Violations) {
        if let Some(role) = &self.role {
            violations.text(role, "role", &ROLE);
        }
        if let Some(handler) = &self.handler {
            violations.length(handler, "handler", 0, limits::HANDLER_CHARS);
            let fits = !handler.is_empty() && !handler.contains(char::is_whitespace);
            violations.pattern(handler, "handler", fits, r"[^\s]+");
        }
        if let Some(description) = &self.description {
            violations.length(description, "description", 0, limits::DESCRIPTION_CHARS);
        }
    }

    fn check_numbers(&self, violations: &mut Violations) {
        let size = self.ephemeral_storage.as_ref().map(|storage| storage.size);
        if size == Some(None) {
            violations.null("ephemeralStorage.size");
        }
        for (value, path, range) in [
            (self.timeout, "timeout", limits::TIMEOUT_S),
            (self.memory_size, "memorySize", limits::MEMORY_MB),
            (size.flatten(), "ephemeralStorage.size", limits::EPHEMERAL_MB),
        ] {
            if let Some(value) = value {
                violations.range(value, path, (*range.start()).into(), (*range.end()).into());
            }
        }
    }

    /// The layer versions that are named, if any are given. Whether they exist is not known here.
    pub(crate) fn layers(&self, scope: &Scope) -> Result<Option<Vec<LayerVersionKey>>, ApiError> {
        self.layers.as_ref().map(|names| layers::resolve(scope, names)).transpose()
    }

    /// The service's checks of all but the layers, and the configuration after them, with the layers
    /// that were there. Call [`Settings::check`] first.
    pub(crate) fn applied_to(
        self,
        mut configuration: Configuration,
    ) -> Result<Configuration, ApiError> {
        self.refuse_what_is_not_here()?;
        self.check_package_type(&configuration.program)?;
        match &mut configuration.program {
            Program::Zip { runtime, handler } => {
                if let Some(id) = &self.runtime {
                    *runtime = parse_runtime(id)?;
                }
                replace(handler, self.handler);
            }
            Program::Image { image_config } => {
                if let Some(config) = self.image_config {
                    *image_config = config.config()?;
                }
            }
        }
        replace(&mut configuration.role, self.role);
        replace(&mut configuration.description, self.description);
        replace_number(&mut configuration.timeout_s, self.timeout);
        replace_number(&mut configuration.memory_mb, self.memory_size);
        let size = self.ephemeral_storage.and_then(|storage| storage.size);
        replace_number(&mut configuration.ephemeral_mb, size);
        if let Some(environment) = self.environment
            && let Some(variables) = environment.variables()?
        {
            configuration.variables = Some(variables);
        }
        if let Some(mode) = self.tracing_config.and_then(|tracing| tracing.mode) {
            let active = mode == "Active";
            configuration.tracing = if active { Tracing::Active } else { Tracing::PassThrough };
        }
        if let Some(apply_on) = self.snap_start.and_then(|snap_start| snap_start.apply_on) {
            configuration.snap_start = apply_on == "PublishedVersions";
        }
        if let Some(dead_letters) = self.dead_letter_config {
            configuration.dead_letters = dead_letters.target()?;
        }
        if let Some(logging) = self.logging_config {
            configuration.logging = logging.applied_to(configuration.logging)?;
        }
        check_snap_start(&configuration)?;
        Ok(configuration)
    }
}

impl Settings {
    /// Refuses members that functions of the other package type have.
    fn check_package_type(&self, program: &Program) -> Result<(), ApiError> {
        let layers = self.layers.as_ref().is_some_and(|layers| !layers.is_empty());
        let text = match program {
            Program::Zip { .. } if self.image_config.is_some() => {
                "Please don't provide ImageConfig when the intended function PackageType is Zip."
            }
            Program::Image { .. } if layers || self.runtime.is_some() || self.handler.is_some() => {
                "Please don't provide Handler or Runtime or Layer when the intended function \
                 PackageType is Image."
            }
            Program::Zip { .. } | Program::Image { .. } => return Ok(()),
        };
        Err(ApiError::invalid_parameter(text))
    }
}

fn replace(old: &mut String, new: Option<String>) {
    if let Some(new) = new {
        *old = new;
    }
}

/// The framework's check has bounded the number; one that is still too large changes nothing.
fn replace_number(old: &mut u32, new: Option<i64>) {
    if let Some(new) = new.and_then(|new| u32::try_from(new).ok()) {
        *old = new;
    }
}

/// Reads a runtime identifier, with AWS's text for each way it can be unusable.
pub(crate) fn parse_runtime(id: &str) -> Result<Runtime, ApiError> {
    Runtime::parse(id).map_err(|unusable| {
        ApiError::invalid_parameter(match unusable {
            UnusableRuntime::Unknown(id) => format!(
                "Value {id} at 'runtime' failed to satisfy constraint: {ENUM}: [{}] \
                 or be a valid ARN",
                ACCEPTED.join(", ")
            ),
            UnusableRuntime::Retired(id) => format!(
                "The runtime parameter of {id} is no longer supported for creating or updating \
                 AWS Lambda functions. We recommend you use a supported runtime while creating or \
                 updating functions."
            ),
            UnusableRuntime::NotHere(id) => {
                format!("The runtime {id} is not supported by this version of Dormouse.")
            }
        })
    })
}

/// The framework's check of `Architectures`.
pub(crate) fn check_architectures(violations: &mut Violations, names: &[String]) {
    let shown = format!("[{}]", names.join(", "));
    violations.count(&shown, names.len(), "architectures", (1, 1));
    if names.iter().any(|name| !ARCHITECTURES.contains(&name.as_str())) {
        let rule = format!(
            "Member must satisfy constraint: [{ENUM}: [{}], Member must not be null]",
            ARCHITECTURES.join(", ")
        );
        violations.add(&shown, "architectures", rule);
    }
}

/// The framework's check of `PublishTo`.
pub(crate) fn check_publish_to(violations: &mut Violations, publish_to: Option<&str>) {
    if let Some(publish_to) = publish_to {
        violations.one_of(publish_to, "publishTo", &["LATEST_PUBLISHED"]);
    }
}

/// The architecture named; call [`check_architectures`] first.
pub(crate) fn architecture(names: &[String]) -> Option<Architecture> {
    let arm = names.first()? == "arm64";
    Some(if arm { Architecture::Arm64 } else { Architecture::X86_64 })
}

fn is_role(role: &str) -> bool {
    let Some(rest) = role.strip_prefix("arn:") else {
        return false;
    };
    let Some((partition, rest)) = rest.split_once(":iam::") else {
        return false;
    };
    let Some((account, path)) = rest.split_once(":role") else {
        return false;
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    is_partition(partition)
        && is_account(account)
        && !path.is_empty()
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b))
}

/// Which functions can have `SnapStart`: those of Python from 3.12 on; Node and custom runtimes never (developer
/// guide).
fn check_snap_start(configuration: &Configuration) -> Result<(), ApiError> {
    if configuration.snap_start && configuration.per_tenant {
        // A snapshot is everybody's (developer guide; the words are ours).
        let text = "SnapStart is not supported for functions with tenant isolation.";
        return Err(ApiError::invalid_parameter(text));
    }
    if configuration.snap_start && configuration.ephemeral_mb > *limits::EPHEMERAL_MB.start() {
        // The same; AWS's words are not known.
        let text =
            "Ephemeral storage above 512 MB is not supported for SnapStart enabled functions.";
        return Err(ApiError::invalid_parameter(text));
    }
    let runtime = configuration.runtime();
    let able = matches!(runtime, Some(Runtime::Python { minor }) if minor >= 12);
    if configuration.snap_start && !able {
        let runtime = runtime.map_or_else(|| "Image".to_owned(), |runtime| runtime.to_string());
        return Err(ApiError::invalid_parameter(format!(
            "{runtime} is not supported for SnapStart enabled functions."
        )));
    }
    Ok(())
}
