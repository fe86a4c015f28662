//! The making of one sandbox that stands by, and what it becomes.

use std::time::Duration;

use dormouse_model::limits;
use dormouse_sandbox::{Connection, Created, EquipError, Equipment, SandboxSpec, Service};

use super::Means;
use super::kind::Kind;
use crate::capacity;
use crate::recipe;

/// A sandbox that stands by.
#[derive(Debug)]
pub(crate) struct Standing {
    spec: SandboxSpec,
    created: Created,
    /// What the interpreter that waits in it has opened to the Runtime API, if one does.
    connection: Option<Connection>,
}

/// A sandbox that has stood by, with all that its spec asks for.
#[derive(Debug)]
pub(crate) struct Equipped {
    /// Its name.
    pub(crate) id: String,
    pub(crate) created: Created,
    /// As in [`Standing`].
    pub(crate) connection: Option<Connection>,
}

impl Standing {
    /// Whether nothing has happened inside since it was made. What an interpreter says that waits would
    /// be its function's first lines, and are not those of any other.
    pub(super) fn is_as_made(&self) -> bool {
        self.created.events.is_empty() && !self.created.events.is_closed()
    }

    /// Makes it what it would be if it had been made by this spec.
    ///
    /// # Errors
    /// When that does not work; it is ended then.
    pub(crate) async fn equip(self, wanted: &SandboxSpec) -> Result<Equipped, EquipError> {
        let made = &self.spec;
        let id = made.id.clone();
        let differs = |wanted: u64, made: u64| (wanted != made).then_some(wanted);
        let equipment = Equipment {
            memory_bytes: differs(wanted.memory_bytes, made.memory_bytes),
            tmp_bytes: differs(wanted.tmp_bytes, made.tmp_bytes),
            trees: wanted.trees.iter().filter(|tree| !made.trees.contains(tree)).cloned().collect(),
        };
        match self.created.sandbox.equip(equipment).await {
            Ok(()) => Ok(Equipped { id, created: self.created, connection: self.connection }),
            Err(error) => {
                self.end().await;
                Err(error)
            }
        }
    }

    /// Ends it.
    pub(super) async fn end(self) {
        let Self { created: Created { sandbox, events, connections }, connection, .. } = self;
        // Nothing of it is left only when nobody holds its connections.
        drop((events, connections, connection));
        sandbox.destroy().await;
    }
}

/// Makes one, and waits until it stands by.
///
/// # Errors
/// In words, why there is none.
pub(super) async fn make(means: &Means, kind: Kind) -> Result<Standing, String> {
    capacity::for_another(limits::STANDBY_ROOM_MB).map_err(|error| error.to_string())?;
    let interpreter = match kind.runtime() {
        None => None,
        Some(runtime) => means.interpreters.of(runtime).await.map_err(|error| error.to_string())?,
    };
    let id = means.chance.environment_id();
    let spec =
        recipe::ahead(id.as_str(), kind, (interpreter.as_ref(), &means.bootstraps), means.network);
    let created =
        means.backend.create(spec.clone()).await.map_err(|error| recipe::in_words(&error))?;
    let mut standing = Standing { spec, created, connection: None };
    let Some(process) = recipe::waiting(kind, interpreter.as_ref()) else {
        return Ok(standing);
    };
    let patience = Duration::from_millis(limits::STANDBY_START_MS);
    let result = match standing.created.sandbox.start(process).await {
        Err(error) => Err(error.to_string()),
        Ok(()) => match tokio::time::timeout(patience, standing.created.connections.recv()).await {
            Ok(Some(dialled)) if dialled.service == Service::RuntimeApi => Ok(dialled.connection),
            Ok(_) => Err("the interpreter has ended".to_owned()),
            Err(_) => Err("the interpreter takes too long".to_owned()),
        },
    };
    match result {
        Ok(connection) => {
            standing.connection = Some(connection);
            Ok(standing)
        }
        Err(reason) => {
            standing.end().await;
            Err(reason)
        }
    }
}
