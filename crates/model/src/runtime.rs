//! The runtime identifiers Lambda accepts, and what each of them means to us.
//!
//! Source: `CreateFunction`'s enum as recorded in November 2025. An identifier that Lambda accepts
//! but that this version cannot run is still *known*: the caller is told so at create time.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::Region;

/// The order in which AWS prints the identifiers in its constraint text (recorded November 2025).
pub const ACCEPTED: [&str; 25] = [
    "nodejs20.x",
    "python3.14",
    "provided.al2023",
    "python3.12",
    "python3.13",
    "nodejs24.x",
    "nodejs22.x",
    "java25",
    "python3.10",
    "python3.11",
    "java21",
    "ruby3.3",
    "ruby3.4",
    "ruby3.2",
    "python3.8",
    "python3.9",
    "java17",
    "nodejs16.x",
    "dotnet10",
    "dotnet8",
    "java11",
    "dotnet6",
    "nodejs18.x",
    "provided.al2",
    "java8.al2",
];

/// Identifiers AWS once accepted and now refuses for create and update, with their own message.
pub const RETIRED: [&str; 19] = [
    "nodejs",
    "nodejs4.3",
    "nodejs4.3-edge",
    "nodejs6.10",
    "nodejs8.10",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "python2.7",
    "python3.6",
    "python3.7",
    "java8",
    "go1.x",
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "ruby2.5",
    "ruby2.7",
];

/// A runtime this version can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Runtime {
    /// `python3.MINOR`, a managed runtime: the interpreter is found on the machine.
    Python {
        /// The minor version: 8 to 14.
        minor: u8,
    },
    /// `nodejsMAJOR.x`, a managed runtime: the interpreter is found on the machine.
    Node {
        /// The major version: 16, 18, 20, 22 or 24.
        major: u8,
    },
    /// `provided.al2`: the package or a layer brings `bootstrap`.
    ProvidedAl2,
    /// `provided.al2023`: the package or a layer brings `bootstrap`.
    ProvidedAl2023,
}

/// Why an identifier does not name a runtime we run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableRuntime {
    /// AWS never heard of it.
    #[error("{0} is not a runtime identifier")]
    Unknown(String),
    /// AWS no longer accepts it.
    #[error("{0} is no longer supported")]
    Retired(String),
    /// AWS runs it, this version does not.
    #[error("{0} is a Lambda runtime that this version cannot run")]
    NotHere(String),
}

impl Runtime {
    /// Reads an identifier such as `python3.12`.
    ///
    /// # Errors
    /// Tells unknown, retired and merely unsupported identifiers apart, since AWS answers differently.
    pub fn parse(id: &str) -> Result<Self, UnusableRuntime> {
        if RETIRED.contains(&id) {
            return Err(UnusableRuntime::Retired(id.to_owned()));
        }
        if !ACCEPTED.contains(&id) {
            return Err(UnusableRuntime::Unknown(id.to_owned()));
        }
        match id {
            "provided.al2" => return Ok(Self::ProvidedAl2),
            "provided.al2023" => return Ok(Self::ProvidedAl2023),
            _ => {}
        }
        let python = id.strip_prefix("python3.").and_then(|minor| minor.parse().ok());
        let node = id.strip_prefix("nodejs").and_then(|rest| rest.strip_suffix(".x"));
        match (python, node.and_then(|major| major.parse().ok())) {
            (Some(minor), _) => Ok(Self::Python { minor }),
            (_, Some(major)) => Ok(Self::Node { major }),
            _ => Err(UnusableRuntime::NotHere(id.to_owned())),
        }
    }

    /// Whether the interpreter and its bootstrap are ours to provide.
    #[must_use]
    pub fn is_managed(self) -> bool {
        matches!(self, Self::Python { .. } | Self::Node { .. })
    }

    /// The ARN of the runtime version: AWS's form around 64 hex digits made from the identifier, the
    /// same on every server.
    #[must_use]
    pub fn version_arn(self, region: &Region) -> String {
        let id = self.to_string();
        let digits: String = (0_u8..4).map(|round| format!("{:016x}", fnv1a(round, &id))).collect();
        format!("arn:aws:lambda:{region}::runtime:{digits}")
    }

    /// The value of `AWS_EXECUTION_ENV`, which `provided.*` runtimes do not get.
    #[must_use]
    pub fn execution_env(self) -> Option<String> {
        self.is_managed().then(|| format!("AWS_Lambda_{self}"))
    }
}

/// FNV-1a, 64 bits: a spread of names, not a secret.
fn fnv1a(seed: u8, text: &str) -> u64 {
    std::iter::once(seed).chain(text.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python { minor } => write!(f, "python3.{minor}"),
            Self::Node { major } => write!(f, "nodejs{major}.x"),
            Self::ProvidedAl2 => f.write_str("provided.al2"),
            Self::ProvidedAl2023 => f.write_str("provided.al2023"),
        }
    }
}

impl TryFrom<String> for Runtime {
    type Error = UnusableRuntime;
    fn try_from(id: String) -> Result<Self, UnusableRuntime> {
        Self::parse(&id)
    }
}

impl From<Runtime> for String {
    fn from(runtime: Runtime) -> Self {
        runtime.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_identifier_round_trips_or_is_named_as_not_here() {
        for id in ACCEPTED {
            match Runtime::parse(id) {
                Ok(runtime) => assert_eq!(runtime.to_string(), id),
                Err(error) => assert_eq!(error, UnusableRuntime::NotHere(id.to_owned())),
            }
        }
    }

    #[test]
    fn retired_and_unknown_identifiers_are_told_apart() {
        assert_eq!(Runtime::parse("go1.x"), Err(UnusableRuntime::Retired("go1.x".into())));
        assert_eq!(Runtime::parse("cobol"), Err(UnusableRuntime::Unknown("cobol".into())));
    }
}
