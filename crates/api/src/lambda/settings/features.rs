//! Members that stand for features this version does not have. An empty one asks for nothing and
//! is accepted; anything else is refused by name: nothing pretends.

use serde::Deserialize;

use super::Settings;
use super::instances::FileSystemConfig;
use crate::error::ApiError;
use crate::lambda::pattern::{ARN_OR_EMPTY, is_lower_or_digit};
use crate::validate::{Text, Violations};

const SUBNETS: usize = 16;
const SECURITY_GROUPS: usize = 5;

const SUBNET: Text = Text {
    min: 0,
    max: 1_024,
    pattern: "subnet-[0-9a-z]*",
    fits: |id| id.strip_prefix("subnet-").is_some_and(|id| id.bytes().all(is_lower_or_digit)),
};
const SECURITY_GROUP: Text = Text {
    min: 0,
    max: 1_024,
    pattern: "sg-[0-9a-zA-Z]*",
    fits: |id| {
        id.strip_prefix("sg-").is_some_and(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct VpcConfig {
    subnet_ids: Option<Vec<String>>,
    security_group_ids: Option<Vec<String>>,
}

impl VpcConfig {
    pub(crate) fn check(&self, violations: &mut Violations) {
        let groups = &self.security_group_ids;
        for (ids, path, max, rule) in [
            (&self.subnet_ids, "vpcConfig.subnetIds", SUBNETS, &SUBNET),
            (groups, "vpcConfig.securityGroupIds", SECURITY_GROUPS, &SECURITY_GROUP),
        ] {
            if let Some(ids) = ids {
                let shown = format!("[{}]", ids.join(", "));
                violations.count(shown, ids.len(), path, (0, max));
                violations.members(ids, path, rule);
            }
        }
    }

    fn asks_for_something(&self) -> bool {
        let ids = [&self.subnet_ids, &self.security_group_ids];
        ids.into_iter().flatten().any(|ids| !ids.is_empty())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DeadLetterConfig {
    target_arn: Option<String>,
}

impl Settings {
    /// The framework's checks of these members.
    pub(super) fn check_features(&self, violations: &mut Violations) {
        if let Some(vpc) = &self.vpc_config {
            vpc.check(violations);
        }
        let target = self.dead_letter_config.as_ref().and_then(|d| d.target_arn.as_ref());
        violations.optional(target, "deadLetterConfig.targetArn", &ARN_OR_EMPTY);
        violations.optional(self.kms_key_arn.as_ref(), "kMSKeyArn", &ARN_OR_EMPTY);
        if let Some(configs) = &self.file_system_configs {
            FileSystemConfig::check_all(configs, violations);
        }
        if let Some(image) = &self.image_config {
            image.check(violations);
        }
        if let Some(provider) = &self.capacity_provider_config {
            provider.check(violations);
        }
        if let Some(durable) = &self.durable_config {
            durable.check(violations);
        }
        if let Some(runtime) = &self.runtime_config {
            runtime.check(violations);
        }
        if let Some(accelerator) = &self.accelerator_config {
            accelerator.check(violations);
        }
    }

    /// Refuses what would otherwise be stored and never done.
    pub(super) fn refuse_unsupported(&self) -> Result<(), ApiError> {
        let dead_letter = self.dead_letter_config.as_ref().and_then(|d| d.target_arn.as_deref());
        let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        for (asked, name) in [
            (self.vpc_config.as_ref().is_some_and(VpcConfig::asks_for_something), "VpcConfig"),
            (given(dead_letter), "DeadLetterConfig"),
            (given(self.kms_key_arn.as_deref()), "KMSKeyArn"),
            (self.file_system_configs.as_ref().is_some_and(|f| !f.is_empty()), "FileSystemConfigs"),
            (self.image_config.is_some(), "ImageConfig"),
            (self.capacity_provider_config.is_some(), "CapacityProviderConfig"),
            (self.durable_config.is_some(), "DurableConfig"),
            (self.runtime_config.is_some(), "RuntimeConfig"),
            (self.accelerator_config.is_some(), "AcceleratorConfig"),
        ] {
            refuse_if(asked, name)?;
        }
        Ok(())
    }
}

/// Refuses a member by name.
pub(crate) fn refuse_if(asked: bool, name: &str) -> Result<(), ApiError> {
    if asked {
        let text = format!("{name} is not supported by this version of Dormouse.");
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(())
}
