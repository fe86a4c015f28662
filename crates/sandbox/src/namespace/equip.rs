//! What a sandbox that was made ahead still lacks when it is known for what: content and the size of
//! its `/tmp`.
//!
//! Inside nobody can mount, not even PID 1: its mounts belong to the host. The spawner therefore goes
//! into the sandbox's mount namespace for the moment it takes to attach what it has cloned outside, and
//! comes back. It has one thread, so nobody else is anywhere meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dormouse_guest::{protocol, socket};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::FsPickFlags;
use rustix::thread::LinkNameSpaceType;
use tokio::io::unix::AsyncFd;

use super::establish::contents;
use super::mounts::{self, Attributes};
use super::owner::{receive, send_patiently, watch};
use super::place::tree;
use super::wire::{At, Equip, Failure, Order, Setup, Step};
use crate::{EquipError, Equipment};

/// Where the spawner is at home.
#[derive(Debug)]
pub(super) struct Home {
    namespace: OwnedFd,
    root: OwnedFd,
}

impl Home {
    /// Where this process is now.
    pub(super) fn here() -> io::Result<Self> {
        let open = |path| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { namespace: open("/proc/self/ns/mnt")?, root: mounts::directory(Path::new("/"))? })
    }

    /// What it holds open.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.namespace.as_fd(), self.root.as_fd()]
    }

    /// Goes back. The process must not go on elsewhere: it would make every later sandbox there.
    fn back(&self) {
        let back = || -> io::Result<()> {
            enter(&self.namespace)?;
            rustix::process::fchdir(&self.root)?;
            Ok(rustix::process::chroot(".")?)
        };
        if back().is_err() {
            std::process::abort();
        }
    }
}

/// The spawner's part.
pub(super) fn carry_out(home: &Home, order: &Equip, pidfd: &OwnedFd) -> Result<(), Failure> {
    let mut trees = Vec::with_capacity(order.trees.len());
    for content in &order.trees {
        let tree = tree(content).at(Step::Content)?;
        mounts::restrict(&tree, Attributes::CONTENT, false).at(Step::Content)?;
        trees.push((tree, content.at.as_str()));
    }
    enter(pidfd).at(Step::Enter)?;
    let done = inside(&trees, order.tmp_bytes);
    home.back();
    done
}

fn inside(trees: &[(OwnedFd, &str)], tmp_bytes: Option<u64>) -> Result<(), Failure> {
    let root = mounts::directory(Path::new("/")).at(Step::Content)?;
    for (tree, at) in trees {
        mounts::attach(tree, &root, at).at(Step::Content)?;
    }
    tmp_bytes.map_or(Ok(()), |bytes| resize_tmp(bytes).at(Step::Tmp))
}

fn resize_tmp(bytes: u64) -> io::Result<()> {
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_SYMLINK_NOFOLLOW;
    let tmp = rustix::mount::fspick(CWD, "/tmp", flags)?;
    rustix::mount::fsconfig_set_string(tmp.as_fd(), "size", bytes.to_string())?;
    Ok(rustix::mount::fsconfig_reconfigure(tmp.as_fd())?)
}

/// Goes into a mount namespace, that of a process or a named one; its root becomes the root.
fn enter(whose: &OwnedFd) -> io::Result<()> {
    Ok(rustix::thread::move_into_link_name_space(whose.as_fd(), Some(LinkNameSpaceType::Mount))?)
}

/// The daemon's part: has the spawner do it.
pub(super) async fn ask(
    spawner: &AsyncFd<OwnedFd>,
    pidfd: OwnedFd,
    equipment: &Equipment,
) -> Result<(), EquipError> {
    let failed = |step: Step| move |source| EquipError::Step { step: step.name(), source };
    let trees = contents(&equipment.trees).map_err(failed(Step::Content))?;
    if trees.is_empty() && equipment.tmp_bytes.is_none() {
        return Ok(());
    }
    let order = Order::Equip(Equip { trees, tmp_bytes: equipment.tmp_bytes });
    let bytes =
        protocol::encode(&order).map_err(io::Error::other).map_err(failed(Step::Content))?;
    let answer = async {
        let (ours, theirs) = socket::pair()?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let ours = watch(ours)?;
        send_patiently(spawner, &bytes, &[theirs, pidfd]).await?;
        receive(&ours).await
    };
    let received = answer.await.map_err(failed(Step::Enter))?;
    match protocol::decode(&received.bytes) {
        Ok(Setup::Equipped) => Ok(()),
        Ok(Setup::Failed { step, errno }) => Err(failed(step)(io::Error::from_raw_os_error(errno))),
        _ => Err(failed(Step::Enter)(io::ErrorKind::UnexpectedEof.into())),
    }
}
