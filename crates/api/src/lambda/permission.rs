//! Policies of functions: the requests that change them, and the documents that show them.

use dormouse_model::names::{Qualifier, RevisionId, Version};
use dormouse_model::permission::{
    Conditions, FunctionPolicy, FunctionPrincipal, FunctionStatement, Grant,
};
use dormouse_model::policy::PolicyDenied;
use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::name::{Target, is_region};
use super::policy;
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::{LONGEST, Violations, is_word};

const ACTION_PATTERN: &str = "(lambda:[*]|lambda:[a-zA-Z]+|[*])";
const PRINCIPAL_PATTERN: &str = r"[^\s]+";
const PRINCIPAL_CHARS: usize = 2_048;
const SOURCE_PATTERN: &str = r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)";
const TOKEN_PATTERN: &str = r"[a-zA-Z0-9._\-]+";
const TOKEN_CHARS: usize = 256;
const LONG_CHARS: usize = 10_000;
const ACCOUNT_CHARS: usize = 12;
const ORGANIZATION_CHARS: (usize, usize) = (12, 34);
/// What tells the latest revision of a policy.
const READER: &str = "GetPolicy";
/// Domains of the services that can be principals.
const SERVICES: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com", ".aws.internal"];

/// The body of `AddPermission`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddPermissionRequest {
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    source_arn: Option<String>,
    source_account: Option<String>,
    event_source_token: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    revision_id: Option<String>,
}

/// A statement to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPermission {
    /// What it says.
    pub statement: FunctionStatement,
    /// The revision the caller believes it changes, if it said.
    pub expected: Option<RevisionId>,
}

impl AddPermissionRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// The statement that is to be added.
    ///
    /// # Errors
    /// Every violation in one text; then what the service says: a condition that does not belong to
    /// the action, a principal that nobody can be.
    pub fn validate(self) -> Result<NewPermission, ApiError> {
        let mut violations = Violations::default();
        self.check_members(&mut violations);
        self.check_conditions(&mut violations);
        violations.finish()?;
        let action = self.action.unwrap_or_default();
        if self.function_url_auth_type.is_some() && action != "lambda:InvokeFunctionUrl" {
            let text = "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action";
            return Err(ApiError::invalid_parameter(text));
        }
        let principal = self.principal.as_deref().and_then(principal);
        let statement = Grant {
            id: self.statement_id.unwrap_or_default(),
            principal: principal.ok_or_else(policy::invalid_principal)?,
            action,
            conditions: Conditions {
                source_arn: self.source_arn,
                source_account: self.source_account,
                organization: self.principal_org_id,
                url_auth: self.function_url_auth_type,
                via_url: self.invoked_via_function_url,
                event_source_token: self.event_source_token,
            },
        };
        let expected = policy::expected(self.revision_id.as_deref(), READER)?;
        Ok(NewPermission { statement: FunctionStatement::Granted(statement), expected })
    }

    fn check_members(&self, violations: &mut Violations) {
        match &self.statement_id {
            Some(id) => policy::check_id(violations, id, (is_word(id), "([a-zA-Z0-9-_]+)")),
            None => violations.null("statementId"),
        }
        match &self.action {
            Some(action) => {
                violations.length(action, "action", 0, LONG_CHARS);
                violations.pattern(action, "action", is_action(action), ACTION_PATTERN);
            }
            None => violations.null("action"),
        }
        match &self.principal {
            Some(text) => {
                let fits = !text.is_empty() && !text.contains(char::is_whitespace);
                violations.length(text, "principal", 0, PRINCIPAL_CHARS);
                violations.pattern(text, "principal", fits, PRINCIPAL_PATTERN);
            }
            None => violations.null("principal"),
        }
    }

    fn check_conditions(&self, violations: &mut Violations) {
        if let Some(arn) = &self.source_arn {
            violations.length(arn, "sourceArn", 0, LONG_CHARS);
            violations.pattern(arn, "sourceArn", is_source(arn), SOURCE_PATTERN);
        }
        if let Some(account) = &self.source_account {
            let fits =
                account.len() == ACCOUNT_CHARS && account.bytes().all(|b| b.is_ascii_digit());
            violations.length(account, "sourceAccount", 0, ACCOUNT_CHARS);
            violations.pattern(account, "sourceAccount", fits, r"\d{12}");
        }
        if let Some(token) = &self.event_source_token {
            let fits = is_word(&token.replace('.', "_"));
            if token.len() > TOKEN_CHARS {
                violations.add(token, "eventSourceToken", format_args!("{LONGEST} {TOKEN_CHARS}"));
            }
            violations.pattern(token, "eventSourceToken", fits, TOKEN_PATTERN);
        }
        if let Some(auth) = &self.function_url_auth_type {
            violations.one_of(auth, "functionUrlAuthType", &["NONE", "AWS_IAM"]);
        }
        if let Some(id) = &self.principal_org_id {
            let fits = policy::is_organization(id);
            let (min, max) = ORGANIZATION_CHARS;
            violations.length(id, "principalOrgID", min, max);
            violations.pattern(id, "principalOrgID", fits, "o-[a-z0-9]{10,32}");
        }
    }
}

