//! Published versions: what publishing makes of a function, and when it makes nothing.
//!
//! A version is a copy of its function's record under a number. It never changes, but for becoming
//! ready together with the update or creation that it was published with, and, with SnapStart, once it has
//! been initialised.

use serde::{Deserialize, Serialize};

use crate::function::{
    Code, Deployment, FIRST_GENERATION, Function, ResolvedVersion, State, Update,
};
use crate::names::{RevisionId, Version};

/// A published version as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedVersion {
    /// Its number, given out once and for all.
    pub number: u64,
    /// What was published.
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

/// A version that has no number yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The function as the version shows it, with a revision of its own and without tags.
    pub function: Function,
    /// The description that `$LATEST` had: the version may have been given another, which makes no
    /// difference between the two.
    pub described: String,
}

/// What a publication asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publish {
    /// The version's description; that of `$LATEST` when absent.
    pub description: Option<String>,
    /// The revision the caller believes it publishes, if it said.
    pub expected: Option<RevisionId>,
}

/// What a publication comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// The newest version is the same: that one is the answer.
    Unchanged,
    /// The newest version is the same; the function is changed all the same.
    Again {
        /// The function.
        function: Box<Function>,
    },
    /// A new version.
    New {
        /// The function, whose revision is another now.
        function: Box<Function>,
        /// The version.
        snapshot: Box<Snapshot>,
    },
}

/// Why nothing is published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishDenied {
    /// The function is not ready, or never was.
    #[error("function is {0}")]
    State(&'static str),
    /// An update runs.
    #[error("an update is in progress")]
    InProgress,
    /// The caller's revision is not the latest.
    #[error("revision is not the latest")]
    StaleRevision,
    /// The code is a directory, which would change under the version.
    #[error("code is a directory")]
    Directory,
}

impl PublishedVersion {
    /// Whether publishing this function again would make the same. One that never became ready is
    /// like no other.
    #[must_use]
    pub fn is_same(&self, function: &Function) -> bool {
        let published = &self.snapshot.function;
        if matches!(published.state, State::Failed { .. }) || published.code != function.code {
            return false;
        }
        let mut configuration = published.configuration.clone();
        configuration.description.clone_from(&self.snapshot.described);
        configuration == function.configuration
    }

    /// What invocations of it run, once it is ready.
    #[must_use]
    pub fn resolved(&self) -> Option<ResolvedVersion> {
        Some(self.running(self.snapshot.function.serving()?.clone()))
    }

    /// What is initialised for its snapshot, while it waits for that.
    #[must_use]
    pub fn initialising(&self) -> Option<ResolvedVersion> {
        let function = &self.snapshot.function;
        (function.state == State::Initialising).then(|| {
            self.running(Deployment {
                configuration: function.configuration.clone(),
                code: function.code.clone(),
                generation: FIRST_GENERATION,
            })
        })
    }

    fn running(&self, deployment: Deployment) -> ResolvedVersion {
        let function = &self.snapshot.function;
        ResolvedVersion {
            key: function.key.clone(),
            unique_id: function.unique_id.clone(),
            version: Version::Number(self.number),
            deployment,
        }
    }

    /// Ready, or never to be, as the function is that it was published with. Its revision stays.
    #[must_use]
    pub fn settled(&self, result: Result<(), (&str, &str)>) -> Self {
        let function = &self.snapshot.function;
        if !function.is_settling() {
            return self.clone();
        }
        let revision = function.revision.clone();
        self.with(match result {
            Ok(()) => function.published(revision),
            Err((code, reason)) => function.failed(revision, code, reason),
        })
    }

    /// Initialised, or never to be. Without effect unless that is what it waits for.
    #[must_use]
    pub fn initialised(&self, result: Result<(), (&str, &str)>) -> Self {
        let function = &self.snapshot.function;
        if function.state != State::Initialising {
            return self.clone();
        }
        let revision = function.revision.clone();
        self.with(match result {
            Ok(()) => function.activated(revision),
            Err((code, reason)) => function.failed(revision, code, reason),
        })
    }

    fn with(&self, function: Function) -> Self {
        Self { snapshot: Snapshot { function, ..self.snapshot.clone() }, ..self.clone() }
    }
}

