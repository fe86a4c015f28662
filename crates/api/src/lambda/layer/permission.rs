//! Policies of layer versions: the requests that change them, and the documents that show them.

use dormouse_model::layer::{LayerPrincipal, LayerStatement, LayerVersion, LayerVersionKey};
use dormouse_model::names::RevisionId;
use dormouse_model::policy::PolicyDenied;
use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{ApiError, Exception};
use crate::lambda::policy;
use crate::query::QueryString;
use crate::validate::{Text, Violations, is_word};

const ACTION: &str = "lambda:GetLayerVersion";
const STATEMENT: Text = Text { min: 1, max: 100, pattern: "([a-zA-Z0-9-_]+)", fits: is_word };
const ACTIONS: Text = Text { min: 0, max: 22, pattern: ACTION, fits: |action| action == ACTION };
const PRINCIPAL: Text = Text {
    min: 0,
    max: 10_000,
    pattern: r"\d{12}|\*|arn:(aws[a-zA-Z-]*):iam::\d{12}:root",
    fits: |text| principal(text).is_some(),
};
const ORGANIZATION: Text =
    Text { min: 0, max: 34, pattern: "o-[a-z0-9]{10,32}", fits: policy::is_organization };
/// What tells the latest revision of a policy.
const READER: &str = "GetLayerPolicy";

/// The body of `AddLayerVersionPermission`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddLayerVersionPermissionRequest {
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    organization_id: Option<String>,
}

impl AddLayerVersionPermissionRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        crate::lambda::read(body)
    }

    /// The statement that is to be added.
    ///
    /// # Errors
    /// Every violation in one text; a principal that cannot be.
    pub fn validate(self) -> Result<LayerStatement, ApiError> {
        let mut violations = Violations::default();
        violations.required(self.statement_id.as_ref(), "statementId", &STATEMENT);
        violations.required(self.action.as_ref(), "action", &ACTIONS);
        violations.required(self.principal.as_ref(), "principal", &PRINCIPAL);
        violations.optional(self.organization_id.as_ref(), "organizationId", &ORGANIZATION);
        violations.finish()?;
        let principal = self.principal.as_deref().and_then(principal);
        Ok(LayerStatement {
            id: self.statement_id.unwrap_or_default(),
            principal: principal.ok_or_else(policy::invalid_principal)?,
            organization: self.organization_id,
        })
    }
}

/// The label `StatementId`.
///
/// # Errors
/// When it is none.
pub fn statement_id(id: &str) -> Result<(), ApiError> {
    let mut violations = Violations::default();
    violations.text(id, "statementId", &STATEMENT);
    violations.finish()
}

/// The query member `RevisionId`.
///
/// # Errors
/// When it cannot be the latest of anything.
pub fn expected(uri: &Uri) -> Result<Option<RevisionId>, ApiError> {
    policy::expected(QueryString::of(uri).get("RevisionId").as_deref(), READER)
}

/// The answer of `AddLayerVersionPermission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddLayerVersionPermissionResponse {
    statement: String,
    revision_id: Option<RevisionId>,
}

/// The answer of `GetLayerVersionPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetLayerVersionPolicyResponse {
    policy: String,
    revision_id: Option<RevisionId>,
}

impl AddLayerVersionPermissionResponse {
    /// The version's last statement.
    #[must_use]
    pub fn of(version: &LayerVersion) -> Self {
        let added = version.policy.statements.last();
        let statement = added.map_or(Value::Null, |added| statement(added, &version.key));
        Self { statement: statement.to_string(), revision_id: version.policy.revision.clone() }
    }
}

impl GetLayerVersionPolicyResponse {
    /// The version's policy.
    ///
    /// # Errors
    /// When it has none.
    pub fn of(version: &LayerVersion) -> Result<Self, ApiError> {
        if version.policy.statements.is_empty() {
            return Err(policy::no_policy());
        }
        Ok(Self { policy: document(version), revision_id: version.policy.revision.clone() })
    }
}

/// The length of a policy within its limit.
///
/// # Errors
/// When it is too long.
pub fn check_length(version: &LayerVersion) -> Result<(), ApiError> {
    policy::check_length(&document(version))
}

