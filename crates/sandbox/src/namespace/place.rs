//! What PID 1 of a new sandbox does before it becomes the guest: from a copy of the spawner to a
//! process that sees only its own small world and holds no privilege outside of it.
//!
//! The order matters and follows what was measured: control groups first, so that everything later
//! is charged to the sandbox; the user namespace last, because everything before needs the host's
//! root, and after it nothing does.
//!
//! Where processes are to go on from a snapshot with the numbers they had, the sandbox's own root must be
//! master of its process ids, so PID 1 is born into its user namespace: then another process, [`apart`],
//! does the set-up in its place and leaves.

mod apart;

pub(super) use apart::{ended_with, wait_for_children};

use std::ffi::CStr;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use dormouse_guest::process::Confinement;
use dormouse_guest::{protocol, socket};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{DumpableBehavior, Gid, Signal, Uid};
use rustix::thread::UnshareFlags;

use super::base::{self, ROOT, STAGE};
use super::mounts::{self, Attributes};
use super::wire::{At, Content, Failure, Mapped, Place, Setup, Step};
use crate::{ENDPOINT_ADDRESS, RUNTIME_API_ADDRESS};

/// Directories of every sandbox, besides those for content.
const DIRECTORIES: &[&str] =
    &["usr", "etc", "dev", "proc", "tmp", "var", "var/task", "var/runtime", "var/lang", "opt"];

/// Files of `/proc` that tell about or act on the whole machine.
const HIDDEN_FILES: &[&str] = &[
    "kcore",
    "keys",
    "key-users",
    "timer_list",
    "sysrq-trigger",
    "kmsg",
    "kallsyms",
    "sched_debug",
    "kpagecount",
    "kpageflags",
    "kpagecgroup",
    "latency_stats",
    "slabinfo",
    "vmallocinfo",
];
/// Directories of `/proc` that tell about the machine's devices.
const HIDDEN_DIRECTORIES: &[&str] = &["scsi", "acpi", "asound"];
/// Directories of `/proc` with settings of the kernel.
const READ_ONLY_DIRECTORIES: &[&str] = &["sys", "irq", "bus", "fs"];

/// What PID 1 is called.
const GUEST: &CStr = c"dormouse-guest";

/// What came along with a [`Place`].
pub(super) struct Handed {
    pub(super) control: OwnedFd,
    pub(super) tasks: Vec<OwnedFd>,
}

/// The whole life of PID 1. Returning means to exit.
pub(super) fn live(place: &Place, handed: Handed, confinement: Confinement) {
    let Handed { control, tasks } = handed;
    let settled = if place.owns_pids {
        apart::settle(place, &control, tasks, confinement)
    } else {
        settle(place, &control, tasks).map(|()| {
            // An error ends the sandbox like a closed socket does; the daemon sees the end.
            let _ = dormouse_guest::run(&control, confinement);
        })
    };
    if let Err(failure) = settled {
        let _ = say(&control, &failure.message(), &[]);
    }
}

