//! The name servers that the host really asks.

use std::fs;
use std::net::IpAddr;

/// `/etc/resolv.conf` first; when that names nothing but a stub on the host's loopback, which no
/// sandbox can reach, the files that programs with such a stub keep for others.
const FILES: [&str; 3] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
];

/// The host's name servers as a sandbox may use them.
pub fn upstream_resolvers() -> Vec<IpAddr> {
    FILES
        .iter()
        .map(|path| reachable(&fs::read_to_string(path).unwrap_or_default()))
        .find(|servers| !servers.is_empty())
        .unwrap_or_default()
}

fn reachable(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .filter(|server: &IpAddr| !server.is_loopback())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_on_the_loopback_is_no_resolver_and_comments_are_no_addresses() {
        assert!(reachable("# x\nnameserver 127.0.0.53\nnameserver ::1\noptions edns0").is_empty());
        let text = "search a\n nameserver\t10.0.0.2 # here\nnameserver fd00::1\nnameserver x\n";
        let wanted: [IpAddr; 2] = ["10.0.0.2".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(reachable(text), wanted);
    }
}
