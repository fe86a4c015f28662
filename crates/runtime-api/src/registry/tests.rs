//! Who may register and subscribe, told by what is refused; and what holds whatever they try.

use proptest::prelude::*;

use super::*;

fn id(n: u128) -> Identifier {
    Identifier::from_u128(n)
}

fn events(text: &str) -> Events {
    Events { invoke: text.contains('i'), shutdown: text.contains('s') }
}

fn refused<T>(result: Result<T, ExtensionRefusal>) -> String {
    result.map_or_else(
        |refusal| format!("{}: {}", refusal.error_type(), refusal.message()),
        |_| "ok".to_owned(),
    )
}

/// Registers `name:events` words in turn; what each was answered.
fn check(external: &[&str], words: &str, expected: &[&str]) {
    let mut registry = Registry::new(external.iter().map(ToString::to_string)).unwrap();
    let mut seen = Vec::new();
    for (n, word) in (1..).zip(words.split_whitespace()) {
        match word.split_once(':') {
            Some((name, wanted)) => {
                seen.push(refused(registry.register(name, events(wanted), id(n))));
            }
            None => registry.close_registration(),
        }
    }
    assert_eq!(seen, expected, "{words}");
}

#[test]
fn external_and_internal_extensions_register_once() {
    check(
        &["a", "b"],
        "a:is c:i b: a:i c:i",
        &[
            "ok",
            "ok",
            "ok",
            "Extension.InvalidExtensionState: State transition from Registered to Registered \
             failed for extension a. Error: State transition is not allowed",
            "Extension.InvalidExtensionState: Extension with this name already registered",
        ],
    );
}

#[test]
fn an_internal_extension_cannot_hear_of_the_shutdown() {
    let refusal = "Extension.InvalidEventType: \
        SHUTDOWN: ShutdownEventNotSupportedForInternalExtension";
    check(&[], "c:s c:is c:i", &[refusal, refusal, "ok"]);
}

#[test]
fn after_the_first_next_nobody_registers() {
    let closed = "Extension.RegistrationClosed: Extension registration closed already";
    check(&["a"], "close a:i c:i", &[closed, closed]);
}

