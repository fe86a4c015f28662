//! Which request an extension may make when. Pure; the registry keeps the value.
//!
//! ```text
//!            register             next           delivered
//!   Started ----------> Registered ----> Ready ------------> Running
//!      |                    |  |          | ^                  |  |
//!      |launch failed       |  |exit/error| +------- next -----+  |exit/error
//!      v          init/error|  +----+     |                       |
//!   LaunchError             v       v     v                       |
//!                       InitError  ExitError <--------------------+
//!
//!   any state but the three errors: its process ended -> Exited; it had to be killed -> ShutdownFailed
//! ```
//!
//! What is not drawn is refused. An error reported again is accepted; the first one counts.

use crate::extension_refusal::ExtensionRefusal;

/// Where one extension is, from the start of its process to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ExtensionState {
    /// Its process runs, or its library is loaded; it has not registered.
    #[default]
    Started,
    /// Registered; it has not called `next`.
    Registered,
    /// Waiting for an event in `next`.
    Ready,
    /// Has an event.
    Running,
    /// It could not initialise. Its process is about to end.
    InitError {
        /// As it reported first.
        error_type: String,
    },
    /// It cannot go on. Its process is about to end.
    ExitError {
        /// As it reported first.
        error_type: String,
    },
    /// It could not be started.
    LaunchError {
        /// `PermissionDenied`, `TooManyExtensions` or `UnknownError`.
        error_type: String,
    },
    /// Its process ended.
    Exited,
    /// Its process had to be killed.
    ShutdownFailed,
}

/// What an extension asks for, as far as its state is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionRequest<'a> {
    /// `register`.
    Register,
    /// `event/next`.
    Next {
        /// Whether an earlier call of it still waits. One that lost its connection may call again.
        parked: bool,
    },
    /// `init/error`, with its error type.
    InitError(&'a str),
    /// `exit/error`, with its error type.
    ExitError(&'a str),
}

/// What the owner did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionProgress {
    /// Answered `next` with an event.
    Delivered,
    /// Could not start it, and why.
    LaunchFailed(String),
    /// Saw its process end.
    Exited,
    /// Killed it at the end of the shutdown.
    Killed,
}

impl ExtensionState {
    /// The name AWS gives the state in its error messages and in `platform.extension`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Registered => "Registered",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::InitError { .. } => "InitError",
            Self::ExitError { .. } => "ExitError",
            Self::LaunchError { .. } => "LaunchError",
            Self::Exited => "Exited",
            Self::ShutdownFailed => "ShutdownFailed",
        }
    }

    /// The error type it reported, or why it could not be started.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        match self {
            Self::InitError { error_type }
            | Self::ExitError { error_type }
            | Self::LaunchError { error_type } => Some(error_type),
            Self::Started
            | Self::Registered
            | Self::Ready
            | Self::Running
            | Self::Exited
            | Self::ShutdownFailed => None,
        }
    }

    /// The state after a request of the extension of this name or identifier.
    ///
    /// # Errors
    /// The refusal to send. The state stays as it was.
    pub fn apply(
        &self,
        request: ExtensionRequest<'_>,
        extension: impl ToString,
    ) -> Result<Self, ExtensionRefusal> {
        match (self, request) {
            (Self::Started, ExtensionRequest::Register) => Ok(Self::Registered),
            (Self::Registered | Self::Running, ExtensionRequest::Next { .. })
            | (Self::Ready, ExtensionRequest::Next { parked: false }) => Ok(Self::Ready),
            (Self::Registered, ExtensionRequest::InitError(error_type)) => {
                Ok(Self::InitError { error_type: error_type.to_owned() })
            }
            (
                Self::Registered | Self::Ready | Self::Running,
                ExtensionRequest::ExitError(error_type),
            ) => Ok(Self::ExitError { error_type: error_type.to_owned() }),
            (Self::InitError { .. }, ExtensionRequest::InitError(_))
            | (Self::ExitError { .. }, ExtensionRequest::ExitError(_)) => Ok(self.clone()),
            (_, request) => Err(ExtensionRefusal::InvalidState {
                from: self.name(),
                to: target(request),
                extension: extension.to_string(),
            }),
        }
    }

    /// The state after something the owner did or saw. `None` where that cannot be or changes
    /// nothing: an extension that reported an error, or has ended, stays as it is.
    #[must_use]
    pub fn progress(&self, progress: ExtensionProgress) -> Option<Self> {
        let alive = matches!(self, Self::Started | Self::Registered | Self::Ready | Self::Running);
        match (self, progress) {
            (Self::Ready, ExtensionProgress::Delivered) => Some(Self::Running),
            (Self::Started, ExtensionProgress::LaunchFailed(error_type)) => {
                Some(Self::LaunchError { error_type })
            }
            (_, ExtensionProgress::Exited) if alive => Some(Self::Exited),
            (_, ExtensionProgress::Killed) if alive => Some(Self::ShutdownFailed),
            _ => None,
        }
    }
}

