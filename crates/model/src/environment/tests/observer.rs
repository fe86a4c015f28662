//! What an outside observer may count on, over any order of events.

use proptest::prelude::*;

use super::*;

fn any_event() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "provisioned",
        "provision_failed",
        "start_failed",
        "next",
        "init_error",
        "begun",
        "answered",
        "exit0",
        "oom",
        "drained",
        "empty",
        "quiet",
        "lease",
        "stop",
        "kill",
        "deadline",
        "gone",
        "register1",
        "register2",
        "register_quiet",
        "register_internal",
        "ext1",
        "ext2",
        "internal",
        "crash1",
        "crash2",
        "snapshot",
        "restore_point",
        "restore_error",
        "restore_failed",
        "checkpointed",
    ])
}

/// What an outside observer may count on, whatever happens in whatever order.
#[derive(Default)]
struct Observer {
    open: bool,
    ready: bool,
    frozen: bool,
    dead: u32,
    destroyed: u32,
}

impl Observer {
    fn see(
        &mut self,
        event: &Event,
        effects: &[Effect],
        denied: bool,
    ) -> Result<(), TestCaseError> {
        let handed_back = denied || effects.contains(&Effect::HandBack);
        if matches!(event, Event::Lease { .. }) && !handed_back {
            prop_assert!(!self.open, "two invocations at once");
            prop_assert!(self.ready, "a lease was taken without having been welcome");
            (self.open, self.ready) = (true, false);
        }
        for effect in effects {
            match effect {
                Effect::PassAnswer | Effect::Fail(_) => {
                    prop_assert!(self.open, "an answer without an invocation");
                    self.open = false;
                }
                Effect::HandBack if !matches!(event, Event::Lease { .. }) => {
                    prop_assert!(self.open);
                    self.open = false;
                }
                Effect::TellReady => {
                    prop_assert!(!self.open && self.dead == 0 && self.destroyed == 0);
                    self.ready = true;
                }
                Effect::Freeze => {
                    prop_assert!(!self.open && !self.frozen);
                    self.frozen = true;
                }
                Effect::Thaw => self.frozen = false,
                Effect::Deliver => prop_assert!(!self.frozen, "delivered to a frozen runtime"),
                Effect::KillAll => prop_assert!(!self.frozen, "frozen processes cannot be ended"),
                Effect::TellDead(_) => self.dead += 1,
                Effect::Destroy => self.destroyed += 1,
                _ => {}
            }
        }
        prop_assert!(self.dead <= 1 && self.destroyed <= 1);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_order_of_events_breaks_the_promises(
        externals in 0_u32..3,
        (initialization, errand) in prop::sample::select(vec![
            (InitializationType::OnDemand, Errand::Serve),
            (InitializationType::ProvisionedConcurrency, Errand::Serve),
            (InitializationType::SnapStart, Errand::Serve),
            (InitializationType::SnapStart, Errand::Donate),
        ]),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let terms = Terms { errand, ..terms(initialization) };
        let mut environment = Environment::new(0, terms);
        let mut observer = Observer::default();
        for (i, word) in events.into_iter().enumerate() {
            let event = parse(externals, word);
            let before = environment.clone();
            match environment.step(event.clone(), i as u64 * 1_000) {
                Ok(effects) => observer.see(&event, &effects, false)?,
                Err(_) => {
                    prop_assert_eq!(&environment, &before);
                    observer.see(&event, &[], true)?;
                }
            }
            let may_be_cold = initialization == InitializationType::OnDemand;
            prop_assert!(may_be_cold || *environment.phase() != Phase::Cold, "it went cold");
            let donates = errand == Errand::Donate;
            prop_assert!(!donates || !observer.ready, "a donor takes no lease");
        }
        // Whatever happened, a kill and the sandbox's end bring it to rest with nothing left open.
        for event in [Event::Kill { cause: Cause::Shutdown }, Event::Gone] {
            if let Ok(effects) = environment.step(event.clone(), 1_000_000) {
                observer.see(&event, &effects, false)?;
            }
        }
        let dead = matches!(environment.phase(), Phase::Dead { .. });
        prop_assert!(dead, "it did not end");
        prop_assert!(!observer.open, "an invocation was lost");
        prop_assert_eq!(observer.dead, 1);
    }
}
