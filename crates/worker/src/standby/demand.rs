//! How many sandboxes of which kind are to stand by, and what is to be done next about it. Pure: time is
//! an argument.
//!
//! Rules: a kind is kept from when a function of it is there or called; as many as were called for lately,
//! within limits; nothing is made while callers come, who need the machine themselves; one at a time; who
//! fails is left alone for a while.

use std::collections::{HashMap, VecDeque};
use std::str::FromStr;

use dormouse_model::environment::Micros;
use dormouse_model::limits::{
    STANDBY_AUTO_MAX, STANDBY_FIXED_MAX, STANDBY_FORGET_S, STANDBY_KINDS, STANDBY_PATIENCE_MS,
    STANDBY_QUIET_MS, STANDBY_RECENT_S, STANDBY_RETRY_MAX_S,
};

use super::kind::Kind;

/// How many stand by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// As many as were called for lately, at least one of each kind in use.
    Auto,
    /// So many of each kind in use; 0 for none.
    Fixed(u16),
}

/// `auto`, or a number up to 1 000.
impl FromStr for Setting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(number) if number <= STANDBY_FIXED_MAX => Ok(Self::Fixed(number)),
            _ => Err("`auto` or a number from 0 to 1000 is wanted"),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Make one.
    Make(Kind),
    /// End one.
    Discard(Kind),
    /// Nothing until then, or until something happens.
    Wait(Option<Micros>),
}

/// What is known of the callers.
#[derive(Debug)]
pub(super) struct Demand {
    setting: Setting,
    kinds: HashMap<Kind, Known>,
    /// When somebody came last, and when the first came for whom nothing was made since.
    last_call: Option<Micros>,
    first_unmet: Option<Micros>,
}

#[derive(Debug, Default)]
struct Known {
    wanted: Micros,
    /// The last calls, oldest first; no more than can matter.
    calls: VecDeque<Micros>,
    failures: u32,
    not_before: Micros,
}

const fn seconds(number: u64) -> Micros {
    number * 1_000_000
}

const fn milliseconds(number: u64) -> Micros {
    number * 1_000
}

