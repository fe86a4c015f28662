//! The looking itself: files of `/proc` and `/sys`, harmless system calls.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::{Finding, Guarantee, State};
use crate::namespace::cgroup::Cgroups;

/// Descriptors that a thousand environments need: some five each, and the daemon's own.
const WANTED_DESCRIPTORS: u64 = 8_192;

/// The oldest kernel with everything that is used: clone3 into a v2 group is 5.7, `openat2` 5.6,
/// `close_range` 5.9.
const OLDEST_KERNEL: (u32, u32) = (5, 9);

/// Looks at everything.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![root(), kernel()];
    findings.push(namespaces());
    findings.push(seccomp());
    findings.extend(control_groups());
    findings.extend([nft(), forwarding(), descriptors(), kvm()]);
    findings
}

fn fine(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        what,
        state: State::Fine,
        detail: detail.into(),
        guarantee: None,
        remedy: None,
    }
}

fn not_fine(
    (what, state): (&'static str, State),
    detail: impl Into<String>,
    guarantee: Option<Guarantee>,
    remedy: &str,
) -> Finding {
    let remedy = Some(remedy.to_owned());
    Finding {
        what,
        state,
        detail: detail.into(),
        guarantee,
        remedy,
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn root() -> Finding {
    let effective = read("/proc/self/status");
    let capabilities = effective
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"));
    let bits = capabilities
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    // CAP_SYS_ADMIN is number 21 (linux/capability.h).
    if rustix::process::geteuid().is_root() && bits & (1 << 21) != 0 {
        return fine("privileges", "root, may make namespaces");
    }
    let remedy = "run it as root (sudo dormouse serve); in a container: --privileged";
    not_fine(
        ("privileges", State::Missing),
        "not root, or without CAP_SYS_ADMIN",
        None,
        remedy,
    )
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease");
    let arch = std::env::consts::ARCH;
    let mut numbers = release
        .split(['.', '-'])
        .map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= OLDEST_KERNEL {
        return fine("kernel", format!("{release} on {arch}"));
    }
    let (major, minor) = OLDEST_KERNEL;
    let remedy = format!("boot a kernel of version {major}.{minor} or later");
    not_fine(
        ("kernel", State::Missing),
        format!("{release} is too old"),
        None,
        &remedy,
    )
}

fn namespaces() -> Finding {
    let kinds = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"];
    let missing: Vec<&str> = kinds
        .into_iter()
        .filter(|kind| {
            let limit = read(&format!("/proc/sys/user/max_{kind}_namespaces"));
            !Path::new(&format!("/proc/self/ns/{kind}")).exists() || limit == "0"
        })
        .collect();
    if missing.is_empty() {
        return fine("namespaces", kinds.join(", "));
    }
    let remedy = "sysctl -w user.max_KIND_namespaces=65536, or a kernel that has them";
    let detail = format!("not available: {}", missing.join(", "));
    not_fine(("namespaces", State::Missing), detail, None, remedy)
}

fn seccomp() -> Finding {
    let actions = read("/proc/sys/kernel/seccomp/actions_avail");
    if actions.contains("errno") {
        return fine("system call filter", "seccomp");
    }
    let remedy = "boot a kernel with CONFIG_SECCOMP_FILTER";
    not_fine(
        ("system call filter", State::Missing),
        "no seccomp",
        None,
        remedy,
    )
}

fn control_groups() -> Vec<Finding> {
    let layout = match Cgroups::look() {
        Ok(layout) => layout,
        Err(error) => {
            let remedy = "mount the cgroup2 file system at /sys/fs/cgroup";
            return vec![not_fine(
                ("control groups", State::Missing),
                error.to_string(),
                Some(Guarantee::MemoryLimit),
                remedy,
            )];
        }
    };
    let mut findings = vec![fine("control groups", layout.words())];
    findings.extend(layout.missing().into_iter().map(|guarantee| {
        let remedy = match guarantee {
            Guarantee::Freeze => "mount the cgroup2 file system (mount -t cgroup2 none /sys/fs/cgroup)",
            _ => "enable the controller (cgroup_enable=memory on the kernel's command line; with systemd: Delegate=yes)",
        };
        let what = match guarantee {
            Guarantee::MemoryLimit => "memory limit",
            Guarantee::CpuShare => "cpu share",
            Guarantee::ProcessLimit => "process limit",
            _ => "freezing",
        };
        not_fine((what, State::Missing), "no control group gives it", Some(guarantee), remedy)
    }));
    findings
}

fn nft() -> Finding {
    let places = [
        "/usr/sbin/nft",
        "/sbin/nft",
        "/usr/bin/nft",
        "/usr/local/sbin/nft",
    ];
    match places.into_iter().find(|place| Path::new(place).exists()) {
        Some(place) => fine("outbound network", format!("by veth and {place}")),
        None => not_fine(
            ("outbound network", State::Missing),
            "the program nft is not installed",
            Some(Guarantee::OutboundNetwork),
            "apt-get install nftables, or start with --network none",
        ),
    }
}

fn forwarding() -> Finding {
    if read("/proc/sys/net/ipv4/ip_forward") == "1" {
        return fine("ip forwarding", "on");
    }
    not_fine(
        ("ip forwarding", State::Weaker),
        "off; the server turns it on when functions may reach the outside",
        None,
        "sysctl -w net.ipv4.ip_forward=1, or start with --network none",
    )
}

fn descriptors() -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if limit >= WANTED_DESCRIPTORS {
        return fine("open files", format!("{limit} allowed"));
    }
    let detail = format!(
        "{limit} allowed: enough for about {} environments",
        limit / 6
    );
    not_fine(
        ("open files", State::Weaker),
        detail,
        None,
        "ulimit -n 65536 (systemd: LimitNOFILE)",
    )
}

fn kvm() -> Finding {
    if Path::new("/dev/kvm").exists() {
        return fine(
            "/dev/kvm",
            "there (not used yet; whether a microVM really runs shows only by booting one)",
        );
    }
    fine("/dev/kvm", "absent (not needed)")
}
