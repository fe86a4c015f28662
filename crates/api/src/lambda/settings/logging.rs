//! `LoggingConfig`: levels exist only with JSON; switching to Text drops them.

use dormouse_model::function::{LogFormat, Logging};
use serde::Deserialize;

use crate::error::ApiError;
use crate::validate::Violations;

const DEFAULT_LEVEL: &str = "INFO";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct LoggingConfig {
    log_format: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
    log_group: Option<String>,
}

impl LoggingConfig {
    pub(crate) fn check(&self, violations: &mut Violations) {
        let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        for (value, path, allowed) in [
            (&self.log_format, "loggingConfig.logFormat", &["JSON", "Text"][..]),
            (&self.application_log_level, "loggingConfig.applicationLogLevel", &levels[..]),
            (&self.system_log_level, "loggingConfig.systemLogLevel", &["DEBUG", "INFO", "WARN"]),
        ] {
            if let Some(value) = value {
                violations.one_of(value, path, allowed);
            }
        }
        if let Some(group) = &self.log_group {
            let path = "loggingConfig.logGroup";
            violations.length(group, path, 1, 512);
            let fits = crate::logs::is_group_name(group);
            violations.pattern(group, path, fits, r"[\.\-_/#A-Za-z0-9]+");
        }
    }

    pub(crate) fn applied_to(self, before: Logging) -> Result<Logging, ApiError> {
        let json = match &self.log_format {
            Some(format) => format == "JSON",
            None => matches!(before.format, LogFormat::Json { .. }),
        };
        // Probed on AWS: without a group the function's own one is back.
        let group = self.log_group;
        if !json {
            if self.application_log_level.is_some() || self.system_log_level.is_some() {
                return Err(ApiError::invalid_parameter(
                    "ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON.",
                ));
            }
            return Ok(Logging { format: LogFormat::Text, group });
        }
        let (application, system) = match before.format {
            LogFormat::Json { application, system } => (application, system),
            LogFormat::Text => (DEFAULT_LEVEL.to_owned(), DEFAULT_LEVEL.to_owned()),
        };
        let format = LogFormat::Json {
            application: self.application_log_level.unwrap_or(application),
            system: self.system_log_level.unwrap_or(system),
        };
        Ok(Logging { format, group })
    }
}
