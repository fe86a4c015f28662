//! Whether a text is a policy document at all. What it allows is evaluated elsewhere.

use serde_json::{Map, Value};

use crate::error::{ApiError, Exception};

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who may assume a role: has principals, no resources.
    Trust,
    /// What a role may do: has resources, no principals.
    Permissions,
}

/// How long a document is to IAM's quotas: white space does not count.
#[must_use]
pub fn size(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

/// Refuses what IAM would not store.
pub(super) fn check(document: &str, kind: Kind) -> Result<(), ApiError> {
    let value: Value = serde_json::from_str(document)
        .map_err(|_| malformed("This policy contains invalid Json"))?;
    let statements = statements(&value).ok_or_else(|| malformed("Syntax errors in policy."))?;
    statements.into_iter().try_for_each(|statement| check_statement(statement, kind))
}

fn statements(document: &Value) -> Option<Vec<&Map<String, Value>>> {
    let members = document.as_object()?;
    match members.get("Version") {
        None => {}
        Some(version) if version == "2012-10-17" || version == "2008-10-17" => {}
        Some(_) => return None,
    }
    match members.get("Statement")? {
        Value::Object(statement) => Some(vec![statement]),
        Value::Array(statements) if !statements.is_empty() => {
            statements.iter().map(Value::as_object).collect()
        }
        _ => None,
    }
}

fn check_statement(statement: &Map<String, Value>, kind: Kind) -> Result<(), ApiError> {
    let has = |name: &str| statement.contains_key(name);
    let either = |name: &str| has(name) || has(&format!("Not{name}"));
    let effect = statement.get("Effect").and_then(Value::as_str);
    if !matches!(effect, Some("Allow" | "Deny")) {
        return Err(malformed("Syntax errors in policy."));
    }
    if !either("Action") {
        return Err(malformed("Policy statement must contain actions."));
    }
    match kind {
        Kind::Trust if either("Resource") => Err(malformed("Has prohibited field Resource")),
        Kind::Trust if !either("Principal") => Err(malformed("Missing required field Principal")),
        Kind::Permissions if either("Principal") => {
            Err(malformed("Policy document should not specify a principal."))
        }
        Kind::Permissions if !either("Resource") => {
            Err(malformed("Policy statement must contain resources."))
        }
        Kind::Trust | Kind::Permissions => Ok(()),
    }
}

fn malformed(text: &str) -> ApiError {
    ApiError::new(Exception::IamMalformedPolicyDocument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(document: &str, kind: Kind) -> String {
        check(document, kind).map_or_else(|error| error.message, |()| "fine".to_owned())
    }

    #[test]
    fn documents_are_told_apart_from_texts() {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let permissions = r#"{"Statement":{"Effect":"Deny","NotAction":"*","Resource":"*"}}"#;
        assert_eq!(outcome(trust, Kind::Trust), "fine");
        assert_eq!(outcome(permissions, Kind::Permissions), "fine");
        assert_eq!(outcome(permissions, Kind::Trust), "Has prohibited field Resource");
        assert_eq!(
            outcome(trust, Kind::Permissions),
            "Policy document should not specify a principal."
        );
        assert_eq!(outcome("{", Kind::Trust), "This policy contains invalid Json");
        for text in ["1", "{}", r#"{"Statement":[]}"#, r#"{"Version":"1","Statement":[{}]}"#] {
            assert_eq!(outcome(text, Kind::Trust), "Syntax errors in policy.", "{text}");
        }
    }
}
