//! The one door for time: two functions handed in by whoever owns the process.
//!
//! Nothing here reads a clock; tests and simulations hand in their own.

use std::fmt;
use std::sync::Arc;

use crate::environment::Micros;

/// Where time comes from.
#[derive(Clone)]
pub struct Clock {
    monotonic: Arc<dyn Fn() -> Micros + Send + Sync>,
    wall_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Clock {
    /// A clock made of a monotonic one (microseconds) and a wall clock (milliseconds since 1970).
    pub fn new(
        monotonic: impl Fn() -> Micros + Send + Sync + 'static,
        wall_ms: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self { monotonic: Arc::new(monotonic), wall_ms: Arc::new(wall_ms) }
    }

    /// Microseconds since some moment; never goes back.
    #[must_use]
    pub fn now(&self) -> Micros {
        (self.monotonic)()
    }

    /// Milliseconds since 1970; may jump.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        (self.wall_ms)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
