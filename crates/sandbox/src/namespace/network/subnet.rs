//! The address range of the sandboxes: a /16, cut into pairs.
//!
//! Pure: which ranges are routed already is an argument.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::NetworkError;

/// A range of 65,536 IPv4 addresses, such as `10.213.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    network: u32,
}

/// A text that is no /16.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an IPv4 range like 10.213.0.0/16")]
pub struct ParseSubnetError {
    /// The text.
    pub text: String,
}

/// Tried in order: unlikely corners of the private ranges, then the range for benchmarks, which is
/// routed nowhere.
const CANDIDATES: [Subnet; 13] = [
    Subnet::new(10, 213),
    Subnet::new(10, 214),
    Subnet::new(10, 215),
    Subnet::new(10, 216),
    Subnet::new(10, 217),
    Subnet::new(10, 218),
    Subnet::new(10, 219),
    Subnet::new(10, 220),
    Subnet::new(172, 31),
    Subnet::new(172, 30),
    Subnet::new(172, 29),
    Subnet::new(198, 18),
    Subnet::new(198, 19),
];

/// A destination that the host has a route for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Routed {
    pub(super) network: Ipv4Addr,
    pub(super) prefix: u8,
}

impl Subnet {
    const fn new(first: u8, second: u8) -> Self {
        Self { network: u32::from_be_bytes([first, second, 0, 0]) }
    }

    /// Its first address.
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network)
    }

    pub(super) fn host_end(self, slot: u16) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network + u32::from(slot) * 2)
    }

    pub(super) fn sandbox_end(self, slot: u16) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network + u32::from(slot) * 2 + 1)
    }

    /// Ranges either contain each other or have nothing in common.
    fn overlaps(self, routed: Routed) -> bool {
        let shorter = u32::from(routed.prefix.min(16));
        let mask = u32::MAX.checked_shl(32 - shorter).unwrap_or(0);
        (self.network ^ routed.network.to_bits()) & mask == 0
    }
}

/// Shorter ones stand for everything, as the default route and its halves that some tunnels use,
/// and count for nothing.
const SHORTEST_PREFIX: u8 = 8;

/// The range to use.
pub(super) fn choose(wanted: Option<Subnet>, routed: &[Routed]) -> Result<Subnet, NetworkError> {
    let free = |subnet: &Subnet| {
        !routed.iter().any(|routed| routed.prefix >= SHORTEST_PREFIX && subnet.overlaps(*routed))
    };
    match wanted {
        Some(subnet) if free(&subnet) => Ok(subnet),
        Some(subnet) => Err(NetworkError::SubnetTaken { subnet }),
        None => CANDIDATES.into_iter().find(free).ok_or(NetworkError::NoFreeSubnet),
    }
}

pub(super) fn candidates() -> String {
    CANDIDATES.map(|subnet| subnet.to_string()).join(", ")
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/16", self.network())
    }
}

impl FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseSubnetError { text: text.to_owned() };
        let address: Ipv4Addr =
            text.strip_suffix("/16").and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
        let [first, second, third, fourth] = address.octets();
        let usable = address.is_private() || (first == 198 && second & 0xfe == 18) || first == 100;
        if third == 0 && fourth == 0 && usable {
            Ok(Self::new(first, second))
        } else {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: Option<&str>, routes: &str, expected: &str) {
        let routed: Vec<Routed> = routes
            .split_whitespace()
            .map(|route| {
                let (network, prefix) = route.split_once('/').unwrap();
                Routed { network: network.parse().unwrap(), prefix: prefix.parse().unwrap() }
            })
            .collect();
        let chosen = choose(wanted.map(|it| it.parse().unwrap()), &routed);
        let text = chosen.map_or_else(|error| error.to_string(), |subnet| subnet.to_string());
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn the_first_range_that_no_route_touches_is_taken() {
        check(None, "", "10.213.0.0/16");
        check(None, "0.0.0.0/0 0.0.0.0/1 192.168.1.0/24 10.212.255.0/24", "10.213.0.0/16");
        check(None, "10.213.7.2/31", "10.214.0.0/16");
        check(None, "10.213.0.0/16 10.214.0.0/17", "10.215.0.0/16");
        check(None, "10.208.0.0/12", "172.31.0.0/16");
        check(None, "10.0.0.0/8 172.16.0.0/12", "198.18.0.0/16");
        check(None, "10.0.0.0/8 172.16.0.0/12 198.18.0.0/15", "no free address range");
    }

    #[test]
    fn a_wanted_range_is_taken_or_refused_never_replaced() {
        check(Some("10.99.0.0/16"), "10.213.0.0/16", "10.99.0.0/16");
        check(Some("10.99.0.0/16"), "10.99.1.0/24", "address range 10.99.0.0/16 is routed");
    }

    #[test]
    fn only_whole_private_ranges_are_read() {
        for text in ["10.213.0.0", "10.213.0.0/24", "10.213.1.0/16", "8.8.0.0/16", "x/16", ""] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
        let subnet: Subnet = "192.168.0.0/16".parse().unwrap();
        assert_eq!(subnet.host_end(1).to_string(), "192.168.0.2");
        assert_eq!(subnet.sandbox_end(32_766).to_string(), "192.168.255.253");
    }
}
