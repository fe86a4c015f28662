//! What sandboxes reach through the host's network, and what they do not.
//!
//! Every test builds its own small world out of network namespaces: a host, an internet with one
//! server, rooms that stand for sandboxes. Nothing of the machine's own network is touched. Needs
//! root, `nft` and `ip`; says so aloud where they are missing.
#![expect(clippy::disallowed_methods, reason = "one of these measures real time")]
#![expect(unsafe_code, reason = "a thread leaves its network namespace")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test with a runner of its own, which clippy does not know for a test"
)]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod common;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::PATIENCE;
use common::harness::{self, Trial};
use dormouse_sandbox::namespace::cgroup::Cgroups;
use dormouse_sandbox::namespace::network::{Lease, NetworkHost};
use dormouse_sandbox::namespace::spawner::{self, Spawner};
use dormouse_sandbox::namespace::{Config, Criu, Namespace};
use dormouse_sandbox::{Backend, Network, ProcessId, ProcessSpec, Root, SandboxSpec};

/// How long a packet that must not arrive is waited for. Within one machine they take microseconds.
const WATCH: Duration = Duration::from_millis(200);

const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const ROUNDS: usize = 200;

fn main() -> ExitCode {
    if spawner::requested() {
        return spawner::main();
    }
    if let Some(reason) = impossible() {
        eprintln!("network tests do not run here: {reason}");
        return harness::main(Vec::new());
    }
    let mut times = Trial::new("the_time_it_takes_to_connect_a_sandbox", measure);
    times.ignored = true;
    harness::main(vec![
        Trial::new("a_sandbox_reaches_the_outside_as_the_host", reaches_the_outside),
        Trial::new("nothing_of_the_host_is_reachable", host_is_unreachable),
        Trial::new("a_port_the_host_passes_on_is_unreachable", published_port_is_unreachable),
        Trial::new("the_metadata_service_is_unreachable", metadata_is_unreachable),
        Trial::new("another_sandbox_is_unreachable", sandboxes_are_unreachable),
        Trial::new("nobody_outside_reaches_a_sandbox", outside_cannot_enter),
        Trial::new("a_false_sender_address_is_dropped", spoofing_is_dropped),
        Trial::new("a_sandbox_has_no_ipv6_address_outside_loopback", no_ipv6),
        Trial::new("nothing_is_left_after_the_end", nothing_is_left),
        Trial::new("a_killed_predecessor_is_cleared_away", predecessor_is_cleared),
        Trial::new("two_daemons_take_different_networks", two_daemons),
        Trial::new("a_place_whose_interface_is_still_there_is_passed_over", occupied_place),
        Trial::new(
            "rules_that_somebody_flushed_are_back_with_the_next_sandbox",
            flushed_rules_return,
        ),
        Trial::new("nobody_is_asked_who_is_at_the_other_end", neighbours_are_known),
        Trial::new("the_hosts_own_namespace_is_never_connected", own_namespace_is_refused),
        Trial::new("forwarding_is_switched_on", forwarding_is_switched_on),
        Trial::new("a_whole_sandbox_reaches_the_outside", whole_sandbox),
        times,
    ])
}

fn impossible() -> Option<&'static str> {
    let runs =
        |program: &str| Command::new(program).arg("-V").stdout(Stdio::null()).status().is_ok();
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    if !runs("nft") {
        return Some("needs nft (apt-get install nftables)");
    }
    (!runs("ip")).then_some("needs ip (apt-get install iproute2)")
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own, which ends with it.
struct Room {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    tid: i32,
}

