//! The life of PID 1 where host and guest share a kernel: one thread that waits for a request or
//! for the end of a child.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};

use crate::process::Confinement;
use crate::protocol::{self, FromGuest, ToGuest};
use crate::socket::{self, Received};
use crate::supervisor::Supervisor;

/// Serves the host until its end of the socket closes. Returning means that PID 1 should exit,
/// upon which the kernel kills every process of the sandbox.
pub fn run(control: &OwnedFd, confinement: Confinement) -> io::Result<()> {
    let children = watch_children()?;
    let mut supervisor = Supervisor::new(confinement);
    say(control, &FromGuest::Ready)?;
    loop {
        let mut waits =
            [PollFd::new(control, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut waits, None))?;
        let (asked, ended) = (!waits[0].revents().is_empty(), !waits[1].revents().is_empty());
        if ended {
            clear(&children)?;
            report(&mut supervisor, control)?;
        }
        if asked {
            let received = socket::receive(control)?;
            if received.bytes.is_empty() {
                return Ok(());
            }
            answer(&mut supervisor, control, received)?;
        }
    }
}

fn answer(supervisor: &mut Supervisor, control: &OwnedFd, received: Received) -> io::Result<()> {
    let request: ToGuest = protocol::decode(&received.bytes).map_err(io::Error::other)?;
    // With no child at all the kernel never tells of an ended one, yet the host waits for the
    // answer that nobody is left.
    let report_now = matches!(request, ToGuest::KillAll);
    if let Some(message) = supervisor.handle(request, received.descriptors) {
        say(control, &message)?;
    }
    if report_now { report(supervisor, control) } else { Ok(()) }
}

fn report(supervisor: &mut Supervisor, control: &OwnedFd) -> io::Result<()> {
    for message in supervisor.reap() {
        say(control, &message)?;
    }
    Ok(())
}

fn say(control: &OwnedFd, message: &FromGuest) -> io::Result<()> {
    let bytes = protocol::encode(message).map_err(io::Error::other)?;
    socket::send(control, &bytes, &[])
}

/// A descriptor that becomes readable when a child has ended.
fn watch_children() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before use; all calls only touch the local set
    // and this thread's mask and dispositions; there is no other thread. A file descriptor that
    // signalfd returned is owned by nobody else.
    unsafe {
        // Ignored children would be reaped by the kernel and never be told of.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

fn clear(children: &OwnedFd) -> io::Result<()> {
    let mut record = [0u8; 128];
    match rustix::io::read(children.as_fd(), &mut record) {
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
