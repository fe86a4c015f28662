//! What the daemon, the spawner and a sandbox that is being set up tell each other, before the
//! guest's own protocol begins. Encoded like the guest's messages, on the same kind of socket.

use serde::{Deserialize, Serialize};

/// Daemon to spawner. The first descriptor is where the answer goes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Make a sandbox.
    Place(Place),
    /// Give a sandbox that was made ahead what it lacks.
    Equip(Equip),
    /// Run CRIU in a sandbox.
    Aside(Aside),
}

/// A run of CRIU in a sandbox. With it come: the pidfd of PID 1, the program, the directory of the images, the
/// log, the v2 cgroup directory if `into_cgroup`, `tasks` v1 files to write "0" to, and the pipes for the
/// processes that come back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Aside {
    /// The arguments, the name first.
    pub(super) args: Vec<String>,
    /// Whether a v2 cgroup directory comes along.
    pub(super) into_cgroup: bool,
    /// How many v1 task files come along.
    pub(super) tasks: usize,
}

/// What a sandbox that was made ahead gets. With it comes the pidfd of its PID 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Equip {
    /// Read-only content.
    pub(super) trees: Vec<Content>,
    /// The new size of `/tmp`.
    pub(super) tmp_bytes: Option<u64>,
}

/// How a sandbox is made. With it come, in this order: the sandbox's end of its control socket, the
/// v2 cgroup directory if `into_cgroup`, and `tasks` v1 files to write "0" to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// The layers of the root; none of them means the host's programs.
    pub(super) layers: Vec<String>,
    /// Read-only content.
    pub(super) trees: Vec<Content>,
    /// The size of `/tmp`.
    pub(super) tmp_bytes: u64,
    /// The host's user and group number that is root inside.
    pub(super) host_root: u32,
    /// Whether a v2 cgroup directory comes along.
    pub(super) into_cgroup: bool,
    /// How many v1 task files come along.
    pub(super) tasks: usize,
    /// Whether its process ids belong to its own root.
    pub(super) owns_pids: bool,
}

/// What appears at one place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Content {
    /// Where on the host; the last covers those before it.
    pub(super) hosts: Vec<String>,
    /// Where inside.
    pub(super) at: String,
    /// Whether links on the way to `hosts` are followed.
    pub(super) follow: bool,
}

/// Spawner or unfinished sandbox to daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Setup {
    /// The spawner has built the base tree. Only on the spawner's own socket.
    Prepared,
    /// PID 1 exists; its pidfd comes along.
    Cloned {
        /// Its number as the spawner sees it.
        pid: i32,
    },
    /// The process that was cloned makes the sandbox for another, which is PID 1; its pidfd comes along.
    Apart {
        /// Its number as the spawner sees it.
        pid: i32,
    },
    /// PID 1 is in place and needs its user map; the two listeners come along.
    Placed,
    /// It has what it lacked.
    Equipped,
    /// CRIU has ended.
    Ended {
        /// Its exit code; of a signal, 128 and its number.
        code: i32,
    },
    /// A step went wrong; the sender ends.
    Failed {
        /// Which.
        step: Step,
        /// What the kernel said.
        errno: i32,
    },
}

/// Daemon to unfinished sandbox: the user map is written, become the guest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mapped;

/// The steps that can go wrong, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    BaseTree,
    Clone,
    Cgroup,
    RootTree,
    Proc,
    Tmp,
    Content,
    Pivot,
    Names,
    Loopback,
    Listeners,
    UserNamespace,
    Enter,
    Criu,
}

impl Step {
    /// The name in error messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BaseTree => "base tree",
            Self::Clone => "clone",
            Self::Cgroup => "cgroup",
            Self::RootTree => "root tree",
            Self::Proc => "/proc",
            Self::Tmp => "/tmp",
            Self::Content => "content",
            Self::Pivot => "pivot_root",
            Self::Names => "host name",
            Self::Loopback => "loopback",
            Self::Listeners => "listeners",
            Self::UserNamespace => "user namespace",
            Self::Enter => "namespaces",
            Self::Criu => "criu",
        }
    }
}

/// A failed step with its cause.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) error: std::io::Error,
}

/// Names the step of a result.
pub(super) trait At<T> {
    /// The error, if any, happened in this step.
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T, E: Into<std::io::Error>> At<T> for Result<T, E> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, error: error.into() })
    }
}

impl Failure {
    /// The message that tells the daemon.
    pub(super) fn message(&self) -> Setup {
        let errno = self.error.raw_os_error().unwrap_or(libc::EIO);
        Setup::Failed { step: self.step, errno }
    }
}