impl Room {
    fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // SAFETY: only the network namespace is left, which no other thread notices.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
                .unwrap();
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            while let Ok(job) = queue.recv() {
                job();
            }
        });
        let tid = told.recv().unwrap();
        let room = Self { jobs: Some(jobs), thread: Some(thread), tid };
        room.ip("link set lo up");
        room
    }

    /// Does something in the room and gives its result.
    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (reply, answer) = mpsc::channel();
        let job: Job = Box::new(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let _ = reply.send(result);
        });
        self.jobs.as_ref().unwrap().send(job).unwrap();
        match answer.recv().unwrap() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn ip(&self, arguments: &str) {
        self.command("ip", arguments);
    }

    fn command(&self, program: &'static str, arguments: &str) -> String {
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        self.run(move || {
            let output = Command::new(program).args(&arguments).output().unwrap();
            assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        })
    }

    fn rules(&self, script: &'static str) {
        self.run(move || {
            let mut nft =
                Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            nft.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(nft.wait().unwrap().success());
        });
    }

    /// Connects this room's `here` with the other's `eth0`.
    fn connect(&self, other: &Room, here: &str, address: &str, there: &str) {
        self.ip(&format!("link add {here} type veth peer name eth0 netns {}", other.tid));
        self.ip(&format!("addr add {address} dev {here}"));
        self.ip(&format!("link set {here} up"));
        other.ip(&format!("addr add {there} dev eth0"));
        other.ip("link set eth0 up");
    }

    fn listen(&self, address: Ipv4Addr) -> TcpListener {
        self.run(move || TcpListener::bind((address, 0)).unwrap())
    }

    fn udp(&self, address: Ipv4Addr) -> UdpSocket {
        self.run(move || {
            let socket = UdpSocket::bind((address, 0)).unwrap();
            socket.set_read_timeout(Some(WATCH)).unwrap();
            socket
        })
    }

    fn dial(&self, address: Ipv4Addr, port: u16, wait: Duration) -> io::Result<TcpStream> {
        self.run(move || {
            TcpStream::connect_timeout(&SocketAddr::new(IpAddr::V4(address), port), wait)
        })
    }

    fn reaches(&self, address: Ipv4Addr, port: u16) -> bool {
        self.dial(address, port, PATIENCE).is_ok()
    }

    fn never_reaches(&self, address: Ipv4Addr, port: u16) -> bool {
        self.dial(address, port, WATCH).is_err()
    }

    fn links(&self) -> String {
        self.command("ip", "-o link")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().unwrap().join();
    }
}

/// A host with the internet behind it.
struct World {
    host: Room,
    internet: Room,
    /// Somebody in the internet who answers.
    anybody: TcpListener,
    network: NetworkHost,
}

impl World {
    fn new() -> Self {
        let (host, internet) = (Room::new(), Room::new());
        host.connect(&internet, "up0", "198.51.100.1/24", "198.51.100.2/24");
        let anybody = internet.listen(SERVER);
        let network = start(&host, "test");
        Self { host, internet, anybody, network }
    }

    fn attach(&self, room: &Room) -> Lease {
        attach(&self.host, &self.network, room)
    }

    /// A room whose way to the outside is open, so that what it cannot reach is refused to it.
    fn sandbox(&self) -> (Room, Lease) {
        let room = Room::new();
        let lease = self.attach(&room);
        assert!(room.reaches(SERVER, port(&self.anybody)));
        self.anybody.accept().unwrap();
        (room, lease)
    }
}

fn start(host: &Room, instance: &'static str) -> NetworkHost {
    host.run(move || NetworkHost::start(instance, None).unwrap())
}

fn attach(host: &Room, network: &NetworkHost, room: &Room) -> Lease {
    let (network, tid) = (network.clone(), room.tid);
    host.run(move || network.attach(tid).unwrap())
}

