//! Which owner runs what, as values: the names of owners, and which of them end when something changes.

use std::collections::HashMap;
use std::sync::Arc;

use dormouse_model::concurrency::Allocation;
use dormouse_model::function::ResolvedVersion;
use dormouse_model::names::{FunctionKey, Version};
use tokio::sync::{mpsc, watch};

use crate::assignment::Request;
use crate::counts::Count;

/// The edition of code that never changes.
pub(crate) const UNCHANGING: u64 = 0;

/// Names the owner of a version: a version of a function, in one generation of its configuration
/// and, when its code is a directory, one edition of that. A function that keeps tenants apart has
/// an owner for each, and so no environment of one ever serves another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RouteKey {
    pub(crate) key: FunctionKey,
    pub(crate) unique_id: String,
    pub(crate) version: Version,
    pub(crate) generation: u64,
    pub(crate) edition: u64,
    pub(crate) tenant: Option<String>,
}

impl RouteKey {
    /// The owner for callers of a tenant, which counts only where the function keeps them apart.
    pub(crate) fn of(version: &ResolvedVersion, edition: u64, tenant: Option<&str>) -> Self {
        let apart = version.deployment.configuration.per_tenant;
        Self {
            edition,
            tenant: tenant.filter(|_| apart).map(str::to_owned),
            key: version.key.clone(),
            unique_id: version.unique_id.clone(),
            version: version.version,
            generation: version.deployment.generation,
        }
    }

    /// Whether it is of an earlier edition of the same.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.edition < other.edition && Self { edition: other.edition, ..self.clone() } == *other
    }
}

/// The way to an owner.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) requests: mpsc::Sender<Request>,
    /// What runs of the account in places that nobody claims.
    pub(crate) shared: Count,
    pub(crate) allocation: watch::Receiver<Allocation>,
}

impl Route {
    /// Whether the owner still takes requests.
    pub(crate) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }
}

pub(crate) type Routes = HashMap<RouteKey, Arc<Route>>;

/// Which environments of a function end.
#[derive(Debug)]
pub(crate) enum Which {
    /// All.
    All,
    /// Those of another function of that name, and those of this version in another generation.
    Not { unique_id: String, version: Version, generation: u64 },
    /// Those of this version.
    Of(Version),
    /// Those of earlier editions of the same code.
    Before(RouteKey),
}

impl Which {
    pub(crate) fn ends(&self, route: &RouteKey) -> bool {
        match self {
            Self::All => true,
            Self::Not { unique_id, version, generation } => {
                route.unique_id != *unique_id
                    || (route.version == *version && route.generation != *generation)
            }
            Self::Of(version) => route.version == *version,
            Self::Before(kept) => route.is_before(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_model::names::Scope;

    use super::*;

    /// Which routes of one function end; each is written `function's id.version.generation`.
    fn check(which: &Which, expected: &str) {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let key = FunctionKey { scope, name: "f".parse().unwrap() };
        let (latest, first) = (Version::Latest, Version::Number(1));
        let routes = [("a", latest, 1), ("b", latest, 1), ("b", latest, 2), ("b", first, 1)];
        let ended = routes.map(|(unique_id, version, generation)| {
            let (key, unique_id) = (key.clone(), unique_id.into());
            let route = RouteKey { key, unique_id, version, generation, edition: 0, tenant: None };
            let ends = which.ends(&route);
            ends.then(|| format!("{}.{version}.{generation}", route.unique_id))
        });
        let ended: Vec<String> = ended.into_iter().flatten().collect();
        assert_eq!(ended.join(" "), expected, "{which:?}");
    }

    #[test]
    fn an_update_of_latest_ends_no_published_version_and_a_deletion_only_its_own() {
        check(&Which::All, "a.$LATEST.1 b.$LATEST.1 b.$LATEST.2 b.1.1");
        let update = Which::Not { unique_id: "b".into(), version: Version::Latest, generation: 2 };
        check(&update, "a.$LATEST.1 b.$LATEST.1");
        check(&Which::Of(Version::Number(1)), "b.1.1");
    }

    #[test]
    fn a_later_edition_comes_after_earlier_ones_of_the_same_code_only() {
        let scope = "123456789012 us-east-1".split_once(' ').unwrap();
        let scope = Scope { account: scope.0.parse().unwrap(), region: scope.1.parse().unwrap() };
        let key = |generation, edition| RouteKey {
            key: FunctionKey { scope: scope.clone(), name: "f".parse().unwrap() },
            unique_id: "u".into(),
            version: Version::Latest,
            generation,
            edition,
            tenant: None,
        };
        assert!(key(1, 3).is_before(&key(1, 4)));
        assert!(!key(1, 4).is_before(&key(1, 4)) && !key(1, 5).is_before(&key(1, 4)));
        assert!(!key(1, 3).is_before(&key(2, 4)));
    }
}
