//! The program that tries to get out, for the isolation tests. Each action prints what came of it:
//! `refused N` with the error number, or what it should never see.
#![expect(unsafe_code, reason = "what is tried here are bare system calls")]

use std::fs;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (action, argument) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let said = match action.as_str() {
        "call" => call(&argument),
        "write" => outcome(fs::write(&argument, "x")),
        "overwrite" => outcome(fs::OpenOptions::new().write(true).open(&argument).map(drop)),
        "read" => {
            fs::read(&argument).map_or_else(refused, |bytes| format!("{} bytes", bytes.len()))
        }
        "text" => fs::read_to_string(&argument).unwrap_or_else(refused),
        "list" => list(&argument),
        "descriptors" => descriptors(),
        "status" => status(&argument),
        "processes" => processes(),
        "connect" => outcome(TcpStream::connect(&argument).map(drop)),
        "resolve" => resolve(&argument),
        "run" => run(&argument),
        "fill" => fill(&argument),
        "allocate" => allocate(&argument),
        "fork" => fork_all(),
        "limit" => limit(),
        _ => "unknown action".to_owned(),
    };
    use io::Write;
    match io::stdout().write_all(said.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refused(error: io::Error) -> String {
    format!("refused {}", error.raw_os_error().unwrap_or(0))
}

fn outcome(result: io::Result<()>) -> String {
    result.map_or_else(refused, |()| "ALLOWED".to_owned())
}

/// Tries one system call. Arguments are such that a kernel that does not refuse would do it.
fn call(name: &str) -> String {
    let tmp = c"/tmp".as_ptr() as libc::c_long;
    let tmpfs = c"tmpfs".as_ptr() as libc::c_long;
    let root = c"/".as_ptr() as libc::c_long;
    let new_user = libc::c_long::from(libc::CLONE_NEWUSER);
    let new_mount = libc::c_long::from(libc::CLONE_NEWNS);
    let mut space = [0u64; 32];
    let memory = (&raw mut space) as libc::c_long;
    let pid = libc::c_long::from(std::process::id());
    let (number, arguments): (libc::c_long, [libc::c_long; 5]) = match name {
        "mount" => (libc::SYS_mount, [tmpfs, tmp, tmpfs, 0, 0]),
        "umount" => (libc::SYS_umount2, [tmp, 2, 0, 0, 0]),
        "pivot_root" => (libc::SYS_pivot_root, [tmp, tmp, 0, 0, 0]),
        "chroot" => (libc::SYS_chroot, [root, 0, 0, 0, 0]),
        "fsopen" => (libc::SYS_fsopen, [tmpfs, 0, 0, 0, 0]),
        "open_tree" => (libc::SYS_open_tree, [-100, root, 1, 0, 0]),
        "unshare_user" => (libc::SYS_unshare, [new_user, 0, 0, 0, 0]),
        "unshare_mount" => (libc::SYS_unshare, [new_mount, 0, 0, 0, 0]),
        "clone_user" => (libc::SYS_clone, [new_user | 17, 0, 0, 0, 0]),
        "clone3" => (libc::SYS_clone3, [memory, 88, 0, 0, 0]),
        "setns" => (libc::SYS_setns, [0, 0, 0, 0, 0]),
        "ptrace_attach" => (libc::SYS_ptrace, [16, 1, 0, 0, 0]),
        "ptrace_me" => (libc::SYS_ptrace, [0, 0, 0, 0, 0]),
        "read_memory" => (libc::SYS_process_vm_readv, [pid, memory, 0, memory, 0]),
        "bpf" => (libc::SYS_bpf, [0, memory, 72, 0, 0]),
        "perf" => (libc::SYS_perf_event_open, [memory, 0, -1, -1, 0]),
        "keyctl" => (libc::SYS_keyctl, [0, -3, 1, 0, 0]),
        "io_uring" => (libc::SYS_io_uring_setup, [4, memory, 0, 0, 0]),
        "userfaultfd" => (libc::SYS_userfaultfd, [1, 0, 0, 0, 0]),
        "mknod" => {
            let path = c"/tmp/disk".as_ptr() as libc::c_long;
            (libc::SYS_mknodat, [-100, path, 0o060_666, 0xfe00, 0])
        }
        "setuid" => (libc::SYS_setuid, [0, 0, 0, 0, 0]),
        "setgroups" => (libc::SYS_setgroups, [0, 0, 0, 0, 0]),
        "sethostname" => (libc::SYS_sethostname, [tmp, 4, 0, 0, 0]),
        "kill_init" => (libc::SYS_kill, [1, 9, 0, 0, 0]),
        "vsock" => (libc::SYS_socket, [40, 1, 0, 0, 0]),
        "packet" => (libc::SYS_socket, [17, 3, 0, 0, 0]),
        "raw" => (libc::SYS_socket, [2, 3, 1, 0, 0]),
        "reboot" => (libc::SYS_reboot, [0xfee1_dead, 672_274_793, 0, 0, 0]),
        "settime" => (libc::SYS_clock_settime, [0, memory, 0, 0, 0]),
        _ => return "unknown call".to_owned(),
    };
    let [a, b, c, d, e] = arguments;
    // SAFETY: all pointers are to constant strings or to memory that is large enough and lives on;
    // a cloned child would share nothing and end below like the parent.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result < 0 { refused(io::Error::last_os_error()) } else { "ALLOWED".to_owned() }
}

fn list(directory: &str) -> String {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return refused(error),
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join(" ")
}

/// Open descriptors, without the one that looks.
fn descriptors() -> String {
    let mut open = Vec::new();
    for number in 0..4096 {
        // SAFETY: only asks for flags.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0 {
            open.push(number.to_string());
        }
    }
    open.join(" ")
}

fn status(key: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// The processes that can be seen, without itself.
fn processes() -> String {
    let me = std::process::id().to_string();
    let all = list("/proc");
    let others = all.split(' ').filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    others.filter(|name| *name != me).collect::<Vec<_>>().join(" ")
}

fn resolve(name: &str) -> String {
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => {
            let mut all: Vec<String> = addresses.map(|found| found.ip().to_string()).collect();
            all.sort();
            all.dedup();
            all.join(" ")
        }
        Err(error) => refused(error),
    }
}

fn run(program: &str) -> String {
    match Command::new(program).args(["status", "Uid"]).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => refused(error),
    }
}

fn fill(mebibytes: &str) -> String {
    let size = mebibytes.parse::<usize>().unwrap_or(0) << 20;
    outcome(fs::write("/tmp/filling", vec![1u8; size]))
}

fn allocate(mebibytes: &str) -> String {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mebibytes.parse::<usize>().unwrap_or(0) {
        kept.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
    format!("{} MiB", kept.len())
}

/// Forks until it is refused.
fn fork_all() -> String {
    for number in 0..100_000 {
        // SAFETY: the child only waits to be killed; this process has one thread.
        match unsafe { libc::fork() } {
            0 => loop {
                std::thread::park();
            },
            pid if pid < 0 => return format!("{number}, {}", refused(io::Error::last_os_error())),
            _ => {}
        }
    }
    "ALLOWED".to_owned()
}

fn limit() -> String {
    let wanted = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
    // SAFETY: wanted is a valid record.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) };
    if result < 0 { refused(io::Error::last_os_error()) } else { "ALLOWED".to_owned() }
}