/// The end of the youngest sandbox's link.
fn interface(host: &Room) -> String {
    let links = host.links();
    let mut names = links.lines().rev().filter_map(|line| line.split([' ', '@']).nth(1));
    names.find(|name| name.starts_with("dm")).unwrap().to_owned()
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

fn reaches_the_outside() {
    let world = World::new();
    let (sandbox, _lease) = world.sandbox();
    let server = world.internet.listen(SERVER);
    let mut client = sandbox.dial(SERVER, port(&server), PATIENCE).unwrap();
    let (mut served, from) = server.accept().unwrap();
    assert_eq!(from.ip(), HOST, "the sender is hidden behind the host");
    served.write_all(b"hello").unwrap();
    drop(served);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
}

fn host_is_unreachable() {
    let world = World::new();
    let (sandbox, lease) = world.sandbox();
    let everywhere = world.host.listen(Ipv4Addr::UNSPECIFIED);
    let loopback = world.host.listen(Ipv4Addr::LOCALHOST);
    assert!(world.internet.reaches(HOST, port(&everywhere)), "the listener works");
    // The other end of its own link.
    let gateway = Ipv4Addr::from_bits(lease.address().to_bits() - 1);
    for address in [HOST, gateway, Ipv4Addr::LOCALHOST, lease.address()] {
        for listener in [&everywhere, &loopback] {
            assert!(sandbox.never_reaches(address, port(listener)), "{address}");
        }
    }
    let heard = world.host.udp(Ipv4Addr::UNSPECIFIED);
    let to = heard.local_addr().unwrap().port();
    let speaker = sandbox.udp(Ipv4Addr::UNSPECIFIED);
    speaker.send_to(b"x", (HOST, to)).unwrap();
    assert!(heard.recv(&mut [0; 8]).is_err(), "no datagram arrives either");
}

fn published_port_is_unreachable() {
    let world = World::new();
    let container = Room::new();
    world.host.connect(&container, "box0", "172.30.0.1/24", "172.30.0.2/24");
    container.ip("route add default via 172.30.0.1");
    let service = container.run(|| TcpListener::bind("172.30.0.2:7000").unwrap());
    world.host.rules(
        "table ip other { chain incoming { type nat hook prerouting priority dstnat; \
         ip daddr 198.51.100.1 tcp dport 7777 dnat to 172.30.0.2:7000\n}\n}\n",
    );
    assert!(world.internet.reaches(HOST, 7777), "the port is passed on");
    let (sandbox, _lease) = world.sandbox();
    assert!(sandbox.never_reaches(HOST, 7777));
    drop(service);
}

fn metadata_is_unreachable() {
    let world = World::new();
    world.internet.ip("addr add 169.254.169.254/32 dev eth0");
    world.host.ip("route add 169.254.169.254 dev up0");
    let metadata = world.internet.listen(METADATA);
    assert!(world.host.reaches(METADATA, port(&metadata)), "the host reaches it");
    let (sandbox, _lease) = world.sandbox();
    assert!(sandbox.never_reaches(METADATA, port(&metadata)));
}

fn sandboxes_are_unreachable() {
    let world = World::new();
    let ((one, _), (other, lease)) = (world.sandbox(), world.sandbox());
    let service = other.listen(Ipv4Addr::UNSPECIFIED);
    assert!(other.reaches(lease.address(), port(&service)), "the listener works");
    assert!(one.never_reaches(lease.address(), port(&service)));
}

fn outside_cannot_enter() {
    let world = World::new();
    let (sandbox, lease) = world.sandbox();
    let service = sandbox.listen(Ipv4Addr::UNSPECIFIED);
    let via = format!("route add {}/32 via {HOST}", lease.address());
    world.internet.ip(&via);
    assert!(world.internet.never_reaches(lease.address(), port(&service)));
    let server = world.internet.listen(SERVER);
    assert!(sandbox.reaches(SERVER, port(&server)), "the way itself is open");
}

fn spoofing_is_dropped() {
    let world = World::new();
    let ((one, own), (_other, foreign)) = (world.sandbox(), world.sandbox());
    let heard = world.internet.udp(SERVER);
    let to = (SERVER, heard.local_addr().unwrap().port());
    let unused = Ipv4Addr::from_bits(own.address().to_bits() & 0xffff_0000 | 0xfffe);
    for false_address in [foreign.address(), unused, HOST, Ipv4Addr::new(203, 0, 113, 9)] {
        one.ip(&format!("addr add {false_address}/32 dev eth0"));
        one.udp(false_address).send_to(b"false", to).unwrap();
    }
    // The same way in the same order: had a false one come through, it would be heard first.
    one.udp(own.address()).send_to(b"true", to).unwrap();
    let mut buffer = [0; 16];
    let length = heard.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"true");
    assert!(heard.recv(&mut buffer).is_err());
}

