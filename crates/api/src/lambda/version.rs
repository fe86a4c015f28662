//! `PublishVersion` and `ListVersionsByFunction`: what they ask, a page of the answer, and the
//! words in which publishing and deleting versions are refused.

use dormouse_model::function::Code;
use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, Qualifier, Version};
use dormouse_model::version::{Publish, PublishDenied};
use http::Uri;
use serde::{Deserialize, Serialize};

use super::configuration::{FunctionConfiguration, shown_digest};
use super::list::max_items;
use super::settings::{check_publish_to, refuse_publish_to};
use super::update::expected;
use crate::error::ApiError;
use crate::query::QueryString;
use crate::validate::Violations;

/// The body of `PublishVersion`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PublishVersionRequest {
    #[serde(rename = "CodeSha256")]
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
    publish_to: Option<String>,
}

/// A publication that has passed the framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishVersion {
    /// What is asked of the function.
    pub publish: Publish,
    /// The hash of the code that the caller believes it publishes, as it was written.
    code_sha256: Option<String>,
}

impl PublishVersionRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// The framework's validation, which needs nothing of what is there.
    ///
    /// # Errors
    /// Every violation in one text; a `RevisionId` that cannot be the latest.
    pub fn validate(self) -> Result<PublishVersion, ApiError> {
        let mut violations = Violations::default();
        if let Some(description) = &self.description {
            violations.length(description, "description", 0, limits::DESCRIPTION_CHARS);
        }
        check_publish_to(&mut violations, self.publish_to.as_deref());
        violations.finish()?;
        refuse_publish_to(self.publish_to.as_deref())?;
        let expected = expected(self.revision_id)?;
        let publish = Publish { description: self.description, expected };
        let code_sha256 = self.code_sha256.filter(|hash| !hash.is_empty());
        Ok(PublishVersion { publish, code_sha256 })
    }
}

impl PublishVersion {
    /// The code is the one that the caller believes it publishes.
    ///
    /// # Errors
    /// When it is another.
    pub fn check_code(&self, current: &Code) -> Result<(), ApiError> {
        let current = shown_digest(current);
        match &self.code_sha256 {
            Some(given) if *given != current => Err(ApiError::invalid_parameter(format!(
                "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). \
                 Please try again with the CodeSHA256 in $LATEST."
            ))),
            _ => Ok(()),
        }
    }
}

/// A refused publication in AWS's words.
#[must_use]
pub fn denied(denied: &PublishDenied, key: &FunctionKey) -> ApiError {
    match denied {
        PublishDenied::State(state) => ApiError::function_in_state(state),
        PublishDenied::InProgress => ApiError::update_in_progress(&key.arn()),
        PublishDenied::StaleRevision => ApiError::stale_revision(),
        PublishDenied::Directory => unpublishable(),
    }
}

/// 400 for a version of code that would change under it.
#[must_use]
pub fn unpublishable() -> ApiError {
    ApiError::invalid_parameter(
        "A function whose code is a directory cannot be published, because its code changes: update \
         its code with a deployment package first.",
    )
}

/// The number that a qualifier of `DeleteFunction` means, or nothing for the whole function.
///
/// # Errors
/// `$LATEST` and aliases, which cannot be deleted so.
pub fn deletable(qualifier: Option<&Qualifier>) -> Result<Option<u64>, ApiError> {
    let text = match qualifier {
        None => return Ok(None),
        Some(Qualifier::Version(Version::Number(number))) => return Ok(Some(*number)),
        Some(Qualifier::Version(Version::Latest)) => {
            "$LATEST version cannot be deleted without deleting the function."
        }
        Some(Qualifier::Alias(_)) => "Deletion of aliases is not currently supported.",
    };
    Err(ApiError::invalid_parameter(text))
}

/// The query of `ListVersionsByFunction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListVersionsRequest {
    /// Only versions after this one; 0 is `$LATEST`, the first of all.
    pub after: Option<u64>,
    /// How many at most.
    pub items: usize,
}

