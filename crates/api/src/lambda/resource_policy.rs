//! `PutResourcePolicy` and its siblings: the policy of a function as a whole document. It is the one
//! that `AddPermission` adds to and `GetPolicy` shows.

use std::collections::BTreeSet;

use dormouse_model::names::{RevisionId, Scope};
use dormouse_model::permission::{FunctionPolicy, FunctionStatement};
use dormouse_model::policy::{Head, PolicyDenied};
use http::Uri;
use serde::Serialize;
use serde_json::{Map, Value};

use super::name::{NameShape, Target};
use super::pattern::{POLICY_RESOURCE, REVISION};
use super::permission::{check_length, check_target, document, is_latest, not_found};
use super::policy;
use super::shape::{Member, Shape, check, may, must, read};
use crate::error::ApiError;
use crate::query::QueryString;
use crate::validate::{Text, Violations};

const DOCUMENT: Text = Text { min: 1, max: 20_480, pattern: r"[\s\S]+", fits: |t| !t.is_empty() };
const PUT: &[Member] =
    &[must("Policy", Shape::Text(&DOCUMENT)), may("RevisionId", Shape::Text(&REVISION))];
/// What tells the latest revision of a policy.
const READER: &str = "GetResourcePolicy";
const SIDS: &str = "statement ids must be unique";

/// A policy that is to take the place of what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Whose it is to be.
    pub target: Target,
    /// What it says; its revision is not given yet.
    pub policy: FunctionPolicy,
    /// The revision the caller believes it replaces, if it said.
    pub expected: Option<RevisionId>,
}

/// The label and the body of `PutResourcePolicy`.
///
/// # Errors
/// A body that is none; every violation in one text; a resource that has no policies; a document
/// that is none, or too long.
pub fn put(scope: &Scope, resource: &str, body: &[u8]) -> Result<NewPolicy, ApiError> {
    let members = read(body, PUT)?;
    let mut violations = Violations::default();
    violations.text(resource, "resourceArn", &POLICY_RESOURCE);
    check(&mut violations, PUT, &members);
    violations.finish()?;
    let target = function(scope, resource)?;
    check_target(&target)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let policy = parsed(text("Policy").unwrap_or_default(), &target)?;
    check_length(&policy, &target)?;
    let expected = policy::expected(text("RevisionId"), READER)?;
    Ok(NewPolicy { target, policy, expected })
}

/// The label of `GetResourcePolicy`.
///
/// # Errors
/// When it is no ARN of something with policies.
pub fn get(scope: &Scope, resource: &str) -> Result<Target, ApiError> {
    let mut violations = Violations::default();
    violations.text(resource, "resourceArn", &POLICY_RESOURCE);
    violations.finish()?;
    let target = function(scope, resource)?;
    if is_latest(&target) { Err(not_found()) } else { Ok(target) }
}

/// The label and the query of `DeleteResourcePolicy`.
///
/// # Errors
/// Every violation in one text; a resource that has no policies.
pub fn delete(
    scope: &Scope,
    resource: &str,
    uri: &Uri,
) -> Result<(Target, Option<RevisionId>), ApiError> {
    let revision = QueryString::of(uri).get("RevisionId").map(String::from);
    let mut violations = Violations::default();
    violations.text(resource, "resourceArn", &POLICY_RESOURCE);
    violations.optional(revision.as_ref(), "revisionId", &REVISION);
    violations.finish()?;
    let target = function(scope, resource)?;
    check_target(&target)?;
    Ok((target, policy::expected(revision.as_deref(), READER)?))
}

/// The function of an ARN. Runtimes of one's own do not exist here.
fn function(scope: &Scope, resource: &str) -> Result<Target, ApiError> {
    if resource.splitn(6, ':').nth(5).is_some_and(|resource| resource.starts_with("runtime/")) {
        return Err(not_found());
    }
    Target::resolve(scope, resource, None, NameShape::Existing)
}

