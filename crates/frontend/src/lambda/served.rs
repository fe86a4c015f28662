//! What one function serves: `$LATEST`, its published versions and its aliases, as a value in a
//! snapshot.
//!
//! Looked into by every invocation: nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;

use dormouse_model::alias::Alias;
use dormouse_model::chance::Chance;
use dormouse_model::concurrency;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::names::{AliasName, Qualifier, Version};
use dormouse_model::version::PublishedVersion;

/// What a function serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    /// What `$LATEST` runs.
    pub(super) latest: Option<Arc<ResolvedVersion>>,
    versions: HashMap<u64, Arc<ResolvedVersion>>,
    aliases: HashMap<AliasName, Alias>,
}

impl Served {
    /// What a qualifier runs; without one, what `$LATEST` does. Chance is only drawn for an alias.
    pub(super) fn get(
        &self,
        qualifier: Option<&Qualifier>,
        chance: &Chance,
    ) -> Option<Arc<ResolvedVersion>> {
        match qualifier {
            None => self.version(Version::Latest),
            Some(Qualifier::Version(version)) => self.version(*version),
            Some(Qualifier::Alias(name)) => {
                self.version(self.aliases.get(name)?.roll(chance.bits()))
            }
        }
    }

    fn version(&self, version: Version) -> Option<Arc<ResolvedVersion>> {
        match version {
            Version::Latest => self.latest.clone(),
            Version::Number(number) => self.versions.get(&number).cloned(),
        }
    }

    /// What gets the places of a version or an alias: the version if it serves, and how many.
    pub(super) fn shares(
        &self,
        qualifier: &Qualifier,
        places: u32,
    ) -> Vec<(Option<Arc<ResolvedVersion>>, u32)> {
        let alias = match qualifier {
            Qualifier::Alias(name) => self.aliases.get(name),
            Qualifier::Version(_) => None,
        };
        let shares = concurrency::shares(qualifier, places, alias).into_iter();
        shares.map(|(version, share)| (self.version(version), share)).collect()
    }

    /// Adds a published version.
    pub(super) fn add_version(&mut self, version: ResolvedVersion) {
        if let Version::Number(number) = version.version {
            self.versions.insert(number, Arc::new(version));
        }
    }

    /// Adds an alias.
    pub(super) fn add_alias(&mut self, alias: Alias) {
        self.aliases.insert(alias.name.clone(), alias);
    }

    /// Takes these versions and aliases for those that there were before.
    pub(super) fn publish(&mut self, versions: &[PublishedVersion], aliases: Vec<Alias>) {
        self.versions.clear();
        for version in versions.iter().filter_map(PublishedVersion::resolved) {
            self.add_version(version);
        }
        self.aliases.clear();
        for alias in aliases {
            self.add_alias(alias);
        }
    }

    /// Nothing is served.
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_none() && self.versions.is_empty() && self.aliases.is_empty()
    }
}
