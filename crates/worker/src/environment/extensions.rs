//! The extensions of an environment as its owner keeps them: who they are, and their parked calls.
//!
//! An extension's number is its place in the registry: external ones in the order of their start,
//! then internal ones as they come. Replaced as a whole when the processes are started anew.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use dormouse_model::environment::{Exit, ExtensionFault, ExtensionId, Registration};
use dormouse_model::telemetry::{self, SubscriptionApi};
use dormouse_runtime_api::{
    Events, Extension, ExtensionEvent, ExtensionKind, ExtensionProgress, ExtensionRefusal,
    ExtensionRequest, ExtensionState, Identifier, ParkedEvent, Registry,
};
use dormouse_sandbox::{ProcessId, StartError};
use tokio::sync::oneshot;
use tokio::task::JoinError;

/// The number of the first extension's process; the runtime's is below.
const FIRST_PROCESS: u32 = 16;

/// A reply slot of `event/next`.
pub(super) type EventReply = oneshot::Sender<Result<ExtensionEvent, ExtensionRefusal>>;

/// All extensions of one start of the processes.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    registry: Registry,
    parked: Vec<ParkedEvent>,
    /// The end that came while nobody waited for it: it may come at any time.
    missed: HashMap<ExtensionId, ExtensionEvent>,
}

impl Extensions {
    /// External extensions that are about to be started.
    pub(super) fn new(external: &[String]) -> Result<Self, ExtensionRefusal> {
        Ok(Self { registry: Registry::new(external.iter().cloned())?, ..Self::default() })
    }

    /// Takes a registration.
    pub(super) fn register(
        &mut self,
        name: &str,
        events: Events,
        identifier: Identifier,
    ) -> Result<(ExtensionId, Registration), ExtensionRefusal> {
        let extension = self.registry.register(name, events, identifier)?;
        let registration = Registration {
            external: extension.kind == ExtensionKind::External,
            invoke: events.invoke,
            shutdown: events.shutdown,
        };
        let id = self.id(identifier).ok_or(ExtensionRefusal::UnknownExtension(identifier))?;
        Ok((id, registration))
    }

    /// Takes a call of `next` and parks it.
    pub(super) fn next(
        &mut self,
        identifier: Identifier,
        reply: EventReply,
    ) -> Result<ExtensionId, (EventReply, ExtensionRefusal)> {
        let Some(id) = self.id(identifier) else {
            return Err((reply, ExtensionRefusal::UnknownExtension(identifier)));
        };
        let parked = self.parked(id).is_waiting();
        match self.registry.apply(identifier, ExtensionRequest::Next { parked }) {
            Ok(_) => {
                self.parked(id).park(reply);
                if let Some(event) = self.missed.remove(&id) {
                    self.give(id, event);
                }
                Ok(id)
            }
            Err(refusal) => Err((reply, refusal)),
        }
    }

    /// Takes a report that an extension cannot go on. Nothing follows from it before its process ends.
    pub(super) fn report(
        &mut self,
        identifier: Identifier,
        request: ExtensionRequest<'_>,
    ) -> Result<(), ExtensionRefusal> {
        self.registry.apply(identifier, request).map(|_| ())
    }

    /// Takes a subscription to telemetry: whose, the name, and whether there was one before.
    pub(super) fn subscribe(
        &mut self,
        identifier: Identifier,
        api: SubscriptionApi,
    ) -> Result<(ExtensionId, String, bool), ExtensionRefusal> {
        let unknown = ExtensionRefusal::UnknownExtension(identifier);
        let id = self.id(identifier).ok_or(unknown)?;
        let again = self.get(id).is_some_and(|it| it.subscribed_by.is_some());
        let extension = self.registry.subscribe(identifier, api)?;
        Ok((id, extension.name.clone(), again))
    }

    /// Nobody may register any more.
    pub(super) fn close_registration(&mut self) {
        self.registry.close_registration();
    }

    /// Nobody may subscribe to telemetry any more.
    pub(super) fn close_subscriptions(&mut self) {
        self.registry.close_subscriptions();
    }

    /// Gives each extension that `wanted` selects the event that `make` makes for it.
    pub(super) fn tell(
        &mut self,
        wanted: impl Fn(&Extension) -> bool,
        mut make: impl FnMut() -> ExtensionEvent,
    ) {
        for (id, _) in self.selected(wanted) {
            self.give(id, make());
        }
    }

    /// Answers the call that waits, or the next one.
    fn give(&mut self, id: ExtensionId, event: ExtensionEvent) {
        match self.parked(id).deliver(event) {
            Ok(()) => self.progress(id, ExtensionProgress::Delivered),
            Err(event @ ExtensionEvent::Shutdown { .. }) => {
                self.missed.insert(id, event);
            }
            // Whoever was told of invocations waited for one; its connection broke.
            Err(ExtensionEvent::Invoke { .. }) => {}
        }
    }

    /// The processes of external extensions that do not want to hear of the shutdown.
    pub(super) fn deaf(&self) -> Vec<ProcessId> {
        let deaf = |it: &Extension| it.kind == ExtensionKind::External && !it.events.shutdown;
        self.selected(deaf).into_iter().map(|(id, _)| process(id)).collect()
    }