/// The answer of `PutResourcePolicy` and `GetResourcePolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourcePolicyResponse {
    policy: String,
    revision_id: Option<RevisionId>,
}

impl ResourcePolicyResponse {
    /// A policy.
    #[must_use]
    pub fn of(policy: &FunctionPolicy, target: &Target) -> Self {
        Self { policy: document(policy, target), revision_id: policy.revision.clone() }
    }
}

/// Why a policy was not changed, in AWS's words.
#[must_use]
pub fn denied(denied: PolicyDenied) -> ApiError {
    policy::denied(denied, "", READER)
}

/// Reads a document. Its statements are kept as they were written.
fn parsed(text: &str, target: &Target) -> Result<FunctionPolicy, ApiError> {
    let Ok(Value::Object(mut document)) = serde_json::from_str(text) else {
        return Err(malformed("it is no JSON object"));
    };
    let mut text = |name: &str| match document.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(&format!("{name} is no text"))),
    };
    let head = Head { version: text("Version")?, id: text("Id")? };
    if !matches!(head.version.as_deref(), None | Some("2012-10-17" | "2008-10-17")) {
        return Err(malformed("its version is not known"));
    }
    let statements = match document.remove("Statement") {
        Some(statement @ Value::Object(_)) => vec![statement],
        Some(Value::Array(statements)) if !statements.is_empty() => statements,
        _ => return Err(malformed("it has no statements")),
    };
    if let Some(name) = document.keys().next() {
        return Err(malformed(&format!("{name} is unknown")));
    }
    let mut ids = BTreeSet::new();
    let statements = statements.into_iter().map(|statement| {
        let id = checked(&statement, target)?;
        if !id.is_empty() && !ids.insert(id.clone()) {
            return Err(malformed(SIDS));
        }
        Ok(FunctionStatement::Written { id, statement })
    });
    let statements = statements.collect::<Result<_, ApiError>>()?;
    Ok(FunctionPolicy { revision: None, head: Some(head), statements })
}

/// The id of a statement that can stand in a function's policy; empty when it has none.
fn checked(statement: &Value, target: &Target) -> Result<String, ApiError> {
    const KNOWN: [&str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "Condition",
        "NotResource",
    ];
    let of = statement.as_object().ok_or_else(|| malformed("a statement is no object"))?;
    if let Some(name) = of.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(malformed(&format!("{name} is unknown")));
    }
    if !matches!(of.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(malformed("a statement has no effect"));
    }
    one_of(of, "Principal", "NotPrincipal")?;
    one_of(of, "Action", "NotAction")?;
    if of.get("Condition").is_some_and(|condition| !condition.is_object()) {
        return Err(malformed("a condition is no object"));
    }
    let resources = of.get("Resource").or_else(|| of.get("NotResource"));
    if !resources.is_none_or(|resources| {
        texts(resources).is_some_and(|r| r.iter().all(|r| is_of(r, target)))
    }) {
        return Err(malformed("a statement is about another resource"));
    }
    match of.get("Sid") {
        None => Ok(String::new()),
        Some(Value::String(id)) => Ok(id.clone()),
        Some(_) => Err(malformed("a statement's id is no text")),
    }
}

/// Exactly one of two members, which says something.
fn one_of(statement: &Map<String, Value>, this: &str, other: &str) -> Result<(), ApiError> {
    let says = |value: &Value| match value {
        Value::Object(kinds) => {
            !kinds.is_empty() && this == "Principal" && kinds.values().all(|v| texts(v).is_some())
        }
        value => texts(value).is_some(),
    };
    match (statement.get(this), statement.get(other)) {
        (Some(value), None) | (None, Some(value)) if says(value) => Ok(()),
        _ => Err(malformed(&format!("a statement needs {this} or {other}"))),
    }
}

