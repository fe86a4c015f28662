//! Members of features this server does not have, with what the framework says of their values: a
//! wrong value is told as AWS tells it before the feature is refused.

use dormouse_model::{image, limits};
use serde::Deserialize;

use crate::error::ApiError;
use crate::lambda::name::is_region;
use crate::lambda::pattern::{
    ARN_OR_EMPTY, CAPACITY_PROVIDER, is_account, is_lower_or_digit, is_one_line, is_partition,
};
use crate::validate::{Text, Violations};

const FILE_SYSTEMS: usize = 1;
const WORDS: usize = 1_500;
const DIRECTORY_CHARS: usize = 1_000;
const ALIAS_CHARS: usize = 128;

const FILE_SYSTEM: Text = Text {
    min: 0,
    max: 256,
    pattern: r"arn:aws[a-zA-Z-]*:elasticfilesystem:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:access-point/fsap-[a-f0-9]{17}$|^arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}",
    fits: is_file_system,
};
const MOUNT_PATH: Text = Text {
    min: 0,
    max: 160,
    pattern: "/mnt/[a-zA-Z0-9-_.]+",
    fits: |path| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        path.strip_prefix("/mnt/").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(fits))
    },
};
const RUNTIME: Text = Text {
    min: 48,
    max: 2_048,
    pattern: r"arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:runtime/.+",
    fits: is_runtime,
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct FileSystemConfig {
    arn: Option<String>,
    local_mount_path: Option<String>,
    #[serde(deserialize_with = "crate::json::member")]
    s3_files_config: Option<S3FilesConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct S3FilesConfig {
    direct_s3_read: Option<String>,
}

impl FileSystemConfig {
    /// The access point it names.
    pub(super) fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    pub(super) fn check_all(configs: &[Self], violations: &mut Violations) {
        let path = "fileSystemConfigs";
        let arns: Vec<&str> = configs.iter().filter_map(|c| c.arn.as_deref()).collect();
        violations.count(format!("[{}]", arns.join(", ")), configs.len(), path, (0, FILE_SYSTEMS));
        for (config, number) in configs.iter().zip(1..) {
            let path = format!("{path}.{number}.member.");
            let mount = config.local_mount_path.as_ref();
            violations.required(config.arn.as_ref(), &format!("{path}arn"), &FILE_SYSTEM);
            violations.required(mount, &format!("{path}localMountPath"), &MOUNT_PATH);
            let files = config.s3_files_config.as_ref();
            if let Some(read) = files.and_then(|files| files.direct_s3_read.as_deref()) {
                let path = format!("{path}s3FilesConfig.directS3Read");
                violations.one_of(read, &path, &["ENABLED", "DISABLED", "AUTO"]);
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ImageConfig {
    entry_point: Option<Vec<String>>,
    command: Option<Vec<String>>,
    working_directory: Option<String>,
}

impl ImageConfig {
    pub(super) fn check(&self, violations: &mut Violations) {
        let lists = [("entryPoint", &self.entry_point), ("command", &self.command)];
        for (name, words) in lists {
            if let Some(words) = words {
                let (path, shown) = (format!("imageConfig.{name}"), words.join(", "));
                violations.count(format!("[{shown}]"), words.len(), &path, (0, WORDS));
            }
        }
        if let Some(directory) = &self.working_directory {
            violations.length(directory, "imageConfig.workingDirectory", 0, DIRECTORY_CHARS);
        }
    }

    /// What is laid over an image; it takes the place of all that was there.
    pub(super) fn config(self) -> Result<image::ImageConfig, ApiError> {
        let Self { entry_point, command, working_directory } = self;
        let words = entry_point.iter().chain(&command).flatten();
        let mut texts = words.chain(&working_directory);
        let bytes: usize = texts.clone().map(|text| text.len() + 1).sum();
        if bytes > limits::IMAGE_SETTINGS_BYTES {
            let limit = limits::IMAGE_SETTINGS_BYTES;
            let text = format!("ImageConfig must be smaller than {limit} bytes.");
            return Err(ApiError::invalid_parameter(text));
        }
        // A NUL ends a text where programs are started.
        if texts.any(|text| text.contains('\0')) {
            let text = "ImageConfig must not contain a NUL character.";
            return Err(ApiError::invalid_parameter(text));
        }
        Ok(image::ImageConfig { entry_point, command, working_directory })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CapacityProviderConfig {
    #[serde(deserialize_with = "crate::json::member")]
    lambda_managed_instances_capacity_provider_config: Option<ManagedInstances>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ManagedInstances {
    capacity_provider_arn: Option<String>,
    per_execution_environment_max_concurrency: Option<i64>,
    #[serde(rename = "ExecutionEnvironmentMemoryGiBPerVCpu")]
    memory_gib_per_vcpu: Option<f64>,
}

impl CapacityProviderConfig {
    pub(super) fn check(&self, violations: &mut Violations) {
        let path = "capacityProviderConfig.lambdaManagedInstancesCapacityProviderConfig";
        let Some(instances) = &self.lambda_managed_instances_capacity_provider_config else {
            return violations.null(path);
        };
        let arn = instances.capacity_provider_arn.as_ref();
        violations.required(arn, &format!("{path}.capacityProviderArn"), &CAPACITY_PROVIDER);
        if let Some(concurrency) = instances.per_execution_environment_max_concurrency {
            let path = format!("{path}.perExecutionEnvironmentMaxConcurrency");
            violations.range(concurrency, &path, 1, 1_600);
        }
        if let Some(memory) = instances.memory_gib_per_vcpu {
            let path = format!("{path}.executionEnvironmentMemoryGiBPerVCpu");
            if memory > 8.0 {
                violations.add(memory, &path, "Member must have value less than or equal to 8");
            } else if memory < 2.0 {
                violations.add(memory, &path, "Member must have value greater than or equal to 2");
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DurableConfig {
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    retention_period_in_days: Option<i64>,
    execution_timeout: Option<i64>,
}

impl DurableConfig {
    pub(super) fn check(&self, violations: &mut Violations) {
        let key = self.kms_key_arn.as_ref();
        violations.optional(key, "durableConfig.kMSKeyArn", &ARN_OR_EMPTY);
        if let Some(days) = self.retention_period_in_days {
            violations.range(days, "durableConfig.retentionPeriodInDays", 1, 90);
        }
        if let Some(timeout) = self.execution_timeout {
            violations.range(timeout, "durableConfig.executionTimeout", 1, 31_622_400);
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RuntimeConfig {
    runtime_arn: Option<String>,
    runtime_alias: Option<String>,
}

impl RuntimeConfig {
    pub(super) fn check(&self, violations: &mut Violations) {
        violations.required(self.runtime_arn.as_ref(), "runtimeConfig.runtimeArn", &RUNTIME);
        let path = "runtimeConfig.runtimeAlias";
        match &self.runtime_alias {
            Some(alias) => violations.length(alias, path, 1, ALIAS_CHARS),
            None => violations.null(path),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct AcceleratorConfig {
    accelerator_memory_size: Option<i64>,
}

impl AcceleratorConfig {
    pub(super) fn check(&self, violations: &mut Violations) {
        if self.accelerator_memory_size.is_none() {
            violations.null("acceleratorConfig.acceleratorMemorySize");
        }
    }
}

fn is_file_system(arn: &str) -> bool {
    let Some(rest) = arn.strip_prefix("arn:") else {
        return false;
    };
    if let Some((partition, rest)) = rest.split_once(":elasticfilesystem:") {
        let parts: Vec<&str> = rest.split(':').collect();
        let [region, account, point] = parts.as_slice() else {
            return false;
        };
        let id = point.strip_prefix("access-point/fsap-");
        return partition_of_aws(partition)
            && is_region(region)
            && is_account(account)
            && id.is_some_and(|id| is_hex(id, 17, 17));
    }
    let Some((partition, rest)) = rest.split_once(":s3files:") else {
        return false;
    };
    let parts = rest.split_once(":file-system/fs-").and_then(|(place, ids)| {
        let (file_system, point) = ids.split_once("/access-point/fsap-")?;
        Some((place, file_system, point))
    });
    parts.is_some_and(|(place, file_system, point)| {
        let in_place = |b: u8| is_lower_or_digit(b) || b == b'-' || b == b':';
        partition_of_aws(partition)
            && !place.is_empty()
            && place.bytes().all(in_place)
            && is_hex(file_system, 17, 40)
            && is_hex(point, 17, 40)
    })
}

fn partition_of_aws(text: &str) -> bool {
    !text.is_empty() && is_partition(text)
}

fn is_hex(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_runtime(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "lambda", region, account, rest] = parts.as_slice() else {
        return false;
    };
    let dashed = |text: &str, fits: fn(u8) -> bool| {
        !text.is_empty() && text.bytes().all(|b| fits(b) || b == b'-')
    };
    dashed(partition, |b| b.is_ascii_lowercase())
        && dashed(region, is_lower_or_digit)
        && is_account(account)
        && rest.strip_prefix("runtime/").is_some_and(|id| !id.is_empty() && is_one_line(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::tests::fits_what_it_makes;

    fn told(check: impl FnOnce(&mut Violations)) -> String {
        let mut violations = Violations::default();
        check(&mut violations);
        violations.finish().map_or_else(|error| error.message, |()| "fine".to_owned())
    }

    #[test]
    fn file_systems_are_access_points_of_two_services() {
        let id = "0123456789abcdef0";
        let access_point =
            format!("arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-{id}");
        let files = format!(
            "arn:aws:s3files:us-east-1:000000000000:file-system/fs-{id}/access-point/fsap-{id}"
        );
        for arn in [&access_point, &files] {
            assert!(is_file_system(arn), "{arn}");
            assert!(!is_file_system(&arn.replace("aws", "gcp")) && !is_file_system(&arn[..60]));
            assert!(!is_file_system(&arn.replace("9abcdef0", "9ABCDEF0")));
        }
        let two: Vec<FileSystemConfig> =
            serde_json::from_str(r#"[{}, {"LocalMountPath": "/tmp"}]"#).unwrap();
        let text = told(|violations| FileSystemConfig::check_all(&two, violations));
        assert!(
            text.starts_with("5 validation errors detected: Value '[]' at 'fileSystemConfigs'")
        );
        assert!(text.contains("Value null at 'fileSystemConfigs.1.member.arn'"));
        assert!(text.contains("Value '/tmp' at 'fileSystemConfigs.2.member.localMountPath'"));
    }

    #[test]
    fn whatever_a_pattern_makes_is_let_through() {
        for rule in [&FILE_SYSTEM, &MOUNT_PATH, &RUNTIME] {
            fits_what_it_makes(rule.pattern, rule.fits);
        }
    }

    #[test]
    fn a_runtime_is_named_by_its_arn() {
        assert!(is_runtime("arn:aws:lambda:us-east-1:000000000000:runtime/x"));
        for wrong in ["", "runtime/x", "arn:aws:lambda:us-east-1:000000000000:runtime/"] {
            assert!(!is_runtime(wrong), "{wrong}");
        }
    }

    #[test]
    fn managed_instances_have_their_bounds() {
        let config: CapacityProviderConfig = serde_json::from_str(
            r#"{"LambdaManagedInstancesCapacityProviderConfig": {
                "PerExecutionEnvironmentMaxConcurrency": 0,
                "ExecutionEnvironmentMemoryGiBPerVCpu": 8.5}}"#,
        )
        .unwrap();
        let text = told(|violations| config.check(violations));
        assert!(text.starts_with("3 validation errors detected: Value null at "), "{text}");
        assert!(text.ends_with("Value '8.5' at 'capacityProviderConfig.lambdaManagedInstancesCapacityProviderConfig.executionEnvironmentMemoryGiBPerVCpu' failed to satisfy constraint: Member must have value less than or equal to 8"), "{text}");
    }
}
