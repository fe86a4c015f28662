//! What Lambda tells of itself in CloudWatch: its metrics, and which of them an invocation belongs to.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Dimensions, Unit};
use crate::environment::Failure;
use crate::names::{FunctionKey, Qualifier, Scope, Version};

/// The namespace of Lambda's metrics.
pub const NAMESPACE: &str = "AWS/Lambda";

macro_rules! metrics {
    ($($variant:ident $unit:ident $doc:literal;)*) => {
        /// A metric of Lambda's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LambdaMetric {
            $(#[doc = $doc] $variant,)*
        }

        impl LambdaMetric {
            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// What its values count.
            #[must_use]
            pub fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit,)* }
            }
        }
    };
}

// Names and units: developer guide, "Types of metrics for Lambda functions".
metrics! {
    Invocations COUNT "Invocations that ran, however they ended.";
    Errors COUNT "1 for each invocation that ended with an error of the function, else 0.";
    Throttles COUNT "1 for each request that was refused for want of concurrency, 0 for each that ran.";
    Duration MILLISECONDS "How long invocations took.";
    PostRuntimeExtensionsDuration MILLISECONDS "How long extensions went on after the runtime.";
    ConcurrentExecutions COUNT "Invocations running at once.";
    UnreservedConcurrentExecutions COUNT "Of these, those of functions that reserve no concurrency.";
    ClaimedAccountConcurrency COUNT "Concurrency that nobody else can have: used or set apart.";
    ProvisionedConcurrentExecutions COUNT "Invocations running at once on provisioned concurrency.";
    ProvisionedConcurrencyInvocations COUNT "Invocations that ran on provisioned concurrency.";
    ProvisionedConcurrencySpilloverInvocations COUNT "Invocations for which none of it was free.";
    ProvisionedConcurrencyUtilization COUNT "The share of it that is in use, from 0 to 1.";
    AsyncEventsReceived COUNT "Events that were accepted to be run later.";
    AsyncEventAge MILLISECONDS "How long an event had waited when it was run.";
    AsyncEventsDropped COUNT "Events that were given up unrun or unsuccessful.";
    DeadLetterErrors COUNT "Events that could not be sent to a dead-letter queue.";
    DestinationDeliveryFailures COUNT "Events that could not be sent to a destination.";
    RecursiveInvocationsDropped COUNT "Invocations that were part of a loop and were stopped.";
    IteratorAge MILLISECONDS "How old the last record of a batch was when it was run.";
    OffsetLag COUNT "How many records a consumer is behind.";
}

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// With an answer.
    Success,
    /// With an error that the function reported.
    FunctionError,
    /// It took too long.
    Timeout,
    /// Its process was ended for want of memory.
    OutOfMemory,
    /// Its process ended.
    Exited,
    /// It could not initialise.
    InitError,
    /// Its hooks after a restore failed.
    Restore,
    /// There was nothing to run.
    InvalidEntrypoint,
    /// An extension failed.
    Extension,
    /// The platform failed.
    Sandbox,
    /// The server stopped.
    Shutdown,
}

impl Outcome {
    /// The outcome of an invocation that the platform had to end.
    #[must_use]
    pub fn of_failure(failure: &Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Timeout,
            Failure::Exited { out_of_memory: true, .. } => Self::OutOfMemory,
            Failure::Exited { .. } => Self::Exited,
            Failure::InitError { .. } => Self::InitError,
            Failure::RestoreError { .. } | Failure::RestoreTimeout => Self::Restore,
            Failure::InvalidEntrypoint => Self::InvalidEntrypoint,
            Failure::Extension(_) => Self::Extension,
            Failure::Sandbox => Self::Sandbox,
            Failure::Shutdown => Self::Shutdown,
        }
    }

    /// Whether it counts as an error.
    #[must_use]
    pub fn is_error(self) -> bool {
        self != Self::Success
    }

    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::FunctionError => "function-error",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::Exited => "exited",
            Self::InitError => "init-error",
            Self::Restore => "restore-error",
            Self::InvalidEntrypoint => "invalid-entrypoint",
            Self::Extension => "extension",
            Self::Sandbox => "sandbox",
            Self::Shutdown => "server-shutdown",
        }
    }
}