/// Whether a policy can be given to this target: `$LATEST` has the function's own.
///
/// # Errors
/// When it cannot.
pub fn check_target(target: &Target) -> Result<(), ApiError> {
    if is_latest(target) {
        let text = "We currently do not support adding policies for $LATEST.";
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(())
}

/// Whether a target names `$LATEST`, which has no policy of its own.
#[must_use]
pub fn is_latest(target: &Target) -> bool {
    target.qualifier == Some(Qualifier::Version(Version::Latest))
}

/// The label `StatementId` of `RemovePermission`, and the revision its query expects.
///
/// # Errors
/// When it is no id, or the revision cannot be the latest of anything.
pub fn removed(id: &str, uri: &Uri) -> Result<Option<RevisionId>, ApiError> {
    let mut violations = Violations::default();
    let fits = is_word(&id.replace('.', "_"));
    policy::check_id(&mut violations, id, (fits, "([a-zA-Z0-9-_.]+)"));
    violations.finish()?;
    policy::expected(QueryString::of(uri).get("RevisionId").as_deref(), READER)
}

/// The answer of `AddPermission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddPermissionResponse {
    statement: String,
}

impl AddPermissionResponse {
    /// The statement that was added.
    #[must_use]
    pub fn of(added: &FunctionStatement, target: &Target) -> Self {
        Self { statement: statement(added, &target.arn()).to_string() }
    }
}

/// The answer of `GetPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetPolicyResponse {
    policy: String,
    revision_id: Option<RevisionId>,
}

impl GetPolicyResponse {
    /// A policy.
    #[must_use]
    pub fn of(policy: &FunctionPolicy, target: &Target) -> Self {
        Self { policy: document(policy, target), revision_id: policy.revision.clone() }
    }
}

/// The length of a policy within its limit.
///
/// # Errors
/// When it is too long.
pub fn check_length(policy: &FunctionPolicy, target: &Target) -> Result<(), ApiError> {
    policy::check_length(&document(policy, target))
}

/// Why a policy was not changed, in AWS's words.
#[must_use]
pub fn denied(denied: PolicyDenied, id: &str) -> ApiError {
    policy::denied(denied, id, READER)
}

/// 404 for the policy of what has none, or is not there.
#[must_use]
pub fn not_found() -> ApiError {
    ApiError::new(Exception::ResourceNotFound, "The resource you requested does not exist.")
}

/// 404 for the statement of a function that is not there.
#[must_use]
pub fn no_function(target: &Target) -> ApiError {
    let text = format!("No policy found for: {}", target.arn());
    ApiError::new(Exception::ResourceNotFound, text)
}

