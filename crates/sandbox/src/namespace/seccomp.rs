//! What user code may not ask the kernel for: one table, and the filter made from it.
//!
//! Most rows are fences behind a fence: without capabilities the kernel refuses these calls anyway.
//! They are refused here once more because the code behind them is what kernel exploits start from.
//! The filter is a binary tree over call numbers with the architecture checked first: the kernel
//! evaluates a filter for every number when it is installed, and a tree makes that three times
//! cheaper than a chain.

use std::mem::offset_of;

use libc::{c_long, seccomp_data, sock_filter};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Fails with this error.
    Fail(i32),
    /// Fails with EPERM if this argument has any of these bits.
    FailOnBits { argument: usize, bits: u32 },
    /// Fails with this error unless this argument is one of these.
    FailUnless { argument: usize, allowed: &'static [u32], errno: i32 },
    /// Fails with EPERM if this argument, cut to these bits, is one of these.
    FailOnKinds { argument: usize, mask: u32, kinds: &'static [u32] },
}

const REFUSE: Rule = Rule::Fail(libc::EPERM);

/// Every CLONE_NEW flag that clone knows; a new time namespace can only be had from unshare.
const NAMESPACES: u32 = 0x7e02_0000;
const FILE_KIND: u32 = 0o170_000;
const DEVICE_KINDS: &[u32] = &[0o020_000, 0o060_000];
/// Unix, IPv4, IPv6, netlink. All other families are kernel code that no function needs; virtual
/// machine sockets would moreover reach past the network namespace.
const FAMILIES: &[u32] = &[1, 2, 10, 16];
/// Plain Linux, 32-bit Linux, both with an old version number, and the question.
const PERSONALITIES: &[u32] = &[0, 8, 0x20000, 0x20008, 0xffff_ffff];

const MOUNTS: &str = "mounts: could uncover or replace what the sandbox hides";
const NAMES: &str = "namespaces: inside a new one user code would be root before the kernel";
const PEEK: &str = "other processes: their memory, descriptors or identity";
const KERNEL: &str = "the kernel itself: programs, code or tracing inside it";
const MACHINE: &str = "the machine: power, swap, clocks, ports, logs, accounting";
const KEYS: &str = "keyrings are not fully namespaced";
const HANDLES: &str = "file handles reach past the mount namespace";
const SURFACE: &str = "large kernel surface with a history of holes, needed by no function";

/// The table: call, number, rule, reason.
const TABLE: &[(&str, c_long, Rule, &str)] = &[
    ("mount", libc::SYS_mount, REFUSE, MOUNTS),
    ("umount2", libc::SYS_umount2, REFUSE, MOUNTS),
    ("pivot_root", libc::SYS_pivot_root, REFUSE, MOUNTS),
    ("chroot", libc::SYS_chroot, REFUSE, MOUNTS),
    ("open_tree", libc::SYS_open_tree, REFUSE, MOUNTS),
    ("move_mount", libc::SYS_move_mount, REFUSE, MOUNTS),
    ("fsopen", libc::SYS_fsopen, REFUSE, MOUNTS),
    ("fsconfig", libc::SYS_fsconfig, REFUSE, MOUNTS),
    ("fsmount", libc::SYS_fsmount, REFUSE, MOUNTS),
    ("fspick", libc::SYS_fspick, REFUSE, MOUNTS),
    ("mount_setattr", libc::SYS_mount_setattr, REFUSE, MOUNTS),
    ("open_tree_attr", 467, REFUSE, MOUNTS),
    ("unshare", libc::SYS_unshare, REFUSE, NAMES),
    ("setns", libc::SYS_setns, REFUSE, NAMES),
    ("clone", libc::SYS_clone, Rule::FailOnBits { argument: 0, bits: NAMESPACES }, NAMES),
    // Its flags lie in memory, where a filter cannot look. Libraries fall back to clone.
    ("clone3", libc::SYS_clone3, Rule::Fail(libc::ENOSYS), NAMES),
    ("sethostname", libc::SYS_sethostname, REFUSE, NAMES),
    ("setdomainname", libc::SYS_setdomainname, REFUSE, NAMES),
    ("ptrace", libc::SYS_ptrace, REFUSE, PEEK),
    ("process_vm_readv", libc::SYS_process_vm_readv, REFUSE, PEEK),
    ("process_vm_writev", libc::SYS_process_vm_writev, REFUSE, PEEK),
    ("process_madvise", libc::SYS_process_madvise, REFUSE, PEEK),
    ("kcmp", libc::SYS_kcmp, REFUSE, PEEK),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, REFUSE, PEEK),
    ("move_pages", libc::SYS_move_pages, REFUSE, PEEK),
    ("migrate_pages", libc::SYS_migrate_pages, REFUSE, PEEK),
    ("bpf", libc::SYS_bpf, REFUSE, KERNEL),
    ("perf_event_open", libc::SYS_perf_event_open, REFUSE, KERNEL),
    ("kexec_load", libc::SYS_kexec_load, REFUSE, KERNEL),
    ("kexec_file_load", libc::SYS_kexec_file_load, REFUSE, KERNEL),
    ("init_module", libc::SYS_init_module, REFUSE, KERNEL),
    ("finit_module", libc::SYS_finit_module, REFUSE, KERNEL),
    ("delete_module", libc::SYS_delete_module, REFUSE, KERNEL),
    ("lookup_dcookie", libc::SYS_lookup_dcookie, REFUSE, KERNEL),
    ("reboot", libc::SYS_reboot, REFUSE, MACHINE),
    ("swapon", libc::SYS_swapon, REFUSE, MACHINE),
    ("swapoff", libc::SYS_swapoff, REFUSE, MACHINE),
    ("acct", libc::SYS_acct, REFUSE, MACHINE),
    ("quotactl", libc::SYS_quotactl, REFUSE, MACHINE),
    ("quotactl_fd", libc::SYS_quotactl_fd, REFUSE, MACHINE),
    ("settimeofday", libc::SYS_settimeofday, REFUSE, MACHINE),
    ("clock_settime", libc::SYS_clock_settime, REFUSE, MACHINE),
    ("clock_adjtime", libc::SYS_clock_adjtime, REFUSE, MACHINE),
    ("adjtimex", libc::SYS_adjtimex, REFUSE, MACHINE),
    ("syslog", libc::SYS_syslog, REFUSE, MACHINE),
    ("vhangup", libc::SYS_vhangup, REFUSE, MACHINE),
    ("nfsservctl", libc::SYS_nfsservctl, REFUSE, MACHINE),
    #[cfg(target_arch = "x86_64")]
    ("iopl", libc::SYS_iopl, REFUSE, MACHINE),
    #[cfg(target_arch = "x86_64")]
    ("ioperm", libc::SYS_ioperm, REFUSE, MACHINE),
    ("keyctl", libc::SYS_keyctl, REFUSE, KEYS),
    ("add_key", libc::SYS_add_key, REFUSE, KEYS),
    ("request_key", libc::SYS_request_key, REFUSE, KEYS),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, REFUSE, HANDLES),
    ("name_to_handle_at", libc::SYS_name_to_handle_at, REFUSE, HANDLES),
    ("fanotify_init", libc::SYS_fanotify_init, REFUSE, HANDLES),
    ("userfaultfd", libc::SYS_userfaultfd, REFUSE, SURFACE),
    ("io_uring_setup", libc::SYS_io_uring_setup, REFUSE, SURFACE),
    ("io_uring_enter", libc::SYS_io_uring_enter, REFUSE, SURFACE),
    ("io_uring_register", libc::SYS_io_uring_register, REFUSE, SURFACE),
    (
        "personality",
        libc::SYS_personality,
        Rule::FailUnless { argument: 0, allowed: PERSONALITIES, errno: libc::EPERM },
        SURFACE,
    ),
    (
        "socket",
        libc::SYS_socket,
        Rule::FailUnless { argument: 0, allowed: FAMILIES, errno: libc::EAFNOSUPPORT },
        SURFACE,
    ),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", libc::SYS_modify_ldt, REFUSE, SURFACE),
    #[cfg(target_arch = "x86_64")]
    ("uselib", libc::SYS_uselib, REFUSE, SURFACE),
    #[cfg(target_arch = "x86_64")]
    (
        "mknod",
        libc::SYS_mknod,
        Rule::FailOnKinds { argument: 1, mask: FILE_KIND, kinds: DEVICE_KINDS },
        MACHINE,
    ),
    (
        "mknodat",
        libc::SYS_mknodat,
        Rule::FailOnKinds { argument: 2, mask: FILE_KIND, kinds: DEVICE_KINDS },
        MACHINE,
    ),
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// On x86-64 numbers from here on are the x32 twins of all calls; elsewhere there are none.
const X32_BIT: u32 = 0x4000_0000;

