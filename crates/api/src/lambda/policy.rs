//! What the policies of functions and of layer versions share: ids, revisions, the document and
//! why a change of it is denied.

use dormouse_model::limits;
use dormouse_model::names::RevisionId;
use dormouse_model::policy::{Head, PolicyDenied};
use serde_json::{Value, json};

use crate::error::{ApiError, Exception};
use crate::validate::Violations;

const STATEMENT_CHARS: usize = 100;

/// The framework's check of a statement's id; `fits` is our reading of `pattern`.
pub(super) fn check_id(violations: &mut Violations, id: &str, (fits, pattern): (bool, &str)) {
    violations.length(id, "statementId", 1, STATEMENT_CHARS);
    violations.pattern(id, "statementId", fits, pattern);
}

/// A `RevisionId` that the caller expects; `reader` is the operation that tells the latest.
pub(super) fn expected(
    revision: Option<&str>,
    reader: &str,
) -> Result<Option<RevisionId>, ApiError> {
    let revision = revision.filter(|revision| !revision.is_empty());
    revision.map(|revision| revision.parse().map_err(|_| stale(reader))).transpose()
}

/// The account that a principal is: written as its id, or as the ARN of its root.
pub(super) fn account(text: &str) -> Option<&str> {
    let account = match text.strip_prefix("arn:aws") {
        Some(rest) => {
            let (partition, account) = rest.split_once(":iam::")?;
            let fits = partition.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
            account.strip_suffix(":root").filter(|_| fits)?
        }
        None => text,
    };
    let fits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(account)
}

/// `o-[a-z0-9]{10,32}`
pub(super) fn is_organization(id: &str) -> bool {
    id.strip_prefix("o-").is_some_and(|rest| {
        (10..=32).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

/// A policy as AWS writes it: a document in a text.
pub(super) fn document(head: Option<&Head>, statements: &[Value]) -> String {
    let Some(head) = head else {
        let document = json!({"Version": "2012-10-17", "Id": "default", "Statement": statements});
        return document.to_string();
    };
    let mut document = json!({"Statement": statements});
    for (name, value) in [("Version", &head.version), ("Id", &head.id)] {
        if let Some(value) = value {
            document[name] = json!(value);
        }
    }
    document.to_string()
}

/// The length of a document within its limit.
pub(super) fn check_length(document: &str) -> Result<(), ApiError> {
    if document.len() <= limits::POLICY_BYTES {
        return Ok(());
    }
    let text =
        format!("The final policy size is bigger than the limit ({}).", limits::POLICY_BYTES);
    Err(ApiError::new(Exception::PolicyLengthExceeded, text))
}

/// Why a policy was not changed, in AWS's words.
pub(super) fn denied(denied: PolicyDenied, id: &str, reader: &str) -> ApiError {
    match denied {
        PolicyDenied::StaleRevision => stale(reader),
        PolicyDenied::Exists => ApiError::new(
            Exception::ResourceConflict,
            format!(
                "The statement id ({id}) provided already exists. Please provide a new statement \
                 id, or remove the existing statement."
            ),
        ),
        PolicyDenied::NoStatement => ApiError::new(
            Exception::ResourceNotFound,
            format!("Statement {id} is not found in resource policy."),
        ),
        PolicyDenied::NoPolicy => no_policy(),
    }
}

/// 404 for a resource without a policy.
pub(super) fn no_policy() -> ApiError {
    let text = "No policy is associated with the given resource.";
    ApiError::new(Exception::ResourceNotFound, text)
}

/// 400 for a principal that nobody can be.
pub(super) fn invalid_principal() -> ApiError {
    let text = "The provided principal was invalid. Please check the principal and try again.";
    ApiError::invalid_parameter(text)
}

pub(super) fn stale(reader: &str) -> ApiError {
    let text = format!(
        "The Revision Id provided does not match the latest Revision Id. Call the {reader} API to \
         retrieve the latest Revision Id"
    );
    ApiError::new(Exception::PreconditionFailed, text)
}
