//! Veth pairs, addresses and routes.
//!
//! Everything inside a sandbox's namespace is done by a thread that lives for this only and ends
//! there: a thread of the daemon that stayed in a sandbox's namespace would open its next socket
//! there.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;

use rustix::thread::LinkNameSpaceType;

use super::netlink::{CREATE, Message, Socket, number};
use super::subnet::{Routed, Subnet};

/// What the link is called inside.
const INSIDE_NAME: &str = "eth0";

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const IFF_UP: u32 = 1;
const IFF_NOARP: u32 = 0x80;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_NOWHERE: u8 = 255;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;

/// A sandbox's network namespace, held open.
#[derive(Debug)]
pub(super) struct Namespace(File);

impl Namespace {
    /// The one that a process is in. Our own is refused: no mistake of a caller shall set up
    /// addresses on the host.
    pub(super) fn of(pid: i32) -> io::Result<Self> {
        let theirs = File::open(format!("/proc/{pid}/ns/net"))?;
        let ours = std::fs::metadata("/proc/thread-self/ns/net")?;
        if theirs.metadata()?.ino() == ours.ino() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self(theirs))
    }
}

/// The two ends of a veth pair.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) host: String,
    /// Marks the host's end as ours.
    pub(super) group: u32,
    pub(super) host_address: Ipv4Addr,
    pub(super) sandbox_address: Ipv4Addr,
    /// Whether the kernel has IPv6, which must then be kept off the link.
    pub(super) ipv6: bool,
}

/// Whether a pair was made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Connected {
    /// It is up.
    Yes,
    /// Nothing was done: a link of this name is still there.
    NameTaken,
}

/// Makes the pair, with one end in the sandbox from the start, and brings both up.
pub(super) fn connect(inside: &Namespace, ends: &Ends) -> io::Result<Connected> {
    let socket = Socket::route()?;
    match socket.request(vec![pair(inside, ends)]) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Or it is the name inside: then another slot would not help.
            index(&socket, &ends.host).map_err(|_| error)?;
            return Ok(Connected::NameTaken);
        }
        other => other?,
    }
    let host = index(&socket, &ends.host)?;
    socket.request(end(host, ends, ends.host_address, ends.sandbox_address))?;
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, || finish_inside(inside, ends))?;
        worker.join().unwrap_or_else(|_| Err(io::Error::other("thread for a namespace panicked")))
    })?;
    socket.request(vec![settle(host)])?;
    Ok(Connected::Yes)
}

/// Must run in a thread of its own: it does not come back to the host's namespace.
fn finish_inside(inside: &Namespace, ends: &Ends) -> io::Result<()> {
    let network = Some(LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(inside.0.as_fd(), network)?;
    let socket = Socket::route()?;
    let index = index(&socket, INSIDE_NAME)?;
    let mut all = end(index, ends, ends.sandbox_address, ends.host_address);
    all.push(default_route(index, ends.host_address));
    socket.request(all)
}

/// What makes an end of a pair usable. IPv6 comes first: a link that is up has made itself an
/// address already.
fn end(index: u32, ends: &Ends, own: Ipv4Addr, other: Ipv4Addr) -> Vec<Message> {
    let mut all = Vec::new();
    if ends.ipv6 {
        all.push(without_ipv6(index));
    }
    all.extend([up(index), address(index, own), neighbour(index, other, ends.hardware())]);
    all
}

impl Ends {
    /// Both ends have the same hardware address: each then is the right one to send to.
    fn hardware(&self) -> [u8; 6] {
        let [first, second, third, fourth] = self.sandbox_address.octets();
        // 02: given by us, not by a manufacturer.
        [0x02, 0x64, first, second, third, fourth]
    }
}

fn index(socket: &Socket, name: &str) -> io::Result<u32> {
    Ok(rustix::net::netdevice::name_to_index(socket, name)?)
}

/// `struct ifinfomsg`
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// Neither end speaks ARP: who is at the other one is known, and the host must not tell a sandbox
/// which addresses it has. One queue each, as many as there are processors would cost time.
fn pair(inside: &Namespace, ends: &Ends) -> Message {
    let namespace =
        u32::try_from(inside.0.as_raw_fd()).expect("an open descriptor is not negative");
    let common = |message: &mut Message, name: &str| {
        message.text(IFLA_IFNAME, name);
        message.attribute(IFLA_ADDRESS, &ends.hardware());
        message.number(IFLA_NUM_TX_QUEUES, 1);
        message.number(IFLA_NUM_RX_QUEUES, 1);
    };
    let mut message = Message::new(RTM_NEWLINK, CREATE, &link_header(0, IFF_NOARP));
    common(&mut message, &ends.host);
    message.number(IFLA_GROUP, ends.group);
    message.nest(IFLA_LINKINFO, |info| {
        info.attribute(IFLA_INFO_KIND, b"veth");
        info.nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |peer| {
                peer.raw(&link_header(0, IFF_NOARP));
                common(peer, INSIDE_NAME);
                peer.number(IFLA_NET_NS_FD, namespace);
            });
        });
    });
    message
}

