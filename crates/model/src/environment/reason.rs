//! Why a version could not be initialised, as its state says it.

use super::Failure;
use crate::invocation::reported_type;

impl Failure {
    /// AWS's `StateReasonCode` for an Init that failed so (service model), and words for it (ours).
    #[must_use]
    pub fn state_reason(&self) -> (&'static str, String) {
        let code = match self {
            Self::Timeout => "FunctionError.InitTimeout",
            Self::Exited { out_of_memory: true, .. } => "FunctionError.InitResourceExhausted",
            Self::Exited { .. } | Self::InitError { .. } => "FunctionError.RuntimeInitError",
            Self::InvalidEntrypoint => "FunctionError.InvalidEntryPoint",
            Self::Extension(_) => "FunctionError.ExtensionInitError",
            Self::RestoreError { .. } | Self::RestoreTimeout => "FunctionError",
            Self::Sandbox | Self::Shutdown => "InternalError",
        };
        let why = reported_type(self).unwrap_or_else(|| "it took too long".to_owned());
        (code, format!("The function could not be initialized: {why}"))
    }
}
