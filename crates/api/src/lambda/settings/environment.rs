//! `Environment`: the user's variables. Their values are private and never repeated, except in
//! the one text in which AWS repeats them too.

use std::collections::BTreeMap;

use dormouse_model::limits;
use serde::Deserialize;

use crate::error::ApiError;
use crate::validate::{PATTERN, Violations};

/// Variables Lambda sets itself and lets nobody else set (developer guide).
const RESERVED: [&str; 19] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

const UNABLE: &str = "Lambda was unable to configure your environment variables because the \
                      environment variables you have provided";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Environment {
    variables: Option<BTreeMap<String, Option<String>>>,
}

impl Environment {
    pub(crate) fn check(&self, violations: &mut Violations) {
        let path = "environment.variables";
        let variables = self.variables.iter().flatten();
        if variables.clone().any(|(key, _)| !is_key(key)) {
            let pattern = "[a-zA-Z]([a-zA-Z0-9_])+";
            let rule = format!("Map keys must satisfy constraint: [{PATTERN}: {pattern}]");
            violations.add_hidden(path, rule);
        }
        if variables.clone().any(|(_, value)| value.is_none()) {
            let rule = "Map value must satisfy constraint: [Member must not be null]";
            violations.add_hidden(path, rule);
        }
    }

    /// The variables; nothing when the member is there and says nothing of them (probed on AWS:
    /// an update with `"Environment": {}` keeps what is set).
    pub(crate) fn variables(self) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let Some(variables) = self.variables else {
            return Ok(None);
        };
        let variables: BTreeMap<String, String> =
            variables.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let reserved: Vec<&str> =
            variables.keys().map(String::as_str).filter(|key| RESERVED.contains(key)).collect();
        if !reserved.is_empty() {
            return Err(ApiError::invalid_parameter(format!(
                "{UNABLE} contains reserved keys that are currently not supported for \
                 modification. Reserved keys used in this request: {}",
                reserved.join(", ")
            )));
        }
        let measured = serde_json::to_string(&variables).expect("a map of texts is JSON");
        if measured.len() > limits::VARIABLES_BYTES {
            return Err(ApiError::invalid_parameter(format!(
                "{UNABLE} exceeded the 4KB limit. String measured: {measured}"
            )));
        }
        Ok(Some(variables))
    }
}

fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && key.len() >= 2
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
