//! `AddPermission` and `RemovePermission`: statements of the policy a queue has anyway.

use serde_json::{Value, json};

use crate::error::{ApiError, Exception};
use crate::sqs::refusal::invalid;

/// A queue's policy with one statement more.
///
/// # Errors
/// When there is one of that label.
pub fn add_permission(
    policy: Option<&str>,
    arn: &str,
    (label, accounts, actions): (&str, &[String], &[String]),
) -> Result<String, ApiError> {
    let empty = || json!({"Version": "2012-10-17", "Id": format!("{arn}/SQSDefaultPolicy"), "Statement": []});
    let mut policy = policy.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(empty);
    let statements = statements(&mut policy);
    if statements.iter().any(|statement| statement["Sid"] == label) {
        return Err(invalid(label, "Label", "Already exists."));
    }
    let principals: Vec<String> =
        accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
    let actions: Vec<String> = actions.iter().map(|action| format!("SQS:{action}")).collect();
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": one_or_all(principals)},
        "Action": one_or_all(actions),
        "Resource": arn,
    }));
    Ok(policy.to_string())
}

/// A queue's policy with one statement less; empty when none is left.
///
/// # Errors
/// When there is none of that label.
pub fn remove_permission(policy: Option<&str>, label: &str) -> Result<String, ApiError> {
    let mut policy: Value =
        policy.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let statements = statements(&mut policy);
    let before = statements.len();
    statements.retain(|statement| statement["Sid"] != label);
    if statements.len() == before {
        let reason = "can't find label on existing policy.";
        let text = format!("Value {label} for parameter Label is invalid. Reason: {reason}");
        return Err(ApiError::new(Exception::SqsInvalidParameterValue, text));
    }
    Ok(if statements.is_empty() { String::new() } else { policy.to_string() })
}

/// A policy may have one statement without a list.
fn statements(policy: &mut Value) -> &mut Vec<Value> {
    if !policy.is_object() {
        *policy = json!({});
    }
    let statements = &mut policy["Statement"];
    if !statements.is_array() {
        let one = statements.take();
        *statements = if one.is_null() { json!([]) } else { json!([one]) };
    }
    statements.as_array_mut().expect("it was made an array just now")
}

fn one_or_all(mut texts: Vec<String>) -> Value {
    if texts.len() == 1 { Value::from(texts.remove(0)) } else { Value::from(texts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_comes_and_goes_by_its_label() {
        let (accounts, actions) = (["1".to_owned()], ["SendMessage".to_owned()]);
        let policy = add_permission(None, "arn", ("l", &accounts, &actions)).unwrap();
        assert!(add_permission(Some(&policy), "arn", ("l", &accounts, &actions)).is_err());
        assert!(remove_permission(Some(&policy), "other").is_err());
        assert_eq!(remove_permission(Some(&policy), "l").unwrap(), "");
        assert!(remove_permission(None, "l").is_err());
    }
}
