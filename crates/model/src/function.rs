//! A function's record: its configuration, its code and how both come to serve.
//!
//! ```text
//! create -> Pending ------ activated ---> Active (update Successful)
//!                 \------- failed ------> Failed
//! a version of SnapStart: Pending -> Initialising -- activated, failed
//! Active -- update -> Active (update InProgress) -- completed -> Active (update Successful)
//!                              |                \-- failed ----> Active (update Failed)
//!                              +-- invocations run what served before
//! ```
//!
//! Each transition is a method that returns the record after it; the store writes what it gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::{Image, ImageConfig};
use crate::layer::AttachedLayer;
use crate::names::{Digest, FunctionKey, RevisionId, Version};
use crate::runtime::Runtime;

/// A function as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Whose, where and which.
    pub key: FunctionKey,
    /// Told apart from an earlier function of the same name: a UUID of its own.
    pub unique_id: String,
    /// What the API shows, which may be ahead of what serves.
    pub configuration: Configuration,
    /// The code the API shows, which may be ahead of what serves.
    pub code: Code,
    /// Changes with every change.
    pub revision: RevisionId,
    /// When the API last changed it, in milliseconds since 1970.
    pub last_modified_ms: u64,
    /// Whether it can be invoked.
    pub state: State,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// What a user configures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// What is started.
    #[serde(flatten)]
    pub program: Program,
    /// The execution role's ARN.
    pub role: String,
    /// Free text.
    pub description: String,
    /// Seconds an invocation may take.
    pub timeout_s: u32,
    /// Megabytes of memory.
    pub memory_mb: u32,
    /// Megabytes of `/tmp`.
    pub ephemeral_mb: u32,
    /// Environment variables; `None` when never given, which the API shows differently from empty.
    pub variables: Option<BTreeMap<String, String>>,
    /// The instruction set.
    pub architecture: Architecture,
    /// Tracing.
    pub tracing: Tracing,
    /// How logs are written.
    pub logging: Logging,
    /// The layer versions, in order: a later one covers those before it.
    #[serde(deserialize_with = "crate::layer::stored")]
    pub layers: Vec<AttachedLayer>,
    /// Whether snapshots are asked for on published versions.
    pub snap_start: bool,
    /// The ARN of the queue or topic for events that were given up.
    #[serde(default)]
    pub dead_letters: Option<String>,
    /// Whether each environment serves one tenant only. Given at creation, never changed.
    #[serde(default)]
    pub per_tenant: bool,
}

/// What is started, by package type. Agrees with [`Code`]: an image's code is an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Program {
    /// `PackageType` `Zip`: a runtime that runs a handler.
    Zip {
        /// The runtime.
        runtime: Runtime,
        /// `module.function`, or what a custom runtime makes of it.
        handler: String,
    },
    /// `PackageType` `Image`: what the image says, but for this.
    Image {
        /// What is laid over the image's own configuration.
        image_config: ImageConfig,
    },
}

impl Configuration {
    /// The runtime; an image brings its own.
    #[must_use]
    pub fn runtime(&self) -> Option<Runtime> {
        match &self.program {
            Program::Zip { runtime, .. } => Some(*runtime),
            Program::Image { .. } => None,
        }
    }

    /// The handler; an image has none.
    #[must_use]
    pub fn handler(&self) -> Option<&str> {
        match &self.program {
            Program::Zip { handler, .. } => Some(handler),
            Program::Image { .. } => None,
        }
    }
}

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// AWS's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// `TracingConfig.Mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tracing {
    /// Follow the caller's decision.
    PassThrough,
    /// Decide here.
    Active,
}

/// `LoggingConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// Text or JSON, with the levels that only JSON has.
    pub format: LogFormat,
    /// The log group; the default one is named by the function.
    pub group: Option<String>,
}

/// The format of log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// Plain lines.
    Text,
    /// JSON objects, with the lowest level that is kept of each kind.
    Json {
        /// Of the function's own lines.
        application: String,
        /// Of the platform's lines.
        system: String,
    },
}

/// What a function runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Code {
    /// A package.
    Zip(Package),
    /// A directory of this machine, used as it is.
    Directory {
        /// Its path, without links.
        directory: String,
    },
    /// A container image.
    Image(Box<Image>),
}

