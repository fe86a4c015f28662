//! Making the instance's directories, and on v2 giving them controllers.
//!
//! On v2 a group other than the hierarchy's real root may hold processes or hand controllers to
//! groups below it, not both. So where the daemon's own group is to be our home:
//! 1. nobody in it, or the real root: the controllers are simply switched on;
//! 2. only the daemon in it (a systemd service): it moves itself into `daemon.dormouse-<instance>`
//!    below. The unit needs `Delegate=yes`, or systemd may take the controllers away again;
//! 3. others too, and it is the root of what we see (a container): they move along;
//! 4. others too (a login session, whose shell is not ours to move): our groups are made below the
//!    root of the hierarchy instead.
//!
//! What is refused is taken out of the layout, so that [`Layout::missing`] tells it.

use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, Root};
use super::layout::{Controller, LEAF_PREFIX, Layout, Unified};

/// How often others are looked for again while they are moved out of a container's root group.
const MOVE_ROUNDS: u32 = 16;

/// Makes `dormouse-<instance>` in every hierarchy of the layout.
pub(super) fn prepare(root: &Root, instance: &str, layout: &mut Layout) {
    let directory = super::instance_directory(instance);
    *layout = match std::mem::replace(layout, Layout::None) {
        Layout::V2 { unified } => match prepare_unified(root, instance, &directory, unified) {
            Some(unified) => Layout::V2 { unified },
            None => Layout::None,
        },
        Layout::Hybrid { unified, mut v1 } => {
            prepare_v1(root, &directory, &mut v1);
            match prepare_unified(root, instance, &directory, unified) {
                Some(unified) => Layout::Hybrid { unified, v1 },
                None => Layout::V1 { v1 },
            }
        }
        Layout::V1 { mut v1 } => {
            prepare_v1(root, &directory, &mut v1);
            if v1 == super::V1::default() { Layout::None } else { Layout::V1 { v1 } }
        }
        Layout::None => Layout::None,
    };
}

fn prepare_v1(root: &Root, directory: &Path, v1: &mut super::V1) {
    let layout = Layout::V1 { v1: v1.clone() };
    for home in layout.homes() {
        if let Err(error) = root.mkdir_if_absent(&home.join(directory)) {
            tracing::warn!(home = %home.display(), %error, "control group hierarchy not usable");
            v1.forget(home);
        }
    }
}

fn prepare_unified(
    root: &Root,
    instance: &str,
    directory: &Path,
    mut unified: Unified,
) -> Option<Unified> {
    let names: Vec<&str> = unified.controllers.iter().copied().map(Controller::name).collect();
    if !names.is_empty() {
        match make_room(root, instance, &unified, &names) {
            Ok(home) => unified.home = home,
            Err(error) => {
                let home = unified.home.display();
                tracing::warn!(%home, %error, "control group controllers not to be had");
                unified.controllers.clear();
            }
        }
    }
    let ours = unified.home.join(directory);
    if let Err(error) = root.mkdir_if_absent(&ours) {
        tracing::warn!(group = %ours.display(), %error, "control group hierarchy not usable");
        return None;
    }
    let names: Vec<&str> = unified.controllers.iter().copied().map(Controller::name).collect();
    if let Err(error) = enable(root, &ours, &names) {
        tracing::warn!(group = %ours.display(), %error, "control group controllers not to be had");
        unified.controllers.clear();
    }
    Some(unified)
}

/// Switches the controllers on for the groups below home, making room as the file's head tells.
/// Returns the home that can be used.
pub(super) fn make_room(
    root: &Root,
    instance: &str,
    unified: &Unified,
    names: &[&str],
) -> io::Result<PathBuf> {
    let home = &unified.home;
    if !busy(enable(root, home, names))? {
        return Ok(home.clone());
    }
    let leaf = leaf(home, instance);
    root.mkdir_if_absent(&leaf)?;
    enter(root, &leaf)?;
    if !busy(enable(root, home, names))? {
        return Ok(home.clone());
    }
    if *home != unified.mount {
        enter(root, home)?;
        files::settle(|| root.rmdir(&leaf))?;
        enable(root, &unified.mount, names)?;
        return Ok(unified.mount.clone());
    }
    for _ in 0..MOVE_ROUNDS {
        for pid in root.processes(home)? {
            // One that has ended meanwhile needs no move; one that refuses shows in the next round.
            let _ = root.write(&leaf.join("cgroup.procs"), &pid.to_string());
        }
        if !busy(enable(root, home, names))? {
            return Ok(home.clone());
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Undoes the move of the daemon, as far as that is still possible.
pub(super) fn leave(root: &Root, instance: &str, layout: &Layout) {
    let Some(unified) = layout.unified() else {
        return;
    };
    let leaf = leaf(&unified.home, instance);
    if !root.exists(&leaf) {
        return;
    }
    let names: Vec<&str> = unified.controllers.iter().copied().map(Controller::name).collect();
    // Each step may be refused because others use the group by now: then the empty leaf stays,
    // which harms nobody and is used again by the next start.
    let _ = switch(root, &unified.home, &names, '-')
        .and_then(|()| enter(root, &unified.home))
        .and_then(|()| files::settle(|| root.rmdir(&leaf)));
}

fn leaf(home: &Path, instance: &str) -> PathBuf {
    home.join(format!("{LEAF_PREFIX}{instance}"))
}

/// `0` is whoever writes it, with all its threads.
fn enter(root: &Root, group: &Path) -> io::Result<()> {
    root.write(&group.join("cgroup.procs"), "0")
}

fn enable(root: &Root, group: &Path, names: &[&str]) -> io::Result<()> {
    switch(root, group, names, '+')
}

fn switch(root: &Root, group: &Path, names: &[&str], sign: char) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let signed: Vec<String> = names.iter().map(|name| format!("{sign}{name}")).collect();
    root.write(&group.join("cgroup.subtree_control"), &signed.join(" "))
}

/// Whether processes stand in the way.
fn busy(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(true),
        Err(error) => Err(error),
    }
}
