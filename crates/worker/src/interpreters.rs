//! The interpreters of this host, once they are found.
//!
//! Looking for them means asking each program for its version, which takes longer than the whole
//! start of the server; so it goes on beside it, and who needs one waits.

use std::sync::Arc;

use dormouse_model::runtime::Runtime;
use dormouse_runtimes::{Choice, Interpreter, Language, choose};
use tokio::sync::watch;

/// Nothing on this host can run a runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no interpreter for {runtime} was found on this machine; install one with: {install}")]
pub struct NoInterpreter {
    /// The runtime.
    pub runtime: Runtime,
    /// The command that installs one.
    pub install: String,
}

/// What was found, as soon as it is.
#[derive(Debug, Clone)]
pub struct Interpreters {
    found: watch::Receiver<Option<Arc<[Interpreter]>>>,
    nearest: bool,
}

impl Interpreters {
    /// Interpreters that the sender of `found` will tell. With `nearest` a near version is good
    /// enough.
    #[must_use]
    pub fn new(found: watch::Receiver<Option<Arc<[Interpreter]>>>, nearest: bool) -> Self {
        Self { found, nearest }
    }

    /// The interpreter for a runtime; `None` for one that brings its own program.
    ///
    /// # Errors
    /// When there is none that may be used.
    pub async fn of(&self, runtime: Runtime) -> Result<Option<Interpreter>, NoInterpreter> {
        if Language::of(runtime).is_none() {
            return Ok(None);
        }
        let mut found = self.found.clone();
        // A search that ended without a word found nothing.
        let found = found.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match choose(runtime, found.as_deref().unwrap_or_default()) {
            Choice::Exact(interpreter) => Ok(interpreter),
            Choice::Nearest(interpreter) if self.nearest => Ok(Some(interpreter)),
            Choice::Nearest(near) => Err(NoInterpreter {
                runtime,
                install: format!("the exact version (only {} is here)", near.version),
            }),
            Choice::Missing { install } => Err(NoInterpreter { runtime, install }),
        }
    }
}
