//! The query of the lists of what functions have one of for each qualifier.

use dormouse_model::limits;
use dormouse_model::names::Qualifier;
use http::Uri;

use super::list::max_items;
use crate::error::ApiError;
use crate::query::QueryString;
use crate::validate::Violations;

/// A page asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualifierPage {
    /// Only what comes after this one.
    pub after: Option<Qualifier>,
    /// How many at most.
    pub items: usize,
}

impl QualifierPage {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a marker that we did not make.
    pub fn read(uri: &Uri) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let mut violations = Violations::default();
        let items = max_items(query, &mut violations, limits::PAGE_ITEMS);
        violations.finish()?;
        let marker = query.get("Marker").filter(|marker| !marker.is_empty());
        let after = marker.map(|marker| marker.parse()).transpose();
        let after = after.map_err(|_| ApiError::invalid_parameter("Invalid marker."))?;
        Ok(Self { after, items })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_starts_after_its_marker() {
        let read = |query: &str| QualifierPage::read(&format!("/x?{query}").parse().unwrap());
        assert_eq!(read("").unwrap(), QualifierPage { after: None, items: 50 });
        let page = read("MaxItems=2&Marker=%24LATEST").unwrap();
        assert_eq!((page.items, page.after.unwrap().to_string().as_str()), (2, "$LATEST"));
        assert!(read("MaxItems=51").is_err());
        assert!(read("Marker=%21").is_err());
    }
}
