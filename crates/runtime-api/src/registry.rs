//! The extensions of one environment: who there is, who may still come, and where each one is. Pure;
//! the environment's owner keeps the value, and a reset replaces it as a whole. Who of them waits for
//! whom is not decided here but in `model::environment`.

use dormouse_model::telemetry::SubscriptionApi;

use crate::extension::Events;
use crate::extension_refusal::ExtensionRefusal;
use crate::extension_state::{ExtensionProgress, ExtensionRequest, ExtensionState};
use crate::identifier::Identifier;
use crate::limits;

/// One extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The file's name, or what an internal one calls itself. Unique.
    pub name: String,
    /// Whether it is a process of its own.
    pub kind: ExtensionKind,
    /// Where it is.
    pub state: ExtensionState,
    /// Known once it has registered.
    pub identifier: Option<Identifier>,
    /// What it wants to hear of; nothing before it has registered.
    pub events: Events,
    /// The API it subscribed by, if it did.
    pub subscribed_by: Option<SubscriptionApi>,
}

/// Where an extension runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionKind {
    /// A process of its own, from `/opt/extensions`.
    External,
    /// In the runtime's process.
    Internal,
}

/// What may still be done in this Init. Only ever moves on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Open {
    #[default]
    Everything,
    Subscriptions,
    Nothing,
}

/// The extensions of one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    extensions: Vec<Extension>,
    open: Open,
}

impl Registry {
    /// A registry in which these external extensions are to register, in the order of their start.
    ///
    /// # Errors
    /// There are more than [`limits::EXTENSIONS`], or two of one name. None may be started then.
    pub fn new(external: impl IntoIterator<Item = String>) -> Result<Self, ExtensionRefusal> {
        let mut registry = Self::default();
        for name in external {
            registry.free_name(&name)?;
            registry.add(name, ExtensionKind::External)?;
        }
        Ok(registry)
    }

    /// A registration. One by a name that no external extension has is an internal one's. The
    /// identifier is the caller's to make: fresh, and thrown away if the registration is refused.
    ///
    /// # Errors
    /// The refusal to send. Nothing has changed then.
    pub fn register(
        &mut self,
        name: &str,
        events: Events,
        identifier: Identifier,
    ) -> Result<&Extension, ExtensionRefusal> {
        debug_assert!(self.position(identifier).is_none(), "identifiers are fresh");
        let external = self
            .extensions
            .iter()
            .position(|known| known.name == name && known.kind == ExtensionKind::External);
        let at = match external {
            Some(at) => {
                let state = &self.extensions[at].state;
                let registered = state.apply(ExtensionRequest::Register, name)?;
                self.registration_is_open()?;
                self.extensions[at].state = registered;
                at
            }
            None => self.add_internal(name, events)?,
        };
        let extension = &mut self.extensions[at];
        extension.identifier = Some(identifier);
        extension.events = events;
        Ok(extension)
    }

    fn add_internal(&mut self, name: &str, events: Events) -> Result<usize, ExtensionRefusal> {
        if events.shutdown {
            return Err(ExtensionRefusal::InternalShutdown);
        }
        self.registration_is_open()?;
        self.full()?;
        self.free_name(name)?;
        let at = self.add(name.to_owned(), ExtensionKind::Internal)?;
        self.extensions[at].state = ExtensionState::Registered;
        Ok(at)
    }

    fn add(&mut self, name: String, kind: ExtensionKind) -> Result<usize, ExtensionRefusal> {
        self.full()?;
        self.extensions.push(Extension {
            name,
            kind,
            state: ExtensionState::Started,
            identifier: None,
            events: Events::default(),
            subscribed_by: None,
        });
        Ok(self.extensions.len() - 1)
    }

    fn full(&self) -> Result<(), ExtensionRefusal> {
        let full = self.extensions.len() >= limits::EXTENSIONS;
        if full { Err(ExtensionRefusal::TooManyExtensions) } else { Ok(()) }
    }

    fn free_name(&self, name: &str) -> Result<(), ExtensionRefusal> {
        let taken = self.extensions.iter().any(|known| known.name == name);
        if taken { Err(ExtensionRefusal::NameTaken) } else { Ok(()) }
    }

    fn registration_is_open(&self) -> Result<(), ExtensionRefusal> {
        if self.open == Open::Everything {
            return Ok(());
        }
        Err(ExtensionRefusal::RegistrationClosed)
    }

    /// Any other request: its extension, with its state moved on. After `next` the owner parks the
    /// call; after an error it looks whether the state changed, since only the first one counts.
    ///
    /// # Errors
    /// The refusal to send. Nothing has changed then.
    pub fn apply(
        &mut self,
        identifier: Identifier,
        request: ExtensionRequest<'_>,
    ) -> Result<&Extension, ExtensionRefusal> {
        let at = self.position(identifier).ok_or(match request {
            ExtensionRequest::InitError(_) | ExtensionRequest::ExitError(_) => {
                ExtensionRefusal::UnknownIdentifier
            }
            ExtensionRequest::Register | ExtensionRequest::Next { .. } => {
                ExtensionRefusal::UnknownExtension(identifier)
            }
        })?;
        let extension = &mut self.extensions[at];
        extension.state = extension.state.apply(request, identifier)?;
        Ok(extension)
    }

    /// A subscription. Another one by the same API takes its place; both APIs at once cannot be had.
    ///
    /// # Errors
    /// The refusal to send. Nothing has changed then.
    pub fn subscribe(
        &mut self,
        identifier: Identifier,
        api: SubscriptionApi,
    ) -> Result<&Extension, ExtensionRefusal> {
        let at = self.position(identifier).ok_or(ExtensionRefusal::UnknownExtension(identifier))?;
        if self.open == Open::Nothing {
            return Err(ExtensionRefusal::SubscriptionClosed(api));
        }
        let extension = &mut self.extensions[at];
        if let Some(other) = extension.subscribed_by.filter(|other| *other != api) {
            let message = format!("already subscribed by the {} API", other.name());
            return Err(ExtensionRefusal::Validation { api, message });
        }
        extension.subscribed_by = Some(api);
        Ok(extension)
    }

    /// Something the owner did or saw: the extension's state, if that changed it.
    pub fn progress(&mut self, name: &str, progress: ExtensionProgress) -> Option<&ExtensionState> {
        let extension = self.extensions.iter_mut().find(|known| known.name == name)?;
        extension.state = extension.state.progress(progress)?;
        Some(&extension.state)
    }

    /// Nobody may register any more: the runtime has called its first `next`.
    pub fn close_registration(&mut self) {
        self.open = self.open.max(Open::Subscriptions);
    }

    /// Nobody may subscribe any more: all extensions have called their first `next`.
    pub fn close_subscriptions(&mut self) {
        self.open = Open::Nothing;
    }

    /// All of them: external ones in the order of their start, then internal ones as they came.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    fn position(&self, identifier: Identifier) -> Option<usize> {
        self.extensions.iter().position(|known| known.identifier == Some(identifier))
    }
}

#[cfg(test)]
mod tests;
