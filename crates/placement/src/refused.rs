//! Why an invocation was not run, as a caller learns it.

/// Why an invocation was not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// Too many invocations run or wait.
    #[error("too many invocations")]
    Throttled,
    /// The function has reserved no place at all: it is switched off.
    #[error("function is switched off")]
    SwitchedOff,
    /// As many invocations run as the function has reserved places.
    #[error("reserved concurrency is used up")]
    ReservedUsedUp,
    /// More requests come in a second than may without a reservation.
    #[error("too many requests a second")]
    TooFast,
    /// More requests come in a second than the function's reserved places may serve.
    #[error("too many requests a second for the reserved concurrency")]
    ReservedTooFast,
    /// This machine has no memory left for another environment, and none has become free in time.
    #[error("no room for another environment")]
    NoRoom,
    /// The version was replaced meanwhile: resolve it again.
    #[error("version was replaced")]
    Superseded,
    /// The server is stopping.
    #[error("server is stopping")]
    Stopping,
}
