//! Control groups: what one sandbox may use of the machine, how it is frozen, counted and killed.
//!
//! Owns the directories `dormouse-<instance>/<id>` in every hierarchy it uses, and nothing else
//! there: groups of other programs, and of daemons with another instance name, are never touched.
//! Must never move a process by writing a v1 `cgroup.procs` (it waits for grace periods, 12 ms):
//! processes enter by [`Entry`]. What to write where is decided by pure functions in `layout` and
//! `limits`; the rest carries it out.
//!
//! All calls are blocking file operations of some tens of microseconds, except [`Cgroup::kill`],
//! [`Cgroup::remove`], [`Cgroups::reap`] and [`Cgroups::close`], which may wait for processes to
//! end: call those from a blocking thread.

use std::io;
use std::path::{Path, PathBuf};

mod files;
mod group;
mod layout;
mod limits;
mod prepare;
mod reap;

pub use group::{Cgroup, Entry};
pub use layout::{Controller, Layout, Unified, V1};
pub use limits::Limits;
pub use reap::Reaped;

use crate::namespace::doctor::Guarantee;
use files::Root;

/// The groups of one daemon.
#[derive(Debug)]
pub struct Cgroups {
    root: Root,
    instance: String,
    layout: Layout,
}

impl Cgroups {
    /// Looks at this machine, chooses a layout and makes the instance's directories.
    ///
    /// `instance` names the daemon (letters, digits, `-`). What turns out not to be permitted is
    /// left out of the layout, and [`Cgroups::missing`] tells it. On a pure v2 machine this may
    /// move the calling process into a leaf group; see `prepare`.
    pub fn detect(instance: &str) -> io::Result<Self> {
        let root = Root::machine();
        let layout = Layout::of(&root)?;
        Self::at(root, instance, layout)
    }

    /// Looks at this machine as [`Cgroups::detect`] does, and changes nothing.
    pub fn look() -> io::Result<Layout> {
        Layout::of(&Root::machine())
    }

    fn at(root: Root, instance: &str, mut layout: Layout) -> io::Result<Self> {
        check_name(instance)?;
        prepare::prepare(&root, instance, &mut layout);
        Ok(Self { root, instance: instance.to_owned(), layout })
    }

    /// What was chosen.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the chosen layout cannot give.
    pub fn missing(&self) -> Vec<Guarantee> {
        self.layout.missing()
    }

    /// Makes the group of one sandbox with its limits. On an error nothing is left of it.
    pub fn create(&self, id: &str, limits: &Limits) -> io::Result<Cgroup> {
        check_name(id)?;
        Cgroup::create(&self.root, &self.layout, &self.directory(), id, limits)
    }

    /// At daemon start: kills and removes everything that a killed predecessor with the same
    /// instance name, started from the same group, has left.
    pub fn reap(&self) -> io::Result<Reaped> {
        reap::reap(&self.root, &self.layout, &self.directory())
    }

    /// Removes the instance's directories; every [`Cgroup`] is removed before. What is still
    /// populated stays and is an error.
    pub fn close(&self) -> io::Result<()> {
        for home in self.layout.homes() {
            files::settle(|| self.root.rmdir(&home.join(self.directory())))?;
        }
        prepare::leave(&self.root, &self.instance, &self.layout);
        Ok(())
    }

    fn directory(&self) -> PathBuf {
        instance_directory(&self.instance)
    }
}

fn instance_directory(instance: &str) -> PathBuf {
    Path::new(&format!("dormouse-{instance}")).to_owned()
}

/// Names become directories: nothing in them may climb or hide.
fn check_name(name: &str) -> io::Result<()> {
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

#[cfg(test)]
mod tests;
