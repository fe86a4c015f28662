//! The process that sandboxes are cloned from: the daemon's own binary started anew, before any
//! thread or secret exists in it, and kept small.
//!
//! It holds nothing per sandbox: children are reaped by the kernel and die with it. It ends when the
//! daemon's end of its socket closes. Who starts it is [`Spawner`]; what runs in it is [`main`],
//! which the binary must call first thing when [`requested`] says so.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, ExitCode, Stdio};

use dormouse_guest::process::Confinement;
use dormouse_guest::{protocol, socket};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use super::equip::{self, Home};
use super::place::{self, Handed};
use super::snapshot::enter;
use super::wire::{Aside, At, Equip, Failure, Order, Place, Setup, Step};
use super::{base, seccomp};

/// The name under which the binary is started as a spawner.
pub const NAME: &str = "dormouse-spawner";

pub(super) const CLONE_PARENT: u64 = 0x8000;
pub(super) const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Mount, host name, ipc and network namespaces. The user and cgroup namespaces follow later, by the
/// sandbox itself.
const NAMESPACES: u64 = 0x0002_0000 | 0x0400_0000 | 0x0800_0000 | 0x4000_0000;
const NEW_PIDS: u64 = 0x2000_0000;

/// A running spawner.
#[derive(Debug)]
pub struct Spawner {
    pub(super) child: Child,
    pub(super) socket: OwnedFd,
}

impl Spawner {
    /// Starts the spawner and waits until it is ready.
    ///
    /// Call it from the main thread: the kernel kills the spawner when the thread that started it
    /// ends. Blocks for some milliseconds, so call it before the asynchronous runtime does work.
    pub fn launch() -> io::Result<Self> {
        let (ours, theirs) = socket::pair()?;
        // This way also a binary that was replaced on disk starts its own twin.
        let child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .current_dir("/")
            .spawn()?;
        let mut spawner = Self { child, socket: ours };
        match spawner.ready() {
            Ok(()) => Ok(spawner),
            Err(error) => {
                let _ = spawner.child.kill();
                let _ = spawner.child.wait();
                Err(error)
            }
        }
    }

    fn ready(&mut self) -> io::Result<()> {
        let patience = Some(std::time::Duration::from_secs(20));
        rustix::net::sockopt::set_socket_timeout(
            &self.socket,
            rustix::net::sockopt::Timeout::Recv,
            patience,
        )?;
        let received = socket::receive(&self.socket)?;
        if received.bytes.is_empty() {
            return Err(io::Error::other(
                "the spawner ended at once: the binary does not answer to its name",
            ));
        }
        match protocol::decode(&received.bytes).map_err(io::Error::other)? {
            Setup::Prepared => Ok(()),
            Setup::Failed { step, errno } => {
                let cause = io::Error::from_raw_os_error(errno);
                Err(io::Error::new(cause.kind(), format!("spawner step {}: {cause}", step.name())))
            }
            Setup::Cloned { .. }
            | Setup::Apart { .. }
            | Setup::Placed
            | Setup::Equipped
            | Setup::Ended { .. } => Err(io::Error::other("the spawner speaks out of turn")),
        }
    }
}

/// Whether this process was started to be a spawner.
pub fn requested() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// The spawner's life. Call it before anything else: the process must have one thread.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let socket = own_socket()?;
    stand_apart()?;
    if let Err(failure) = base::build().at(Step::BaseTree) {
        place::say(&socket, &failure.message(), &[])?;
        return Ok(());
    }
    let confinement = Confinement { filter: seccomp::filter() };
    let mut own = Own { socket, home: Home::here()?, cache: None };
    place::say(&own.socket, &Setup::Prepared, &[])?;
    loop {
        let received = socket::receive(&own.socket)?;
        if received.bytes.is_empty() {
            return Ok(());
        }
        match protocol::decode(&received.bytes).map_err(io::Error::other)? {
            Order::Place(place) => make(&own, &place, received.descriptors, &confinement),
            Order::Equip(order) => equip(&own, &order, received.descriptors),
            Order::Aside(order) => aside(&mut own, &order, received.descriptors),
        }
    }
}

/// What is the spawner's alone: no child may keep it.
struct Own {
    socket: OwnedFd,
    home: Home,
    /// Where CRIU keeps what it knows; made when it is first needed.
    cache: Option<OwnedFd>,
}

impl Own {
    /// Closes all of it in a child, which never returns to the loop that uses it.
    fn forsake(&self) {
        let cache = self.cache.as_ref().map(AsFd::as_fd);
        let kept = [self.socket.as_fd()].into_iter().chain(self.home.descriptors()).chain(cache);
        for descriptor in kept {
            // SAFETY: nothing in the child uses the descriptor any more, and its owner is never
            // dropped there.
            unsafe { libc::close(descriptor.as_raw_fd()) };
        }
    }
}