fn no_ipv6() {
    let world = World::new();
    let (sandbox, _lease) = world.sandbox();
    let addresses =
        || std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    let inside = sandbox.run(addresses);
    assert!(!inside.contains("eth0"), "{inside}");
    let outside = world.host.run(addresses);
    assert!(!outside.contains(&interface(&world.host)), "{outside}");
}

fn nothing_is_left() {
    let world = World::new();
    let (sandbox, lease) = world.sandbox();
    let interface = interface(&world.host);
    assert!(world.host.links().contains(&interface));
    assert!(world.host.command("nft", "list tables").contains("dormouse_test"));
    drop((sandbox, lease));
    let network = world.network.clone();
    world.host.run(move || network.stop().unwrap());
    assert_empty(&world.host);
    let (network, late) = (world.network.clone(), Room::new());
    let tid = late.tid;
    world.host.run(move || assert!(network.attach(tid).is_err(), "nobody is connected any more"));
}

fn assert_empty(host: &Room) {
    let links = host.links();
    assert!(!links.contains(": dm"), "{links}");
    assert_eq!(host.command("nft", "list tables"), "");
    let routes = host.command("ip", "route");
    assert!(!routes.contains("10."), "{routes}");
}

fn predecessor_is_cleared() {
    let world = World::new();
    let (living, _lease) = world.sandbox();
    let second = start(&world.host, "test");
    assert!(!world.host.links().contains(": dm"), "its interfaces are gone");
    assert_eq!(world.host.command("ip", "route").matches("blackhole").count(), 1);
    let room = Room::new();
    let lease = attach(&world.host, &second, &room);
    assert_eq!(lease.address(), Ipv4Addr::new(10, 213, 0, 3), "the network is the same");
    drop(living);
    world.host.run(|| NetworkHost::reap("test").unwrap());
    assert_empty(&world.host);
    world.host.run(|| NetworkHost::reap("test").unwrap());
}

fn two_daemons() {
    let world = World::new();
    let other = start(&world.host, "other");
    let ((one, _keep), room) = (world.sandbox(), Room::new());
    let lease = attach(&world.host, &other, &room);
    assert_eq!(lease.address(), Ipv4Addr::new(10, 214, 0, 3));
    let service = room.listen(Ipv4Addr::UNSPECIFIED);
    assert!(one.never_reaches(lease.address(), port(&service)));
    let server = world.internet.listen(SERVER);
    assert!(room.reaches(SERVER, port(&server)));
    assert!(one.reaches(SERVER, port(&server)));
}

fn occupied_place() {
    let world = World::new();
    let (_first, _one) = world.sandbox();
    let prefix = interface(&world.host);
    let prefix = prefix.strip_suffix('1').unwrap();
    world.host.ip(&format!("link add {prefix}2 type veth peer name other"));
    let (_second, _other) = world.sandbox();
    assert_eq!(interface(&world.host), format!("{prefix}3"));
}

fn flushed_rules_return() {
    let world = World::new();
    world.host.rules("flush ruleset");
    let (sandbox, _lease) = world.sandbox();
    assert!(world.host.command("nft", "list tables").contains("dormouse_test"));
    let server = world.internet.listen(SERVER);
    assert!(sandbox.reaches(SERVER, port(&server)));
}

fn neighbours_are_known() {
    let world = World::new();
    let (sandbox, lease) = world.sandbox();
    for (room, other) in
        [(&sandbox, "10.213.0.2".to_owned()), (&world.host, lease.address().to_string())]
    {
        let table = room.command("ip", "neigh");
        let entry = table.lines().find(|line| line.starts_with(&other)).unwrap();
        assert!(entry.trim_end().ends_with("PERMANENT"), "{table}");
    }
}

