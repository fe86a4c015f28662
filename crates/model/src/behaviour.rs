//! How Lambda treats a function: what it does about loops, and when it takes up new runtimes.

use serde::{Deserialize, Serialize};

/// What becomes of a function that invokes itself over and over through other services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecursiveLoop {
    /// It goes on.
    Allow,
    /// It is ended.
    #[default]
    Terminate,
}

impl RecursiveLoop {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Allow, Self::Terminate];

    /// AWS's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Terminate => "Terminate",
        }
    }
}

/// When a version of a function takes up a newer version of its runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuntimeUpdate {
    /// As soon as there is one.
    #[default]
    Auto,
    /// When the function is updated.
    FunctionUpdate,
    /// Never by itself.
    Manual {
        /// The ARN of the runtime version it stays with.
        version: String,
    },
}
