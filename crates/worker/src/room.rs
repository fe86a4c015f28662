//! Whether this host has memory left for an environment that is made ahead of its first caller. Who
//! waits for one gets it in any case: for him it would be an error.

use std::fs;

use dormouse_model::limits;

/// What the kernel counts as available, in kilobytes.
const AVAILABLE: &str = "MemAvailable:";

/// There is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the machine has {available_mb} MB of memory left, and {memory_mb} MB and a reserve of \
     {} MB are needed to keep one ready",
    limits::PROVISIONED_RESERVE_MB
)]
pub(crate) struct NoRoom {
    memory_mb: u32,
    available_mb: u64,
}

/// Whether another environment of this size can be kept ready. Where the kernel does not say how much
/// memory there is, there is enough.
pub(crate) fn for_another(memory_mb: u32) -> Result<(), NoRoom> {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    check(&memory, memory_mb)
}

fn check(memory: &str, memory_mb: u32) -> Result<(), NoRoom> {
    let line = memory.lines().find_map(|line| line.strip_prefix(AVAILABLE));
    let number = line.and_then(|line| line.split_whitespace().next());
    let Some(available_kb) = number.and_then(|number| number.parse::<u64>().ok()) else {
        return Ok(());
    };
    let available_mb = available_kb / 1_024;
    let needed_mb = u64::from(memory_mb) + limits::PROVISIONED_RESERVE_MB;
    if available_mb < needed_mb { Err(NoRoom { memory_mb, available_mb }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_kept_ready_when_it_may_use_all_its_memory_and_a_reserve_stays() {
        let memory = |mb: u64| format!("MemTotal: 99 kB\nMemAvailable:   {} kB\nX: 1", mb * 1_024);
        assert_eq!(check(&memory(limits::PROVISIONED_RESERVE_MB + 128), 128), Ok(()));
        let short = check(&memory(limits::PROVISIONED_RESERVE_MB + 127), 128);
        let available_mb = limits::PROVISIONED_RESERVE_MB + 127;
        assert_eq!(short, Err(NoRoom { memory_mb: 128, available_mb }));
        let text = short.unwrap_err().to_string();
        assert!(text.starts_with("the machine has 383 MB of memory left, and 128 MB"), "{text}");
        for unknown in ["", "MemAvailable: many kB"] {
            assert_eq!(check(unknown, 10_240), Ok(()));
        }
    }

    #[test]
    fn no_machine_keeps_more_ready_than_it_has_memory() {
        assert!(for_another(u32::MAX).is_err());
    }
}
