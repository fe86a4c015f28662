//! What is compiled together, and what tells it apart. Pure but for where packages lie.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use dormouse_model::function::{Code, Configuration};
use dormouse_model::names::Digest;
use dormouse_runtimes::{Interpreter, bootstraps_stamp, compiler};

use crate::artifacts::Artifacts;

/// Packages that lie one over the other at a place, and the command by which they are compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    place: Place,
    packages: Vec<Digest>,
    compiled_by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Code,
    Layers,
}

impl Place {
    /// Where it is seen inside, which is also what errors name.
    pub(super) fn at(self) -> &'static str {
        match self {
            Self::Code => "/var/task",
            Self::Layers => "/opt",
        }
    }

    fn parse(at: &str) -> Option<Self> {
        [Self::Code, Self::Layers].into_iter().find(|place| place.at() == at)
    }

    /// The archive's name, another one for each place: they come to lie beside each other.
    pub(super) fn archive(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Layers => "layers",
        }
    }
}

/// A part, and how it is compiled.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) part: Part,
    pub(super) interpreter: Interpreter,
    pub(super) command: Vec<String>,
}

/// Those of a function. A directory of the host changes when it likes, and an image has an interpreter of its
/// own: they have none, but a function with such a directory may have layers.
pub(super) fn orders(
    code: &Code,
    configuration: &Configuration,
    interpreter: &Interpreter,
) -> Vec<Order> {
    let Some(runtime) = configuration.runtime() else { return Vec::new() };
    let code: Vec<Digest> = match code {
        Code::Zip(package) => vec![package.digest.clone()],
        Code::Directory { .. } | Code::Image(_) => Vec::new(),
    };
    let layers = configuration.layers.iter().map(|layer| layer.digest.clone()).collect();
    let order = |(place, packages): (Place, Vec<Digest>)| {
        let command = compiler(runtime, interpreter, configuration.memory_mb, place.at())?;
        let (version, bootstraps) = (interpreter.version, bootstraps_stamp());
        let compiled_by = format!("{}, {version}, {bootstraps}", command.join(" "));
        let part = Part { place, packages, compiled_by };
        Some(Order { part, interpreter: interpreter.clone(), command })
    };
    [(Place::Code, code), (Place::Layers, layers)]
        .into_iter()
        .filter(|(_, packages)| !packages.is_empty())
        .filter_map(order)
        .collect()
}

impl Part {
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Whether all of it is needed.
    pub(super) fn is_of(&self, needed: &BTreeSet<Digest>) -> bool {
        self.packages.iter().all(|package| needed.contains(package))
    }

    /// Where it lies on this host, in order.
    ///
    /// # Errors
    /// In words, why some of it is not there.
    pub(super) async fn hosts(&self, artifacts: &Artifacts) -> Result<Vec<PathBuf>, String> {
        let mut hosts = Vec::with_capacity(self.packages.len());
        for package in &self.packages {
            hosts.push(artifacts.code(package).await.map_err(|error| error.to_string())?);
        }
        Ok(hosts)
    }

    /// What an archive of it is labelled with: a line for the place, one for the compiler, one for each package.
    pub(super) fn label(&self) -> String {
        let mut lines = vec![self.place.at(), &self.compiled_by];
        lines.extend(self.packages.iter().map(Digest::as_str));
        lines.join("\n")
    }

    pub(super) fn from_label(label: &str) -> Option<Self> {
        let mut lines = label.lines();
        let place = Place::parse(lines.next()?)?;
        let compiled_by = lines.next()?.to_owned();
        let packages: Result<Vec<Digest>, _> = lines.map(str::parse).collect();
        let packages = packages.ok().filter(|packages| !packages.is_empty())?;
        Some(Self { place, packages, compiled_by })
    }
}

/// As in `/opt of 0a1b..., 2c3d...`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages: Vec<&str> = self.packages.iter().map(Digest::as_str).collect();
        write!(f, "{} of {}", self.place.at(), packages.join(", "))
    }
}