/// The host's end was up first, and learns of the other one by work that the kernel does later:
/// until then it drops what is for the sandbox, and a lost first packet costs a whole second.
/// Being asked about the link, the kernel does that work at once.
fn settle(index: u32) -> Message {
    Message::new(RTM_GETLINK, 0, &link_header(index, 0))
}

fn up(index: u32) -> Message {
    Message::new(RTM_NEWLINK, 0, &link_header(index, IFF_UP))
}

/// Keeps a link from making itself an IPv6 address when it comes up.
fn without_ipv6(index: u32) -> Message {
    let mut message = Message::new(RTM_NEWLINK, 0, &link_header(index, 0));
    message.nest(IFLA_AF_SPEC, |spec| {
        spec.nest(AF_INET6, |inet6| {
            inet6.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
        });
    });
    message
}

/// Says who is at the other end. A permanent entry does not count against the limit of the host's
/// table, which is one for all namespaces and by default too small for a thousand sandboxes.
fn neighbour(index: u32, other: Ipv4Addr, hardware: [u8; 6]) -> Message {
    let mut header = [0; 12];
    header[0] = AF_INET;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    let mut message = Message::new(RTM_NEWNEIGH, CREATE, &header);
    message.attribute(NDA_DST, &other.octets());
    message.attribute(NDA_LLADDR, &hardware);
    message
}