fn is_action(text: &str) -> bool {
    text == "*"
        || text.strip_prefix("lambda:").is_some_and(|name| {
            name == "*" || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic()))
        })
}

fn is_source(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, _] = parts.as_slice() else {
        return false;
    };
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // An operator may call his region as he likes.
    let region_fits = region.is_empty()
        || is_region(region)
        || region.parse::<dormouse_model::names::Region>().is_ok();
    partition.strip_prefix("aws").is_some_and(word)
        && !service.is_empty()
        && word(service)
        && region_fits
        && (account.is_empty()
            || (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())))
}

fn principal(text: &str) -> Option<FunctionPrincipal> {
    if text == "*" {
        return Some(FunctionPrincipal::Anyone);
    }
    if let Some(account) = policy::account(text) {
        return Some(FunctionPrincipal::Aws(format!("arn:aws:iam::{account}:root")));
    }
    if is_identity(text) {
        return Some(FunctionPrincipal::Aws(text.to_owned()));
    }
    let name = SERVICES.iter().find_map(|domain| text.strip_suffix(domain))?;
    is_word(&name.replace('.', "-")).then(|| FunctionPrincipal::Service(text.to_owned()))
}

/// The ARN of a user, a role, or a session of one.
fn is_identity(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, name] = parts.as_slice() else {
        return false;
    };
    let kind = name.split_once('/').filter(|(_, name)| !name.is_empty()).map(|(kind, _)| kind);
    partition.starts_with("aws")
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && matches!(
            (*service, kind),
            ("iam", Some("user" | "role")) | ("sts", Some("assumed-role" | "federated-user"))
        )
}

pub(super) fn document(policy: &FunctionPolicy, target: &Target) -> String {
    let arn = target.arn();
    let statements: Vec<Value> = policy.statements.iter().map(|s| statement(s, &arn)).collect();
    policy::document(policy.head.as_ref(), &statements)
}

fn statement(of: &FunctionStatement, arn: &str) -> Value {
    match of {
        FunctionStatement::Granted(grant) => granted(grant, arn),
        FunctionStatement::Written { statement, .. } => statement.clone(),
    }
}

fn granted(of: &Grant, arn: &str) -> Value {
    let principal = match &of.principal {
        FunctionPrincipal::Anyone => json!("*"),
        FunctionPrincipal::Aws(arn) => json!({"AWS": arn}),
        FunctionPrincipal::Service(name) => json!({"Service": name}),
    };
    let mut statement = json!({
        "Sid": of.id, "Effect": "Allow", "Principal": principal, "Action": of.action,
        "Resource": arn,
    });
    let conditions = conditions(&of.conditions);
    if !conditions.is_empty() {
        statement["Condition"] = Value::Object(conditions);
    }
    statement
}

