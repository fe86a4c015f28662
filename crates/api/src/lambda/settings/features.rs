//! Members that stand for features this version does not have. An empty one asks for nothing and
//! is accepted; anything else is refused by name: nothing pretends.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Settings;
use crate::error::ApiError;
use crate::validate::Violations;

const SUBNETS: usize = 16;
const SECURITY_GROUPS: usize = 5;

/// That a member is there, whatever it says.
pub(crate) type Presence = IgnoredAny;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct VpcConfig {
    subnet_ids: Option<Vec<String>>,
    security_group_ids: Option<Vec<String>>,
}

impl VpcConfig {
    pub(crate) fn check(&self, violations: &mut Violations) {
        for (ids, path, max) in [
            (&self.subnet_ids, "vpcConfig.subnetIds", SUBNETS),
            (&self.security_group_ids, "vpcConfig.securityGroupIds", SECURITY_GROUPS),
        ] {
            if let Some(ids) = ids {
                let shown = format!("[{}]", ids.join(", "));
                violations.count(shown, ids.len(), path, (0, max));
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