fn own_namespace_is_refused() {
    let world = World::new();
    let (network, tid) = (world.network.clone(), world.host.tid);
    world.host.run(move || assert!(network.attach(tid).is_err()));
    assert!(!world.host.links().contains(": dm"));
}

fn forwarding_is_switched_on() {
    let host = Room::new();
    let state = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    host.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap());
    let _network = start(&host, "test");
    assert_eq!(host.run(state).trim(), "1");
}

/// Through the backend, from its beginning to its end.
fn whole_sandbox() {
    let spawner = Spawner::launch().expect("the spawner starts");
    let world = World::new();
    let server = world.internet.listen(SERVER);
    let to = port(&server);
    let host_service = world.host.listen(Ipv4Addr::UNSPECIFIED);
    let forbidden = port(&host_service);
    let network = world.network.clone();
    let said = world.host.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(converse(spawner, network, to, forbidden))
    });
    assert_eq!(said, "reached outside\nhost refused\n");
    let (_, from) = server.accept().unwrap();
    assert_eq!(from.ip(), HOST);
    let network = world.network.clone();
    world.host.run(move || network.stop().unwrap());
    assert_empty(&world.host);
}

async fn converse(spawner: Spawner, network: NetworkHost, to: u16, forbidden: u16) -> String {
    let instance = format!("test-network-{}", std::process::id());
    let cgroups = Cgroups::detect(&instance).unwrap();
    let network = Some(network.attach_fn());
    let backend =
        Namespace::new(Config { instance, spawner, cgroups, network, criu: Criu::Off }).unwrap();
    let spec = SandboxSpec {
        root: Root::Host,
        id: format!("{:032x}", std::process::id()),
        memory_bytes: 128 << 20,
        cpu_millis: None,
        pids_max: 64,
        tmp_bytes: 4 << 20,
        trees: Vec::new(),
        network: Network::Outbound,
        snapshots: false,
    };
    let mut sandbox = backend.create(spec).await.unwrap();
    let script = format!(
        "(exec 3<>/dev/tcp/{SERVER}/{to}) && echo reached outside; \
         timeout 1 bash -c 'exec 3<>/dev/tcp/{HOST}/{forbidden}' 2>/dev/null || echo host refused"
    );
    let process = ProcessSpec {
        id: ProcessId(1),
        programs: vec!["/bin/bash".to_owned()],
        args: vec!["-c".to_owned(), script],
        variables: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd: "/tmp".to_owned(),
        records: false,
        briefed: false,
    };
    let said = tokio::time::timeout(PATIENCE, common::run(&mut sandbox, process)).await.unwrap();
    sandbox.sandbox.destroy().await;
    backend.shutdown().await;
    said
}

/// Not a test of anything: prints figures when asked.
fn measure() {
    let world = World::new();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let room = Room::new();
        let (network, tid) = (world.network.clone(), room.tid);
        let (lease, time) = world.host.run(move || {
            let since = Instant::now();
            let lease = network.attach(tid).unwrap();
            (lease, since.elapsed().as_micros())
        });
        times.push(time);
        drop((room, lease));
    }
    times.sort_unstable();
    let server = world.internet.listen(SERVER);
    let late = (0..ROUNDS).filter(|_| {
        let sandbox = Room::new();
        let _lease = world.attach(&sandbox);
        let reached = sandbox.dial(SERVER, port(&server), WATCH);
        reached.map(|_| server.accept().unwrap()).is_err()
    });
    println!("first packet lost: {} of {ROUNDS}", late.count());
    let (least, median, late) = (times[0], times[ROUNDS / 2], times[ROUNDS * 95 / 100]);
    println!("attach: min {least} us, median {median} us, p95 {late} us");
    let since = Instant::now();
    let _other = start(&world.host, "other");
    println!("start: {} us", since.elapsed().as_micros());
}
