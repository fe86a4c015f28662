//! User and group numbers of the host that stand behind the users inside sandboxes.
//!
//! Two per live sandbox, never shared by two: one is root inside, one is the user. They lie between
//! what systemd hands to containers and the end of signed numbers, where nobody else allocates.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The first number of the range.
const FIRST: u32 = 0x7000_0000;
/// Each daemon of a host takes one block, chosen by its name.
const BLOCK: u32 = 0x1_0000;
/// How many blocks there are.
const BLOCKS: u32 = 0xffe;
const PER_SANDBOX: u32 = 2;

/// The numbers of one daemon.
#[derive(Debug)]
pub(super) struct HostIds {
    first: u32,
    // A lock, because sandboxes of different tasks take and give back; never held over an await.
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    slots: HashSet<u32>,
    next: u32,
}

/// Two numbers, given back when dropped.
#[derive(Debug)]
pub(super) struct Pair {
    owner: Arc<HostIds>,
    slot: u32,
}

impl HostIds {
    /// The block that belongs to a daemon of this name.
    pub(super) fn new(instance: &str) -> Arc<Self> {
        // FNV-1a: stable over restarts and versions, which the standard hasher is not.
        let hash = instance
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let first = FIRST + (hash % BLOCKS) * BLOCK;
        Arc::new(Self { first, used: Mutex::default() })
    }

    /// Takes the numbers that were free for longest.
    pub(super) fn take(self: &Arc<Self>) -> io::Result<Pair> {
        let slots = BLOCK / PER_SANDBOX;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let first = used.next;
        let free = (0..slots).map(|n| (first + n) % slots).find(|slot| !used.slots.contains(slot));
        let slot = free.ok_or_else(|| io::Error::other("no host user number is free"))?;
        used.slots.insert(slot);
        used.next = (slot + 1) % slots;
        Ok(Pair { owner: Arc::clone(self), slot })
    }
}

impl Pair {
    /// The host's number for root inside.
    pub(super) fn root(&self) -> u32 {
        self.owner.first + self.slot * PER_SANDBOX
    }

    /// The host's number for the user inside.
    pub(super) fn user(&self) -> u32 {
        self.root() + 1
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let mut used = self.owner.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.slots.remove(&self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_sandboxes_never_share_a_number() {
        let ids = HostIds::new("a");
        let pairs: Vec<Pair> = (0..100).map(|_| ids.take().unwrap()).collect();
        let mut numbers: Vec<u32> =
            pairs.iter().flat_map(|pair| [pair.root(), pair.user()]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 200);
        assert!(numbers.iter().all(|number| (FIRST..0x7fff_ffff).contains(number)));
    }

    #[test]
    fn a_number_given_back_is_free_again_and_a_full_block_says_so() {
        let ids = HostIds::new("b");
        let mut pairs: Vec<Pair> = (0..BLOCK / 2).map(|_| ids.take().unwrap()).collect();
        assert!(ids.take().is_err());
        pairs.pop();
        assert!(ids.take().is_ok());
    }
}
