//! The start, the signals and the end of one process, by system call.
//!
//! Between fork and exec runs only what is listed in `become_program`, in that order: everything
//! that needs a privilege first, the seccomp filter last. PID 1 has one thread, therefore the forked
//! child may use the heap; still everything that can be prepared is prepared before.

use std::ffi::{CString, NulError};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{Access, Mode};
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::protocol::{
    BRIEFING_DESCRIPTOR, Exit, Identity, RECORDS_DESCRIPTOR, Signal, Start, StartFailure,
};

/// What holds every process of user code, beyond its identity.
#[derive(Clone)]
pub struct Confinement {
    /// The seccomp filter; empty for none.
    pub filter: Vec<libc::sock_filter>,
}

impl std::fmt::Debug for Confinement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Confinement").field("filter_len", &self.filter.len()).finish()
    }
}

/// Where a process writes to, and where its briefing comes from.
#[derive(Debug)]
pub struct Stdio {
    /// Standard output.
    pub out: OwnedFd,
    /// Standard error.
    pub err: OwnedFd,
    /// Framed log records.
    pub records: Option<OwnedFd>,
    /// What it is for.
    pub briefing: Option<OwnedFd>,
}

impl Stdio {
    /// The ends that came with a start; nothing if they are more or fewer than it says.
    pub fn new(descriptors: Vec<OwnedFd>, start: &Start) -> Option<Self> {
        let mut ends = descriptors.into_iter();
        let (out, err) = (ends.next()?, ends.next()?);
        let records = if start.records { Some(ends.next()?) } else { None };
        let briefing = if start.briefed { Some(ends.next()?) } else { None };
        ends.next().is_none().then_some(Self { out, err, records, briefing })
    }
}

/// The descriptors of a program as the forked child finds them: mere numbers.
#[derive(Clone, Copy)]
struct Ends {
    /// Input, output and errors.
    standard: [RawFd; 3],
    /// Others, with the number under which the program looks for them.
    named: [(Option<RawFd>, RawFd); 2],
}

/// What waiting for children gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// This child ended.
    Ended(libc::pid_t, Exit),
    /// There are children, none of them has ended.
    NoneEnded,
    /// There are no children.
    NoChildren,
}

/// Starts a process and returns when its program runs or it is clear that it does not.
pub fn start(
    start: &Start,
    stdio: Stdio,
    confinement: &Confinement,
) -> Result<libc::pid_t, StartFailure> {
    let image = Image::new(start).map_err(|_| StartFailure::Errno(libc::EINVAL))?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| StartFailure::Errno(errno.raw_os_error()))?;
    let (mut reader, writer) = report_pipe().map_err(|error| failure(&error))?;
    // SAFETY: PID 1 has a single thread, so the child may run any code; it leaves only by exec or
    // _exit.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(failure(&io::Error::last_os_error()));
    }
    if pid == 0 {
        let ends = Ends {
            standard: [null.as_raw_fd(), stdio.out.as_raw_fd(), stdio.err.as_raw_fd()],
            named: [
                (stdio.records.as_ref().map(AsRawFd::as_raw_fd), RECORDS_DESCRIPTOR),
                (stdio.briefing.as_ref().map(AsRawFd::as_raw_fd), BRIEFING_DESCRIPTOR),
            ],
        };
        let error = become_program(start, &image, ends, confinement);
        tell(&writer, error);
        // SAFETY: _exit has no precondition; destructors must not run in the child.
        unsafe { libc::_exit(127) }
    }
    drop((writer, stdio, null));
    // The write end closes by itself at exec: nothing to read means that the program runs.
    let mut report = [0u8; 4];
    match reader.read_exact(&mut report) {
        Err(_) => Ok(pid),
        Ok(()) => {
            reap_failed(pid);
            Err(match i32::from_le_bytes(report) {
                0 => StartFailure::NoProgram,
                errno => StartFailure::Errno(errno),
            })
        }
    }
}

/// The pipe through which a child tells why it did not become its program. The end that it writes
/// to lies where no descriptor of a program will be put.
fn report_pipe() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let lifted = rustix::io::fcntl_dupfd_cloexec(writer.as_fd(), RECORDS_DESCRIPTOR + 1)?;
    Ok((reader, lifted.into()))
}

/// Sends a signal to a child that has not been waited for.
pub fn signal(pid: libc::pid_t, signal: Signal) {
    let number = match signal {
        Signal::Term => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    // SAFETY: kill has no memory effects; the pid is positive and still ours.
    unsafe { libc::kill(pid, number) };
}

/// Kills every process that PID 1 can see, which is the whole sandbox, except itself. The kernel
/// does it in one step: a process that forks meanwhile does not get away.
pub fn kill_everyone() {
    // SAFETY: kill has no memory effects. As PID 1 of its namespace the caller is spared; were it
    // not PID 1, nothing must be killed.
    unsafe {
        if libc::getpid() == 1 {
            libc::kill(-1, libc::SIGKILL);
        }
    }
}

/// Collects one ended child without waiting.
pub fn wait_any() -> Waited {
    let mut status = 0;
    // SAFETY: status is a valid place for the result.
    match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
        0 => Waited::NoneEnded,
        pid if pid > 0 => Waited::Ended(pid, exit_of(status)),
        _ => Waited::NoChildren,
    }
}

fn exit_of(status: libc::c_int) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

fn reap_failed(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: status is a valid place for the result; the child has written its report and exits.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
}

/// What exec needs, in C's form.
struct Image {
    programs: Vec<CString>,
    args: Vec<CString>,
    variables: Vec<CString>,
    cwd: CString,
}