/// Sends a setup message.
pub(super) fn say(
    control: &OwnedFd,
    message: &Setup,
    descriptors: &[std::os::fd::BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = protocol::encode(message).map_err(io::Error::other)?;
    socket::send(control, &bytes, descriptors)
}

fn settle(place: &Place, control: &OwnedFd, tasks: Vec<OwnedFd>) -> Result<(), Failure> {
    die_with_parent().at(Step::Cgroup)?;
    enter_cgroups(tasks).at(Step::Cgroup)?;
    root_tree(place, proc)?;
    let listeners = names_and_listeners()?;
    leave_host_users(control, listeners).at(Step::UserNamespace)
}

fn names_and_listeners() -> Result<[TcpListener; 2], Failure> {
    rustix::system::sethostname(b"sandbox").at(Step::Names)?;
    // For whoever looks at the host's list of processes.
    rustix::thread::set_name(GUEST).at(Step::Names)?;
    loopback_up().at(Step::Loopback)?;
    let runtime_api = TcpListener::bind(RUNTIME_API_ADDRESS).at(Step::Listeners)?;
    let endpoint = TcpListener::bind(ENDPOINT_ADDRESS).at(Step::Listeners)?;
    Ok([runtime_api, endpoint])
}

pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Writes this process into the v1 groups: it moves only itself, which is free of the long wait
/// that moving somebody else costs.
fn enter_cgroups(tasks: Vec<OwnedFd>) -> io::Result<()> {
    for file in tasks {
        rustix::io::write(&file, b"0")?;
    }
    // Only now, so that the namespace's root is the sandbox's own group.
    mounts::unshare(UnshareFlags::NEWCGROUP)
}

fn root_tree(
    place: &Place,
    proc: impl FnOnce(&OwnedFd, &Path) -> io::Result<()>,
) -> Result<(), Failure> {
    let root_path = Path::new(STAGE).join(ROOT);
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .at(Step::RootTree)?;
    let root = match place.layers.as_slice() {
        [] => host_root(place, &root_path).at(Step::RootTree)?,
        layers => image_root(layers, &root_path).at(Step::Content)?,
    };
    proc(&root, &root_path).at(Step::Proc)?;
    tmp(place, &root_path).at(Step::Tmp)?;
    content(place, &root, &root_path).at(Step::Content)?;
    mounts::restrict(&root, Attributes::CONTENT, false).at(Step::RootTree)?;
    pivot(&root).at(Step::Pivot)
}

/// A fresh root with the host's programs.
fn host_root(place: &Place, root_path: &Path) -> io::Result<OwnedFd> {
    rustix::mount::mount(
        "tmpfs",
        root_path,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        c"size=1m,nr_inodes=1k,mode=755",
    )?;
    let root = mounts::directory(root_path)?;
    directories(place, root_path)?;
    base_pieces(&root, root_path)?;
    Ok(root)
}

/// The root of an image. What every sandbox needs lies on top of its layers, so that nothing in
/// them, and no link, can stand where something is mounted.
fn image_root(layers: &[String], root_path: &Path) -> io::Result<OwnedFd> {
    let needed = base::stage(base::NEEDED);
    let layers: Vec<&Path> = layers.iter().map(Path::new).chain([needed.as_path()]).collect();
    let merged = mounts::merge(&layers, true)?;
    mounts::restrict(&merged, Attributes::CONTENT, false)?;
    mounts::attach(&merged, mounts::directory(Path::new(STAGE))?, ROOT)?;
    let root = mounts::directory(root_path)?;
    let devices = mounts::clone_tree(&base::stage("dev"), true)?;
    mounts::restrict(&devices, Attributes::DEVICES, false)?;
    mounts::attach(&devices, &root, "dev")?;
    Ok(root)
}

/// All mount points are made before anything is mounted: afterwards a path could lead through
/// content, where links belong to strangers.
fn directories(place: &Place, root_path: &Path) -> io::Result<()> {
    let fixed = DIRECTORIES.iter().map(|name| root_path.join(name));
    for path in fixed {
        rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755))?;
    }
    for content in &place.trees {
        make_all(root_path, &content.at)?;
    }
    Ok(())
}

fn make_all(root_path: &Path, at: &str) -> io::Result<()> {
    let mut path = PathBuf::from(root_path);
    for component in Path::new(at).components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => {
                path.push(name);
                match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Component::Prefix(_) | Component::CurDir | Component::ParentDir => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
    }
    Ok(())
}

fn base_pieces(root: &OwnedFd, root_path: &Path) -> io::Result<()> {
    let pieces =
        [("usr", Attributes::CONTENT), ("etc", Attributes::FILES), ("dev", Attributes::DEVICES)];
    for (name, attributes) in pieces {
        let tree = mounts::clone_tree(&base::stage(name), true)?;
        if name != "usr" {
            // What lies below /usr has its attributes already.
            mounts::restrict(&tree, attributes, false)?;
        }
        mounts::attach(&tree, root, name)?;
    }
    for (name, staged) in base::top_names() {
        if let Ok(target) = std::fs::read_link(&staged) {
            std::os::unix::fs::symlink(target, root_path.join(name))?;
        } else if staged.is_dir() {
            rustix::fs::mkdir(root_path.join(name), Mode::from_raw_mode(0o755))?;
            mounts::attach(&mounts::clone_tree(&staged, true)?, root, name)?;
        }
    }
    Ok(())
}