impl Function {
    /// Publishes what the API shows, unless `newest` is the same already.
    ///
    /// # Errors
    /// Before it is ready, while an update runs or after one that failed, and when the caller
    /// believes to publish something else.
    pub fn publish(
        &self,
        newest: Option<&PublishedVersion>,
        publish: Publish,
        [own, latest]: [RevisionId; 2],
    ) -> Result<Publication, PublishDenied> {
        match &self.state {
            State::Pending | State::Initialising => {
                return Err(PublishDenied::State("Pending"));
            }
            State::Active { update: Update::InProgress, .. } => {
                return Err(PublishDenied::InProgress);
            }
            State::Failed { .. } | State::Active { update: Update::Failed { .. }, .. } => {
                return Err(PublishDenied::State("Failed"));
            }
            State::Active { update: Update::Successful, .. } => {}
        }
        if publish.expected.is_some_and(|expected| expected != self.revision) {
            return Err(PublishDenied::StaleRevision);
        }
        if matches!(self.code, Code::Directory { .. }) {
            return Err(PublishDenied::Directory);
        }
        if newest.is_some_and(|newest| newest.is_same(self)) {
            return Ok(Publication::Unchanged);
        }
        let snapshot = Box::new(self.snapshot(publish.description, own));
        let function = Box::new(Self { revision: latest, ..self.clone() });
        Ok(Publication::New { function, snapshot })
    }

    /// A version whose code is ready: it serves, or is initialised first.
    fn published(&self, revision: RevisionId) -> Self {
        if self.configuration.snap_start {
            return Self { revision, state: State::Initialising, ..self.clone() };
        }
        self.activated(revision)
    }

    /// Publishes an update that has just begun.
    #[must_use]
    pub fn publish_update(
        self,
        newest: Option<&PublishedVersion>,
        revision: RevisionId,
    ) -> Publication {
        if newest.is_some_and(|newest| newest.is_same(&self)) {
            return Publication::Again { function: Box::new(self) };
        }
        let snapshot = Box::new(self.snapshot(None, revision));
        Publication::New { function: Box::new(self), snapshot }
    }

