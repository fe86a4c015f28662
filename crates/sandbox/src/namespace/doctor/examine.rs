//! The looking itself: files of `/proc` and `/sys`, harmless system calls.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

use super::{Finding, Guarantee, State};
use crate::namespace::cgroup::Cgroups;

/// Descriptors that a thousand environments need: some five each, and the daemon's own.
const WANTED_DESCRIPTORS: u64 = 8_192;

/// The oldest kernel with everything that is used: clone3 into a v2 group is 5.7, `openat2` 5.6,
/// `close_range` 5.9.
const OLDEST_KERNEL: (u32, u32) = (5, 9);

/// From here on a v2 group is killed as a whole (`cgroup.kill`).
const KERNEL_WITH_GROUP_KILL: (u32, u32) = (5, 14);

/// Process numbers that a thousand environments need: node alone has eleven threads.
const WANTED_PROCESS_NUMBERS: u64 = 32_768;

/// Where the program may be; search paths of users lack the directories of root.
const NFT_PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"];

/// Looks at everything.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![root(), kernel()];
    findings.push(namespaces());
    findings.push(seccomp());
    findings.extend(control_groups());
    findings.extend([nft(), forwarding()]);
    findings.extend(firewall());
    findings.extend([descriptors(), process_numbers(), kvm()]);
    findings
}

fn fine(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, state: State::Fine, detail: detail.into(), guarantee: None, remedy: None }
}

fn not_fine(
    (what, state): (&'static str, State),
    detail: impl Into<String>,
    guarantee: Option<Guarantee>,
    remedy: &str,
) -> Finding {
    let remedy = Some(remedy.to_owned());
    Finding { what, state, detail: detail.into(), guarantee, remedy }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn root() -> Finding {
    let effective = read("/proc/self/status");
    let capabilities = effective.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    // CAP_SYS_ADMIN is number 21 (linux/capability.h).
    if rustix::process::geteuid().is_root() && bits & (1 << 21) != 0 {
        return fine("privileges", "root, may make namespaces");
    }
    let remedy = "run it as root (sudo dormouse serve); in a container: --privileged";
    not_fine(("privileges", State::Missing), "not root, or without CAP_SYS_ADMIN", None, remedy)
}

fn kernel() -> Finding {
    let page_bytes = rustix::param::page_size();
    judge_kernel(&read("/proc/sys/kernel/osrelease"), std::env::consts::ARCH, page_bytes)
}

fn judge_kernel(release: &str, arch: &str, page_bytes: usize) -> Finding {
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let detail = format!("{release} on {arch}, pages of {page_bytes} bytes");
    let (state, detail, (major, minor)) = if version < OLDEST_KERNEL {
        (State::Missing, format!("{release} is too old"), OLDEST_KERNEL)
    } else if version < KERNEL_WITH_GROUP_KILL {
        let detail = format!("{detail}; sandboxes are killed process by process");
        (State::Weaker, detail, KERNEL_WITH_GROUP_KILL)
    } else {
        return fine("kernel", detail);
    };
    let remedy = format!("boot a kernel of version {major}.{minor} or later");
    not_fine(("kernel", state), detail, None, &remedy)
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
    not_fine(("system call filter", State::Missing), "no seccomp", None, remedy)
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
    match NFT_PLACES.into_iter().find(|place| Path::new(place).exists()) {
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

/// Packets of sandboxes pass our rules and those of everybody else: a firewall that drops what it
/// does not know drops them too. Only seen by root, and only if it speaks nftables.
fn firewall() -> Option<Finding> {
    let rules = NFT_PLACES.into_iter().find(|place| Path::new(place).exists()).and_then(|nft| {
        let listed = Command::new(nft).args(["list", "chains"]).env_clear().output().ok()?;
        Some(String::from_utf8_lossy(&listed.stdout).into_owned())
    })?;
    let table = dropping_table(&rules)?;
    Some(not_fine(
        ("firewall", State::Weaker),
        format!("{table} drops forwarded packets it does not know, those of functions too"),
        None,
        "iptables -I FORWARD -i dm+ -j ACCEPT; iptables -I FORWARD -o dm+ -j ACCEPT (with Docker: \
         into the chain DOCKER-USER)",
    ))
}

/// The first table, not ours, with a chain for forwarded packets whose policy is to drop.
fn dropping_table(listed: &str) -> Option<&str> {
    let mut table = "";
    for line in listed.lines().map(str::trim) {
        if line.starts_with("table ") {
            table = line.trim_end_matches(['{', ' ']);
        }
        let drops = line.contains("hook forward") && line.contains("policy drop");
        if drops && !table.contains(" dormouse_") {
            return Some(table);
        }
    }
    None
}

fn descriptors() -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if limit >= WANTED_DESCRIPTORS {
        return fine("open files", format!("{limit} allowed"));
    }
    let detail = format!("{limit} allowed: enough for about {} environments", limit / 6);
    not_fine(("open files", State::Weaker), detail, None, "ulimit -n 65536 (systemd: LimitNOFILE)")
}

fn process_numbers() -> Finding {
    let limit = read("/proc/sys/kernel/pid_max").parse::<u64>().unwrap_or(0);
    if limit >= WANTED_PROCESS_NUMBERS {
        return fine("process numbers", format!("{limit}, threads included"));
    }
    let remedy = "sysctl -w kernel.pid_max=4194304";
    not_fine(("process numbers", State::Weaker), format!("only {limit}"), None, remedy)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_judged_by_what_they_have() {
        for (release, state) in [
            ("6.18.44-fc", State::Fine),
            ("5.14.0-427.el9.x86_64", State::Fine),
            ("5.10.0-28-amd64", State::Weaker),
            ("5.9-rc1", State::Weaker),
            ("5.4.0", State::Missing),
            ("", State::Missing),
        ] {
            let finding = judge_kernel(release, "x86_64", 4096);
            assert_eq!(finding.state, state, "{release}");
            assert_eq!(finding.remedy.is_none(), state == State::Fine);
        }
    }

    #[test]
    fn a_firewall_that_drops_what_it_does_not_know_is_named() {
        let docker = "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority \
                      filter; policy drop;\n\t}\n}\n";
        assert_eq!(dropping_table(docker), Some("table ip filter"));
        assert_eq!(dropping_table(&docker.replace("drop", "accept")), None);
        assert_eq!(dropping_table(&docker.replace("ip filter", "inet dormouse_x")), None);
        assert_eq!(dropping_table(&docker.replace("hook forward", "hook input")), None);
        assert_eq!(dropping_table(""), None);
    }

    #[test]
    fn known_guarantees_are_listed_when_a_name_is_wrong() {
        let error = "memory".parse::<Guarantee>().unwrap_err().to_string();
        assert!(
            error.contains("\"memory\"") && error.contains("memory-limit, cpu-share"),
            "{error}"
        );
        for guarantee in Guarantee::ALL {
            assert_eq!(guarantee.to_string().parse(), Ok(guarantee));
        }
    }
}
