//! Time as these programs see it.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Lets time pass.
pub fn pause_ms(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

/// Never returns.
pub fn for_ever() -> ! {
    loop {
        pause_ms(3_600_000);
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Uses the CPU for so many milliseconds of the clock on the wall.
pub fn burn_ms(ms: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(ms) {
        std::hint::black_box(0);
    }
}