/// A leaf of the tree compares one after the other.
const LEAF_ROWS: usize = 4;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// The filter for every process of user code.
pub(super) fn filter() -> Vec<sock_filter> {
    let mut rows: Vec<(u32, Rule)> = TABLE
        .iter()
        .map(|(_, number, rule, _)| {
            (u32::try_from(*number).expect("call numbers are small"), *rule)
        })
        .collect();
    rows.sort_unstable_by_key(|(number, _)| *number);
    let mut program = vec![
        load(offset_of!(seccomp_data, arch)),
        branch(IF_EQUAL, ARCHITECTURE, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(offset_of!(seccomp_data, nr)),
        branch(IF_AT_LEAST, X32_BIT, 0, 1),
        give(fail(libc::ENOSYS)),
    ];
    program.extend(tree(&rows));
    program
}

fn tree(rows: &[(u32, Rule)]) -> Vec<sock_filter> {
    if rows.len() <= LEAF_ROWS {
        let mut leaf = Vec::new();
        for (number, rule) in rows {
            let body = body(*rule);
            let past = u8::try_from(body.len()).expect("rule bodies are short");
            leaf.push(branch(IF_EQUAL, *number, 0, past));
            leaf.extend(body);
        }
        leaf.push(give(libc::SECCOMP_RET_ALLOW));
        return leaf;
    }
    let (low, high) = rows.split_at(rows.len() / 2);
    let low_tree = tree(low);
    let past = u32::try_from(low_tree.len()).expect("filters are short");
    let mut whole = vec![branch(IF_AT_LEAST, high[0].0, 0, 1), statement(JUMP, past)];
    whole.extend(low_tree);
    whole.extend(tree(high));
    whole
}

/// What runs when the number matches; always ends with an answer.
fn body(rule: Rule) -> Vec<sock_filter> {
    match rule {
        Rule::Fail(errno) => vec![give(fail(errno))],
        Rule::FailOnBits { argument, bits } => vec![
            load(low_half(argument)),
            branch(IF_ANY_BIT, bits, 0, 1),
            give(fail(libc::EPERM)),
            give(libc::SECCOMP_RET_ALLOW),
        ],
        Rule::FailUnless { argument, allowed, errno } => {
            let mut code = vec![load(low_half(argument))];
            code.extend(any_of(allowed, libc::SECCOMP_RET_ALLOW));
            code.push(give(fail(errno)));
            code
        }
        Rule::FailOnKinds { argument, mask, kinds } => {
            let mut code = vec![load(low_half(argument)), statement(AND, mask)];
            code.extend(any_of(kinds, fail(libc::EPERM)));
            code.push(give(libc::SECCOMP_RET_ALLOW));
            code
        }
    }
}

fn any_of(values: &[u32], answer: u32) -> impl Iterator<Item = sock_filter> {
    values.iter().flat_map(move |value| [branch(IF_EQUAL, *value, 0, 1), give(answer)])
}

/// The kernel itself looks only at the low 32 bits of all arguments in the table.
fn low_half(argument: usize) -> usize {
    offset_of!(seccomp_data, args) + argument * 8
}

fn fail(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::try_from(errno).expect("error numbers are positive")
}

fn load(offset: usize) -> sock_filter {
    statement(LOAD, u32::try_from(offset).expect("the record is small"))
}

fn give(answer: u32) -> sock_filter {
    statement(RETURN, answer)
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: the few instructions that the filter uses.
    fn answer(arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let word = |offset: u32| -> u32 {
            let low_half = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap();
            match offset {
                0 => number,
                4 => arch,
                _ => low_half(arguments[(offset as usize - 16) / 8]),
            }
        };
        let (program, mut at, mut accumulator) = (filter(), 0usize, 0u32);
        loop {
            let step = program[at];
            at += 1;
            let test = match step.code {
                LOAD => {
                    accumulator = word(step.k);
                    continue;
                }
                AND => {
                    accumulator &= step.k;
                    continue;
                }
                JUMP => {
                    at += step.k as usize;
                    continue;
                }
                RETURN => return step.k,
                IF_EQUAL => accumulator == step.k,
                IF_AT_LEAST => accumulator >= step.k,
                IF_ANY_BIT => accumulator & step.k != 0,
                other => panic!("instruction {other:#x}"),
            };
            at += usize::from(if test { step.jt } else { step.jf });
        }
    }

    fn here(number: c_long, argument: u64) -> u32 {
        answer(ARCHITECTURE, u32::try_from(number).unwrap(), [argument; 6])
    }

    #[test]
    fn every_row_of_the_table_is_refused_and_its_neighbours_follow_the_table() {
        let listed = |number: c_long| TABLE.iter().any(|row| row.1 == number);
        for number in 0..600 {
            let expected = TABLE.iter().find(|row| row.1 == number).map(|row| row.2);
            match expected {
                Some(Rule::Fail(errno)) => assert_eq!(here(number, 0), fail(errno), "{number}"),
                Some(_) => {}
                None => assert!(
                    here(number, u64::MAX) == libc::SECCOMP_RET_ALLOW && !listed(number),
                    "{number}"
                ),
            }
        }
    }

    #[test]
    fn a_new_process_is_allowed_and_a_new_namespace_is_not() {
        assert_eq!(here(libc::SYS_clone, 0x0100_0011), libc::SECCOMP_RET_ALLOW);
        for flag in [
            libc::CLONE_NEWNS,
            libc::CLONE_NEWCGROUP,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
        ] {
            let flag = u64::try_from(flag).unwrap();
            assert_eq!(here(libc::SYS_clone, flag | 17), fail(libc::EPERM), "{flag:#x}");
        }
        assert_eq!(here(libc::SYS_clone3, 0), fail(libc::ENOSYS));
    }

    #[test]
    fn only_the_usual_sockets_exist() {
        for family in [1, 2, 10, 16] {
            assert_eq!(here(libc::SYS_socket, family), libc::SECCOMP_RET_ALLOW);
        }
        for family in [17, 38, 40] {
            assert_eq!(here(libc::SYS_socket, family), fail(libc::EAFNOSUPPORT));
        }
    }

    #[test]
    fn files_and_pipes_may_be_made_and_devices_not() {
        for (mode, allowed) in
            [(0o100_644, true), (0o010_644, true), (0o020_666, false), (0o060_666, false)]
        {
            let expected = if allowed { libc::SECCOMP_RET_ALLOW } else { fail(libc::EPERM) };
            assert_eq!(here(libc::SYS_mknodat, mode), expected, "{mode:o}");
        }
    }

    #[test]
    fn another_architecture_and_the_x32_twins_are_refused() {
        assert_eq!(answer(0x4000_0003, 1, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(answer(ARCHITECTURE, X32_BIT | 1, [0; 6]), fail(libc::ENOSYS));
    }

    #[test]
    fn the_table_is_what_was_reviewed() {
        let mut names: Vec<&str> = TABLE.iter().map(|row| row.0).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "a call is listed twice");
        assert!(TABLE.iter().all(|row| !row.3.is_empty()));
        let expected = "acct add_key adjtimex bpf chroot clock_adjtime clock_settime clone clone3 \
            delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick init_module \
            io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load \
            kexec_load keyctl lookup_dcookie migrate_pages mknod mknodat modify_ldt mount \
            mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at \
            open_tree open_tree_attr perf_event_open personality pidfd_getfd pivot_root \
            process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot \
            request_key setdomainname sethostname setns settimeofday socket swapoff swapon syslog \
            umount2 unshare uselib userfaultfd vhangup";
        if cfg!(target_arch = "x86_64") {
            assert_eq!(names.join(" "), expected);
        }
    }
}
