//! The extensions of an environment, as far as its life depends on them: who has registered, who
//! has been told of an event, who has come back.
//!
//! Which names and events an extension may register is the Extensions API's business, not ours.

use std::collections::BTreeMap;

/// An extension of one environment, numbered by its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionId(pub u32);

/// What an extension has registered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// A process of its own; otherwise it lives in the runtime's.
    pub external: bool,
    /// Whether it is told of invocations.
    pub invoke: bool,
    /// Whether it is told of the end.
    pub shutdown: bool,
}

/// How far an extension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Its process was started.
    Launched,
    /// It has registered and not asked for an event yet.
    Registered(Registration),
    /// It waits for an event.
    Waiting(Registration),
    /// It has an event and has not come back.
    Working(Registration),
}

/// All of them. One whose process has ended is not among them any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    all: BTreeMap<ExtensionId, Progress>,
}

impl Extensions {
    /// The processes of external extensions have been started.
    pub(super) fn launched(ids: &[ExtensionId]) -> Self {
        Self { all: ids.iter().map(|id| (*id, Progress::Launched)).collect() }
    }

    pub(super) fn registered(&mut self, id: ExtensionId, registration: Registration) {
        self.all.insert(id, Progress::Registered(registration));
    }

    /// It asks for an event: it is done with the last one. False when it has none to be done with.
    pub(super) fn next(&mut self, id: ExtensionId) -> bool {
        let Some(progress) = self.all.get_mut(&id) else { return false };
        let Some(registration) = progress.registration() else { return false };
        *progress = Progress::Waiting(registration);
        true
    }

    /// Its process has ended. False when nobody knew it.
    pub(super) fn ended(&mut self, id: ExtensionId) -> bool {
        self.all.remove(&id).is_some()
    }

    /// The runtime's process has ended, and with it what lived in there.
    pub(super) fn runtime_ended(&mut self) {
        self.all.retain(|_, progress| !matches!(progress.registration(), Some(r) if !r.external));
    }

    /// Those who registered for it have been told of an invocation.
    pub(super) fn invoked(&mut self) {
        for progress in self.all.values_mut() {
            if let Some(registration) = progress.registration().filter(|r| r.invoke) {
                *progress = Progress::Working(registration);
            }
        }
    }

    /// Whether every process that was started has registered.
    pub(super) fn all_registered(&self) -> bool {
        !self.all.values().any(|progress| *progress == Progress::Launched)
    }

    /// Whether all wait for an event.
    pub(super) fn all_waiting(&self) -> bool {
        self.all.values().all(|progress| matches!(progress, Progress::Waiting(_)))
    }

    /// Whether any has been told of the invocation and not come back.
    pub(super) fn any_working(&self) -> bool {
        self.all.values().any(|progress| matches!(progress, Progress::Working(_)))
    }

    /// Whether a process other than the runtime's is there.
    pub(super) fn any_external(&self) -> bool {
        self.all.values().any(|p| p.registration().is_none_or(|r| r.external))
    }

    /// Whether any is there at all.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Progress {
    fn registration(self) -> Option<Registration> {
        match self {
            Self::Launched => None,
            Self::Registered(r) | Self::Waiting(r) | Self::Working(r) => Some(r),
        }
    }
}