impl Code {
    /// Bytes that count against the account's code storage.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Zip(package) => package.size_bytes,
            Self::Directory { .. } | Self::Image(_) => 0,
        }
    }

    /// The package, of a function that has one.
    #[must_use]
    pub fn package(&self) -> Option<&Package> {
        match self {
            Self::Zip(package) => Some(package),
            Self::Directory { .. } | Self::Image(_) => None,
        }
    }

    /// All that is kept of it by digest.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        let layers = match self {
            Self::Image(image) => image.layers.as_slice(),
            Self::Zip(_) | Self::Directory { .. } => &[],
        };
        let package = self.package().map(|package| &package.digest);
        package.into_iter().chain(layers.iter().map(|layer| &layer.digest))
    }
}

/// A zip package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The SHA-256 of the package as it was sent.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What invocations run: immutable, replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The configuration.
    pub configuration: Configuration,
    /// The code.
    pub code: Code,
    /// Grows by one with each replacement; an environment belongs to one generation.
    pub generation: u64,
}

/// The generation of what serves first.
pub const FIRST_GENERATION: u64 = 1;

/// Whether and what a function serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Being made ready for the first time.
    Pending,
    /// A version of SnapStart that is ready but for its Init, of which a snapshot is taken. Shown as pending.
    Initialising,
    /// Serving.
    Active {
        /// What it serves.
        serving: Box<Deployment>,
        /// How the last update went.
        update: Update,
    },
    /// Never became ready.
    Failed {
        /// One of AWS's state reason codes.
        code: String,
        /// In words.
        reason: String,
    },
}

/// How the last update of a serving function went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update {
    /// It serves what the API shows.
    Successful,
    /// It still serves what was there before.
    InProgress,
    /// It goes on serving what was there before.
    Failed {
        /// One of AWS's reason codes.
        code: String,
        /// In words.
        reason: String,
    },
}

/// A change asked for by `UpdateFunctionCode` or `UpdateFunctionConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The whole new configuration.
    pub configuration: Configuration,
    /// The new code.
    pub code: Code,
    /// The revision after the change.
    pub revision: RevisionId,
    /// The revision the caller believes it changes, if it said.
    pub expected: Option<RevisionId>,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeDenied {
    /// The function is not yet ready.
    #[error("function is pending")]
    Pending,
    /// Another update runs.
    #[error("an update is in progress")]
    InProgress,
    /// The caller's revision is not the latest.
    #[error("revision is not the latest")]
    StaleRevision,
}

impl Function {
    /// Begins an update: the API shows it at once, invocations do not see it yet.
    ///
    /// # Errors
    /// While pending or updating, and when the caller's revision is stale.
    pub fn changed(&self, change: Change) -> Result<Self, ChangeDenied> {
        let State::Active { serving, update } = &self.state else {
            return match &self.state {
                State::Failed { .. } => Ok(self.retried(change)),
                State::Pending | State::Initialising | State::Active { .. } => {
                    Err(ChangeDenied::Pending)
                }
            };
        };
        if *update == Update::InProgress {
            return Err(ChangeDenied::InProgress);
        }
        if change.expected.as_ref().is_some_and(|expected| *expected != self.revision) {
            return Err(ChangeDenied::StaleRevision);
        }
        let state = State::Active { serving: serving.clone(), update: Update::InProgress };
        Ok(self.with(change, state))
    }

    /// A function that never became ready starts over with the change.
    fn retried(&self, change: Change) -> Self {
        self.with(change, State::Pending)
    }

    fn with(&self, change: Change, state: State) -> Self {
        Self {
            configuration: change.configuration,
            code: change.code,
            revision: change.revision,
            last_modified_ms: change.now_ms,
            state,
            ..self.clone()
        }
    }

    /// What the API shows becomes what serves. Without effect when it already does.
    #[must_use]
    pub fn activated(&self, revision: RevisionId) -> Self {
        let generation = match &self.state {
            State::Active { update: Update::Successful, .. } => return self.clone(),
            State::Active { serving, .. } => serving.generation + 1,
            State::Pending | State::Initialising | State::Failed { .. } => FIRST_GENERATION,
        };
        let serving = Box::new(Deployment {
            configuration: self.configuration.clone(),
            code: self.code.clone(),
            generation,
        });
        let state = State::Active { serving, update: Update::Successful };
        Self { revision, state, ..self.clone() }
    }

