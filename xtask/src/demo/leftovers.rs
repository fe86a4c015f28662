//! What a server may leave on its machine: processes, control groups, mounts, networks, files. It
//! must leave nothing; this looks, before and after, and tells.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use super::server;
use crate::shell;

/// Interfaces of a network namespace go some 40 ms after it, by the kernel's own pace.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
/// How deep control groups are looked through.
const DEPTH: usize = 8;

/// A process, told from a later one with the same number by when it started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pid: u32,
    started: u64,
}

/// What one server may leave, looked for by its name: other servers may come and go meanwhile.
#[derive(Debug)]
pub(super) struct Watch {
    /// Its directory on disk, which goes with the demo.
    directory: PathBuf,
    mark: String,
    before: Machine,
    groups_seen: usize,
}

#[derive(Debug, Default)]
struct Machine {
    groups: BTreeSet<String>,
    mounts: BTreeSet<String>,
    /// Interfaces, tables of rules, routes to nowhere.
    network: BTreeSet<String>,
}

impl Watch {
    /// Before the server starts: below `directory`, its data will be in `data`.
    pub(super) fn begin(directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.canonicalize()?;
        let mark = format!("dormouse-{}", instance(&directory.join("data")));
        let before = Machine::look(&mark, &directory);
        Ok(Self { directory, mark, before, groups_seen: 0 })
    }

    /// While it runs: what is not seen now would not be missed later.
    pub(super) fn look(&mut self) {
        self.groups_seen = Machine::look(&self.mark, &self.directory).groups.len();
    }

    /// Prints what is left, and fails when anything is.
    pub(super) fn end(self, processes: &BTreeSet<Process>) -> anyhow::Result<()> {
        shell::heading("what is left");
        let look = || Machine::look(&self.mark, &self.directory).since(&self.before);
        let clean = || Ok(look().iter().all(Vec::is_empty).then_some(()));
        let settled = server::until(SETTLED_WITHIN, "the kernel to clean up", clean);
        let [groups, mounts, network] = settled.map_or_else(|_| look(), |()| Default::default());
        let alive = processes.iter().filter(|process| is_alive(process));
        let alive: Vec<String> = alive.map(|process| process.pid.to_string()).collect();
        let directory = self.directory.exists().then(|| self.directory.display().to_string());
        let found = [
            (format!("processes, of {} seen", processes.len()), alive),
            (format!("control groups, of {} seen", self.groups_seen), groups),
            ("mounts".to_owned(), mounts),
            ("interfaces, rules, routes".to_owned(), network),
            ("temporary directories".to_owned(), directory.into_iter().collect()),
        ];
        for (what, left) in &found {
            let left = if left.is_empty() { "none".to_owned() } else { left.join(" ") };
            println!("    {what:<30} {left}");
        }
        if found.iter().any(|(_, left)| !left.is_empty()) {
            bail!("something was left behind");
        }
        Ok(())
    }
}

impl Machine {
    fn look(mark: &str, directory: &Path) -> Self {
        let mut machine = Self::default();
        groups(Path::new("/sys/fs/cgroup"), DEPTH, mark, &mut machine.groups);
        let path = directory.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = mounts.lines().filter(|line| line.contains(mark) || line.contains(&path));
        machine.mounts = ours.map(|line| where_mounted(line).to_owned()).collect();
        let links = names(Path::new("/sys/class/net")).filter(|name| name.starts_with("dm"));
        machine.network = links.collect();
        let tables = lines("nft", &["list", "tables"]);
        let table = mark.replace('-', "_");
        machine.network.extend(tables.into_iter().filter(|line| line.contains(&table)));
        machine.network.extend(lines("ip", &["route", "show", "type", "blackhole"]));
        machine
    }

    /// What is here and was not there before.
    fn since(&self, before: &Self) -> [Vec<String>; 3] {
        let new = |here: &BTreeSet<String>, before: &BTreeSet<String>| -> Vec<String> {
            here.difference(before).cloned().collect()
        };
        [
            new(&self.groups, &before.groups),
            new(&self.mounts, &before.mounts),
            new(&self.network, &before.network),
        ]
    }
}

/// How a server names itself on its host: FNV-1a of its data directory, as in `dormouse serve`.
fn instance(data: &Path) -> String {
    let bytes = data.as_os_str().as_encoded_bytes().iter();
    let hash = bytes
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

/// A process and all that descend from it.
pub(super) fn family(root: u32) -> BTreeSet<Process> {
    let numbers = names(Path::new("/proc")).filter_map(|name| name.parse::<u32>().ok());
    let stats: HashMap<u32, (u32, u64)> =
        numbers.filter_map(|pid| Some((pid, stat(&read_stat(pid)?)?))).collect();
    let descends = |mut pid: u32| {
        while pid != root {
            match stats.get(&pid) {
                Some((parent, _)) if *parent != 0 => pid = *parent,
                _ => return false,
            }
        }
        true
    };
    let ours = stats.iter().filter(|(pid, _)| descends(**pid));
    ours.map(|(pid, (_, started))| Process { pid: *pid, started: *started }).collect()
}

fn is_alive(process: &Process) -> bool {
    let found = read_stat(process.pid).and_then(|text| stat(&text));
    found.is_some_and(|(_, started)| started == process.started)
}

fn read_stat(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Parent and start time of a line in `/proc/PID/stat`. The name in parentheses may hold anything.
/// A zombie holds nothing any more: it only waits for whoever is to reap it.
fn stat(text: &str) -> Option<(u32, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some((parent, started))
}

fn where_mounted(line: &str) -> &str {
    line.split(' ').nth(4).unwrap_or(line)
}

fn groups(directory: &Path, depth: usize, mark: &str, found: &mut BTreeSet<String>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(mark) {
            found.insert(entry.path().display().to_string());
        } else {
            groups(&entry.path(), depth, mark, found);
        }
    }
}

/// What a program prints; nothing where it is not there.
fn lines(program: &str, args: &[&str]) -> Vec<String> {
    let text = shell::output(Command::new(program).args(args)).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

fn names(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_process_is_read_even_when_its_name_looks_like_fields() {
        let text = "7 (a) 9 9 b) S 3 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        assert_eq!(stat(text), Some((3, 4711)));
    }

    #[test]
    fn a_child_is_of_the_family_until_it_ends() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let processes = family(std::process::id());
        let found = processes.iter().find(|process| process.pid == child.id()).unwrap();
        assert!(is_alive(found));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!is_alive(found));
    }

    #[test]
    fn a_server_is_named_as_it_names_itself() {
        assert_eq!(instance(Path::new("")), "811c9dc5");
        assert_eq!(instance(Path::new("a")), "e40c292c");
    }

    #[test]
    fn what_is_left_is_an_error_and_nothing_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let watch = Watch::begin(directory.path()).unwrap();
        assert!(watch.end(&BTreeSet::new()).is_err());
        let watch = Watch::begin(directory.path()).unwrap();
        directory.close().unwrap();
        assert!(watch.end(&BTreeSet::new()).is_ok());
    }
}