/// A text or some.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) if !items.is_empty() => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Whether a statement's resource is the one whose policy it is in, or a part of it.
fn is_of(resource: &str, target: &Target) -> bool {
    let own = target.arn();
    resource == "*"
        || resource.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn malformed(why: &str) -> ApiError {
    ApiError::invalid_parameter(format!("The policy document is not valid: {why}."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::shape::tests::any_json;
    use super::*;

    const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn statement(changes: &Value) -> Value {
        let mut statement = json!({
            "Sid": "s", "Effect": "Deny", "Principal": {"AWS": ["111111111111"]},
            "Action": ["lambda:*"], "Resource": ARN,
        });
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                statement.as_object_mut().unwrap().remove(name);
            } else {
                statement[name] = value.clone();
            }
        }
        statement
    }

    fn said(document: &Value) -> Result<NewPolicy, ApiError> {
        let body = json!({"Policy": document.to_string()}).to_string();
        put(&scope(), ARN, body.as_bytes())
    }

    #[test]
    fn a_document_is_shown_as_it_was_written() {
        let one = statement(&json!({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}));
        for document in [
            json!({"Version": "2012-10-17", "Id": "mine", "Statement": [one]}),
            json!({"Statement": [one, statement(&json!({"Sid": null, "Resource": "*"}))]}),
        ] {
            let new = said(&document).unwrap();
            let shown = ResourcePolicyResponse::of(&new.policy, &new.target).policy;
            assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), document);
            let stored = serde_json::to_string(&new.policy).unwrap();
            let read: FunctionPolicy = serde_json::from_str(&stored).unwrap();
            assert_eq!(read, new.policy);
        }
    }

    #[test]
    fn what_is_no_policy_of_the_function_is_refused() {
        for document in [
            json!([]),
            json!({}),
            json!({"Statement": []}),
            json!({"Version": "2020-01-01", "Statement": [statement(&json!({}))]}),
            json!({"Statement": [statement(&json!({}))], "Other": 1}),
            json!({"Statement": [statement(&json!({})), statement(&json!({}))]}),
            json!({"Statement": [statement(&json!({"Effect": "Maybe"}))]}),
            json!({"Statement": [statement(&json!({"Principal": null}))]}),
            json!({"Statement": [statement(&json!({"Action": {}}))]}),
            json!({"Statement": [statement(&json!({"NotAction": "lambda:*"}))]}),
            json!({"Statement": [statement(&json!({"Resource": format!("{ARN}2")}))]}),
            json!({"Statement": [statement(&json!({"Condition": "c"}))]}),
            json!({"Statement": [statement(&json!({"Colour": "c"}))]}),
        ] {
            let text = said(&document).unwrap_err().to_string();
            let expected = "InvalidParameterValueException: The policy document is not valid: ";
            assert!(text.starts_with(expected), "{document}: {text}");
        }
    }

    #[test]
    fn resources_and_revisions_are_checked_together_with_the_document() {
        let text = put(&scope(), "f", br#"{"RevisionId": "x"}"#).unwrap_err().message;
        assert!(text.starts_with("4 validation errors detected: "), "{text}");
        let uri = "/x?RevisionId=x".parse().unwrap();
        let text = delete(&scope(), "f", &uri).unwrap_err().message;
        assert!(text.starts_with("3 validation errors detected: "), "{text}");
        let runtime = "arn:aws:lambda:us-east-1:123456789012:runtime/mine";
        assert_eq!(get(&scope(), runtime).unwrap_err(), not_found());
        assert_eq!(get(&scope(), &format!("{ARN}:$LATEST")).unwrap_err(), not_found());
    }

    proptest! {
        #[test]
        fn no_document_panics(document in any_json(), text in ".{0,60}") {
            let _ = said(&document);
            let _ = said(&json!({"Statement": document}));
            let _ = said(&json!({"Statement": [statement(&json!({"Action": document, "Principal": document}))]}));
            let _ = get(&scope(), &text);
        }
    }
}