    /// What the API shows could not be made ready; what served before goes on.
    #[must_use]
    pub fn failed(&self, revision: RevisionId, code: &str, reason: &str) -> Self {
        let (code, reason) = (code.to_owned(), reason.to_owned());
        let state = match &self.state {
            State::Active { serving, .. } => {
                State::Active { serving: serving.clone(), update: Update::Failed { code, reason } }
            }
            State::Pending | State::Initialising | State::Failed { .. } => {
                State::Failed { code, reason }
            }
        };
        Self { revision, state, ..self.clone() }
    }

    /// Whether its code is still being made ready: [`Function::activated`] or [`Function::failed`] is to
    /// come by that.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        matches!(self.state, State::Pending | State::Active { update: Update::InProgress, .. })
    }

    /// What invocations of `$LATEST` run now.
    #[must_use]
    pub fn serving(&self) -> Option<&Deployment> {
        match &self.state {
            State::Active { serving, .. } => Some(serving),
            State::Pending | State::Initialising | State::Failed { .. } => None,
        }
    }
}

/// The one immutable thing an invocation runs: a version of a function, resolved.
///
/// Everything placement and worker need is inside; they never ask for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedVersion {
    /// The function.
    pub key: FunctionKey,
    /// Told apart from an earlier function of the same name.
    pub unique_id: String,
    /// The version that runs.
    pub version: Version,
    /// What it runs.
    pub deployment: Deployment,
}

impl ResolvedVersion {
    /// Whether its environments are of SnapStart, which is for published versions only: each goes on from
    /// one Init that was run when the version was published, or does as if.
    #[must_use]
    pub fn is_snap_start(&self) -> bool {
        self.deployment.configuration.snap_start && self.version != Version::Latest
    }

