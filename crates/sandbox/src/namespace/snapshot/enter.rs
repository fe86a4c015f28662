//! The spawner's part of a snapshot: a process that goes into a sandbox, has CRIU run there, and tells how it
//! ended.
//!
//! Two processes, since the one that goes among a sandbox's ids is never itself among them, only its child.
//! Both are in the sandbox's group, so they end with it; what comes back is in the group of who brings it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use dormouse_guest::process;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::thread::ThreadNameSpaceType;

use super::criu::{CACHE, IMAGES, LOG, PIPES};
use crate::namespace::place::{die_with_parent, ended_with, say, wait_for_children};
use crate::namespace::spawner::{CLONE_PIDFD, Cloned, clone};
use crate::namespace::wire::{Aside, At, Failure, Setup, Step};

/// Descriptors are first moved beyond all places where one is wanted.
const BEYOND: RawFd = 64;

/// The highest process id, if the kernel does not say; its default.
const IDS: i32 = 32_768;

/// Everything of a sandbox but its users.
const NAMESPACES: ThreadNameSpaceType = ThreadNameSpaceType::MOUNT
    .union(ThreadNameSpaceType::CONTROL_GROUP)
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)
    .union(ThreadNameSpaceType::PROCESS_ID)
    .union(ThreadNameSpaceType::NETWORK);

/// What came along with an order.
struct Handed {
    reply: OwnedFd,
    pidfd: OwnedFd,
    program: OwnedFd,
    /// What CRIU finds, with the number under which it looks for it.
    found: Vec<(OwnedFd, RawFd)>,
    into: Option<OwnedFd>,
    tasks: Vec<OwnedFd>,
}

impl Handed {
    fn new(order: &Aside, descriptors: Vec<OwnedFd>, cache: OwnedFd) -> Option<Self> {
        let mut all = descriptors.into_iter();
        let (reply, pidfd, program) = (all.next()?, all.next()?, all.next()?);
        let mut found = vec![(all.next()?, IMAGES), (all.next()?, LOG), (cache, CACHE)];
        let into = if order.into_cgroup { Some(all.next()?) } else { None };
        let tasks: Vec<OwnedFd> = all.by_ref().take(order.tasks).collect();
        found.extend(all.zip(PIPES..));
        (tasks.len() == order.tasks).then_some(Self { reply, pidfd, program, found, into, tasks })
    }
}

/// A directory in memory in which CRIU keeps what it has learnt of the kernel, which takes it longer than
/// all else. Nobody but who holds the descriptor can reach it.
pub(in super::super) fn cache() -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "size", "1m")?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "mode", "700")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    Ok(rustix::mount::fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )?)
}

/// Has an order carried out by a process of its own; `forsake` closes what is the spawner's alone.
pub(in super::super) fn begin(
    order: &Aside,
    descriptors: Vec<OwnedFd>,
    cache: OwnedFd,
    forsake: impl FnOnce(),
) {
    // Without these nobody waits, or there is nothing to do.
    let Some(handed) = Handed::new(order, descriptors, cache) else { return };
    match clone(CLONE_PIDFD, handed.into.as_ref()) {
        Ok(Cloned::Child) => {
            forsake();
            let message = match enter(order, &handed) {
                Ok(code) => Setup::Ended { code },
                Err(failure) => failure.message(),
            };
            let _ = say(&handed.reply, &message, &[]);
            // SAFETY: no precondition; the spawner's destructors must not run here.
            unsafe { libc::_exit(0) }
        }
        Ok(Cloned::Parent { .. }) => {}
        Err(error) => {
            let message = Failure { step: Step::Clone, error }.message();
            let _ = say(&handed.reply, &message, &[]);
        }
    }
}

/// Goes in, runs CRIU, and waits for its end.
fn enter(order: &Aside, handed: &Handed) -> Result<i32, Failure> {
    die_with_parent().at(Step::Cgroup)?;
    wait_for_children();
    for file in &handed.tasks {
        rustix::io::write(file, b"0").at(Step::Cgroup)?;
    }
    let strings = |list: &[String]| -> Result<Vec<CString>, _> {
        list.iter().map(|text| CString::new(text.as_str())).collect()
    };
    let args = strings(&order.args).at(Step::Criu)?;
    rustix::thread::move_into_thread_name_spaces(handed.pidfd.as_fd(), NAMESPACES)
        .at(Step::Enter)?;
    let pid = last_id();
    match among(pid).at(Step::Clone)? {
        0 => {
            let _ = become_criu(handed, &args);
            // SAFETY: no precondition; destructors must not run in the child.
            unsafe { libc::_exit(127) }
        }
        child => ended_with(child).at(Step::Criu),
    }
}

/// The highest process id, which no process that was ever written had: it would have had to start that many.
fn last_id() -> i32 {
    let said = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    said.trim().parse().unwrap_or(IDS) - 1
}

/// Makes a child with this number among the ids of the sandbox: the low numbers are those of the processes
/// that come back.
fn among(number: i32) -> io::Result<libc::pid_t> {
    // SAFETY: an all-zero record asks for nothing.
    let mut request: libc::clone_args = unsafe { std::mem::zeroed() };
    request.exit_signal = u64::try_from(libc::SIGCHLD).map_err(io::Error::other)?;
    request.set_tid = (&raw const number).addr() as u64;
    request.set_tid_size = 1;
    // SAFETY: without CLONE_VM this is a fork, and the only thread is the one that continues. The record
    // and the number outlive the call.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut request, size_of::<libc::clone_args>()) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    libc::pid_t::try_from(pid).map_err(io::Error::other)
}

/// Turns the child into the program. Returns only if that did not work.
fn become_criu(handed: &Handed, args: &[CString]) -> io::Result<()> {
    die_with_parent()?;
    rustix::process::setsid()?;
    // What comes back has these from here.
    process::be_expendable()?;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: changes only this process's dispositions, which the spawner has set to be ignored.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let beyond = |descriptor: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(descriptor, BEYOND);
    let program = beyond(&handed.program)?;
    let mut moved = Vec::new();
    for number in 0..3 {
        moved.push((beyond(&null)?, number));
    }
    for (descriptor, number) in &handed.found {
        moved.push((beyond(descriptor)?, *number));
    }
    for (descriptor, number) in &moved {
        // SAFETY: what lies at the number is not used any more by anything in this process.
        let mut place = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(*number) });
        rustix::io::dup2(descriptor, &mut place)?;
    }
    let variables = [
        CString::new(format!("XDG_RUNTIME_DIR=/proc/self/fd/{CACHE}"))?,
        c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    ];
    exec(&program, args, &variables)
}

fn exec(program: &OwnedFd, args: &[CString], variables: &[CString]) -> io::Result<()> {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, variables) = (pointers(args), pointers(variables));
    let empty: &CStr = c"";
    // SAFETY: both lists end with a null and point to strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            empty.as_ptr(),
            args.as_ptr(),
            variables.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Err(io::Error::last_os_error())
}