/// The state a request would lead to, as AWS names it in its refusal.
fn target(request: ExtensionRequest<'_>) -> &'static str {
    match request {
        ExtensionRequest::Register => "Registered",
        ExtensionRequest::Next { .. } => "Ready",
        ExtensionRequest::InitError(_) => "InitError",
        // Not "ExitError": RIE.
        ExtensionRequest::ExitError(_) => "Exited",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One word a step: `register`, `next`, `next_again`, `init_error:T`, `exit_error:T` are the
    /// extension's; `deliver`, `launch:T`, `exited`, `killed` the owner's.
    fn step(state: &ExtensionState, word: &str) -> Result<ExtensionState, String> {
        let (verb, error_type) = word.split_once(':').unwrap_or((word, ""));
        let request = match verb {
            "register" => ExtensionRequest::Register,
            "next" => ExtensionRequest::Next { parked: true },
            "next_again" => ExtensionRequest::Next { parked: false },
            "init_error" => ExtensionRequest::InitError(error_type),
            "exit_error" => ExtensionRequest::ExitError(error_type),
            owners => {
                let progress = match owners {
                    "deliver" => ExtensionProgress::Delivered,
                    "launch" => ExtensionProgress::LaunchFailed(error_type.into()),
                    "exited" => ExtensionProgress::Exited,
                    "killed" => ExtensionProgress::Killed,
                    other => panic!("no step {other}"),
                };
                return state.progress(progress).ok_or("-".into());
            }
        };
        state.apply(request, "e").map_err(|refusal| match refusal {
            ExtensionRefusal::InvalidState { from, to, .. } => format!("403({from}>{to})"),
            other => panic!("{other}"),
        })
    }

    /// Runs the steps from Started; the states' names, or why a step was refused.
    fn check(steps: &str, expected: &str) {
        let mut state = ExtensionState::default();
        let mut seen = Vec::new();
        for word in steps.split_whitespace() {
            match step(&state, word) {
                Ok(next) => {
                    state = next;
                    let error_type =
                        state.error_type().map_or(String::new(), |text| format!(":{text}"));
                    seen.push(format!("{}{error_type}", state.name()));
                }
                Err(refused) => seen.push(refused),
            }
        }
        assert_eq!(seen.join(" "), expected, "{steps}");
    }

    #[test]
    fn an_extension_takes_one_event_after_the_other() {
        check(
            "register next deliver next deliver exited",
            "Registered Ready Running Ready Running Exited",
        );
    }

    #[test]
    fn nothing_comes_before_the_registration() {
        check(
            "next init_error:a exit_error:a deliver register register",
            "403(Started>Ready) 403(Started>InitError) 403(Started>Exited) - Registered \
             403(Registered>Registered)",
        );
    }

    #[test]
    fn a_second_next_is_refused_unless_the_first_was_lost() {
        check(
            "register next next next_again deliver next_again",
            "Registered Ready 403(Ready>Ready) Ready Running Ready",
        );
    }

    #[test]
    fn an_init_error_is_only_taken_before_the_first_next() {
        check(
            "register init_error:a init_error:b exit_error:c next register exited",
            "Registered InitError:a InitError:a 403(InitError>Exited) 403(InitError>Ready) \
             403(InitError>Registered) -",
        );
        check("register next init_error:a", "Registered Ready 403(Ready>InitError)");
        check(
            "register next deliver init_error:a",
            "Registered Ready Running 403(Running>InitError)",
        );
    }

    #[test]
    fn an_exit_error_is_taken_at_any_time_after_the_registration() {
        check("register exit_error:a exit_error:b", "Registered ExitError:a ExitError:a");
        check("register next exit_error:a killed", "Registered Ready ExitError:a -");
        check(
            "register next deliver exit_error:a init_error:b next deliver",
            "Registered Ready Running ExitError:a 403(ExitError>InitError) 403(ExitError>Ready) -",
        );
    }

    #[test]
    fn what_has_ended_stays_ended() {
        check(
            "launch:PermissionDenied register exited",
            "LaunchError:PermissionDenied 403(LaunchError>Registered) -",
        );
        check(
            "exited register killed next launch:x",
            "Exited 403(Exited>Registered) - 403(Exited>Ready) -",
        );
        check(
            "register killed exited exit_error:a",
            "Registered ShutdownFailed - 403(ShutdownFailed>Exited)",
        );
        check("register launch:x deliver", "Registered - -");
    }
}