    /// The process of an external extension has ended: what that means if it was not its time.
    pub(super) fn exited(&mut self, id: ExtensionId, exit: Exit) -> ExtensionFault {
        let fault = match self.get(id).map(|it| &it.state) {
            Some(ExtensionState::InitError { .. }) => ExtensionFault::InitError { exit },
            Some(ExtensionState::ExitError { .. }) => ExtensionFault::ExitError { exit },
            _ => ExtensionFault::Crash { exit },
        };
        self.progress(id, ExtensionProgress::Exited);
        fault
    }

    /// The process of an external extension could not be started.
    pub(super) fn not_launched(&mut self, id: ExtensionId, error: &StartError) -> ExtensionFault {
        let name = self.get(id).map_or("", |it| it.name.as_str());
        let (error_type, why) = match error {
            StartError::NoProgram { .. } => ("PermissionDenied", "permission denied".to_owned()),
            StartError::Refused(error) => ("UnknownError", in_words(error)),
            StartError::Gone(gone) => ("UnknownError", gone.to_string()),
        };
        let reason = format!("fork/exec /opt/extensions/{name}: {why}");
        self.progress(id, ExtensionProgress::LaunchFailed(error_type.to_owned()));
        ExtensionFault::Launch { reason }
    }

    fn progress(&mut self, id: ExtensionId, progress: ExtensionProgress) {
        if let Some(name) = self.get(id).map(|it| it.name.clone()) {
            self.registry.progress(&name, progress);
        }
    }

    /// What is told of each at the end of Init.
    pub(super) fn told(&self) -> Vec<telemetry::Extension> {
        let told = |it: &Extension| telemetry::Extension {
            name: it.name.clone(),
            state: it.state.name(),
            events: it.events.names(),
            error_type: it.state.error_type().map(str::to_owned),
        };
        self.registry.extensions().iter().map(told).collect()
    }

    fn selected(&self, wanted: impl Fn(&Extension) -> bool) -> Vec<(ExtensionId, String)> {
        let all = self.registry.extensions().iter().zip(0..);
        all.filter(|(it, _)| wanted(it)).map(|(it, n)| (ExtensionId(n), it.name.clone())).collect()
    }

    fn id(&self, identifier: Identifier) -> Option<ExtensionId> {
        let mut all = self.registry.extensions().iter().zip(0..);
        all.find(|(it, _)| it.identifier == Some(identifier)).map(|(_, n)| ExtensionId(n))
    }

    fn get(&self, id: ExtensionId) -> Option<&Extension> {
        self.registry.extensions().get(usize::try_from(id.0).ok()?)
    }

    fn parked(&mut self, id: ExtensionId) -> &mut ParkedEvent {
        let at = usize::try_from(id.0).expect("there are at most ten extensions");
        if self.parked.len() <= at {
            self.parked.resize_with(at + 1, ParkedEvent::default);
        }
        &mut self.parked[at]
    }
}

/// What the kernel said, without its number, in small letters as AWS's supervisor has it.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// The sandbox's name for an extension's process.
pub(super) fn process(id: ExtensionId) -> ProcessId {
    ProcessId(FIRST_PROCESS + id.0)
}

/// The extension whose process has this name.
pub(super) fn of_process(process: ProcessId) -> Option<ExtensionId> {
    process.0.checked_sub(FIRST_PROCESS).map(ExtensionId)
}

/// The files directly in `extensions` of the layers, sorted by name; directories are none. Not read
/// on the daemon's thread.
pub(super) async fn external(layers: Vec<PathBuf>) -> Result<Vec<String>, JoinError> {
    if layers.is_empty() {
        return Ok(Vec::new());
    }
    tokio::task::spawn_blocking(move || files(&layers)).await
}

/// The files in `opt/extensions` of an image, as its layers together have them.
pub(super) async fn external_of_image(layers: Vec<PathBuf>) -> Result<Vec<String>, JoinError> {
    tokio::task::spawn_blocking(move || merged(&layers)).await
}

/// A layer hides what those below it have under the same name, in a directory that it removes or
/// begins anew, and below what is no directory in it.
fn merged(layers: &[PathBuf]) -> Vec<String> {
    let mut names = BTreeMap::new();
    for layer in layers.iter().rev() {
        let mut directory = layer.clone();
        let mut last = false;
        let mut there = true;
        for name in ["opt", "extensions"] {
            directory.push(name);
            match fs::symlink_metadata(&directory) {
                Ok(found) if found.is_dir() => last |= is_opaque(&directory),
                Ok(_) => (last, there) = (true, false),
                Err(_) => there = false,
            }
            if !there {
                break;
            }
        }
        let entries = there.then(|| fs::read_dir(&directory).ok()).flatten();
        for entry in entries.into_iter().flatten().flatten() {
            let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else {
                continue;
            };
            let is_program = !kind.is_dir() && !kind.is_char_device();
            names.entry(name).or_insert(is_program);
        }
        if last {
            break;
        }
    }
    names.into_iter().filter(|(_, is_program)| *is_program).map(|(name, _)| name).collect()
}

fn is_opaque(directory: &Path) -> bool {
    let mut value = [0; 1];
    let read = rustix::fs::lgetxattr(directory, "trusted.overlay.opaque", &mut value);
    read.is_ok() && value == *b"y"
}

fn files(layers: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = layers
        .iter()
        .filter_map(|layer| fs::read_dir(layer.join("extensions")).ok())
        .flat_map(|entries| entries.flatten())
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names.dedup();
    names
}
