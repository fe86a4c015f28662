//! The kernel's news of memory pressure (PSI triggers, `Documentation/accounting/psi.rst`): it wakes us up
//! when tasks waited for memory, and never else.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What is news: tasks that waited for memory for a tenth of two seconds. Windows of whole two seconds need no
/// privilege.
const TRIGGER: &[u8] = b"some 200000 2000000\0";

/// A trigger that is armed.
#[derive(Debug)]
pub struct Pressure(AsyncFd<OwnedFd>);

impl Pressure {
    /// Arms it on a file such as `/proc/pressure/memory`.
    ///
    /// # Errors
    /// When this kernel has no such news, or not for us.
    pub fn open(file: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open(file, flags, Mode::empty())?;
        rustix::io::write(&file, TRIGGER)?;
        // SAFETY: a descriptor of our own, which lives in the AsyncFd and is closed with it. There is no safe way:
        // the safe constructors are deprecated.
        let armed = unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) };
        Ok(Self(armed.map_err(io::Error::from)?))
    }

    /// Waits until there is pressure; whether there will be more news.
    pub async fn rises(&self) -> bool {
        match self.0.ready(Interest::PRIORITY).await {
            Ok(mut guard) => {
                let is_armed = guard.ready().is_priority() && !guard.ready().is_error();
                guard.clear_ready();
                is_armed
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_quiet_machine_is_no_news() {
        let pressure = match Pressure::open(Path::new("/proc/pressure/memory")) {
            Ok(pressure) => pressure,
            Err(error) => {
                eprintln!("SKIPPED: no news of memory pressure here: {error}");
                return;
            }
        };
        // A machine that is short of memory right now may say so.
        let news = tokio::time::timeout(Duration::from_millis(20), pressure.rises()).await;
        assert_ne!(news, Ok(false), "the trigger is not armed");
    }
}
