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
    for home in layout.homes() {
        let groups = root.children(&home.join(directory))?;
        names.extend(
            groups
                .iter()
                .filter_map(|group| group.file_name())
                .map(OsString::from),
        );
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
    Ok(Reaped {
        groups: names.len(),
        processes: processes.len(),
    })
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