/// Why a policy was not changed, in AWS's words.
#[must_use]
pub fn denied(denied: PolicyDenied, id: &str) -> ApiError {
    policy::denied(denied, id, READER)
}

/// 404 for the policy of a version that is not there.
#[must_use]
pub fn missing(key: &LayerVersionKey) -> ApiError {
    let text = format!("Layer version {} does not exist.", key.arn());
    ApiError::new(Exception::ResourceNotFound, text)
}

fn principal(text: &str) -> Option<LayerPrincipal> {
    if text == "*" {
        return Some(LayerPrincipal::Anyone);
    }
    policy::account(text)?.parse().ok().map(LayerPrincipal::Account)
}

fn document(version: &LayerVersion) -> String {
    let statements: Vec<Value> =
        version.policy.statements.iter().map(|s| statement(s, &version.key)).collect();
    policy::document(None, &statements)
}

fn statement(of: &LayerStatement, key: &LayerVersionKey) -> Value {
    let principal = match &of.principal {
        LayerPrincipal::Anyone => json!("*"),
        LayerPrincipal::Account(account) => json!({"AWS": format!("arn:aws:iam::{account}:root")}),
    };
    let mut statement = json!({
        "Sid": of.id, "Effect": "Allow", "Principal": principal, "Action": ACTION,
        "Resource": key.arn(),
    });
    if let Some(id) = &of.organization {
        statement["Condition"] = json!({"StringEquals": {"aws:PrincipalOrgID": id}});
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::published;
    use super::*;

    const R1: &str = "00000000-0000-4000-8000-000000000001";

    fn read(body: &Value) -> Result<LayerStatement, ApiError> {
        AddLayerVersionPermissionRequest::read(body.to_string().as_bytes())?.validate()
    }

    fn body(principal: &str) -> Value {
        json!({"StatementId": "s", "Action": ACTION, "Principal": principal})
    }

    #[test]
    fn principals_are_everybody_or_an_account() {
        let account = LayerPrincipal::Account("111111111111".parse().unwrap());
        assert_eq!(read(&body("*")).unwrap().principal, LayerPrincipal::Anyone);
        assert_eq!(read(&body("111111111111")).unwrap().principal, account);
        assert_eq!(read(&body("arn:aws:iam::111111111111:root")).unwrap().principal, account);
        for wrong in ["1", "arn:aws:iam::111111111111:user/x", "", "s3.amazonaws.com"] {
            assert!(read(&body(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_members_are_told_at_once() {
        let error =
            read(&json!({"StatementId": "a b", "Action": "lambda:*", "OrganizationId": "x"}));
        assert_eq!(
            error.unwrap_err().to_string(),
            r"ValidationException: 4 validation errors detected: Value 'a b' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+); Value 'lambda:*' at 'action' failed to satisfy constraint: Member must satisfy regular expression pattern: lambda:GetLayerVersion; Value null at 'principal' failed to satisfy constraint: Member must not be null; Value 'x' at 'organizationId' failed to satisfy constraint: Member must satisfy regular expression pattern: o-[a-z0-9]{10,32}"
        );
    }

    #[test]
    fn a_policy_is_a_document_in_a_text() {
        let mut version = published();
        assert!(GetLayerVersionPolicyResponse::of(&version).is_err());
        let statement = read(&body("111111111111")).unwrap();
        version.policy = version.policy.with(statement, None, R1.parse().unwrap()).unwrap();
        let policy = GetLayerVersionPolicyResponse::of(&version).unwrap().policy;
        let document: Value = serde_json::from_str(&policy).unwrap();
        let expected = json!({
            "Version": "2012-10-17", "Id": "default", "Statement": [{
                "Sid": "s", "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                "Action": "lambda:GetLayerVersion",
                "Resource": "arn:aws:lambda:us-east-1:123456789012:layer:tools:3",
            }],
        });
        assert_eq!(document, expected);
        let added = AddLayerVersionPermissionResponse::of(&version);
        assert_eq!(
            serde_json::from_str::<Value>(&added.statement).unwrap(),
            expected["Statement"][0]
        );
    }
}
