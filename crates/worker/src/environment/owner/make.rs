//! From a resolved version to a sandbox in which nothing runs yet: the interpreter, the unpacked code
//! and layers, what extensions lie in them.

use std::sync::Arc;

use dormouse_model::function::{Code, Deployment, ResolvedVersion};
use dormouse_model::image::Image;
use dormouse_runtimes::Interpreter;
use dormouse_sandbox::{Connection, Created, Links, SandboxSpec};

use tracing::debug;

use super::{Done, Shared};
use crate::environment::extensions::{external, external_of_image};
use crate::recipe::{self, Content, Parts};
use crate::snapshots::Snapshot;
use crate::standby::{Equipped, Kind};

/// A sandbox and what runs in it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) sandbox: Housed,
    pub(super) interpreter: Option<Interpreter>,
    /// The names of the external extensions.
    pub(super) external: Vec<String>,
    /// What its processes go on from; without, they are started.
    pub(super) snapshot: Option<Snapshot>,
}

/// The sandbox that an environment has.
#[derive(Debug)]
pub(super) struct Housed {
    /// Its name.
    pub(super) id: String,
    pub(super) created: Created,
    /// What the runtime's process has opened to the Runtime API, where it waits for its briefing.
    pub(super) waiting: Option<Connection>,
}

/// What the processes of an environment may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Only an Init.
    Init,
    /// An Init, after which they are written to a snapshot.
    InitForSnapshot,
    /// A snapshot, if there is one.
    SnapshotOrInit,
}

pub(super) async fn create(
    shared: Arc<Shared>,
    version: Arc<ResolvedVersion>,
    id: String,
    source: Source,
) -> Done {
    Done::Created(make(&shared, &version, &id, source).await)
}

async fn make(
    shared: &Shared,
    version: &ResolvedVersion,
    id: &str,
    source: Source,
) -> Result<Made, String> {
    let interpreter = match version.deployment.configuration.runtime() {
        Some(runtime) => shared.interpreters.of(runtime).await.map_err(|e| e.to_string())?,
        None => None,
    };
    if let Code::Image(image) = &version.deployment.code {
        return of_image(shared, version, (id, image), source).await;
    }
    let code = match &version.deployment.code {
        Code::Zip(package) => {
            shared.artifacts.code(&package.digest).await.map_err(|e| e.to_string())?
        }
        Code::Directory { directory } => {
            shared.directories.find(directory).map_err(|e| e.to_string())?.path
        }
        Code::Image(_) => unreachable!("it was made above"),
    };
    let links = match &version.deployment.code {
        Code::Directory { .. } => Links::Refused,
        Code::Zip(_) | Code::Image(_) => Links::Followed,
    };
    let mut layers = Vec::new();
    for layer in &version.deployment.configuration.layers {
        layers.push(shared.artifacts.code(&layer.digest).await.map_err(|e| e.to_string())?);
    }
    let bootstraps = shared.bootstraps.clone();
    let external = external(layers.clone()).await.map_err(|e| e.to_string())?;
    let Deployment { code: origin, configuration, .. } = &version.deployment;
    let bytecode = shared.bytecode.find(origin, configuration, interpreter.as_ref());
    let content = Content::Code(Parts {
        code,
        links,
        layers,
        bootstraps,
        interpreter: interpreter.clone(),
        bytecode,
    });
    let spec = recipe::sandbox(id, version, &content, shared.network);
    let snapshot = snapshot(shared, version, interpreter.as_ref(), source);
    let spec = for_snapshots(spec, snapshot.as_ref(), source, &external);
    let kind = match &snapshot {
        Some(_) => Kind::of_restored(origin, configuration),
        // None of those that stand by was made to be written.
        None if spec.snapshots => None,
        None => Kind::of(origin, configuration, interpreter.as_ref()),
    };
    let sandbox = sandbox(shared, kind, spec).await?;
    Ok(Made { sandbox, interpreter, external, snapshot })
}

/// What it goes on from, if there is something.
fn snapshot(
    shared: &Shared,
    version: &ResolvedVersion,
    interpreter: Option<&Interpreter>,
    source: Source,
) -> Option<Snapshot> {
    match source {
        Source::SnapshotOrInit => shared.snapshots.find(version, interpreter),
        Source::Init | Source::InitForSnapshot => None,
    }
}

/// The processes of extensions are never written: a sandbox with some needs not be made for it.
fn for_snapshots(
    spec: SandboxSpec,
    snapshot: Option<&Snapshot>,
    source: Source,
    external: &[String],
) -> SandboxSpec {
    let is_written = source == Source::InitForSnapshot && external.is_empty();
    SandboxSpec { snapshots: snapshot.is_some() || is_written, ..spec }
}

/// One that stands by if there is one that will do, else a new one.
async fn sandbox(shared: &Shared, kind: Option<Kind>, spec: SandboxSpec) -> Result<Housed, String> {
    if let Some(kind) = kind
        && let Some(standing) = shared.standby.take(kind).await
    {
        match standing.equip(&spec).await {
            Ok(Equipped { id, created, connection }) => {
                return Ok(Housed { id, created, waiting: connection });
            }
            // What is wrong with the content is wrong with a new one too, which says so.
            Err(error) => debug!(%kind, %error, "a sandbox that stood by is of no use"),
        }
    }
    new(shared, spec).await
}

async fn new(shared: &Shared, spec: SandboxSpec) -> Result<Housed, String> {
    let id = spec.id.clone();
    let created = shared.backend.create(spec).await.map_err(|e| recipe::in_words(&e))?;
    Ok(Housed { id, created, waiting: None })
}

/// An image brings everything along, extensions too.
async fn of_image(
    shared: &Shared,
    version: &ResolvedVersion,
    (id, image): (&str, &Image),
    source: Source,
) -> Result<Made, String> {
    let layers = shared.artifacts.image(image).await.map_err(|e| e.to_string())?;
    let external = external_of_image(layers.clone()).await.map_err(|e| e.to_string())?;
    let spec = recipe::sandbox(id, version, &Content::Image(layers), shared.network);
    let snapshot = snapshot(shared, version, None, source);
    let spec = for_snapshots(spec, snapshot.as_ref(), source, &external);
    let sandbox = new(shared, spec).await?;
    Ok(Made { sandbox, interpreter: None, external, snapshot })
}
