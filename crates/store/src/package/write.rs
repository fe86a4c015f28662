//! Creates a package's files below one directory.
//!
//! Names have been checked by then; here the kernel checks them again. Every open goes through
//! openat2, which refuses to leave the target, to follow any link and to pass through `/proc`;
//! every other call takes one name in a directory opened that way. Nothing is overwritten.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, fchmod, futimens, mkdirat, openat2,
    symlinkat, utimensat,
};

use crate::package::ExtractError;
use crate::package::read::Item;
use crate::package::tree::{NodeId, Tree, What};
use crate::package::walk::text;

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const EXECUTABLE_MODE: Mode = Mode::from_raw_mode(0o755);
/// The time of directories that no entry names, so that the same package is always the same.
const OLDEST: i64 = 315_532_800;

/// Creates the places of a tree.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    target: BorrowedFd<'a>,
    tree: &'a Tree,
    /// The directory used last: most entries follow others in the same one.
    last: Option<(NodeId, OwnedFd)>,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct NewFile<'a> {
    file: File,
    tree: &'a Tree,
    item: Item,
}

impl<'a> Writer<'a> {
    /// Writes into `target`.
    pub(super) fn new(target: BorrowedFd<'a>, tree: &'a Tree) -> Self {
        Self { target, tree, last: None }
    }

    /// Creates all directories.
    pub(super) fn directories(&mut self) -> Result<(), ExtractError> {
        for node in self.tree.ids().filter(|node| self.tree.is_directory(*node)) {
            self.directory(node).map_err(|error| failed(self.tree, node, error))?;
        }
        Ok(())
    }

    fn directory(&mut self, node: NodeId) -> io::Result<()> {
        let name = self.tree.name(node);
        let parent = self.open(self.tree.parent(node))?;
        mkdirat(parent, name, DIRECTORY_MODE)?;
        let made = open_directory(parent, name)?;
        // The mode given before was cut by the umask.
        fchmod(&made, DIRECTORY_MODE)?;
        self.last = Some((node, made));
        Ok(())
    }

    /// Creates a file.
    pub(super) fn file(&mut self, item: &Item) -> Result<NewFile<'a>, ExtractError> {
        let file = self.create(item).map_err(|error| failed(self.tree, item.node, error))?;
        Ok(NewFile { file, tree: self.tree, item: *item })
    }

    fn create(&mut self, item: &Item) -> io::Result<File> {
        let name = self.tree.name(item.node);
        let parent = self.open(self.tree.parent(item.node))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat2(parent, name, flags, FILE_MODE, beneath())?;
        let mode = match item.executable {
            true => EXECUTABLE_MODE,
            false => FILE_MODE,
        };
        fchmod(&file, mode)?;
        Ok(File::from(file))
    }

    /// Creates all links.
    pub(super) fn links(&mut self) -> Result<(), ExtractError> {
        for node in self.tree.ids() {
            if let What::Link { target } = self.tree.what(node) {
                self.link(node, target).map_err(|error| failed(self.tree, node, error))?;
            }
        }
        Ok(())
    }

    fn link(&mut self, node: NodeId, target: &[u8]) -> io::Result<()> {
        let (name, times) = (self.tree.name(node), times(self.tree, node));
        let parent = self.open(self.tree.parent(node))?;
        symlinkat(target, parent, name)?;
        utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    /// Sets the directories' times, which everything created in them has changed.
    pub(super) fn directory_times(&mut self) -> Result<(), ExtractError> {
        for node in self.tree.ids().filter(|node| self.tree.is_directory(*node)) {
            self.directory_time(node).map_err(|error| failed(self.tree, node, error))?;
        }
        Ok(())
    }

    fn directory_time(&mut self, node: NodeId) -> io::Result<()> {
        let (name, times) = (self.tree.name(node), times(self.tree, node));
        let parent = self.open(self.tree.parent(node))?;
        Ok(utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn open(&mut self, node: NodeId) -> io::Result<BorrowedFd<'_>> {
        if node == Tree::ROOT {
            return Ok(self.target);
        }
        let is_last = self.last.as_ref().is_some_and(|(last, _)| *last == node);
        let directory = match self.last.take() {
            Some((_, directory)) if is_last => directory,
            _ => open_directory(self.target, &self.tree.path(node))?,
        };
        let last = self.last.insert((node, directory));
        Ok(last.1.as_fd())
    }
}

impl NewFile<'_> {
    /// Writes the next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ExtractError> {
        self.file.write_all(bytes).map_err(|error| failed(self.tree, self.item.node, error))
    }

    /// Sets the time: compiled Python is thrown away when it differs from what it was made of.
    pub(super) fn finish(self) -> Result<(), ExtractError> {
        let node = self.item.node;
        futimens(&self.file, &times(self.tree, node))
            .map_err(|error| failed(self.tree, node, error.into()))
    }
}

fn open_directory(from: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat2(from, path, flags, Mode::empty(), beneath())?)
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

fn times(tree: &Tree, node: NodeId) -> Timestamps {
    let time = Timespec { tv_sec: tree.mtime(node).unwrap_or(OLDEST), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn failed(tree: &Tree, node: NodeId, source: io::Error) -> ExtractError {
    ExtractError::Write { path: text(&tree.path(node)), source }
}
