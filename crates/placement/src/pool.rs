//! Which environment gets which job, as a plain value: no task, no clock, no channel.
//!
//! Rules: a free environment that is kept goes first, then the one that was used most recently;
//! callers wait oldest first; as many environments are starting for callers as callers wait, never
//! more. Those that are kept (provisioned concurrency) are started and ended by their own rules, in
//! `provision`; here they only serve.

use std::collections::{HashMap, HashSet, VecDeque};

use dormouse_model::environment::Micros;
use dormouse_model::names::EnvironmentId;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision<J> {
    /// Give the job to the environment.
    Lease(EnvironmentId, J),
    /// Start another environment and tell its id with [`Pool::started`].
    Start,
    /// There is no room for another waiting caller.
    Refuse(J),
}

/// The environments of one version and the callers who wait for one.
#[derive(Debug)]
pub(crate) struct Pool<J> {
    /// Free ones that never expire.
    kept: Vec<EnvironmentId>,
    /// Free ones with the moment they became free; the last is the most recently used.
    idle: Vec<(EnvironmentId, Micros)>,
    starting: HashSet<EnvironmentId>,
    /// Starting, and no caller waits for them.
    preparing: HashSet<EnvironmentId>,
    busy: HashSet<EnvironmentId>,
    /// Busy ones whose caller has been answered, or told of a failure, with the moment until which they are waited
    /// for.
    settling: HashMap<EnvironmentId, Micros>,
    /// Who waits, oldest first, and since when.
    waiting: VecDeque<(J, Micros)>,
    waiting_limit: usize,
}

