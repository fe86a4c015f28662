//! The query string of a request: decoded on demand, never kept.

use std::borrow::Cow;

use http::Uri;

/// A query string.
#[derive(Debug, Clone, Copy)]
pub struct QueryString<'a>(&'a str);

impl<'a> QueryString<'a> {
    /// The query string of a URI; empty when it has none.
    #[must_use]
    pub fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// A member's value, the first if it comes twice.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// Every value of a member.
    pub fn all(self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes())
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value)
    }
}