impl Image {
    fn new(start: &Start) -> Result<Self, NulError> {
        let strings = |list: &[String]| -> Result<Vec<CString>, NulError> {
            list.iter().map(|text| CString::new(text.as_str())).collect()
        };
        Ok(Self {
            programs: strings(&start.programs)?,
            args: strings(&start.args)?,
            variables: start
                .variables
                .iter()
                .map(|(name, value)| CString::new(format!("{name}={value}")))
                .collect::<Result<_, _>>()?,
            cwd: CString::new(start.cwd.as_str())?,
        })
    }
}

/// Why the child did not become its program.
enum NotStarted {
    NoProgram,
    Step(io::Error),
}

/// Makes the calling process one that the kernel ends first when memory is short, and that has its pages as
/// the kernel likes them. Only for root: afterwards the file belongs to somebody else.
pub fn be_expendable() -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "1000")?;
    default_huge_pages();
    Ok(())
}

/// Turns the forked child into the program. Returns only if that did not work.
fn become_program(
    start: &Start,
    image: &Image,
    ends: Ends,
    confinement: &Confinement,
) -> NotStarted {
    let prepare = || -> io::Result<()> {
        rustix::process::setsid()?;
        wire(ends)?;
        be_expendable()?;
        limit(start.identity);
        rustix::process::umask(Mode::from_raw_mode(0o022));
        give_up_privileges(start.identity)?;
        rustix::process::chdir(image.cwd.as_c_str())?;
        default_signals()
    };
    if let Err(error) = prepare() {
        return NotStarted::Step(error);
    }
    let Some(program) = image.programs.iter().find(|program| executable(program)) else {
        return NotStarted::NoProgram;
    };
    if let Err(error) = filter(&confinement.filter) {
        return NotStarted::Step(error);
    }
    NotStarted::Step(execute(program, image))
}

/// Puts the descriptors where the program looks for them, and makes every other close at exec.
fn wire(ends: Ends) -> io::Result<()> {
    // Sources might lie at the targets themselves: lift all out of the way first.
    let mut lifted = [0; 3];
    for (source, place) in ends.standard.iter().zip(lifted.iter_mut()) {
        *place = lift(*source)?;
    }
    let mut named = [None; 2];
    for ((source, target), place) in ends.named.iter().zip(named.iter_mut()) {
        *place = source.map(lift).transpose()?.map(|lifted| (lifted, *target));
    }
    for (target, source) in (0..).zip(lifted) {
        place(source, target)?;
    }
    for (source, target) in named.into_iter().flatten() {
        place(source, target)?;
    }
    // SAFETY: only marks descriptors.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked != 0 {
        return Err(io::Error::last_os_error());
    }
    for (_, target) in named.into_iter().flatten() {
        // SAFETY: only unmarks a descriptor.
        checked(unsafe { libc::fcntl(target, libc::F_SETFD, 0) })?;
    }
    Ok(())
}

/// A copy that lies at none of the targets.
fn lift(source: RawFd) -> io::Result<RawFd> {
    // SAFETY: plain descriptor numbers.
    checked(unsafe { libc::fcntl(source, libc::F_DUPFD, RECORDS_DESCRIPTOR + 1) })
}

fn place(source: RawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: plain descriptor numbers; nothing in the forked child uses the one replaced.
    checked(unsafe { libc::dup2(source, target) }).map(drop)
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sets resource limits. A hard limit that the host already keeps lower stays lower.
fn limit(identity: Identity) {
    let wanted = [
        (Resource::Nofile, u64::from(identity.files_max)),
        (Resource::Nproc, u64::from(identity.processes_max)),
        (Resource::Stack, identity.stack_bytes),
        (Resource::Core, 0),
        (Resource::Memlock, 64 * 1024),
    ];
    for (resource, value) in wanted {
        let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(hard));
        let _ = rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value });
    }
}

/// The daemon goes without huge pages, and exec keeps that: programs have what the machine gives.
fn default_huge_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(false);
}

fn give_up_privileges(identity: Identity) -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: prctl with plain numbers; the first number the kernel does not know ends the loop.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let gid = Gid::from_raw(identity.gid);
    let uid = Uid::from_raw(identity.uid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Ignored signals and masks survive exec: give the program the state it expects.
fn default_signals() -> io::Result<()> {
    // SAFETY: only this process's dispositions and mask change; the record of zeros, the default,
    // is longer than the kernel reads, and the set is initialised before use.
    unsafe {
        // The bare call, because the library keeps two signals for itself and they can be ignored.
        let default = [0u64; 8];
        for signal in 1..=64 {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8,
            );
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn executable(program: &CString) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(program.as_bytes()));
    path.is_file() && rustix::fs::access(program.as_c_str(), Access::EXEC_OK).is_ok()
}

fn filter(filter: &[libc::sock_filter]) -> io::Result<()> {
    if filter.is_empty() {
        return Ok(());
    }
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: program points at len instructions that outlive the call; the kernel only reads them.
    let set = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn execute(program: &CString, image: &Image) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let mut args = vec![program.as_ptr()];
    args.extend(pointers(&image.args));
    let variables = pointers(&image.variables);
    // SAFETY: both lists end with null and their strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), variables.as_ptr()) };
    io::Error::last_os_error()
}

fn tell(mut writer: &io::PipeWriter, error: NotStarted) {
    use std::io::Write;
    let number = match error {
        NotStarted::NoProgram => 0,
        NotStarted::Step(error) => error.raw_os_error().unwrap_or(libc::EIO),
    };
    let _ = writer.write_all(&number.to_le_bytes());
}

fn failure(error: &io::Error) -> StartFailure {
    StartFailure::Errno(error.raw_os_error().unwrap_or(libc::EIO))
}