fn proc(root: &OwnedFd, root_path: &Path) -> io::Result<()> {
    let path = root_path.join("proc");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", &path, "proc", flags, c"hidepid=2")?;
    for name in READ_ONLY_DIRECTORIES {
        let inner = path.join(name);
        if inner.is_dir() {
            cover(root, &inner, name)?;
        }
    }
    for name in HIDDEN_FILES {
        if path.join(name).exists() {
            cover(root, &base::stage("dev/null"), name)?;
        }
    }
    for name in HIDDEN_DIRECTORIES {
        if path.join(name).is_dir() {
            cover(root, &base::stage("empty"), name)?;
        }
    }
    Ok(())
}

fn cover(root: &OwnedFd, source: &Path, name: &str) -> io::Result<()> {
    let tree = mounts::clone_tree(source, false)?;
    mounts::restrict(&tree, Attributes::DEVICES, false)?;
    mounts::attach(&tree, root, &format!("proc/{name}"))
}

fn tmp(place: &Place, root_path: &Path) -> io::Result<()> {
    let owner = place.host_root;
    let options = format!("size={},mode=1777,uid={owner},gid={owner}", place.tmp_bytes);
    let options = std::ffi::CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", root_path.join("tmp"), "tmpfs", flags, options.as_c_str())?)
}

fn content(place: &Place, root: &OwnedFd, root_path: &Path) -> io::Result<()> {
    // The base hides /usr/local. Content that belongs there gets a fresh place for it.
    let mut local = None;
    let below_local = |content: &&Content| content.at.starts_with("/usr/local/");
    if place.trees.iter().any(|content| below_local(&content)) {
        let path = root_path.join("usr/local");
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", &path, "tmpfs", flags, c"size=64k,mode=755")?;
        for content in place.trees.iter().filter(below_local) {
            make_all(root_path, &content.at)?;
        }
        local = Some(mounts::directory(&path)?);
    }
    for content in &place.trees {
        let tree = tree(content)?;
        mounts::restrict(&tree, Attributes::CONTENT, false)?;
        mounts::attach(&tree, root, &content.at)?;
    }
    match local {
        Some(local) => mounts::restrict(&local, Attributes::CONTENT, false),
        None => Ok(()),
    }
}

/// Most content is one directory, which costs less than a merge of several.
pub(super) fn tree(content: &Content) -> io::Result<OwnedFd> {
    let hosts = &content.hosts;
    // The kernel refuses a directory that comes twice; only the last can show.
    let last = |(i, host): &(usize, &String)| !hosts[i + 1..].contains(host);
    let hosts: Vec<&Path> =
        hosts.iter().enumerate().filter(last).map(|(_, host)| Path::new(host)).collect();
    match hosts.as_slice() {
        [host] if content.follow => mounts::clone_tree(host, false),
        [host] => mounts::clone_place(&mounts::direct(host)?),
        hosts => mounts::merge(hosts, content.follow),
    }
}

fn pivot(root: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// The request's number; C libraries disagree on its type, not on its value.
#[cfg_attr(
    target_env = "musl",
    expect(clippy::cast_possible_truncation, reason = "the number has 16 bits")
)]
const SET_FLAGS: libc::Ioctl = libc::SIOCSIFFLAGS as libc::Ioctl;

fn loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: an all-zero request is valid; its name is a C string of two characters, its flags are
    // set before the call, and it outlives the call.
    let done = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (place, byte) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
            *place = libc::c_char::from_ne_bytes([*byte]);
        }
        request.ifr_ifru.ifru_flags =
            i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
        libc::ioctl(socket.as_raw_fd(), SET_FLAGS, &raw const request)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Moves into a user namespace of its own and becomes root of it. All other namespaces stay owned
/// by the host's: this root cannot mount, cannot configure the network, cannot change the host name.
fn leave_host_users(control: &OwnedFd, listeners: [TcpListener; 2]) -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    mounts::unshare(UnshareFlags::NEWUSER)?;
    say(control, &Setup::Placed, &[listeners[0].as_fd(), listeners[1].as_fd()])?;
    drop(listeners);
    arrive(control)
}

/// Waits for the user map, and becomes root by it.
fn arrive(control: &OwnedFd) -> io::Result<()> {
    let received = socket::receive(control)?;
    let Mapped = protocol::decode(&received.bytes).map_err(io::Error::other)?;
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    // The kernel forgets both when the user changes. Being dumpable makes our own entries in /proc
    // ours again; user code has another user and cannot use that.
    die_with_parent()?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    silence()
}

/// Lets go of the descriptors that still come from the daemon's terminal or log.
fn silence() -> io::Result<()> {
    let null = rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
