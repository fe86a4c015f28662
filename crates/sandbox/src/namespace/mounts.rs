//! The mount calls, each a small safe function.
//!
//! Trees are cloned detached, given their attributes, and only then attached: there is no moment in
//! which one is visible and writable.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use rustix::thread::UnshareFlags;

/// Attributes of a mount; the kernel's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes(u64);

impl Attributes {
    const READ_ONLY: u64 = 1;
    const NO_SETUID: u64 = 2;
    const NO_DEVICES: u64 = 4;
    const NO_PROGRAMS: u64 = 8;

    /// Content: may be read and run.
    pub(super) const CONTENT: Self = Self(Self::READ_ONLY | Self::NO_SETUID | Self::NO_DEVICES);
    /// Files that nobody runs.
    pub(super) const FILES: Self = Self(Self::CONTENT.0 | Self::NO_PROGRAMS);
    /// Device nodes; the nodes themselves can still be written to.
    pub(super) const DEVICES: Self = Self(Self::READ_ONLY | Self::NO_SETUID | Self::NO_PROGRAMS);
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// A detached copy of the mount at a path, with or without what is mounted below it.
pub(super) fn clone_tree(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}

/// A detached copy of the mount at a directory that is open, without what is mounted below it.
pub(super) fn clone_place(place: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(rustix::mount::open_tree(place, "", flags | OpenTreeFlags::AT_EMPTY_PATH)?)
}

/// A detached view of several directories as one: a later one covers those before it, directories
/// are merged. Nothing can be written through it.
pub(super) fn merge(directories: &[&Path], follow: bool) -> io::Result<OwnedFd> {
    let topmost_first = directories.iter().rev();
    let opened: Vec<OwnedFd> = topmost_first
        .map(|path| if follow { directory(path) } else { direct(path) })
        .collect::<io::Result<_>>()?;
    // By descriptor: a path may hold the separator, and all together may be longer than the 256
    // bytes that the kernel takes. Relative to where descriptors are, dozens of them fit.
    let lower: Vec<String> =
        opened.iter().map(|directory| directory.as_raw_fd().to_string()).collect();
    let before = direct(Path::new("."))?;
    rustix::process::chdir("/proc/self/fd")?;
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "lowerdir", lower.join(":"))?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::process::fchdir(&before)?;
    Ok(rustix::mount::fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )?)
}

/// Sets attributes on a mount and, for a recursive tree, on all below it.
pub(super) fn restrict(tree: &OwnedFd, attributes: Attributes, recursive: bool) -> io::Result<()> {
    let request = MountAttr { set: attributes.0, clear: 0, propagation: 0, user_namespace: 0 };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty C string, request is a valid record of the size given, and both
    // outlive the call, which only reads them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const request,
            size_of::<MountAttr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Attaches a detached tree at a place below a root. The place is found without following any
/// symbolic link, because links in content belong to strangers.
pub(super) fn attach(tree: &OwnedFd, root: impl AsFd, at: &str) -> io::Result<()> {
    let place = rustix::fs::openat2(
        root,
        at.trim_start_matches('/'),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?;
    rustix::mount::move_mount(
        tree,
        "",
        &place,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )?;
    Ok(())
}

/// Leaves the named namespaces for new ones.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the descriptor table, which other code could rely on being shared, is not among the
    // flags that this crate passes; the process has one thread.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// A directory to which no symbolic link leads.
pub(super) fn direct(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)?)
}

/// A directory as a handle for paths below it.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
