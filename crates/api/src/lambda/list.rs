//! `ListFunctions`: its query and a page of its answer.

use dormouse_model::limits;
use dormouse_model::names::FunctionName;
use http::Uri;
use serde::Serialize;

use super::configuration::FunctionConfiguration;
use super::name::is_region;
use super::version::number;
use crate::error::ApiError;
use crate::query::QueryString;
use crate::validate::Violations;

/// What a page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFunctionsRequest {
    /// Only functions after this one, and versions of it after this number; 0 is `$LATEST`.
    pub after: Option<(FunctionName, u64)>,
    /// How many at most.
    pub items: usize,
    /// Whether published versions are listed too.
    pub all_versions: bool,
}

impl ListFunctionsRequest {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a marker that we did not make.
    pub fn read(uri: &Uri) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let mut violations = Violations::default();
        let items = max_items(query, &mut violations, 10_000);
        if let Some(version) = query.get("FunctionVersion") {
            violations.one_of(&version, "functionVersion", &["ALL"]);
        }
        if let Some(region) = query.get("MasterRegion") {
            let fits = region == "ALL" || is_region(&region);
            let pattern = r"ALL|(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}";
            violations.length(&region, "masterRegion", 1, 50);
            violations.pattern(&region, "masterRegion", fits, pattern);
        }
        violations.finish()?;
        let marker = query.get("Marker").filter(|marker| !marker.is_empty());
        let after = marker.map(|marker| after(&marker)).transpose()?;
        let all_versions = query.get("FunctionVersion").is_some();
        Ok(Self { after, items, all_versions })
    }
}

/// A function's name, followed by one of its versions where those are listed too.
fn after(marker: &str) -> Result<(FunctionName, u64), ApiError> {
    let (name, version) = marker.split_once(':').unwrap_or((marker, "$LATEST"));
    let name = name.parse().map_err(|_| ApiError::invalid_parameter("Invalid marker."))?;
    Ok((name, number(version)?))
}

/// A page is at most 50, whatever is asked for up to `most`.
pub(super) fn max_items(query: QueryString<'_>, violations: &mut Violations, most: usize) -> usize {
    items_of(query, violations, (most, limits::PAGE_ITEMS))
}

/// A page is at most `page`, whatever is asked for up to `most`.
pub(super) fn items_of(
    query: QueryString<'_>,
    violations: &mut Violations,
    (most, page): (usize, usize),
) -> usize {
    let Some(text) = query.get("MaxItems") else {
        return page;
    };
    let Ok(items) = text.parse::<i64>() else {
        violations.add(&text, "maxItems", "Member must be an integer");
        return page;
    };
    violations.range(items, "maxItems", 1, i64::try_from(most).unwrap_or(i64::MAX));
    usize::try_from(items).map_or(page, |items| items.min(page))
}

/// A page.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListFunctionsResponse {
    /// The functions, by name.
    pub functions: Vec<FunctionConfiguration>,
    /// What to pass as `Marker` for the next page: the last name of this one, with its version
    /// where versions are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<ListFunctionsRequest, ApiError> {
        ListFunctionsRequest::read(&format!("/2015-03-31/functions?{query}").parse().unwrap())
    }

    #[test]
    fn a_page_is_bounded_and_starts_after_its_marker() {
        assert_eq!(read("").unwrap().items, 50);
        assert_eq!(read("MaxItems=7").unwrap().items, 7);
        assert_eq!(read("MaxItems=10000").unwrap().items, 50);
        assert_eq!(
            read("Marker=f&FunctionVersion=ALL").unwrap().after,
            Some(("f".parse().unwrap(), 0))
        );
        let after = read("Marker=f:7&FunctionVersion=ALL").unwrap().after;
        assert_eq!(after, Some(("f".parse().unwrap(), 7)));
    }

    #[test]
    fn a_wrong_query_is_refused() {
        let text = |query| read(query).unwrap_err().to_string();
        assert_eq!(
            text("MaxItems=0&FunctionVersion=1"),
            "ValidationException: 2 validation errors detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1; Value '1' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]"
        );
        assert_eq!(text("Marker=%2e%2e%2f"), "InvalidParameterValueException: Invalid marker.");
        assert!(text("MaxItems=x").starts_with("ValidationException"));
    }
}
