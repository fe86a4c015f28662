//! `ListLayers` and `ListLayerVersions`: their queries.

use dormouse_model::layer::LayerContent;
use dormouse_model::limits;
use dormouse_model::names::LayerName;
use http::Uri;

use super::publish::{ARCHITECTURES, is_runtime, runtime_rule};
use crate::error::ApiError;
use crate::lambda::list::max_items;
use crate::query::QueryString;
use crate::validate::Violations;

/// Which versions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerFilter {
    runtime: Option<String>,
    architecture: Option<String>,
}

impl LayerFilter {
    /// Whether a version is wanted: one that says nothing of a runtime is for none in particular.
    #[must_use]
    pub fn matches(&self, content: &LayerContent) -> bool {
        let runtime = |wanted| content.compatible_runtimes.contains(wanted);
        let architecture = |wanted| content.compatible_architectures.contains(wanted);
        self.runtime.as_ref().is_none_or(runtime)
            && self.architecture.as_ref().is_none_or(architecture)
    }
}

/// What a page is asked for: of layers after a name, or of versions below a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPage<M> {
    /// Where the page begins.
    pub marker: Option<M>,
    /// How many at most.
    pub items: usize,
    /// Which versions.
    pub filter: LayerFilter,
}

/// The query of `ListLayers`.
pub type ListLayersRequest = LayerPage<LayerName>;
/// The query of `ListLayerVersions`.
pub type ListLayerVersionsRequest = LayerPage<u64>;

impl<M: std::str::FromStr> LayerPage<M> {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a marker that we did not make.
    pub fn read(uri: &Uri) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let mut violations = Violations::default();
        let items = max_items(query, &mut violations, limits::PAGE_ITEMS);
        let member = |name| query.get(name).map(|value| value.into_owned());
        let runtime = member("CompatibleRuntime");
        if let Some(name) = runtime.as_ref().filter(|name| !is_runtime(name)) {
            violations.add(name, "compatibleRuntime", runtime_rule());
        }
        let architecture = member("CompatibleArchitecture");
        if let Some(name) = &architecture {
            violations.one_of(name, "compatibleArchitecture", &ARCHITECTURES);
        }
        violations.finish()?;
        let marker = member("Marker").filter(|marker| !marker.is_empty());
        let marker = marker.map(|marker| marker.parse()).transpose();
        let marker = marker.map_err(|_| ApiError::invalid_parameter("Invalid marker."))?;
        Ok(Self { marker, items, filter: LayerFilter { runtime, architecture } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<ListLayerVersionsRequest, ApiError> {
        LayerPage::read(&format!("/2018-10-31/layers/l/versions?{query}").parse().unwrap())
    }

    #[test]
    fn a_page_is_bounded_and_begins_at_its_marker() {
        let page = read("").unwrap();
        assert_eq!((page.items, page.marker, page.filter), (50, None, LayerFilter::default()));
        let page = read("MaxItems=7&Marker=3&CompatibleRuntime=python3.12").unwrap();
        assert_eq!((page.items, page.marker), (7, Some(3)));
        assert_eq!(page.filter.runtime.as_deref(), Some("python3.12"));
    }

    #[test]
    fn a_wrong_query_is_refused() {
        let text = |query| read(query).unwrap_err().to_string();
        assert_eq!(
            text("MaxItems=51&CompatibleArchitecture=mips"),
            "ValidationException: 2 validation errors detected: Value '51' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 50; Value 'mips' at 'compatibleArchitecture' failed to satisfy constraint: Member must satisfy enum value set: [x86_64, arm64]"
        );
        assert!(text("CompatibleRuntime=cobol").contains("Value 'cobol' at 'compatibleRuntime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, "));
        assert_eq!(text("Marker=x"), "InvalidParameterValueException: Invalid marker.");
    }
}
