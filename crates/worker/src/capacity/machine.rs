//! How much memory this machine has, as the kernel says it: all of it, what a control group leaves of it, and
//! what is left.

use std::fs;
use std::path::{Path, PathBuf};

use dormouse_model::limits;

/// What the kernel counts as available, in kilobytes.
const AVAILABLE: &str = "MemAvailable:";
/// All there is, in kilobytes.
const TOTAL: &str = "MemTotal:";
const MEMORY: &str = "/proc/meminfo";
/// Tells of pressure on the memory of the whole machine.
pub(super) const PRESSURE: &str = "/proc/pressure/memory";

/// There is too little left.
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

/// What the machine has left, in megabytes, where the kernel says it.
#[must_use]
pub fn available_mb() -> Option<u64> {
    value_mb(&fs::read_to_string(MEMORY).ok()?, AVAILABLE)
}

/// What functions may use of this machine, in megabytes: all of it or what this process's control group
/// allows, less a part that stays for everything else. Where the kernel does not say, there is enough.
#[must_use]
pub fn for_functions_mb() -> u64 {
    let memory = fs::read_to_string(MEMORY).unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit =
        limits_of(&groups).filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    of_machine(value_mb(&memory, TOTAL), limit.min().map(|bytes: u64| bytes >> 20))
}

fn of_machine(machine_mb: Option<u64>, group_mb: Option<u64>) -> u64 {
    let Some(all_mb) = machine_mb.into_iter().chain(group_mb).min() else { return u64::MAX >> 1 };
    let part = all_mb / limits::MACHINE_RESERVE_PART;
    all_mb.saturating_sub(part.max(limits::PROVISIONED_RESERVE_MB))
}

fn value_mb(memory: &str, name: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1_024)
}

/// The files with the memory limits of a process, of its group and those around it, in both hierarchies.
fn limits_of(groups: &str) -> impl Iterator<Item = PathBuf> {
    groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            return Vec::new();
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            some if some.split(',').any(|it| it == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let around = Path::new(path).ancestors();
        around
            .map(|it| Path::new(root).join(it.strip_prefix("/").unwrap_or(it)).join(file))
            .collect()
    })
}

/// The file that tells of memory pressure: of this process's own group if it has a limit, or of the machine.
pub(super) fn pressure_file() -> PathBuf {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limited = limits_of(&groups).find(|file| {
        let limit = fs::read_to_string(file).unwrap_or_default();
        file.ends_with("memory.max") && limit.trim().parse::<u64>().is_ok()
    });
    match limited {
        Some(file) => file.with_file_name("memory.pressure"),
        None => PathBuf::from(PRESSURE),
    }
}

/// Whether the machine has this much left, and a reserve.
pub(crate) fn for_another(memory_mb: u32) -> Result<(), NoRoom> {
    check(available_mb(), memory_mb)
}

/// Whether another environment of this size can be kept ready. Where the kernel does not say how much
/// memory there is, there is enough.
pub(super) fn check(available_mb: Option<u64>, memory_mb: u32) -> Result<(), NoRoom> {
    let needed_mb = u64::from(memory_mb) + limits::PROVISIONED_RESERVE_MB;
    match available_mb {
        Some(available_mb) if available_mb < needed_mb => Err(NoRoom { memory_mb, available_mb }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_kept_ready_when_it_may_use_all_its_memory_and_a_reserve_stays() {
        assert_eq!(check(Some(limits::PROVISIONED_RESERVE_MB + 128), 128), Ok(()));
        let short = check(Some(limits::PROVISIONED_RESERVE_MB + 127), 128);
        let available_mb = limits::PROVISIONED_RESERVE_MB + 127;
        assert_eq!(short, Err(NoRoom { memory_mb: 128, available_mb }));
        let text = short.unwrap_err().to_string();
        assert!(text.starts_with("the machine has 383 MB of memory left, and 128 MB"), "{text}");
        assert_eq!(check(None, 10_240), Ok(()));
    }

    #[test]
    fn what_the_kernel_says_is_read_in_megabytes() {
        let memory = "MemTotal: 24684096 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n";
        assert_eq!((value_mb(memory, TOTAL), value_mb(memory, AVAILABLE)), (Some(24_105), Some(2)));
        for unknown in ["", "MemAvailable: many kB", "MemAvailable:"] {
            assert_eq!(value_mb(unknown, AVAILABLE), None);
        }
        assert!(available_mb().is_some_and(|mb| mb > 0), "this kernel says nothing");
    }

    #[test]
    fn functions_get_the_machine_or_the_group_less_a_part() {
        assert_eq!(of_machine(Some(24_000), None), 21_000);
        assert_eq!(of_machine(Some(24_000), Some(8_000)), 7_000);
        assert_eq!(of_machine(Some(1_024), Some(1 << 43)), 768);
        assert_eq!(of_machine(Some(100), None), 0);
        assert!(of_machine(None, None) > 1 << 40);
    }

    #[test]
    fn limits_are_looked_for_in_the_group_and_around_it() {
        let found = |groups: &str| {
            limits_of(groups).map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            found("0::/a/b"),
            "/sys/fs/cgroup/a/b/memory.max /sys/fs/cgroup/a/memory.max /sys/fs/cgroup/memory.max"
        );
        let of_v1 = "/sys/fs/cgroup/memory/c/memory.limit_in_bytes \
                     /sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(found("4:cpu,memory:/c\n3:pids:/d\nnonsense"), of_v1);
    }
}
