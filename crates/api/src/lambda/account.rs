//! `GetAccountSettings`: the limits of an account and what it uses of them.

use dormouse_model::limits;
use serde::Serialize;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAccountSettingsResponse {
    account_limit: AccountLimit,
    account_usage: AccountUsage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountLimit {
    total_code_size: u64,
    code_size_unzipped: u64,
    code_size_zipped: usize,
    concurrent_executions: u32,
    unreserved_concurrent_executions: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountUsage {
    total_code_size: u64,
    function_count: u64,
}

impl GetAccountSettingsResponse {
    /// The account's limits less what is reserved, and its use.
    #[must_use]
    pub fn of(code_bytes: u64, functions: u64, reserved_concurrency: u32) -> Self {
        Self {
            account_limit: AccountLimit {
                total_code_size: limits::CODE_STORAGE_BYTES,
                code_size_unzipped: limits::UNZIPPED_BYTES,
                code_size_zipped: limits::ZIPPED_BYTES,
                concurrent_executions: limits::ACCOUNT_CONCURRENCY,
                unreserved_concurrent_executions: limits::ACCOUNT_CONCURRENCY
                    .saturating_sub(reserved_concurrency),
            },
            account_usage: AccountUsage { total_code_size: code_bytes, function_count: functions },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_recorded() {
        let json = serde_json::to_string(&GetAccountSettingsResponse::of(10, 2, 100)).unwrap();
        assert_eq!(
            json,
            r#"{"AccountLimit":{"TotalCodeSize":80530636800,"CodeSizeUnzipped":262144000,"CodeSizeZipped":52428800,"ConcurrentExecutions":1000,"UnreservedConcurrentExecutions":900},"AccountUsage":{"TotalCodeSize":10,"FunctionCount":2}}"#
        );
    }
}
