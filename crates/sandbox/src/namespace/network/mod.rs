//! How sandboxes reach the outside world, and nothing of the host or of each other.
//!
//! ```text
//! sandbox's net ns                     host's net ns
//! eth0 10.213.0.3/31 <--- veth ---> dm1a2b3c-1 10.213.0.2/31 --(nft: judge, masquerade)--> uplink
//! ```
//!
//! Owns: one nft table `dormouse_<instance>`, loaded once; one blackhole route that claims the
//! address range and says whose it is; one veth pair per sandbox, which dies with the sandbox's
//! namespace. Must never leave a thread of the daemon in another namespace, and never delete a veth
//! on a path somebody waits on (25 ms): an address is only used again when its veth is gone.
//!
//! Everything is blocking and short, about half a millisecond for [`NetworkHost::attach`]. It works
//! in the network namespace of the calling thread.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

mod link;
mod netlink;
mod resolvers;
mod rules;
mod slots;
mod subnet;

pub use resolvers::upstream_resolvers;
pub use subnet::{ParseSubnetError, Subnet};

use rules::Rules;
use slots::Slots;

/// Why there is no network for sandboxes.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The rules cannot be loaded without it.
    #[error("program nft not found; install it with `apt-get install nftables`")]
    NoNft,
    /// It ran and refused.
    #[error("nft refused the rules: {stderr}")]
    Rules {
        /// Its words.
        stderr: String,
    },
    /// Every range we would take is routed somewhere already.
    #[error("no free address range: {} are all routed somewhere", subnet::candidates())]
    NoFreeSubnet,
    /// The range that was asked for is routed somewhere already.
    #[error("address range {subnet} is routed somewhere already")]
    SubnetTaken {
        /// Which.
        subnet: Subnet,
    },
    /// A step that the kernel refused.
    #[error("network step {step}")]
    Step {
        /// Which step.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// The host's side of the network of all sandboxes of one daemon. Clones are the same one.
#[derive(Debug, Clone)]
pub struct NetworkHost {
    names: Names,
    subnet: Subnet,
    rules: Rules,
    ipv6: bool,
    slots: SharedSlots,
}

// A lock, because sandboxes are attached from several threads and leases are dropped anywhere. Held
// for a few instructions. Empty once stopped: without the rules nobody may be attached.
type SharedSlots = Arc<Mutex<Option<Slots>>>;

/// A sandbox's address; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    slots: SharedSlots,
    slot: u16,
    subnet: Subnet,
}

/// How often a slot whose veth is still there is passed over for another one.
const SLOT_TRIES: u32 = 64;

impl NetworkHost {
    /// Clears away what a killed predecessor left, claims an address range (`None` takes the first
    /// free one of a list), switches IPv4 forwarding on and loads the rules.
    ///
    /// Forwarding stays on afterwards: others may have come to rely on it.
    pub fn start(instance: &str, subnet: Option<Subnet>) -> Result<Self, NetworkError> {
        let names = Names::of(instance);
        let nft = rules::nft_program().ok_or(NetworkError::NoNft)?;
        // The old table is replaced when ours is loaded.
        names.clear()?;
        let subnet = claim(&names, subnet)?;
        let rules = Rules::new(nft, instance, &names, subnet, &upstream_resolvers());
        let ipv6 = PathBuf::from("/proc/sys/net/ipv6").exists();
        let slots = Arc::new(Mutex::new(Some(Slots::default())));
        let host = Self { names, subnet, rules, ipv6, slots };
        // The rules stand before anything can be forwarded.
        let started = host.rules.load().and_then(|()| forward().map_err(step("forwarding")));
        if let Err(error) = started {
            if let Err(left) = host.stop() {
                tracing::warn!(error = %left, "network was not cleared away");
            }
            return Err(error);
        }
        tracing::info!(%subnet, "network ready");
        Ok(host)
    }