fn conditions(of: &Conditions) -> Map<String, Value> {
    let mut conditions = Map::new();
    let equal: Map<String, Value> = [
        ("AWS:SourceAccount", &of.source_account),
        ("aws:PrincipalOrgID", &of.organization),
        ("lambda:FunctionUrlAuthType", &of.url_auth),
        ("lambda:EventSourceToken", &of.event_source_token),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?))))
    .collect();
    if !equal.is_empty() {
        conditions.insert("StringEquals".to_owned(), Value::Object(equal));
    }
    if let Some(arn) = &of.source_arn {
        conditions.insert("ArnLike".to_owned(), json!({"AWS:SourceArn": arn}));
    }
    if let Some(via) = of.via_url {
        let via = json!({"lambda:InvokedViaFunctionUrl": via.to_string()});
        conditions.insert("Bool".to_owned(), via);
    }
    conditions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::name::NameShape;
    use super::*;

    fn read(changes: &Value) -> Result<NewPermission, ApiError> {
        let mut body = json!({
            "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        });
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        AddPermissionRequest::read(body.to_string().as_bytes())?.validate()
    }

    fn target() -> Target {
        let scope = dormouse_model::names::Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        Target::resolve(&scope, "f", Some("live"), NameShape::Existing).unwrap()
    }

    fn shown(changes: &Value) -> Value {
        statement(&read(changes).unwrap().statement, &target().arn())
    }

    fn refused(changes: &Value, expected: &str) {
        assert_eq!(read(changes).unwrap_err().to_string(), expected);
    }

    #[test]
    fn principals_are_shown_as_what_they_are() {
        let root = json!({"AWS": "arn:aws:iam::111111111111:root"});
        let role = "arn:aws:iam::111111111111:role/path/r";
        for (principal, expected) in [
            ("*", json!("*")),
            ("s3.amazonaws.com", json!({"Service": "s3.amazonaws.com"})),
            ("alexa-appkit.amazon.com", json!({"Service": "alexa-appkit.amazon.com"})),
            ("111111111111", root.clone()),
            ("arn:aws:iam::111111111111:root", root),
            (role, json!({"AWS": role})),
        ] {
            assert_eq!(shown(&json!({"Principal": principal}))["Principal"], expected);
        }
        for principal in ["s3", "example.org", ".amazonaws.com", "arn:aws:iam::1:root", "1"] {
            refused(
                &json!({"Principal": principal}),
                "InvalidParameterValueException: The provided principal was invalid. Please check the principal and try again.",
            );
        }
    }

    #[test]
    fn every_condition_is_shown() {
        let statement = shown(&json!({
            "SourceArn": "arn:aws:s3:::bucket", "SourceAccount": "111111111111",
            "PrincipalOrgID": "o-abcdefghij", "EventSourceToken": "t.1",
            "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE",
            "InvokedViaFunctionUrl": true,
        }));
        let expected = json!({
            "Sid": "s", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunctionUrl",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f:live",
            "Condition": {
                "StringEquals": {
                    "AWS:SourceAccount": "111111111111", "aws:PrincipalOrgID": "o-abcdefghij",
                    "lambda:FunctionUrlAuthType": "NONE", "lambda:EventSourceToken": "t.1",
                },
                "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
                "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
            },
        });
        assert_eq!(statement, expected);
        assert!(shown(&json!({})).get("Condition").is_none());
    }

    #[test]
    fn wrong_members_are_told_at_once() {
        let error = read(&json!({
            "StatementId": "a b", "Action": "s3:Get", "Principal": null, "SourceArn": "x",
            "SourceAccount": "1", "EventSourceToken": "a b", "FunctionUrlAuthType": "ANY",
            "PrincipalOrgID": "o",
        }));
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("ValidationException: 9 validation errors detected: "), "{text}");
        refused(
            &json!({"FunctionUrlAuthType": "NONE"}),
            "InvalidParameterValueException: FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
        );
        let text = "PreconditionFailedException: The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id";
        refused(&json!({"RevisionId": "x"}), text);
    }

    #[test]
    fn a_policy_ends_at_twenty_kilobytes() {
        let one = read(&json!({"SourceArn": format!("arn:aws:s3:::{}", "x".repeat(9_000))}));
        let one = one.unwrap().statement;
        let mut policy =
            FunctionPolicy { statements: vec![one.clone(); 2], ..FunctionPolicy::default() };
        assert!(check_length(&policy, &target()).is_ok());
        policy.statements.push(one);
        let error = check_length(&policy, &target()).unwrap_err();
        assert_eq!(error.exception, Exception::PolicyLengthExceeded);
    }

    proptest! {
        #[test]
        fn no_text_in_a_member_panics(text in ".{0,80}") {
            let _ = read(&json!({
                "StatementId": text, "Action": text, "Principal": text, "SourceArn": text,
                "SourceAccount": text, "EventSourceToken": text, "PrincipalOrgID": text,
            }));
        }
    }
}
