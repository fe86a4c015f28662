//! What processes cost, as the kernel tells it in `/proc` and in control groups.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// All descendants of a process that live in a pid namespace of their own: those in sandboxes.
pub(crate) fn sandboxed(root: u32) -> BTreeSet<u32> {
    let ours = namespace("self");
    let inside = |pid: &u32| namespace(&pid.to_string()) != ours;
    family(root).into_iter().filter(inside).collect()
}

/// A process and its descendants that live in our own pid namespace: the daemon.
pub(crate) fn unconfined(root: u32) -> BTreeSet<u32> {
    let ours = namespace("self");
    let outside = |pid: &u32| namespace(&pid.to_string()) == ours;
    let mut all: BTreeSet<u32> = family(root).into_iter().filter(outside).collect();
    all.insert(root);
    all
}

fn namespace(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn family(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && let Some(parent) = parent(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(&below);
        next.extend(below);
    }
    found
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    number(&status, "PPid:")?.try_into().ok()
}

/// Resident memory in KiB, shared pages counted in parts.
pub(crate) fn pss_kib(pids: &BTreeSet<u32>) -> u64 {
    let rollup = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let pss = |text: String| number(&text, "Pss:");
    pids.iter().filter_map(rollup).filter_map(pss).sum()
}

/// Resident memory of one process in KiB, shared pages counted in full.
pub(crate) fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    number(&status, "VmRSS:")
}

/// How often the threads of a process have been put to sleep so far: each needs a wake-up.
pub(crate) fn sleeps(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).ok();
    let tasks = tasks.into_iter().flatten().flatten();
    let count = |text: String| number(&text, "voluntary_ctxt_switches:");
    tasks.filter_map(status).filter_map(count).sum()
}

/// Kernel memory in KiB of the control groups of these processes; none when it cannot be read.
pub(crate) fn kernel_kib(pids: &BTreeSet<u32>) -> Option<u64> {
    let groups: BTreeSet<PathBuf> = pids.iter().filter_map(|pid| memory_group(*pid)).collect();
    let bytes: Vec<u64> = groups.iter().filter_map(|group| kernel_bytes(group)).collect();
    (!bytes.is_empty()).then(|| bytes.iter().sum::<u64>() / 1_024)
}

fn memory_group(pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let at = |mark: &str| {
        let line = text.lines().find(|line| line.contains(mark))?;
        line.splitn(3, ':').nth(2)?.strip_prefix('/').map(str::to_owned)
    };
    let v1 = at(":memory:").map(|path| Path::new("/sys/fs/cgroup/memory").join(path));
    v1.or_else(|| at("0::").map(|path| Path::new("/sys/fs/cgroup").join(path)))
}

fn kernel_bytes(group: &Path) -> Option<u64> {
    if let Ok(text) = fs::read_to_string(group.join("memory.kmem.usage_in_bytes")) {
        return text.trim().parse().ok();
    }
    number(&fs::read_to_string(group.join("memory.stat")).ok()?, "kernel ")
}

/// The number behind the line that begins with this.
fn number(text: &str, begin: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(begin))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_the_beginning_of_its_line() {
        assert_eq!(number("VmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(number("kernel 9\nkernel_stack 5\n", "kernel_stack "), Some(5));
        assert_eq!(number("a 1\n", "b "), None);
    }

    #[test]
    fn this_process_is_outside_of_any_sandbox() {
        let own = std::process::id();
        assert!(unconfined(own).contains(&own));
        assert_eq!(sandboxed(own), BTreeSet::new());
        assert!(pss_kib(&BTreeSet::from([own])) > 0);
    }
}