    /// The log group its lines go to.
    #[must_use]
    pub fn log_group(&self) -> String {
        let logging = &self.deployment.configuration.logging;
        logging.group.clone().unwrap_or_else(|| format!("/aws/lambda/{}", self.key.name))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const R1: &str = "00000000-0000-4000-8000-000000000001";
    const R2: &str = "00000000-0000-4000-8000-000000000002";
    const R3: &str = "00000000-0000-4000-8000-000000000003";

    /// A pending function for tests.
    pub(crate) fn pending() -> Function {
        Function {
            key: FunctionKey {
                scope: crate::names::Scope {
                    account: "123456789012".parse().unwrap(),
                    region: "us-east-1".parse().unwrap(),
                },
                name: "hello".parse().unwrap(),
            },
            unique_id: "u".into(),
            configuration: Configuration {
                program: Program::Zip {
                    runtime: Runtime::Python { minor: 12 },
                    handler: "app.handler".into(),
                },
                role: "arn:aws:iam::123456789012:role/r".into(),
                description: String::new(),
                timeout_s: 3,
                memory_mb: 128,
                ephemeral_mb: 512,
                variables: None,
                architecture: Architecture::X86_64,
                tracing: Tracing::PassThrough,
                logging: Logging { format: LogFormat::Text, group: None },
                layers: vec![],
                snap_start: false,
                dead_letters: None,
                per_tenant: false,
            },
            code: Code::Zip(Package { digest: "a".repeat(64).parse().unwrap(), size_bytes: 1 }),
            revision: R1.parse().unwrap(),
            last_modified_ms: 0,
            state: State::Pending,
            tags: BTreeMap::new(),
        }
    }

    fn change(expected: Option<&str>) -> Change {
        let mut configuration = pending().configuration;
        configuration.memory_mb = 256;
        Change {
            configuration,
            code: pending().code,
            revision: R3.parse().unwrap(),
            expected: expected.map(|r| r.parse().unwrap()),
            now_ms: 5,
        }
    }

    #[test]
    fn an_update_is_shown_at_once_and_served_when_completed() {
        let active = pending().activated(R2.parse().unwrap());
        assert_eq!(active.serving().unwrap().generation, 1);
        let updating = active.changed(change(Some(R2))).unwrap();
        assert_eq!(updating.configuration.memory_mb, 256);
        assert_eq!(updating.serving().unwrap().configuration.memory_mb, 128);
        let done = updating.activated(R1.parse().unwrap());
        assert_eq!(done.serving().unwrap().configuration.memory_mb, 256);
        assert_eq!(done.serving().unwrap().generation, 2);
        assert!(!done.is_settling());
    }

    #[test]
    fn a_failed_update_leaves_what_served_before() {
        let active = pending().activated(R2.parse().unwrap());
        let failed =
            active.changed(change(None)).unwrap().failed(R1.parse().unwrap(), "InvalidImage", "x");
        assert_eq!(failed.serving().unwrap().configuration.memory_mb, 128);
    }

    #[test]
    fn changes_are_denied_while_pending_updating_or_stale() {
        let active = pending().activated(R2.parse().unwrap());
        assert_eq!(pending().changed(change(None)), Err(ChangeDenied::Pending));
        assert_eq!(active.changed(change(Some(R1))), Err(ChangeDenied::StaleRevision));
        let updating = active.changed(change(None)).unwrap();
        assert_eq!(updating.changed(change(None)), Err(ChangeDenied::InProgress));
    }

    #[test]
    fn layer_names_of_old_records_are_left_out_and_layers_are_kept() {
        let mut layered = pending();
        let attached = AttachedLayer {
            arn: "arn:aws:lambda:us-east-1:123456789012:layer:l:1".into(),
            digest: "b".repeat(64).parse().unwrap(),
            size_bytes: 1,
            unzipped_bytes: 2,
        };
        layered.configuration.layers = vec![attached];
        let mut json = serde_json::to_value(&layered).unwrap();
        assert_eq!(serde_json::from_value::<Function>(json.clone()).unwrap(), layered);
        json["configuration"]["layers"] = serde_json::json!(["arn:aws:lambda:x:layer:l:1"]);
        assert_eq!(serde_json::from_value::<Function>(json).unwrap(), pending());
    }

    #[test]
    fn a_record_survives_serialisation_whatever_its_code_is() {
        let layer = "c".repeat(64);
        let image = serde_json::json!({
            "uri": "file:///images/a", "digest": "b".repeat(64),
            "layers": [{"digest": layer, "size_bytes": 9, "form": "Gzip"}],
            "defaults": {"entry_point": ["/bootstrap"], "command": [], "working_directory": "/",
                         "variables": [["A", "b"]]},
        });
        let codes = [
            (pending().code, pending().configuration.program, "a".repeat(64)),
            (
                Code::Directory { directory: "/src".into() },
                pending().configuration.program,
                String::new(),
            ),
            (
                Code::Image(serde_json::from_value(image).unwrap()),
                Program::Image { image_config: ImageConfig::default() },
                layer,
            ),
        ];
        for (code, program, digests) in codes {
            let mut function = pending();
            (function.code, function.configuration.program) = (code, program);
            let active = function.activated(R2.parse().unwrap());
            let json = serde_json::to_string(&active).unwrap();
            assert_eq!(serde_json::from_str::<Function>(&json).unwrap(), active);
            let held: Vec<_> = active.code.digests().map(ToString::to_string).collect();
            assert_eq!(held.concat(), digests);
        }
    }

    #[test]
    fn a_record_from_before_there_were_images_is_read() {
        let mut json = serde_json::to_value(pending()).unwrap();
        // Exactly these members, beside each other.
        let configuration = json["configuration"].as_object_mut().unwrap();
        configuration.insert("runtime".into(), "nodejs22.x".into());
        configuration.insert("handler".into(), "index.handler".into());
        json["code"] = serde_json::json!({"digest": "d".repeat(64), "size_bytes": 77});
        let read: Function = serde_json::from_value(json).unwrap();
        assert_eq!(read.configuration.runtime(), Some(Runtime::Node { major: 22 }));
        assert_eq!(read.configuration.handler(), Some("index.handler"));
        assert_eq!(read.code.size_bytes(), 77);
    }
}