impl ListVersionsRequest {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a marker that we did not make.
    pub fn read(uri: &Uri) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let mut violations = Violations::default();
        let items = max_items(query, &mut violations, 10_000);
        violations.finish()?;
        let marker = query.get("Marker").filter(|marker| !marker.is_empty());
        let after = marker.map(|marker| number(&marker)).transpose()?;
        Ok(Self { after, items })
    }
}

/// The marker after which a list goes on with what follows this version.
#[must_use]
pub fn marker(number: Option<u64>) -> String {
    number.map_or(Version::Latest, Version::Number).to_string()
}

/// The number in a marker, 0 for `$LATEST`.
pub(super) fn number(marker: &str) -> Result<u64, ApiError> {
    if marker == "$LATEST" {
        return Ok(0);
    }
    marker.parse().map_err(|_| ApiError::invalid_parameter("Invalid marker."))
}

/// A page of versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListVersionsByFunctionResponse {
    /// `$LATEST`, then the versions, oldest first.
    pub versions: Vec<FunctionConfiguration>,
    /// What to pass as `Marker` for the next page: the last version of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lambda::configuration::tests::pending;

    fn read(body: &Value) -> Result<PublishVersion, ApiError> {
        PublishVersionRequest::read(body.to_string().as_bytes())?.validate()
    }

    #[test]
    fn a_publication_says_what_it_believes_to_publish() {
        let revision = "00000000-0000-4000-8000-000000000001";
        let asked = read(&json!({"Description": "d", "RevisionId": revision})).unwrap();
        assert_eq!(asked.publish.description.as_deref(), Some("d"));
        assert_eq!(asked.publish.expected, Some(revision.parse().unwrap()));
        assert_eq!(
            PublishVersionRequest::read(b"").unwrap().validate().unwrap().publish,
            Publish::default()
        );
        let code = pending().code;
        assert_eq!(asked.check_code(&code), Ok(()));
        let right = read(&json!({"CodeSha256": shown_digest(&code)})).unwrap();
        assert_eq!(right.check_code(&code), Ok(()));
        let wrong = read(&json!({"CodeSha256": "x"})).unwrap();
        assert_eq!(
            wrong.check_code(&code).unwrap_err().to_string(),
            "InvalidParameterValueException: CodeSHA256 (x) is different from current CodeSHA256 in $LATEST (CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=). Please try again with the CodeSHA256 in $LATEST."
        );
    }

    #[test]
    fn a_wrong_publication_is_refused() {
        let text = |body: Value| read(&body).unwrap_err().to_string();
        assert!(text(json!({"Description": "x".repeat(257)})).contains("at 'description' failed"));
        assert!(text(json!({"RevisionId": "old"})).starts_with("PreconditionFailedException"));
        assert!(
            text(json!({"PublishTo": "LATEST_PUBLISHED"})).contains("PublishTo cannot be used")
        );
        assert!(PublishVersionRequest::read(b"[]").is_err());
    }

    #[test]
    fn a_page_goes_on_after_its_marker() {
        let read = |query: &str| ListVersionsRequest::read(&format!("/x?{query}").parse().unwrap());
        assert_eq!(read("").unwrap(), ListVersionsRequest { after: None, items: 50 });
        for number in [None, Some(7)] {
            let query = format!("MaxItems=3&Marker={}", marker(number));
            let wanted = ListVersionsRequest { after: number.or(Some(0)), items: 3 };
            assert_eq!(read(&query).unwrap(), wanted);
        }
        assert!(read("Marker=x").is_err() && read("MaxItems=0").is_err());
    }

    #[test]
    fn only_versions_are_deleted_alone() {
        let text = |qualifier: &str| {
            let qualifier = qualifier.parse().unwrap();
            deletable(Some(&qualifier)).map_err(|error| error.message)
        };
        assert_eq!(deletable(None), Ok(None));
        assert_eq!(text("7"), Ok(Some(7)));
        assert!(text("$LATEST").unwrap_err().starts_with("$LATEST version cannot be deleted"));
        assert_eq!(text("live").unwrap_err(), "Deletion of aliases is not currently supported.");
    }
}
