//! What one function serves: `$LATEST` and its published versions, as a value in a snapshot.
//!
//! Looked into by every invocation: nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;

use dormouse_model::function::ResolvedVersion;
use dormouse_model::names::{Qualifier, Version};
use dormouse_model::version::PublishedVersion;

/// What a function serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    /// What `$LATEST` runs.
    pub(super) latest: Option<Arc<ResolvedVersion>>,
    versions: HashMap<u64, Arc<ResolvedVersion>>,
}

impl Served {
    /// What a qualifier runs; without one, what `$LATEST` does.
    pub(super) fn get(&self, qualifier: Option<&Qualifier>) -> Option<Arc<ResolvedVersion>> {
        match qualifier {
            None => self.version(Version::Latest),
            Some(Qualifier::Version(version)) => self.version(*version),
            Some(Qualifier::Alias(_)) => None,
        }
    }

    fn version(&self, version: Version) -> Option<Arc<ResolvedVersion>> {
        match version {
            Version::Latest => self.latest.clone(),
            Version::Number(number) => self.versions.get(&number).cloned(),
        }
    }

    /// Adds a published version.
    pub(super) fn add(&mut self, version: ResolvedVersion) {
        if let Version::Number(number) = version.version {
            self.versions.insert(number, Arc::new(version));
        }
    }

    /// Takes these versions for those that were published before.
    pub(super) fn publish(&mut self, versions: &[PublishedVersion]) {
        self.versions.clear();
        for version in versions.iter().filter_map(PublishedVersion::resolved) {
            self.add(version);
        }
    }

    /// Nothing is served.
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_none() && self.versions.is_empty()
    }
}
