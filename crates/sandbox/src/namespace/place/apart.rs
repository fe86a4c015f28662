//! A sandbox whose process ids belong to its own root.
//!
//! ```text
//! maker (host's root) --clone: new users, new pids--> PID 1: waits for its user map, becomes the guest
//!   |  makes everything else, as PID 1 does elsewhere
//!   |  sends a process among PID 1's for the moment it takes to mount /proc, which shows the ids of
//!   |  whoever mounts it
//!   leaves
//! ```
//!
//! Everything but users and ids belongs to the host, as ever: PID 1 may choose the numbers of its
//! processes, and still neither mount nor configure the network.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use dormouse_guest::process::Confinement;
use rustix::thread::LinkNameSpaceType;

use super::{
    GUEST, arrive, die_with_parent, enter_cgroups, names_and_listeners, proc, root_tree, say,
};
use crate::namespace::spawner::{CLONE_PARENT, CLONE_PIDFD, Cloned, clone};
use crate::namespace::wire::{At, Failure, Place, Setup, Step};

const NEW_USERS_AND_PIDS: u64 = 0x1000_0000 | 0x2000_0000;

/// Makes the sandbox and, beside it, the process that lives on in it. Returns in the maker.
pub(super) fn settle(
    place: &Place,
    control: &OwnedFd,
    tasks: Vec<OwnedFd>,
    confinement: Confinement,
) -> Result<(), Failure> {
    die_with_parent().at(Step::Cgroup)?;
    wait_for_children();
    enter_cgroups(tasks).at(Step::Cgroup)?;
    rustix::thread::set_thread_groups(&[]).at(Step::UserNamespace)?;
    let born = clone(NEW_USERS_AND_PIDS | CLONE_PARENT | CLONE_PIDFD, None).at(Step::Clone)?;
    let (pid, pidfd) = match born {
        Cloned::Child => be_guest(control, confinement),
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    say(control, &Setup::Apart { pid }, &[pidfd.as_fd()]).at(Step::Clone)?;
    root_tree(place, |root, path| among(&pidfd, || proc(root, path)))?;
    let [runtime_api, endpoint] = names_and_listeners()?;
    say(control, &Setup::Placed, &[runtime_api.as_fd(), endpoint.as_fd()]).at(Step::Listeners)
}

/// The whole life of PID 1.
fn be_guest(control: &OwnedFd, confinement: Confinement) -> ! {
    let arrived = rustix::thread::set_name(GUEST).map_err(io::Error::from);
    if arrived.and_then(|()| arrive(control)).is_ok() {
        // An error ends the sandbox like a closed socket does; the daemon sees the end.
        let _ = dormouse_guest::run(control, confinement);
    }
    // SAFETY: no precondition; the maker's destructors must not run here.
    unsafe { libc::_exit(0) }
}

/// The spawner has its children forgotten; this one must hear how one ended.
pub(in super::super) fn wait_for_children() {
    // SAFETY: changes only this process's disposition.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Does something in a process that lives among those of PID 1, and waits for its end.
fn among(pid_1: &OwnedFd, what: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    rustix::thread::move_into_link_name_space(pid_1.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
    // SAFETY: the maker has one thread, so the child may run any code; it leaves only by _exit.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => {
            let errno = what().err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
            // SAFETY: as above.
            unsafe { libc::_exit(errno) }
        }
        pid if pid > 0 => match ended_with(pid)? {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        },
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for a child and says its exit code; of a signal, 128 and its number.
pub(in super::super) fn ended_with(pid: libc::pid_t) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: status is a valid place for the result.
    if unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {
        return Err(io::Error::last_os_error());
    }
    if libc::WIFSIGNALED(status) {
        Ok(128 + libc::WTERMSIG(status))
    } else {
        Ok(libc::WEXITSTATUS(status))
    }
}
