//! Members that name what is beside Lambda: networks, keys, file systems, dead letters. One that names
//! nothing is accepted; what it names and this server does not have is refused: nothing pretends.

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

    /// There is no EC2 here, so nothing that is named exists. Naming nothing is fine.
    fn refuse(&self) -> Result<(), ApiError> {
        let first = |ids: &Option<Vec<String>>| ids.iter().flatten().next().cloned();
        let (call, code, what) = if let Some(id) = first(&self.subnet_ids) {
            ("DescribeSubnets", "InvalidSubnetID.NotFound", format!("subnet ID '{id}'"))
        } else if let Some(id) = first(&self.security_group_ids) {
            ("DescribeSecurityGroups", "InvalidGroup.NotFound", format!("security group '{id}'"))
        } else {
            return Ok(());
        };
        Err(ApiError::invalid_parameter(format!(
            "Error occurred while {call}. EC2 Error Code: {code}. EC2 Error Message: The {what} \
             does not exist"
        )))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DeadLetterConfig {
    target_arn: Option<String>,
}

impl DeadLetterConfig {
    /// The queue or topic that is named; an empty name takes one away.
    pub(super) fn target(self) -> Result<Option<String>, ApiError> {
        let Some(arn) = self.target_arn.filter(|arn| !arn.is_empty()) else {
            return Ok(None);
        };
        if !matches!(arn.split(':').nth(2), Some("sqs" | "sns")) {
            let text = "The target of a dead letter configuration must be an SQS queue or an SNS \
                        topic.";
            return Err(ApiError::invalid_parameter(text));
        }
        Ok(Some(arn))
    }
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

    /// What these members name and this server does not have is refused as AWS refuses what is not
    /// there; what AWS has no words for, in words that say so. Nothing is stored and never done.
    pub(super) fn refuse_what_is_not_here(&self) -> Result<(), ApiError> {
        if let Some(vpc) = &self.vpc_config {
            vpc.refuse()?;
        }
        if let Some(arn) = given(self.kms_key_arn.as_deref()) {
            return Err(no_key(arn));
        }
        if let Some(arn) = self.file_system_configs.iter().flatten().find_map(|it| it.arn()) {
            let text = format!("The file system access point {arn} does not exist.");
            return Err(ApiError::invalid_parameter(text));
        }
        for (asked, what) in [
            (self.capacity_provider_config.is_some(), "managed instances: CapacityProviderConfig"),
            (self.durable_config.is_some(), "durable executions: DurableConfig"),
            (self.runtime_config.is_some(), "customer-managed runtimes: RuntimeConfig"),
            (self.accelerator_config.is_some(), "accelerators: AcceleratorConfig"),
        ] {
            if asked {
                return Err(not_here(what));
            }
        }
        Ok(())
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// 400 for a key that is not there: none is.
pub(crate) fn no_key(arn: &str) -> ApiError {
    ApiError::invalid_parameter(format!(
        "Lambda was unable to configure access to your environment variables because the KMS key \
         is invalid for CreateGrant. Please check your KMS key settings. KMS Exception: \
         NotFoundException KMS Message: Key '{arn}' does not exist"
    ))
}

/// 400 for `PublishTo`, which only functions on managed instances have.
pub(crate) fn refuse_publish_to(publish_to: Option<&str>) -> Result<(), ApiError> {
    publish_to.map_or(Ok(()), |_| Err(not_here("managed instances: PublishTo")))
}

fn not_here(what: &str) -> ApiError {
    ApiError::invalid_parameter(format!("This server has no {what} cannot be used."))
}
