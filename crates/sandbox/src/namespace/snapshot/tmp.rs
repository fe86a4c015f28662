//! `/tmp` of a sandbox, copied beside a snapshot and back.
//!
//! What lies there is a stranger's: no link is followed, every step goes by descriptor. Files keep their
//! contents, modes and times; beside the snapshot they belong to the users' numbers inside. Hard links come
//! back as copies. Sockets are left out, since whoever comes back makes his own anew; anything else that is
//! neither file, directory nor link cannot be written.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};

use crate::namespace::owner::{GID, UID};

/// The directory beside the images.
const BESIDE: &str = "tmp";

/// How many files and directories go along (ours), and how deep they may lie.
const ENTRIES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 64;

/// Copies `/tmp` of a sandbox beside a snapshot. Blocks.
pub(super) fn write(tmp: &OwnedFd, into: &Path) -> io::Result<()> {
    let root = rustix::fs::fstat(tmp)?.st_uid;
    std::fs::create_dir(into.join(BESIDE))?;
    let beside = rustix::fs::open(into.join(BESIDE), directory(), Mode::empty())?;
    let owner = |uid| if uid == root { (0, 0) } else { (UID, GID) };
    Copy { owner: &owner, left: ENTRIES_MAX }.directory((tmp, &beside), DEPTH_MAX)
}

/// Copies it back, into one that is empty. Blocks.
pub(super) fn read(from: &Path, tmp: &OwnedFd) -> io::Result<()> {
    let beside = rustix::fs::open(from.join(BESIDE), directory(), Mode::empty())?;
    // The user's number follows root's.
    let root = rustix::fs::fstat(tmp)?.st_uid;
    let owner = |uid| if uid == 0 { (root, root) } else { (root + 1, root + 1) };
    Copy { owner: &owner, left: ENTRIES_MAX }.directory((&beside, tmp), DEPTH_MAX)
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// A copy under way.
struct Copy<'a> {
    /// Whose a copy is.
    owner: &'a dyn Fn(u32) -> (u32, u32),
    /// How many entries may still come.
    left: usize,
}

impl Copy<'_> {
    fn directory(&mut self, (from, to): (&OwnedFd, &OwnedFd), depth: usize) -> io::Result<()> {
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.entry((from, to), name, depth)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        (from, to): (&OwnedFd, &OwnedFd),
        name: &CStr,
        depth: usize,
    ) -> io::Result<()> {
        let too_much = || io::Error::other("/tmp holds too many files, or too deep ones");
        self.left = self.left.checked_sub(1).ok_or_else(too_much)?;
        let depth = depth.checked_sub(1).ok_or_else(too_much)?;
        let found = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => file((from, to), name)?,
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let from = rustix::fs::openat(from, name, directory(), Mode::empty())?;
                let to = rustix::fs::openat(to, name, directory(), Mode::empty())?;
                self.directory((&from, &to), depth)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target.as_c_str(), to, name)?;
            }
            FileType::Socket => return Ok(()),
            _ => {
                return Err(io::Error::other("/tmp holds a file of a kind that cannot be written"));
            }
        }
        self.mark(to, name, &found)
    }

    /// Owner, mode and times, in this order: a change of owner takes bits of the mode away, and what is put
    /// into a directory changes its time.
    fn mark(&self, to: &OwnedFd, name: &CStr, found: &Stat) -> io::Result<()> {
        let (uid, gid) = (self.owner)(found.st_uid);
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
            rustix::fs::chmodat(to, name, Mode::from_raw_mode(found.st_mode), AtFlags::empty())?;
        }
        let time = |tv_sec, nanoseconds| Timespec { tv_sec, tv_nsec: nanoseconds };
        let times = Timestamps {
            last_access: time(found.st_atime, nanoseconds(found.st_atime_nsec)),
            last_modification: time(found.st_mtime, nanoseconds(found.st_mtime_nsec)),
        };
        Ok(rustix::fs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// The kernel's number, whatever type a C library has for it.
fn nanoseconds<T: TryInto<i64>>(nanoseconds: T) -> i64 {
    nanoseconds.try_into().unwrap_or(0)
}

fn file((from, to): (&OwnedFd, &OwnedFd), name: &CStr) -> io::Result<()> {
    // Never waits, whatever has come to lie there since it was looked at.
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut from = File::from(rustix::fs::openat(from, name, read, Mode::empty())?);
    let mut to = File::from(rustix::fs::openat(to, name, write, Mode::RUSR | Mode::WUSR)?);
    io::copy(&mut from, &mut to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, directory(), Mode::empty()).unwrap()
    }

    /// A copy of a tree beside a snapshot, and back; nothing where that is root's alone.
    fn there_and_back(fill: impl FnOnce(&Path)) -> Option<(tempfile::TempDir, io::Result<()>)> {
        if !rustix::process::geteuid().is_root() {
            println!("NOT TESTED HERE: needs root");
            return None;
        }
        let [from, beside, to] = [0; 3].map(|_| tempfile::tempdir().unwrap());
        fill(from.path());
        let done = write(&open(from.path()), beside.path())
            .and_then(|()| read(beside.path(), &open(to.path())));
        Some((to, done))
    }

    #[test]
    fn files_directories_and_links_come_back_as_they_were() {
        let Some((to, done)) = there_and_back(|from| {
            fs::create_dir_all(from.join("a/b")).unwrap();
            fs::write(from.join("a/b/file"), "content").unwrap();
            fs::set_permissions(from.join("a/b/file"), PermissionsExt::from_mode(0o4750)).unwrap();
            let file = File::open(from.join("a/b/file")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7)).unwrap();
            std::os::unix::fs::chown(from.join("a"), Some(1_234), Some(5)).unwrap();
            symlink("/etc/passwd", from.join("link")).unwrap();
            let _ = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        }) else {
            return;
        };
        done.unwrap();
        let at = |name: &str| to.path().join(name);
        assert_eq!(fs::read(at("a/b/file")).unwrap(), b"content");
        let file = fs::metadata(at("a/b/file")).unwrap();
        assert_eq!((file.mode() & 0o7777, file.mtime(), file.uid()), (0o4750, 7, 0));
        assert_eq!(
            (fs::metadata(at("a")).unwrap().uid(), fs::metadata(at("a/b")).unwrap().gid()),
            (1, 0)
        );
        assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/etc/passwd"));
        assert!(!at("socket").exists());
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        for (fill, told) in [
            (pipe as fn(&Path), "/tmp holds a file of a kind that cannot be written"),
            (deep, "/tmp holds too many files, or too deep ones"),
        ] {
            if let Some((_, done)) = there_and_back(fill) {
                assert_eq!(done.unwrap_err().to_string(), told);
            }
        }
    }

    fn pipe(from: &Path) {
        let path = from.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    }

    fn deep(from: &Path) {
        fs::create_dir_all(from.join("d/".repeat(DEPTH_MAX + 1))).unwrap();
    }
}