    /// The range that the sandboxes' addresses are from.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Connects the network namespace of a process. That process must not end meanwhile, or at
    /// least not be waited for: its number must stay its own.
    pub fn attach(&self, pid: i32) -> io::Result<Lease> {
        let mut lease = self.lease()?;
        // `nft flush ruleset`, as some firewalls do at reload, takes our rules too. Without them a
        // sandbox could reach the host: no sandbox is attached before they are there again.
        if !self.rules.are_loaded()? {
            tracing::warn!("network rules were removed by somebody; loading them again");
            self.rules.load().map_err(io::Error::other)?;
        }
        let inside = link::Namespace::of(pid)?;
        for _ in 0..SLOT_TRIES {
            let ends = link::Ends {
                host: self.names.link(lease.slot),
                group: self.names.mark,
                host_address: self.subnet.host_end(lease.slot),
                sandbox_address: self.subnet.sandbox_end(lease.slot),
                ipv6: self.ipv6,
            };
            if link::connect(&inside, &ends)? == link::Connected::Yes {
                return Ok(lease);
            }
            // The next one is taken before this one is given back, so it is another one.
            lease = self.lease()?;
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// [`NetworkHost::attach`] in the form that the backend takes.
    pub fn attach_fn(&self) -> super::Attach {
        let host = self.clone();
        super::Attach(Arc::new(move |pid| Ok(Box::new(host.attach(pid)?))))
    }

    /// Removes the rules, the claim, and links that have not died yet. Sandboxes are destroyed
    /// before, and none is attached afterwards.
    pub fn stop(&self) -> Result<(), NetworkError> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Links first: as long as there is one, its rules stand.
        self.names.clear()?;
        self.rules.remove()
    }

    /// Removes what a killed predecessor with the same instance name left.
    pub fn reap(instance: &str) -> Result<(), NetworkError> {
        Names::of(instance).clear()?;
        rules::remove_leftover(instance)
    }

    fn lease(&self) -> io::Result<Lease> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = slots.as_mut().ok_or_else(|| io::Error::other("network is shut down"))?;
        let slot = slots.take().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Lease { slots: Arc::clone(&self.slots), slot, subnet: self.subnet })
    }
}

impl Lease {
    /// The sandbox's address.
    pub fn address(&self) -> std::net::Ipv4Addr {
        self.subnet.sandbox_end(self.slot)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            slots.give_back(self.slot);
        }
    }
}

/// What our things in the kernel are called. Link names have room for 15 bytes, so instances are
/// told apart by 24 bits of a hash there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    /// `dm1a2b3c-`
    prefix: String,
    /// The metric of the blackhole route and the group of the links, which nobody else has.
    mark: u32,
}

impl Names {
    fn of(instance: &str) -> Self {
        // This hasher has no seed: the same name gives the same hash after a restart.
        let mut hasher = DefaultHasher::new();
        instance.hash(&mut hasher);
        let hash = u32::try_from(hasher.finish() & 0x00ff_ffff).unwrap_or(0);
        Self { prefix: format!("dm{hash:06x}-"), mark: 0xd0_00_00_00 | hash }
    }

    /// Removes what bears these names: links and claims.
    fn clear(&self) -> Result<(), NetworkError> {
        link::delete_links(self.mark).map_err(step("links"))?;
        link::unclaim(self.mark).map_err(step("route"))
    }

    fn link(&self, slot: u16) -> String {
        format!("{}{slot}", self.prefix)
    }
}

fn claim(names: &Names, wanted: Option<Subnet>) -> Result<Subnet, NetworkError> {
    let routed = link::routed().map_err(step("routes"))?;
    let subnet = subnet::choose(wanted, &routed)?;
    link::claim(subnet, names.mark).map_err(step("route"))?;
    Ok(subnet)
}

fn forward() -> io::Result<()> {
    let file = "/proc/sys/net/ipv4/ip_forward";
    if std::fs::read_to_string(file)?.trim() == "0" {
        std::fs::write(file, "1")?;
        tracing::info!(file, "IPv4 forwarding switched on for sandboxes; it stays on");
    }
    Ok(())
}

fn step(step: &'static str) -> impl Fn(io::Error) -> NetworkError {
    move |source| NetworkError::Step { step, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_differ_by_instance_and_fit_into_the_kernels_fifteen_bytes() {
        let names = Names::of("0e767e5d");
        assert_eq!(names, Names::of("0e767e5d"));
        assert_ne!(names, Names::of("0da86a9d"));
        assert!(names.link(slots::LAST).len() <= 15, "{}", names.link(slots::LAST));
    }

    #[test]
    fn errors_say_what_an_operator_can_do() {
        let taken = NetworkError::SubnetTaken { subnet: "10.213.0.0/16".parse().unwrap() };
        assert_eq!(taken.to_string(), "address range 10.213.0.0/16 is routed somewhere already");
        assert!(NetworkError::NoFreeSubnet.to_string().contains("10.213.0.0/16"));
    }
}
