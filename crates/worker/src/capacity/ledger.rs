//! Who has how much of the machine's memory, who waits for some, and who has to give way: a plain value
//! without clock, task or channel.
//!
//! - An environment that is made or runs counts with all it may use; one that is kept ready, too. One that is
//!   idle is frozen and counts with one [`limits::FROZEN_PART`]th of it.
//! - Who comes when all is taken waits in turn, function by function, so that a herd of one function is one
//!   among the others. Only the first in turn is served.
//! - For the first in turn, those that have been idle longest end, once that makes enough room.
//! - When nothing is idle, environments that become free give way although their own callers wait: while their
//!   function holds more than the one in turn would, or when that one holds nothing and has waited for
//!   [`limits::ROOM_TURN_MS`].
//! - One that is larger than all there is runs when it is alone.
//! - What wakes up again has its memory already and is never refused; memory pressure ends idle ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_model::environment::Micros;
use dormouse_model::limits;
use dormouse_model::names::FunctionKey;

/// An environment's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceId(u64);

/// The environments of one version, as one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(u64);

/// Since when an environment is idle, or [`BUSY`]: written on the warm path, therefore an atomic.
pub(super) type IdleSince = Arc<AtomicU64>;

pub(super) const BUSY: Micros = 0;

/// What is said to who asks.
#[derive(Debug)]
pub(super) enum Said {
    /// It is his.
    Granted(PlaceId, IdleSince),
    /// He will be poked when it is his turn.
    Wait,
    /// What is kept ready leaves no room for this.
    Never,
}

/// What becomes of an environment that is free when others wait.
enum Standing {
    Stays,
    GivesWay,
    /// Somebody else is to be the first in turn.
    TurnPasses,
}

#[derive(Debug)]
struct Held {
    member: MemberId,
    mb: u64,
    is_kept: bool,
    idle_since: IdleSince,
    /// It is about to end.
    is_leaving: bool,
}

impl Held {
    fn idle_since(&self) -> Option<Micros> {
        Some(self.idle_since.load(Ordering::Acquire)).filter(|since| *since != BUSY)
    }

    fn counts_mb(&self) -> u64 {
        match self.idle_since() {
            Some(_) if !self.is_kept => self.mb.div_ceil(limits::FROZEN_PART),
            _ => self.mb,
        }
    }

    fn may_be_evicted(&self) -> bool {
        !self.is_kept && !self.is_leaving && self.idle_since().is_some()
    }
}

#[derive(Debug)]
struct Member {
    function: FunctionKey,
    mb: u64,
    /// Since when it waits; it is in `turns` then.
    waits_since: Option<Micros>,
    /// What it is to end, and does not know yet.
    ending: Vec<PlaceId>,
}

/// The memory of one machine.
#[derive(Debug)]
pub(super) struct Ledger {
    total_mb: u64,
    held: BTreeMap<PlaceId, Held>,
    members: BTreeMap<MemberId, Member>,
    /// Functions in turn, each with its members in turn.
    turns: VecDeque<(FunctionKey, VecDeque<MemberId>)>,
    /// Members that have something to do.
    poked: BTreeSet<MemberId>,
    next: u64,
}

