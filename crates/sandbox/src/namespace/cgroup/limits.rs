//! What is written into which control file to limit a sandbox.
//!
//! Pure: a layout and limits in, a list of writes out.

use std::path::{Path, PathBuf};

use super::layout::{Controller, Layout, Place};

/// What one sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all its processes together, page cache and `/tmp` included.
    pub memory_bytes: u64,
    /// CPU time per wall time, in thousandths of a core; `None` is unlimited.
    pub cpu_millis: Option<u32>,
    /// Processes and threads at once.
    pub pids_max: u32,
}

/// One write. `dir` is the group's parent-relative home; the group's own name is added later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) home: PathBuf,
    pub(super) file: &'static str,
    pub(super) value: String,
    pub(super) when: When,
}

/// What a refusal of the write means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// An error.
    Always,
    /// Nothing, when the kernel has no such file (no swap accounting).
    IfThere,
    /// The group above has a lower limit already, which holds anyway.
    UnlessAbove,
}

/// How long a CPU quota is shared out over. With the kernel's default of 100 ms a busy 128 MB
/// function (7.2 % of a core) stood still for 90 ms at a time (median, ticks of 4 ms); with 20 ms
/// for 38 ms, at the same share. It is not 19, because running time is counted once per scheduler
/// tick and overdrawn time is paid back: so a shorter period would win nothing, and its quota would
/// fall below the kernel's least, 1 ms.
const CPU_PERIOD_MICROS: u64 = 20_000;
/// The kernel's least quota.
const CPU_QUOTA_LEAST_MICROS: u64 = 1_000;

/// Quota and period for a share; `None` is no quota.
fn cpu(cpu_millis: Option<u32>) -> (Option<u64>, u64) {
    let Some(millis) = cpu_millis else {
        return (None, CPU_PERIOD_MICROS);
    };
    let millis = u64::from(millis.max(1));
    // Below 5 % the period grows instead, at most to the kernel's longest, 1 s.
    let period = CPU_PERIOD_MICROS.max(CPU_QUOTA_LEAST_MICROS * 1000 / millis);
    (Some(period * millis / 1000), period)
}

/// All limits of a new group, in the order in which they must be written.
pub(super) fn for_new(layout: &Layout, limits: &Limits) -> Vec<Write> {
    let mut writes = for_memory(layout, limits.memory_bytes);
    writes.extend(for_cpu(layout, limits.cpu_millis));
    if let Some(Place::V1(home) | Place::Unified(home)) = layout.place(Controller::Pids) {
        writes.push(write(home, "pids.max", limits.pids_max.to_string(), When::Always));
    }
    writes
}

/// The memory limit. Swap does not add to it: Lambda's memory size is all there is.
pub(super) fn for_memory(layout: &Layout, bytes: u64) -> Vec<Write> {
    let value = bytes.to_string();
    match layout.place(Controller::Memory) {
        Some(Place::Unified(home)) => vec![
            write(home, "memory.max", value, When::Always),
            write(home, "memory.swap.max", "0".to_owned(), When::IfThere),
        ],
        Some(Place::V1(home)) => vec![
            // memsw may never be below the limit: first out of the way, then both downwards.
            write(home, "memory.memsw.limit_in_bytes", "-1".to_owned(), When::IfThere),
            write(home, "memory.limit_in_bytes", value.clone(), When::Always),
            write(home, "memory.memsw.limit_in_bytes", value, When::IfThere),
        ],
        None => Vec::new(),
    }
}

/// The CPU share.
pub(super) fn for_cpu(layout: &Layout, cpu_millis: Option<u32>) -> Vec<Write> {
    let (quota, period) = cpu(cpu_millis);
    match layout.place(Controller::Cpu) {
        Some(Place::Unified(home)) => {
            let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
            vec![write(home, "cpu.max", format!("{quota} {period}"), When::Always)]
        }
        Some(Place::V1(home)) => {
            // Quota and period change one by one: without a quota no step is a wrong share.
            let none = write(home, "cpu.cfs_quota_us", "-1".to_owned(), When::Always);
            let Some(quota) = quota else {
                return vec![none];
            };
            vec![
                none,
                write(home, "cpu.cfs_period_us", period.to_string(), When::Always),
                write(home, "cpu.cfs_quota_us", quota.to_string(), When::UnlessAbove),
            ]
        }
        None => Vec::new(),
    }
}

fn write(home: &Path, file: &'static str, value: String, when: When) -> Write {
    Write { home: home.to_owned(), file, value, when }
}