impl Demand {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting, kinds: HashMap::new(), last_call: None, first_unmet: None }
    }

    /// A function of this kind is there.
    pub(super) fn want(&mut self, kind: Kind, now: Micros) {
        if self.setting != Setting::Fixed(0) {
            self.kinds.entry(kind).or_default().wanted = now;
        }
    }

    /// Somebody came for one, whether or not there was one.
    pub(super) fn call(&mut self, kind: Kind, now: Micros) {
        self.want(kind, now);
        let Some(known) = self.kinds.get_mut(&kind) else { return };
        known.calls.push_back(now);
        if known.calls.len() > usize::from(STANDBY_AUTO_MAX) {
            known.calls.pop_front();
        }
        self.last_call = Some(now);
        self.first_unmet.get_or_insert(now);
    }

    /// One was made.
    pub(super) fn made(&mut self, kind: Kind) {
        if let Some(known) = self.kinds.get_mut(&kind) {
            known.failures = 0;
        }
    }

    /// One could not be made.
    pub(super) fn failed(&mut self, kind: Kind, now: Micros) {
        if let Some(known) = self.kinds.get_mut(&kind) {
            let pause_s = (1_u64 << known.failures.min(16)).min(STANDBY_RETRY_MAX_S);
            known.failures += 1;
            known.not_before = now + seconds(pause_s);
        }
    }

    /// How many of a kind are to stand by.
    pub(super) fn target(&self, kind: Kind, now: Micros) -> usize {
        let Some(known) = self.kinds.get(&kind) else { return 0 };
        match self.setting {
            Setting::Fixed(number) => usize::from(number),
            Setting::Auto => {
                let since = now.saturating_sub(seconds(STANDBY_RECENT_S));
                let recent = known.calls.iter().filter(|call| **call >= since).count();
                recent.clamp(1, usize::from(STANDBY_AUTO_MAX))
            }
        }
    }

    /// The kinds that are to stand by.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.kinds.keys().copied()
    }

    /// What to do next, when so many of each kind are there. While one is being made, nothing else is.
    pub(super) fn next(
        &mut self,
        now: Micros,
        there: &HashMap<Kind, usize>,
        is_making: bool,
    ) -> Step {
        self.forget(now);
        let number = |kind: Kind| there.get(&kind).copied().unwrap_or(0);
        let surplus = there.iter().find(|(kind, number)| **number > self.target(**kind, now));
        if let Some((kind, _)) = surplus {
            return Step::Discard(*kind);
        }
        let short = |kind: &Kind| number(*kind) < self.target(*kind, now);
        // The emptiest first, of those the one called for last.
        let due = |known: &Known| known.not_before <= now;
        let mut candidates: Vec<(&Kind, &Known)> =
            self.kinds.iter().filter(|(kind, known)| short(kind) && due(known)).collect();
        candidates.sort_by_key(|(kind, known)| (number(**kind), std::cmp::Reverse(known.wanted)));
        match (candidates.first(), is_making) {
            (Some((kind, _)), false) => match self.quiet_from().filter(|moment| *moment > now) {
                Some(moment) => Step::Wait(Some(moment)),
                None => {
                    let kind = **kind;
                    self.first_unmet = None;
                    Step::Make(kind)
                }
            },
            (_, true) => Step::Wait(None),
            (None, false) => {
                let retries = self.kinds.iter().filter(|(kind, _)| short(kind));
                let retry = retries.map(|(_, known)| known.not_before).min();
                Step::Wait(retry.into_iter().chain(self.next_fading(now)).min())
            }
        }
    }

    /// When the machine may be thought to have time, after the last caller; one who has waited for long
    /// is not put off by those who come after him.
    fn quiet_from(&self) -> Option<Micros> {
        let quiet = self.last_call? + milliseconds(STANDBY_QUIET_MS);
        let patience = self.first_unmet.map(|first| first + milliseconds(STANDBY_PATIENCE_MS));
        Some(patience.map_or(quiet, |patience| quiet.min(patience)))
    }

    /// When the next kind will be wanted less than now.
    fn next_fading(&self, now: Micros) -> Option<Micros> {
        if self.setting != Setting::Auto {
            return None;
        }
        let fading = |known: &Known| {
            let recent = known.calls.iter().map(|call| call + seconds(STANDBY_RECENT_S) + 1);
            recent.chain([known.wanted + seconds(STANDBY_FORGET_S)]).find(|moment| *moment > now)
        };
        self.kinds.values().filter_map(fading).min()
    }

    /// Kinds that nobody has wanted for long go, and those wanted longest ago if there are too many.
    fn forget(&mut self, now: Micros) {
        if self.setting == Setting::Auto {
            self.kinds.retain(|_, known| known.wanted + seconds(STANDBY_FORGET_S) > now);
        }
        while self.kinds.len() > STANDBY_KINDS {
            let oldest = self.kinds.iter().min_by_key(|(_, known)| known.wanted);
            let Some(oldest) = oldest.map(|(kind, _)| *kind) else { return };
            self.kinds.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_model::runtime::Runtime;
    use proptest::prelude::*;

    use super::*;

    const PYTHON: Kind =
        Kind::Interpreter { runtime: Runtime::Python { minor: 12 }, memory_mb: None };
    const SECOND: Micros = 1_000_000;
    const QUIET: Micros = STANDBY_QUIET_MS * 1_000;

    /// What is there, and what happens to it.
    struct Scene {
        demand: Demand,
        there: HashMap<Kind, usize>,
    }

    impl Scene {
        fn new(setting: Setting) -> Self {
            Self { demand: Demand::new(setting), there: HashMap::new() }
        }

        fn next(&mut self, now: Micros) -> Step {
            self.demand.next(now, &self.there, false)
        }

        /// Does what is to be done until there is nothing more, and tells until when.
        fn settle(&mut self, now: Micros) -> Option<Micros> {
            for _ in 0..1_000 {
                match self.next(now) {
                    Step::Make(kind) => {
                        *self.there.entry(kind).or_default() += 1;
                        self.demand.made(kind);
                    }
                    Step::Discard(kind) => *self.there.get_mut(&kind).unwrap() -= 1,
                    Step::Wait(until) => return until,
                }
            }
            panic!("it never ends");
        }

        fn call(&mut self, kind: Kind, now: Micros) -> bool {
            self.demand.call(kind, now);
            let there = self.there.entry(kind).or_default();
            let had = *there > 0;
            *there = there.saturating_sub(1);
            had
        }

        fn number(&self, kind: Kind) -> usize {
            self.there.get(&kind).copied().unwrap_or(0)
        }
    }

    #[test]
    fn a_setting_is_read_from_text() {
        assert_eq!("auto".parse(), Ok(Setting::Auto));
        assert_eq!("0".parse(), Ok(Setting::Fixed(0)));
        assert_eq!("1000".parse(), Ok(Setting::Fixed(1_000)));
        for wrong in ["", "1001", "-1", "many", "AUTO"] {
            assert!(wrong.parse::<Setting>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_stands_by_from_when_a_function_is_there_until_nobody_wants_it_any_more() {
        let mut scene = Scene::new(Setting::Auto);
        assert_eq!(scene.settle(0), None);
        scene.demand.want(PYTHON, 0);
        let until = scene.settle(0);
        assert_eq!((scene.number(PYTHON), until), (1, Some(STANDBY_FORGET_S * SECOND)));
        assert_eq!(scene.settle(until.unwrap()), None);
        assert_eq!(scene.number(PYTHON), 0);
    }

    #[test]
    fn nothing_is_made_while_callers_come_unless_they_never_stop() {
        let mut scene = Scene::new(Setting::Auto);
        scene.call(PYTHON, 0);
        assert_eq!(scene.next(0), Step::Wait(Some(QUIET)));
        scene.call(PYTHON, QUIET - 1);
        assert_eq!(scene.next(QUIET), Step::Wait(Some(2 * QUIET - 1)));
        let mut now = QUIET;
        let step = loop {
            match scene.next(now) {
                Step::Wait(Some(_)) => now += QUIET / 2,
                step => break step,
            }
            scene.call(PYTHON, now);
        };
        assert_eq!((step, now), (Step::Make(PYTHON), STANDBY_PATIENCE_MS * 1_000));
    }

    #[test]
    fn as_many_stand_by_as_were_called_for_lately() {
        let mut scene = Scene::new(Setting::Auto);
        for number in 0..5 {
            scene.call(PYTHON, number);
        }
        scene.settle(QUIET + 5);
        assert_eq!(scene.number(PYTHON), 5);
        for number in 0..100 {
            scene.call(PYTHON, SECOND + number);
        }
        scene.settle(2 * SECOND);
        assert_eq!(scene.number(PYTHON), usize::from(STANDBY_AUTO_MAX));
        let until = scene.settle(2 * SECOND).unwrap();
        assert!(until > STANDBY_RECENT_S * SECOND, "{until}");
        scene.settle(until + SECOND);
        assert_eq!(scene.number(PYTHON), 1);
    }

    #[test]
    fn a_fixed_number_is_kept_of_each_kind_that_is_wanted() {
        let mut scene = Scene::new(Setting::Fixed(50));
        scene.demand.want(PYTHON, 0);
        scene.call(Kind::Bare, 0);
        assert_eq!(scene.settle(SECOND), None);
        assert_eq!((scene.number(PYTHON), scene.number(Kind::Bare)), (50, 50));
        let mut none = Scene::new(Setting::Fixed(0));
        none.call(PYTHON, 0);
        assert_eq!((none.settle(SECOND), none.number(PYTHON)), (None, 0));
    }

    #[test]
    fn who_fails_is_tried_again_after_longer_and_longer() {
        let mut scene = Scene::new(Setting::Auto);
        scene.demand.want(PYTHON, 0);
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 32, STANDBY_RETRY_MAX_S, STANDBY_RETRY_MAX_S] {
            assert_eq!(scene.next(now), Step::Make(PYTHON));
            scene.demand.failed(PYTHON, now);
            assert_eq!(scene.next(now), Step::Wait(Some(now + pause * SECOND)));
            now += pause * SECOND;
        }
        scene.settle(now);
        assert_eq!(scene.number(PYTHON), 1);
    }

    #[test]
    fn of_too_many_kinds_those_wanted_last_are_kept() {
        let mut scene = Scene::new(Setting::Fixed(1));
        let node = |memory_mb| Kind::Interpreter {
            runtime: Runtime::Node { major: 20 },
            memory_mb: Some(memory_mb),
        };
        for number in 0..20 {
            scene.demand.want(node(128 + number), u64::from(number));
            scene.settle(u64::from(number));
        }
        assert_eq!(scene.there.values().sum::<usize>(), STANDBY_KINDS);
        assert_eq!((scene.number(node(128)), scene.number(node(147))), (0, 1));
    }

    proptest! {
        #[test]
        fn whatever_callers_do_it_settles_within_its_limits(
            calls in prop::collection::vec((0_u64..120 * SECOND, any::<bool>()), 0..100),
            fixed in prop::option::of(0_u16..20),
        ) {
            let mut scene = Scene::new(fixed.map_or(Setting::Auto, Setting::Fixed));
            let mut now = 0;
            for (pause, bare) in calls {
                now += pause;
                scene.settle(now);
                scene.call(if bare { Kind::Bare } else { PYTHON }, now);
            }
            let until = scene.settle(now + SECOND);
            prop_assert!(until.is_none_or(|until| until > now + SECOND));
            let most = usize::from(fixed.unwrap_or(STANDBY_AUTO_MAX));
            for (kind, number) in &scene.there {
                prop_assert_eq!(*number, scene.demand.target(*kind, now + SECOND));
                prop_assert!(*number <= most);
            }
        }
    }
}