impl<J> Pool<J> {
    pub(crate) fn new(waiting_limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            idle: Vec::new(),
            starting: HashSet::new(),
            preparing: HashSet::new(),
            busy: HashSet::new(),
            settling: HashMap::new(),
            waiting: VecDeque::new(),
            waiting_limit,
        }
    }

    /// A job arrives.
    pub(crate) fn arrive(&mut self, job: J, now: Micros) -> Decision<J> {
        // Who waits came first; a free environment and a waiter never meet here.
        if let Some(id) = self.take_free() {
            return Decision::Lease(id, job);
        }
        if self.waiting.len() >= self.waiting_limit {
            return Decision::Refuse(job);
        }
        self.waiting.push_back((job, now));
        Decision::Start
    }

    fn take_free(&mut self) -> Option<EnvironmentId> {
        let id = self.kept.pop().or_else(|| self.idle.pop().map(|(id, _)| id))?;
        self.busy.insert(id.clone());
        Some(id)
    }

    /// Whether more callers wait than environments are starting or about to be free.
    pub(crate) fn is_short(&self, now: Micros) -> bool {
        self.waiting.len() > self.awaited(now)
    }

    /// How many callers have an environment that is starting or about to be free: the oldest ones.
    fn awaited(&self, now: Micros) -> usize {
        self.starting.len() + self.settling.values().filter(|until| **until > now).count()
    }

    /// Since when the oldest caller waits for whom no environment is starting.
    pub(crate) fn in_want_since(&self, now: Micros) -> Option<Micros> {
        self.waiting.get(self.awaited(now)).map(|(_, since)| *since)
    }

    /// That caller, taken out because nothing can be started for him.
    pub(crate) fn give_up_in_want(&mut self, now: Micros) -> Option<J> {
        self.waiting.remove(self.awaited(now)).map(|(job, _)| job)
    }

    /// An environment has answered its caller, or is being reset, and will be free in a moment.
    pub(crate) fn answered(&mut self, id: &EnvironmentId, until: Micros) {
        if self.busy.contains(id) {
            self.settling.insert(id.clone(), until);
        }
    }

    /// When callers stop waiting for an environment that was about to be free.
    pub(crate) fn patience_ends(&self, now: Micros) -> Option<Micros> {
        if self.waiting.is_empty() {
            return None;
        }
        self.settling.values().copied().filter(|until| *until > now).min()
    }

    /// An environment is being started.
    pub(crate) fn started(&mut self, id: EnvironmentId) {
        self.starting.insert(id);
    }

    /// An environment is being started that is to be there before anybody waits for it.
    pub(crate) fn preparing(&mut self, id: EnvironmentId) {
        self.preparing.insert(id);
    }

    /// An environment is free: it serves the oldest waiter, or is kept, or becomes idle.
    pub(crate) fn ready(
        &mut self,
        id: &EnvironmentId,
        kept: bool,
        now: Micros,
    ) -> Option<Decision<J>> {
        // Only what was starting or busy can become free; one that is out already stays out.
        if !self.busy.remove(id) && !self.starting.remove(id) && !self.preparing.remove(id) {
            return None;
        }
        self.settling.remove(id);
        match self.waiting.pop_front() {
            Some((job, _)) => {
                self.busy.insert(id.clone());
                Some(Decision::Lease(id.clone(), job))
            }
            None if kept => {
                self.kept.push(id.clone());
                None
            }
            None => {
                self.idle.push((id.clone(), now));
                None
            }
        }
    }

    /// Whether it is one that is kept and free.
    pub(crate) fn is_kept_free(&self, id: &EnvironmentId) -> bool {
        self.kept.contains(id)
    }

    /// An environment is kept no more: it is on its way out, but still there until it says so.
    pub(crate) fn released(&mut self, id: &EnvironmentId) {
        self.kept.retain(|kept| kept != id);
        self.preparing.remove(id);
        self.busy.insert(id.clone());
    }

    /// An environment that is idle is taken out: it is on its way out, but still there until it says so.
    /// Whether it was idle.
    pub(crate) fn evict(&mut self, id: &EnvironmentId) -> bool {
        let idle = self.idle.len();
        self.idle.retain(|(idle, _)| idle != id);
        let was_idle = self.idle.len() < idle;
        if was_idle {
            self.busy.insert(id.clone());
        }
        was_idle
    }

    /// Whether it has served somebody just now while others wait.
    pub(crate) fn is_wanted_again(&self, id: &EnvironmentId) -> bool {
        !self.waiting.is_empty() && self.busy.contains(id)
    }

    /// One that has served serves nobody any more: it is on its way out, but still there until it says so.
    pub(crate) fn leaves(&mut self, id: &EnvironmentId) {
        self.settling.remove(id);
    }

    /// A job came back unstarted: it gets what is free, or is the oldest again.
    pub(crate) fn handed_back(&mut self, job: J, now: Micros) -> Option<(EnvironmentId, J)> {
        match self.take_free() {
            Some(id) => Some((id, job)),
            None => {
                self.waiting.push_front((job, now));
                None
            }
        }
    }

    /// An environment is no more.
    pub(crate) fn dead(&mut self, id: &EnvironmentId) {
        self.starting.remove(id);
        self.preparing.remove(id);
        self.busy.remove(id);
        self.settling.remove(id);
        self.kept.retain(|kept| kept != id);
        self.idle.retain(|(idle, _)| idle != id);
    }

    /// The oldest waiter, taken out because nothing can be started for it.
    pub(crate) fn give_up_one(&mut self) -> Option<J> {
        self.waiting.pop_front().map(|(job, _)| job)
    }

    /// The newest waiter, taken out because nothing may be started for him.
    pub(crate) fn give_up_newest(&mut self) -> Option<J> {
        self.waiting.pop_back().map(|(job, _)| job)
    }

    /// Takes out the environments that have been idle since `since` or longer.
    pub(crate) fn expire(&mut self, since: Micros) -> Vec<EnvironmentId> {
        let expired = self.idle.iter().take_while(|(_, free)| *free <= since).count();
        let expired: Vec<EnvironmentId> = self.idle.drain(..expired).map(|(id, _)| id).collect();
        // They are on their way out but still there until they say so.
        self.busy.extend(expired.iter().cloned());
        expired
    }

    /// Since when the longest idle environment has been idle.
    pub(crate) fn idle_since(&self) -> Option<Micros> {
        // Free ones are appended in time order and taken from the end, so the first is the oldest.
        self.idle.first().map(|(_, free)| *free)
    }

    /// Whether there is no environment and nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.alive() == 0 && self.waiting.is_empty()
    }

    /// How many environments there are.
    pub(crate) fn alive(&self) -> usize {
        let free = self.kept.len() + self.idle.len();
        free + self.starting.len() + self.preparing.len() + self.busy.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(n: u128) -> EnvironmentId {
        format!("{n:032x}").parse().unwrap()
    }

    #[test]
    fn the_most_recently_used_environment_goes_first() {
        let mut pool = Pool::new(10);
        for n in 1..=3 {
            pool.started(env(n));
            assert_eq!(pool.ready(&env(n), false, u64::try_from(n).unwrap()), None);
        }
        assert_eq!(pool.arrive("a", 0), Decision::Lease(env(3), "a"));
        assert_eq!(pool.arrive("b", 0), Decision::Lease(env(2), "b"));
        assert_eq!(pool.ready(&env(3), false, 9), None);
        assert_eq!(pool.arrive("c", 0), Decision::Lease(env(3), "c"));
    }

    #[test]
    fn a_freed_environment_serves_the_oldest_waiter_not_who_started_it() {
        let mut pool = Pool::new(10);
        assert_eq!(pool.arrive("first", 0), Decision::Start);
        pool.started(env(1));
        assert!(!pool.is_short(0));
        assert_eq!(pool.arrive("second", 0), Decision::Start);
        assert!(pool.is_short(0));
        pool.started(env(2));
        assert_eq!(pool.ready(&env(2), false, 1), Some(Decision::Lease(env(2), "first")));
        assert_eq!(pool.ready(&env(2), false, 2), Some(Decision::Lease(env(2), "second")));
        assert_eq!(pool.ready(&env(1), false, 3), None);
    }

    #[test]
    fn one_that_has_just_answered_is_waited_for_a_moment() {
        let mut pool = Pool::new(10);
        assert_eq!(pool.arrive("a", 0), Decision::Start);
        pool.started(env(1));
        assert_eq!(pool.ready(&env(1), false, 1), Some(Decision::Lease(env(1), "a")));
        pool.answered(&env(1), 100);
        assert_eq!(pool.arrive("b", 0), Decision::Start);
        assert!(!pool.is_short(50));
        assert_eq!(pool.patience_ends(50), Some(100));
        assert!(pool.is_short(100));
        assert_eq!(pool.ready(&env(1), false, 60), Some(Decision::Lease(env(1), "b")));
        assert_eq!(pool.patience_ends(60), None);
    }

    #[test]
    fn callers_past_the_bound_are_refused() {
        let mut pool = Pool::new(1);
        assert_eq!(pool.arrive("a", 0), Decision::Start);
        assert_eq!(pool.arrive("b", 0), Decision::Refuse("b"));
    }

    #[test]
    fn idle_ones_expire_oldest_first() {
        let mut pool: Pool<&str> = Pool::new(1);
        for n in 1..=3 {
            pool.started(env(n));
            pool.ready(&env(n), false, u64::try_from(n).unwrap());
        }
        assert_eq!(pool.idle_since(), Some(1));
        assert_eq!(pool.expire(2), vec![env(1), env(2)]);
        assert_eq!(pool.alive(), 3);
        pool.dead(&env(1));
        pool.dead(&env(2));
        assert_eq!(pool.alive(), 1);
    }

    #[test]
    fn one_that_is_kept_goes_first_and_stays_and_nobody_waits_for_it_alone() {
        let mut pool = Pool::new(10);
        pool.preparing(env(1));
        assert_eq!(pool.arrive("a", 0), Decision::Start);
        assert!(pool.is_short(0));
        pool.started(env(2));
        // Whoever is ready first serves.
        assert_eq!(pool.ready(&env(1), true, 1), Some(Decision::Lease(env(1), "a")));
        assert_eq!(pool.ready(&env(2), false, 2), None);
        assert_eq!(pool.ready(&env(1), true, 3), None);
        assert!(pool.is_kept_free(&env(1)));
        assert_eq!(pool.arrive("b", 0), Decision::Lease(env(1), "b"));
        assert_eq!(pool.arrive("c", 0), Decision::Lease(env(2), "c"));
        assert_eq!(pool.ready(&env(1), true, 4), None);
        assert_eq!(pool.expire(u64::MAX), []);
        pool.released(&env(1));
        assert_eq!((pool.arrive("d", 0), pool.alive()), (Decision::Start, 2));
        pool.dead(&env(1));
        assert_eq!(pool.alive(), 1);
    }

    #[test]
    fn what_comes_back_gets_what_is_free_and_is_else_the_oldest() {
        let mut pool = Pool::new(10);
        pool.started(env(1));
        pool.ready(&env(1), false, 1);
        assert_eq!(pool.handed_back("a", 0), Some((env(1), "a")));
        assert_eq!(pool.arrive("b", 0), Decision::Start);
        assert_eq!(pool.handed_back("a", 0), None);
        assert_eq!(pool.ready(&env(1), false, 2), Some(Decision::Lease(env(1), "a")));
    }

    #[test]
    fn who_has_nobody_to_wait_for_is_the_oldest_beyond_those_who_have() {
        let mut pool = Pool::new(10);
        for (job, now) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(pool.arrive(job, now), Decision::Start);
        }
        assert_eq!(pool.in_want_since(5), Some(1));
        pool.started(env(1));
        assert_eq!(pool.in_want_since(5), Some(2));
        assert_eq!(pool.give_up_in_want(5), Some("b"));
        assert_eq!(pool.in_want_since(5), Some(3));
        pool.started(env(2));
        assert_eq!((pool.in_want_since(5), pool.give_up_in_want(5)), (None, None));
    }

    #[test]
    fn one_that_gives_way_serves_nobody_and_is_there_until_it_says_so() {
        let mut pool = Pool::new(10);
        pool.arrive("a", 0);
        pool.arrive("b", 0);
        pool.started(env(1));
        // One that has just been made serves first.
        assert!(!pool.is_wanted_again(&env(1)));
        assert_eq!(pool.ready(&env(1), false, 1), Some(Decision::Lease(env(1), "a")));
        pool.answered(&env(1), 9);
        assert!(pool.is_wanted_again(&env(1)) && !pool.is_short(2));
        pool.leaves(&env(1));
        assert!(pool.is_short(2) && !pool.evict(&env(1)));
        assert_eq!(pool.alive(), 1);
        pool.dead(&env(1));
        pool.started(env(2));
        assert_eq!(pool.ready(&env(2), false, 1), Some(Decision::Lease(env(2), "b")));
        assert_eq!(pool.ready(&env(2), false, 2), None);
        assert!(pool.evict(&env(2)) && !pool.evict(&env(2)));
        assert_eq!((pool.idle_since(), pool.alive()), (None, 1));
    }

    proptest! {
        #[test]
        fn no_job_is_lost_or_doubled(steps in prop::collection::vec((0_u8..5, 0_u128..6), 0..200)) {
            let mut pool = Pool::new(8);
            let (mut next_job, mut next_env) = (0_u32, 100_u128);
            let mut open: HashSet<u32> = HashSet::new();
            let mut running: Vec<(EnvironmentId, Option<u32>)> = Vec::new();
            for (now, (step, pick)) in steps.into_iter().enumerate() {
                let decision = match step {
                    0 | 1 => {
                        next_job += 1;
                        open.insert(next_job);
                        Some(pool.arrive(next_job, 0))
                    }
                    _ if running.is_empty() => None,
                    2 | 3 => {
                        let at = pick as usize % running.len();
                        if let Some(done) = running[at].1.take() {
                            open.remove(&done);
                        }
                        let id = running[at].0.clone();
                        pool.ready(&id, pick == 5, now as Micros)
                    }
                    _ => {
                        let (id, job) = running.swap_remove(pick as usize % running.len());
                        pool.dead(&id);
                        let leased = job.and_then(|job| pool.handed_back(job, 0));
                        leased.map(|(id, job)| Decision::Lease(id, job))
                    }
                };
                match decision {
                    Some(Decision::Lease(id, job)) => {
                        let slot = running.iter_mut().find(|(e, _)| *e == id).expect("leased to a live one");
                        prop_assert!(slot.1.replace(job).is_none(), "two jobs at once");
                    }
                    Some(Decision::Refuse(job)) => { open.remove(&job); }
                    Some(Decision::Start) | None => {}
                }
                while pool.is_short(0) {
                    next_env += 1;
                    pool.started(env(next_env));
                    running.push((env(next_env), None));
                }
                let held: HashSet<u32> = running.iter().filter_map(|(_, j)| *j).collect();
                prop_assert_eq!(open.len(), held.len() + pool.waiting.len());
                prop_assert!(pool.waiting.is_empty() || pool.idle.len() + pool.kept.len() == 0);
            }
        }
    }
}