/// One end of a pair of addresses.
fn address(index: u32, address: Ipv4Addr) -> Message {
    let mut header = [AF_INET, 31, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(RTM_NEWADDR, CREATE, &header);
    message.attribute(IFA_LOCAL, &address.octets());
    message.attribute(IFA_ADDRESS, &address.octets());
    message
}

/// `struct rtmsg`
fn route_header(prefix: u8, scope: u8, kind: u8) -> [u8; 12] {
    [AF_INET, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, kind, 0, 0, 0, 0]
}

fn default_route(index: u32, gateway: Ipv4Addr) -> Message {
    let mut message = Message::new(RTM_NEWROUTE, CREATE, &route_header(0, 0, RTN_UNICAST));
    message.attribute(RTA_GATEWAY, &gateway.octets());
    message.number(RTA_OIF, index);
    message
}

/// What the host has routes for.
pub(super) fn routed() -> io::Result<Vec<Routed>> {
    let routes = Socket::route()?.list(RTM_GETROUTE, &route_header(0, 0, 0))?;
    let destination = |octets: &[u8]| octets.try_into().ok().map(|it: [u8; 4]| Ipv4Addr::from(it));
    Ok(routes
        .iter()
        .filter(|route| route.byte(0) == AF_INET)
        .filter_map(|route| {
            let network = destination(route.attribute(RTA_DST)?)?;
            Some(Routed { network, prefix: route.byte(1) })
        })
        .collect())
}

/// Takes the range: other daemons see the route and choose another one, and packets to a sandbox
/// that is gone do not wander off by the default route. The metric says whose it is.
pub(super) fn claim(subnet: Subnet, metric: u32) -> io::Result<()> {
    Socket::route()?.request(vec![claim_message(RTM_NEWROUTE, CREATE, subnet.network(), metric)])
}

/// Gives back every range with our metric.
pub(super) fn unclaim(metric: u32) -> io::Result<()> {
    let socket = Socket::route()?;
    for route in socket.list(RTM_GETROUTE, &route_header(0, 0, 0))? {
        let ours = route.byte(0) == AF_INET
            && route.byte(1) == 16
            && route.byte(7) == RTN_BLACKHOLE
            && route.attribute(RTA_PRIORITY).map(number) == Some(metric);
        let network = route.attribute(RTA_DST).and_then(|it| <[u8; 4]>::try_from(it).ok());
        if let (true, Some(network)) = (ours, network) {
            let network = Ipv4Addr::from(network);
            socket.request(vec![claim_message(RTM_DELROUTE, 0, network, metric)])?;
        }
    }
    Ok(())
}

fn claim_message(kind: u16, flags: u16, network: Ipv4Addr, metric: u32) -> Message {
    let scope = if kind == RTM_DELROUTE { RT_SCOPE_NOWHERE } else { 0 };
    let mut message = Message::new(kind, flags, &route_header(16, scope, RTN_BLACKHOLE));
    message.attribute(RTA_DST, &network.octets());
    message.number(RTA_PRIORITY, metric);
    message
}

/// Deletes all links of a group at once. Only for leftovers: it takes some 25 ms.
pub(super) fn delete_links(group: u32) -> io::Result<()> {
    let mut deletion = Message::new(RTM_DELLINK, 0, &link_header(0, 0));
    deletion.number(IFLA_GROUP, group);
    match Socket::route()?.request(vec![deletion]) {
        // There is none.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 3);
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 2);

    fn check(message: Message, expected: &str) {
        let text: String = message.finish(0, 1).iter().map(|it| format!("{it:02x}")).collect();
        assert_eq!(text, expected.replace(' ', ""));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn requests_are_what_the_kernel_reads() {
        check(up(7), "20000000 1000 0100 01000000 00000000 00 00 0000 07000000 01000000 01000000");
        check(
            without_ipv6(7),
            "30000000 1000 0100 01000000 00000000 00 00 0000 07000000 00000000 00000000 \
             1000 1a00 0c00 0a00 0500 0800 01 000000",
        );
        check(
            address(7, OWN),
            "28000000 1400 0106 01000000 00000000 02 1f 00 00 07000000 \
             0800 0200 0ad50003 0800 0100 0ad50003",
        );
        check(
            neighbour(7, OTHER, [2, 100, 10, 213, 0, 3]),
            "30000000 1c00 0106 01000000 00000000 02 00 0000 07000000 8000 00 00 \
             0800 0100 0ad50002 0a00 0200 02640ad50003 0000",
        );
        check(
            default_route(7, OTHER),
            "2c000000 1800 0106 01000000 00000000 02 00 00 00 fe 04 00 01 00000000 \
             0800 0500 0ad50002 0800 0400 07000000",
        );
        check(
            claim_message(RTM_DELROUTE, 0, Ipv4Addr::new(10, 213, 0, 0), 0xd000_0001),
            "2c000000 1900 0100 01000000 00000000 02 10 00 00 fe 04 ff 06 00000000 \
             0800 0100 0ad50000 0800 0600 010000d0",
        );
    }

    #[test]
    fn ipv6_is_switched_off_before_the_link_is_switched_on() {
        let ends = Ends {
            host: "dm000000-1".to_owned(),
            group: 1,
            host_address: OTHER,
            sandbox_address: OWN,
            ipv6: true,
        };
        let all = end(7, &ends, OWN, OTHER);
        let flags: Vec<u8> = all[..2].iter().map(|it| it.clone().finish(0, 1)[24]).collect();
        assert_eq!(flags, [0, 1]);
    }
}
