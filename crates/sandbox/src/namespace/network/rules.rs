//! The static nft table that judges every packet of every sandbox.
//!
//! Owns the table `dormouse_<instance>` and nothing else of the host's rules. Loaded in one
//! transaction by the program `nft`, once: no rule is added or removed for a single sandbox.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::netlink::{Message, Socket};
use super::subnet::Subnet;
use super::{Names, NetworkError};

/// Where the program may be; a daemon's search path often lacks the directories of root.
const NFT_PLACES: [&str; 5] = [
    "/usr/sbin/nft",
    "/sbin/nft",
    "/usr/bin/nft",
    "/usr/local/sbin/nft",
    "/run/current-system/sw/bin/nft",
];

/// Longer instance names are cut.
const TABLE_NAME_CHARS: usize = 100;

/// The table and how it is loaded.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    nft: PathBuf,
    table: String,
    script: String,
}

impl Rules {
    pub(super) fn new(
        nft: PathBuf,
        instance: &str,
        names: &Names,
        subnet: Subnet,
        resolvers: &[IpAddr],
    ) -> Self {
        let table = table_name(instance);
        let script = script(&table, &names.prefix, subnet, resolvers);
        Self { nft, table, script }
    }

    /// Puts the table in place, whether it is there or not.
    pub(super) fn load(&self) -> Result<(), NetworkError> {
        run(&self.nft, &self.script)
    }

    /// Asks the kernel; a few microseconds.
    pub(super) fn are_loaded(&self) -> io::Result<bool> {
        // linux/netfilter/nf_tables.h: NFT_MSG_GETTABLE 1 of subsystem 10, NFTA_TABLE_NAME 1,
        // family inet 1.
        let mut question = Message::new(10 << 8 | 1, 0, &[1, 0, 0, 0]);
        question.text(1, &self.table);
        let socket = Socket::open(Some(rustix::net::netlink::NETFILTER))?;
        match socket.request(vec![question]) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove(&self) -> Result<(), NetworkError> {
        run(&self.nft, &removal(&self.table))
    }
}

/// Without the program no predecessor can have loaded anything that we could remove.
pub(super) fn remove_leftover(instance: &str) -> Result<(), NetworkError> {
    let Some(nft) = nft_program() else { return Ok(()) };
    run(&nft, &removal(&table_name(instance)))
}

pub(super) fn nft_program() -> Option<PathBuf> {
    NFT_PLACES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned)
}

/// nft knows only letters, digits and `_` in names; the kernel knows no names above 255 bytes.
fn table_name(instance: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
    let name: String = instance.chars().map(plain).take(TABLE_NAME_CHARS).collect();
    format!("dormouse_{name}")
}

/// Declaring before deleting makes the deletion succeed either way.
fn removal(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}

/// Everything a sandbox may not do is refused in `judge`, before anybody's address translation
/// could turn an address of the host (a published port of a container) into another one. The
/// chains after it say the same once more for what is delivered and forwarded.
fn script(table: &str, prefix: &str, subnet: Subnet, resolvers: &[IpAddr]) -> String {
    let names = names_rule(resolvers);
    let removal = removal(table);
    format!(
        r#"{removal}table inet {table} {{
  chain judge {{
    type filter hook prerouting priority mangle; policy accept;
    iifname != "{prefix}*" accept
    meta nfproto ipv6 drop
    ip saddr != {subnet} drop
    fib saddr . iif oif missing drop
    {names}
    fib daddr type local drop
    ip daddr {{ {subnet}, 169.254.0.0/16, 127.0.0.0/8 }} drop
  }}
  chain to_host {{
    type filter hook input priority filter - 5; policy accept;
    iifname != "{prefix}*" accept
    {names}
    drop
  }}
  chain across {{
    type filter hook forward priority filter - 5; policy accept;
    iifname "{prefix}*" oifname "{prefix}*" drop
    oifname "{prefix}*" ct state established,related accept
    oifname "{prefix}*" drop
  }}
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != "{prefix}*" masquerade
  }}
}}
"#
    )
}

/// The host's name servers may be asked wherever they are: on one of its own addresses, or on a
/// link-local one as in some clouds. Only for names: port 53.
fn names_rule(resolvers: &[IpAddr]) -> String {
    let addresses: Vec<String> =
        resolvers.iter().filter(|it| it.is_ipv4()).map(ToString::to_string).collect();
    if addresses.is_empty() {
        return "# the host asks no name server over IPv4".to_owned();
    }
    let addresses = addresses.join(", ");
    format!("ip daddr {{ {addresses} }} meta l4proto {{ tcp, udp }} th dport 53 accept")
}

fn run(nft: &Path, script: &str) -> Result<(), NetworkError> {
    let step = |source| NetworkError::Step { step: "nft", source };
    let mut child = Command::new(nft)
        .args(["-f", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(step)?;
    // If it does not even read its script its own words say why.
    let written = child.stdin.take().map_or(Ok(()), |mut it| it.write_all(script.as_bytes()));
    let output = child.wait_with_output().map_err(step)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(NetworkError::Rules { stderr });
    }
    written.map_err(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_name_only_our_own_links_and_range() {
        let subnet = "10.213.0.0/16".parse().unwrap();
        let text = script("dormouse_x", "dm00ff00-", subnet, &[]);
        assert!(text.starts_with("table inet dormouse_x\ndelete table inet dormouse_x\n"));
        let judging = text.lines().find(|it| it.contains("priority mangle")).unwrap();
        assert!(judging.contains("policy accept"), "traffic of others passes");
        assert!(text.contains(r#"iifname != "dm00ff00-*" accept"#));
        assert!(text.contains("ip saddr 10.213.0.0/16 oifname"));
    }

    #[test]
    fn name_servers_may_be_asked_for_names_only() {
        let servers = ["169.254.169.253".parse().unwrap(), "fd00::1".parse().unwrap()];
        let wanted = "ip daddr { 169.254.169.253 } meta l4proto { tcp, udp } th dport 53 accept";
        assert_eq!(names_rule(&servers), wanted);
    }

    #[test]
    fn table_names_have_nothing_that_nft_would_read_otherwise() {
        assert_eq!(table_name("a-b"), "dormouse_a_b");
        assert_eq!(table_name("x; flush ruleset"), "dormouse_x__flush_ruleset");
        assert!(table_name(&"x".repeat(999)).len() < 256);
    }
}