    /// This function as a version of it shows it: its creation or update may still be under way,
    /// which the version then settles with.
    #[must_use]
    pub fn snapshot(&self, description: Option<String>, revision: RevisionId) -> Snapshot {
        let described = self.configuration.description.clone();
        let mut configuration = self.configuration.clone();
        configuration.description = description.unwrap_or(configuration.description);
        let mut function = Self {
            configuration,
            revision: revision.clone(),
            tags: [].into(),
            // What served before is no part of it: a version serves itself or nothing.
            state: State::Pending,
            ..self.clone()
        };
        if !self.is_settling() {
            function = function.published(revision);
        }
        Snapshot { function, described }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::tests::pending;
    use crate::function::{Change, Code, Package};

    fn revision(last: u8) -> RevisionId {
        format!("00000000-0000-4000-8000-00000000000{last}").parse().unwrap()
    }

    fn active() -> Function {
        pending().activated(revision(2))
    }

    fn publish(function: &Function, newest: Option<&PublishedVersion>, asked: Publish) -> String {
        match function.publish(newest, asked, [revision(8), revision(9)]) {
            Ok(Publication::Unchanged) => "unchanged".to_owned(),
            Ok(Publication::Again { .. }) => "again".to_owned(),
            Ok(Publication::New { snapshot, .. }) => {
                format!("new: {:?}", snapshot.function.configuration.description)
            }
            Err(denied) => denied.to_string(),
        }
    }

    fn first(description: Option<&str>) -> PublishedVersion {
        let snapshot = active().snapshot(description.map(str::to_owned), revision(8));
        PublishedVersion { number: 1, snapshot }
    }

    fn updated(change: impl FnOnce(&mut Change)) -> Function {
        let function = active();
        let mut asked = Change {
            configuration: function.configuration.clone(),
            code: function.code.clone(),
            revision: revision(3),
            expected: None,
            now_ms: 5,
        };
        change(&mut asked);
        function.changed(asked).unwrap()
    }

    #[test]
    fn only_a_change_of_code_or_configuration_makes_another_version() {
        let asked = Publish::default;
        assert_eq!(publish(&active(), None, asked()), r#"new: """#);
        assert_eq!(publish(&active(), Some(&first(None)), asked()), "unchanged");
        let described = Publish { description: Some("d".into()), ..asked() };
        assert_eq!(publish(&active(), Some(&first(Some("e"))), described.clone()), "unchanged");
        assert_eq!(publish(&active(), None, described), r#"new: "d""#);
        let same = updated(|_| {}).activated(revision(4));
        assert_eq!(publish(&same, Some(&first(None)), asked()), "unchanged");
        let slower = updated(|change| change.configuration.timeout_s = 9).activated(revision(4));
        assert_eq!(publish(&slower, Some(&first(None)), asked()), r#"new: """#);
        let digest = "b".repeat(64).parse().unwrap();
        let other = Code::Zip(Package { digest, size_bytes: 1 });
        let other = updated(|change| change.code = other).activated(revision(4));
        assert_eq!(publish(&other, Some(&first(None)), asked()), r#"new: """#);
    }

    #[test]
    fn what_is_not_ready_or_not_what_the_caller_believes_is_not_published() {
        let asked = Publish::default;
        assert_eq!(publish(&pending(), None, asked()), "function is Pending");
        let failed = pending().failed(revision(2), "c", "r");
        assert_eq!(publish(&failed, None, asked()), "function is Failed");
        let updating = updated(|_| {});
        assert_eq!(publish(&updating, None, asked()), "an update is in progress");
        assert_eq!(
            publish(&updating.failed(revision(4), "c", "r"), None, asked()),
            "function is Failed"
        );
        let stale = Publish { expected: Some(revision(7)), ..asked() };
        // Even when there would be nothing to publish.
        assert_eq!(publish(&active(), Some(&first(None)), stale), "revision is not the latest");
    }

    #[test]
    fn a_directory_is_not_published_because_it_changes() {
        let directory = Code::Directory { directory: "/src".into() };
        let function = updated(|change| change.code = directory).activated(revision(4));
        assert_eq!(publish(&function, None, Publish::default()), "code is a directory");
    }

    #[test]
    fn a_version_serves_itself_with_revision_and_generation_of_its_own() {
        let function = updated(|change| change.configuration.timeout_s = 9).activated(revision(4));
        let publication = function.publish(None, Publish::default(), [revision(8), revision(9)]);
        let Ok(Publication::New { function, snapshot }) = publication else {
            panic!("nothing was published");
        };
        assert_eq!(function.revision, revision(9));
        let version = PublishedVersion { number: 7, snapshot: *snapshot };
        assert_eq!(version.snapshot.function.revision, revision(8));
        let resolved = version.resolved().unwrap();
        assert_eq!(resolved.version, Version::Number(7));
        assert_eq!(
            (resolved.deployment.generation, resolved.deployment.configuration.timeout_s),
            (1, 9)
        );
        assert_eq!(version.settled(Err(("c", "r"))), version);
    }

    #[test]
    fn a_version_of_snap_start_serves_once_it_is_initialised() {
        let change = |change: &mut Change| change.configuration.snap_start = true;
        let updating = updated(change);
        let version = |function: &Function| PublishedVersion {
            number: 7,
            snapshot: function.snapshot(None, revision(8)),
        };
        let unsettled = version(&updating);
        assert_eq!((unsettled.resolved(), unsettled.initialising()), (None, None));
        assert_eq!(unsettled.initialised(Ok(())), unsettled);
        assert_eq!(unsettled.settled(Err(("c", "r"))).initialising(), None);
        let latest = updating.activated(revision(4));
        assert!(latest.serving().is_some(), "$LATEST is of no snapshot");
        let waiting = version(&latest);
        assert_eq!(waiting.snapshot.function, unsettled.settled(Ok(())).snapshot.function);
        assert_eq!(waiting.resolved(), None);
        // The update of the function that comes next is not what it waits for.
        assert_eq!(waiting.settled(Err(("c", "r"))), waiting);
        let initialising = waiting.initialising().unwrap();
        assert!(initialising.is_snap_start());
        let serving = waiting.initialised(Ok(()));
        assert_eq!(serving.resolved(), Some(initialising));
        assert_eq!(serving.snapshot.function.revision, revision(8));
        assert_eq!(serving.initialised(Err(("c", "r"))), serving);
        let failed = waiting.initialised(Err(("c", "r")));
        assert!(matches!(failed.snapshot.function.state, State::Failed { .. }));
        assert_eq!(publish(&latest, Some(&waiting), Publish::default()), "unchanged");
        assert_eq!(publish(&latest, Some(&failed), Publish::default()), r#"new: """#);
    }

    #[test]
    fn a_version_that_was_published_with_an_update_settles_with_it() {
        let updating = updated(|change| change.configuration.timeout_s = 9);
        let snapshot = updating.snapshot(None, revision(8));
        let version = PublishedVersion { number: 1, snapshot };
        assert_eq!(version.resolved(), None);
        let settled = version.settled(Ok(()));
        assert_eq!(settled.resolved().unwrap().deployment.configuration.timeout_s, 9);
        assert_eq!(settled.snapshot.function.revision, revision(8));
        assert_eq!(version.settled(Err(("c", "r"))).resolved(), None);
        let again = updating.clone().publish_update(Some(&settled), revision(7));
        assert_eq!(again, Publication::Again { function: Box::new(updating.clone()) });
        let failed = version.settled(Err(("c", "r")));
        let anew = updating.publish_update(Some(&failed), revision(7));
        assert!(matches!(anew, Publication::New { .. }), "{anew:?}");
        let json = serde_json::to_string(&settled).unwrap();
        assert_eq!(serde_json::from_str::<PublishedVersion>(&json).unwrap(), settled);
    }
}