/// What an invocation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// An environment that had to be initialised first.
    Cold,
    /// An environment that had to be restored first (`SnapStart`).
    Restored,
    /// One that was ready.
    Warm,
}

impl Start {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Restored => "restored",
            Self::Warm => "warm",
        }
    }
}

/// One of the sets of dimensions under which something is told. Its texts are hashed once: it is looked up
/// several times for every invocation.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) scope: Scope,
    pub(super) dimensions: Dimensions,
    hash: u64,
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

fn hash_of(texts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}

/// What was invoked, and what that came to: all that metrics are told apart by.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The function.
    pub function: FunctionKey,
    /// How the caller qualified its name.
    pub qualifier: Option<Qualifier>,
    /// The version that ran.
    pub version: Version,
    places: Vec<Arc<Place>>,
    hash: u64,
}

impl Subject {
    /// The subject of invocations of a function by this qualifier.
    #[must_use]
    pub fn new(function: FunctionKey, qualifier: Option<Qualifier>, version: Version) -> Self {
        let resource = match &qualifier {
            None => function.name.to_string(),
            Some(qualifier) => format!("{}:{qualifier}", function.name),
        };
        let name = ("FunctionName", function.name.to_string());
        let of_resource = [name.clone(), ("Resource", resource)];
        let mut sets = vec![vec![], vec![name], of_resource.to_vec()];
        if matches!(qualifier, Some(Qualifier::Alias(_))) {
            let executed = ("ExecutedVersion", version.to_string());
            sets.push([of_resource.to_vec(), vec![executed]].concat());
        }
        let place = |set: Vec<(&str, String)>| {
            let dimensions: BTreeMap<String, String> =
                set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let hash = hash_of((&function.scope, &dimensions));
            Arc::new(Place { scope: function.scope.clone(), dimensions, hash })
        };
        let places = sets.into_iter().map(place).collect();
        let hash = hash_of((&function, &qualifier, version));
        Self { function, qualifier, version, places, hash }
    }

    /// The subject of an invocation, by the ARN that was invoked.
    #[must_use]
    pub fn of_arn(function: &FunctionKey, version: Version, invoked_arn: &str) -> Self {
        let qualifier = invoked_arn.split(':').nth(7).and_then(|text| text.parse().ok());
        Self::new(function.clone(), qualifier, version)
    }

    /// The sets of dimensions it is told under: of the account, of the function, of what was
    /// invoked and, for an alias, of the version it came to.
    pub(super) fn places(&self) -> &[Arc<Place>] {
        &self.places
    }

    /// The account as a whole.
    pub(super) fn account(&self) -> &Arc<Place> {
        &self.places[0]
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        // The places follow from the rest.
        (&self.function, &self.qualifier, self.version)
            == (&other.function, &other.qualifier, other.version)
    }
}

impl Eq for Subject {}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::metrics) fn subject(invoked: &str, version: Version) -> Arc<Subject> {
        let function = FunctionKey {
            scope: Scope {
                account: "123456789012".parse().unwrap(),
                region: "us-east-1".parse().unwrap(),
            },
            name: invoked.split(':').next().unwrap().parse().unwrap(),
        };
        let arn = format!("arn:aws:lambda:us-east-1:123456789012:function:{invoked}");
        Arc::new(Subject::of_arn(&function, version, &arn))
    }

    fn check(invoked: &str, version: Version, expected: &[&str]) {
        let subject = subject(invoked, version);
        let shown = |place: &Arc<Place>| {
            let pairs = place.dimensions.iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        };
        let found: Vec<String> = subject.places().iter().map(shown).collect();
        assert_eq!(found, expected, "{invoked}");
    }

    #[test]
    fn an_invocation_is_told_of_its_account_function_qualifier_and_version() {
        check("f", Version::Latest, &["", "FunctionName=f", "FunctionName=f Resource=f"]);
        let one = "FunctionName=f Resource=f:1";
        check("f:1", Version::Number(1), &["", "FunctionName=f", one]);
        let latest = "FunctionName=f Resource=f:$LATEST";
        check("f:$LATEST", Version::Latest, &["", "FunctionName=f", latest]);
        let live = "FunctionName=f Resource=f:live";
        let executed = "ExecutedVersion=2 FunctionName=f Resource=f:live";
        check("f:live", Version::Number(2), &["", "FunctionName=f", live, executed]);
    }
}
