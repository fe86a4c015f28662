//! What is known of an environment's memory, and when more has to be asked.
//!
//! The peak is read at the end of every invocation; how many processes the kernel killed for want of
//! memory only when it may have killed one, since that costs an invocation more than all else it reads.

/// As of the last look.
#[derive(Debug)]
pub(super) struct Memory {
    limit_bytes: u64,
    /// The most in use at once; 0 when it could not be read.
    pub(super) peak_bytes: u64,
    /// Processes that the kernel killed.
    kills: u64,
}

impl Memory {
    pub(super) fn new(limit_mb: u32) -> Self {
        Self { limit_bytes: u64::from(limit_mb) << 20, peak_bytes: 0, kills: 0 }
    }

    /// Takes the peak as it is now; whether processes may have been killed since the last look. The
    /// kernel kills at the limit, so the peak has moved or was near it already.
    pub(super) fn peaks(&mut self, peak_bytes: u64) -> bool {
        let moved = peak_bytes != self.peak_bytes;
        self.peak_bytes = peak_bytes;
        moved || peak_bytes >= self.limit_bytes / 2
    }

    /// Takes the number of kills as it is now; whether it has grown.
    pub(super) fn killed(&mut self, kills: u64) -> bool {
        let before = std::mem::replace(&mut self.kills, kills);
        kills > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_asked_for_when_the_peak_has_moved_or_is_near_the_limit() {
        let mut memory = Memory::new(128);
        let steps = [(20, true), (20, false), (30, true), (30, false), (64, true), (64, true)];
        for (mb, asks) in steps {
            assert_eq!(memory.peaks(mb << 20), asks, "{mb}");
        }
        assert_eq!(memory.peak_bytes, 64 << 20);
    }

    #[test]
    fn a_kill_is_noticed_once() {
        let mut memory = Memory::new(128);
        assert!(!memory.killed(0) && memory.killed(1) && !memory.killed(1) && memory.killed(3));
    }
}