impl Ledger {
    pub(super) fn new(total_mb: u64) -> Self {
        Self {
            total_mb,
            held: BTreeMap::new(),
            members: BTreeMap::new(),
            turns: VecDeque::new(),
            poked: BTreeSet::new(),
            next: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A version whose environments may use so much each.
    pub(super) fn join(&mut self, function: FunctionKey, mb: u32) -> MemberId {
        let id = MemberId(self.number());
        let member = Member { function, mb: mb.into(), waits_since: None, ending: Vec::new() };
        self.members.insert(id, member);
        id
    }

    /// It asks no more.
    pub(super) fn leave(&mut self, id: MemberId) {
        self.withdraw(id);
        self.members.remove(&id);
        self.poked.remove(&id);
    }

    /// Room for one more environment, which somebody waits for.
    pub(super) fn ask(&mut self, id: MemberId, now: Micros) -> Said {
        let Some(member) = self.members.get(&id) else { return Said::Never };
        let mb = member.mb;
        let kept_mb: u64 = self.held.values().filter(|it| it.is_kept).map(|it| it.mb).sum();
        if kept_mb > 0 && kept_mb + mb > self.total_mb {
            self.withdraw(id);
            return Said::Never;
        }
        let is_first = self.first().is_none_or(|first| first == id);
        if is_first && self.missing_mb(mb) == 0 {
            self.served(id);
            let granted = self.hold(id, mb, false);
            self.review();
            return granted;
        }
        self.wait(id, now);
        self.review();
        Said::Wait
    }

    /// Room for one more that is to be kept ready: it is promised, so it waits for nobody's turn.
    pub(super) fn ask_kept(&mut self, id: MemberId) -> Said {
        let Some(member) = self.members.get(&id) else { return Said::Never };
        let mb = member.mb;
        if self.missing_mb(mb) == 0 {
            return self.hold(id, mb, true);
        }
        self.make_room(mb);
        Said::Wait
    }

    fn hold(&mut self, member: MemberId, mb: u64, is_kept: bool) -> Said {
        let (id, idle_since) = (PlaceId(self.number()), IdleSince::default());
        let held = Held { member, mb, is_kept, idle_since: idle_since.clone(), is_leaving: false };
        self.held.insert(id, held);
        Said::Granted(id, idle_since)
    }

    fn wait(&mut self, id: MemberId, now: Micros) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.waits_since.is_some() {
            return;
        }
        member.waits_since = Some(now);
        match self.turns.iter_mut().find(|(function, _)| *function == member.function) {
            Some((_, members)) => members.push_back(id),
            None => self.turns.push_back((member.function.clone(), [id].into())),
        }
    }

    /// Nobody waits for another environment of it any more.
    pub(super) fn withdraw(&mut self, id: MemberId) {
        let waited = self.members.get_mut(&id).and_then(|member| member.waits_since.take());
        if waited.is_some() {
            for (_, members) in &mut self.turns {
                members.retain(|member| *member != id);
            }
            self.turns.retain(|(_, members)| !members.is_empty());
            self.review();
        }
    }

    /// The first in turn has what it waited for: the next function's turn.
    fn served(&mut self, id: MemberId) {
        let waited = self.members.get_mut(&id).and_then(|member| member.waits_since.take());
        if waited.is_some()
            && let Some((function, mut members)) = self.turns.pop_front()
        {
            members.pop_front();
            if !members.is_empty() {
                self.turns.push_back((function, members));
            }
        }
    }

    fn first(&self) -> Option<MemberId> {
        self.turns.front().and_then(|(_, members)| members.front()).copied()
    }

    /// An environment is no more.
    pub(super) fn freed(&mut self, place: PlaceId) {
        self.held.remove(&place);
        self.review();
    }

    /// An environment ends that was idle, for another reason than room.
    pub(super) fn leaves(&mut self, place: PlaceId) {
        if let Some(held) = self.held.get_mut(&place) {
            held.is_leaving = true;
        }
    }

    /// It was to end: if it is busy again it stays, and another goes; else it is ending already.
    pub(super) fn stays(&mut self, place: PlaceId) {
        if let Some(held) = self.held.get_mut(&place).filter(|held| held.idle_since().is_none()) {
            held.is_leaving = false;
            self.review();
        }
    }

    /// What a member is to end that it does not know of yet.
    pub(super) fn take_ending(&mut self, id: MemberId) -> Vec<PlaceId> {
        self.members.get_mut(&id).map(|it| std::mem::take(&mut it.ending)).unwrap_or_default()
    }

    /// Something has become idle, or gone: is there room for the first in turn, or can some be made?
    pub(super) fn review(&mut self) {
        let Some(first) = self.first() else { return };
        let Some(mb) = self.members.get(&first).map(|member| member.mb) else { return };
        if self.missing_mb(mb) == 0 {
            self.poked.insert(first);
        } else {
            self.make_room(mb);
        }
    }

    /// Ends those that have been idle longest, if that makes enough room.
    fn make_room(&mut self, mb: u64) {
        let missing = self.missing_mb(mb).saturating_sub(self.promised_mb());
        let mut idle: Vec<(Micros, PlaceId, u64)> = self.idle();
        if idle.iter().map(|(.., mb)| mb).sum::<u64>() < missing {
            return;
        }
        idle.sort_unstable();
        let mut made = 0;
        for (_, place, mb) in idle {
            if made >= missing {
                break;
            }
            made += mb;
            self.evict(place);
        }
    }

    fn idle(&self) -> Vec<(Micros, PlaceId, u64)> {
        let idle = self.held.iter().filter(|(_, held)| held.may_be_evicted());
        let idle = idle.filter_map(|(id, held)| Some((held.idle_since()?, *id, held.counts_mb())));
        idle.collect()
    }

    fn evict(&mut self, place: PlaceId) {
        let Some(held) = self.held.get_mut(&place) else { return };
        held.is_leaving = true;
        if let Some(member) = self.members.get_mut(&held.member) {
            member.ending.push(place);
            self.poked.insert(held.member);
        }
    }

    /// The machine is short of memory: a part of those that are idle end, the longest idle first.
    pub(super) fn relieve(&mut self) -> usize {
        let mut idle = self.idle();
        idle.sort_unstable();
        idle.truncate(idle.len().div_ceil(limits::PRESSURE_PART));
        for (_, place, _) in &idle {
            self.evict(*place);
        }
        idle.len()
    }

    /// Whether an environment that has become free ends for the first in turn, although its own callers wait.
    /// Who is served by what he has had his turn, and so has who holds something while others hold nothing.
    pub(super) fn gives_way(&mut self, place: PlaceId, now: Micros) -> bool {
        for _ in 0..self.turns.len() {
            match self.standing(place, now) {
                Standing::GivesWay => {
                    self.leaves(place);
                    return true;
                }
                Standing::Stays => return false,
                Standing::TurnPasses => {
                    if let Some((function, mut members)) = self.turns.pop_front() {
                        members.rotate_left(1);
                        self.turns.push_back((function, members));
                    }
                    self.review();
                }
            }
        }
        false
    }

    fn standing(&self, place: PlaceId, now: Micros) -> Standing {
        let own = self.held.get(&place).filter(|held| !held.is_kept);
        let first = self.first().and_then(|id| Some((id, self.members.get(&id)?)));
        let (Some(own), Some((id, first))) = (own, first) else { return Standing::Stays };
        if self.missing_mb(first.mb) <= self.promised_mb() {
            return Standing::Stays;
        }
        if own.member == id {
            return Standing::TurnPasses;
        }
        let (holds_own, holds_first) = self.hold_both(own.member, id);
        if holds_own >= own.mb + holds_first + first.mb {
            return Standing::GivesWay;
        }
        let waited = now.saturating_sub(first.waits_since.unwrap_or(now));
        match holds_first {
            0 if waited >= limits::ROOM_TURN_MS * 1_000 => Standing::GivesWay,
            0 => Standing::Stays,
            _ => Standing::TurnPasses,
        }
    }

    /// What two hold: functions as a whole, but two versions of one function each for itself.
    fn hold_both(&self, one: MemberId, other: MemberId) -> (u64, u64) {
        let function = |id: MemberId| self.members.get(&id).map(|member| &member.function);
        let together = function(one) != function(other);
        let of = |id: MemberId| {
            self.holds_mb(|held| {
                held.member == id || (together && function(held.member) == function(id))
            })
        };
        (of(one), of(other))
    }

    /// What those hold that stay.
    fn holds_mb(&self, whose: impl Fn(&Held) -> bool) -> u64 {
        let held = self.held.values().filter(|held| !held.is_leaving && whose(held));
        held.map(Held::counts_mb).sum()
    }

    /// How much has to go before so much fits.
    fn missing_mb(&self, mb: u64) -> u64 {
        // Mostly there is room even if all were busy.
        let most: u64 = self.held.values().map(|held| held.mb).sum();
        if most + mb <= self.total_mb {
            return 0;
        }
        let used = self.used_mb();
        if mb > self.total_mb { used } else { (used + mb).saturating_sub(self.total_mb) }
    }

    /// What is about to be free.
    fn promised_mb(&self) -> u64 {
        self.held.values().filter(|held| held.is_leaving).map(Held::counts_mb).sum()
    }

    pub(super) fn used_mb(&self) -> u64 {
        self.held.values().map(Held::counts_mb).sum()
    }

    pub(super) fn total_mb(&self) -> u64 {
        self.total_mb
    }

    /// How many versions wait.
    pub(super) fn waiting(&self) -> usize {
        self.turns.iter().map(|(_, members)| members.len()).sum()
    }

    /// Who has something to do.
    pub(super) fn take_poked(&mut self) -> BTreeSet<MemberId> {
        std::mem::take(&mut self.poked)
    }
}

#[cfg(test)]
mod tests;
