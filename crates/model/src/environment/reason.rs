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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Exit, ExtensionFault};

    #[test]
    fn each_failure_has_awss_code() {
        let exit = Exit::Signal(9);
        let error_type = "Runtime.ImportModuleError".to_owned();
        for (failure, expected) in [
            (Failure::Timeout, "FunctionError.InitTimeout it took too long"),
            (
                Failure::Exited { exit, out_of_memory: true },
                "FunctionError.InitResourceExhausted Runtime.OutOfMemory",
            ),
            (
                Failure::Exited { exit, out_of_memory: false },
                "FunctionError.RuntimeInitError Runtime.ExitError",
            ),
            (
                Failure::InitError { error_type },
                "FunctionError.RuntimeInitError Runtime.ImportModuleError",
            ),
            (
                Failure::InvalidEntrypoint,
                "FunctionError.InvalidEntryPoint Runtime.InvalidEntrypoint",
            ),
            (
                Failure::Extension(ExtensionFault::Crash { exit }),
                "FunctionError.ExtensionInitError Extension.Crash",
            ),
            (Failure::Sandbox, "InternalError Sandbox.Failure"),
        ] {
            let (code, words) = failure.state_reason();
            let (_, why) = words.rsplit_once(": ").unwrap();
            assert_eq!(format!("{code} {why}"), expected);
        }
    }
}