fn equip(own: &Own, order: &Equip, descriptors: Vec<OwnedFd>) {
    // Without both nobody waits, or there is nothing to equip.
    let Ok([reply, pidfd]) = <[OwnedFd; 2]>::try_from(descriptors) else {
        return;
    };
    let message = match equip::carry_out(&own.home, order, &pidfd) {
        Ok(()) => Setup::Equipped,
        Err(failure) => failure.message(),
    };
    let _ = place::say(&reply, &message, &[]);
}

fn aside(own: &mut Own, order: &Aside, descriptors: Vec<OwnedFd>) {
    if own.cache.is_none() {
        own.cache = enter::cache().ok();
    }
    // Whoever waits sees that nobody answers.
    let Some(Ok(cache)) = own.cache.as_ref().map(OwnedFd::try_clone) else { return };
    enter::begin(order, descriptors, cache, || own.forsake());
}

/// The socket came as standard input; moves it to where no child inherits it by accident. What whoever
/// started the daemon left open beside it is nobody's here, and no sandbox's.
fn own_socket() -> io::Result<OwnedFd> {
    // SAFETY: the process has only begun: nothing in it has opened anything yet.
    if unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

/// Signals for the daemon's terminal or service are not for us: sandboxes must live on while the
/// daemon drains.
fn stand_apart() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Whoever a killed child of ours leaves behind ends here and not with the host's first process, which
    // may be one that forgets nobody: its sandbox would never be gone.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Fails only if we lead a session already.
    let _ = rustix::process::setsid();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD] {
        // SAFETY: changes only this process's dispositions. Ignored children are reaped by the
        // kernel.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let _ = rustix::thread::set_name(c"dormouse-spawn");
    Ok(())
}

fn make(own: &Own, place: &Place, descriptors: Vec<OwnedFd>, confinement: &Confinement) {
    let mut descriptors = descriptors.into_iter();
    let Some(control) = descriptors.next() else {
        return;
    };
    let into = if place.into_cgroup { descriptors.next() } else { None };
    let tasks: Vec<OwnedFd> = descriptors.collect();
    if tasks.len() != place.tasks || into.is_some() != place.into_cgroup {
        let error = io::ErrorKind::InvalidInput.into();
        let _ = place::say(&control, &Failure { step: Step::Clone, error }.message(), &[]);
        return;
    }
    let pids = if place.owns_pids { 0 } else { NEW_PIDS };
    match clone(NAMESPACES | pids | CLONE_PIDFD, into.as_ref()) {
        Ok(Cloned::Child) => {
            drop(into);
            own.forsake();
            // Unwinding must not reach the spawner's loop in the child.
            let life = || place::live(place, Handed { control, tasks }, confinement.clone());
            let _ = std::panic::catch_unwind(AssertUnwindSafe(life));
            // SAFETY: no precondition; the spawner's destructors must not run here.
            unsafe { libc::_exit(0) }
        }
        Ok(Cloned::Parent { pid, pidfd }) => {
            let _ = place::say(&control, &Setup::Cloned { pid }, &[pidfd.as_fd()]);
        }
        Err(error) => {
            let failure = Failure { step: Step::Clone, error };
            let _ = place::say(&control, &failure.message(), &[]);
        }
    }
}

/// Which of the two a process is after a clone.
pub(super) enum Cloned {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Makes a copy of this process, which has one thread; the flags include [`CLONE_PIDFD`].
pub(super) fn clone(flags: u64, into: Option<&OwnedFd>) -> io::Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: an all-zero record asks for nothing.
    let mut request: libc::clone_args = unsafe { std::mem::zeroed() };
    request.flags = flags;
    request.pidfd = (&raw mut pidfd).addr() as u64;
    if flags & CLONE_PARENT == 0 {
        // A sibling's end is told as its parent's parent has asked for.
        request.exit_signal = u64::try_from(libc::SIGCHLD).map_err(io::Error::other)?;
    }
    if let Some(directory) = into {
        request.flags |= CLONE_INTO_CGROUP;
        request.cgroup = u64::try_from(directory.as_raw_fd()).map_err(io::Error::other)?;
    }
    // SAFETY: without CLONE_VM this is a fork: the child has its own copy of everything, and the
    // only thread is the one that continues. The record outlives the call; pidfd is a valid place.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut request, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(Cloned::Child),
        pid if pid > 0 => Ok(Cloned::Parent {
            pid: i32::try_from(pid).map_err(io::Error::other)?,
            // SAFETY: the kernel has just made this descriptor for us.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
        _ => Err(io::Error::last_os_error()),
    }
}
