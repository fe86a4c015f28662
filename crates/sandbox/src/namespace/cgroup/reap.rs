//! Clearing away what a killed predecessor has left.
//!
//! Must only be called before this daemon has made groups of its own, and never touches anything
//! but `dormouse-<instance>`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, Root};
use super::group::kill_group;
use super::layout::Layout;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Sandboxes whose groups were still there.
    pub groups: usize,
    /// Processes that were still alive in them.
    pub processes: usize,
}

pub(super) fn reap(root: &Root, layout: &Layout, directory: &Path) -> io::Result<Reaped> {
    let mut names: BTreeSet<OsString> = BTreeSet::new();
    let mut processes: BTreeSet<i32> = BTreeSet::new();
    let mut leftovers: Vec<PathBuf> = Vec::new();
    let own: BTreeSet<PathBuf> = layout.homes().iter().map(|home| home.join(directory)).collect();
    for instance in &own {
        let groups = root.children(instance)?;
        names.extend(groups.iter().filter_map(|group| group.file_name()).map(OsString::from));
        for group in &groups {
            leftovers.extend(descendants(root, group)?);
        }
    }
    for group in &leftovers {
        processes.extend(root.processes(group)?);
    }
    // First all are killed and thawed everywhere: a process frozen in one hierarchy keeps its
    // groups in all others busy.
    for group in &leftovers {
        kill_group(root, group)?;
    }
    for group in &leftovers {
        files::settle(|| root.rmdir(group))?;
    }
    names.extend(sweep_elsewhere(root, directory, &own));
    Ok(Reaped { groups: names.len(), processes: processes.len() })
}

/// How deep groups are looked for that a predecessor made from another group than ours.
const DEPTH: usize = 5;

/// Removes empty leftovers outside our own group: a predecessor started by hand, or in another
/// session, made them there. Its processes have died with it. Groups that hold processes are not
/// touched: a daemon in a container may have the same name, because its data directory has the
/// same path, and from here its groups look like these. Returns the names of what was removed.
fn sweep_elsewhere(root: &Root, directory: &Path, own: &BTreeSet<PathBuf>) -> Vec<OsString> {
    let mut removed = Vec::new();
    for instance in elsewhere(root, directory, own) {
        let below = descendants(root, &instance).unwrap_or_default();
        let empty = |group: &PathBuf| root.processes(group).is_ok_and(|found| found.is_empty());
        if !below.iter().all(empty) {
            tracing::info!(group = %instance.display(), "in use by another daemon of this name");
            continue;
        }
        for group in below {
            // Refused means that somebody has come in meanwhile: then it is not a leftover.
            let gone = root.rmdir(&group).is_ok();
            if gone && group.parent() == Some(&instance) {
                removed.extend(group.file_name().map(OsString::from));
            }
        }
    }
    removed
}

/// The instance's directories outside our own group. What cannot be read is passed over.
fn elsewhere(root: &Root, directory: &Path, own: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut next = Layout::mounts(root);
    for _ in 0..DEPTH {
        let groups = next.iter().flat_map(|group| root.children(group).unwrap_or_default());
        let (ours, others): (Vec<PathBuf>, Vec<PathBuf>) =
            groups.partition(|group| group.ends_with(directory));
        found.extend(ours.into_iter().filter(|group| !own.contains(group)));
        next = others;
    }
    found
}

/// The group and all below it, innermost first. Ours have none below; this is for the unforeseen.
fn descendants(root: &Root, group: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for child in root.children(group)? {
        all.extend(descendants(root, &child)?);
    }
    all.push(group.to_owned());
    Ok(all)
}
