//! `GetFunctionCodeSigningConfig`'s answer.

use dormouse_model::names::FunctionKey;
use serde::Serialize;

/// The answer. There are no code signing configurations here, so that no function has one: AWS then
/// leaves their ARN out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetFunctionCodeSigningConfigResponse {
    function_name: String,
}

impl GetFunctionCodeSigningConfigResponse {
    /// A function's.
    #[must_use]
    pub fn of(key: &FunctionKey) -> Self {
        Self { function_name: key.name.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_without_one_shows_its_name_alone() {
        let scope = dormouse_model::names::Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let key = FunctionKey { scope, name: "f".parse().unwrap() };
        let answer = GetFunctionCodeSigningConfigResponse::of(&key);
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"FunctionName":"f"}"#);
    }
}