#[test]
fn there_are_at_most_ten_extensions() {
    let refusal = "Extension.TooManyExtensions: Extension limit (10) reached";
    check(
        &["1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "a:i b:i a:i 9:i",
        &["ok", refusal, refusal, "ok"],
    );
    let many = (0..11).map(|n| n.to_string());
    assert_eq!(refused(Registry::new(many)), refusal);
}

fn states(registry: &Registry) -> Vec<String> {
    let shown = |known: &Extension| format!("{} {}", known.name, known.state.name());
    registry.extensions().iter().map(shown).collect()
}

#[test]
fn each_request_finds_its_extension_by_its_identifier() {
    let mut registry = Registry::new(["a".to_owned()]).unwrap();
    assert_eq!(states(&registry), ["a Started"]);
    registry.register("a", events("is"), id(1)).unwrap();
    registry.register("b", events(""), id(2)).unwrap();
    assert_eq!(states(&registry), ["a Registered", "b Registered"]);
    let next = ExtensionRequest::Next { parked: false };
    assert_eq!(registry.apply(id(1), next).unwrap().name, "a");
    assert_eq!(states(&registry), ["a Ready", "b Registered"]);
    registry.apply(id(2), next).unwrap();
    assert_eq!(states(&registry), ["a Ready", "b Ready"]);
    assert_eq!(
        registry.progress("a", ExtensionProgress::Delivered),
        Some(&ExtensionState::Running)
    );
    assert_eq!(states(&registry), ["a Running", "b Ready"]);
    registry.apply(id(1), next).unwrap();
    assert_eq!(states(&registry), ["a Ready", "b Ready"]);
    let heard: Vec<_> = registry.extensions().iter().map(|known| known.events).collect();
    assert_eq!(heard, [events("is"), events("")]);
    let unknown = "Extension.UnknownExtensionIdentifier: Unknown";
    assert_eq!(
        refused(registry.apply(id(3), next)),
        format!("{unknown} extension 00000000-0000-0000-0000-000000000003")
    );
    for request in [ExtensionRequest::InitError("x"), ExtensionRequest::ExitError("x")] {
        assert_eq!(
            refused(registry.apply(id(3), request)),
            format!("{unknown} Lambda-Extension-Identifier")
        );
    }
    assert_eq!(
        refused(registry.apply(id(1), ExtensionRequest::InitError("x"))),
        "Extension.InvalidExtensionState: State transition from Ready to InitError failed for \
         extension 00000000-0000-0000-0000-000000000001. Error: State transition is not allowed"
    );
}

#[test]
fn a_subscription_is_by_one_api_and_during_init() {
    let mut registry = Registry::default();
    registry.register("a", events("i"), id(1)).unwrap();
    registry.close_registration();
    let mut subscribe = |n, api| refused(registry.subscribe(id(n), api));
    assert_eq!(subscribe(1, SubscriptionApi::Logs), "ok");
    assert_eq!(subscribe(1, SubscriptionApi::Logs), "ok");
    assert_eq!(
        subscribe(1, SubscriptionApi::Telemetry),
        "ValidationError: already subscribed by the Logs API"
    );
    assert_eq!(
        subscribe(2, SubscriptionApi::Logs),
        "Extension.UnknownExtensionIdentifier: \
         Unknown extension 00000000-0000-0000-0000-000000000002"
    );
    registry.close_subscriptions();
    assert_eq!(
        refused(registry.subscribe(id(1), SubscriptionApi::Logs)),
        "Logs.SubscriptionClosed: Logs API subscription is closed"
    );
    registry.close_registration();
    assert_eq!(
        refused(registry.subscribe(id(1), SubscriptionApi::Telemetry)),
        "Telemetry.SubscriptionClosed: Telemetry API subscription is closed"
    );
}

#[derive(Debug, Clone)]
enum Step {
    Register(String, Events),
    Request(u128, &'static str),
    Subscribe(u128, SubscriptionApi),
    Progress(String, ExtensionProgress),
    CloseRegistration,
    CloseSubscriptions,
}

fn any_step() -> impl Strategy<Value = Step> {
    let name = || proptest::sample::select(('a'..='p').map(String::from).collect::<Vec<_>>());
    let api = proptest::sample::select(vec![SubscriptionApi::Logs, SubscriptionApi::Telemetry]);
    let progress = proptest::sample::select(vec![
        ExtensionProgress::Delivered,
        ExtensionProgress::Exited,
        ExtensionProgress::Killed,
        ExtensionProgress::LaunchFailed("x".into()),
    ]);
    let request = proptest::sample::select(vec!["next", "init", "exit"]);
    prop_oneof![
        8 => (name(), any::<bool>(), any::<bool>())
            .prop_map(|(name, invoke, shutdown)| Step::Register(name, Events { invoke, shutdown })),
        8 => (0..40_u128, request).prop_map(|(n, request)| Step::Request(n, request)),
        2 => (0..40_u128, api).prop_map(|(n, api)| Step::Subscribe(n, api)),
        4 => (name(), progress).prop_map(|(name, progress)| Step::Progress(name, progress)),
        1 => Just(Step::CloseRegistration),
        1 => Just(Step::CloseSubscriptions),
    ]
}

/// Whether the step was accepted.
fn take(registry: &mut Registry, step: Step, n: u128) -> bool {
    match step {
        Step::Register(name, events) => registry.register(&name, events, id(n)).is_ok(),
        Step::Request(n, request) => {
            let request = match request {
                "next" => ExtensionRequest::Next { parked: true },
                "init" => ExtensionRequest::InitError("x"),
                _ => ExtensionRequest::ExitError("x"),
            };
            registry.apply(id(n), request).is_ok()
        }
        Step::Subscribe(n, api) => registry.subscribe(id(n), api).is_ok(),
        Step::Progress(name, progress) => registry.progress(&name, progress).is_some(),
        Step::CloseRegistration => {
            registry.close_registration();
            true
        }
        Step::CloseSubscriptions => {
            registry.close_subscriptions();
            true
        }
    }
}

proptest! {
    #[test]
    fn whatever_extensions_try_the_registry_stays_whole(
        external in 0..11_u8,
        steps in proptest::collection::vec(any_step(), 0..80),
    ) {
        let external: Vec<String> = (0..external.min(10)).map(|n| char::from(b'a' + n).into()).collect();
        let mut registry = Registry::new(external.iter().cloned()).unwrap();
        let mut closed = false;
        for (n, step) in (0..).zip(steps) {
            let before = registry.clone();
            closed |= matches!(step, Step::CloseRegistration | Step::CloseSubscriptions);
            let registering = matches!(step, Step::Register(..));
            let accepted = take(&mut registry, step, n);
            if !accepted {
                prop_assert_eq!(&registry, &before);
            }
            prop_assert!(!(accepted && registering && closed));
            let all = registry.extensions();
            prop_assert!(all.len() <= limits::EXTENSIONS);
            for (at, extension) in all.iter().enumerate() {
                let others = &all[at + 1..];
                prop_assert!(others.iter().all(|other| other.name != extension.name));
                prop_assert!(extension.identifier.is_none()
                    || others.iter().all(|other| other.identifier != extension.identifier));
                let is_external = external.contains(&extension.name);
                prop_assert_eq!(is_external, extension.kind == ExtensionKind::External);
                prop_assert!(is_external || !extension.events.shutdown);
                prop_assert!(is_external || extension.identifier.is_some());
                prop_assert!(extension.identifier.is_some() || extension.events == Events::default());
            }
        }
    }
}
